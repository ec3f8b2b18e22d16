"""Find the digits of a clip and follow them: where each one is in every frame, and what it looks like.

Made for bright digits on black, real or generated. All that is assumed of their motion is that a digit is near the
place that it was heading for. Three steps:

1. A frame's ink falls into *blobs* the size of digits (blobs.py); lesser specks are junk.
2. Blobs are followed through time: each is given to the track whose constant-velocity prediction
   (mirrored at the walls) lies nearest, over all assignments at once.
3. Two digits that touch are one blob. It is split in two by k-means that begins at the predictions, and
   the frame is flagged `merged`: its positions are rough and its windows show both digits.

Positions are (y, x) of the centre of ink in pixels, y down and x to the right, as in an array; the
middle of a pixel is at its whole-numbered index. Everything is NumPy and vectorised over clips.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ...base.errors import InputError
from .blobs import INK, LARGEST_BOX, MOST_BLOBS, as_clips, brightness, find_blobs, ink_outside
from .bouncing_lines import centre_limits

FAINT = 0.08  # a pixel brighter than this is seen on black


@dataclass(frozen=True)
class Tracks:
    """Where the digits of B clips are. K tracks a clip, T frames.

    positions: (B, K, T, 2) float32, (y, x) of the centre of ink in pixels; NaN where lost or not asked for.
    merged:    (B, K, T) bool, the position comes from splitting a blob of two touching digits.
    blobs:     (B, T) int, digit-sized blobs in each frame.
    wanted:    (B, K) bool, tracks that the caller asked for.
    low, high: (B, K, T, 2) the corners of a box around the digit's ink, pixels; NaN where lost.
    extra:     (B, T) ink of strokes outside of all boxes, in units of an average digit's ink.
    haze:      (B, T) the same of all that is brighter than FAINT.
    """

    positions: np.ndarray
    merged: np.ndarray
    blobs: np.ndarray
    wanted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    extra: np.ndarray
    haze: np.ndarray

    @property
    def found(self):
        """(B, K, T) bool: the digit was seen in this frame."""
        return ~np.isnan(self.positions[..., 0])


def track(clips, digit_size, digits=1):
    """Follow up to two digits through clips (B, T, H, W, C) with values in [0, 1].

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
    blobs = find_blobs(frames.reshape(-1, height, width), digit_size, np.repeat(digits, length))
    seen, centres, masses, sides = (
        array.reshape(count, length, *array.shape[1:]) for array in (blobs.count, blobs.centre, blobs.mass, blobs.side)
    )
    single = (digits[:, None] == 2) & (seen == 1)
    merged = single & _looks_like_two(masses, sides, seen, digit_size)
    merged |= single & _between(merged)  # one hides the other for a moment

    # Followed from a frame where all wanted digits stand apart, or else touch, or else where anything is seen.
    anchor = (2.0 * np.minimum(seen, digits[:, None]) + merged).argmax(1)
    positions = np.full((count, tracks, length, 2), np.nan)
    for direction in (1, -1):
        _follow(frames, centres, merged, wanted, anchor, direction, digit_size, positions)
    positions[~wanted] = np.nan
    low, high = _boxes(blobs, centres, positions, merged, digit_size)
    flat = frames.reshape(-1, height, width), *(box.swapaxes(1, 2).reshape(-1, tracks, 2) for box in (low, high))
    extra, haze = (ink_outside(*flat, digit_size, level).reshape(count, length) for level in (INK, FAINT))
    merged = merged[:, None] & wanted[..., None]
    return Tracks(positions.astype(np.float32), merged, seen, wanted, low, high, extra, haze)


def margin(digit_size):
    """px between a digit's ink and its box, for the soft edge of a stroke."""
    return digit_size / 14


def _boxes(blobs, centres, positions, merged, digit_size):
    """The box of each track's blob, (low, high), each (B, K, T, 2): see Tracks. Touching digits have one blob."""
    own = np.abs(centres[:, None] - positions[:, :, :, None]).max(-1) < 1e-6  # (B, K, T, M); false of NaN
    own[..., 0] |= merged[:, None]
    there, which = own.any(-1)[..., None], own.argmax(-1)[..., None, None]
    corners = (corner.reshape(len(positions), 1, *positions.shape[2:3], -1, 2) for corner in (blobs.low, blobs.high))
    low, high = (np.where(there, np.take_along_axis(corner, which, 3)[..., 0, :], np.nan) for corner in corners)
    return low - margin(digit_size), high + margin(digit_size)


