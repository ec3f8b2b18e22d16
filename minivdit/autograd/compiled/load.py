"""Importing this registers all compiled twins, and compiles them where no earlier start has done so."""

from . import convolution, twins, update_loops  # noqa: F401 (registers them)
from .compiler import compile_all

compile_all()
