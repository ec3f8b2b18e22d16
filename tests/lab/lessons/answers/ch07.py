"""Answers to the exercises of chapter 7: right ones of several styles, and the mistakes that people make."""

import numpy as np


def mean(x):
    return x.mean(axis=-1, keepdims=True)


def pulled(x, grad, eps=1e-6, centre=True, along=True, ddof=0):
    root = np.sqrt(x.var(axis=-1, keepdims=True, ddof=ddof) + eps)
    normed = (x - mean(x)) / root
    return (grad - (mean(grad) if centre else 0) - (normed * mean(grad * normed) if along else 0)) / root


def pulled_by_jacobian(x, grad):
    out = np.empty_like(x)
    for place in np.ndindex(x.shape[:-1]):
        row, d = x[place], x.shape[-1]
        centring = np.eye(d) - 1 / d
        away = centring @ row
        root = np.sqrt(away @ away / d + 1e-6)
        out[place] = (centring / root - np.outer(away, away) / (d * root**3)) @ grad[place]
    return out


def pulled_in_steps(x, grad):
    """As by hand: through the division, the variance and the mean."""
    d = x.shape[-1]
    away = x - mean(x)
    variance = mean(away**2) + 1e-6
    variance_grad = (-0.5 * grad * away * variance**-1.5).sum(-1, keepdims=True)
    away_grad = grad / np.sqrt(variance) + variance_grad * 2 * away / d
    return away_grad - away_grad.sum(-1, keepdims=True) / d


def pulled_in_place(x, grad):
    x -= mean(x)
    root = np.sqrt(np.einsum("...d,...d->...", x, x)[..., None] / x.shape[-1] + 1e-6)
    x /= root
    grad -= mean(grad)
    grad -= x * mean(grad * x)
    return grad / root


def fold_by_probing(shift, scale, weight):
    bias = np.zeros_like(shift) * (1 + scale) @ weight + shift @ weight
    return np.array([(row * (1 + scale) + shift) @ weight - bias for row in np.eye(len(shift))]), bias


def fold_by_loops(shift, scale, weight):
    new = [[(1 + s) * w for w in row] for s, row in zip(scale, weight)]
    return [new, [sum(a * row[m] for a, row in zip(shift, weight)) for m in range(weight.shape[1])]]


def fold_in_place(shift, scale, weight):
    bias = (weight.T * shift).sum(axis=1)
    weight *= 1 + scale.reshape(-1, 1)
    return weight, bias


def gates(x, gate, branch, keep, rate, grad, summed=(2,), strength=True, of_x=1.0):
    through = grad * (keep / rate if strength else keep)[:, None, None, None]
    return of_x * grad, (through * branch).sum(summed, keepdims=True), through * gate


def gates_by_loops(x, gate, branch, keep, rate, grad):
    gate_grad, branch_grad = np.zeros_like(gate), np.zeros_like(branch)
    for b, t, s in np.ndindex(x.shape[:3]):
        if keep[b]:
            gate_grad[b, t, 0] += grad[b, t, s] * branch[b, t, s] / rate
            branch_grad[b, t, s] = grad[b, t, s] * gate[b, t, 0] / rate
    return grad, gate_grad, branch_grad


def gates_by_einsum(x, gate, branch, keep, rate, grad):
    of_gate = np.einsum("b,btsd,btsd->btd", keep / rate, grad, branch)[:, :, None]
    return [grad.copy(), of_gate, np.einsum("b,btsd,btzd->btsd", keep / rate, grad, gate)]


def gates_in_place(x, gate, branch, keep, rate, grad):
    of_x = grad.copy()
    grad[keep == 0] = 0
    grad /= rate
    branch *= grad
    return of_x, branch.sum(2, keepdims=True), grad * gate


def counted(width, ratio, depth, modulation=6, attention=8, up_and_down=2):
    others = (attention + up_and_down * ratio) * width**2
    return depth * (others + modulation * width**2), depth * others + modulation * width**2


def counted_by_shapes(width, ratio, depth):
    square = width * width
    block = [6 * square, 3 * square, square, square, 2 * square, square, width * ratio * width, ratio * width * width]
    return [depth * sum(block), depth * sum(block[1:]) + block[0]]


