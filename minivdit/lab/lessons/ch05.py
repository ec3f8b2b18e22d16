"""Checks of chapter 5: attention, its gradient, and tiles brought together."""

import numpy as np

from ...autograd import simple_attention
from .exercise import Wrong, agree, agree_all, agree_gradients, different, exercise


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
    q, k, v = _tokens(generator)
    grad = generator.standard_normal((len(q), v.shape[1]))
    agree_gradients(answer(q, k, v, grad), simple_attention, {"q": q, "k": k, "v": v}, grad)


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
    names = ("the merged maximum", "the merged sum", "the merged output")
    request = "return three arrays: the maximum, the sum and the output, all not yet divided"
    agree_all(request, got, dict(zip(names, _summary(scores, values))))


@exercise
def ch05_visible(answer, generator):
    queries, keys = different(generator, 2)
    query_time, key_time = (np.sort(generator.integers(0, 4, size)) for size in (queries, keys))
    expected = np.array([[key <= query for key in key_time] for query in query_time])
    agree("the mask (queries, keys)", answer(query_time, key_time), expected)
