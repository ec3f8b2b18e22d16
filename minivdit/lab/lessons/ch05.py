"""Checks of chapter 5: attention with grouped heads, its gradient with a bias, parts brought together, a mask."""

import numpy as np

from ...autograd import simple_attention, softmax
from .exercise import Wrong, agree, agree_all, agree_gradients, different, exercise


@exercise("grouped_attention")
def ch05_attention(answer, generator):
    groups, times, queries, keys, width, value_width = different(generator, 6, 2, 9)
    q = generator.standard_normal((groups * times, queries, width)) * 2
    k, v = (generator.standard_normal((groups, keys, d)) * 2 for d in (width, value_width))
    for factor in (1, 1000):  # scores of a few thousand as well
        expected = [
            simple_attention(factor * one, k[head // times], v[head // times]).data for head, one in enumerate(q)
        ]
        got = answer(factor * q, k, v)
        if factor > 1 and not np.isfinite(got).all():
            raise Wrong("scores of a few thousand overflow: NaN or infinity. What may be subtracted from them?")
        agree("the output", got, np.stack(expected))


def _with_bias(q, k, v, bias):
    return softmax(q @ k.transpose() * (1 / np.sqrt(q.shape[-1])) + bias) @ v


@exercise("attention_pullback")
def ch05_pullback(answer, generator):
    queries, keys, width, value_width = different(generator, 4, 2, 10)
    shapes = {"q": (queries, width), "k": (keys, width), "v": (keys, value_width), "the bias": (queries, keys)}
    inputs = {name: generator.standard_normal(shape) * 2 for name, shape in shapes.items()}
    grad = generator.standard_normal((queries, value_width))
    agree_gradients(answer(*inputs.values(), grad), _with_bias, inputs, grad)


def _summary(scores, values):
    top = scores.max(axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - top)
    return top, weights.sum(axis=1, keepdims=True), weights @ values


@exercise("merge")
def ch05_merge(answer, generator):
    queries, width, *lengths = different(generator, 5, 2, 10)
    where = int(generator.integers(4))
    lengths[where:where] = [0, 0]  # two without a key, one after the other: -inf minus -inf
    scores = generator.standard_normal((queries, sum(lengths))) * 4
    values = generator.standard_normal((sum(lengths), width))
    cuts = np.cumsum(lengths)[:-1]
    parts = [_summary(*part) for part in zip(np.split(scores, cuts, axis=1), np.split(values, cuts))]
    names = ("the merged maximum", "the merged sum", "the merged output")
    request = "return three arrays: the maximum, the sum and the output, all not yet divided"
    agree_all(request, answer(parts), dict(zip(names, _summary(scores, values))))


@exercise("visible_to")
def ch05_visible(answer, generator):
    queries, keys = different(generator, 2, 6, 12)
    query_time, key_time = (np.sort(generator.integers(0, 8, size)) for size in (queries, keys))
    query_time[-1], key_time[0], window = 7, 0, int(generator.integers(1, 4))
    expected = [[query - window < key <= query or key == 0 for key in key_time] for query in query_time]
    agree("the mask (queries, keys)", answer(query_time, key_time, window), np.array(expected))
