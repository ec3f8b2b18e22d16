"""Answers to the exercises of chapter 13: right ones of several styles, and the mistakes that people make."""

import math

import numpy as np


def backward(q, k, v, out, log_sum, grad, row_sum="all", scale=1.0):
    weights = np.exp(q @ k.T - log_sum[:, None])
    weights_grad = grad @ v.T
    along = {"all": (grad * out).sum(1), "tile": (weights * weights_grad).sum(1), "none": 0 * log_sum}[row_sum]
    scores_grad = weights * (weights_grad - along[:, None])
    return scale * scores_grad.T @ q, weights.T @ grad


def backward_by_loops(q, k, v, out, log_sum, grad):
    k_grad, v_grad = [[0.0] * k.shape[1] for _ in k], [[0.0] * v.shape[1] for _ in v]
    for i in range(len(q)):
        along = sum(grad[i] * out[i])
        for j in range(len(k)):
            weight = math.exp(sum(q[i] * k[j]) - log_sum[i])
            slope = weight * (sum(grad[i] * v[j]) - along)
            for c in range(k.shape[1]):
                k_grad[j][c] += slope * q[i, c]
            for c in range(v.shape[1]):
                v_grad[j][c] += weight * grad[i, c]
    return [k_grad, v_grad]


def backward_by_einsum(q, k, v, out, log_sum, grad):
    weights = np.exp(np.einsum("nd,md->nm", q, k) - log_sum[:, None])
    centred = np.einsum("nv,mnv->nm", grad, v[:, None] - out)
    return np.einsum("nm,nm,nd->md", weights, centred, q), np.einsum("nm,nv->mv", weights, grad)


def backward_in_place(q, k, v, out, log_sum, grad):
    out *= grad
    weights = q @ k.T
    weights -= log_sum.reshape(-1, 1)
    np.exp(weights, out=weights)
    v_grad = weights.T @ grad
    weights *= grad @ v.T - out.sum(axis=1)[:, None]
    return [weights.T @ q, v_grad]


def backward_by_query(q, k, v, out, log_sum, grad):
    k_grad, v_grad = np.zeros_like(k), np.zeros_like(v)
    for query, row, total, slope in zip(q, out, log_sum, grad):
        weights = np.exp(k @ query - total)
        k_grad += np.outer(weights * ((v - row) @ slope), query)
        v_grad += np.outer(weights, slope)
    return np.array(k_grad, dtype=object).astype(float), v_grad


def softmax_of_tile(q, k, v, out, log_sum, grad):
    """Takes the tile for all keys."""
    log_sum = np.log(np.exp(np.minimum(q @ k.T, 700)).sum(axis=1))
    return backward(q, k, v, out, log_sum, grad)


