"""Checks of chapter 17: a sum's bits, the gradient of a gather, heads for tokens, parts joined, seconds on the way."""

import numpy as np

from .exercise import Wrong, agree_all, different, exercise


def _part(count, rank, size):
    return slice(count * rank // size, count * (rank + 1) // size)


def _one_each(what, got, expected):
    """`agree_all` for a list with an array for each rank."""
    request = f"return a list of {len(expected)} arrays, one for each rank"
    agree_all(request, got, {f"{what} of rank {rank}": array for rank, array in enumerate(expected)})


@exercise("slices_of_the_sum")
def ch17_bits(answer, generator):
    size = int(generator.integers(2, 6))
    numbers = int(generator.integers(200, 300))
    held = [[_gradient(generator, numbers) for _ in range(generator.integers(1, 4))] for _ in range(size)]
    first, *others = [shard for shards in held for shard in shards]
    for other in others:
        first = first + other
    expected = [first[_part(numbers, rank, size)] for rank in range(size)]
    got = answer(held)
    _one_each("the slice", got, expected)
    wrong = sum(int((np.asarray(one) != right).sum()) for one, right in zip(got, expected))
    if wrong or any(np.asarray(one).dtype != np.float32 for one in got):
        raise Wrong(
            f"nearly, but {wrong} of {numbers} numbers have other bits. In which order, and type, are they added?"
        )


def _gradient(generator, numbers):
    return (generator.standard_normal(numbers) * 10 ** generator.uniform(-2, 2)).astype(np.float32)


@exercise("gather_pullback")
def ch17_gather(answer, generator):
    size, rows, width = different(generator, 3, 2, 9)
    rows += size  # not always a multiple of the number of ranks
    grads = [generator.standard_normal((rows, width)) for _ in range(size)]
    expected = [np.sum(grads, axis=0)[_part(rows, rank, size)] for rank in range(size)]
    _one_each("the gradient", answer(grads), expected)


@exercise("heads_for_tokens")
def ch17_heads(answer, generator):
    size, tokens, heads, width = different(generator, 4, 2, 11)
    whole = generator.standard_normal((tokens + size, heads + size, width))
    parts = [whole[_part(len(whole), rank, size)] for rank in range(size)]
    expected = [whole[:, _part(whole.shape[1], rank, size)] for rank in range(size)]
    _one_each("the array", answer(parts), expected)


@exercise("join")
def ch17_join(answer, generator):
    queries, width, *lengths = different(generator, 5, 2, 10)
    scores = [generator.standard_normal((queries, keys)) * 3 + generator.choice([-2000, 2000]) for keys in lengths]
    scores.insert(int(generator.integers(4)), np.zeros((queries, 0)))
    values = [generator.standard_normal((one.shape[1], width)) for one in scores]
    parts = [_attended(*pair) for pair in zip(scores, values)]
    expected = _attended(np.concatenate(scores, axis=1), np.concatenate(values))
    request = "return two arrays: the output, and the logarithm of the sum"
    agree_all(request, answer(*map(list, zip(*parts))), dict(zip(("the output", "the logarithm"), expected)))


def _attended(scores, values):
    """The output (n, d), and the logarithm of the sum of the exponentials (n, 1)."""
    top = np.maximum(scores.max(axis=1, keepdims=True, initial=-np.inf), -1e300)
    weights = np.exp(scores - top)
    total = weights.sum(axis=1, keepdims=True)
    if not scores.shape[1]:
        return np.zeros((len(scores), values.shape[1])), np.full((len(scores), 1), -np.inf)
    return weights @ values / total, top + np.log(total)


@exercise("attention_seconds")
def ch17_seconds(answer, generator):
    for ranks in (1, int(generator.integers(2, 40))):
        tokens, width = int(generator.integers(1_000, 200_000)), int(generator.integers(64, 4_000))
        speed, bandwidth, latency = (10 ** generator.uniform(*powers) for powers in ((10, 15), (8, 12), (-6, -3)))
        computing = 4 * tokens**2 * width / ranks / speed
        sending = 4 * (ranks - 1) * (4 * tokens * width / ranks**2 / bandwidth + latency)
        got = answer(tokens, width, ranks, speed, bandwidth, latency)
        where = f"on {ranks} rank{'s' * (ranks > 1)}"
        request = "return two numbers: the seconds of computing, and those of sending"
        agree_all(request, got, {f"computing {where}": computing, f"sending {where}": sending})
