"""Colours of digits: which one each has in every frame, and whether it keeps it."""

import numpy as np

from ...data import COLOURS
from ...data.pixels import tones
from .blobs import INK, brightness

FEWEST = 4  # bright pixels from which a colour is told
COLOURED = 0.5  # of the light must have a hue, or the digit counts as white: half-way between it and a named colour
NEAR = 30  # degrees: half-way to the next of the named colours
CHANCE = 90  # degrees between two hues that have nothing to do with each other, on average

HUES = np.angle(tones(np.array(list(COLOURS.values()), np.float32)))  # radians


def tones_of_digits(video, low, high):
    """The colour of each tracked digit in every frame, complex (B, K, T); NaN where too little of it is seen.

    The angle is the hue in radians, 0 for red and a sixth of the circle for yellow. The length says which share of the
    digit's light has that hue: 1 for a pure colour, 0 for white, for grey, and for colours that are each other's
    opposites. Only bright pixels of the digit's own box are looked at: not those in another digit's box, where the
    light of both adds up. video: (B, T, H, W, 3). low, high: (B, K, T, 2), the boxes of Tracks.
    """
    light, tone = brightness(video), tones(video)
    bright = (light > INK).astype(np.float32)  # (B, T, H, W)
    rows, columns = (
        (np.arange(side) >= low[..., axis, None]) & (np.arange(side) <= high[..., axis, None])
        for axis, side in enumerate(video.shape[2:4])
    )  # (B, K, T, H) and (B, K, T, W); false of NaN
    boxes = rows[..., :, None] & columns[..., None, :]  # (B, K, T, H, W)
    own = boxes & (boxes.sum(1, keepdims=True) == 1)
    total, count, hue = (np.einsum("bkthw,bthw->bkt", own, part * bright) for part in (light, bright, tone))
    return np.where(count >= FEWEST, hue / np.maximum(total, 1e-6), np.nan)


def named(tone):
    """Tones (...) as places in (white, *COLOURS): 0 for white, k for the k-th colour; -1 where nothing is seen."""
    place = np.where(np.abs(tone) < COLOURED, 0, 1 + apart(tone[..., None], np.exp(1j * HUES)).argmin(-1))
    return np.where(np.isnan(tone), -1, place)


def apart(one, other):
    """Degrees between the hues of two tones, 0 to 180; NaN where one isn't seen."""
    return np.degrees(np.abs(np.angle(one * np.conj(other))))


def hue_changes(tone):
    """Degrees (..., T) between the hue in each frame and the one in the first frame in which the digit has colour.

    NaN for that frame, for frames in which it isn't seen, and for digits that never have a colour. Where a digit has
    lost it, there is no hue: that counts as chance does, CHANCE degrees.
    """
    coloured = np.abs(tone) >= COLOURED  # false of NaN
    first = coloured.argmax(-1)[..., None]
    change = np.where(coloured, apart(tone, np.take_along_axis(tone, first, -1)), CHANCE)
    change = np.where(np.isnan(tone) | ~coloured.any(-1, keepdims=True), np.nan, change)
    np.put_along_axis(change, first, np.nan, -1)
    return change
