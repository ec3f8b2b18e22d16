"""Answers to the exercises of chapter 0: right ones of several styles, and the mistakes that people make."""

import numpy as np


def moments(video):
    """(B, T, 2): the sum of ink times place, as (y, x)."""
    return np.einsum("bthw,ihw->bti", video[..., 0], np.indices(video.shape[2:4]))


RIGHT = {}

WRONG = {
    "ch00_backwards": [lambda v: v[::-1], lambda v: v[:, :, ::-1], lambda v: v],
    "ch00_beside": [
        lambda a, b: np.concatenate([b, a], axis=3),  # exchanged
        lambda a, b: np.concatenate([a, b], axis=2),
    ],
    "ch00_centre": [
        lambda v: moments(np.ones_like(v)) / v[0, 0].size,  # of the canvas
        moments,  # not divided by the ink
        lambda v: (moments(v) / v.sum((2, 3)))[..., ::-1],  # (x, y)
        lambda v: moments(v) / v.sum((1, 2, 3))[:, None],  # divided by the ink of all frames
    ],
}
