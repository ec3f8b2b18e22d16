"""Find the digits of a clip and follow them: where each one is in every frame, and what it looks like.

Made for bright digits on black, real or generated, so nothing is assumed of the way they move beyond
"near to where they were heading". Three steps:

1. A frame's ink falls into *blobs*: connected components after closing small gaps (strokes break).
   Specks lighter than any digit are junk and dropped.
2. Blobs are followed through time: each is given to the track whose constant-velocity prediction
   (mirrored at the walls) lies nearest, over all assignments at once.
3. Two digits that touch are one blob. It is split in two by k-means started at the predictions, and
   the frame is flagged `merged`: its positions are rough and its windows show both digits.

Positions are (y, x) of the centre of ink in pixels, y down and x to the right, as in an array; the
middle of a pixel is at its whole-numbered index. Everything is NumPy and vectorised over clips.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ..errors import InputError

INK = 0.25  # a pixel brighter than this belongs to a stroke
# Ink of a digit as a fraction of the square it is drawn in: MNIST's mean is 0.13, its thinnest ones 0.03.
LEAST_INK = 0.022
CHUNK = 32  # frames labelled at a time, so that they stay in the cache
MOST_BLOBS = 4  # the heaviest ones of a frame that are looked at


@dataclass(frozen=True)
class Tracks:
    """Where the digits of B clips are. K tracks a clip, T frames.

    positions: (B, K, T, 2) float32, (y, x) of the centre of ink in pixels; NaN where lost or not asked for.
    merged:    (B, K, T) bool, the position comes from splitting a blob of two touching digits.
    blobs:     (B, T) int, digit-sized blobs in each frame.
    wanted:    (B, K) bool, tracks that the caller asked for.
    """

    positions: np.ndarray
    merged: np.ndarray
    blobs: np.ndarray
    wanted: np.ndarray

    @property
    def found(self):
        """(B, K, T) bool: the digit was seen in this frame."""
        return ~np.isnan(self.positions[..., 0])


def as_clips(clips):
    """Check clips (B, T, H, W, 1) or (B, T, H, W) and return them as float32 (B, T, H, W) in [0, 1]."""
    clips = np.asarray(clips)
    if clips.ndim == 5 and clips.shape[-1] == 1:
        clips = clips[..., 0]
    if clips.ndim != 4 or 0 in clips.shape:
        raise InputError(f"clips have shape {clips.shape}; expected (clips, frames, height, width, 1)")
    scale = 1 / 255 if clips.dtype == np.uint8 else 1
    # A generator that went wrong may give NaN: that is no ink, not a crash.
    return np.clip(np.nan_to_num(clips.astype(np.float32) * np.float32(scale)), 0, 1)


def label_components(mask):
    """Number the 8-connected components of each image: (N, H, W) bool -> int32 labels, 0 outside.

    A pixel starts with its own number. In each round it takes the largest number among its
    neighbours and then, in one jump, the number held by the pixel of that number, so a component
    of any shape settles in about log(diameter) rounds instead of diameter rounds.
    """
    if len(mask) > CHUNK:
        parts = [label_components(mask[start : start + CHUNK]) for start in range(0, len(mask), CHUNK)]
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


def find_blobs(frames, digit_size):
    """The digit-sized blobs of each frame (N, H, W), heaviest first.

    Returns centres (N, M, 2) with NaN where there are fewer than M = MOST_BLOBS, ink mass
    (N, M) with 0 there, and the larger side of each blob's box in pixels (N, M).
    """
    count = len(frames)
    mask = frames > INK
    labels = label_components(_spread(mask, max(1, round(digit_size / 20))))
    frame, y, x = np.nonzero(mask)
    _, blob = np.unique(labels[frame, y, x], return_inverse=True)
    weight = frames[frame, y, x].astype(np.float64)
    blobs = blob.max() + 1 if blob.size else 0
    mass = np.bincount(blob, weight, minlength=blobs)
    centre = np.stack([np.bincount(blob, weight * place, minlength=blobs) for place in (y, x)], -1)
    centre = centre / np.maximum(mass, 1e-9)[:, None]
    side = np.zeros(blobs)
    for place in (y, x):
        least, most = np.full(blobs, np.inf), np.full(blobs, -np.inf)
        np.minimum.at(least, blob, place)
        np.maximum.at(most, blob, place)
        side = np.maximum(side, most - least + 1)
    home = np.zeros(blobs, int)
    home[blob] = frame

    keep = mass >= LEAST_INK * digit_size**2
    mass, centre, side, home = mass[keep], centre[keep], side[keep], home[keep]
    order = np.lexsort((-mass, home))
    mass, centre, side, home = mass[order], centre[order], side[order], home[order]
    rank = np.arange(len(home)) - np.searchsorted(home, home)
    heavy = rank < MOST_BLOBS
    at = home[heavy], rank[heavy]
    centres = np.full((count, MOST_BLOBS, 2), np.nan)
    masses, sides = np.zeros((count, MOST_BLOBS)), np.zeros((count, MOST_BLOBS))
    centres[at], masses[at], sides[at] = centre[heavy], mass[heavy], side[heavy]
    return centres, masses, sides


def track(clips, digit_size, digits=1):
    """Follow up to two digits through clips (B, T, H, W, 1) with values in [0, 1].

    digit_size: side in pixels of the square a digit is drawn in (28 on a 64x64 canvas).
    digits: how many to follow, one number or one for each clip (B,); 1 or 2.
    Returns Tracks with K = the largest of `digits`.
    """
    frames = as_clips(clips)
    digits = np.broadcast_to(np.asarray(digits, int), len(frames))
    if digits.min() < 1 or digits.max() > 2:
        raise InputError(f"can follow 1 or 2 digits, not {digits.min()} to {digits.max()}")
    count, length, height, width = frames.shape
    tracks = int(digits.max())
    wanted = np.arange(tracks) < digits[:, None]
    centres, masses, sides = (
        array.reshape(count, length, *array.shape[1:])
        for array in find_blobs(frames.reshape(-1, height, width), digit_size)
    )
    seen = (masses > 0).sum(-1)
    merged = (digits[:, None] == 2) & (seen == 1) & _looks_like_two(masses, sides, seen, digit_size)

    # Start where all wanted digits stand apart, or else touch, or else where anything is seen.
    quality = 2.0 * np.minimum(seen, digits[:, None]) + merged
    start = quality.argmax(1)
    positions = np.full((count, tracks, length, 2), np.nan)
    for direction in (1, -1):
        _follow(frames, centres, merged, wanted, start, direction, digit_size, positions)
    positions[~wanted] = np.nan
    return Tracks(positions.astype(np.float32), merged[:, None] & wanted[..., None], seen, wanted)


def _looks_like_two(masses, sides, seen, digit_size):
    """(B, T): the heaviest blob is too large or too heavy for one digit of its own clip."""
    apart = seen >= 2
    single = np.where(apart[..., None] & (np.arange(MOST_BLOBS) < 2), masses, np.nan)
    known = apart.any(1)
    typical = np.full(len(masses), np.inf)
    typical[known] = np.nanmax(single[known], axis=(1, 2))
    heaviest, side = masses[..., 0], sides[..., 0]
    # MNIST digits fill at most 20 of their 28 pixels.
    return (side > 0.82 * digit_size) | (heaviest > 1.2 * typical[:, None])


def _follow(frames, centres, merged, wanted, start, direction, digit_size, positions):
    """Fill `positions` from each clip's start frame forwards (direction 1) or backwards (-1)."""
    count, tracks, length, _ = positions.shape
    height, width = frames.shape[2:]
    low, high = digit_size / 2 - 0.5, np.array([height, width]) - digit_size / 2 - 0.5
    rows = np.arange(count)
    here = centres[rows, start, :tracks].copy()
    velocity = np.zeros_like(here)
    known = np.zeros((count, tracks), bool)  # the velocity was seen, not assumed
    for step in range(length):
        frame = start + direction * step
        active = (frame >= 0) & (frame < length)
        if not active.any():
            return
        at = rows[active]
        expected = _mirror(here[at] + velocity[at], low, high)
        found = _assign(centres[at, frame[at]], expected, wanted[at])
        touching = merged[at, frame[at]]
        if touching.any():
            found[touching] = _split(frames[at, frame[at]][touching], expected[touching], digit_size)
        positions[at, :, frame[at]] = found
        if step == 0:
            here[at] = found
            continue
        missing = np.isnan(found)
        moved = np.where(missing | np.isnan(here[at]), velocity[at], found - here[at])
        # Split blobs are too rough to tell a velocity from.
        sure = ~missing[..., 0] & ~touching[:, None] & ~np.isnan(here[at][..., 0])
        blended = np.where(known[at][..., None], 0.5 * velocity[at] + 0.5 * moved, moved)
        velocity[at] = np.where(sure[..., None], blended, velocity[at])
        known[at] |= sure
        here[at] = np.where(missing, expected, found)


