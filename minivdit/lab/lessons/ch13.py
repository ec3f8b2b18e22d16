"""Checks of chapter 13: online softmax, memory traffic, bank conflicts, the roofline, blocks beside each other."""

import numpy as np

from .exercise import agree, agree_all, different, exercise


@exercise
def ch13_online(answer, generator):
    width, first, second = different(generator, 3, 2, 10)
    scores, values = generator.standard_normal(first + second) * 5, generator.standard_normal((first + second, width))
    if generator.random() < 0.3:
        scores += 2000  # exp of it overflows
    state = (-1e30, 0.0, np.zeros(width))
    for part in (slice(first), slice(first, None)):
        state = answer(state, scores[part].copy(), values[part].copy())
        seen = slice(part.stop if part.stop else None)
        weights = np.exp(scores[seen] - scores[seen].max())
        then = "after one tile" if part.stop else "after two tiles"
        expected = {
            f"the highest score {then}": scores[seen].max(),
            f"the sum {then}": weights.sum(),
            f"the weighted sum {then}": weights @ values[seen],
        }
        agree_all("return three things: highest, total, out. Is the stub filled in?", state, expected)


@exercise
def ch13_traffic(answer, generator):
    queries, keys, width, own = (int(n) for n in generator.integers(3, 90, 4))
    bytes_each = int(generator.choice([2, 4]))
    blocks = sum(1 for _ in range(0, queries, own))
    expected = bytes_each * width * (queries + 2 * blocks * keys)
    agree("the bytes", answer(queries, keys, width, own, bytes_each), expected)


@exercise
def ch13_turns(answer, generator):
    kind = int(generator.integers(4))
    if kind == 0:  # rows of some length, read down a column
        words = np.arange(32) * int(generator.integers(1, 130))
    elif kind == 1:  # any words
        words = generator.integers(0, 400, 32)
    elif kind == 2:  # few words, wanted by many
        words = generator.choice(generator.integers(0, 2000, 5), 32)
    else:  # two rows of threads, read along
        words = np.arange(32) % 16 + np.arange(32) // 16 * int(generator.integers(16, 200))
    words = generator.permutation(words)
    expected = max(len({word for word in words.tolist() if word % 32 == bank}) for bank in range(32))
    agree("the turns", answer(4 * words), expected)


@exercise
def ch13_roofline(answer, generator):
    flops, bytes_moved, peak, bandwidth = (float(n) for n in 10 ** generator.uniform(2, 5, 4))
    agree("the seconds", answer(flops, bytes_moved, peak, bandwidth), max(flops / peak, bytes_moved / bandwidth))


@exercise
def ch13_blocks(answer, generator):
    threads, shared = 32 * int(generator.integers(1, 9)), int(generator.integers(1_000, 60_000))
    registers = int(generator.integers(16, 200))
    limits = {
        "threads": 32 * int(generator.integers(32, 65)),
        "shared": int(generator.integers(60_000, 230_000)),
        "registers": int(generator.integers(30_000, 66_000)),
    }
    needed = {"threads": threads, "shared": shared, "registers": registers * threads}
    expected = min(limits[what] // needed[what] for what in limits)
    agree("the number of blocks", answer(threads, shared, registers, dict(limits)), expected)
