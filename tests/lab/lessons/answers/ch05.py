"""Answers to the exercises of chapter 5: right ones of several styles, and the mistakes that people make."""

import numpy as np


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def attention_gradients(q, k, v, grad, scale=None, row_sum=True):
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    weights = softmax(q @ k.T / np.sqrt(q.shape[-1]))
    weights_grad = grad @ v.T
    along = (weights_grad * weights).sum(axis=-1, keepdims=True) if row_sum else 0
    scores_grad = weights * (weights_grad - along)
    return scores_grad @ k * scale, scores_grad.T @ q * scale, weights.T @ grad


def unscaled(first, second):
    """Two tiles added without bringing them to one maximum."""
    return tuple(combine(a, b) for combine, a, b in zip((np.maximum, np.add, np.add), first, second))


def output_not_scaled(first, second):
    (top1, total1, out1), (top2, total2, out2) = first, second
    top = np.maximum(top1, top2)
    return top, total1 * np.exp(top1 - top) + total2 * np.exp(top2 - top), out1 + out2


def overflowing(q, k, v):
    weights = np.exp(q @ k.T / np.sqrt(q.shape[-1]))
    return weights / weights.sum(axis=1, keepdims=True) @ v


RIGHT = {}

WRONG = {
    "ch05_attention": [
        lambda q, k, v: softmax(q @ k.T) @ v,  # no scale
        lambda q, k, v: softmax(q @ k.T / np.sqrt(v.shape[-1])) @ v,  # the scale of another width
        lambda q, k, v: softmax(q @ k.T / q.shape[-1]) @ v,
        lambda q, k, v: softmax((q @ k.T / np.sqrt(q.shape[-1])).T).T @ v,  # over the queries
        overflowing,
        lambda q, k, v: (softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v).T,
    ],
    "ch05_merge": [unscaled, output_not_scaled, lambda first, second: first],
    "ch05_pullback": [
        lambda q, k, v, grad: attention_gradients(q, k, v, grad, scale=1),  # no scale
        lambda q, k, v, grad: attention_gradients(q, k, v, np.ones_like(grad)),  # gradient of a sum
        lambda q, k, v, grad: attention_gradients(q, k, v, grad, row_sum=False),
        lambda q, k, v, grad: tuple(g.T for g in attention_gradients(q, k, v, grad)),
        lambda q, k, v, grad: attention_gradients(q, k, v, grad)[::-1],
    ],
    "ch05_visible": [
        lambda query, key: key[None, :] < query[:, None],  # not even itself
        lambda query, key: (key[None, :] <= query[:, None]).T,  # transposed
        lambda query, key: key[None, :] >= query[:, None],  # the future
        lambda query, key: np.ones((len(query), len(key)), bool),
    ],
}
