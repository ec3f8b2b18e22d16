"""What is seen in clips: tracks, bouncing lines, and what the judge reads in every frame."""

from dataclasses import dataclass

import numpy as np

from ..data import PIXELS_PER_FRAME
from .blobs import as_clips
from .judge import NONE, WINDOW, load_judge
from .paths import Paths, fit_paths
from .tracking import Tracks, track, windows

MERGED_TRUST = 0.2  # how far a position counts that comes from splitting two touching digits


@dataclass(frozen=True)
class Sighting:
    """All that is seen in B clips: K tracks, T frames.

    classes:  (B, K, T) int, the digit read in each frame, -1 where lost and where what is there is no digit.
    probabilities: (B, K, T, 10), of each digit; 0 where lost.
    readable: (B, K, T) bool, frames that count: not merged, or all of them where a clip has no other.
    looks:    (B, K, T), correlation of the window with the first readable one; NaN where not readable or lost, and
              where the boxes of two digits overlap.
    changes:  (B, T - 1), how much of the picture changes from one frame to the next: the sum over its pixels.
    canvas:   (height, width); digit_size: px.
    """

    tracks: Tracks
    paths: Paths
    classes: np.ndarray
    probabilities: np.ndarray
    readable: np.ndarray
    looks: np.ndarray
    changes: np.ndarray
    canvas: tuple
    digit_size: int


def watch(clips, digit_size, digits, judge=None, pixels_per_frame=PIXELS_PER_FRAME):
    """Look at clips (B, T, H, W, 1) in [0, 1] and return a Sighting.

    digit_size: px. digits: how many to look for, 1 or 2, for all or for each clip. pixels_per_frame: the speeds that
    captions ask for; nothing much faster than the fastest is looked for.
    """
    judge = judge or load_judge()
    clips = as_clips(clips)
    canvas = clips.shape[2:]
    tracks = track(clips, digit_size, digits)
    trust = np.where(tracks.merged, MERGED_TRUST, 1.0)
    paths = fit_paths(tracks.positions, canvas, digit_size, trust, pixels_per_frame)
    crops = windows(clips, tracks.positions, digit_size)
    log_probabilities, _ = judge.read(crops)
    probabilities = np.exp(log_probabilities[..., :NONE]) * tracks.found[..., None]
    classes = log_probabilities.argmax(-1)
    classes = np.where(tracks.found & (classes != NONE), classes, -1)
    apart = ~tracks.merged & tracks.wanted[..., None]
    readable = np.where(apart.any(-1, keepdims=True), apart, tracks.wanted[..., None])
    looks = _looks(crops * _inside(tracks, digit_size), readable & tracks.found & ~_overlapping(tracks))
    changes = np.abs(np.diff(clips, axis=1)).sum((2, 3))
    return Sighting(tracks, paths, classes, probabilities, readable, looks, changes, canvas, digit_size)


def _inside(tracks, digit_size):
    """(B, K, T, WINDOW, WINDOW) bool: what of a digit's window lies in its own box, and not in its neighbour's."""
    offsets = (np.arange(WINDOW) - (WINDOW - 1) / 2) * (digit_size / WINDOW)
    places = tracks.positions[..., None] + offsets  # (B, K, T, 2, WINDOW)
    rows, columns = np.moveaxis((places >= tracks.low[..., None]) & (places <= tracks.high[..., None]), 3, 0)
    return rows[..., :, None] & columns[..., None, :]


def _overlapping(tracks):
    """(B, 1, T) bool: the boxes of two digits overlap."""
    apart = (tracks.high.min(1) < tracks.low.max(1)).any(-1)
    return ~(apart | ~tracks.found.all(1))[:, None] & (tracks.found.shape[1] > 1)


def _looks(crops, counted):
    """Correlation of each window (B, K, T, s, s) with its track's first counted one: (B, K, T)."""
    flat = crops.reshape(*crops.shape[:3], -1)
    flat = flat - flat.mean(-1, keepdims=True)
    flat /= np.maximum(np.sqrt((flat**2).sum(-1, keepdims=True)), 1e-6)
    first = np.take_along_axis(flat, counted.argmax(-1)[..., None, None], 2)
    return np.where(counted, (flat * first).sum(-1), np.nan)


def most_seen(sighting, counted=None):
    """(B, K): the class read most often, -1 where none was read; ties go to the surer one.

    counted: the frames that have a say, boolean (B, K, T); by default the readable ones.
    """
    counted = sighting.readable if counted is None else counted
    probabilities = np.where(counted[..., None], sighting.probabilities, 0)
    votes = ((sighting.classes[..., None] == np.arange(10)) & counted[..., None]).sum(2)
    return np.where(votes.any(-1), (votes + 0.5 * probabilities.mean(2)).argmax(-1), -1)


def mean_of_known(values, axis):
    """Mean that skips NaN; NaN where there is nothing else, without a warning."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0).sum(axis)
    return np.where(there.any(axis), total / np.maximum(there.sum(axis), 1), np.nan)