def _mirror(points, low, high):
    """Reflect points that have left the box of possible centres back into it."""
    points = np.where(points < low, 2 * low - points, points)
    return np.where(points > high, 2 * high - points, points)


def _assign(centres, expected, wanted):
    """Give blobs (n, M, 2) to tracks expected at (n, K, 2): the cheapest assignment, (n, K, 2), NaN where lost.

    Leaving a track without a blob costs more than any distance, so a digit that jumped is still
    followed (and its jump counts against its motion). Where nothing was ever seen of a track, any
    blob is as good as another.
    """
    count, tracks, _ = expected.shape
    distance = ((centres[:, None] - expected[:, :, None]) ** 2).sum(-1)  # (n, K, M)
    nothing = np.isnan(centres[..., 0])[:, None] | ~wanted[..., None]
    distance = np.where(np.isnan(distance), 0.0, distance)
    lost = np.full((count, tracks, 1), 1e8)
    cost = np.concatenate([np.where(nothing, 1e9, distance), lost], -1)  # the last choice is "lost"
    choices = [c for c in itertools.product(range(MOST_BLOBS + 1), repeat=tracks) if _distinct(c)]
    totals = np.stack([sum(cost[:, k, blob] for k, blob in enumerate(choice)) for choice in choices], -1)
    best = np.array(choices)[totals.argmin(-1)]  # (n, K)
    with_lost = np.concatenate([centres, np.full((count, 1, 2), np.nan)], 1)
    return np.take_along_axis(with_lost, best[..., None], 1)


