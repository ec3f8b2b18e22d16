"""Windows without a digit, for the judge's class "none": pieces, overlaps, bars, blobs, haze.

What a generator draws instead of a digit is not known beforehand, so the kinds are many and simple. Nothing here may
look like a digit: pieces of a 1 and rings are left out, for they would be a 1 and a 0.

Upright bars are the hard case, since some people write a 1 as one. A bar of even brightness with square ends is none;
where it is as thin as a pen's stroke (under 4 of 28 pixels), hardly anything tells it from such a 1, and it may be read
as one.
"""

import numpy as np

from .tracking import bilinear


def not_digits(generator, digits):
    """Windows (n, s, s) in [0, 1] without a digit, of all kinds in turn; some are made of digits (n, s, s), no 1s."""
    windows = np.empty_like(digits)
    for number, kind in enumerate(KINDS):
        rows = slice(number, None, len(KINDS))
        if len(digits[rows]):
            windows[rows] = kind(generator, digits[rows])
    return windows


def _grid(side):
    """y and x, (s, 1) and (1, s), from the middle of a window, in sides of it."""
    ticks = ((np.arange(side) - (side - 1) / 2) / side).astype(np.float32)
    return ticks[:, None], ticks[None]


def _uniform(generator, low, high, count):
    return generator.uniform(low, high, (count, 1, 1)).astype(np.float32)


def _either(generator, count):
    """1 or -1 for each."""
    return 1 - 2 * generator.integers(2, size=(count, 1, 1))


def _piece(generator, digits):
    """An upper or lower half of a digit or half of that, its ink in the middle, as the tracker would find it."""
    count, side, _ = digits.shape
    y, x = _grid(side)
    half = _either(generator, count) * (y - _uniform(generator, -0.06, 0.06, count)) > 0.02
    quarter = half & (_either(generator, count) * x > 0)
    return _centred(digits * np.where(generator.random((count, 1, 1)) < 0.5, half, quarter))


def _centred(images):
    """The images moved so that their centre of ink is in the middle."""
    side = images.shape[-1]
    total = np.maximum(images.sum((1, 2)), 1e-6)
    places = np.arange(side, dtype=np.float32)
    middle_y, middle_x = (images.sum(2) @ places / total, images.sum(1) @ places / total)
    shift = (side - 1) / 2
    y, x = (places[:, None] + (middle_y - shift)[:, None, None], places + (middle_x - shift)[:, None, None])
    return bilinear(images, np.arange(len(images))[:, None, None], y, x)


def _overlap(generator, digits):
    """Two digits over each other, neither in the middle."""
    count, side, _ = digits.shape
    heading, away = _uniform(generator, 0, 2 * np.pi, count), _uniform(generator, 0.17, 0.35, count) * side
    ticks, index = np.arange(side, dtype=np.float32), np.arange(count)[:, None, None]
    down, right = away * np.sin(heading), away * np.cos(heading)
    first, second = (
        bilinear(images, index, ticks[:, None] + sign * down, ticks + sign * right)
        for sign, images in ((1, digits), (-1, np.roll(digits, 1, axis=0)))
    )
    return np.maximum(first, second)


def _bar(generator, digits):
    """A straight bar of even brightness with square ends, upright, lying or slanted; every third one crossed."""
    count, side, _ = digits.shape
    half_width = _uniform(generator, 0.03, 0.1, count)
    half_length = _uniform(generator, 0.15, 0.42, count)
    way = generator.random((count, 1, 1))
    # Upright ones are the likeliest to be taken for a 1; slanted ones are short, for a long one might be a 1.
    angle = np.where(way < 0.5, 0, np.where(way < 0.75, np.pi / 2, _uniform(generator, 0, np.pi, count)))
    half_length = np.where(way < 0.75, half_length, np.minimum(half_length, 0.2))
    y, x = _grid(side)
    along, across = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y

    def box(along, across):
        inside = np.minimum(half_length - np.abs(along), half_width - np.abs(across))
        return np.clip(0.5 + side * inside, 0, 1)

    crossed = (way < 0.75) & (generator.random((count, 1, 1)) < 1 / 3)
    return np.maximum(box(along, across), crossed * box(across, along)).astype(np.float32)


def _blob(generator, digits):
    """A filled spot, round or long, with a sharp or a soft edge."""
    count, side, _ = digits.shape
    y, x = _grid(side)
    angle = _uniform(generator, 0, np.pi, count)
    along, across = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    radius = _uniform(generator, 0.09, 0.3, count)
    far = np.hypot(along / (radius * _uniform(generator, 1, 1.6, count)), across / radius)
    softness = _uniform(generator, 0.03, 1, count)
    return np.clip(0.5 + (1 - far) / softness, 0, 1).astype(np.float32)


def _haze(generator, digits):
    """Nothing, or slow waves of grey."""
    count, side, _ = digits.shape
    y, x = _grid(side)
    waves = sum(
        np.sin(_uniform(generator, -9, 9, count) * y + _uniform(generator, -9, 9, count) * x + 2 * np.pi * phase)
        for phase in generator.random((3, count, 1, 1), dtype=np.float32)
    )
    return np.maximum(_uniform(generator, -0.1, 0.35, count), 0) * np.clip(0.5 + waves / 4, 0, 1)


KINDS = (_piece, _overlap, _bar, _bar, _blob, _haze)
