"""Windows without a digit, for the judge's class "none": pieces, overlaps, bars, blobs, haze.

What a generator draws instead of a digit is not known beforehand, so the kinds are many and simple. Nothing here may
look like a digit: pieces of a 1 and rings are left out, for they would be a 1 and a 0.

Upright bars are the hard case, since some people write a 1 as one. A bar of even brightness with square ends is none;
where it is as thin as a pen's stroke (under 4 of 28 pixels), hardly anything tells it from such a 1, and it may be read
as one.
"""

import numpy as np

from .tracking import bilinear


class Draws:
    """Random numbers for `count` windows, one for each: float32 (count, 1, 1)."""

    def __init__(self, generator, count):
        self.generator, self.shape = generator, (count, 1, 1)

    def uniform(self, low, high):
        return self.generator.uniform(low, high, self.shape).astype(np.float32)

    def sign(self):
        """1 or -1."""
        return 1 - 2 * self.generator.integers(2, size=self.shape)

    def fraction(self):
        """From 0 to 1, float64."""
        return self.generator.random(self.shape)


def not_digits(generator, digits):
    """Windows (n, s, s) in [0, 1] without a digit, as many of each kind; some are made of digits (n, s, s), no 1s."""
    windows, side = np.empty_like(digits), digits.shape[-1]
    ticks = ((np.arange(side) - (side - 1) / 2) / side).astype(np.float32)  # from the middle, in sides
    for number, kind in enumerate(KINDS):
        rows = slice(number, None, len(KINDS))
        if len(digits[rows]):
            windows[rows] = kind(Draws(generator, len(digits[rows])), digits[rows], ticks[:, None], ticks[None])
    return windows


def rotated(angle, y, x):
    """Places seen in a grid that is rotated by an angle."""
    return np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y


def _piece(draws, digits, y, x):
    """An upper or lower half of a digit or half of that, its ink in the middle, as the tracker would find it."""
    half = draws.sign() * (y - draws.uniform(-0.06, 0.06)) > 0.02
    quarter = half & (draws.sign() * x > 0)
    return _centred(digits * np.where(draws.fraction() < 0.5, half, quarter))


def _centred(images):
    """The images moved so that their centre of ink is in the middle."""
    places = np.arange(images.shape[-1], dtype=np.float32)
    total = np.maximum(images.sum((1, 2)), 1e-6)
    shift_y, shift_x = (images.sum(axis) @ places / total - places.mean() for axis in (2, 1))
    y, x = places[:, None] + shift_y[:, None, None], places + shift_x[:, None, None]
    return bilinear(images, np.arange(len(images))[:, None, None], y, x)


def _overlap(draws, digits, y, x):
    """Two digits over each other, neither in the middle."""
    side = digits.shape[-1]
    heading, away = draws.uniform(0, 2 * np.pi), draws.uniform(0.17, 0.35) * side
    places, index = np.arange(side, dtype=np.float32), np.arange(len(digits))[:, None, None]
    down, right = away * np.sin(heading), away * np.cos(heading)
    first, second = (
        bilinear(images, index, places[:, None] + sign * down, places + sign * right)
        for sign, images in ((1, digits), (-1, np.roll(digits, 1, axis=0)))
    )
    return np.maximum(first, second)


def _bar(draws, digits, y, x):
    """A straight bar of even brightness with square ends, upright, lying or slanted; every third one crossed."""
    half_width, half_length, kind = draws.uniform(0.03, 0.1), draws.uniform(0.15, 0.42), draws.fraction()
    # Upright ones are the likeliest to be taken for a 1; slanted ones are short, for a long one might be a 1.
    angle = np.where(kind < 0.5, 0, np.where(kind < 0.75, np.pi / 2, draws.uniform(0, np.pi)))
    half_length = np.where(kind < 0.75, half_length, np.minimum(half_length, 0.2))
    along, across = rotated(angle, y, x)

    def box(along, across):
        inside = np.minimum(half_length - np.abs(along), half_width - np.abs(across))
        return np.clip(0.5 + digits.shape[-1] * inside, 0, 1)

    crossed = (kind < 0.75) & (draws.fraction() < 1 / 3)
    return np.maximum(box(along, across), crossed * box(across, along)).astype(np.float32)


def _blob(draws, digits, y, x):
    """A filled spot, round or long, with a sharp or a soft edge."""
    along, across = rotated(draws.uniform(0, np.pi), y, x)
    radius = draws.uniform(0.09, 0.3)
    far = np.hypot(along / (radius * draws.uniform(1, 1.6)), across / radius)
    return np.clip(0.5 + (1 - far) / draws.uniform(0.03, 1), 0, 1).astype(np.float32)


def _haze(draws, digits, y, x):
    """Nothing, or slow waves of grey."""
    phases = draws.generator.random((3, *draws.shape), dtype=np.float32)
    waves = sum(np.sin(draws.uniform(-9, 9) * y + draws.uniform(-9, 9) * x + 2 * np.pi * phase) for phase in phases)
    return np.maximum(draws.uniform(-0.1, 0.35), 0) * np.clip(0.5 + waves / 4, 0, 1)


KINDS = (_piece, _overlap, _bar, _bar, _blob, _haze)
