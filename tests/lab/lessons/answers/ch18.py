"""Answers to the exercises of chapter 18: right ones of several styles, and the mistakes that people make."""

import numpy as np


def conv_by_loops(weight):
    outputs, inputs, *space = weight.shape
    ours = np.empty((*space, inputs, outputs))
    for o in range(outputs):
        for i in range(inputs):
            ours[..., i, o] = weight[o, i]
    return ours


def pairs_by_loops(weight, heads):
    width = weight.shape[1] // heads
    columns = []
    for head in range(heads):
        for pair in range(width // 2):
            columns += [weight[:, head * width + pair], weight[:, head * width + pair + width // 2]]
    return np.stack(columns, axis=1)


def pairs_in_place(weight, heads):
    for head in np.split(weight, heads, axis=1):  # views
        first, second = (half.copy() for half in np.split(head, 2, axis=1))
        head[:, ::2], head[:, 1::2] = first, second
    return weight


def pairs_by_index(weight, heads):
    width = weight.shape[1] // heads
    order = np.arange(width).reshape(2, -1).T.ravel()
    return weight[:, (np.arange(heads)[:, None] * width + order).ravel()]


def unshift_by_bisection(timesteps, shift):
    low, high = np.zeros(len(timesteps)), np.ones(len(timesteps))
    for _ in range(60):
        middle = (low + high) / 2
        below = shift * middle / (1 + (shift - 1) * middle) < timesteps / 1000
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return high


def memory_by_parts(parameters, gpus, stage):
    total = 0
    for part, first_stage in ((12, 1), (2, 2), (2, 3)):
        total += part * parameters / (gpus if stage >= first_stage else 1)
    return total


def memory_by_cases(parameters, gpus, stage):
    if stage == 0:
        return 16 * parameters
    if stage == 1:
        return 4 * parameters + 12 * parameters // gpus
    if stage == 2:
        return 2 * parameters + 14 * parameters // gpus
    return 16 * parameters // gpus


RIGHT = {
    "ch18_conv": [
        conv_by_loops,
        lambda w: np.moveaxis(w, (0, 1), (-1, -2)),
        lambda w: w.swapaxes(0, 1).transpose(*range(2, w.ndim), 0, 1),
        lambda w: np.einsum("oi...->...io", w),
        lambda w: w.astype(np.float32).transpose(*range(2, w.ndim), 1, 0).tolist(),
    ],
    "ch18_memory": [
        memory_by_parts,
        memory_by_cases,
        lambda n, gpus, stage: n * (16 - (s := [0, 12, 14, 16][stage]) + s / gpus),
        lambda n, gpus, stage: np.array(sum(b / (gpus if stage > k else 1) for k, b in enumerate((12, 2, 2)))) * n,
        lambda n, gpus, stage: int(np.dot([12, 2, 2], np.where(np.arange(3) < stage, 1 / gpus, 1.0)) * n),
    ],
    "ch18_pairs": [
        pairs_by_loops,
        pairs_in_place,
        pairs_by_index,
        lambda w, heads: np.einsum("ihpk->ihkp", w.reshape(len(w), heads, 2, -1)).reshape(w.shape),
        lambda w, heads: w.astype(np.float32).reshape(len(w), heads, 2, -1).swapaxes(2, 3).reshape(w.shape),
    ],
    "ch18_unshift": [
        unshift_by_bisection,
        lambda t, s: t / (1000 * s - (s - 1) * t),
        lambda t, s: [x / 1000 / (s - (s - 1) * x / 1000) for x in t],
        lambda t, s: 1 / (1 + s * (1000 / t - 1)),
        lambda t, s: (t / 1000 / s / (1 + (1 / s - 1) * t / 1000)).astype(np.float32),  # the shift by 1 / s
    ],
}

WRONG = {
    "ch18_conv": [
        lambda w: w.T,  # all axes in reverse: wrong for height and width
        lambda w: np.moveaxis(w, (0, 1), (-2, -1)),  # out before in
        lambda w: w.transpose(2, 3, 1, 0) if w.ndim == 4 else w,  # two axes in space only
        lambda w: w.reshape(*w.shape[2:], w.shape[1], w.shape[0]),  # the right shape, the wrong order
        lambda w: np.moveaxis(w, (0, 1), (-1, -2))[::-1],  # flipped
    ],
    "ch18_memory": [
        lambda n, gpus, stage: 16 * n / gpus**stage,
        lambda n, gpus, stage: 16 * n,
        lambda n, gpus, stage: memory_by_cases(n, gpus, min(stage + 1, 3)),  # counted from 1
        lambda n, gpus, stage: (
            n * [16, 4 + 12 / gpus, 4 + 12 / gpus, 16 / gpus][stage]
        ),  # gradients forgotten in stage 2
        lambda n, gpus, stage: memory_by_cases(n, gpus, stage) * gpus,  # of all together
        lambda n, gpus, stage: memory_by_cases(n, gpus, stage) / 4,  # numbers instead of bytes
    ],
    "ch18_pairs": [
        lambda w, heads: w,  # left as it was
        lambda w, heads: w.reshape(len(w), 2, -1).swapaxes(1, 2).reshape(w.shape),  # heads forgotten
        lambda w, heads: w.reshape(len(w), heads, -1, 2).swapaxes(2, 3).reshape(w.shape),  # the inverse
        lambda w, heads: w.reshape(len(w), 2, -1, heads).swapaxes(1, 2).reshape(w.shape),  # heads last
        lambda w, heads: pairs_by_loops(w[:, ::-1], heads),
    ],
    "ch18_unshift": [
        lambda t, s: t / 1000,  # no shift
        lambda t, s: s * t / 1000 / (1 + (s - 1) * t / 1000),  # shifted once more
        lambda t, s: t / (s - (s - 1) * t),  # timesteps taken for sigmas
        lambda t, s: t / 1000 / s,
        lambda t, s: 1 - s * (1 - t / 1000) / (1 + (s - 1) * t / 1000),
    ],
}
