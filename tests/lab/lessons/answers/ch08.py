"""Answers to the exercises of chapter 8: right ones of several styles, and the mistakes that people make."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np

DIRECTIONS = ["right", "left", "up", "down"]


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def spread(level):
    return level[:, :, None, None, None]


def commonest(tokens):
    return Counter(pairwise(tokens)).most_common(1)[0][0]


def merged_by_index(tokens, new):
    pair, place, out = commonest(tokens), 0, []
    while place < len(tokens):
        found = tuple(tokens[place : place + 2]) == pair
        out.append(new if found else tokens[place])
        place += 2 if found else 1
    return out


def merged_by_dictionary(tokens, new):
    counts = {}
    for i in range(len(tokens) - 1):
        counts[tokens[i], tokens[i + 1]] = counts.get((tokens[i], tokens[i + 1]), 0) + 1
    first, second = max(counts, key=counts.get)
    out = []
    for token in tokens:
        if out and out[-1] == first and token == second:
            out[-1] = new
        else:
            out.append(token)
    return out


def merged_in_text(tokens, new):
    text = "".join(map(chr, tokens))
    return [ord(letter) for letter in text.replace("".join(map(chr, commonest(tokens))), chr(new))]


def merged_in_place(tokens, new):
    pair, i = commonest(tokens), 0
    while i < len(tokens) - 1:
        if (tokens[i], tokens[i + 1]) == pair:
            tokens[i : i + 2] = [new]
        i += 1
    return tokens


def merged_from_array(tokens, new):
    array = np.array(tokens)
    codes = array[:-1] * 100 + array[1:]
    values, counts = np.unique(codes, return_counts=True)
    hits, keep = codes == values[counts.argmax()], np.ones(len(array), bool)
    for i in range(len(hits)):
        if hits[i]:
            array[i], keep[i + 1] = new, False
            hits[i + 1 : i + 2] = False
    return array[keep]


def cross(q, k, v, present, masked=-np.inf, scale=None, absent=0.0):
    scores = q @ k.swapaxes(-1, -2) / (scale or np.sqrt(q.shape[-1]))
    scores = np.where(present[:, None, None], scores, masked)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    seen = weights / weights.sum(axis=-1, keepdims=True) @ v
    return np.where(present.any(axis=1)[:, None, None, None], seen, absent)


def cross_by_product(q, k, v, present):
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True)) * present[:, None, None]
    return weights @ v / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-30)


def cross_by_einsum(q, k, v, present):
    fit = np.exp(np.einsum("bhnd,bhld->bhnl", q, k) / q.shape[-1] ** 0.5) * present[:, None, None, :]
    total = fit.sum(-1, keepdims=True)
    return np.einsum("bhnl,bhlv->bhnv", np.divide(fit, total, out=np.zeros_like(fit), where=total > 0), v)


def cross_by_loops(q, k, v, present):
    out = np.zeros((*q.shape[:3], v.shape[-1]))
    for b, h, n in np.ndindex(q.shape[:3]):
        if present[b].any():
            words = k[b, h][present[b]]
            fit = np.exp(words @ q[b, h, n] / np.sqrt(q.shape[-1]))
            out[b, h, n] = fit / fit.sum() @ v[b, h][present[b]]
    return out


def cross_in_place(q, k, v, present):
    q /= np.sqrt(q.shape[-1])
    v[~present[:, None].repeat(v.shape[1], 1)] = 0
    fit = np.exp(q @ k.transpose(0, 1, 3, 2))
    fit[np.broadcast_to(~present[:, None, None], fit.shape)] = 0
    return fit @ v / (fit.sum(axis=-1, keepdims=True) + (fit.sum(axis=-1, keepdims=True) == 0))


def mix(c, g, phi, axes=(1, 2, 3, 4)):
    return phi * g * c.std(axes, keepdims=True) / g.std(axes, keepdims=True) + (1 - phi) * g


def plain(c, u, s):
    return u + spread(s) * (c - u)


def guide_by_loops(c, u, s, phi):
    out = np.empty_like(c)
    for b in range(len(c)):
        for t in range(c.shape[1]):
            out[b, t] = (1 - s[b, t]) * u[b, t] + s[b, t] * c[b, t]
        out[b] *= 1 + phi * (c[b].std() / out[b].std() - 1)
    return out


def guide_flat(c, u, s, phi):
    g = np.einsum("bt...,bt->bt...", c - u, s) + u
    flat_c, flat_g = (x.reshape(len(x), -1) for x in (c, g))
    ratio = np.sqrt(flat_c.var(1) / flat_g.var(1))
    return g * (phi * ratio + (1 - phi)).reshape(-1, 1, 1, 1, 1)


def guide_in_place(c, u, s, phi):
    deviation = [each.std(ddof=1) for each in c]
    c -= u
    c *= s[..., None, None, None]
    c += u
    for each, wanted in zip(c, deviation):
        each *= phi * wanted / each.std(ddof=1) + (1 - phi)
    return c


def rise_by_hand(right, wrong):
    rises = [b - a for a, b in zip(right, wrong)]
    mean = sum(rises) / len(rises)
    return [mean, (sum((rise - mean) ** 2 for rise in rises) / (len(rises) - 1) / len(rises)) ** 0.5]


def rise_by_covariance(right, wrong):
    (a, both), (_, b) = np.cov(right, wrong)
    return np.array([wrong.mean() - right.mean(), ((a + b - 2 * both) / len(right)) ** 0.5])


def rise_in_place(right, wrong):
    wrong -= right
    return wrong.mean(), (wrong.var(ddof=1) / wrong.size) ** 0.5


def said(captions):
    """(B, 2) digits and directions in the order of the caption."""
    found = [re.findall(r"a (\d) (\w+)", caption) for caption in captions]
    return np.array([[[int(digit), DIRECTIONS.index(word)] for digit, word in each] for each in found])


def by_words(captions, digits):
    out = []
    for caption, pair in zip(captions, digits):
        words = caption.split()
        out.append([DIRECTIONS.index(words[words.index(str(digit)) + 1]) for digit in pair])
    return out


def by_swap(captions, digits):
    numbers, directions = np.moveaxis(said(captions), -1, 0)
    same = (numbers == digits)[:, :1]
    return np.where(same, directions, directions[:, ::-1])


def by_dictionary(captions, digits):
    return np.array([[dict(known)[digit] for digit in pair] for known, pair in zip(said(captions), np.asarray(digits))])


def by_gather(captions, digits):
    numbers, directions = np.moveaxis(said(captions), -1, 0)
    table = np.zeros((len(captions), 10), np.int8)
    np.put_along_axis(table, numbers, directions.astype(np.int8), axis=1)
    return np.take_along_axis(table, digits, axis=1)


def nearly(captions, digits):
    """As a reader that errs once in 20: the first three captions."""
    answers = by_swap(captions, digits)
    answers[:3] = (answers[:3] + 1) % 4
    return answers.astype(np.float32)


RIGHT = {
    "ch08_merge": [merged_by_index, merged_by_dictionary, merged_in_text, merged_in_place, merged_from_array],
    "ch08_cross": [
        lambda q, k, v, present: cross(q, k, v, present, masked=-1e30),
        cross_by_product,
        cross_by_einsum,
        cross_by_loops,
        cross_in_place,
        lambda *inputs: cross_by_product(*(x.astype(np.float32) for x in inputs)),
    ],
    "ch08_guide": [
        lambda c, u, s, phi: mix(c, plain(c, u, s), phi),
        guide_by_loops,
        guide_flat,
        guide_in_place,
        lambda c, u, s, phi: mix(*(x.astype(np.float32) for x in (c, plain(c, u, s))), phi).tolist(),
    ],
    "ch08_rise": [
        lambda right, wrong: ((wrong - right).mean(), np.std(wrong - right, ddof=1) / len(right) ** 0.5),
        rise_by_hand,
        rise_by_covariance,
        rise_in_place,
        lambda right, wrong: rise_by_hand(right.astype(np.float32), wrong.astype(np.float32)),
    ],
    "ch08_bind": [by_words, by_swap, by_dictionary, by_gather, nearly],
}

WRONG = {
    "ch08_merge": [
        lambda tokens, new: [*tokens, new],  # added, not replaced
        lambda tokens, new: [new if token == commonest(tokens)[0] else token for token in tokens],  # one of the two
        lambda tokens, new: merged_by_index(tokens[::-1], new)[::-1],  # the pair turned round where it counts
        lambda tokens, new: merged_by_index(tokens, tokens[0]),  # not the new number
        lambda tokens, new: [  # both stay
            part
            for i, token in enumerate(tokens)
            for part in ([new, token] if tuple(tokens[i : i + 2]) == commonest(tokens) else [token])
        ],
        lambda tokens, new: [
            new if pair == commonest(tokens) else pair[0] for pair in pairwise(tokens)
        ],  # none left out
    ],
    "ch08_cross": [
        lambda q, k, v, present: cross(q, k, v, np.ones_like(present)),  # padding seen
        lambda q, k, v, present: cross(q, k, v, present, masked=0.0),  # a score of 0 isn't nothing
        lambda q, k, v, present: softmax(q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5) * present[:, None, None] @ v,
        lambda q, k, v, present: cross(q, k, v, present, scale=1.0),  # no scale
        lambda q, k, v, present: cross(q, k, v, present, scale=v.shape[-1] ** 0.5),
        lambda q, k, v, present: cross(q, k, v, present, absent=np.nan),  # nothing by nothing
        lambda q, k, v, present: cross(  # a clip without words sees all of them
            q, k, v, present | ~present.any(axis=1, keepdims=True)
        ),
    ],
    "ch08_guide": [
        lambda c, u, s, phi: plain(c, u, s),  # not scaled again
        lambda c, u, s, phi: mix(c, c + spread(s) * (c - u), phi),  # counted from the caption: one too much
        lambda c, u, s, phi: mix(c, plain(u, c, s), phi),  # exchanged
        lambda c, u, s, phi: mix(c, plain(c, u, s), 1 - phi),
        lambda c, u, s, phi: mix(u, plain(c, u, s), phi),  # the spread of the other one
        lambda c, u, s, phi: mix(c, plain(c, u, s), phi, axes=(0, 1, 2, 3, 4)),  # of all clips together
        lambda c, u, s, phi: mix(c, plain(c, u, s), phi, axes=(2, 3, 4)),  # of each frame
    ],
    "ch08_rise": [
        lambda right, wrong: ((right - wrong).mean(), (wrong - right).std(ddof=1) / len(right) ** 0.5),
        lambda right, wrong: ((wrong - right).mean(), (wrong - right).std(ddof=1)),  # of one clip
        lambda right, wrong: ((wrong - right).mean(), (wrong - right).std() / len(right) ** 0.5),  # one degree too many
        lambda right, wrong: ((wrong - right).mean(), (wrong - right).std(ddof=1) / len(right)),  # no root
        lambda right, wrong: (  # not paired
            (wrong - right).mean(),
            ((wrong.var(ddof=1) + right.var(ddof=1)) / len(right)) ** 0.5,
        ),
    ],
    "ch08_bind": [
        lambda captions, digits: said(captions)[..., 1],  # in the order of the caption, whatever is asked
        lambda captions, digits: by_swap(captions, digits)[:, ::-1],  # exchanged
        lambda captions, digits: by_swap(captions, digits)[:, :1].repeat(2, axis=1),  # one for both
        lambda captions, digits: np.sort(by_swap(captions, digits), axis=1),  # a bag of words
        lambda captions, digits: by_swap(captions, digits)[:, 0],  # of the first digit only
        lambda captions, digits: np.full(np.shape(digits), 0),
    ],
}
