"""Checks of chapter 11: links, reach, distances, and attention near and far."""

import math

import numpy as np

from ...models.patterns import links
from .exercise import Wrong, agree, different, exercise


@exercise
def ch11_windows(answer, generator):
    grid, sides = different(generator, 3, 2, 6), different(generator, 3, 1, 5)
    expected = links(["window:{}x{}x{}".format(*sides)], tuple(grid))[0]
    agree("who looks at whom (N, N)", answer(tuple(grid), tuple(sides)), expected)


def _random_links(generator, tokens, share):
    return generator.random((tokens, tokens)) < share


@exercise
def ch11_reach(answer, generator):
    tokens, blocks = different(generator, 1, 6, 12)[0], int(generator.integers(2, 5))
    looks = [_random_links(generator, tokens, 0.15) for _ in range(blocks)]
    expected = np.eye(tokens, dtype=bool)
    for look in looks:
        expected = expected | (look.astype(int) @ expected.astype(int) > 0)
    agree("who reaches whom (N, N)", answer(looks), expected)


@exercise
def ch11_distance(answer, generator):
    tokens = different(generator, 1, 5, 10)[0]
    ring = np.roll(np.eye(tokens, dtype=bool), 1, axis=1)  # one way to everyone, a long one
    step = ring | np.eye(tokens, dtype=bool) | _random_links(generator, tokens, 0.08)
    reached, walked = np.eye(tokens, dtype=bool), 0
    while not reached.all():
        walked += int((~reached).sum())  # every pair not yet there has one more step to go
        reached = step.astype(int) @ reached.astype(int) > 0
    agree("the average distance", answer(step), walked / tokens**2)
    apart = np.eye(2 * tokens, dtype=bool)
    apart[:tokens, :tokens] = apart[tokens:, tokens:] = True
    if answer(apart) != math.inf:
        raise Wrong("where two groups have no link between them, the distance is infinite")


@exercise
def ch11_spent(answer, generator):
    frames, places = different(generator, 2, 2, 6)
    frame = np.repeat(np.arange(frames), places)
    weights = generator.exponential(size=(frame.size, frame.size)) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    away = np.abs(frame[:, None] - frame[None, :])
    expected = [weights[away == d].sum() / frame.size for d in range(frames)]
    agree("the share for each distance", answer(weights, frame), expected)
