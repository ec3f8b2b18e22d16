"""Every check refuses an empty stub and the mistakes that people make; right answers pass, by the solutions' tests."""

import numpy as np
import pytest

from minivdit.lab.lessons import check

CHECKS = {name: thing for name, thing in vars(check).items() if name.startswith("ch") and callable(thing)}


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def softmax_gradient(x, grad):
    weights = softmax(x)
    return weights * (grad - (grad * weights).sum(axis=-1, keepdims=True))


def attention_gradients(q, k, v, grad, scale=None, row_sum=True):
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    weights = softmax(q @ k.T / np.sqrt(q.shape[-1]))
    weights_grad = grad @ v.T
    along = (weights_grad * weights).sum(axis=-1, keepdims=True) if row_sum else 0
    scores_grad = weights * (weights_grad - along)
    return scores_grad @ k * scale, scores_grad.T @ q * scale, weights.T @ grad


def check_by_sum(operation, x):
    """The trap: a gradient check with a cotangent of ones."""
    value, pullback = operation(x)
    got, ones, step = pullback(np.ones_like(value)), np.zeros_like(x), 1e-5
    for index in np.ndindex(x.shape):
        ones[...] = 0
        ones[index] = step
        expected = (operation(x + ones)[0] - operation(x - ones)[0]).sum() / (2 * step)
        if abs(got[index] - expected) > 1e-6:
            return False
    return True


def unscaled(first, second):
    """Two tiles added without bringing them to one maximum."""
    return tuple(combine(a, b) for combine, a, b in zip((np.maximum, np.add, np.add), first, second))


def output_not_scaled(first, second):
    (top1, total1, out1), (top2, total2, out2) = first, second
    top = np.maximum(top1, top2)
    return top, total1 * np.exp(top1 - top) + total2 * np.exp(top2 - top), out1 + out2


def moments(video):
    """(B, T, 2): the sum of ink times place, as (y, x)."""
    return np.einsum("bthw,ihw->bti", video[..., 0], np.indices(video.shape[2:4]))


def overflowing(q, k, v):
    weights = np.exp(q @ k.T / np.sqrt(q.shape[-1]))
    return weights / weights.sum(axis=1, keepdims=True) @ v


def boxes(clip, patch, order):
    """(T, H, W, C) cut into boxes, and the axes (t, pt, y, ph, x, pw, C) put into an order."""
    split = [part for length, side in zip(clip.shape, patch) for part in (length // side, side)]
    return clip.reshape(*split, clip.shape[-1]).transpose(order).reshape(-1, int(np.prod(patch)) * clip.shape[-1])


def turned(x, angle):
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def surprise(logits, labels):
    return -np.log(softmax(logits)[np.arange(len(labels)), labels])


def convolved(image, kernel, stride):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.einsum("yxcij,ijco->yxo", windows, kernel)


def adam_step(weight, gradient, mean, square, step, rate, decay, late=0, through=0.0, betas=(0.9, 0.99)):
    gradient = gradient + through * weight  # decay as part of the gradient
    mean = betas[0] * mean + (1 - betas[0]) * gradient
    square = betas[1] * square + (1 - betas[1]) * gradient**2
    unbiased = (array / (1 - beta ** (step + late)) for array, beta in zip((mean, square), betas))
    return weight * (1 - rate * decay) - rate * next(unbiased) / (np.sqrt(next(unbiased)) + 1e-8), mean, square


def counted(labels, read, weight=1):
    matrix = np.zeros((10, 10))
    np.add.at(matrix, (labels, read), weight)
    return matrix


def counted_once(labels, read):
    matrix = np.zeros((10, 10))
    matrix[labels, read] += 1
    return matrix


def standardised(x, axis=-1, eps=1e-6, ddof=0):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, ddof=ddof, keepdims=True) + eps)


def per_frame(a):
    return a[:, :, None]


def best_guess(x, data, alpha, sigma):
    square = ((x[:, None] - alpha * data) ** 2).sum(-1)
    return softmax(-square / (2 * sigma**2)) @ data


