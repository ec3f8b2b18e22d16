"""Answers to the exercises of chapter 3: right ones of several styles, and the mistakes that people make."""

import numpy as np


def spread(level):
    return level[:, :, None, None, None]


RIGHT = {}

WRONG = {
    "ch03_alpha_bar": [
        lambda beta: np.cumprod(np.r_[1, 1 - beta])[:-1],  # one step late
        lambda beta: np.cumprod(np.r_[1, 1 - beta]),
        lambda beta: np.sqrt(np.cumprod(1 - beta)),  # alpha
        lambda beta: np.cumprod(beta),
        lambda beta: 1 - np.cumsum(beta),
    ],
    "ch03_clean": [
        lambda x, v, t: x + spread(t) * v,
        lambda x, v, t: x - v,  # the scale is missing
        lambda x, v, t: x + (1 - spread(t)) * v,  # the noise
        lambda x, v, t: (x - spread(t) * v) / (1 - spread(t)),  # as if it were the noise that is predicted
    ],
    "ch03_level_of": [
        lambda ratio: 1 / (1 + ratio),  # of amplitudes
        lambda ratio: np.sqrt(ratio) / (1 + np.sqrt(ratio)),  # upside down
    ],
    "ch03_mix": [
        lambda c, n, t: (1 - spread(t)) * n + spread(t) * c,  # exchanged
        lambda c, n, t: (1 - t.mean()) * c + t.mean() * n,  # one level for all
        lambda c, n, t: (1 - spread(t[:, :1])) * c + spread(t[:, :1]) * n,  # that of the first frame
        lambda c, n, t: np.sqrt(1 - spread(t) ** 2) * c + spread(t) * n,  # another process
        lambda c, n, t: (1 - spread(t[:, ::-1])) * c + spread(t[:, ::-1]) * n,  # frames in reverse
    ],
}
