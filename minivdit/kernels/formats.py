"""How numbers lie in the arrays that kernels read: float32, float16, bfloat16.

NumPy has no bfloat16. An array of such numbers is an array of their bits, uint16, and the caller says so:
forward(..., dtype="bfloat16"). A bfloat16 is the upper half of a float32: the same range, 8 bits of precision.
"""

import numpy as np

from ..base.backend import array_module
from ..base.errors import InputError

# The dtype of arrays, by the name of the format.
STORED_AS = {"float32": np.dtype("float32"), "float16": np.dtype("float16"), "bfloat16": np.dtype("uint16")}
_NAMES = {STORED_AS[name]: name for name in ("float32", "float16")}  # found faster than array.dtype.name is made


def to_format(array, dtype):
    """float32 numbers in another format, rounded to the nearest, ties to even."""
    if dtype not in STORED_AS:
        raise InputError(f"{dtype!r} is not a format of numbers here; there are {', '.join(STORED_AS)}")
    if dtype != "bfloat16":
        return array.astype(STORED_AS[dtype])
    xp = array_module(array)
    bits = xp.ascontiguousarray(array, np.float32).view(np.uint32)
    nearest = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return xp.where(xp.isnan(array), 0x7FFF, nearest).astype(np.uint16)


def to_float32(array, dtype):
    """Numbers of any of the formats as float32, which holds all of them exactly."""
    if dtype != "bfloat16":
        return array.astype(np.float32)
    xp = array_module(array)
    return xp.ascontiguousarray(array.astype(np.uint32) << 16).view(np.float32)


def format_of(array, dtype, possible, name):
    """The format of an array that `name` is to read: `dtype`, or else the array's own. InputError if it can't."""
    if dtype is None:  # where the array's own can't be read, a later check of the dtype says so
        own = _NAMES.get(array.dtype)
        dtype = own if own in possible else possible[0]
        if array.dtype == STORED_AS["bfloat16"]:
            raise InputError('uint16 could be anything; say dtype="bfloat16" if these are the bits of such numbers')
    if dtype not in possible:
        raise InputError(f"{name} reads {' or '.join(possible)}, not {dtype}")
    return dtype
