"""Matrix products and what reduces to them: linear layers, n-dimensional convolution, embedding lookup.

A convolution is one matrix product of the input's windows (rows) with the flattened kernel:
    windows (B * positions, taps * Cin) @ kernel (taps * Cin, Cout).
Its weight gradient is windows.T @ grad, and its input gradient scatters grad @ kernel.T back onto the windows.
"""

import itertools
import math

import numpy as np

from ..base.backend import array_module, device_name
from .arrays import blocks, row_count, sum_rows, transposed
from .engine import differentiable, with_twins
from .shaping import upsample

BLOCK_ENTRIES = 1 << 18  # windows are gathered this many entries at a time: 1 MiB of float32 stays in cache
GPU_BLOCK_ENTRIES = 1 << 24  # a GPU wants few large launches
ONE_HOT_ENTRIES = 1 << 20


@differentiable
def matmul(a, b):
    """Matrix product over the last two axes; leading axes broadcast. (..., n, k) @ (..., k, m) -> (..., n, m)."""
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul of {a.shape} and {b.shape}: takes (..., n, k) and (..., k, m) with the same k")
    if b.ndim == 2 and a.ndim > 2:  # one large product instead of many small ones
        value, pullback_linear = linear.function(a, b)
        return value, lambda grad: pullback_linear(grad)[:2]

    def pullback(grad):
        return grad @ transposed(b), transposed(a) @ grad

    return a @ b, pullback


@differentiable
@with_twins
def linear(x, weight, bias=None, *, transposed=False):
    """x @ weight + bias. x: (..., in), weight: (in, out), bias: (out,) or None -> (..., out).

    transposed: write the transposed result to memory, and return a view of it: NumPy's `attention` is faster then.
    Nothing changes where a compiled attention reads rows.
    """
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[0]:
        raise ValueError(f"linear of {x.shape} with weight {weight.shape}: takes (..., in) and (in, out)")
    size_in, size_out = weight.shape
    if bias is not None and bias.shape != (size_out,):
        raise ValueError(f"linear with weight {weight.shape}: takes a bias of shape ({size_out},), not {bias.shape}")
    shape, n = x.shape, row_count(x.shape)
    rows = x.reshape(n, size_in)
    value = (weight.T @ rows.T).T if transposed and array_module(x) is np else rows @ weight
    if bias is not None:
        value += bias
    x_is_transposed = n > 1 and rows.strides[0] < rows.strides[1]

    def pullback(grad):
        grad = grad.reshape(n, size_out)
        return (
            ((weight @ grad.T).T if x_is_transposed else grad @ weight.T).reshape(shape),
            rows.T @ grad,
            None if bias is None else sum_rows(grad),
        )

    return value.reshape(*shape[:-1], size_out), pullback


@differentiable(as_is=(1,))
def embedding(table, indices):
    """Rows of `table` (V, D) by whole number. indices: integer array of any shape -> (*indices.shape, D)."""
    count, width = table.shape
    if indices.dtype.kind not in "iu":
        raise ValueError(f"embedding takes an integer array as indices, not {indices.dtype}")
    # Only the CPU's are looked at: a GPU would have to finish all its work before it could answer.
    if indices.size and array_module(indices) is np and (indices.min() < 0 or indices.max() >= count):
        raise ValueError(
            f"embedding of a table with {count} rows takes indices from 0 to {count - 1}, "
            f"not {int(indices.min())} to {int(indices.max())}"
        )

    def pullback(grad):
        xp = array_module(grad)
        flat, grad = indices.reshape(-1), grad.reshape(indices.size, width)
        if count * indices.size <= ONE_HOT_ENTRIES:  # several times faster than adding row by row
            return (xp.arange(count)[:, None] == flat).astype(grad.dtype) @ grad, None
        result = xp.zeros((count, width), grad.dtype)
        xp.add.at(result, flat, grad)
        return result, None

    return table[indices], pullback


