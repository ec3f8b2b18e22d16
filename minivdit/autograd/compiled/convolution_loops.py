"""Convolution as products of windows and the kernel, some positions at a time, so that windows stay in the cache.

See `conv` in products.py for what it computes. There are always three spatial axes, of which leading ones may have
length 1. A position is a place of the result; positions are numbered in the order in which they lie in memory.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiler import OPTIONS, compiled
from .products import add_product


@intrinsic
def copy_entries(context, source, first, target, to, count):
    """target[to : to + count] = source[first : first + count], by the C library's memcpy. Both are of one axis."""

    def generate(context, builder, signature, arguments):
        source_array, first_index, target_array, to_index, many = arguments
        here = context.make_array(source)(context, builder, source_array).data
        there = context.make_array(target)(context, builder, target_array).data
        size = ir.Constant(many.type, context.get_abi_sizeof(context.get_value_type(source.dtype)))
        cgutils.raw_memcpy(builder, builder.gep(there, [to_index]), builder.gep(here, [first_index]), many, size)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, types.int64), generate


@numba.njit(**OPTIONS)
def gather(x, first, last, counts, kernel, stride, before, windows):
    """Write to `windows` (positions, taps * C) what positions `first` to before `last` see of x (B, D, H, W, C).

    counts: how many positions there are along each axis. before: by how much the first window begins before x, where
    zeros are seen. All are triples.
    """
    depth, height, width, channels = x.shape[1:]
    source, target, window = x.reshape(x.size), windows.reshape(windows.size), windows.shape[1]
    line, across = width * channels, kernel[2] * channels  # entries side by side, in x and in a window
    position = first
    while position < last:
        row, w = position // counts[2], position % counts[2]
        end = min(last, position + counts[2] - w)
        b, d, h = row // (counts[0] * counts[1]), row // counts[1] % counts[0], row % counts[1]
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                deep, high = d * stride[0] - before[0] + i, h * stride[1] - before[1] + j
                inside = 0 <= deep < depth and 0 <= high < height
                begin = ((b * depth + deep) * height + high) * line
                seen = (w * stride[2] - before[2]) * channels  # where in this line the window begins
                to = (position - first) * window + (i * kernel[1] + j) * across
                for _ in range(position, end):
                    low = min(max(0, -seen), across) if inside else across
                    high_end = max(low, min(across, line - seen))
                    for c in range(low):
                        target[to + c] = 0
                    copy_entries(source, begin + seen + low, target, to + low, high_end - low)
                    for c in range(high_end, across):
                        target[to + c] = 0
                    to += window
                    seen += stride[2] * channels
        position = end


@numba.njit(**OPTIONS)
def spread(rows, bias, first, last, counts, stride, before, out):
    """Write rows (positions, C) + bias to where in `out` (B, D, H, W, C) windows of a single tap are gathered from."""
    position = first
    while position < last:
        line, w = position // counts[2], position % counts[2]
        end = min(last, position + counts[2] - w)
        b, d, h = line // (counts[0] * counts[1]), line // counts[1] % counts[0], line % counts[1]
        target = out[b, d * stride[0] - before[0], h * stride[1] - before[1]]
        for n in range(position, end):
            place, row = target[(w + n - position) * stride[2] - before[2]], rows[n - first]
            for c in range(len(bias)):
                place[c] = row[c] + bias[c]
        position = end


@compiled(
    "i8, i8, f4[:,:,:,:,::1], f4[:,::1], f4[::1], UniTuple(i8, 3), UniTuple(UniTuple(UniTuple(i8, 3), 2), 2), "
    "UniTuple(i8, 3), f4[:,:,:,:,::1]"
)
def convolution_forward(start, stop, step, positions, x, matrix, bias, counts, places, kernel, value):
    """value = windows of x @ matrix (taps * Cin, Cout) + bias. Items are blocks of `step` positions.

    places: (stride, before) of the windows in x, and of their results in value.
    """
    windows, out = np.empty((step, len(matrix)), x.dtype), np.empty((step, len(bias)), x.dtype)
    seen, written = places
    for block in range(start, stop):
        first, last = block * step, min((block + 1) * step, positions)
        gather(x, first, last, counts, kernel, seen[0], seen[1], windows)
        np.dot(windows[: last - first], matrix, out[: last - first])
        spread(out, bias, first, last, counts, written[0], written[1], value)


@compiled(
    "i8, i8, f4[:,:,:,:,::1], f4[:,:,:,:,::1], f4[:,::1], UniTuple(i8, 3), UniTuple(UniTuple(UniTuple(i8, 3), 2), 2), "
    "UniTuple(i8, 3), f4[:,:,:,:,::1], f4[:,:,::1]"
)
def convolution_backward(start, stop, step, positions, x, grad, matrix, counts, places, kernel, x_grad, weight_grad):
    """The gradients of x and of the kernel, for some places of x.

    Windows of grad (B, .., Cout) meet the turned kernel, matrix (taps * Cout, Cin). An item is one of the parts
    weight_grad (parts, Cin, taps * Cout), which takes an equal share of the blocks of `step` positions.
    places: (stride, before) of the windows in grad, and of their results in x_grad.
    """
    channels = x.shape[4]
    windows = np.empty((step, len(matrix)), x.dtype)
    x_room, x_grad_room = np.empty((step, channels), x.dtype), np.empty((step, channels), x.dtype)
    nothing = np.zeros(channels, x.dtype)
    seen, written = places
    blocks, parts = (positions + step - 1) // step, len(weight_grad)
    for part in range(start, stop):
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            first, last = block * step, min((block + 1) * step, positions)
            mine, rows, out = windows[: last - first], x_room[: last - first], x_grad_room[: last - first]
            gather(grad, first, last, counts, kernel, seen[0], seen[1], mine)
            gather(x, first, last, counts, (1, 1, 1), written[0], written[1], rows)
            np.dot(mine, matrix, out)
            spread(out, nothing, first, last, counts, written[0], written[1], x_grad)
            add_product(rows.T, mine, weight_grad[part])
