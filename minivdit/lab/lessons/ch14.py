"""Checks of chapter 14: levels for each frame, what is given, latents that are known, rounds of an extension."""

import math

import numpy as np

from ...diffusion import level_matrix
from ...generation import Given
from .exercise import agree, different, exercise


@exercise
def ch14_levels(answer, generator):
    steps, frames = different(generator, 2, 3, 12)
    given = generator.random(frames) < 0.4
    agree("the levels", answer(steps, given.copy()), level_matrix(steps, 1, frames, given=given)[:, 0])


@exercise
def ch14_start(answer, generator):
    shape = tuple(different(generator, 5))
    clean, noise = generator.standard_normal((2, *shape))
    given = generator.random(shape[:2]) < 0.5
    given[0, :2] = True, False
    start = float(generator.uniform(0.3, 0.9))
    level = np.where(given, 0, start)[:, :, None, None, None]
    agree("the first state", answer(clean, noise, given, start), (1 - level) * clean + level * noise)


@exercise
def ch14_latents(answer, generator):
    frames, rows, columns, factor = different(generator, 4, 2, 7)
    known = np.ones((frames, rows * factor, columns * factor), bool)
    for _ in range(frames * rows * columns // 3):  # single pixels that aren't
        known[tuple(int(generator.integers(side)) for side in known.shape)] = False
    given = Given(np.zeros((1, *known.shape, 1), np.float32), known[None, ..., None])
    agree("the known latents", answer(known, factor), given.known_latents(factor)[0, ..., 0])


@exercise
def ch14_rounds(answer, generator):
    window = int(generator.integers(4, 17))
    context, frames = int(generator.integers(1, window)), int(generator.integers(window, 40))
    wanted = frames + int(generator.integers(1, 60))
    rounds = math.ceil((wanted - frames) / (window - context))
    added = [window - context] * rounds
    added[-1] -= sum(added) - (wanted - frames)
    agree("the new frames of each round", answer(frames, wanted, window, context), added)
