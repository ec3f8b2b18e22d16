"""Answers to the exercises of chapter 11: right ones of several styles, and the mistakes that people make."""

import numpy as np


def boxed(grid, sides, shift=0):
    box = (np.indices(grid).reshape(3, -1).T + shift) // np.array(sides)
    return (box[:, None] == box[None, :]).all(axis=-1)


def in_turn(looks, keep=True):
    reached = np.eye(len(looks[0]), dtype=bool)
    for look in looks:
        reached = (look.astype(int) @ reached.astype(int) > 0) | (reached & keep)
    return reached


def far(step):
    """How many steps from each to each, (N, N)."""
    distance = np.where(np.eye(len(step), dtype=bool), 0, np.where(step, 1, np.inf))
    for middle in range(len(step)):
        distance = np.minimum(distance, distance[:, middle, None] + distance[None, middle])
    return distance


def by_distance(weights, frame, combine):
    away = np.abs(frame[:, None] - frame[None, :])
    return np.array([combine(weights[away == d]) for d in range(frame.max() + 1)])


RIGHT = {}

WRONG = {
    "ch11_distance": [
        lambda step: far(step).mean() * step.size / (step.size - len(step)),  # pairs with itself left out
        lambda step: far(step).mean() + 1,
        lambda step: far(step).max(),
        lambda step: np.where(np.isinf(far(step)), 0, far(step)).mean(),  # pairs without a way left out
    ],
    "ch11_reach": [
        lambda looks: in_turn(looks[::-1]),  # last block first
        lambda looks: in_turn([look.T for look in looks]),  # transposed
        lambda looks: in_turn(looks, keep=False),  # no residual path
        lambda looks: in_turn(looks[:-1]),  # one block too few
        lambda looks: np.logical_or.reduce(looks) | np.eye(len(looks[0]), dtype=bool),  # one step only
    ],
    "ch11_spent": [
        lambda w, frame: by_distance(w, frame, np.mean),  # mean over the keys
        lambda w, frame: by_distance(w, frame, np.sum),  # not averaged over the queries
        lambda w, frame: (
            np.array([(w * (frame[:, None] - frame == d)).sum() for d in range(frame.max() + 1)]) / len(frame)
        ),  # one direction only
        lambda w, frame: np.cumsum(by_distance(w, frame, np.sum) / len(frame)),
    ],
    "ch11_windows": [
        lambda grid, sides: boxed(grid, sides[::-1]),  # the sides in reverse
        lambda grid, sides: boxed(grid[::-1], sides[::-1]),  # ordered x, y, t
        lambda grid, sides: boxed(grid, (sides[0], *grid[1:])),  # boxes in time only
        lambda grid, sides: boxed(grid, sides, shift=1),
        lambda grid, sides: ~boxed(grid, sides),
    ],
}