def _distinct(choice):
    blobs = [blob for blob in choice if blob < MOST_BLOBS]
    return len(set(blobs)) == len(blobs)


def _split(frames, expected, digit_size, rounds=6):
    """Two centres (n, 2, 2) in frames (n, H, W) where two digits touch: k-means of the ink, from `expected`."""
    count, height, width = frames.shape
    ink = np.where(frames > INK, frames, 0).reshape(count, -1)
    y, x = np.mgrid[:height, :width].reshape(2, -1).astype(np.float32)
    total = np.maximum(ink.sum(1, keepdims=True), 1e-6)
    middle = np.stack([ink @ y, ink @ x], -1) / total
    # Where nothing is expected yet, start on both sides of the middle along the longer spread.
    spread = np.stack([(ink * (y - middle[:, :1]) ** 2).sum(1), (ink * (x - middle[:, 1:]) ** 2).sum(1)], -1)
    along = np.where(spread == spread.max(1, keepdims=True), digit_size / 4, 0)
    centre = np.where(np.isnan(expected), np.stack([middle - along, middle + along], 1), expected)
    apart = np.abs(centre[:, 0] - centre[:, 1]).max(-1) < 1  # on top of each other: k-means can't start
    centre[apart] = np.stack([middle - along, middle + along], 1)[apart]
    for _ in range(rounds):
        square = (y - centre[..., :1]) ** 2 + (x - centre[..., 1:]) ** 2  # (n, 2, pixels)
        share = 1 / (1 + np.exp(np.clip((square[:, 0] - square[:, 1]) / (0.1 * digit_size**2), -60, 60)))
        weight = np.stack([ink * share, ink * (1 - share)], 1)
        centre = np.stack([weight @ y, weight @ x], -1) / np.maximum(weight.sum(-1, keepdims=True), 1e-6)
    return centre


def windows(clips, positions, digit_size, size=28):
    """Cut out each tracked digit and resample it to size x size: (B, K, T, size, size) in [0, 1].

    The window is the square of side `digit_size` around the position, sampled bilinearly; outside
    the canvas, and where the digit is lost, it is black.
    """
    frames = as_clips(clips)
    count, length, height, width = frames.shape
    far_away = -10.0 * digit_size
    middle = np.nan_to_num(positions, nan=far_away)[..., None, None]  # (B, K, T, 2, 1, 1)
    offsets = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * (digit_size / size)
    frame = np.arange(count * length).reshape(count, 1, length, 1, 1)
    y, x = middle[:, :, :, 0] + offsets[:, None], middle[:, :, :, 1] + offsets
    return bilinear(frames.reshape(-1, height, width), frame, y, x)


def bilinear(images, which, y, x):
    """Sample images (N, H, W) at real-valued places y, x of image `which` (all broadcast); 0 outside."""
    height, width = images.shape[1:]
    top, left = np.floor(y), np.floor(x)
    down, right = (y - top).astype(np.float32), (x - left).astype(np.float32)
    result = np.float32(0)
    for row, row_share in ((top, 1 - down), (top + 1, down)):
        for column, column_share in ((left, 1 - right), (left + 1, right)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = which, np.clip(row, 0, height - 1).astype(np.intp), np.clip(column, 0, width - 1).astype(np.intp)
            result = result + np.where(inside, row_share * column_share, 0) * images[at]
    return result
