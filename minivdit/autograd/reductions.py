"""Operations that take many entries to one: over `axis` (an int, a tuple, or None for all of them)."""

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..base.backend import array_module
from .engine import differentiable


def _over(x, axis, keepdims):
    """The reduced axes as a tuple, how many entries each result comes from, and a function `restore`.

    `restore` gives an array of the result's shape its reduced axes back, with size 1.
    """
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    count = math.prod(x.shape[a] for a in axes)
    kept_shape = tuple(1 if a in axes else size for a, size in enumerate(x.shape))

    def restore(array):
        return array if keepdims else array.reshape(kept_shape)

    return axes, count, restore


def _not_empty(name, x, axes, count):
    if count == 0:
        raise ValueError(f"{name} over axes {axes} of shape {x.shape} has nothing to reduce")


@differentiable
def sum(x, *, axis=None, keepdims=False):
    """The sum; 0 over an empty axis."""
    axes, _, restore = _over(x, axis, keepdims)
    shape, xp = x.shape, array_module(x)

    def pullback(grad):
        return xp.broadcast_to(restore(grad), shape)  # a view: no memory is filled

    return x.sum(axis=axes, keepdims=keepdims), pullback


@differentiable
def mean(x, *, axis=None, keepdims=False):
    """The arithmetic mean."""
    axes, count, restore = _over(x, axis, keepdims)
    _not_empty("mean", x, axes, count)
    shape, xp = x.shape, array_module(x)

    def pullback(grad):
        return xp.broadcast_to(restore(grad) * (1.0 / count), shape)

    return x.mean(axis=axes, keepdims=keepdims), pullback


@differentiable
def variance(x, *, axis=None, keepdims=False):
    """The population variance: the mean squared distance to the mean (divided by n, not n - 1)."""
    axes, count, restore = _over(x, axis, keepdims)
    _not_empty("variance", x, axes, count)
    centred = x - x.mean(axis=axes, keepdims=True)

    def pullback(grad):
        return centred * (restore(grad) * (2.0 / count))  # the mean's own share sums to zero

    return (centred * centred).mean(axis=axes, keepdims=keepdims), pullback


@differentiable
def max(x, *, axis=None, keepdims=False):
    """The largest entry; where several are equal they share the gradient."""
    axes, count, restore = _over(x, axis, keepdims)
    _not_empty("max", x, axes, count)
    value = x.max(axis=axes, keepdims=keepdims)
    largest = x == restore(value)

    def pullback(grad):
        ties = largest.sum(axis=axes, keepdims=True).astype(grad.dtype)
        return largest * (restore(grad) / ties)

    return value, pullback


@differentiable
def logsumexp(x, *, axis=None, keepdims=False):
    """log(sum(exp(x))), shifted by the maximum so that large entries don't overflow."""
    axes, count, restore = _over(x, axis, keepdims)
    _not_empty("logsumexp", x, axes, count)
    largest = x.max(axis=axes, keepdims=True)
    largest = array_module(x).where(np.isfinite(largest), largest, largest.dtype.type(0))  # a row of -inf stays -inf
    weights = x - largest
    weights = np.exp(weights)
    total = weights.sum(axis=axes, keepdims=True)
    with np.errstate(divide="ignore"):
        value = np.log(total) + largest

    def pullback(grad):
        return weights * (restore(grad) / total)

    return value if keepdims else value.reshape(tuple(n for a, n in enumerate(x.shape) if a not in axes)), pullback
