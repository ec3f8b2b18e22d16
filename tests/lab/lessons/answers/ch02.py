"""Answers to the exercises of chapter 2: right ones of several styles, and the mistakes that people make."""

import numpy as np

from minivdit import autograd as ag
from minivdit.nn.optim import AdamW


def linear_by_loops(x, weight, grad):
    grad_x, grad_weight, grad_bias = np.zeros_like(x), np.zeros_like(weight), np.zeros(weight.shape[1])
    for b, n, o in np.ndindex(*grad.shape):
        grad_x[b, n] += grad[b, n, o] * weight[:, o]
        grad_weight[:, o] += grad[b, n, o] * x[b, n]
        grad_bias[o] += grad[b, n, o]
    return grad_x, grad_weight, grad_bias


def linear_by_einsum(x, weight, grad):
    return [
        np.einsum("bno,io->bni", grad, weight),
        np.einsum("bni,bno->io", x, grad),
        np.einsum("bno->o", grad),
    ]


def linear_by_rows(x, weight, grad):
    rows, grad_rows = x.reshape(-1, x.shape[-1]), grad.reshape(-1, grad.shape[-1])
    return (grad_rows @ weight.T).reshape(x.shape), rows.T @ grad_rows, grad_rows.sum(0)


def linear_by_library(x, weight, grad):
    leaves = [ag.Tensor(array, requires_grad=True) for array in (x, weight, np.zeros(weight.shape[1]))]
    return ag.gradients(ag.linear(*leaves), leaves, grad)


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def log_softmax(x):
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def soft_loss(logits, targets):
    return -(targets * log_softmax(logits)).sum() / len(logits)


def soft_gradient(logits, targets):
    return (softmax(logits) - targets) / len(logits)


def soft_by_rows(logits, targets):
    loss, gradient = 0.0, []
    for row, target in zip(logits, targets):
        log_sum = np.logaddexp.reduce(row)
        loss += (log_sum - target @ row) / len(logits)
        gradient.append((np.exp(row - log_sum) - target) / len(logits))
    return [loss, gradient]


def soft_in_place(logits, targets):
    logits -= logits.max(1)[:, None]
    sums = np.exp(logits).sum(1)
    loss = np.mean(np.log(sums) - np.einsum("rk,rk->r", targets, logits))
    np.exp(logits, out=logits)
    logits /= sums[:, None]
    logits -= targets
    return loss, logits / len(logits)


def soft_by_library(logits, targets):
    leaf = ag.Tensor(logits, requires_grad=True)
    loss = ag.sum(ag.mean(ag.log_softmax(leaf) * -targets, axis=0))
    return loss.item(), ag.gradients(loss, [leaf])[0]


def soft_naive(logits, targets):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return -(targets * np.log(p)).sum(1).mean(), (p - targets) / len(logits)


def windows_of(image, kernel, stride):
    return np.lib.stride_tricks.sliding_window_view(image, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]


def convolved(image, kernel, stride):
    return np.einsum("yxcij,ijco->yxo", windows_of(image, kernel, stride), kernel)


def conv_by_loops(image, kernel, stride):
    tall, wide, _, outputs = kernel.shape
    rows, columns = (image.shape[0] - tall) // stride + 1, (image.shape[1] - wide) // stride + 1
    value = np.zeros((rows, columns, outputs))
    for y, x, o in np.ndindex(*value.shape):
        window = image[y * stride : y * stride + tall, x * stride : x * stride + wide]
        value[y, x, o] = (window * kernel[..., o]).sum()
    return value


def conv_by_shifts(image, kernel, stride):
    tall, wide = kernel.shape[:2]
    rows, columns = image.shape[0] - tall + 1, image.shape[1] - wide + 1
    return sum(image[i : i + rows, j : j + columns] @ kernel[i, j] for i in range(tall) for j in range(wide))[
        ::stride, ::stride
    ]


