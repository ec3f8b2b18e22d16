"""Checks of chapter 6: patches put together again, who is near whom, and rotations by position."""

import itertools

import numpy as np

from ...models.patches import patchify
from .exercise import agree, different, exercise


@exercise("clip_from")
def ch06_unpatchify(answer, generator):
    patch, grid = different(generator, 3, 1, 5), different(generator, 3, 2, 5)
    shape = [side * count for side, count in zip(patch, grid)]
    clip = generator.standard_normal((*shape, 3))  # (T, H, W, C)
    agree("the clip", answer(patchify(clip[None], patch).data[0], tuple(grid), tuple(patch)), clip)


@exercise("near")
def ch06_near(answer, generator):
    grid, reach = tuple(different(generator, 3, 3, 6)), tuple(different(generator, 3, 0, 3))
    places = list(np.ndindex(grid))
    expected = [
        all(abs(a - b) <= most for a, b, most in zip(one, other, reach))
        for one, other in itertools.product(places, places)
    ]
    agree("the pairs (N, N)", answer(grid, reach), np.reshape(expected, (len(places), -1)))


@exercise("rotate")
def ch06_rotate(answer, generator):
    tokens, half = different(generator, 2)
    x, angle = generator.standard_normal((tokens, 2 * half)), generator.uniform(-3, 3, (tokens, half))
    points = (x[:, ::2] + 1j * x[:, 1::2]) * np.exp(1j * angle)
    agree("the rotated rows", answer(x, angle), np.stack([points.real, points.imag], axis=-1).reshape(x.shape))


@exercise("count_tokens")
def ch06_tokens(answer, generator):
    factor, patch = 2 ** int(generator.integers(0, 4)), different(generator, 3, 1, 4)
    grid = different(generator, 3, 2, 9)
    frames, height, width = (count * side for count, side in zip(grid, patch))
    got = answer(frames, height * factor, width * factor, factor, tuple(patch))
    agree("the number of tokens", got, np.prod(grid))
