"""Answers to the exercises of chapter 15: right ones of several styles, and the mistakes that people make."""

import numpy as np


def causal_with(x, kernel, before, after=0, begin=0):
    """Kernel, newest first, over the clip with frames put before and after it; every second one."""
    padded = np.concatenate([before, x, x[-1:].repeat(after, axis=0)])
    return sum(kernel[j] * padded[2 - j : len(padded) - j] for j in range(3))[begin::2]


RIGHT = {}

WRONG = {
    "ch15_causal": [
        lambda x, k: causal_with(x, k, x[[0, 0]] * 0),  # zeros before the beginning
        lambda x, k: causal_with(x, k[::-1], x[[0, 0]]),  # oldest first
        lambda x, k: causal_with(x, k, x[:1], after=1),  # centred: sees the next frame
        lambda x, k: causal_with(x, k, x[[0, 0]], begin=1),  # the odd times
        lambda x, k: causal_with(x, k, x[:0], after=2),  # from the future
    ],
    "ch15_skiparse": [
        lambda n, k: (np.arange(n) % k, np.arange(n) // k),  # runs not taken modulo k
        lambda n, k: (np.arange(n) // k % k, np.arange(n) % k),  # exchanged
        lambda n, k: (np.arange(n) % k, np.arange(n) % k),
        lambda n, k: (np.arange(n) // -(-n // k), np.arange(n) // k % k),  # k stretches
    ],
    "ch15_strata": [
        lambda n, generator: generator.random(n),  # not in strata
        lambda n, generator: (np.arange(n) + generator.random(n)) / n,  # in order
        lambda n, generator: (generator.permutation(n) + 0.5) / n,  # the middles
        lambda n, generator: (generator.permutation(n) + 1 - generator.random(n) / 4) / n,
    ],
    "ch15_tokens": [
        lambda t, h, w, in_time, in_space, side: t // in_time * (h // in_space // side) * (w // in_space // side),
        lambda t, h, w, in_time, in_space, side: (1 + (t - 1) // in_time) * (h // in_space) * (w // in_space),
        lambda t, h, w, in_time, in_space, side: (1 + t // in_time) * h * w // (in_space * side),
        lambda t, h, w, in_time, in_space, side: t * (h // in_space // side) * (w // in_space // side),
    ],
}
