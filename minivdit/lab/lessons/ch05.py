"""Checks of chapter 5: attention, its gradient, and tiles brought together."""

import numpy as np

from ...autograd import Tensor, gradients, simple_attention
from .exercise import Wrong, agree, different, exercise


def _tokens(generator):
    queries, keys, width, value_width = different(generator, 4, 2, 10)
    return [generator.standard_normal(shape) * 2 for shape in ((queries, width), (keys, width), (keys, value_width))]


@exercise
def ch05_attention(answer, generator):
    q, k, v = _tokens(generator)
    agree("the output", answer(q, k, v), simple_attention(q, k, v).data)
    if not np.isfinite(answer(1000 * q, k, v)).all():
        raise Wrong("scores of a few thousand overflow: NaN or infinity. What may be subtracted from them?")


@exercise
def ch05_pullback(answer, generator):
    inputs = _tokens(generator)
    leaves = [Tensor(x, requires_grad=True) for x in inputs]
    output = simple_attention(*leaves)
    grad = generator.standard_normal(output.shape)
    got = answer(*inputs, grad)
    if not isinstance(got, tuple) or len(got) != 3:
        raise Wrong("return three gradients: of q, of k and of v")
    for name, pulled, expected in zip("qkv", got, gradients(output, leaves, grad)):
        agree(f"the gradient of {name}", pulled, expected)


def _summary(scores, values):
    top = scores.max(axis=1, keepdims=True)
    weights = np.exp(scores - top)
    return top, weights.sum(axis=1, keepdims=True), weights @ values


@exercise
def ch05_merge(answer, generator):
    queries, left, right, width = different(generator, 4, 2, 10)
    scores = generator.standard_normal((queries, left + right)) * 4
    values = generator.standard_normal((left + right, width))
    parts = (slice(0, left), slice(left, None))
    got = answer(*(_summary(scores[:, part], values[part]) for part in parts))
    if not isinstance(got, tuple) or len(got) != 3:
        raise Wrong("return three arrays: the maximum, the sum and the output, all not yet divided")
    for name, array, expected in zip(("maximum", "sum", "output"), got, _summary(scores, values)):
        agree(f"the merged {name}", array, expected)


@exercise
def ch05_visible(answer, generator):
    queries, keys = different(generator, 2)
    query_time, key_time = (np.sort(generator.integers(0, 4, size)) for size in (queries, keys))
    expected = np.array([[key <= query for key in key_time] for query in query_time])
    agree("the mask (queries, keys)", answer(query_time, key_time), expected)
