"""Answers to the exercises of chapter 1: right ones of several styles, and the mistakes that people make."""

import numpy as np

from minivdit import autograd as ag


def sine_in_place(x):
    def pullback(grad):
        grad *= np.cos(x)
        return grad

    return np.sin(x), pullback


def sine_by_loop(x):
    def pullback(grad):
        return [[g * np.cos(a) for g, a in zip(*rows)] for rows in zip(grad, x)]

    return [[np.sin(a) for a in row] for row in x], lambda grad: np.array(pullback(grad))


def sine_by_library(x):
    leaf = ag.Tensor(x, requires_grad=True)
    return np.imag(np.exp(1j * x)), lambda grad: ag.gradients(ag.sum(grad * np.cos(x) * leaf), [leaf])


def matmul_by_loops(a, b):
    def pullback(grad):
        grad_a, grad_b = np.zeros_like(a), np.zeros_like(b)
        for i, j in np.ndindex(*grad.shape):
            for k in range(len(b)):
                grad_a[i, k] += grad[i, j] * b[k, j]
                grad_b[k, j] += grad[i, j] * a[i, k]
        return grad_a, grad_b

    return np.array([[sum(x * y for x, y in zip(row, column)) for column in b.T] for row in a]), pullback


def in_float32(operation):
    def rounded(*inputs):
        value, pullback = operation(*(x.astype(np.float32) for x in inputs))
        return value, lambda grad: pullback(grad.astype(np.float32))

    return rounded


def matmul(a, b):
    return a @ b, lambda grad: (grad @ b.T, a.T @ grad)


def rms_norm(x):
    r = np.sqrt((x**2).mean(axis=-1, keepdims=True))
    return x / r, lambda grad: (grad - x / r * (grad * x / r).mean(axis=-1, keepdims=True)) / r


def rms_norm_by_rows(x):
    values, jacobians = [], []
    for row in x:
        r = np.sqrt(np.mean(row**2))
        values.append(row / r)
        jacobians.append(np.eye(len(row)) / r - np.outer(row, row) / (len(row) * r**3))
    return np.array(values), lambda grad: (np.array([g @ j for g, j in zip(grad, jacobians)]),)


def rms_norm_by_lengths(x):
    length, root = np.linalg.norm(x, axis=1)[:, None], np.sqrt(x.shape[1])
    along = x / length
    return [root * along, lambda grad: [root / length * (grad - along * np.einsum("rn,rn->r", grad, along)[:, None])]]


def rms_norm_by_library(x):
    leaf = ag.Tensor(x, requires_grad=True)
    out = leaf / ag.mean(ag.square(leaf), axis=1, keepdims=True) ** 0.5
    return out.data, lambda grad: ag.gradients(
        leaf / ag.mean(ag.square(leaf), axis=1, keepdims=True) ** 0.5, [leaf], grad
    )


def unbroadcast(grad, shape):
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    return grad.sum(axis=tuple(axis for axis, size in enumerate(shape) if size == 1), keepdims=True)


