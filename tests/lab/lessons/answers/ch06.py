"""Answers to the exercises of chapter 6: right ones of several styles, and the mistakes that people make."""

import numpy as np


def boxes(clip, patch, order):
    """(T, H, W, C) cut into boxes, and the axes (t, pt, y, ph, x, pw, C) put into an order."""
    split = [part for length, side in zip(clip.shape, patch) for part in (length // side, side)]
    return clip.reshape(*split, clip.shape[-1]).transpose(order).reshape(-1, int(np.prod(patch)) * clip.shape[-1])


def turned(x, angle):
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


RIGHT = {}

WRONG = {
    "ch06_patchify": [
        lambda clip, patch: clip.reshape(-1, int(np.prod(patch)) * clip.shape[-1]),  # no transpose
        lambda clip, patch: boxes(clip, patch, (2, 0, 4, 1, 3, 5, 6)),  # y before t
        lambda clip, patch: boxes(clip, patch, (0, 4, 2, 1, 3, 5, 6)),  # x before y
        lambda clip, patch: boxes(clip, patch, (0, 2, 4, 1, 5, 3, 6)),  # transposed inside the patch
        lambda clip, patch: boxes(clip, patch, (0, 2, 4, 6, 1, 3, 5)),  # channels first
    ],
    "ch06_places": [
        lambda grid: np.indices(grid).reshape(-1, 3),  # not transposed
        lambda grid: np.indices(grid).reshape(3, -1).T[:, ::-1],  # x, y, t
        lambda grid: np.indices(grid).reshape(3, -1).T + 1,  # counted from 1
    ],
    "ch06_rotate": [
        lambda x, angle: turned(x, -angle),
        lambda x, angle: turned(x, 2 * angle),
        lambda x, angle: x * np.concatenate([np.cos(angle)] * 2, axis=-1),
        lambda x, angle: np.stack(  # neighbours as pairs
            [
                x[:, ::2] * np.cos(angle) - x[:, 1::2] * np.sin(angle),
                x[:, ::2] * np.sin(angle) + x[:, 1::2] * np.cos(angle),
            ],
            axis=-1,
        ).reshape(x.shape),
    ],
    "ch06_tokens": [
        lambda frames, height, width, factor, patch: frames * height * width // (factor**3 * np.prod(patch)),
        lambda frames, height, width, factor, patch: frames * height * width // (factor * np.prod(patch)),
        lambda frames, height, width, factor, patch: frames * height * width // factor**2,
    ],
}
