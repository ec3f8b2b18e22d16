"""Values given from Python: what is plainly meant is accepted, all else refused in one line, before any work."""

import numpy as np

from .errors import InputError, shorten

LARGEST = np.finfo(np.float32).max


def whole(name, value, least=0, most=None, default=None):
    """A whole number as an int: 16, numpy.int64(16) and 16.0 all mean 16, and None means the default, if there is one.

    name: what to call it in the InputError for anything else, or for a number below `least` or above `most`.
    """
    number = _plain(default if value is None else value)
    if type(number) is float and number.is_integer():
        number = int(number)
    if type(number) is not int or number < least or (most is not None and number > most):
        span = f"from {least} upwards" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} must be a whole number {span}, not {_told(value)}")
    return number


def finite(name, value):
    """A number that float32 can hold, as a float; else an InputError that calls it `name`."""
    number = _plain(value)
    if type(number) not in (int, float) or not abs(number) <= float(LARGEST):  # NaN fails, too
        raise InputError(f"{name} must be a finite number, not {_told(value)}")
    return float(number)


def size(value):
    """(height, width) in pixels, from two whole numbers or from one, which means a square."""
    sides = _plain(value)
    sides = list(sides) if isinstance(sides, (tuple, list, np.ndarray)) else [sides, sides]
    if len(sides) != 2:
        raise InputError(f"size must be (height, width) in pixels, or one number for a square, not {_told(value)}")
    return tuple(whole(name, side, 1) for name, side in zip(("height", "width"), sides))


def captions(value):
    """A list of captions, from one or from several; InputError unless there is one at least, and all are text."""
    several = value.tolist() if isinstance(value, np.ndarray) else value
    several = list(several) if isinstance(several, (list, tuple)) else [several]
    if not several:
        raise InputError('there is no caption to draw; give at least one, "" for anything')
    for caption in several:
        if not isinstance(caption, str):
            raise InputError(
                f"a caption is text such as 'a 3 moving right', or a list of such, not {type(caption).__name__}"
            )
    return several


def require_floats(arrays, where):
    """Raise InputError unless all of a dict of NumPy arrays are floating numbers that float32 can hold.

    where: what the arrays are part of, for the message.
    """
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not (np.abs(array) <= LARGEST).all():  # NaN fails, too
            raise InputError(
                f"{name} in {where} holds values that aren't finite float32 numbers; fetch or train them again"
            )


def _plain(value):
    """NumPy's numbers as Python's."""
    return value.item() if isinstance(value, np.generic | np.ndarray) and not value.ndim else value


def _told(value):
    try:
        return shorten(repr(value))
    except ValueError:  # Python writes no number of thousands of digits
        return f"a {type(value).__name__} of thousands of digits"
