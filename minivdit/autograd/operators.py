"""Python's operators and a few methods for Tensor.

Each calls an operation, except comparisons: they give boolean arrays, as NumPy's do, and have no gradient.
"""

import numpy as np

from .elementwise import add, divide, multiply, negate, power, scale, subtract
from .engine import Tensor
from .products import matmul
from .reductions import mean, sum
from .shaping import getitem, reshape, transpose


def _is_number(x):
    return isinstance(x, (int, float, np.generic))


def _times(x, other):
    return scale(x, by=other) if _is_number(other) else multiply(x, other)


def _over(x, other):
    return scale(x, by=1.0 / float(other)) if _is_number(other) else divide(x, other)


def _data(x):
    return x.data if isinstance(x, Tensor) else x


def _truth(x):
    """Whether the single entry isn't 0: NumPy's rule."""
    if x.size != 1:
        raise TypeError(f"a Tensor of shape {x.shape} is neither true nor false; use (x != 0).any() or .all()")
    return bool(x.data)


def _entries(x):
    """The Tensors along the first axis."""
    if x.ndim == 0:
        raise TypeError("a Tensor of shape () has no entries to go through; .item() is its number")
    return (x[index] for index in range(len(x)))


def _as_array(x, dtype=None, copy=None):
    raise TypeError("NumPy would forget how a Tensor was computed; use its .data")


def _as_sequence(sizes):
    """x.reshape(2, 3) and x.reshape((2, 3)) mean the same."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def _transpose(x, *axes):
    """The axes in their new order; without axes, in reverse order."""
    return transpose(x, axes=_as_sequence(axes) if axes else None)


Tensor.__add__ = Tensor.__radd__ = add
Tensor.__sub__ = subtract
Tensor.__rsub__ = lambda x, other: subtract(other, x)
Tensor.__mul__ = Tensor.__rmul__ = _times
Tensor.__truediv__ = _over
Tensor.__rtruediv__ = lambda x, other: divide(other, x)
Tensor.__matmul__ = matmul
Tensor.__rmatmul__ = lambda x, other: matmul(other, x)
Tensor.__neg__ = negate
Tensor.__pow__ = lambda x, exponent: power(x, exponent=exponent)
Tensor.__eq__ = lambda x, other: x.data == _data(other)
Tensor.__ne__ = lambda x, other: x.data != _data(other)
Tensor.__lt__ = lambda x, other: x.data < _data(other)
Tensor.__le__ = lambda x, other: x.data <= _data(other)
Tensor.__gt__ = lambda x, other: x.data > _data(other)
Tensor.__ge__ = lambda x, other: x.data >= _data(other)
Tensor.__hash__ = object.__hash__  # a dict looks for the Tensor itself, not for one with equal entries
Tensor.__contains__ = lambda x, value: bool((x == value).any())
Tensor.__bool__ = _truth
Tensor.__iter__ = _entries
Tensor.__array__ = _as_array
Tensor.__getitem__ = lambda x, key: getitem(x, key=key)
Tensor.reshape = lambda x, *shape: reshape(x, shape=_as_sequence(shape))
Tensor.transpose = _transpose
Tensor.sum = lambda x, axis=None, keepdims=False: sum(x, axis=axis, keepdims=keepdims)
Tensor.mean = lambda x, axis=None, keepdims=False: mean(x, axis=axis, keepdims=keepdims)
