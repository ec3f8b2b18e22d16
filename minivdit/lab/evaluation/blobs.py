"""Blobs: the connected patches of ink in a frame, and which of them are as large as a digit.

Strokes break, in hand-writing and more so in generated clips, so small gaps are closed before
counting, specks lighter than any digit are dropped, and where a frame has more blobs than digits were
asked for, neighbours that fit into one digit's box are taken for its pieces.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ...base.errors import InputError

INK = 0.25  # a pixel brighter than this belongs to a stroke
# Ink of the lightest digit as a fraction of the square it is drawn in: MNIST's mean is 0.13, its thinnest ones 0.03.
LEAST_INK = 0.022
MEAN_INK = 0.13
# MNIST digits fill at most 20 of their 28 pixels (0.71); a blob or a pair with a longer side is no single digit.
LARGEST_BOX = 0.82
CHUNK = 32  # frames labelled at a time, so that they stay in the cache
MOST_BLOBS = 4  # the heaviest ones of a frame that are looked at


@dataclass(frozen=True)
class Blobs:
    """The digit-sized blobs of N frames, heaviest first; M = MOST_BLOBS places a frame.

    centre: (N, M, 2) px, (y, x) centre of ink; NaN where there is no blob. mass: (N, M) ink, 0 there.
    low, high: (N, M, 2) px, the corners of the blob's box.
    """

    centre: np.ndarray
    mass: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def count(self):
        """(N,) blobs in each frame."""
        return (self.mass > 0).sum(-1)

    @property
    def side(self):
        """(N, M) px, the longer side of each blob's box; 0 where there is none."""
        return np.where(self.mass > 0, (self.high - self.low).max(-1) + 1, 0)

    def arrays(self):
        return self.centre, self.mass, self.low, self.high


def as_clips(clips):
    """How bright clips (B, T, H, W, C), C = 1 or 3, or (B, T, H, W) are: float32 (B, T, H, W) in [0, 1]."""
    return brightness(as_video(clips))


def brightness(video):
    """How bright pixels (..., C) are: (...), the largest of their channels, which is the value of HSV (Smith 1978).

    So digits of all colours are as bright as white ones.
    """
    return video[..., 0] if video.shape[-1] == 1 else video.max(axis=-1)


def as_video(clips):
    """Check clips (B, T, H, W, C), C = 1 or 3, or (B, T, H, W), return them as float32 (B, T, H, W, C) in [0, 1]."""
    clips = np.asarray(clips)
    clips = clips[..., None] if clips.ndim == 4 else clips
    if clips.ndim != 5 or 0 in clips.shape or clips.shape[-1] not in (1, 3):
        raise InputError(f"clips have shape {clips.shape}; expected (clips, frames, height, width, 1 or 3)")
    if clips.dtype == np.uint8:
        return clips * np.float32(1 / 255)
    clips = clips.astype(np.float32, copy=False)
    if clips.min() >= 0 and clips.max() <= 1:  # false where there is a NaN
        return clips
    # A generator that went wrong may give NaN: that is no ink, not a crash.
    return np.clip(np.nan_to_num(clips), 0, 1)


def label_components(mask):
    """Number the 8-connected components of each image: (N, H, W) bool -> int32 labels, 0 outside.

    A pixel begins with its own number. In each round it takes the largest number among its
    neighbours and then, in one jump, the number held by the pixel of that number, so a component
    of any shape settles in about log(diameter) rounds instead of diameter rounds.
    """
    if len(mask) > CHUNK:
        parts = [label_components(mask[first : first + CHUNK]) for first in range(0, len(mask), CHUNK)]
        for index, part in enumerate(parts):
            part[part > 0] += index * CHUNK * mask[0].size
        return np.concatenate(parts)
    labels = np.where(mask, np.arange(1, mask.size + 1, dtype=np.int32).reshape(mask.shape), 0)
    while True:
        spread = np.where(mask, _spread(labels, 1), 0)
        jumped = np.concatenate([[0], spread.ravel()])[spread].astype(np.int32)
        if np.array_equal(jumped, labels):
            return labels
        labels = jumped


def _spread(images, radius):
    """The largest value within `radius` pixels, along rows and columns."""
    for axis in (1, 2):
        for _ in range(radius):
            lower = (slice(None),) * axis + (slice(None, -1),)
            upper = (slice(None),) * axis + (slice(1, None),)
            wider = images.copy()
            np.maximum(wider[lower], images[upper], out=wider[lower])
            np.maximum(wider[upper], images[lower], out=wider[upper])
            images = wider
    return images