def causal(tokens, width, own, tile, bytes_each):
    keys = [min((min(first + own, tokens) - 1) // tile * tile + tile, tokens) for first in range(0, tokens, own)]
    return bytes_each * width * (tokens + 2 * sum(keys))


def causal_by_tiles(tokens, width, own, tile, bytes_each):
    total = tokens * width * bytes_each
    for first in range(0, tokens, tile):  # each tile, for the blocks that end behind its first key
        blocks = sum(1 for begin in range(0, tokens, own) if min(begin + own, tokens) > first)
        total += 2 * blocks * min(tile, tokens - first) * width * bytes_each
    return total


def causal_by_mask(tokens, width, own, tile, bytes_each):
    mask = np.tri(tokens, dtype=bool)
    total = tokens
    for row in range(0, tokens, own):
        for column in range(0, tokens, tile):
            if mask[row : row + own, column : column + tile].any():
                total += 2 * mask[:, column : column + tile].shape[1]
    return total * width * bytes_each


def causal_vectorised(tokens, width, own, tile, bytes_each):
    ends = np.minimum(np.arange(own, tokens + own, own), tokens)
    return width * bytes_each * (tokens + 2 * np.minimum(np.ceil(ends / tile) * tile, tokens).sum())


def causal_by_while(tokens, width, own, tile, bytes_each):
    numbers, first = 0, 0
    while first < tokens:
        end = min(first + own, tokens)
        numbers += end - first
        key = 0
        while key < end:
            numbers += 2 * (min(key + tile, tokens) - key)
            key += tile
        first = end
    return [numbers * width * bytes_each][0]


def padding_by_trying(row, piece):
    for padding in range(0, 64, piece):
        banks = {(r * (row + padding) + w) % 32 for r in range(32 // piece) for w in range(piece)}
        if len(banks) == 32:
            return padding


def padding_by_gcd(row, piece):
    return min(extra for extra in range(0, 32, piece) if math.gcd((row + extra) // piece, 32 // piece) == 1)


def padding_by_bincount(row, piece):
    turns = lambda padding: np.bincount(
        np.add.outer(np.arange(32 // piece) * (row + padding), range(piece)).ravel() % 32
    )
    return np.argmin([turns(padding).max() for padding in range(0, 33, piece)]) * piece


def least_queries(tokens, width, bytes_each, peak, bandwidth, written=True):
    for own in range(1, tokens + 1):
        moved = bytes_each * width * tokens * ((2 if written else 1) + 2 * -(-tokens // own))
        if 4 * tokens**2 * width / moved >= peak / bandwidth:
            return own


def least_queries_at_once(tokens, width, bytes_each, peak, bandwidth):
    blocks = np.floor(2 * tokens * bandwidth / (bytes_each * peak) - 1)
    return np.ceil(tokens / blocks)


def least_queries_by_bisection(tokens, width, bytes_each, peak, bandwidth):
    low, high = 0, tokens
    while high - low > 1:
        own = (low + high) // 2
        seconds = bytes_each * width * tokens * (2 + 2 * math.ceil(tokens / own)) / bandwidth
        low, high = (low, own) if seconds <= 4 * tokens**2 * width / peak else (own, high)
    return high


def least_queries_by_array(tokens, width, bytes_each, peak, bandwidth):
    own = np.arange(1, tokens + 1)
    moved = bytes_each * width * (2 * tokens + 2 * np.ceil(tokens / own) * tokens)
    return own[4.0 * tokens**2 * width / moved * bandwidth >= peak][0]


def fit(threads, shared, registers, limits):
    registers = -(-registers // 8) * 8  # 256 for a warp are 8 for each thread
    needed = {"threads": threads, "shared": shared, "registers": registers * threads}
    return min([limits["blocks"], *(limits[what] // size for what, size in needed.items())])


def fit_by_adding(threads, shared, registers, limits):
    warps, blocks = threads // 32, 0
    while True:
        blocks += 1
        used = {"threads": threads, "shared": shared, "registers": warps * math.ceil(32 * registers / 256) * 256}
        if blocks > limits["blocks"] or any(blocks * used[what] > limits[what] for what in used):
            return blocks - 1


def fit_by_arrays(threads, shared, registers, limits):
    have = np.array([limits["threads"], limits["shared"], limits["registers"], limits["blocks"]])
    return (have // np.array([threads, shared, np.ceil(registers / 8) * 8 * threads, 1])).min()


def fit_by_pops(threads, shared, registers, limits):
    most = limits.pop("blocks")
    for what, size in (("threads", threads), ("shared", shared), ("registers", (registers + 7) // 8 * 8 * threads)):
        most = min(most, limits.pop(what) // size)
    return np.int32(most)


def fit_by_division(threads, shared, registers, limits):
    share = limits["registers"] / 256 / (threads / 32) / math.ceil(registers / 8)
    return math.floor(min(share, limits["threads"] / threads, limits["shared"] / shared, limits["blocks"]))


RIGHT = {
    "ch13_backward": [backward, backward_by_loops, backward_by_einsum, backward_in_place, backward_by_query],
    "ch13_causal": [causal, causal_by_tiles, causal_by_mask, causal_vectorised, causal_by_while],
    "ch13_padding": [
        padding_by_trying,
        padding_by_gcd,
        padding_by_bincount,
        lambda row, piece: (row // piece + 1) % 2 * piece,
        lambda row, piece: (
            piece if row & piece == 0 else 0
        ),  # the bit of `piece` says whether the number of them is odd
    ],
    "ch13_tile": [
        least_queries,
        least_queries_at_once,
        least_queries_by_bisection,
        least_queries_by_array,
        lambda n, d, size, peak, bandwidth: next(
            own for own in range(1, n + 1) if size * (1 + math.ceil(n / own)) * peak <= 2 * n * bandwidth
        ),
    ],
    "ch13_blocks": [fit, fit_by_adding, fit_by_arrays, fit_by_pops, fit_by_division],
}

WRONG = {
    "ch13_backward": [
        lambda *a: backward(*a, row_sum="tile"),  # the sum over this tile only
        lambda *a: backward(*a, row_sum="none"),  # forgotten
        softmax_of_tile,
        lambda *a: backward(*a)[::-1],  # exchanged
        lambda *a: backward(*a, scale=a[0].shape[1] ** -0.5),  # scaled twice
        lambda q, k, v, out, log_sum, grad: (backward(q, k, v, out, log_sum, grad)[0], None),
        lambda q, k, v, out, log_sum, grad: backward(q, k, v, out, np.exp(np.minimum(log_sum, 700)), grad),
    ],
    "ch13_causal": [
        lambda n, width, own, tile, size: size * width * (n + 2 * -(-n // own) * n),  # all keys
        lambda n, width, own, tile, size: (
            size * width * (n + 2 * sum(min(first + own, n) for first in range(0, n, own)))
        ),  # stops in the middle of a tile
        lambda n, width, own, tile, size: (
            size * width * (n + 2 * sum(min(first // tile * tile + tile, n) for first in range(0, n, own)))
        ),  # the first query decides
        lambda n, width, own, tile, size: (
            size * width * (n + 2 * sum(-(-min(first + own, n) // tile) * tile for first in range(0, n, own)))
        ),  # a short tile as a full one
        lambda n, width, own, tile, size: size * width * (causal(n, 1, own, tile, 1) + n) // 2,  # keys or values only
        lambda n, width, own, tile, size: width * causal(n, 1, own, tile, 1),  # numbers, not bytes
    ],
    "ch13_padding": [
        lambda row, piece: piece,  # always
        lambda row, piece: 0,
        lambda row, piece: (row + 1) % 2,  # one word, whatever the piece
        lambda row, piece: -row % 32 + piece,  # up to whole turns first
        lambda row, piece: -row % 32,
        lambda row, piece: 1 if row % 32 == 0 else 0,
    ],
    "ch13_tile": [
        lambda n, d, size, peak, bandwidth: math.ceil(size * peak / bandwidth / 2),  # the queries' own bytes forgotten
        lambda *a: least_queries(*a, written=False),  # the output forgotten
        lambda n, d, size, peak, bandwidth: least_queries(n, d, size, peak, bandwidth) - 1,
        lambda n, d, size, peak, bandwidth: least_queries(n, d, 4, peak, bandwidth) + (size == 2),  # float32 for all
        lambda n, d, size, peak, bandwidth: n,  # one block
        lambda n, d, size, peak, bandwidth: peak / bandwidth,
    ],
    "ch13_blocks": [
        lambda threads, shared, registers, limits: min(
            limits["blocks"],
            limits["threads"] // threads,
            limits["shared"] // shared,
            limits["registers"] // (registers * threads),
        ),  # registers not rounded up
        lambda threads, shared, registers, limits: fit(threads, shared, registers, {**limits, "blocks": 10**9}),
        lambda threads, shared, registers, limits: fit(threads, shared, registers, {**limits, "registers": 10**9}),
        lambda threads, shared, registers, limits: fit(threads, shared, registers, {**limits, "shared": 10**9}),
        lambda threads, shared, registers, limits: fit(threads, shared, registers, {**limits, "threads": 10**9}),
        lambda threads, shared, registers, limits: fit(threads, shared, registers, limits) + 1,
        lambda threads, shared, registers, limits: min(
            limits["blocks"],
            limits["threads"] // threads,
            limits["shared"] // shared,
            limits["registers"] // (-(-registers // 256) * 256 * threads),
        ),  # 256 for each thread
    ],
}
