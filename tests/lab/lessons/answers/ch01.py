"""Answers to the exercises of chapter 1: right ones of several styles, and the mistakes that people make."""

import numpy as np


def softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def softmax_gradient(x, grad):
    weights = softmax(x)
    return weights * (grad - (grad * weights).sum(axis=-1, keepdims=True))


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


RIGHT = {}

WRONG = {
    "ch01_gradcheck": [
        check_by_sum,
        lambda operation, x: True,
        lambda operation, x: False,
        lambda operation, x: bool(operation(x)[1](np.ones_like(x)).any()),
    ],
    "ch01_matmul": [
        lambda a, b: (a @ b, lambda grad: ((grad @ b.T).T, (a.T @ grad).T)),  # transposed
        lambda a, b: (a @ b, lambda grad: (a.T @ grad, grad @ b.T)),  # exchanged
        lambda a, b: (a @ b, lambda grad: (np.ones_like(grad) @ b.T, a.T @ np.ones_like(grad))),  # gradient of a sum
        lambda a, b: (a @ b, lambda grad: grad @ b.T),  # one is missing
        lambda a, b: (b.T @ a.T, lambda grad: (grad.T @ b.T, a.T @ grad.T)),
    ],
    "ch01_sine": [
        lambda x: (np.sin(x), lambda grad: grad * -np.cos(x)),
        lambda x: (np.sin(x), lambda grad: np.cos(x)),  # the gradient of a sum
        lambda x: (np.sin(x), lambda grad: grad * np.sin(x)),
        lambda x: (np.sin(x), np.cos(x)),  # a slope, not a function
        lambda x: np.sin(x),
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
}
