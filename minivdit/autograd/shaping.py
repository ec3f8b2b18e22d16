"""Operations that move entries without changing them: their pullbacks move the gradient back."""

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..base.backend import array_module
from .engine import Tensor, differentiable


@differentiable
def reshape(x, *, shape):
    """The same entries, in C order, in another shape; one size may be -1."""
    before = x.shape
    try:
        value = x.reshape(shape)
    except ValueError as error:
        raise ValueError(f"can't reshape {before} ({x.size} entries) to {shape}") from error
    return value, lambda grad: grad.reshape(before)


@differentiable
def transpose(x, *, axes=None):
    """Axis i of the result is axis axes[i] of x; None reverses all axes."""
    axes = tuple(reversed(range(x.ndim))) if axes is None else tuple(axes)
    if len(axes) != x.ndim:
        raise ValueError(f"transpose of shape {x.shape} takes {x.ndim} axes, not {axes}")
    axes = normalize_axis_tuple(axes, x.ndim)
    back = tuple(axes.index(axis) for axis in range(x.ndim))
    return x.transpose(axes), lambda grad: grad.transpose(back)


@differentiable
def getitem(x, *, key):
    """x[key]: slices, integers, None, Ellipsis, integer arrays (entries may repeat) or a boolean mask."""
    entries = key if isinstance(key, tuple) else (key,)
    if any(isinstance(entry, Tensor) for entry in entries):
        raise ValueError("a Tensor can't be an index; use its .data")
    # Only integer arrays can name an entry twice. Then gradients must be added up, which is slower.
    repeats = any(isinstance(entry, list) or getattr(entry, "dtype", np.bool_) != np.bool_ for entry in entries)
    shape = x.shape

    def pullback(grad):
        xp = array_module(grad)
        result = xp.zeros(shape, grad.dtype)
        if repeats:
            xp.add.at(result, key, grad)
        else:
            result[key] = grad
        return result

    return x[key], pullback


@differentiable
def concatenate(*xs, axis):
    """Arrays laid end to end along an axis they all have."""
    if not xs:
        raise ValueError("concatenate takes at least one array")
    axis = normalize_axis_index(axis, xs[0].ndim)
    others = {x.shape[:axis] + x.shape[axis + 1 :] if x.ndim > axis else x.shape for x in xs}
    if len(others) != 1 or len({x.ndim for x in xs}) != 1:
        raise ValueError(f"concatenate along axis {axis} takes equal shapes elsewhere, not {[x.shape for x in xs]}")
    ends = np.cumsum([x.shape[axis] for x in xs])
    before = (slice(None),) * axis
    parts = [before + (slice(int(end) - x.shape[axis], int(end)),) for x, end in zip(xs, ends)]

    def pullback(grad):
        return tuple(grad[part] for part in parts)

    return array_module(*xs).concatenate(xs, axis=axis), pullback


@differentiable
def split(x, *, parts, axis=-1):
    """A tuple of `parts` equal pieces along an axis (views, not copies)."""
    axis = normalize_axis_index(axis, x.ndim)
    size = x.shape[axis]
    if parts < 1 or size % parts:
        raise ValueError(f"axis {axis} of shape {x.shape} has {size} entries: not {parts} equal parts")
    step = size // parts
    before = (slice(None),) * axis
    shape = x.shape

    def cut(whole):
        return tuple(whole[before + (slice(i * step, (i + 1) * step),)] for i in range(parts))

    def pullback(grads):
        whole = grads[0].base  # the compiled attention writes the gradients of its inputs as parts of one array
        if isinstance(whole, np.ndarray) and whole.flags.c_contiguous and whole.size == math.prod(shape):
            whole = whole.reshape(shape)
            if all(grad.__array_interface__ == piece.__array_interface__ for grad, piece in zip(grads, cut(whole))):
                return whole
        return array_module(*grads).concatenate(grads, axis=axis)

    return cut(x), pullback


@differentiable
def upsample(x, *, factors):
    """Nearest-neighbour enlargement of a channels-last array (B, *spatial, C).

    factors: one whole number >= 1 for each spatial axis; each entry becomes a block of that size.
    """
    batch, *spatial, channels = x.shape
    factors = tuple(factors)
    if len(factors) != len(spatial) or any(factor < 1 for factor in factors):
        raise ValueError(f"upsample of shape {x.shape} takes {len(spatial)} factors >= 1, not {factors}")
    pairs = tuple(zip(spatial, factors))
    blocks = (batch, *(n for pair in pairs for n in pair), channels)  # (B, h, fh, w, fw, C)
    alone = (batch, *(n for size in spatial for n in (size, 1)), channels)  # (B, h, 1, w, 1, C)
    enlarged = (batch, *(size * factor for size, factor in pairs), channels)

    def pullback(grad):
        # Adding strided slices is much faster than one .sum over the factors' axes.
        result = None
        for offset in np.ndindex(*factors):
            part = grad[(slice(None), *(slice(o, None, f) for o, f in zip(offset, factors)))]
            if result is None:
                result = part.copy()
            else:
                result += part
        return result

    return array_module(x).broadcast_to(x.reshape(alone), blocks).reshape(enlarged), pullback