@differentiable
@with_twins
def conv(x, weight, bias=None, *, stride=1, padding=0, upsampling=1):
    """Convolution over any number of axes (cross-correlation, as in all deep-learning libraries).

    x: (B, *spatial, Cin); weight: (*kernel, Cin, Cout); bias: (Cout,) or None.
    stride: a whole number, or one for each spatial axis. padding with zeros: a whole number, or for
    each spatial axis a whole number or a pair (before, after). upsampling: a factor, or one for each spatial axis, by
    which x is enlarged first, see `upsample`.
    Returns (B, *out, Cout) with out = (size * upsampling + before + after - kernel) // stride + 1.
    """
    stride, padding, factors = check_convolution(x, weight, bias, stride, padding, upsampling)
    if max(factors) > 1:
        enlarged, pullback_upsample = upsample.function(x, factors=factors)
        value, pullback_conv = conv.function(enlarged, weight, bias, stride=stride, padding=padding)

        def pullback_enlarged(grad):
            grad_x, *others = pullback_conv(grad)
            return pullback_upsample(grad_x), *others

        return value, pullback_enlarged
    *kernel, size_in, size_out = weight.shape
    if set(kernel) == set(stride) == {1} and not any(map(sum, padding)):  # 1x1: a linear layer
        value, pullback_linear = linear.function(x, weight.reshape(size_in, size_out), bias)

        def pullback_pointwise(grad):
            grad_x, grad_weight, grad_bias = pullback_linear(grad)
            return grad_x, grad_weight.reshape(weight.shape), grad_bias

        return value, pullback_pointwise

    value = _correlate(x, weight, stride, padding)
    if bias is not None:
        value += bias

    def pullback(grad):
        return (
            scatter(grad, weight, x.shape, stride, padding),
            weight_gradient(x, grad, weight.shape, stride, padding),
            None if bias is None else sum_rows(grad),
        )

    return value, pullback


def check_convolution(x, weight, bias, stride, padding, upsampling=1):
    """Raise ValueError unless the shapes fit; return stride, padding and upsampling spelled out for each axis."""
    axes = x.ndim - 2
    if axes < 1 or weight.ndim != x.ndim:
        raise ValueError(
            f"conv of {x.shape} with weight {weight.shape}: takes (B, *spatial, Cin) and (*kernel, Cin, Cout) "
            "with as many kernel axes as spatial axes"
        )
    if x.shape[-1] != weight.shape[-2]:
        raise ValueError(
            f"conv of {x.shape} with weight {weight.shape}: the input has {x.shape[-1]} channels, "
            f"the weight takes {weight.shape[-2]}"
        )
    if bias is not None and bias.shape != weight.shape[-1:]:
        raise ValueError(
            f"conv with weight {weight.shape}: takes a bias of shape {weight.shape[-1:]}, not {bias.shape}"
        )
    stride = (stride,) * axes if isinstance(stride, int) else tuple(stride)
    factors = (upsampling,) * axes if isinstance(upsampling, int) else tuple(upsampling)
    padding = (padding,) * axes if isinstance(padding, int) else tuple(padding)
    padding = tuple((p, p) if isinstance(p, int) else tuple(p) for p in padding)
    if len(stride) != axes or len(padding) != axes or min(stride) < 1 or any(min(p) < 0 for p in padding):
        raise ValueError(
            f"conv over {axes} axes takes that many strides >= 1 and paddings >= 0, not {stride} and {padding}"
        )
    if len(factors) != axes or min(factors) < 1:
        raise ValueError(f"conv over {axes} axes takes that many upsampling factors >= 1, not {factors}")
    if any(n * f + sum(p) < k for n, f, k, p in zip(x.shape[1:-1], factors, weight.shape[:-2], padding)):
        raise ValueError(f"conv of {x.shape}: padded by {padding} it is smaller than the kernel {weight.shape[:-2]}")
    return stride, padding, factors


def _padded(x, padding):
    """x with zeros around its spatial axes (x itself where there is nothing to pad)."""
    if not any(map(sum, padding)):
        return x
    batch, *spatial, channels = x.shape
    bigger = array_module(x).zeros((batch, *(n + sum(p) for n, p in zip(spatial, padding)), channels), x.dtype)
    bigger[_inside(spatial, padding)] = x
    return bigger


