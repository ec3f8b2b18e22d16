"""Helpers on plain arrays (NumPy's or CuPy's) that several operations share. Rows are the last axis."""

import math

import numpy as np

from ..base.backend import array_module


def transposed(x):
    """Matrices (..., n, m) as (..., m, n): a view."""
    return x.swapaxes(-1, -2)


def row_count(shape):
    """How many rows an array of this shape has when all axes but the last are flattened."""
    return math.prod(shape[:-1])


def sum_rows(x):
    """The sum of x (..., D) over all axes but the last: (D,). A product with ones is several times faster than .sum."""
    rows = x.reshape(row_count(x.shape), x.shape[-1])
    return array_module(x).ones(len(rows), x.dtype) @ rows


def row_mean(x):
    """The mean over the last axis, (..., 1). A product with ones is several times faster than .mean."""
    width = x.shape[-1]
    return (x.reshape(-1, width) @ array_module(x).full((width, 1), 1 / width, x.dtype)).reshape(*x.shape[:-1], 1)


def row_dot(a, b):
    """The sum of a * b over the last axis, (..., 1), without a temporary array of the size of a."""
    return array_module(a).einsum("...i,...i->...", a, b)[..., None]


def rotate_pairs(x, cos, sin):
    """Rotate each pair (x[..., i], x[..., i + d/2]) of x (..., d) by an angle, of cosine and sine (..., d/2)."""
    half, rotated = x.shape[-1] // 2, array_module(x).empty_like(x)
    first, second = x[..., :half], x[..., half:]
    rotated_first, rotated_second = rotated[..., :half], rotated[..., half:]
    np.multiply(first, cos, out=rotated_first)
    rotated_first -= second * sin
    np.multiply(second, cos, out=rotated_second)
    rotated_second += first * sin
    return rotated


def blocks(shape, entries, like=None):
    """Tuples of slices that cut an array of this shape into blocks of at most `entries` entries (but at least one).

    Work that goes block by block finds in the cache what its last pass over a block left there. A GPU wants few large
    launches instead: if `like` is an array on a GPU, there is one block.
    """
    if like is not None and array_module(like) is not np:
        entries = max(1, math.prod(shape))
    if not shape:
        return [()]
    length, *rest = shape
    below = math.prod(rest)
    step = max(1, entries // max(1, below))
    firsts = [slice(start, min(start + step, length)) for start in range(0, length, step)]
    whole = below <= entries or not rest
    rests = [tuple(slice(0, size) for size in rest)] if whole else blocks(rest, entries)
    return [(first, *others) for first in firsts for others in rests]