def counted_by_arrays(width, ratio, depth):
    shapes = [(width, 3 * width), (width, width), (width, width), (width, 2 * width), (width, width)]
    shapes += [(width, ratio * width), (ratio * width, width)]
    others = sum(np.empty(shape).size for shape in shapes) * depth
    return np.array([others + depth * 6 * width**2, others + 6 * width**2])


RIGHT = {
    "ch07_norm": [
        pulled,
        pulled_by_jacobian,
        pulled_in_steps,
        pulled_in_place,
        lambda x, grad: pulled_in_steps(x, grad).tolist(),
    ],
    "ch07_fold": [
        lambda shift, scale, weight: ((1 + scale)[:, None] * weight, shift @ weight),
        lambda shift, scale, weight: (np.diag(1 + scale) @ weight, np.einsum("d,dm->m", shift, weight)),
        fold_by_probing,
        fold_by_loops,
        fold_in_place,
        lambda shift, scale, weight: [((scale + 1) * weight.T).T.astype(np.float32), weight.T @ shift],
    ],
    "ch07_gate": [
        gates,
        gates_by_loops,
        gates_by_einsum,
        gates_in_place,
        lambda *arrays: gates(*(np.asarray(a, np.float32) for a in arrays)),
    ],
    "ch07_parameters": [
        counted,
        counted_by_shapes,
        counted_by_arrays,
        lambda width, ratio, depth: [float(n) for n in counted(width, ratio, depth)],
        lambda w, r, depth: ((14 + 2 * r) * w * w * depth, (14 + 2 * r) * w * w * depth - 6 * (depth - 1) * w * w),
    ],
}

WRONG = {
    "ch07_norm": [
        lambda x, grad: pulled(x, grad, centre=False),  # the mean doesn't depend on x
        lambda x, grad: pulled(x, grad, along=False),  # nor does the variance
        lambda x, grad: pulled(x, grad, centre=False, along=False),
        lambda x, grad: pulled(x, np.ones_like(grad)),  # gradient of a sum: nothing
        lambda x, grad: pulled(x, grad, eps=0),
        lambda x, grad: pulled(x, grad, ddof=1),
        lambda x, grad: (x - mean(x)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * grad,  # forwards
    ],
    "ch07_fold": [
        lambda shift, scale, weight: (scale[:, None] * weight, shift @ weight),  # the 1 is missing
        lambda shift, scale, weight: ((1 + scale)[:, None] * weight, shift @ ((1 + scale)[:, None] * weight)),
        lambda shift, scale, weight: ((1 + shift)[:, None] * weight, scale @ weight),  # exchanged
        lambda shift, scale, weight: (weight, shift @ weight),  # the scale forgotten
        lambda shift, scale, weight: ((1 + scale)[:, None] * weight, shift),  # not through the layer
        lambda shift, scale, weight: ((1 + scale).mean() * weight, shift @ weight),
    ],
    "ch07_gate": [
        lambda *inputs: gates(*inputs, summed=()),  # not summed over tokens
        lambda *inputs: gates(*inputs, summed=(1,)),  # over frames
        lambda *inputs: gates(*inputs, strength=False),  # the rate forgotten
        lambda *inputs: gates(*inputs, of_x=2.0),
        lambda x, gate, branch, keep, rate, grad: gates(x, gate, branch, np.ones_like(keep), rate, grad),
        lambda x, gate, branch, keep, rate, grad: gates(x, gate, branch, keep, rate, np.ones_like(grad)),
        lambda x, gate, branch, keep, rate, grad: gates(x, gate, branch, 1 - keep, rate, grad),
        lambda x, gate, branch, keep, rate, grad: (  # the stream dropped, too
            grad * keep[:, None, None, None],
            *gates(x, gate, branch, keep, rate, grad)[1:],
        ),
    ],
    "ch07_parameters": [
        lambda width, ratio, depth: counted(width, ratio, depth, modulation=0),
        lambda width, ratio, depth: counted(width, ratio, depth, attention=4),  # cross-attention forgotten
        lambda width, ratio, depth: counted(width, ratio, depth, up_and_down=1),  # up, but not down
        lambda width, ratio, depth: counted(width, ratio, depth)[::-1],
        lambda width, ratio, depth: counted(width, ratio, 1),  # of one block
        lambda width, ratio, depth: counted(width, ratio, depth, modulation=2),  # the gates and the MLP's forgotten
    ],
}