def unbroadcast_axis_by_axis(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    for axis in range(grad.ndim):
        if shape[axis] != grad.shape[axis]:
            grad = grad.sum(axis, keepdims=True)
    return grad


def unbroadcast_by_loop(grad, shape):
    total = np.zeros(shape)
    for place in np.ndindex(*grad.shape):
        last = place[grad.ndim - len(shape) :]
        total[tuple(i if size > 1 else 0 for i, size in zip(last, shape))] += grad[place]
    return total


def unbroadcast_by_reshape(grad, shape):
    full = (1,) * (grad.ndim - len(shape)) + tuple(shape)
    return grad.sum(axis=tuple(np.nonzero(np.array(full) != grad.shape)[0])).reshape(shape)


def unbroadcast_by_engine(grad, shape):
    leaf = ag.Tensor(np.zeros(shape), requires_grad=True)
    return ag.gradients(leaf + np.zeros(grad.shape), [leaf], grad)[0]


def along(operation, x, cotangent, direction, step=1e-5):
    """The gap between pullback and difference along one direction, for one cotangent; of what there is."""
    pulled = np.sum(operation(x)[1](cotangent) * direction)
    change = np.sum((operation(x + step * direction)[0] - operation(x - step * direction)[0]) * cotangent) / (2 * step)
    return abs(pulled - change) / (1 + abs(change))


def draws(x, count):
    return np.random.default_rng(1).standard_normal((count, *x.shape))


def check_two_directions(operation, x):
    """Two random directions, and the pullback from one run."""
    pullback = operation(x)[1]
    cotangent, *directions = draws(x, 3)
    pulled, step = pullback(cotangent), 1e-6
    for direction in directions:
        change = (operation(x + step * direction)[0] - operation(x - step * direction)[0]) / (2 * step)
        if not np.isclose(np.vdot(change, cotangent), np.vdot(pulled, direction), rtol=1e-4, atol=1e-6):
            return False
    return True


def check_against_one_side(operation, x):
    """A difference to one side only, with a step and a tolerance that suit it."""
    cotangent, direction = draws(x, 2)
    value, pullback = operation(x)
    change = (operation(x + 1e-7 * direction)[0] - value) / 1e-7
    return bool(abs((change * cotangent).sum() - (pullback(cotangent) * direction).sum()) < 1e-4)


def check_by_sum(operation, x):
    """The trap: a gradient check with a cotangent of ones."""
    return along(operation, x, np.ones_like(x), draws(x, 1)[0]) < 1e-6


def check_each_entry(operation, x):
    """Right, but one entry at a time."""
    value, pullback = operation(x)
    cotangent = draws(value, 1)[0]
    got, nudge, step = pullback(cotangent), np.zeros_like(x), 1e-5
    for index in np.ndindex(x.shape):
        nudge[...] = 0
        nudge[index] = step
        change = (operation(x + nudge)[0] - operation(x - nudge)[0]) * cotangent
        if abs(got[index] - change.sum() / (2 * step)) > 1e-6:
            return False
    return True


RIGHT = {
    "ch01_gradcheck": [
        lambda operation, x: along(operation, x, *draws(x, 2)) < 1e-6,
        lambda operation, x: int(along(operation, x, np.cos(draws(x, 1)[0]), np.sign(draws(x, 1)[0])) < 1e-5),
        lambda operation, x: np.bool_(along(operation, x, *draws(x, 2), step=1e-4) < 1e-5),
        check_two_directions,
        check_against_one_side,
    ],
    "ch01_matmul": [
        matmul,
        in_float32(matmul),
        matmul_by_loops,
        lambda a, b: [np.dot(a, b), lambda grad: [np.einsum("nm,km->nk", grad, b), np.einsum("nk,nm->km", a, grad)]],
        lambda a, b: ((b.T @ a.T).T, lambda grad: ((b @ grad.T).T, (grad.T @ a).T)),
    ],
    "ch01_sine": [
        lambda x: (np.sin(x), lambda grad: grad * np.cos(x)),
        lambda x: [np.sin(x), lambda grad: (grad * np.sin(x + np.pi / 2),)],
        in_float32(lambda x: (np.sin(x), lambda grad: [np.cos(x) * grad])),
        sine_by_loop,
        sine_by_library,
    ],
    "ch01_rms_norm": [
        rms_norm,
        in_float32(rms_norm),
        rms_norm_by_rows,
        rms_norm_by_lengths,
        rms_norm_by_library,
    ],
    "ch01_unbroadcast": [
        unbroadcast,
        unbroadcast_axis_by_axis,
        unbroadcast_by_loop,
        unbroadcast_by_reshape,
        unbroadcast_by_engine,
        lambda grad, shape: unbroadcast(grad.astype(np.float32), shape),
    ],
}

WRONG = {
    "ch01_gradcheck": [
        check_by_sum,
        check_each_entry,
        lambda operation, x: True,
        lambda operation, x: False,
        lambda operation, x: bool(operation(x)[1](np.ones_like(x)).any()),
        lambda operation, x: along(operation, x, *draws(x, 2), step=1e-14) < 1e-6,  # nothing but rounding
        lambda operation, x: along(operation, x, *draws(x, 2)) < 10,  # anything goes
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
        lambda x: (np.sin(x), lambda grad: np.cos(grad)),
        sine_in_place,  # changes the gradient that it is given
        lambda x: (np.sin(x), np.cos(x)),  # a slope, not a function
        lambda x: np.sin(x),
    ],
    "ch01_rms_norm": [
        lambda x: (rms_norm(x)[0], lambda grad: np.zeros_like(x)),
        lambda x: (rms_norm(x)[0], lambda grad: grad / np.sqrt((x**2).mean(-1, keepdims=True))),  # r held constant
        lambda x: (rms_norm(x.T)[0].T, lambda grad: rms_norm(x.T)[1](grad.T).T),  # over the other axis
        lambda x: (rms_norm_by_lengths(x)[0] / x.shape[1] ** 0.5, rms_norm(x)[1]),  # length 1
        lambda x: (rms_norm(x)[0], lambda grad: rms_norm(x)[1](np.ones_like(grad))),  # the gradient of a sum
        lambda x: (rms_norm(x)[0], lambda grad: grad - rms_norm(x)[0] * (grad * x).mean(-1, keepdims=True)),
    ],
    "ch01_unbroadcast": [
        lambda grad, shape: grad.sum(axis=tuple(range(grad.ndim - len(shape)))),  # forgets the stretched axes
        lambda grad, shape: grad.reshape(-1)[: int(np.prod(shape))].reshape(shape),  # doesn't sum at all
        lambda grad, shape: np.broadcast_to(grad.mean(), shape),
        lambda grad, shape: grad.reshape(-1, *shape).sum(axis=0),  # the stretched axes are not all in front
        lambda grad, shape: unbroadcast(grad, shape) / (grad.size / np.prod(shape)),  # the mean
        lambda grad, shape: unbroadcast(grad, shape).squeeze(),  # lost its axes of length 1
    ],
}