def find_blobs(frames, digit_size, digits):
    """The Blobs of frames (N, H, W) in [0, 1]. digits: (N,), how many digits each should show."""
    mask = frames > INK
    labels = label_components(_spread(mask, max(1, round(digit_size / 20))))
    frame, *places = np.nonzero(mask)
    _, blob = np.unique(labels[frame, places[0], places[1]], return_inverse=True)
    weight = frames[frame, places[0], places[1]].astype(np.float64)
    found = blob.max() + 1 if blob.size else 0
    home = np.zeros(found, int)
    home[blob] = frame
    mass = np.bincount(blob, weight, minlength=found)
    centre = np.stack([np.bincount(blob, weight * place, minlength=found) for place in places], -1)
    centre = centre / np.maximum(mass, 1e-9)[:, None]
    low, high = np.full((found, 2), np.inf), np.full((found, 2), -np.inf)
    for axis, place in enumerate(places):
        np.minimum.at(low[:, axis], blob, place)
        np.maximum.at(high[:, axis], blob, place)

    order = np.lexsort((-mass, home))
    order = order[mass[order] >= LEAST_INK * digit_size**2]
    home = home[order]
    rank = np.arange(len(home)) - np.searchsorted(home, home)  # within its frame
    order, home, rank = (array[rank < MOST_BLOBS] for array in (order, home, rank))
    shape = len(frames), MOST_BLOBS
    blobs = Blobs(np.full((*shape, 2), np.nan), np.zeros(shape), np.zeros((*shape, 2)), np.zeros((*shape, 2)))
    for target, source in zip(blobs.arrays(), (centre, mass, low, high)):
        target[home, rank] = source[order]
    for _ in range(MOST_BLOBS - 1):
        _join_pieces(blobs, digits, digit_size)
    return blobs


def ink_outside(frames, low, high, digit_size, level):
    """Ink brighter than `level` outside of boxes: (N,), in units of an average digit's ink.

    frames: (N, H, W). low, high: (N, K, 2), the boxes' corners (y, x); NaN where there is no box.
    """
    rows, columns = np.arange(frames.shape[1]), np.arange(frames.shape[2])
    free = frames > level
    for box_low, box_high in zip(low.swapaxes(0, 1)[..., None], high.swapaxes(0, 1)[..., None]):  # (N, 2, 1) each
        in_rows = (rows >= box_low[:, 0]) & (rows <= box_high[:, 0])  # (N, H)
        in_columns = (columns >= box_low[:, 1]) & (columns <= box_high[:, 1])
        free &= ~(in_rows[:, :, None] & in_columns[:, None])
    return np.where(free, frames, 0).sum((1, 2)) / (MEAN_INK * digit_size**2)


def _join_pieces(blobs, digits, digit_size):
    """Where a frame has too many blobs, join in place the pair with the smallest common box, if it fits one digit."""
    rows = np.flatnonzero(blobs.count > digits)
    if not len(rows):
        return
    pairs = list(itertools.combinations(range(MOST_BLOBS), 2))
    boxes = []
    for a, b in pairs:
        box = np.maximum(blobs.high[rows, a], blobs.high[rows, b]) - np.minimum(blobs.low[rows, a], blobs.low[rows, b])
        boxes.append(np.where(blobs.mass[rows, b] > 0, box.max(-1) + 1, np.inf))  # b is the lighter one
    smallest = np.min(boxes, 0)
    fits = smallest <= LARGEST_BOX * digit_size
    rows, (a, b) = rows[fits], np.array(pairs)[np.argmin(boxes, 0)[fits]].T
    share = (blobs.mass[rows, a] / (blobs.mass[rows, a] + blobs.mass[rows, b]))[:, None]
    blobs.centre[rows, a] = share * blobs.centre[rows, a] + (1 - share) * blobs.centre[rows, b]
    blobs.low[rows, a] = np.minimum(blobs.low[rows, a], blobs.low[rows, b])
    blobs.high[rows, a] = np.maximum(blobs.high[rows, a], blobs.high[rows, b])
    blobs.mass[rows, a] += blobs.mass[rows, b]
    blobs.centre[rows, b], blobs.mass[rows, b] = np.nan, 0
    order = np.argsort(-blobs.mass[rows], axis=-1, kind="stable")
    for array in blobs.arrays():
        array[rows] = np.take_along_axis(array[rows], order.reshape(order.shape + (1,) * (array.ndim - 2)), 1)
