"""Operations that take many entries to one: over `axis` (a whole number, a tuple, or None for all axes)."""

from ..base.backend import array_module
from .engine import differentiable


@differentiable
def sum(x, *, axis=None, keepdims=False):
    """The sum; 0 over an empty axis."""
    value = x.sum(axis=axis, keepdims=True)
    shape, kept_shape, xp = x.shape, value.shape, array_module(x)

    def pullback(grad):
        return xp.broadcast_to(grad.reshape(kept_shape), shape)  # a view: no memory is filled

    return value if keepdims else value.squeeze(axis), pullback


@differentiable
def mean(x, *, axis=None, keepdims=False):
    """The arithmetic mean."""
    total, pullback_sum = sum.function(x, axis=axis, keepdims=keepdims)
    if total.size and not x.size:
        raise ValueError(f"mean over axis {axis} of shape {x.shape} has nothing to reduce")
    count = x.size // total.size if x.size else 1
    return total / count, lambda grad: pullback_sum(grad * (1.0 / count))