def conv_by_lists(image, kernel, stride):
    tall, wide = kernel.shape[:2]
    return [
        [
            np.tensordot(image[y : y + tall, x : x + wide], kernel, axes=3)
            for x in range(0, image.shape[1] - wide + 1, stride)
        ]
        for y in range(0, image.shape[0] - tall + 1, stride)
    ]


def conv_as_product(image, kernel, stride):
    windows = windows_of(image, kernel, stride).transpose(0, 1, 3, 4, 2)  # (y, x, i, j, c)
    return (windows.reshape(-1, kernel[..., 0].size) @ kernel.reshape(-1, kernel.shape[-1])).reshape(
        *windows.shape[:2], -1
    )


def norm_of(gradients):
    return np.linalg.norm(np.concatenate([gradient.ravel() for gradient in gradients.values()]))


def adam_step(
    weights,
    gradients,
    means,
    squares,
    step,
    rate,
    decay,
    clip,
    late=0,
    through=False,
    betas=(0.9, 0.99),
    under=False,
    each=False,
    entries=False,
    all_decay=False,
    always=False,
    eps=1e-8,
):
    """A right answer, unless one of the options makes a mistake of it."""
    norm = norm_of(gradients)
    new = {}, {}, {}
    for name, weight in weights.items():
        if entries:
            gradient = np.clip(gradients[name], -clip, clip)
        else:
            size = np.linalg.norm(gradients[name]) if each else norm
            gradient = gradients[name] * (clip / size if always or size > clip else 1.0)
        own_decay = decay if weight.ndim > 1 or all_decay else 0.0
        if through:
            gradient, own_decay = gradient + own_decay * weight, 0.0
        mean = betas[0] * means[name] + (1 - betas[0]) * gradient
        square = betas[1] * squares[name] + (1 - betas[1]) * gradient**2
        unbiased_mean, unbiased_square = (
            mean / (1 - betas[0] ** (step + late)),
            square / (1 - betas[1] ** (step + late)),
        )
        root = np.sqrt(unbiased_square + eps) if under else np.sqrt(unbiased_square) + eps
        new[0][name] = weight * (1 - rate * own_decay) - rate * unbiased_mean / root
        new[1][name], new[2][name] = mean, square
    return new


def adam_in_place(weights, gradients, means, squares, step, rate, decay, clip):
    scale = min(1.0, clip / sum(float(np.vdot(g, g)) for g in gradients.values()) ** 0.5)
    for name in weights:
        gradients[name] *= scale
        means[name] += 0.1 * (gradients[name] - means[name])
        squares[name] += 0.01 * (gradients[name] * gradients[name] - squares[name])
        if weights[name].ndim == 2:
            weights[name] -= rate * decay * weights[name]
        root = np.sqrt(squares[name]) / (1 - 0.99**step) ** 0.5
        weights[name] -= rate / (1 - 0.9**step) * means[name] / (root + 1e-8)
    return [weights, means, squares]


def adam_entry_by_entry(weights, gradients, means, squares, step, rate, decay, clip):
    norm = sum(value**2 for gradient in gradients.values() for value in gradient.flat) ** 0.5
    for name, weight in weights.items():
        for place in np.ndindex(*weight.shape):
            g = gradients[name][place] * (clip / norm if norm > clip else 1)
            m = means[name][place] = 0.9 * means[name][place] + 0.1 * g
            v = squares[name][place] = 0.99 * squares[name][place] + 0.01 * g * g
            move = m / (1 - 0.9**step) / ((v / (1 - 0.99**step)) ** 0.5 + 1e-8)
            weight[place] = weight[place] - rate * move - (rate * decay * weight[place] if weight.ndim > 1 else 0)
    return weights, means, squares


