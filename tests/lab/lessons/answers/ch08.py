"""Answers to the exercises of chapter 8: right ones of several styles, and the mistakes that people make."""

import numpy as np


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def spread(level):
    return level[:, :, None, None, None]


def numbered(captions, words, length, first=2, start=True):
    tokens = np.zeros((len(captions), length), int)
    for row, caption in zip(tokens, captions):
        numbers = [1] * start + [first + words.index(word) for word in caption.split()]
        row[: len(numbers)] = numbers
    return tokens


RIGHT = {}

WRONG = {
    "ch08_cross": [
        lambda q, k, v, present: softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v,  # padding seen
        lambda q, k, v, present: softmax(q @ k.T / np.sqrt(q.shape[-1]) * present) @ v,  # a score of 0 isn't nothing
        lambda q, k, v, present: softmax(q @ k.T / np.sqrt(q.shape[-1])) * present @ v,  # not divided again
        lambda q, k, v, present: softmax(q @ k[present].T) @ v[present],  # no scale
    ],
    "ch08_encode": [
        lambda captions, words, length: numbered(captions, words, length, first=1),  # the first word is the start
        lambda captions, words, length: numbered(captions, words, length, start=False),
        lambda captions, words, length: numbered(captions, words, length)[:, ::-1],
        lambda captions, words, length: numbered(captions, words, length)[:, :-1],
    ],
    "ch08_guide": [
        lambda c, u, s: c + spread(s) * (u - c),  # exchanged
        lambda c, u, s: c + spread(s) * (c - u),  # counted from the caption: one too much
        lambda c, u, s: u + s.mean() * (c - u),  # one scale for all
        lambda c, u, s: spread(s) * c,
    ],
    "ch08_rise": [
        lambda right, wrong: ((right - wrong).mean(), (wrong - right).std(ddof=1) / len(right) ** 0.5),
        lambda right, wrong: ((wrong - right).mean(), (wrong - right).std(ddof=1)),  # of one clip
        lambda right, wrong: ((wrong - right).mean(), (wrong - right).std() / len(right) ** 0.5),  # one degree too many
        lambda right, wrong: (  # not paired
            (wrong - right).mean(),
            ((wrong.var(ddof=1) + right.var(ddof=1)) / len(right)) ** 0.5,
        ),
    ],
}
