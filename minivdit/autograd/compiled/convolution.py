"""The compiled twin of `conv`: its loops are in convolution_loops.py."""

import itertools
import math

import numpy as np

from ..arrays import sum_rows
from ..engine import twin
from ..products import check_convolution, scatter, weight_gradient
from ..products import conv as numpy_conv
from .compiler import in_parallel, whole
from .convolution_loops import convolution_backward, convolution_forward

SMALL = (
    10**6
)  # the largest product of m, n and k for which OpenBLAS multiplies without copying to buffers: it is faster
AXES = 3  # that the loops go through
PARTS = 4  # in which weight gradients are summed, so that threads can share them


@twin("compiled")
def conv(x, weight, bias=None, *, stride=1, padding=0):
    strides, paddings = check_convolution(x, weight, bias, stride, padding)
    *kernel, size_in, size_out = weight.shape
    pointwise = set(kernel) == set(strides) == {1} and not any(map(sum, paddings))
    missing = AXES - len(kernel)
    if pointwise or missing < 0:  # a linear layer, or more axes than loops
        return numpy_conv.function.__wrapped__(x, weight, bias, stride=stride, padding=padding)
    given_axes = strides, paddings
    given, lone = whole(x).reshape(len(x), *(1,) * missing, *x.shape[1:]), (1,) * missing
    kernel, strides = (*lone, *kernel), (*lone, *strides)
    paddings = (*((0, 0) for _ in lone), *paddings)
    before = tuple(first for first, _ in paddings)
    counts = tuple((n + sum(p) - k) // s + 1 for n, p, k, s in zip(given.shape[1:], paddings, kernel, strides))
    matrix = whole(weight.reshape(-1, size_out))
    value = np.empty((len(x) * math.prod(counts), size_out), x.dtype)
    step = _step(*matrix.shape)
    in_parallel(
        convolution_forward, -(-len(value) // step), value.size * len(matrix) // 64, step, given, matrix,
        np.zeros(size_out, x.dtype) if bias is None else whole(bias), counts, kernel, strides, before, value,
    )  # fmt: skip

    def pullback(grad):
        if size_out > 4 * size_in:  # windows of grad would be much larger than those of x
            grads = scatter(grad, weight, x.shape, *given_axes), weight_gradient(x, grad, weight.shape, *given_axes)
            return *grads, None if bias is None else sum_rows(grad)
        grad = whole(grad).reshape(len(x), *counts, size_out)
        turned = weight.reshape(*kernel, size_in, size_out)
        x_grad, weight_grad = np.zeros_like(given), np.empty_like(turned)
        for taps, *phase in input_phases(given.shape[1:-1], kernel, strides, before):
            _backward(given, grad, turned[taps], *phase, strides, x_grad, weight_grad[taps])
        x_grad = x_grad.reshape(x.shape)
        return x_grad, weight_grad.reshape(weight.shape), None if bias is None else sum_rows(grad)

    return value.reshape(len(x), *counts[missing:], size_out), pullback


def input_phases(sizes, kernel, strides, before):
    """Which places of the input meet which taps of the kernel, in groups: for each a tuple (taps, counts, before,
    x_before).

    With stride s, every s-th place along an axis meets every s-th tap, and there the gradient is a convolution of
    stride 1 of the result's gradient with these taps, turned around. taps: a slice for each axis. counts: how many
    places. before: by how much their first window begins before the gradient. x_before: minus the first place.
    """
    axes = []
    for n, k, s, p in zip(sizes, kernel, strides, before):
        phases = []
        for tap in range(min(s, k)):
            first = (tap - p) % s
            taps = len(range(tap, k, s))
            phases.append((slice(tap, None, s), len(range(first, n, s)), taps - 1 - (first + p - tap) // s, -first))
        axes.append(phases)
    return [tuple(zip(*phases)) for phases in itertools.product(*axes)]


def _backward(x, grad, taps, counts, before, x_before, stride, x_grad, weight_grad):
    """Write the gradients of one group of `input_phases`: of x at its places, of the kernel at its taps."""
    *kernel, size_in, size_out = taps.shape
    turned = taps[::-1, ::-1, ::-1]
    matrix = whole(turned.swapaxes(-1, -2)).reshape(-1, size_in)
    positions, step = len(x) * math.prod(counts), _step(*matrix.shape)
    parts = max(1, min(PARTS, positions // step))
    sums = np.empty((parts, size_in, len(matrix)), x.dtype)
    in_parallel(
        convolution_backward, parts, positions * matrix.size // 64, step, positions, x, grad, matrix, counts,
        tuple(kernel), before, stride, x_before, x_grad, sums,
    )  # fmt: skip
    total = sums.sum(axis=0).reshape(size_in, *kernel, size_out)
    weight_grad[::-1, ::-1, ::-1] = np.moveaxis(total, 0, -2)


def _step(rows, columns):
    """How many windows are gathered at a time, for products with a matrix of this shape: see SMALL."""
    step = SMALL // max(1, rows * columns) // 8 * 8
    return min(step, 128) if step >= 16 else 256
