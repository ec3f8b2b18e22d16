"""Answers to the exercises of chapter 13: right ones of several styles, and the mistakes that people make."""

import numpy as np


def online(state, scores, values, shrink_total=True, shrink_out=True, old=False, divide=False):
    highest, total, out = state
    higher = scores.max() if old else max(highest, scores.max())
    shrink, weights = np.exp(highest - higher), np.exp(scores - higher)
    total = total * (shrink if shrink_total else 1) + weights.sum()
    out = out * (shrink if shrink_out else 1) + weights @ values
    return higher, total, out / total if divide else out


RIGHT = {}

WRONG = {
    "ch13_blocks": [
        lambda threads, shared, registers, limits: min(
            limits["threads"] // threads, limits["shared"] // shared, limits["registers"] // registers
        ),  # registers of one thread
        lambda threads, shared, registers, limits: min(limits["threads"] // threads, limits["shared"] // shared),
        lambda threads, shared, registers, limits: min(
            limits["threads"] / threads, limits["shared"] / shared, limits["registers"] / (registers * threads)
        ),  # parts of blocks
        lambda threads, shared, registers, limits: max(
            limits["threads"] // threads, limits["shared"] // shared, limits["registers"] // (registers * threads)
        ),
    ],
    "ch13_online": [
        lambda state, s, v: online(state, s, v, shrink_total=False),
        lambda state, s, v: online(state, s, v, shrink_out=False),
        lambda state, s, v: online(state, s, v, old=True),  # the maximum of this tile, not of all
        lambda state, s, v: online(state, s, v, divide=True),
        lambda state, s, v: online((-1e30, 0.0, 0.0), s, v),  # forgets what was before
        lambda state, s, v: (0.0, state[1] + np.exp(s).sum(), state[2] + np.exp(s) @ v),  # overflows
    ],
    "ch13_roofline": [
        lambda flops, size, peak, bandwidth: flops / peak + size / bandwidth,  # one after the other
        lambda flops, size, peak, bandwidth: min(flops / peak, size / bandwidth),
        lambda flops, size, peak, bandwidth: flops / min(peak, flops / size),  # without the bandwidth
        lambda flops, size, peak, bandwidth: max(flops / bandwidth, size / peak),
    ],
    "ch13_traffic": [
        lambda queries, keys, width, own, size: size * width * (queries + 2 * queries // own * keys),  # not rounded up
        lambda queries, keys, width, own, size: size * width * (queries - (-queries // own) * keys),  # keys only
        lambda queries, keys, width, own, size: size * width * -(-queries // own) * (own + 2 * keys),  # tails as full
        lambda queries, keys, width, own, size: width * (queries - 2 * (-queries // own) * keys),  # numbers, not bytes
        lambda queries, keys, width, own, size: size * width * (queries - 2 * (-queries // own) * queries),
    ],
    "ch13_turns": [
        lambda a: np.bincount(a // 4 % 32).max(),  # a word wanted twice counted twice
        lambda a: np.bincount(np.unique(a) % 32).max(),  # bytes taken for words
        lambda a: len(np.unique(a // 4 % 32)),  # how many banks
        lambda a: np.bincount(np.unique(a // 4) % 16).max(),  # half of the banks
    ],
}
