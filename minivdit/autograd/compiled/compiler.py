"""Loops that Numba compiles: `@compiled` marks one, `in_parallel` calls it on all free cores.

A loop is a Python function on contiguous arrays. Its first two arguments say which of its items to work on, from
`start` to before `stop`, so that threads can share them. It runs without Python's lock. Matrix products inside are
np.dot, which Numba hands to SciPy's BLAS.

What was compiled is kept in the user's cache folder, which may be deleted at any time. The first start on a machine
compiles all loops, which takes a quarter of a minute; later ones read what they need.
"""

import contextlib
import functools
import hashlib
import itertools
import os
import platform
import threading
from pathlib import Path

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 (loads the BLAS that np.dot calls)
from llvmlite.binding import get_host_cpu_name

from ...base.backend import free_cores, look_for_blas
from ...base.console import note, progress_bar
from ...base.files import private_folder
from ...base.sharing import parallel_map

# Sums in another order than written let the processor work on 8 or 16 numbers at a time. Infinity and NaN stay what
# they are.
MATHS = {"reassoc", "contract", "arcp", "nsz"}
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": MATHS}
ENTRIES = 1 << 15  # with fewer entries to work on, starting a thread costs more than it saves

FLOAT32 = np.dtype(np.float32)
LETTERS = {FLOAT32: "f4", np.dtype(np.float64): "f8"}  # Numba's names


class Loop:
    """A loop, compiled for float32 or float64, whichever its arguments are."""

    def __init__(self, function, signature):
        self.function, self.signature, self.compiled = function, signature, {}

    def __call__(self, start, stop, *arguments):
        dtype = next(argument.dtype for argument in arguments if getattr(argument, "dtype", None) in LETTERS)
        self.compile(dtype)(start, stop, *arguments)

    def compile(self, dtype=FLOAT32):
        """The loop for numbers of this type; it is read from the cache folder, or compiled and written there.

        A file there that is damaged, or a disk that is full, doesn't stop it: it is then compiled for this process.
        """
        if dtype not in self.compiled:
            with _lock:
                try:
                    self.compiled[dtype] = self._compiled(dtype, cache=True)
                except Exception as error:
                    for damaged in folder().rglob(f"*.{self.function.__name__}-*"):
                        damaged.unlink(missing_ok=True)
                    told = f"what is kept in {folder()} can't be read or written ({type(error).__name__}: {error})"
                    note(f"{self.function.__name__} is compiled for this run alone: {told}; delete that folder")
                    self.compiled[dtype] = self._compiled(dtype, cache=False)
        return self.compiled[dtype]

    def _compiled(self, dtype, cache):
        with _cache_in(folder()):
            dispatcher = numba.njit(cache=cache, **OPTIONS)(self.function)
            dispatcher.compile(f"void(i8, i8, {self.signature.replace('f4', LETTERS[dtype])})")
        dispatcher.disable_compile()  # for arrays that are laid out otherwise: it would take seconds
        return dispatcher


_lock = threading.RLock()
loops = []  # all of them


def compiled(signature):
    """Have a loop compiled. signature: Numba's for float32, without `start` and `stop`, such as 'f4[:,::1], f4'.

    f4[:, ::1] is a contiguous matrix; the rows of f4[:, :] may lie anywhere, see `in_one_piece`.
    """

    def register(function):
        loops.append(Loop(function, signature))
        return loops[-1]

    return register


def whole(x):
    """x as a contiguous array that a loop can take: a copy where it isn't one."""
    return x if x.flags.carray else x.copy("C")


def rows_whole(x):
    """x as an array that a loop can take, the entries of each row side by side: a copy where it isn't one."""
    return x if x.flags.behaved and x.strides[-1] == x.itemsize else x.copy("C")


def in_parallel(loop, count, entries, *arguments):
    """Call loop(start, stop, *arguments) on ranges that cover range(count), in a thread for each free core.

    entries: how much there is to do, in entries of arrays. The result must not depend on where ranges end.
    """
    threads = max(1, min(free_cores(), count, entries // ENTRIES))
    edges = [count * i // threads for i in range(threads + 1)]
    parallel_map(lambda edge: loop(*edge, *arguments), list(itertools.pairwise(edges)), threads)


def compile_all():
    """Compile all loops, unless an earlier start has done so."""
    look_for_blas()
    done = folder() / "done"
    if not done.exists():
        count = f"{len(loops)} operation{'s' * (len(loops) != 1)}"
        note(f"compiling {count} for this processor, once, in about a quarter of a minute; kept in {folder()}")
        with progress_bar("compiling", len(loops), unit="operation") as bar:
            for loop in loops:
                loop.compile()
                bar.update()
        with contextlib.suppress(OSError):  # a full disk
            done.touch()
    if hasattr(os, "register_at_fork"):  # forked processes then share them instead of reading each its own
        os.register_at_fork(before=lambda: [loop.compile() for loop in loops])


@functools.cache
def folder():
    """Where compiled loops are kept: another folder for other sources, and another Numba, Python or processor.

    Numba takes a source for another one if its path or its date differs, so this does, too.
    """
    for_whom = numba.__version__, platform.python_version(), get_host_cpu_name(), numba.config.CPU_NAME
    sources = [(str(path), path.stat().st_mtime_ns) for path in sorted(Path(__file__).parent.glob("*.py"))]
    name = hashlib.sha256(repr([for_whom, sources]).encode()).hexdigest()[:16]
    return private_folder(f"compiled-{name}")


@contextlib.contextmanager
def _cache_in(place):
    """Inside this block Numba keeps what it compiles in this folder."""
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(place)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before
