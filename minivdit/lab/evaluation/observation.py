"""What is seen in clips: tracks, bouncing lines, and what the judge reads in every frame."""

from dataclasses import dataclass

import numpy as np

from ...data import PIXELS_PER_FRAME
from .blobs import as_video, brightness
from .bouncing_lines import Paths, fit_paths
from .colours import tones_of_digits
from .judge import NONE, WINDOW, load_judge
from .tracking import Tracks, bilinear, track, windows

MERGED_TRUST = 0.2  # how far a position counts that comes from splitting two touching digits


@dataclass(frozen=True)
class Observation:
    """All that is seen in B clips: K tracks, T frames.

    classes:  (B, K, T) int, the digit read in each frame, -1 where lost and where what is there is no digit.
    probabilities: (B, K, T, 10), of each digit; 0 where lost.
    readable: (B, K, T) bool, frames that count: not merged, or all of them where a clip has no other.
    likeness: (B, K, T), correlation of the window with the first readable one; NaN where not readable or lost, and
              where the boxes of two digits overlap.
    overlaid: (B, T), where two digits touch: correlation of the picture with both digits' first readable windows laid
              over each other at the places where their lines are; NaN elsewhere, and where a digit has no such window.
    tones:    complex (B, K, T), the colour of each digit, see tones_of_digits; None of grey clips.
    changes:  (B, T - 1), how much of the picture changes from one frame to the next: the sum over its pixels.
    canvas:   (height, width); digit_size: px.
    """

    tracks: Tracks
    paths: Paths
    classes: np.ndarray
    probabilities: np.ndarray
    readable: np.ndarray
    likeness: np.ndarray
    overlaid: np.ndarray
    changes: np.ndarray
    canvas: tuple
    digit_size: int
    tones: np.ndarray | None = None


def observe(clips, digit_size, digits, pixels_per_frame=PIXELS_PER_FRAME):
    """Look at clips (B, T, H, W, C) in [0, 1] and return an Observation.

    digit_size: px. digits: how many to look for, 1 or 2, for all or for each clip. pixels_per_frame: the speeds that
    captions ask for; nothing much faster than the fastest is looked for.
    """
    video = as_video(clips)
    clips = brightness(video)
    canvas = clips.shape[2:]
    tracks = track(clips, digit_size, digits)
    trust = np.where(tracks.merged, MERGED_TRUST, 1.0)
    paths = fit_paths(tracks.positions, canvas, digit_size, trust, pixels_per_frame)
    crops = windows(clips, tracks.positions, digit_size)
    log_probabilities, _ = load_judge().read(crops)
    probabilities = np.exp(log_probabilities[..., :NONE]) * tracks.found[..., None]
    classes = log_probabilities.argmax(-1)
    classes = np.where(tracks.found & (classes != NONE), classes, -1)
    apart = ~tracks.merged & tracks.wanted[..., None]
    readable = np.where(apart.any(-1, keepdims=True), apart, tracks.wanted[..., None])
    crops, touching = crops * _inside(tracks, digit_size), _overlapping(tracks)
    clear = readable & tracks.found & ~touching[:, None]
    likeness = _likeness(crops, clear)
    overlaid = _overlaid(clips, crops, clear, touching, paths, digit_size)
    changes = np.abs(np.diff(clips, axis=1)).sum((2, 3))
    tones = tones_of_digits(video, tracks.low, tracks.high) if video.shape[-1] == 3 else None
    seen = tracks, paths, classes, probabilities, readable, likeness, overlaid, changes, canvas, digit_size
    return Observation(*seen, tones)


def _inside(tracks, digit_size):
    """(B, K, T, WINDOW, WINDOW) bool: what of a digit's window lies in its own box, and not in its neighbour's."""
    offsets = (np.arange(WINDOW) - (WINDOW - 1) / 2) * (digit_size / WINDOW)
    places = tracks.positions[..., None] + offsets  # (B, K, T, 2, WINDOW)
    rows, columns = np.moveaxis((places >= tracks.low[..., None]) & (places <= tracks.high[..., None]), 3, 0)
    return rows[..., :, None] & columns[..., None, :]


def _overlapping(tracks):
    """(B, T) bool: the boxes of two digits overlap."""
    apart = (tracks.high.min(1) < tracks.low.max(1)).any(-1)
    return tracks.found.all(1) & ~apart & (tracks.found.shape[1] > 1)


def _likeness(crops, counted):
    """Correlation of each window (B, K, T, s, s) with its track's first counted one: (B, K, T)."""
    normed = _normed(crops)
    first = np.take_along_axis(normed, counted.argmax(-1)[..., None, None, None], 2)
    return np.where(counted, (normed * first).sum((-1, -2)), np.nan)


def _normed(pictures):
    """Pictures (..., H, W) with mean 0 and norm 1, so that sums of products are correlations; 0 where all is even."""
    pictures = pictures - pictures.mean((-1, -2), keepdims=True)
    return pictures / np.maximum(np.sqrt((pictures**2).sum((-1, -2), keepdims=True)), 1e-6)


def _overlaid(clips, crops, clear, touching, paths, digit_size):
    """See Observation. crops (B, K, T, s, s), clear (B, K, T): those that show one whole digit. touching: (B, T)."""
    likeness = np.full(touching.shape, np.nan)
    clip, frame = np.nonzero(touching & clear.any(-1).all(1)[:, None])
    if not len(clip):
        return likeness
    first = np.take_along_axis(crops, clear.argmax(-1)[..., None, None, None], 2)[:, :, 0]  # (B, K, s, s)
    expected = np.float32(0)
    for digit in range(first.shape[1]):
        place = paths.path[clip, digit, frame, :, None]  # (n, 2, 1)
        y, x = (
            (np.arange(side) - place[:, axis]) * (WINDOW / digit_size) + (WINDOW - 1) / 2
            for axis, side in enumerate(clips.shape[2:])
        )
        expected = np.maximum(expected, bilinear(first[:, digit], clip[:, None, None], y[:, :, None], x[:, None]))
    likeness[clip, frame] = (_normed(clips[clip, frame]) * _normed(expected)).sum((1, 2))
    return likeness


def most_seen(observation):
    """(B, K): the class read most often in readable frames, -1 where none was read; ties go to the surer one."""
    counted = observation.readable
    probabilities = np.where(counted[..., None], observation.probabilities, 0)
    votes = ((observation.classes[..., None] == np.arange(10)) & counted[..., None]).sum(2)
    return np.where(votes.any(-1), (votes + 0.5 * probabilities.mean(2)).argmax(-1), -1)


def mean_of_known(values, axis):
    """Mean that skips NaN; NaN where there is nothing else, without a warning."""
    there = ~np.isnan(values)
    total = np.where(there, values, 0).sum(axis)
    return np.where(there.any(axis), total / np.maximum(there.sum(axis), 1), np.nan)
