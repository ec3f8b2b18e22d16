"""The compiled twin of `conv`: its loops are in convolution_loops.py.

Three facts make do with two loops. The gradient of the input is a convolution of the result's gradient with the kernel
turned around; with a stride it is one for each remainder of places (`input_phases`). The kernel's gradient is a product
of the same windows with the input. And a convolution of an array that was enlarged f times is the input gradient of
one with stride f, whose kernel is `_widened`.
"""

import itertools
import math

import numpy as np

from ..arrays import sum_rows
from ..engine import twin
from ..products import check_convolution, scatter, weight_gradient
from ..products import conv as numpy_conv
from .compiler import in_parallel, whole
from .convolution_loops import convolution_backward, convolution_forward

SMALL = 10**6  # OpenBLAS is fastest where m * n * k is not larger: then it doesn't copy to buffers
AXES = 3  # that the loops go through
PARTS = 4  # in which weight gradients are summed, so that threads can share them
EVERY = (1,) * AXES, (0,) * AXES  # the stride and the beginning of places that lie side by side


@twin("compiled")
def conv(x, weight, bias=None, *, stride=1, padding=0, upsampling=1):
    strides, paddings, factors = check_convolution(x, weight, bias, stride, padding, upsampling)
    *kernel, size_in, size_out = weight.shape
    enlarged = max(factors) > 1
    pointwise = set(kernel) == set(strides) == {1} and not any(map(sum, paddings))
    missing = AXES - len(kernel)
    if missing < 0 or (pointwise and not enlarged) or (enlarged and max(strides) > 1):
        options = {"stride": stride, "padding": padding, "upsampling": upsampling}
        return numpy_conv.function.__wrapped__(x, weight, bias, **options)
    given_axes, lone = (strides, paddings), (1,) * missing
    given = whole(x).reshape(len(x), *lone, *x.shape[1:])
    taps = weight.reshape(*lone, *weight.shape)
    strides, factors = (*lone, *strides), (*lone, *factors)
    paddings = (*((0, 0) for _ in lone), *paddings)
    kernel, before = taps.shape[:AXES], tuple(first for first, _ in paddings)
    counts = tuple(
        (n * f + sum(p) - k) // s + 1 for n, f, p, k, s in zip(given.shape[1:], factors, paddings, kernel, strides)
    )
    value = np.empty((len(x), *counts, size_out), x.dtype)
    offset = np.zeros(size_out, x.dtype) if bias is None else whole(bias)
    if enlarged:  # the input gradient of a convolution with a stride, which has `value` for its input
        wide, wide_before = _widened(taps, factors), tuple(k - 1 - p for k, p in zip(kernel, before))
        for some, many, *places in input_phases(counts, wide.shape[:AXES], factors, wide_before):
            _forward(given, _turned(wide[some]), offset, many, *places, value)
    else:
        _forward(given, taps, offset, counts, (strides, before), EVERY, value)

    def pullback(grad):
        bias_grad = None if bias is None else sum_rows(grad)
        if size_out > 4 * size_in and not enlarged:  # windows of grad would be much larger than those of x
            grads = scatter(grad, weight, x.shape, *given_axes), weight_gradient(x, grad, weight.shape, *given_axes)
            return *grads, bias_grad
        grad = whole(grad).reshape(value.shape)
        x_grad, taps_grad = np.zeros_like(given), np.zeros_like(taps)
        if enlarged:  # that convolution itself
            places = (factors, wide_before), EVERY
            wide_grad = _backward(given, grad, wide, given.shape[1:-1], *places, x_grad)
            taps_grad[...] = _turned(_narrowed(wide_grad, factors))
        else:
            for some, many, *places in input_phases(given.shape[1:-1], kernel, strides, before):
                taps_grad[some] = _turned(_backward(given, grad, _turned(taps[some]), many, *places, x_grad))
        return x_grad.reshape(x.shape), taps_grad.reshape(weight.shape), bias_grad

    return value.reshape(len(x), *counts[missing:], size_out), pullback


def input_phases(sizes, kernel, strides, before):
    """Which places of a convolution's input meet which taps of its kernel, in groups, one for each remainder.

    With stride s, every s-th place along an axis meets every s-th tap, and there the input's gradient is a convolution
    of stride 1 of the result's gradient with these taps, turned around. A group is (taps, counts, seen, written): a
    slice for each axis; how many places; stride and beginning of the windows in the gradient; those of the places.
    """
    axes = []
    for n, k, s, p in zip(sizes, kernel, strides, before):
        phases = []
        for tap in range(min(s, k)):
            first = (tap - p) % s
            taps = len(range(tap, k, s))
            phases.append((slice(tap, None, s), len(range(first, n, s)), taps - 1 - (first + p - tap) // s, -first))
        axes.append(phases)
    groups = [tuple(zip(*phases)) for phases in itertools.product(*axes)]
    return [(taps, counts, ((1,) * AXES, seen), (strides, written)) for taps, counts, seen, written in groups]


def _turned(taps):
    """A kernel (*kernel, a, b) turned around, with inputs and outputs exchanged: (*kernel, b, a)."""
    return taps[::-1, ::-1, ::-1].swapaxes(-1, -2)


def _widened(taps, factors):
    """The kernel of stride `factors` whose input gradient is a convolution with `taps` of an enlarged array.

    A number of the array stands in `factors` places, so it meets the sum of as many taps.
    """
    sizes = [k + f - 1 for k, f in zip(taps.shape, factors)]
    wide = np.zeros((*sizes, *taps.shape[:-3:-1]), taps.dtype)
    turned = _turned(taps)
    for offset in np.ndindex(*factors):
        wide[tuple(slice(o, o + k) for o, k in zip(offset, taps.shape))] += turned
    return wide


def _narrowed(wide, factors):
    """The gradient of `_widened`'s turned taps from that of its result."""
    sizes = [k - f + 1 for k, f in zip(wide.shape, factors)]
    offsets = np.ndindex(*factors)
    return sum(wide[tuple(slice(o, o + k) for o, k in zip(offset, sizes))] for offset in offsets)


def _forward(x, taps, bias, counts, seen, written, value):
    """Write a convolution with taps (*kernel, Cin, Cout) to places of value; see convolution_forward."""
    matrix = whole(taps).reshape(-1, len(bias))
    positions, step = len(x) * math.prod(counts), _step(*matrix.shape)
    in_parallel(
        convolution_forward, -(-positions // step), positions * matrix.size // 64, step, positions, x, matrix, bias,
        counts, (seen, written), taps.shape[:AXES], value,
    )  # fmt: skip


def _backward(x, grad, taps, counts, seen, written, x_grad):
    """Write the gradient of x to its places; return that of the turned taps (*kernel, Cout, Cin)."""
    *kernel, size_out, size_in = taps.shape
    matrix = whole(taps).reshape(-1, size_in)
    positions, step = len(x) * math.prod(counts), _step(*matrix.shape)
    parts = max(1, min(PARTS, positions // step))
    sums = np.zeros((parts, size_in, len(matrix)), x.dtype)
    in_parallel(
        convolution_backward, parts, positions * matrix.size // 64, step, positions, x, grad, matrix, counts,
        (seen, written), tuple(kernel), x_grad, sums,
    )  # fmt: skip
    return np.moveaxis(sums.sum(axis=0).reshape(size_in, *kernel, size_out), 0, -1)


def _step(rows, columns):
    """How many windows are gathered at a time, for products with a matrix of this shape: see SMALL."""
    step = SMALL // max(1, rows * columns) // 8 * 8
    return min(step, 128) if step >= 16 else 256
