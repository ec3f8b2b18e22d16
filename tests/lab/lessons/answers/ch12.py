"""Answers to the exercises of chapter 12: right ones of several styles, and the mistakes that people make."""

import numpy as np

RIGHT = {}

WRONG = {
    "ch12_block": [
        lambda n, d: 12 * n * d**2 + 2 * n**2 * d,  # multiply-adds counted once
        lambda n, d: 24 * n * d**2 + 2 * n**2 * d,  # one product with the weights forgotten
        lambda n, d: 24 * n * d**2 + 4 * n**2,  # the width forgotten
        lambda n, d: 24 * n**2 * d + 4 * n * d**2,  # exchanged
    ],
    "ch12_crossing": [lambda d: 12 * d, lambda d: 3 * d, lambda d: d, lambda d: 6 * d + 1],
    "ch12_pairs": [
        lambda grid: int(np.prod(grid)) ** 2,  # joint
        lambda grid: grid[0] * (grid[1] * grid[2]) ** 2,  # frames only
        lambda grid: grid[0] * grid[1] * grid[2] ** 2 + grid[1] * grid[2] * grid[0] ** 2,  # rows for frames
    ],
    "ch12_ratio": [
        lambda frames, places, d: frames**2,
        lambda frames, places, d: frames,
        lambda frames, places, d: (24 * frames * d + 4 * frames**2) / (24 * d + 4),  # tokens of a frame forgotten
    ],
}
