"""Operations that act on each entry by itself, with NumPy's broadcasting where there are two inputs.

Each keeps only what its pullback needs. Temporary arrays are made once and then changed in place: what costs time is
reading and writing memory. An operation with many passes makes them all over one block of entries before the next
block, so that only the first pass waits for memory. A pullback never changes the gradient that it is given, since the
engine may have given the same array to another one.
"""

import math

import numpy as np

from ..base.backend import array_module
from .arrays import blocks
from .engine import differentiable, is_recording, with_twins

GELU_SLOPE = math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715

BLOCK = 1 << 15  # entries, 128 KiB of float32: a block of each of a few arrays fits into a core's cache


def _flat_blocks(*arrays):
    """Go through arrays of one shape together, a block of entries of each at a time, as flat pieces.

    Only pieces of a contiguous array can be written to (of others they may be copies). None gives None.
    """
    flat = [None if array is None else array.reshape(-1) for array in arrays]
    for block in blocks(flat[0].shape, BLOCK, like=flat[0]):
        yield [None if array is None else array[block] for array in flat]


def _fresh(x):
    """A new contiguous array like x, its entries still undefined."""
    return array_module(x).empty(x.shape, x.dtype)


@differentiable
def add(a, b):
    """a + b."""
    return a + b, lambda grad: (grad, grad)


@differentiable
def subtract(a, b):
    """a - b."""
    return a - b, lambda grad: (grad, -grad)


@differentiable
def multiply(a, b):
    """a * b."""
    return a * b, lambda grad: (grad * b, grad * a)


@differentiable
def divide(a, b):
    """a / b."""

    def pullback(grad):
        over_b = grad / b
        return over_b, -over_b * (a / b)

    return a / b, pullback


@differentiable
def negate(x):
    """-x."""
    return -x, lambda grad: -grad


@differentiable
def scale(x, *, by):
    """x times the Python number `by`."""
    by = float(by)  # a NumPy float64 would turn float32 arrays into float64
    return x * by, lambda grad: grad * by


@differentiable
def power(x, *, exponent):
    """x to a fixed real power."""
    if not isinstance(exponent, (int, float, np.number)):
        raise ValueError(f"power takes a fixed number as exponent, not {type(exponent).__name__}")
    exponent = float(exponent)

    def pullback(grad):
        if exponent == 0.0:  # where x is 0, too: 0 ** -1 times 0 would be NaN
            return array_module(grad).zeros_like(grad)
        slope = x ** (exponent - 1.0)
        slope *= exponent
        slope *= grad
        return slope

    return x**exponent, pullback


@differentiable
def exp(x):
    """e to the x."""
    value = np.exp(x)
    return value, lambda grad: grad * value


@differentiable
def square(x):
    """x * x."""

    def pullback(grad):
        result = grad * x
        result *= 2.0
        return result

    return x * x, pullback


@differentiable
def tanh(x):
    """Hyperbolic tangent."""
    value = np.tanh(x)

    def pullback(grad):
        slope = value * value
        slope -= 1.0
        slope *= grad
        return -slope

    return value, pullback


def _logistic(x, out):
    """Write 1 / (1 + exp(-x)) to `out`, computed by tanh, which can't overflow."""
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5


@differentiable
@with_twins
def silu(x):
    """x * sigmoid(x), also called swish (Elfwing et al. 2017)."""
    value = _fresh(x)
    slope = _fresh(x) if is_recording() else None
    for x_block, value_block, slope_block in _flat_blocks(x, value, slope):
        gate = np.empty_like(x_block)
        _logistic(x_block, out=gate)
        np.multiply(x_block, gate, out=value_block)
        if slope_block is not None:  # gate + value * (1 - gate)
            np.subtract(1.0, gate, out=slope_block)
            slope_block *= value_block
            slope_block += gate
    return value, lambda grad: grad * slope


@differentiable
@with_twins
def gelu(x):
    """Gaussian error linear unit in its tanh form (Hendrycks and Gimpel 2016).

    0.5 * x * (1 + tanh(u)) = x * sigmoid(2 u) with u = sqrt(2 / pi) * (x + 0.044715 x^3).
    The slope is computed at once, from what is there already, and is all that the pullback keeps.
    """
    value = _fresh(x)
    slope = _fresh(x) if is_recording() else None
    write_gelu(x, value, slope)
    return value, lambda grad: grad * slope


def write_gelu(x, value, slope=None):
    """Write gelu(x) to `value`, which may be x itself, and its slope to `slope` if there is one; both contiguous."""
    for x_block, value_block, slope_block in _flat_blocks(x, value, slope):
        squared = x_block * x_block
        gate = squared * (GELU_SLOPE * GELU_CUBIC)
        gate += GELU_SLOPE
        gate *= x_block
        np.tanh(gate, out=gate)  # sigmoid(2 u) = (1 + tanh(u)) / 2
        gate += 1.0
        gate *= 0.5
        np.multiply(x_block, gate, out=value_block)
        if slope_block is not None:  # gate + value * (1 - gate) * d(2 u)/dx
            squared *= 6.0 * GELU_SLOPE * GELU_CUBIC
            squared += 2.0 * GELU_SLOPE
            squared *= value_block
            np.subtract(1.0, gate, out=slope_block)
            slope_block *= squared
            slope_block += gate


@differentiable
def relu(x):
    """max(x, 0); the slope at 0 is 0."""
    positive = x > 0
    return x * positive, lambda grad: grad * positive


@differentiable
def absolute(x):
    """|x|; the slope at 0 is 0."""
    return abs(x), lambda grad: grad * np.sign(x)


@differentiable
def clip(x, *, low=None, high=None):
    """x limited to [low, high] (None: no limit on that side); outside, the gradient is 0."""
    if low is None and high is None:
        raise ValueError("clip takes low, high or both")
    if low is not None and high is not None and low > high:
        raise ValueError(f"clip takes low <= high, not low {low} and high {high}")
    value = x if low is None else np.maximum(x, float(low))
    value = value if high is None else np.minimum(value, float(high))
    inside = value == x
    return value, lambda grad: grad * inside