def _inside(spatial, padding):
    """The index of what stands between the zeros."""
    return (slice(None), *(slice(before, before + n) for n, (before, _) in zip(spatial, padding)))


def _windows(x, kernel, stride):
    """A view of x (B, *spatial, C) as overlapping windows (B, *out, *kernel, C)."""
    batch, *spatial, channels = x.shape
    out = [(n - k) // s + 1 for n, k, s in zip(spatial, kernel, stride)]
    steps = x.strides[1:-1]
    return array_module(x).lib.stride_tricks.as_strided(
        x,
        (batch, *out, *kernel, channels),
        (x.strides[0], *(step * s for step, s in zip(steps, stride)), *steps, x.strides[-1]),
    )


def block_entries():
    """How many entries of windows are gathered at a time on the chosen device."""
    return BLOCK_ENTRIES if device_name() == "cpu" else GPU_BLOCK_ENTRIES


def _blocks(out_shape, window_entries):
    """Indices over (batch, *out) of blocks whose windows have about block_entries() entries together."""
    return blocks(out_shape, block_entries() // window_entries)


def _correlate(x, weight, stride, padding):
    """The convolution without its bias."""
    *kernel, size_in, size_out = weight.shape
    entries = math.prod(kernel) * size_in
    matrix = weight.reshape(entries, size_out)
    windows = _windows(_padded(x, padding), kernel, stride)
    out_shape = windows.shape[: x.ndim - 1]
    value = array_module(x).empty((*out_shape, size_out), x.dtype)
    for block in _blocks(out_shape, entries):
        shape = value[block].shape
        rows = windows[block].reshape(row_count(shape), entries)  # copies: the windows overlap
        value[block] = (rows @ matrix).reshape(shape)
    return value


def weight_gradient(x, grad, weight_shape, stride, padding):
    """The gradient of the convolution's weight."""
    *kernel, size_in, size_out = weight_shape
    entries = math.prod(kernel) * size_in
    windows = _windows(_padded(x, padding), kernel, stride)
    result = array_module(grad).zeros((entries, size_out), grad.dtype)
    for block in _blocks(grad.shape[:-1], entries):
        part = grad[block]
        n = row_count(part.shape)
        result += windows[block].reshape(n, entries).T @ part.reshape(n, size_out)
    return result.reshape(weight_shape)


def scatter(grad, weight, x_shape, stride, padding):
    """The gradient of the convolution's input: each output position adds its window's share."""
    *kernel, size_in, size_out = weight.shape
    mirrored_padding = tuple((k - 1 - before, k - 1 - after) for k, (before, after) in zip(kernel, padding))
    if set(stride) == {1} and size_out <= 2 * size_in and min(map(min, mirrored_padding)) >= 0:
        # With stride 1 the same sum is a convolution with the kernel turned around: gathering beats scattering.
        turned = weight[(slice(None, None, -1),) * len(kernel)]
        return _correlate(grad, transposed(turned), stride, mirrored_padding)
    entries = math.prod(kernel) * size_in
    matrix = weight.reshape(entries, size_out).T
    batch, *spatial, _ = x_shape
    bigger = (batch, *(n + sum(p) for n, p in zip(spatial, padding)), size_in)
    result = array_module(grad).zeros(bigger, grad.dtype)
    windows = _windows(result, kernel, stride)
    overlap = any(s < k for s, k in zip(stride, kernel))
    for block in _blocks(grad.shape[:-1], entries):
        part, target = grad[block], windows[block]
        shares = (part.reshape(row_count(part.shape), size_out) @ matrix).reshape(target.shape)
        if not overlap:
            target[...] = shares
            continue
        for tap in itertools.product(*map(range, kernel)):  # for one tap no two positions meet
            here = (..., *tap, slice(None))
            target[here] += shares[here]
    return result[_inside(spatial, padding)]