def _looks_like_two(masses, sides, seen, digit_size):
    """(B, T): the heaviest blob is too large or too heavy for one digit of its own clip."""
    apart = seen >= 2
    single = np.where(apart[..., None] & (np.arange(MOST_BLOBS) < 2), masses, np.nan)
    known = apart.any(1)
    typical = np.full(len(masses), np.inf)
    typical[known] = np.nanmax(single[known], axis=(1, 2))
    heaviest, side = masses[..., 0], sides[..., 0]
    return (side > LARGEST_BOX * digit_size) | (heaviest > 1.2 * typical[:, None])


def _between(merged, reach=2):
    """(B, T): there are merged frames both before and after, no more than `reach` frames away."""
    length = merged.shape[1]
    padded = np.pad(merged, ((0, 0), (reach, reach)))
    near = [padded[:, reach + step : reach + step + length] for step in range(-reach, reach + 1)]
    return np.any(near[:reach], axis=0) & np.any(near[reach + 1 :], axis=0)


def _follow(frames, centres, merged, wanted, anchor, direction, digit_size, positions):
    """Fill `positions` from each clip's anchor frame forwards (direction 1) or backwards (-1)."""
    count, tracks, length, _ = positions.shape
    height, width = frames.shape[2:]
    low, high = centre_limits(np.array([height, width]), digit_size)
    rows = np.arange(count)
    here = centres[rows, anchor, :tracks].copy()
    velocity = np.zeros_like(here)
    known = np.zeros((count, tracks), bool)  # the velocity was seen, not assumed
    for step in range(length):
        frame = anchor + direction * step
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
    # Where nothing is expected yet, begin on both sides of the middle along the longer spread.
    spread = np.stack([(ink * (y - middle[:, :1]) ** 2).sum(1), (ink * (x - middle[:, 1:]) ** 2).sum(1)], -1)
    along = np.where(spread == spread.max(1, keepdims=True), digit_size / 4, 0)
    centre = np.where(np.isnan(expected), np.stack([middle - along, middle + along], 1), expected)
    apart = np.abs(centre[:, 0] - centre[:, 1]).max(-1) < 1  # on top of each other: k-means can't part them
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


def ink_centres(video):
    """Centres of ink (T, 2), (y, x) in pixels, of a clip (T, H, W, C); NaN in frames without any."""
    weight = brightness(video) * (brightness(video) > 0.2)
    total = weight.sum(axis=(1, 2))
    sums = [weight.sum(axis=2 - axis) @ np.arange(side) for axis, side in enumerate(weight.shape[1:])]
    return np.stack(sums, axis=-1) / np.where(total, total, np.nan)[:, None]


def path_error(video, path):
    """How far the ink of a clip of one digit strays from a path: pixels, the mean over frames; None without any ink.

    video: (T, H, W, C). path: (T, 2), centres (y, x). A digit's ink isn't centred in its box, so both are compared from
    their own means over time.
    """
    centre = ink_centres(video)
    if np.isnan(centre).any():
        return None
    strayed = (centre - centre.mean(axis=0)) - (path - path.mean(axis=0))
    return float(np.hypot(*strayed.T).mean())


def early_velocity(places):
    """The velocities (..., 2), (y, x) in pixels a frame, with which tracks (..., T, 2) begin; NaN for too few places.

    Digits of captioned clips don't bounce in the first half. So all pairs of its frames are taken, and the median of
    their velocities (Theil 1950, Sen 1968), which a few wild frames don't bend.
    """
    first, then = np.triu_indices(places.shape[-2] // 2 + 1, 1)
    steps = (places[..., then, :] - places[..., first, :]) / (then - first)[:, None]
    seen = ~np.isnan(steps).all(axis=(-2, -1))
    velocity = np.full((*places.shape[:-2], 2), np.nan)
    velocity[seen] = np.nanmedian(steps[seen], axis=-2)
    return velocity


def clear_of_edges(video, places):
    """Places (T, 2) of the ink of a clip (T, H, W, C) of one digit; NaN where ink touches an edge of the picture.

    There a part of the digit may be outside, and the centre of the rest isn't its own.
    """
    ink = brightness(video) > 0.2
    cut = ink[:, [0, -1]].any(axis=(1, 2)) | ink[:, :, [0, -1]].any(axis=(1, 2))
    return np.where(cut[:, None], np.nan, places)
