"""Checks of chapter 14: levels from given frames outwards, what is known, latents that are known, rounds."""

import math

import numpy as np

from .exercise import agree, different, exercise


@exercise("outwards")
def ch14_outwards(answer, generator):
    steps, frames, lag = different(generator, 3, 1, 12)
    given = generator.random(frames + 2) < 0.3
    given[int(generator.integers(len(given)))] = True
    given[(np.flatnonzero(given)[0] + 1) % len(given)] = False  # one at least is free
    columns = []
    for frame in range(len(given)):
        away = min(abs(frame - other) for other in np.flatnonzero(given))
        falling = np.linspace(1, 0, steps + 1).tolist()
        columns.append([1.0] * (lag * (away - 1)) + falling if away else [0.0])
    longest = max(map(len, columns))
    expected = np.array([column + [0.0] * (longest - len(column)) for column in columns]).T
    agree("the levels", answer(steps, given.copy(), lag), expected)


@exercise("with_truth")
def ch14_truth(answer, generator):
    shape = tuple(different(generator, 5))
    clean, noise, velocity = generator.standard_normal((3, *shape))
    known, level = generator.random((*shape[:4], 1)) < 0.4, generator.uniform(0.05, 1, shape[:2])
    t = level[:, :, None, None, None]
    expected = np.where(known, noise - clean, velocity)
    clean_or_not = np.where(known, clean, 1e3)  # what isn't known can't be used
    agree("the velocity", answer(velocity, (1 - t) * clean + t * noise, clean_or_not, known, level), expected)


@exercise("known_latents")
def ch14_latents(answer, generator):
    frames, rows, columns, in_time, factor = different(generator, 5, 2, 8)
    known = np.ones((1 + frames * in_time, rows * factor, columns * factor), bool)
    for _ in range(len(known) * rows * columns // 6):  # single pixels that aren't
        known[tuple(int(generator.integers(side)) for side in known.shape)] = False
    known[0, 0, 0] = known[-1, -1, -1] = False
    expected = np.ones((1 + frames, rows, columns), bool)
    for t, y, x in np.argwhere(~known):
        expected[math.ceil(t / in_time), y // factor, x // factor] = False
    agree("the known latents", answer(known, in_time, factor), expected)


@exercise("new_frames")
def ch14_rounds(answer, generator):
    window = int(generator.integers(4, 17))
    context, frames = int(generator.integers(1, window)), int(generator.integers(window, 40))
    wanted = frames + int(generator.integers(1, 60))
    rounds = math.ceil((wanted - frames) / (window - context))
    added = [window - context] * rounds
    added[-1] -= sum(added) - (wanted - frames)
    agree("the new frames of each round", answer(frames, wanted, window, context), added)
