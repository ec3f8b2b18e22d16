"""Checks of chapter 11: sliding windows, blocks until all are linked, distances, and attention near and far."""

import math

import numpy as np

from .exercise import Wrong, agree, different, exercise


@exercise("sliding_links")
def ch11_sliding(answer, generator):
    grid, far = different(generator, 3, 3, 7), generator.permutation(3)
    places = [tuple(place) for place in np.argwhere(np.ones(grid))]
    expected = [[all(abs(a - b) <= f for a, b, f in zip(one, other, far)) for other in places] for one in places]
    agree("who looks at whom (N, N)", answer(tuple(grid), tuple(far.tolist())), np.array(expected))


def _random_links(generator, tokens, share):
    return generator.random((tokens, tokens)) < share


@exercise("blocks_until_all")
def ch11_blocks(answer, generator):
    tokens, blocks = different(generator, 1, 5, 10)[0], int(generator.integers(2, 5))
    # In each block few tokens look at anyone else: it takes some cycles, and rarely a whole number of them.
    cycle = [_random_links(generator, tokens, 0.12) & (generator.random((tokens, 1)) < 0.7) for _ in range(blocks)]
    cycle[0] |= np.roll(np.eye(tokens, dtype=bool), 1, axis=1)  # with this, all are linked in the end
    reached, expected = np.eye(tokens, dtype=bool), 0
    while not reached.all():
        reached = reached | (cycle[expected % blocks].astype(int) @ reached.astype(int) > 0)
        expected += 1
    got = answer(cycle)
    if np.ndim(got) == 0 and got == math.inf:
        raise Wrong("the number of blocks: infinite, where every token does hear from every other")
    agree("the number of blocks", got, expected)
    agree("the number of blocks for one token", answer([np.zeros((1, 1), bool)] * blocks), 0)
    one_way = [np.tril(look) for look in cycle]  # nobody hears from those after it
    if answer(one_way) != math.inf:
        raise Wrong("where some tokens never hear from some others, it is infinite")


@exercise("average_distance")
def ch11_distance(answer, generator):
    tokens = different(generator, 1, 5, 10)[0]
    ring = np.roll(np.eye(tokens, dtype=bool), 1, axis=1)  # one way to everyone, a long one
    step = ring | np.eye(tokens, dtype=bool) | _random_links(generator, tokens, 0.08)
    reached, walked = np.eye(tokens, dtype=bool), 0
    while not reached.all():
        walked += int((~reached).sum())  # every pair not yet there has one more step to go
        reached = step.astype(int) @ reached.astype(int) > 0
    got = answer(step)
    if np.ndim(got) == 0 and got == math.inf:
        raise Wrong("the average distance: infinite, where there is a way from every token to every other")
    agree("the average distance", got, walked / tokens**2)
    apart = np.eye(2 * tokens, dtype=bool)
    apart[:tokens, :tokens] = apart[tokens:, tokens:] = True
    if answer(apart) != math.inf:
        raise Wrong("where two groups have no link between them, the distance is infinite")


@exercise("spent_by_distance")
def ch11_spent(answer, generator):
    frames, places = different(generator, 2, 2, 6)
    frame = np.repeat(np.arange(frames), places)
    weights = generator.exponential(size=(frame.size, frame.size)) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    away = np.abs(frame[:, None] - frame[None, :])
    expected = [weights[away == d].sum() / frame.size for d in range(frames)]
    agree("the share for each distance", answer(weights, frame), expected)
