"""GELU and SiLU and their gradients, entry by entry, in one pass. Only the input is kept: a slope is quick to compute.

Items are blocks of `step` entries, the last of which may be smaller.
"""

from .compiler import compiled
from .scalars import gelu_and_slope, silu_and_slope


@compiled("i8, f4[::1], f4[::1]")
def gelu_forward(start, stop, step, x, value):
    """value = gelu(x)."""
    first, last = start * step, stop * step
    mine, out = x[first:last], value[first:last]
    for j in range(len(mine)):
        out[j], _ = gelu_and_slope(mine[j])


@compiled("i8, f4[::1], f4[::1], f4[::1]")
def gelu_backward(start, stop, step, x, grad, x_grad):
    """x_grad = grad times GELU's slope at x."""
    first, last = start * step, stop * step
    mine, above, out = x[first:last], grad[first:last], x_grad[first:last]
    for j in range(len(mine)):
        out[j] = above[j] * gelu_and_slope(mine[j])[1]


@compiled("i8, f4[::1], f4[::1]")
def silu_forward(start, stop, step, x, value):
    """value = silu(x)."""
    first, last = start * step, stop * step
    mine, out = x[first:last], value[first:last]
    for j in range(len(mine)):
        out[j], _ = silu_and_slope(mine[j])


@compiled("i8, f4[::1], f4[::1], f4[::1]")
def silu_backward(start, stop, step, x, grad, x_grad):
    """x_grad = grad times SiLU's slope at x."""
    first, last = start * step, stop * step
    mine, above, out = x[first:last], grad[first:last], x_grad[first:last]
    for j in range(len(mine)):
        out[j] = above[j] * silu_and_slope(mine[j])[1]
