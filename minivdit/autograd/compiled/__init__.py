"""Operations compiled for the CPU by Numba: twins of NumPy's, with fewer passes over arrays. See compiler.py."""

from . import twins  # noqa: F401 (registers them)
from .compiler import compile_all

compile_all()
