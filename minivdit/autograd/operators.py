"""Python's operators and a few methods for Tensor: each one calls an operation."""

import numpy as np

from .elementwise import add, divide, multiply, negate, power, scale, subtract
from .engine import Tensor
from .products import matmul
from .reductions import mean, sum
from .shaping import getitem, reshape, transpose


def _plain(x):
    """A NumPy scalar as a Python number, which can't change the dtype of an array."""
    return x.item() if isinstance(x, np.generic) else x


def _is_number(x):
    return isinstance(x, (int, float, np.generic))


def _times(x, other):
    return scale(x, by=other) if _is_number(other) else multiply(x, other)


def _over(x, other):
    return scale(x, by=1.0 / other) if _is_number(other) else divide(x, other)


def _as_sequence(sizes):
    """x.reshape(2, 3) and x.reshape((2, 3)) mean the same."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def _transpose(x, *axes):
    """Axes in their new order; none at all reverses them."""
    return transpose(x, axes=_as_sequence(axes) if axes else None)


Tensor.__add__ = lambda x, other: add(x, _plain(other))
Tensor.__radd__ = lambda x, other: add(x, _plain(other))
Tensor.__sub__ = lambda x, other: subtract(x, _plain(other))
Tensor.__rsub__ = lambda x, other: subtract(_plain(other), x)
Tensor.__mul__ = _times
Tensor.__rmul__ = _times
Tensor.__truediv__ = _over
Tensor.__rtruediv__ = lambda x, other: divide(_plain(other), x)
Tensor.__matmul__ = lambda x, other: matmul(x, other)
Tensor.__rmatmul__ = lambda x, other: matmul(other, x)
Tensor.__neg__ = lambda x: negate(x)
Tensor.__pow__ = lambda x, exponent: power(x, exponent=exponent)
Tensor.__getitem__ = lambda x, key: getitem(x, key=key)
Tensor.reshape = lambda x, *shape: reshape(x, shape=_as_sequence(shape))
Tensor.transpose = _transpose
Tensor.sum = lambda x, axis=None, keepdims=False: sum(x, axis=axis, keepdims=keepdims)
Tensor.mean = lambda x, axis=None, keepdims=False: mean(x, axis=axis, keepdims=keepdims)
