"""Answers to the exercises of chapter 2: right ones of several styles, and the mistakes that people make."""

import numpy as np


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


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


RIGHT = {}

WRONG = {
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
    "ch02_conv": [
        lambda image, kernel, stride: convolved(image, kernel[::-1, ::-1], stride),  # flipped
        lambda image, kernel, stride: convolved(image, kernel, 1)[:: stride + 1, :: stride + 1],
        lambda image, kernel, stride: convolved(image, kernel, stride)[:-1, :-1],  # the last window is missing
        lambda image, kernel, stride: convolved(image, kernel, stride).transpose(1, 0, 2),
        lambda image, kernel, stride: convolved(image, kernel, 1),  # no stride
        lambda image, kernel, stride: convolved(image, kernel[:, :, ::-1], stride),  # channels exchanged
    ],
    "ch02_cross_entropy": [
        lambda logits, labels: surprise(logits, labels).mean(),  # the logarithm of 0
        lambda logits, labels: surprise(logits, labels).sum(),
        lambda logits, labels: -np.log(softmax(logits.T).T[np.arange(len(labels)), labels] + 1e-300).mean(),
        lambda logits, labels: -np.log(softmax(logits)[:, labels] + 1e-300).mean(),  # all pairs
        lambda logits, labels: -np.log(softmax(logits)[np.arange(len(labels)), labels] + 1e-9).mean(),
    ],
    "ch02_linear": [
        lambda x, weight, grad: (grad @ weight.T, grad.T @ x, grad.sum(0)),  # transposed
        lambda x, weight, grad: (grad @ weight.T, x.T @ grad, grad.sum(1)),  # over the other axis
        lambda x, weight, grad: (grad @ weight.T, x.T @ grad, grad.mean(0)),
        lambda x, weight, grad: (grad @ weight.T, x.T @ grad, grad),  # not summed
        lambda x, weight, grad: (np.ones_like(grad) @ weight.T, x.T @ np.ones_like(grad), np.ones_like(grad).sum(0)),
    ],
}