def adam_by_library(weights, gradients, means, squares, step, rate, decay, clip):
    scale, new = min(1, clip / norm_of(gradients)), ({}, {}, {})
    for name, weight in weights.items():
        parameter = {"w": ag.Tensor(weight, requires_grad=True)}
        optimiser = AdamW(parameter, learning_rate=rate, weight_decay=decay * (weight.ndim > 1))
        optimiser.load_state_dict({"steps": step - 1, "mean.w": means[name], "square.w": squares[name]})
        optimiser.step({"w": scale * gradients[name]})
        new[0][name] = parameter["w"].data
        new[1][name], new[2][name] = optimiser.slots["mean"]["w"], optimiser.slots["square"]["w"]
    return new


def adam_in_float32(*inputs):
    return adam_step(*({k: a.astype(np.float32) for k, a in x.items()} if isinstance(x, dict) else x for x in inputs))


def scores_by_matrix(labels, read):
    matrix = np.zeros((10, 10))
    np.add.at(matrix, (labels, read), 1)
    hits = np.diag(matrix)
    return hits / np.maximum(matrix.sum(0), 1), hits / np.maximum(matrix.sum(1), 1)


def scores_by_loop(labels, read):
    precision, recall = [], []
    for k in range(10):
        hits = sum(1 for a, b in zip(labels, read) if a == b == k)
        was_read, is_true = list(read).count(k), list(labels).count(k)
        precision.append(hits / was_read if was_read else 0.0)
        recall.append(hits / is_true if is_true else 0.0)
    return [precision, recall]


def scores_by_one_hot(labels, read):
    true, seen = np.eye(10)[labels], np.eye(10)[read]
    hits = (true * seen).sum(0)
    with np.errstate(invalid="ignore"):
        return np.stack([np.nan_to_num(hits / seen.sum(0)), np.nan_to_num(hits / true.sum(0))])


def scores_by_counts(labels, read):
    counts = np.bincount(10 * labels + read, minlength=100).reshape(10, 10)
    hits = counts.diagonal()
    return tuple(
        np.divide(hits, total, out=np.zeros(10), where=total > 0) for total in (counts.sum(axis=0), counts.sum(axis=1))
    )


def scores_by_masks(labels, read):
    same = labels == read
    shares = [[same[chosen == k].mean() if (chosen == k).any() else 0 for k in range(10)] for chosen in (read, labels)]
    return np.array(shares, np.float32)


RIGHT = {
    "ch02_adamw": [adam_step, adam_in_place, adam_entry_by_entry, adam_by_library, adam_in_float32],
    "ch02_conv": [
        convolved,
        conv_by_loops,
        conv_by_shifts,
        conv_by_lists,
        conv_as_product,
        lambda *a: convolved(a[0].astype(np.float32), a[1].astype(np.float32), a[2]),
    ],
    "ch02_linear": [
        linear_by_loops,
        linear_by_einsum,
        linear_by_rows,
        linear_by_library,
        lambda x, weight, grad: (grad @ weight.T, np.tensordot(x, grad, ([0, 1], [0, 1])), grad.sum((0, 1))),
        lambda x, weight, grad: (
            grad @ weight.T,
            sum(a.T @ g for a, g in zip(x, grad)),
            np.ones(x.shape[1]) @ grad.sum(0),
        ),
    ],
    "ch02_precision_and_recall": [
        scores_by_matrix,
        scores_by_loop,
        scores_by_one_hot,
        scores_by_counts,
        scores_by_masks,
    ],
    "ch02_soft_cross_entropy": [
        lambda logits, targets: (soft_loss(logits, targets), soft_gradient(logits, targets)),
        lambda logits, targets: [soft_loss(logits, targets), soft_gradient(logits, targets).tolist()],
        lambda *a: soft_by_rows(*(x.astype(np.float32) for x in a)),
        soft_by_rows,
        soft_in_place,
        soft_by_library,
    ],
}

