"""Operations that act on each entry by itself, with NumPy's broadcasting where there are two inputs.

Each keeps only what its pullback needs. Temporaries are made once and then changed in place: at these
sizes an operation costs what its passes over memory cost. Incoming gradients are never changed in
place, since the engine may have handed the same array to someone else.
"""

import math

import numpy as np

from ..backend import array_module
from .engine import differentiable

GELU_SLOPE = math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715


def _is_number(x):
    return isinstance(x, (int, float))


@differentiable
def add(a, b):
    """a + b."""

    def pullback(grad):
        return None if _is_number(a) else grad, None if _is_number(b) else grad

    return a + b, pullback


@differentiable
def subtract(a, b):
    """a - b."""

    def pullback(grad):
        return None if _is_number(a) else grad, None if _is_number(b) else -grad

    return a - b, pullback


@differentiable
def multiply(a, b):
    """a * b."""

    def pullback(grad):
        return None if _is_number(a) else grad * b, None if _is_number(b) else grad * a

    return a * b, pullback


@differentiable
def divide(a, b):
    """a / b."""

    def pullback(grad):
        over_b = grad / b
        return None if _is_number(a) else over_b, None if _is_number(b) else -over_b * (a / b)

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
def log(x):
    """Natural logarithm."""
    return np.log(x), lambda grad: grad / x


@differentiable
def sqrt(x):
    """Square root."""
    value = np.sqrt(x)

    def pullback(grad):
        result = grad / value
        result *= 0.5
        return result

    return value, pullback


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


def _logistic(x):
    """1 / (1 + exp(-x)) in a fresh array, by way of tanh, which can't overflow."""
    value = np.multiply(x, 0.5, out=array_module(x).empty_like(x))
    np.tanh(value, out=value)
    value *= 0.5
    value += 0.5
    return value


@differentiable
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    value = _logistic(x)

    def pullback(grad):
        slope = 1.0 - value
        slope *= value
        slope *= grad
        return slope

    return value, pullback


@differentiable
def silu(x):
    """x * sigmoid(x), also called swish (Elfwing et al. 2017)."""
    gate = _logistic(x)

    def pullback(grad):
        slope = 1.0 - gate  # the whole slope is gate * (1 + x * (1 - gate))
        slope *= x
        slope += 1.0
        slope *= gate
        slope *= grad
        return slope

    return x * gate, pullback


@differentiable
def gelu(x):
    """The Gaussian error linear unit in its tanh form (Hendrycks and Gimpel 2016).

    0.5 * x * (1 + tanh(u)) = x * sigmoid(2 u) with u = sqrt(2 / pi) * (x + 0.044715 x^3).
    """
    gate = np.multiply(x, x, out=array_module(x).empty_like(x))
    gate *= GELU_SLOPE * GELU_CUBIC
    gate += GELU_SLOPE
    gate *= x
    np.tanh(gate, out=gate)
    gate *= 0.5
    gate += 0.5  # sigmoid(2 u)

    def pullback(grad):
        slope = x * x  # the whole slope is gate * (1 + (1 - gate) * x * d(2 u)/dx)
        slope *= 6.0 * GELU_SLOPE * GELU_CUBIC
        slope += 2.0 * GELU_SLOPE
        slope *= x
        slope *= 1.0 - gate
        slope += 1.0
        slope *= gate
        slope *= grad
        return slope

    return x * gate, pullback


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
def maximum(a, b):
    """The larger of a and b; where they are equal, the gradient goes to a."""
    first = a >= b

    def pullback(grad):
        return None if _is_number(a) else grad * first, None if _is_number(b) else grad * ~first

    return np.maximum(a, b), pullback


@differentiable
def minimum(a, b):
    """The smaller of a and b; where they are equal, the gradient goes to a."""
    first = a <= b

    def pullback(grad):
        return None if _is_number(a) else grad * first, None if _is_number(b) else grad * ~first

    return np.minimum(a, b), pullback


@differentiable
def where(condition, a, b):
    """a where the boolean array `condition` holds, else b."""
    kind = getattr(condition, "dtype", type(condition))
    if kind != np.bool_:
        raise ValueError(f"where takes a boolean array as condition, not {kind}")
    select = array_module(condition).where

    def pullback(grad):
        zero = grad.dtype.type(0)
        return (
            None,
            None if _is_number(a) else select(condition, grad, zero),
            None if _is_number(b) else select(condition, zero, grad),
        )

    return select(condition, a, b), pullback


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
