"""Answers to the exercises of chapter 7: right ones of several styles, and the mistakes that people make."""

import numpy as np


def standardised(x, axis=-1, eps=1e-6, ddof=0):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, ddof=ddof, keepdims=True) + eps)


def per_frame(a):
    return a[:, :, None]


RIGHT = {}

WRONG = {
    "ch07_gate": [
        lambda x, gate, branch, grad: (grad, grad * branch, grad * gate),  # not summed over tokens
        lambda x, gate, branch, grad: (grad, (grad * branch).mean(2, keepdims=True), grad * gate),
        lambda x, gate, branch, grad: (grad, branch.sum(2, keepdims=True), 0 * grad + gate),  # gradient of a sum
        lambda x, gate, branch, grad: (grad * (1 + gate), (grad * branch).sum(2, keepdims=True), grad * gate),
        lambda x, gate, branch, grad: (grad, (grad * branch).sum(1, keepdims=True), grad * gate),  # over frames
        lambda x, gate, branch, grad: (grad, (grad * branch).sum(2, keepdims=True), grad),  # gates of 1
    ],
    "ch07_layer_norm": [
        lambda x: standardised(x, axis=0),
        lambda x: standardised(x, axis=None),  # all rows together
        lambda x: standardised(x, ddof=1),
        lambda x: standardised(x, eps=0),
        lambda x: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6),  # the mean stays
        lambda x: (x - x.mean(-1, keepdims=True)) / (x.var(-1, keepdims=True) + 1e-6),  # by the variance
        lambda x: (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-6),  # eps outside the root
    ],
    "ch07_modulate": [
        lambda x, shift, scale: standardised(x) * per_frame(scale) + per_frame(shift),  # the 1 is missing
        lambda x, shift, scale: x * (1 + per_frame(scale)) + per_frame(shift),  # no norm
        lambda x, shift, scale: standardised(x) * (1 + per_frame(shift)) + per_frame(scale),  # exchanged
        lambda x, shift, scale: standardised(x * (1 + per_frame(scale)) + per_frame(shift)),  # the norm last
        lambda x, shift, scale: standardised(x) * (1 + per_frame(scale[:, :1])) + per_frame(shift[:, :1]),
    ],
    "ch07_parameters": [
        lambda width, ratio: (4 + 4 + 2 * ratio) * width**2,  # the modulation forgotten
        lambda width, ratio: (6 + 4 + 2 * ratio) * width**2,  # cross-attention forgotten
        lambda width, ratio: (6 + 4 + 4 + ratio) * width**2,  # up, but not down
        lambda width, ratio: (6 + 4 + 4 + 2 * ratio) * width,
    ],
}
