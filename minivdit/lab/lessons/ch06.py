"""Checks of chapter 6: patches, their places, and rotations by position."""

import numpy as np

from ...autograd import rotary
from ...models.patches import patchify
from .exercise import agree, different, exercise


@exercise
def ch06_patchify(answer, generator):
    patch, grid = different(generator, 3, 1, 5), different(generator, 3, 2, 5)
    shape = [side * count for side, count in zip(patch, grid)]
    clip = generator.standard_normal((*shape, 3))  # (T, H, W, C)
    agree("the tokens", answer(clip, tuple(patch)), patchify(clip[None], patch).data[0])


@exercise
def ch06_places(answer, generator):
    grid = tuple(different(generator, 3, 2, 7))
    agree("the places (N, 3)", answer(grid), [(t, y, x) for t, y, x in np.ndindex(grid)])


@exercise
def ch06_rotate(answer, generator):
    tokens, half = different(generator, 2)
    x, angle = generator.standard_normal((tokens, 2 * half)), generator.uniform(-3, 3, (tokens, half))
    rotated = rotary(x[:, None], np.cos(angle)[:, None], np.sin(angle)[:, None]).data[:, 0]
    agree("the rotated rows", answer(x, angle), rotated)


@exercise
def ch06_tokens(answer, generator):
    factor, patch = 2 ** int(generator.integers(0, 4)), different(generator, 3, 1, 4)
    grid = different(generator, 3, 2, 9)
    frames, height, width = (count * side for count, side in zip(grid, patch))
    got = answer(frames, height * factor, width * factor, factor, tuple(patch))
    agree("the number of tokens", got, np.prod(grid))
