"""Answers to the exercises of chapter 12: right ones of several styles, and the mistakes that people make."""

import math

import numpy as np


def looking_back(grid, back):
    away = np.subtract.outer(np.arange(grid[0]), np.arange(grid[0]))
    return ((away >= 0) & (away <= back)).sum() * (grid[1] * grid[2]) ** 2


def looking_back_by_slices(grid, back):
    frames = np.arange(grid[0])
    return float(np.prod(grid[1:], dtype=np.int64) ** 2) * np.minimum(frames + 1, back + 1).sum()


def looking_back_in_closed_form(grid, back):
    frames, back = grid[0], min(back, grid[0] - 1)
    return (frames * (back + 1) - back * (back + 1) // 2) * (grid[1] * grid[2]) ** 2


def looking_back_by_loops(grid, back):
    pairs = 0
    for t in range(grid[0]):
        for _ in range(max(0, t - back), t + 1):
            pairs += (grid[1] * grid[2]) * (grid[1] * grid[2])
    return pairs


def block(n, d, ratio, words, kv=4, scores=4, self_scores=4, qo=4):
    own = (8 + 4 * ratio) * n * d**2 + self_scores * n**2 * d
    return own + qo * n * d**2 + kv * words * d**2 + scores * n * words * d


def block_by_products(n, d, ratio, words):
    sizes = [(n, d, 3 * d), (n, d, n), (n, n, d), (n, d, d), (n, d, ratio * d), (n, ratio * d, d)]
    sizes += [(n, d, d), (words, d, 2 * d), (n, d, words), (n, words, d), (n, d, d)]
    return sum(2 * math.prod(size) for size in sizes)


def block_by_dots(n, d, ratio, words):
    return 2.0 * d * np.dot([4 + 2 * ratio + 2, 2, 2, 2], [n * d, words * d, n * n, n * words])


def block_by_parts(n, d, ratio, words):
    linear = lambda rows, before, after: 2 * rows * before * after
    attend = lambda queries, keys: 2 * linear(queries, d, keys)
    total = 6 * linear(n, d, d) + 2 * linear(words, d, d) + attend(n, n) + attend(n, words)
    return np.int64(total + linear(n, d, ratio * d) + linear(n, ratio * d, d))


def cost(n, d):
    return 24 * n * d**2 + 4 * n**2 * d


def longest(budget, places, d):
    """The positive root of 4 d S² T² + 24 d² S T = budget, rounded down."""
    a, b, c = 4 * d * places**2, 24 * d**2 * places, -budget * cost(places, d)
    return int((-b + (b * b - 4 * a * c) ** 0.5) / (2 * a))


def longest_by_roots(budget, places, d):
    return np.floor(np.roots([places, 6 * d, -budget * (places + 6 * d)]).max())


def longest_by_search(budget, places, d):
    low, high = 0, 10**6
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle * places, d) <= budget * cost(places, d) else (low, middle)
    return low


def longest_by_array(budget, places, d):
    return np.searchsorted(cost(np.arange(1, 200) * places, d), budget * cost(places, d), side="right")


def longest_by_next(budget, places, d):
    return next(t for t in range(10**6) if cost((t + 1) * places, d) > budget * cost(places, d))


RIGHT = {
    "ch12_pairs": [
        looking_back,
        looking_back_by_slices,
        looking_back_in_closed_form,
        looking_back_by_loops,
        lambda grid, back: sum(min(t + 1, back + 1) for t in range(grid[0])) * grid[1] ** 2 * grid[2] ** 2,
    ],
    "ch12_block": [block, block_by_products, block_by_dots, block_by_parts, lambda *sizes: [block(*sizes)][0] * 1.0],
    "ch12_longest": [longest, longest_by_roots, longest_by_search, longest_by_array, longest_by_next],
    "ch12_budget": [
        lambda: (("time",), 8, 200, 0.03),
        lambda: [["time"], 8, 200, 3e-2],
        lambda: (("time",), np.int64(16), np.int64(100), np.float64(0.02)),
        lambda: (("window:8x1x1",), 16, 100, 0.02),  # the same pattern by another name
        lambda: (("frame", "time"), 8, 100, 0.03),
    ],
}

WRONG = {
    "ch12_pairs": [
        lambda grid, back: int(np.prod(grid)) ** 2,  # joint
        lambda grid, back: grid[0] * (back + 1) * (grid[1] * grid[2]) ** 2,  # the first frames as the others
        lambda grid, back: sum(min(t, back) for t in range(grid[0])) * (grid[1] * grid[2]) ** 2,  # not at its own frame
        lambda grid, back: looking_back(grid, back - 1),
        lambda grid, back: 2 * looking_back(grid, back) - looking_back(grid, 0),  # ahead as well
        lambda grid, back: looking_back((grid[2], grid[1], grid[0]), back),  # ordered x, y, t
        lambda grid, back: looking_back(grid, grid[0]),  # all before it
    ],
    "ch12_block": [
        lambda n, d, ratio, words: block(n, d, ratio, words) / 2,  # multiply-adds counted once
        lambda n, d, ratio, words: 24 * n * d**2 + 4 * n**2 * d,  # the chapter's block
        lambda n, d, ratio, words: block(n, d, ratio, words, kv=2),  # keys without values
        lambda n, d, ratio, words: block(n, d, ratio, words, scores=2),
        lambda n, d, ratio, words: block(n, d, ratio, words, qo=2),  # no projection of the output
        lambda n, d, ratio, words: block(n + words, d, ratio, 0, qo=0),  # words as tokens of the sequence
        lambda n, d, ratio, words: block(n, d, 4, words),
    ],
    "ch12_longest": [
        lambda budget, places, d: int(budget),  # as if cost grew with the length
        lambda budget, places, d: int(budget**0.5),  # as if with its square
        lambda budget, places, d: longest(budget, places, d) + 1,  # the first that is too long
        lambda budget, places, d: longest(budget, places, d) * places,  # tokens, not frames
        lambda budget, places, d: longest(budget, 1, d),  # the tokens of a frame forgotten
        lambda budget, places, d: (
            -3 * d / places + ((3 * d / places) ** 2 + budget * (1 + 6 * d / places)) ** 0.5
        ),  # not whole
    ],
    "ch12_budget": [
        lambda: (("joint",), 16, 100, 0.02),  # too expensive
        lambda: (("joint",), 8, 100, 0.03),  # within the budget, but not learnt
        lambda: (("frame",), 8, 100, 0.03),  # never sees another frame
        lambda: (("time",), 8, 20, 0.03),  # too short
        lambda: (("time",), 8, 200, 0.0),  # doesn't learn
        lambda: ("time", 8, 200, 0.03),  # a name, not a tuple
        lambda: (("time",), 10, 200, 0.03),  # doesn't split into heads
        lambda: 0.11,  # claims its error
    ],
}