def best_guess_that_vanishes(x, data, alpha, sigma):
    weights = np.exp(-((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2))
    return weights @ data / weights.sum(axis=1, keepdims=True)


def ddpm_deviations(beta, before):
    return np.sqrt((1 - before) / (1 - np.cumprod(1 - beta)) * beta)


def mean_distance(a, b, power=1):
    return (np.linalg.norm(a[:, None] - b, axis=-1) ** power).mean()


def spread(level):
    return level[:, :, None, None, None]


def numbered(captions, words, length, first=2, start=True):
    tokens = np.zeros((len(captions), length), int)
    for row, caption in zip(tokens, captions):
        numbers = [1] * start + [first + words.index(word) for word in caption.split()]
        row[: len(numbers)] = numbers
    return tokens


def decibels(a, b, axis=None):
    return 10 * np.log10(1 / ((a - b) ** 2).mean(axis))


def fewer_numbers(patches, kept, mean=None):
    mean = patches.mean(axis=0) if mean is None else mean
    directions = np.linalg.svd(patches - mean, full_matrices=False)[2][kept]
    return (patches - mean) @ directions.T @ directions + mean


def unit(raw, axis, deviation=np.std):
    mean, spread = raw.mean(axis), deviation(raw, axis)
    return (raw - raw.mean(axis, keepdims=True)) / deviation(raw, axis, keepdims=True), mean, spread


def around(angle):
    """The size of angles, the short way round: radians in [0, pi]."""
    return np.abs(np.angle(np.exp(1j * angle)))


def pairs_away(hue):
    return around(hue[:, :, None] - hue[:, None, :])  # (B, T, T)


def handed_on(own, before, new):
    noise = own.copy()
    for t in range(1, own.shape[1]):
        noise[:, t] = before * noise[:, t - 1] + new * own[:, t]
    return noise


def interval(middle, half):
    return middle - half, middle + half


def boxed(grid, sides, shift=0):
    box = (np.indices(grid).reshape(3, -1).T + shift) // np.array(sides)
    return (box[:, None] == box[None, :]).all(axis=-1)


def in_turn(looks, keep=True):
    reached = np.eye(len(looks[0]), dtype=bool)
    for look in looks:
        reached = (look.astype(int) @ reached.astype(int) > 0) | (reached & keep)
    return reached


def far(step):
    """How many steps from each to each, (N, N)."""
    distance = np.where(np.eye(len(step), dtype=bool), 0, np.where(step, 1, np.inf))
    for middle in range(len(step)):
        distance = np.minimum(distance, distance[:, middle, None] + distance[None, middle])
    return distance


def by_distance(weights, frame, combine):
    away = np.abs(frame[:, None] - frame[None, :])
    return np.array([combine(weights[away == d]) for d in range(frame.max() + 1)])


def online(state, scores, values, shrink_total=True, shrink_out=True, old=False, divide=False):
    highest, total, out = state
    higher = scores.max() if old else max(highest, scores.max())
    shrink, weights = np.exp(highest - higher), np.exp(scores - higher)
    total = total * (shrink if shrink_total else 1) + weights.sum()
    out = out * (shrink if shrink_out else 1) + weights @ values
    return higher, total, out / total if divide else out


def causal_with(x, kernel, before, after=0, begin=0):
    """Kernel, newest first, over the clip with frames put before and after it; every second one."""
    padded = np.concatenate([before, x, x[-1:].repeat(after, axis=0)])
    return sum(kernel[j] * padded[2 - j : len(padded) - j] for j in range(3))[begin::2]


def binned(error, level, bins, given=False, reduce=np.mean):
    number = np.where((level > 0) | given, np.minimum((level * bins).astype(int), bins - 1), -1)
    return np.array([reduce(error[number == k]) for k in range(bins)])


def strength(places, law, centre=True):
    if centre:
        places, law = places - places.mean(axis=1, keepdims=True), law - law.mean(axis=0)
    return (places * law).sum(axis=(1, 2)) / (law**2).sum()


MISTAKES = {
    "ch00_backwards": [lambda v: v[::-1], lambda v: v[:, :, ::-1], lambda v: v],
    "ch00_beside": [
        lambda a, b: np.concatenate([b, a], axis=3),  # exchanged
        lambda a, b: np.concatenate([a, b], axis=2),
    ],
    "ch00_centre": [
        lambda v: moments(np.ones_like(v)) / v[0, 0].size,  # of the canvas
        moments,  # not divided by the ink
        lambda v: (moments(v) / v.sum((2, 3)))[..., ::-1],  # (x, y)
        lambda v: moments(v) / v.sum((1, 2, 3))[:, None],  # divided by the ink of all frames
    ],
    "ch01_sine": [
        lambda x: (np.sin(x), lambda grad: grad * -np.cos(x)),
        lambda x: (np.sin(x), lambda grad: np.cos(x)),  # the gradient of a sum
        lambda x: (np.sin(x), lambda grad: grad * np.sin(x)),
        lambda x: (np.sin(x), np.cos(x)),  # a slope, not a function
        lambda x: np.sin(x),
    ],
    "ch01_matmul": [
        lambda a, b: (a @ b, lambda grad: ((grad @ b.T).T, (a.T @ grad).T)),  # transposed
        lambda a, b: (a @ b, lambda grad: (a.T @ grad, grad @ b.T)),  # exchanged
        lambda a, b: (a @ b, lambda grad: (np.ones_like(grad) @ b.T, a.T @ np.ones_like(grad))),  # gradient of a sum
        lambda a, b: (a @ b, lambda grad: grad @ b.T),  # one is missing
        lambda a, b: (b.T @ a.T, lambda grad: (grad.T @ b.T, a.T @ grad.T)),
    ],
    "ch01_softmax": [
        lambda x: (softmax(x), lambda grad: np.zeros_like(x)),  # the gradient of a sum, which is zero
        lambda x: (softmax(x), lambda grad: grad * softmax(x) * (1 - softmax(x))),  # each entry alone
        lambda x: (softmax(x.T).T, lambda grad: softmax_gradient(x.T, grad.T).T),  # over the other axis
        lambda x: (softmax(x), lambda grad: softmax(x) * (grad - (grad * softmax(x)).sum())),  # summed over rows, too
    ],
    "ch01_unbroadcast": [
        lambda grad, shape: grad.sum(axis=tuple(range(grad.ndim - len(shape)))),  # forgets the stretched axes
        lambda grad, shape: grad.reshape(-1)[: int(np.prod(shape))].reshape(shape),  # doesn't sum at all
        lambda grad, shape: np.broadcast_to(grad.mean(), shape),
    ],
    "ch01_gradcheck": [
        check_by_sum,
        lambda operation, x: True,
        lambda operation, x: False,
        lambda operation, x: bool(operation(x)[1](np.ones_like(x)).any()),
    ],
    "ch02_linear": [
        lambda x, weight, grad: (grad @ weight.T, grad.T @ x, grad.sum(0)),  # transposed
        lambda x, weight, grad: (grad @ weight.T, x.T @ grad, grad.sum(1)),  # over the other axis
        lambda x, weight, grad: (grad @ weight.T, x.T @ grad, grad.mean(0)),
        lambda x, weight, grad: (grad @ weight.T, x.T @ grad, grad),  # not summed
        lambda x, weight, grad: (np.ones_like(grad) @ weight.T, x.T @ np.ones_like(grad), np.ones_like(grad).sum(0)),
    ],
    "ch02_cross_entropy": [
        lambda logits, labels: surprise(logits, labels).mean(),  # the logarithm of 0
        lambda logits, labels: surprise(logits, labels).sum(),
        lambda logits, labels: -np.log(softmax(logits.T).T[np.arange(len(labels)), labels] + 1e-300).mean(),
        lambda logits, labels: -np.log(softmax(logits)[:, labels] + 1e-300).mean(),  # all pairs
        lambda logits, labels: -np.log(softmax(logits)[np.arange(len(labels)), labels] + 1e-9).mean(),
    ],
    "ch02_conv": [
        lambda image, kernel, stride: convolved(image, kernel[::-1, ::-1], stride),  # flipped
        lambda image, kernel, stride: convolved(image, kernel, 1)[:: stride + 1, :: stride + 1],
        lambda image, kernel, stride: convolved(image, kernel, stride)[:-1, :-1],  # the last window is missing
        lambda image, kernel, stride: convolved(image, kernel, stride).transpose(1, 0, 2),
        lambda image, kernel, stride: convolved(image, kernel, 1),  # no stride
        lambda image, kernel, stride: convolved(image, kernel[:, :, ::-1], stride),  # channels exchanged
    ],
    "ch02_adamw": [
        lambda *a: adam_step(*a, late=1),  # counted from 0
        lambda *a: adam_step(*a[:-1], 0.0, through=a[-1]),  # Adam with decay in the gradient
        lambda *a: adam_step(*a, betas=(0.9, 0.999)),
        lambda *a: adam_step(*a, late=1000),  # no correction
        lambda *a: adam_step(*a[:-1], 0.0),  # no decay
        lambda weight, gradient, mean, square, step, rate, decay: (weight - rate * gradient, mean, square),
    ],
    "ch02_confusion": [
        lambda labels, read: counted(read, labels),  # transposed
        counted_once,
        lambda labels, read: counted(labels, read) / len(labels),  # shares
        lambda labels, read: counted(labels, read) * (1 - np.eye(10)),  # mistakes only
    ],
    "ch03_mix": [
        lambda c, n, t: (1 - spread(t)) * n + spread(t) * c,  # exchanged
        lambda c, n, t: (1 - t.mean()) * c + t.mean() * n,  # one level for all
        lambda c, n, t: (1 - spread(t[:, :1])) * c + spread(t[:, :1]) * n,  # that of the first frame
        lambda c, n, t: np.sqrt(1 - spread(t) ** 2) * c + spread(t) * n,  # another process
        lambda c, n, t: (1 - spread(t[:, ::-1])) * c + spread(t[:, ::-1]) * n,  # frames in reverse
    ],
    "ch03_alpha_bar": [
        lambda beta: np.cumprod(np.r_[1, 1 - beta])[:-1],  # one step late
        lambda beta: np.cumprod(np.r_[1, 1 - beta]),
        lambda beta: np.sqrt(np.cumprod(1 - beta)),  # alpha
        lambda beta: np.cumprod(beta),
        lambda beta: 1 - np.cumsum(beta),
    ],
    "ch03_level_of": [
        lambda ratio: 1 / (1 + ratio),  # of amplitudes
        lambda ratio: np.sqrt(ratio) / (1 + np.sqrt(ratio)),  # upside down
    ],
    "ch03_clean": [
        lambda x, v, t: x + spread(t) * v,
        lambda x, v, t: x - v,  # the scale is missing
        lambda x, v, t: x + (1 - spread(t)) * v,  # the noise
        lambda x, v, t: (x - spread(t) * v) / (1 - spread(t)),  # as if it were the noise that is predicted
    ],
    "ch04_best": [
        best_guess_that_vanishes,
        lambda x, data, alpha, sigma: best_guess(x, data, 1, sigma),  # alpha forgotten
        lambda x, data, alpha, sigma: best_guess(x, data, alpha, sigma**0.5),  # sigma not squared
        lambda x, data, alpha, sigma: best_guess(x, data, alpha, sigma / 2**0.5),  # the half forgotten
        lambda x, data, alpha, sigma: data[((x[:, None] - alpha * data) ** 2).sum(-1).argmin(1)],  # the nearest
    ],
    "ch04_ddim_step": [
        lambda x, n, here, there: x - spread(here - there) * n,  # as if the noise were the velocity
        lambda x, n, here, there: (1 - spread(there)) * (x - spread(here) * n) + spread(there) * n,  # not divided
        lambda x, n, here, there: (1 - spread(here)) * (x - spread(there) * n) / (1 - spread(there)) + spread(here) * n,
        lambda x, n, here, there: (x - spread(here) * n) / (1 - spread(here)),  # clean at once
    ],
    "ch04_deviations": [
        np.sqrt,  # the paper's other choice
        lambda beta: ddpm_deviations(beta, np.cumprod(1 - beta)),  # off by one: no step between
        lambda beta: ddpm_deviations(beta, np.r_[1, np.cumprod(1 - beta)[:-1]]) ** 2,  # variances
        lambda beta: ddpm_deviations(beta, np.r_[1, np.cumprod(1 - beta)[:-1]])[::-1],  # as they are walked
    ],
    "ch04_energy": [
        lambda a, b: mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b),  # the 2 forgotten
        lambda a, b: 2 * mean_distance(a, b, 2) - mean_distance(a, a, 2) - mean_distance(b, b, 2),  # squares
        lambda a, b: np.sqrt(2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)),
        lambda a, b: np.linalg.norm(a.mean(0) - b.mean(0)),  # of the means
    ],
    "ch05_attention": [
        lambda q, k, v: softmax(q @ k.T) @ v,  # no scale
        lambda q, k, v: softmax(q @ k.T / np.sqrt(v.shape[-1])) @ v,  # the scale of another width
        lambda q, k, v: softmax(q @ k.T / q.shape[-1]) @ v,
        lambda q, k, v: softmax((q @ k.T / np.sqrt(q.shape[-1])).T).T @ v,  # over the queries
        overflowing,
        lambda q, k, v: (softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v).T,
    ],
    "ch05_pullback": [
        lambda q, k, v, grad: attention_gradients(q, k, v, grad, scale=1),  # no scale
        lambda q, k, v, grad: attention_gradients(q, k, v, np.ones_like(grad)),  # gradient of a sum
        lambda q, k, v, grad: attention_gradients(q, k, v, grad, row_sum=False),
        lambda q, k, v, grad: tuple(g.T for g in attention_gradients(q, k, v, grad)),
        lambda q, k, v, grad: attention_gradients(q, k, v, grad)[::-1],
    ],
    "ch05_merge": [unscaled, output_not_scaled, lambda first, second: first],
    "ch06_patchify": [
        lambda clip, patch: clip.reshape(-1, int(np.prod(patch)) * clip.shape[-1]),  # no transpose
        lambda clip, patch: boxes(clip, patch, (2, 0, 4, 1, 3, 5, 6)),  # y before t
        lambda clip, patch: boxes(clip, patch, (0, 4, 2, 1, 3, 5, 6)),  # x before y
        lambda clip, patch: boxes(clip, patch, (0, 2, 4, 1, 5, 3, 6)),  # transposed inside the patch
        lambda clip, patch: boxes(clip, patch, (0, 2, 4, 6, 1, 3, 5)),  # channels first
    ],
    "ch06_places": [
        lambda grid: np.indices(grid).reshape(-1, 3),  # not transposed
        lambda grid: np.indices(grid).reshape(3, -1).T[:, ::-1],  # x, y, t
        lambda grid: np.indices(grid).reshape(3, -1).T + 1,  # counted from 1
    ],
    "ch06_rotate": [
        lambda x, angle: turned(x, -angle),
        lambda x, angle: turned(x, 2 * angle),
        lambda x, angle: x * np.concatenate([np.cos(angle)] * 2, axis=-1),
        lambda x, angle: np.stack(  # neighbours as pairs
            [
                x[:, ::2] * np.cos(angle) - x[:, 1::2] * np.sin(angle),
                x[:, ::2] * np.sin(angle) + x[:, 1::2] * np.cos(angle),
            ],
            axis=-1,
        ).reshape(x.shape),
    ],
    "ch06_tokens": [
        lambda frames, height, width, factor, patch: frames * height * width // (factor**3 * np.prod(patch)),
        lambda frames, height, width, factor, patch: frames * height * width // (factor * np.prod(patch)),
        lambda frames, height, width, factor, patch: frames * height * width // factor**2,
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
    "ch07_gate": [
        lambda x, gate, branch, grad: (grad, grad * branch, grad * gate),  # not summed over tokens
        lambda x, gate, branch, grad: (grad, (grad * branch).mean(2, keepdims=True), grad * gate),
        lambda x, gate, branch, grad: (grad, branch.sum(2, keepdims=True), 0 * grad + gate),  # gradient of a sum
        lambda x, gate, branch, grad: (grad * (1 + gate), (grad * branch).sum(2, keepdims=True), grad * gate),
        lambda x, gate, branch, grad: (grad, (grad * branch).sum(1, keepdims=True), grad * gate),  # over frames
        lambda x, gate, branch, grad: (grad, (grad * branch).sum(2, keepdims=True), grad),  # gates of 1
    ],
    "ch07_parameters": [
        lambda width, ratio: (4 + 4 + 2 * ratio) * width**2,  # the modulation forgotten
        lambda width, ratio: (6 + 4 + 2 * ratio) * width**2,  # cross-attention forgotten
        lambda width, ratio: (6 + 4 + 4 + ratio) * width**2,  # up, but not down
        lambda width, ratio: (6 + 4 + 4 + 2 * ratio) * width,
    ],
    "ch08_encode": [
        lambda captions, words, length: numbered(captions, words, length, first=1),  # the first word is the start
        lambda captions, words, length: numbered(captions, words, length, start=False),
        lambda captions, words, length: numbered(captions, words, length)[:, ::-1],
        lambda captions, words, length: numbered(captions, words, length)[:, :-1],
    ],
    "ch08_cross": [
        lambda q, k, v, present: softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v,  # padding seen
        lambda q, k, v, present: softmax(q @ k.T / np.sqrt(q.shape[-1]) * present) @ v,  # a score of 0 isn't nothing
        lambda q, k, v, present: softmax(q @ k.T / np.sqrt(q.shape[-1])) * present @ v,  # not divided again
        lambda q, k, v, present: softmax(q @ k[present].T) @ v[present],  # no scale
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
    "ch09_psnr": [
        lambda a, b: 2 * decibels(a, b),  # 20 for 10
        lambda a, b: decibels(a, b) / 2,  # of the deviation
        lambda a, b: -decibels(a, b),
        lambda a, b: decibels(a, b, axis=(1, 2, 3)).mean(),  # the mean of decibels
        lambda a, b: 10 * np.log(1 / ((a - b) ** 2).mean()),
        lambda a, b: 10 * np.log10(1 / ((a - b) ** 2).sum()),
    ],
    "ch09_linear": [
        lambda patches, kept: fewer_numbers(patches, slice(kept), mean=np.float64(0)),  # the mean forgotten
        lambda patches, kept: fewer_numbers(patches, slice(kept)) - patches.mean(axis=0),  # and not put back
        lambda patches, kept: fewer_numbers(patches, slice(-kept, None)),  # the smallest directions
        lambda patches, kept: fewer_numbers(patches, slice(kept + 1)),
        lambda patches, kept: fewer_numbers(patches.T, slice(kept)).T,  # transposed
    ],
    "ch09_normalise": [
        lambda raw: unit(raw, (0, 1, 2, 3), np.var),  # by the variance
        lambda raw: unit(raw, (0, 1)),  # each cell by itself
        lambda raw: unit(raw, (0, 1, 2, 3, 4)),  # all channels together
        lambda raw: (raw / raw.std((0, 1, 2, 3)), *unit(raw, (0, 1, 2, 3))[1:]),  # the mean stays
        lambda raw: (raw * raw.std((0, 1, 2, 3)), *unit(raw, (0, 1, 2, 3))[1:]),
    ],
    "ch09_level": [
        lambda level, deviation: level,
        lambda level, deviation: level * deviation / (level * deviation + 1 - level),  # the other way
        lambda level, deviation: level / (level + deviation**2 * (1 - level)),  # variances on one side only
        lambda level, deviation: level / deviation,
    ],
    "ch09_tokens": [
        lambda frames, height, width: frames // 4 * (height // 16) * (width // 16),  # the first frame forgotten
        lambda frames, height, width: (1 + frames // 4) * (height // 8) * (width // 8),  # patches forgotten
        lambda frames, height, width: frames * (height // 16) * (width // 16),  # time not compressed
        lambda frames, height, width: (1 + frames // 4) * (height // 16) * (height // 16),  # a square
    ],
    "ch10_hue": [
        lambda hue: np.degrees(hue.max(axis=1) - hue.min(axis=1)),  # the circle forgotten
        lambda hue: pairs_away(hue).max(axis=(1, 2)),  # radians
        lambda hue: np.degrees(around(hue - hue[:, :1])).max(axis=1),  # from the first frame only
        lambda hue: np.degrees(around(np.diff(hue))).max(axis=1),  # from the frame before only
        lambda hue: np.degrees(pairs_away(hue)).mean(axis=(1, 2)),  # of all pairs
        lambda hue: np.degrees(pairs_away(hue)).max(axis=(0, 1)),  # frame by frame
        lambda hue: np.degrees(pairs_away(hue)).max(),  # all clips together
    ],
    "ch10_noise": [
        lambda own, share: handed_on(own, share, 1 - share),  # no root: the deviation falls below 1
        lambda own, share: handed_on(own, share**0.5, (1 - share) ** 0.5),  # the correlation is the root
        lambda own, share: handed_on(own, (1 - share**2) ** 0.5, share),  # exchanged
        lambda own, share: handed_on(np.insert(own, 0, 0, axis=1), share, (1 - share**2) ** 0.5)[:, 1:],  # from nothing
        lambda own, share: handed_on(own.swapaxes(0, 1), share, (1 - share**2) ** 0.5).swapaxes(
            0, 1
        ),  # from clip to clip
        lambda own, share: (
            share**0.5 * own[:, :1] + (1 - share) ** 0.5 * own
        ),  # in common with the first, and not 1 there
        lambda own, share: (
            share * np.roll(own, 1, axis=1) + (1 - share**2) ** 0.5 * own
        ),  # only once, the last to the first
    ],
    "ch10_left": [
        lambda inked: (inked[:, :-1] & ~inked[:, 1:]).mean(),  # of all patches
        lambda inked: (~inked[:, :-1] & inked[:, 1:]).sum() / inked[:, :-1].sum(),  # newly reached
        lambda inked: (inked & ~np.roll(inked, -1, axis=1)).sum() / inked.sum(),  # the last before the first
        lambda inked: (inked[:, :-1] & ~inked[:, 1:]).sum() / inked.sum(),  # the last frame counted
        lambda inked: (inked[:-1] & ~inked[1:]).sum() / inked[:-1].sum(),  # clips for frames
    ],
    "ch10_paired": [
        lambda a, b, t: interval((a - b).mean(), t * (a - b).std() / len(a) ** 0.5),  # divided by n
        lambda a, b, t: interval((a - b).mean(), t * (a - b).std(ddof=1)),  # of one run, not of the mean
        lambda a, b, t: interval((a - b).mean(), (a - b).std(ddof=1) / len(a) ** 0.5),  # t forgotten
        lambda a, b, t: interval((b - a).mean(), t * (a - b).std(ddof=1) / len(a) ** 0.5),
        lambda a, b, t: interval(
            (a - b).mean(), t * (a.var(ddof=1) + b.var(ddof=1)) ** 0.5 / len(a) ** 0.5
        ),  # as if the runs had nothing in common
    ],
    "ch11_windows": [
        lambda grid, sides: boxed(grid, sides[::-1]),  # the sides in reverse
        lambda grid, sides: boxed(grid[::-1], sides[::-1]),  # ordered x, y, t
        lambda grid, sides: boxed(grid, (sides[0], *grid[1:])),  # boxes in time only
        lambda grid, sides: boxed(grid, sides, shift=1),
        lambda grid, sides: ~boxed(grid, sides),
    ],
    "ch11_reach": [
        lambda looks: in_turn(looks[::-1]),  # last block first
        lambda looks: in_turn([look.T for look in looks]),  # transposed
        lambda looks: in_turn(looks, keep=False),  # no residual path
        lambda looks: in_turn(looks[:-1]),  # one block too few
        lambda looks: np.logical_or.reduce(looks) | np.eye(len(looks[0]), dtype=bool),  # one step only
    ],
    "ch11_distance": [
        lambda step: far(step).mean() * step.size / (step.size - len(step)),  # pairs with itself left out
        lambda step: far(step).mean() + 1,
        lambda step: far(step).max(),
        lambda step: np.where(np.isinf(far(step)), 0, far(step)).mean(),  # pairs without a way left out
    ],
    "ch11_spent": [
        lambda w, frame: by_distance(w, frame, np.mean),  # mean over the keys
        lambda w, frame: by_distance(w, frame, np.sum),  # not averaged over the queries
        lambda w, frame: (
            np.array([(w * (frame[:, None] - frame == d)).sum() for d in range(frame.max() + 1)]) / len(frame)
        ),  # one direction only
        lambda w, frame: np.cumsum(by_distance(w, frame, np.sum) / len(frame)),
    ],
    "ch12_pairs": [
        lambda grid: int(np.prod(grid)) ** 2,  # joint
        lambda grid: grid[0] * (grid[1] * grid[2]) ** 2,  # frames only
        lambda grid: grid[0] * grid[1] * grid[2] ** 2 + grid[1] * grid[2] * grid[0] ** 2,  # rows for frames
    ],
    "ch12_block": [
        lambda n, d: 12 * n * d**2 + 2 * n**2 * d,  # multiply-adds counted once
        lambda n, d: 24 * n * d**2 + 2 * n**2 * d,  # one product with the weights forgotten
        lambda n, d: 24 * n * d**2 + 4 * n**2,  # the width forgotten
        lambda n, d: 24 * n**2 * d + 4 * n * d**2,  # exchanged
    ],
    "ch12_crossing": [lambda d: 12 * d, lambda d: 3 * d, lambda d: d, lambda d: 6 * d + 1],
    "ch12_ratio": [
        lambda frames, places, d: frames**2,
        lambda frames, places, d: frames,
        lambda frames, places, d: (24 * frames * d + 4 * frames**2) / (24 * d + 4),  # tokens of a frame forgotten
    ],
    "ch13_online": [
        lambda state, s, v: online(state, s, v, shrink_total=False),
        lambda state, s, v: online(state, s, v, shrink_out=False),
        lambda state, s, v: online(state, s, v, old=True),  # the maximum of this tile, not of all
        lambda state, s, v: online(state, s, v, divide=True),
        lambda state, s, v: online((-1e30, 0.0, 0.0), s, v),  # forgets what was before
        lambda state, s, v: (0.0, state[1] + np.exp(s).sum(), state[2] + np.exp(s) @ v),  # overflows
    ],
    "ch13_traffic": [
        lambda queries, keys, width, own, size: size * width * (queries + 2 * queries // own * keys),  # not rounded up
        lambda queries, keys, width, own, size: size * width * (queries - (-queries // own) * keys),  # keys only
        lambda queries, keys, width, own, size: size * width * -(-queries // own) * (own + 2 * keys),  # tails as full
        lambda queries, keys, width, own, size: width * (queries - 2 * (-queries // own) * keys),  # numbers, not bytes
        lambda queries, keys, width, own, size: size * width * (queries - 2 * (-queries // own) * queries),
    ],
    "ch13_turns": [
        lambda a: np.bincount(a // 4 % 32).max(),  # a word wanted twice counted twice
        lambda a: np.bincount(np.unique(a) % 32).max(),  # bytes taken for words
        lambda a: len(np.unique(a // 4 % 32)),  # how many banks
        lambda a: np.bincount(np.unique(a // 4) % 16).max(),  # half of the banks
    ],
    "ch13_roofline": [
        lambda flops, size, peak, bandwidth: flops / peak + size / bandwidth,  # one after the other
        lambda flops, size, peak, bandwidth: min(flops / peak, size / bandwidth),
        lambda flops, size, peak, bandwidth: flops / min(peak, flops / size),  # without the bandwidth
        lambda flops, size, peak, bandwidth: max(flops / bandwidth, size / peak),
    ],
    "ch13_blocks": [
        lambda threads, shared, registers, limits: min(
            limits["threads"] // threads, limits["shared"] // shared, limits["registers"] // registers
        ),  # registers of one thread
        lambda threads, shared, registers, limits: min(limits["threads"] // threads, limits["shared"] // shared),
        lambda threads, shared, registers, limits: min(
            limits["threads"] / threads, limits["shared"] / shared, limits["registers"] / (registers * threads)
        ),  # parts of blocks
        lambda threads, shared, registers, limits: max(
            limits["threads"] // threads, limits["shared"] // shared, limits["registers"] // (registers * threads)
        ),
    ],
    "ch14_levels": [
        lambda steps, given: np.linspace(1, 0, steps)[:, None] * ~given,  # one level too few
        lambda steps, given: np.linspace(1, 0, steps + 1)[:, None] * given,  # the others
        lambda steps, given: np.linspace(0, 1, steps + 1)[:, None] * ~given,  # rising
        lambda steps, given: (np.linspace(1, 0, steps + 1)[:, None] * ~given).T,
        lambda steps, given: np.linspace(1, 0, steps + 2)[:-1, None] * ~given,  # doesn't reach 0
    ],
    "ch14_start": [
        lambda c, n, given, s: np.where(spread(given), n, (1 - s) * c + s * n),  # noise where it is given
        lambda c, n, given, s: np.where(spread(given), c, n),  # from nothing but noise
        lambda c, n, given, s: np.where(spread(given), c, s * c + (1 - s) * n),  # exchanged
        lambda c, n, given, s: (1 - s) * c + s * n,  # nothing given
        lambda c, n, given, s: np.where(spread(given[:1]), c, (1 - s) * c + s * n),  # those of the first clip
    ],
    "ch14_latents": [
        lambda known, f: known[:, ::f, ::f],  # one pixel of each
        lambda known, f: known.reshape(len(known), known.shape[1] // f, f, -1, f).any(axis=(2, 4)),
        lambda known, f: known.reshape(len(known), f, known.shape[1] // f, f, -1).all(axis=(1, 3)),  # cut the other way
        lambda known, f: known.reshape(len(known), known.shape[1] // f, f, -1, f).mean(axis=(2, 4)) > 0.5,
    ],
    "ch14_rounds": [
        lambda frames, wanted, window, context: [window - context] * -(-(wanted - frames) // (window - context)),
        lambda frames, wanted, window, context: [window] * ((wanted - frames) // window) + [(wanted - frames) % window],
        lambda frames, wanted, window, context: [wanted - frames],  # in one
        lambda frames, wanted, window, context: [1] * (wanted - frames),
        lambda frames, wanted, window, context: [context] * ((wanted - frames) // context),
    ],
    "ch15_causal": [
        lambda x, k: causal_with(x, k, x[[0, 0]] * 0),  # zeros before the beginning
        lambda x, k: causal_with(x, k[::-1], x[[0, 0]]),  # oldest first
        lambda x, k: causal_with(x, k, x[:1], after=1),  # centred: sees the next frame
        lambda x, k: causal_with(x, k, x[[0, 0]], begin=1),  # the odd times
        lambda x, k: causal_with(x, k, x[:0], after=2),  # from the future
    ],
    "ch15_tokens": [
        lambda t, h, w, in_time, in_space, side: t // in_time * (h // in_space // side) * (w // in_space // side),
        lambda t, h, w, in_time, in_space, side: (1 + (t - 1) // in_time) * (h // in_space) * (w // in_space),
        lambda t, h, w, in_time, in_space, side: (1 + t // in_time) * h * w // (in_space * side),
        lambda t, h, w, in_time, in_space, side: t * (h // in_space // side) * (w // in_space // side),
    ],
    "ch15_skiparse": [
        lambda n, k: (np.arange(n) % k, np.arange(n) // k),  # runs not taken modulo k
        lambda n, k: (np.arange(n) // k % k, np.arange(n) % k),  # exchanged
        lambda n, k: (np.arange(n) % k, np.arange(n) % k),
        lambda n, k: (np.arange(n) // -(-n // k), np.arange(n) // k % k),  # k stretches
    ],
    "ch15_strata": [
        lambda n, generator: generator.random(n),  # not in strata
        lambda n, generator: (np.arange(n) + generator.random(n)) / n,  # in order
        lambda n, generator: (generator.permutation(n) + 0.5) / n,  # the middles
        lambda n, generator: (generator.permutation(n) + 1 - generator.random(n) / 4) / n,
    ],
    "ch16_levels": [
        lambda error, level, bins: binned(error, level, bins, given=True),  # given frames counted
        lambda error, level, bins: binned(error, level, bins)[::-1],
        lambda error, level, bins: binned(error, level, bins, reduce=np.sum),
        lambda error, level, bins: binned(error, level.T.reshape(level.shape), bins),  # transposed
        lambda error, level, bins: binned(error, np.where(level == 1, 0, level), bins),  # level 1 left out
        lambda error, level, bins: binned(error, level * bins / (bins + 1), bins),  # off by one
    ],
    "ch16_strengths": [
        lambda places, law: strength(places, law, centre=False),  # the start taken for known
        lambda places, law: strength(places, law) * np.sqrt((law - law.mean(0)).ravel() @ (law - law.mean(0)).ravel()),
        lambda places, law: (places[:, -1] - places[:, 0]).sum(-1) / (law[-1] - law[0]).sum(),  # two places only
        lambda places, law: strength(places - places[:, :1], law - law[0], centre=False),  # the first place trusted
        lambda places, law: strength(places[..., :1], law[:, :1]),  # one axis only
        lambda places, law: 1 / strength(places, law),
    ],
    "ch16_floor": [
        lambda asked, seen: 1 / len(np.unique(asked)),  # only right for equal shares
        lambda asked, seen: (asked == seen).mean(),  # not dealt out
        lambda asked, seen: (asked[:, None] == asked).mean(),  # of perfect clips
        lambda asked, seen: (asked[:, None] == seen).sum() / len(asked),  # the sum over captions
        lambda asked, seen: (asked[:, None] == seen[seen >= 0]).mean(),  # clips without a shape left out
        lambda asked, seen: ((asked[:, None] == seen).sum() - (asked == seen).sum()) / (len(asked) * (len(asked) - 1)),
    ],
    "ch16_steps": [
        lambda flops, hours, speed, share: int(hours * 3600 * speed * share / flops),  # forward passes only
        lambda flops, hours, speed, share: int(hours * 3600 * speed * share / (2 * flops)),
        lambda flops, hours, speed, share: int(hours * 3600 * speed / (3 * flops)),  # the share forgotten
        lambda flops, hours, speed, share: int(hours * 60 * speed * share / (3 * flops)),
        lambda flops, hours, speed, share: hours * 3600 * speed * share / (3 * flops),  # not whole
        lambda flops, hours, speed, share: round(hours * 3600 * speed * share / (3 * flops)),
    ],
    "ch05_visible": [
        lambda query, key: key[None, :] < query[:, None],  # not even itself
        lambda query, key: (key[None, :] <= query[:, None]).T,  # transposed
        lambda query, key: key[None, :] >= query[:, None],  # the future
        lambda query, key: np.ones((len(query), len(key)), bool),
    ],
}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.filterwarnings("ignore")
def test_common_mistakes_are_refused(name):
    accepted = [number for number, mistake in enumerate(MISTAKES[name]) if CHECKS[name](mistake)]
    assert not accepted


@pytest.mark.parametrize("name", CHECKS)
def test_an_empty_stub_is_refused(name):
    for nothing in (lambda *_: None, lambda *_: 0.0, lambda *inputs: inputs[0]):
        verdict = CHECKS[name](nothing)
        assert not verdict and repr(verdict).startswith("Not yet: ") and len(repr(verdict)) > 30


def test_there_are_mistakes_for_every_check():
    assert set(MISTAKES) == set(CHECKS) and min(map(len, MISTAKES.values())) >= 2
