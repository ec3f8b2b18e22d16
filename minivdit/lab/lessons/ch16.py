"""Checks of chapter 16: loss by level, the strength of a law, a floor without random numbers, steps that fit."""

import numpy as np

from .exercise import Wrong, agree, different, exercise


@exercise("by_level")
def ch16_levels(answer, generator):
    clips, frames, bins = different(generator, 3, 3, 9)
    every = np.arange(clips * frames) % bins + generator.uniform(0.05, 0.95, clips * frames)
    level = generator.permutation(every / bins).reshape(clips, frames)
    error = generator.exponential(size=level.shape)
    level[0, 0], level[1, 1] = 0, 1
    error[0, 0] = 50  # of a frame that was given
    expected = []
    for number in range(bins):
        inside = [
            e for e, one in zip(error.ravel(), level.ravel()) if one > 0 and min(int(one * bins), bins - 1) == number
        ]
        expected.append(sum(inside) / len(inside))
    agree("the error in each bin", answer(error.copy(), level.copy(), bins), expected)


@exercise("strengths")
def ch16_strengths(answer, generator):
    clips, frames = different(generator, 2, 4, 10)
    law = np.cumsum(generator.uniform(-0.5, 1.5, (frames, 2)), axis=0)
    strength = generator.uniform(0.3, 3, clips)
    exact = 9 * generator.random((clips, 1, 2)) + strength[:, None, None] * law
    agree("the strengths, without errors", answer(exact, law), strength)
    places = exact + 0.3 * generator.standard_normal(exact.shape)
    # By the normal equations, with the start's two coordinates as unknowns too.
    columns = np.concatenate([law.reshape(-1, 1), np.tile(np.eye(2), (frames, 1))], axis=1)
    expected = np.linalg.lstsq(columns, places.reshape(clips, -1).T, rcond=None)[0][0]
    agree("the strengths, with errors", answer(places, law), expected)


@exercise("floor_of")
def ch16_floor(answer, generator):
    clips, classes = int(generator.integers(8, 20)), int(generator.integers(2, 5))
    asked, seen = generator.integers(0, classes, clips), generator.integers(-1, classes, clips)
    asked[:3], seen[:2] = 0, 0
    # Moving every caption on by one place, n times over, brings each caption to each clip exactly once.
    expected = np.mean([(np.roll(asked, places) == seen).mean() for places in range(clips)])
    agree("the floor", answer(asked.copy(), seen.copy()), expected)


@exercise("steps_that_fit")
def ch16_steps(answer, generator):
    flops, speed = float(10 ** generator.uniform(8, 12)), float(10 ** generator.uniform(9, 12))
    share, step = float(generator.uniform(0.1, 0.6)), 3 * flops / speed
    hours = (int(generator.integers(20, 2000)) + 0.7) * step / share / 3600
    got = answer(flops, hours, speed, share)
    agree("the number of steps", got, np.floor(hours * 3600 * share / step))
    if float(got) != int(got):
        raise Wrong("a part of a step isn't a step; give a whole number")
