"""Answers to the exercises of chapter 5: right ones of several styles, and the mistakes that people make."""

import functools

import numpy as np


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def attend(q, k, v, scale=None):
    return softmax(q @ k.swapaxes(-1, -2) / (scale or np.sqrt(q.shape[-1]))) @ v


def repeated(q, k, v, scale=None):
    times = len(q) // len(k)
    return attend(q, k.repeat(times, axis=0), v.repeat(times, axis=0), scale)


def grouped_by_heads(q, k, v):
    times = len(q) // len(k)
    return [attend(q[h], k[h // times], v[h // times]) for h in range(len(q))]


def grouped_by_loops(q, k, v):
    out = np.zeros((*q.shape[:2], v.shape[-1]))
    for h, i in np.ndindex(q.shape[:2]):
        group = h * len(k) // len(q)
        scores = [np.dot(q[h, i], key) / q.shape[-1] ** 0.5 for key in k[group]]
        fits = [np.exp(score - max(scores)) for score in scores]
        out[h, i] = sum(fit / sum(fits) * value for fit, value in zip(fits, v[group]))
    return out


def grouped_by_einsum(q, k, v):
    q = q.reshape(len(k), -1, *q.shape[1:])
    weights = softmax(np.einsum("grnd,gmd->grnm", q, k) * q.shape[-1] ** -0.5)
    return np.einsum("grnm,gmv->grnv", weights, v).reshape(-1, q.shape[2], v.shape[2])


def grouped_in_place(q, k, v):
    times = len(q) // len(k)
    q /= np.sqrt(q.shape[-1])
    scores = q @ np.repeat(k, times, axis=0).transpose(0, 2, 1)
    scores -= scores.max(axis=2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=2, keepdims=True)
    return scores @ np.repeat(v, times, axis=0)


def overflowing(q, k, v):
    times = len(q) // len(k)
    weights = np.exp(q @ k.repeat(times, 0).swapaxes(-1, -2) / np.sqrt(q.shape[-1]))
    return weights / weights.sum(axis=-1, keepdims=True) @ v.repeat(times, 0)


def pulled(q, k, v, bias, grad, scale=None, row_sum=True, biased=True):
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    weights = softmax(q @ k.T / np.sqrt(q.shape[-1]) + (bias if biased else 0))
    weights_grad = grad @ v.T
    along = (weights_grad * weights).sum(axis=-1, keepdims=True) if row_sum else 0
    scores_grad = weights * (weights_grad - along)
    return scores_grad @ k * scale, scores_grad.T @ q * scale, weights.T @ grad, scores_grad


def pulled_from_output(q, k, v, bias, grad):
    weights = softmax(q @ k.T / np.sqrt(q.shape[-1]) + bias)
    along = np.sum(grad * (weights @ v), axis=1)[:, None]
    scores_grad = weights * (grad @ v.T - along)
    return [scores_grad @ k / q.shape[1] ** 0.5, scores_grad.T @ q / q.shape[1] ** 0.5, weights.T @ grad, scores_grad]


def pulled_by_jacobian(q, k, v, bias, grad):
    weights = softmax(q @ k.T / np.sqrt(q.shape[-1]) + bias)
    jacobian = np.einsum("ij,jk->ijk", weights, np.eye(len(k))) - np.einsum("ij,ik->ijk", weights, weights)
    scores_grad = np.einsum("iv,jv,ijk->ik", grad, v, jacobian)
    scale = q.shape[-1] ** -0.5
    return (scale * scores_grad @ k, scale * scores_grad.T @ q, np.einsum("ij,iv->jv", weights, grad), scores_grad)


def pulled_by_queries(q, k, v, bias, grad):
    gradients = [np.zeros_like(array) for array in (q, k, v, bias)]
    for i in range(len(q)):
        scores = k @ q[i] / len(q[i]) ** 0.5 + bias[i]
        weights = np.exp(scores - scores.max())
        weights /= weights.sum()
        per_key = v @ grad[i]
        slope = weights * (per_key - per_key @ weights)
        gradients[0][i] = slope @ k / len(q[i]) ** 0.5
        gradients[1] += np.outer(slope, q[i]) / len(q[i]) ** 0.5
        gradients[2] += np.outer(weights, grad[i])
        gradients[3][i] = slope
    return gradients


def merge(parts, rescale=(True, True)):
    top = np.max([part[0] for part in parts], axis=0)
    factors = [np.exp(part[0] - top) for part in parts]
    total = sum(part[1] * (factor if rescale[0] else 1) for part, factor in zip(parts, factors))
    return top, total, sum(part[2] * (factor if rescale[1] else 1) for part, factor in zip(parts, factors))


def merge_two(first, second):
    top = np.maximum(first[0], second[0])
    with np.errstate(invalid="ignore"):
        shrink = [np.where(np.isneginf(each[0]), 0, np.exp(each[0] - top)) for each in (first, second)]
    return [top] + [first[i] * shrink[0] + second[i] * shrink[1] for i in (1, 2)]


def merge_step(first, second):
    top = np.maximum(first[0], second[0])
    with np.errstate(invalid="ignore"):
        shrink = [np.exp(each[0] - top) for each in (first, second)]
    return [top] + [first[i] * shrink[0] + second[i] * shrink[1] for i in (1, 2)]


def merge_stacked(parts):
    tops, totals, outs = (np.stack(arrays) for arrays in zip(*parts))
    factors = np.exp(tops - tops.max(0))
    return tops.max(0), (totals * factors).sum(0), np.einsum("pqv,pqo->qv", outs, factors)


def merge_without_empty(parts):
    kept = [part for part in parts if part[1].any()]
    return tuple(functools.reduce(merge_two, kept))


def merge_with_logarithms(parts):
    logs = np.array([part[0] + np.log(np.maximum(part[1], 1e-300)) for part in parts])
    top = np.max([part[0] for part in parts], axis=0)
    total = np.exp(logs - top).sum(axis=0)
    means = [part[2] / np.maximum(part[1], 1e-300) for part in parts]
    return top, total, sum(np.exp(log - top) * mean for log, mean in zip(logs, means))


def merge_in_place(parts):
    top = functools.reduce(np.maximum, (part[0] for part in parts))
    for its, total, out in parts:
        total *= np.exp(its - top)
        out *= np.exp(its - top)
    return np.array(top, np.float32), sum(part[1] for part in parts), sum(part[2] for part in parts)


def window(query, key, frames, first=True):
    ago = query[:, None] - key
    return ((ago >= 0) & (ago < frames)) | ((key == 0) & first)


def window_by_loops(query, key, frames):
    return [[j == 0 or (j <= i and i - j < frames) for j in key] for i in query]


def window_in_place(query, key, frames):
    mask = np.less_equal.outer(key, query).T
    mask[query[:, None] - key >= frames] = False
    mask[:, key == 0] = True
    return mask


RIGHT = {
    "ch05_attention": [
        repeated,
        grouped_by_heads,
        grouped_by_loops,
        grouped_by_einsum,
        grouped_in_place,
    ],
    "ch05_merge": [
        merge,
        merge_stacked,
        lambda parts: functools.reduce(merge_two, parts),
        merge_without_empty,
        merge_with_logarithms,
        merge_in_place,
    ],
    "ch05_pullback": [
        pulled,
        pulled_from_output,
        pulled_by_jacobian,
        pulled_by_queries,
        lambda *arrays: list(pulled(*(array.astype(np.float32) for array in arrays))),
    ],
    "ch05_visible": [
        window,
        window_by_loops,
        window_in_place,
        lambda query, key, frames: window(query, key, frames).astype(np.int8),
        lambda query, key, frames: (key == 0) | (np.clip(query[:, None] - key, -1, frames) % (frames + 1) < frames),
        lambda query, key, frames: np.isin(query[:, None] - key, range(frames)) | np.logical_not(key),
    ],
}

WRONG = {
    "ch05_attention": [
        lambda q, k, v: repeated(q, k, v, scale=1),  # no scale
        lambda q, k, v: repeated(q, k, v, scale=np.sqrt(v.shape[-1])),  # the scale of another width
        lambda q, k, v: repeated(q, k, v, scale=q.shape[-1]),
        lambda q, k, v: attend(  # heads in turn, not in groups
            q, np.tile(k, (len(q) // len(k), 1, 1)), np.tile(v, (len(q) // len(k), 1, 1))
        ),
        overflowing,
        lambda q, k, v: repeated(q, k, v).swapaxes(1, 2),
        lambda q, k, v: attend(q, k[:1], v[:1]),  # one head for all
    ],
    "ch05_merge": [
        lambda parts: merge(parts, (False, False)),  # not brought to one maximum
        lambda parts: merge(parts, (True, False)),  # the output forgotten
        lambda parts: merge(parts, (False, True)),
        lambda parts: merge(parts[:2]),
        lambda parts: functools.reduce(merge_step, parts),  # -inf minus -inf, where two machines held no key
        lambda parts: (*merge(parts)[:2], merge(parts)[2] / merge(parts)[1]),  # divided already
        lambda parts: tuple(np.sum([part[i] for part in parts], axis=0) for i in range(3)),
        lambda parts: tuple(  # -inf minus -inf
            functools.reduce(
                lambda a, b: (
                    [np.maximum(a[0], b[0])]
                    + [a[i] * np.exp(a[0] - np.maximum(a[0], b[0])) + b[i] * np.exp(b[0] - b[0].max()) for i in (1, 2)]
                ),
                parts,
            )
        ),
    ],
    "ch05_pullback": [
        lambda q, k, v, bias, grad: pulled(q, k, v, bias, grad, scale=1),  # no scale
        lambda q, k, v, bias, grad: pulled(q, k, v, bias, np.ones_like(grad)),  # gradient of a sum
        lambda q, k, v, bias, grad: pulled(q, k, v, bias, grad, row_sum=False),
        lambda q, k, v, bias, grad: pulled(q, k, v, bias, grad, biased=False),  # as the chapter has it
        lambda q, k, v, bias, grad: pulled(q, k, v, bias, grad)[:3],  # none for the bias
        lambda q, k, v, bias, grad: (  # the scale once too often
            *pulled(q, k, v, bias, grad)[:3],
            pulled(q, k, v, bias, grad)[3] / q.shape[-1] ** 0.5,
        ),
        lambda q, k, v, bias, grad: (*pulled(q, k, v, bias, grad)[:3], grad @ v.T),  # that of the weights
    ],
    "ch05_visible": [
        lambda query, key, frames: window(query, key, frames + 1),  # one frame too many
        lambda query, key, frames: window(query, key, frames, first=False),
        lambda query, key, frames: window(query, key, frames).T,
        lambda query, key, frames: window(query, key, 99),  # no window
        lambda query, key, frames: np.abs(query[:, None] - key) < frames,  # the future
        lambda query, key, frames: window(query, key, frames) & (key <= query[:, None] - 1),  # not its own
    ],
}
