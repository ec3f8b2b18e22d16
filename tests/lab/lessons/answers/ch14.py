"""Answers to the exercises of chapter 14: right ones of several styles, and the mistakes that people make."""

import numpy as np


def spread(level):
    return level[:, :, None, None, None]


RIGHT = {}

WRONG = {
    "ch14_latents": [
        lambda known, f: known[:, ::f, ::f],  # one pixel of each
        lambda known, f: known.reshape(len(known), known.shape[1] // f, f, -1, f).any(axis=(2, 4)),
        lambda known, f: known.reshape(len(known), f, known.shape[1] // f, f, -1).all(axis=(1, 3)),  # cut the other way
        lambda known, f: known.reshape(len(known), known.shape[1] // f, f, -1, f).mean(axis=(2, 4)) > 0.5,
    ],
    "ch14_levels": [
        lambda steps, given: np.linspace(1, 0, steps)[:, None] * ~given,  # one level too few
        lambda steps, given: np.linspace(1, 0, steps + 1)[:, None] * given,  # the others
        lambda steps, given: np.linspace(0, 1, steps + 1)[:, None] * ~given,  # rising
        lambda steps, given: (np.linspace(1, 0, steps + 1)[:, None] * ~given).T,
        lambda steps, given: np.linspace(1, 0, steps + 2)[:-1, None] * ~given,  # doesn't reach 0
    ],
    "ch14_rounds": [
        lambda frames, wanted, window, context: [window - context] * -(-(wanted - frames) // (window - context)),
        lambda frames, wanted, window, context: [window] * ((wanted - frames) // window) + [(wanted - frames) % window],
        lambda frames, wanted, window, context: [wanted - frames],  # in one
        lambda frames, wanted, window, context: [1] * (wanted - frames),
        lambda frames, wanted, window, context: [context] * ((wanted - frames) // context),
    ],
    "ch14_start": [
        lambda c, n, given, s: np.where(spread(given), n, (1 - s) * c + s * n),  # noise where it is given
        lambda c, n, given, s: np.where(spread(given), c, n),  # from nothing but noise
        lambda c, n, given, s: np.where(spread(given), c, s * c + (1 - s) * n),  # exchanged
        lambda c, n, given, s: (1 - s) * c + s * n,  # nothing given
        lambda c, n, given, s: np.where(spread(given[:1]), c, (1 - s) * c + s * n),  # those of the first clip
    ],
}