WRONG = {
    "ch02_adamw": [
        lambda *a: adam_step(*a, late=1),  # counted from 0
        lambda *a: adam_step(*a, through=True),  # Adam with decay in the gradient
        lambda *a: adam_step(*a, betas=(0.9, 0.999)),
        lambda *a: adam_step(*a, late=1000),  # no correction
        lambda *a: adam_step(*a[:-2], 0.0, a[-1]),  # no decay
        lambda *a: adam_step(*a, under=True),  # eps under the root
        lambda *a: adam_step(*a, under=True, eps=1e-16),  # under the root, and squared
        lambda *a: adam_step(*a, each=True),  # each array clipped by itself
        lambda *a: adam_step(*a, entries=True),
        lambda *a: adam_step(*a, always=True),  # small gradients made larger
        lambda *a: adam_step(*a[:-1], np.inf),  # no clipping
        lambda *a: adam_step(*a, all_decay=True),  # biases, too
    ],
    "ch02_conv": [
        lambda image, kernel, stride: convolved(image, kernel[::-1, ::-1], stride),  # flipped
        lambda image, kernel, stride: convolved(image, kernel, 1)[:: stride + 1, :: stride + 1],
        lambda image, kernel, stride: convolved(image, kernel, stride)[:-1, :-1],  # the last window is missing
        lambda image, kernel, stride: convolved(image, kernel, stride).transpose(1, 0, 2),
        lambda image, kernel, stride: convolved(image, kernel, 1),  # no stride
        lambda image, kernel, stride: convolved(image, kernel[:, :, ::-1], stride),  # channels exchanged
    ],
    "ch02_linear": [
        lambda x, weight, grad: (grad @ weight.T, np.einsum("bno,bni->oi", grad, x), grad.sum((0, 1))),  # transposed
        lambda x, weight, grad: (grad @ weight.T, x.swapaxes(1, 2) @ grad, grad.sum(1)),  # one for each sequence
        lambda x, weight, grad: (grad @ weight.T, np.einsum("bni,bno->io", x, grad), grad.mean((0, 1))),
        lambda x, weight, grad: (
            grad @ weight.T,
            np.einsum("bni,bno->io", x, grad) / len(x),
            grad.sum((0, 1)) / len(x),
        ),
        lambda x, weight, grad: (grad @ weight.T, np.einsum("bni,bno->io", x, grad), grad),  # not summed
        lambda x, weight, grad: linear_by_rows(x, weight, np.ones_like(grad)),  # the gradient of a sum
        lambda x, weight, grad: (grad @ weight.T, np.einsum("bni,bno->io", x, grad)),  # no bias
    ],
    "ch02_precision_and_recall": [
        lambda labels, read: scores_by_matrix(read, labels),  # exchanged
        lambda labels, read: scores_by_matrix(labels, read)[:1] * 2,  # twice the same
        lambda labels, read: np.full((2, 10), (labels == read).mean()),  # the accuracy
        lambda labels, read: np.bincount(labels[labels == read], minlength=10) / len(labels) * np.ones((2, 1)),
        lambda labels, read: [np.where(score == 0, np.nan, score) for score in scores_by_matrix(labels, read)],
        lambda labels, read: [1 - score for score in scores_by_matrix(labels, read)],
    ],
    "ch02_soft_cross_entropy": [
        soft_naive,  # the logarithm of 0
        lambda logits, targets: (soft_loss(logits, targets) * len(logits), soft_gradient(logits, targets)),  # the sum
        lambda logits, targets: (soft_loss(logits, targets), soft_gradient(logits, targets) * len(logits)),
        lambda logits, targets: (soft_loss(logits, targets), -soft_gradient(logits, targets)),
        lambda logits, targets: (soft_loss(logits, targets) / logits.shape[1], soft_gradient(logits, targets)),
        lambda logits, targets: (  # hard labels
            soft_loss(logits, np.eye(logits.shape[1])[targets.argmax(1)]),
            soft_gradient(logits, np.eye(logits.shape[1])[targets.argmax(1)]),
        ),
        lambda logits, targets: (
            -(targets * np.log(softmax(logits) + 1e-9)).sum(1).mean(),
            soft_gradient(logits, targets),
        ),
        soft_loss,  # no gradient
    ],
}
