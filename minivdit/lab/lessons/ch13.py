"""Checks of chapter 13: attention backwards by tiles, memory traffic, bank conflicts, tiles, blocks that fit."""

import numpy as np

from .exercise import agree, agree_all, different, exercise


@exercise("tile_gradients")
def ch13_backward(answer, generator):
    queries, keys, width, value_width, first = different(generator, 5, 2, 10)
    q, k = 2 * generator.standard_normal((queries, width)), generator.standard_normal((keys + first, width))
    v, grad = generator.standard_normal((keys + first, value_width)), generator.standard_normal((queries, value_width))
    if generator.random() < 0.3:  # exp of such scores overflows
        q[:, 0], k[:, 0] = 40, 40
    scores = q @ k.T
    log_sum = np.log(np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1)) + scores.max(axis=1)
    weights = np.exp(scores - log_sum[:, None])
    out, weights_grad = weights @ v, grad @ v.T
    scores_grad = weights * (weights_grad - (weights * weights_grad).sum(axis=1, keepdims=True))  # over all keys
    k_grad, v_grad = scores_grad.T @ q, weights.T @ grad
    for tile in (slice(first), slice(first, None)):
        expected = {"the gradient of the keys": k_grad[tile], "the gradient of the values": v_grad[tile]}
        got = answer(q, k[tile], v[tile], out, log_sum, grad)
        agree_all("return two gradients: of the keys and of the values", got, expected)


@exercise("causal_traffic")
def ch13_causal(answer, generator):
    tokens, width, own, tile = (int(n) for n in generator.integers(3, 60, 4))
    bytes_each = int(generator.choice([2, 4]))
    numbers = 0
    for queries in np.array_split(np.arange(tokens), range(own, tokens, own)):
        numbers += len(queries)
        for keys in np.array_split(np.arange(tokens), range(tile, tokens, tile)):
            if (keys <= queries[:, None]).any():
                numbers += 2 * len(keys)
    agree("the bytes", answer(tokens, width, own, tile, bytes_each), numbers * width * bytes_each)


@exercise("least_padding")
def ch13_padding(answer, generator):
    for piece in (1, 2, 4):
        row = piece * int(generator.integers(3, 80))
        for padding in range(0, 33, piece):
            begin = np.arange(32 // piece) * (row + padding)
            if len(np.unique((begin[:, None] + np.arange(piece)) % 32)) == 32:
                break
        agree(f"the padding of {row} words, read by {piece}", answer(row, piece), padding)


@exercise("least_queries")
def ch13_tile(answer, generator):
    tokens, width = int(generator.integers(100, 900)), int(generator.integers(8, 100))
    bytes_each, bandwidth = int(generator.choice([2, 4])), float(10 ** generator.uniform(10, 12))
    blocks = int(generator.integers(1, 30)) + generator.uniform(0.1, 0.9)  # that the peak allows
    peak = bandwidth * 2 * tokens / (bytes_each * (1 + blocks))
    expected = next(own for own in range(1, tokens + 1) if -(-tokens // own) <= blocks)
    agree("the number of queries", answer(tokens, width, bytes_each, peak, bandwidth), expected)


@exercise("blocks_that_fit")
def ch13_blocks(answer, generator):
    threads, registers = 32 * int(generator.integers(2, 9)), 8 * int(generator.integers(4, 25)) + 1
    shared = int(generator.integers(1_000, 60_000))
    of_warps = sum(256 * -(-32 * registers // 256) for _ in range(0, threads, 32))
    needed = {"threads": threads, "shared": shared, "registers": of_warps, "blocks": 1}
    for scarce in needed:  # what runs out first
        limits, most = {}, int(generator.integers(2, 8))
        for what, size in needed.items():
            count = most if what == scarce else most + int(generator.integers(1, 8))
            limits[what] = count * size + int(generator.integers(0, size))
        agree(f"the blocks, where {scarce} are scarce", answer(threads, shared, registers, limits), most)
