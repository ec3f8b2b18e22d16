"""Importing this registers all compiled twins, and compiles them where no earlier start has done so."""

from ...base.backend import numba_problem
from . import convolution, twins, update_loops  # noqa: F401 (registers them)
from .compiler import compile_all

if numba_problem() is None:  # switched off, it can still be imported, as a page about all modules does
    compile_all()
