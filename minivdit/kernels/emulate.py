"""Kernels on the CPU: compiled by g++ against kernels/cuda_on_cpu.h, which says what that shows and what it can't.

A build is kept in the user's own cache folder under a name made from a hash of all that went into it.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from ..base.files import atomic_write, is_private_file, private_folder
from .sources import folder, whole_source

FLAGS = ("-std=c++17", "-O1", "-g1", "-shared", "-fPIC", "-fno-strict-aliasing", "-Wno-unknown-pragmas")
SANITIZE = ("-O0", "-fsanitize=address,alignment", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


class EmulationError(RuntimeError):
    """A kernel did something that CUDA forbids: the message says which thread, in which line, and what."""


class _Launch(ctypes.Structure):
    """Launch of kernels/cuda_on_cpu.h."""

    _fields_ = [
        ("grid", ctypes.c_int * 3),
        ("block", ctypes.c_int * 3),
        *[(name, ctypes.c_int) for name in ("shared_bytes", "seed", "copies_land_late")],
        *[(name, ctypes.c_int) for name in ("traced_block", "traced_threads")],
    ]


class Emulation:
    """Runs kernels on NumPy arrays.

    seed: of the order in which blocks, warps and threads get on; copies_land_late: asynchronous copies arrive as late
    as waits allow, else at once; traced_threads: so many threads of block `traced_block` write lines to `trace`, a
    list; sources: text to compile instead of a file's own, by its name (tests plant bugs with it);
    sanitize: with AddressSanitizer, which the program must have been started with: see `sanitized_environment`.
    """

    library = "numpy"

    def __init__(
        self, seed=0, copies_land_late=True, traced_threads=0, traced_block=0, sources=None, sanitize=False
    ):  # fmt: skip
        self.seed, self.copies_land_late = seed, copies_land_late
        self.traced_threads, self.traced_block = traced_threads, traced_block
        self.sources, self.sanitize = sources or {}, sanitize
        self.trace = []

    def array(self, array):
        """A NumPy array as an array of this library."""
        return array

    def empty(self, shape, dtype=np.float32):
        """A new array; NaN, so that a number which no thread writes shows itself."""
        array = np.empty(shape, dtype)
        array.view(np.uint8)[...] = 0xFF  # NaN in every format, bfloat16's bits included
        return array

    def run(self, file, function, instance, blocks, arguments, number_type=None):
        """One launch. Raises EmulationError if the kernel breaks a rule of CUDA."""
        text = self.sources.get(file.name) or whole_source(file.name)
        library = _library(file, text, self.sanitize)
        launch = _Launch((blocks, 1, 1), (function.threads, 1, 1), function.shared_bytes(instance))
        launch.seed, launch.copies_land_late = self.seed, self.copies_land_late
        launch.traced_block = self.traced_block if self.traced_threads else -1
        launch.traced_threads = self.traced_threads
        expression = file.expression(function, instance, number_type)
        if self.traced_threads:
            self.trace.append(f"==== {expression}: {blocks} blocks of {function.threads} threads")
        which = file.expressions().index(expression)
        error = library.run(which, ctypes.byref(launch), ctypes.byref(arguments), ctypes.sizeof(arguments))
        self.trace += library.trace().decode().splitlines()
        if error:
            raise EmulationError(f"{expression}: {error.decode()}")


HARNESS = """
template <class T, void (*KERNEL)(T)> void in_emulation(const void *arguments) {{
    KERNEL(*static_cast<const T *>(arguments));
}}
template <class T, void (*KERNEL)(T)>
const char *emulate(const cuda_on_cpu::Launch *launch, const void *arguments, int size) {{
    if (size != sizeof(T))
        return "the kernel's argument has another size in Python than in C++";
    return cuda_on_cpu::run(*launch, in_emulation<T, KERNEL>, arguments);
}}
extern "C" const char *run(int which, const cuda_on_cpu::Launch *launch, const void *arguments, int size) {{
    switch (which) {{
{cases}
    }}
    return "no such kernel";
}}
extern "C" const char *trace() {{ return cuda_on_cpu::trace_text.c_str(); }}
"""


def _library(file, text, sanitize):
    """A kernel file's instances as a library, compiled if it hasn't been before."""
    cases = "\n".join(
        f"    case {i}: return emulate<{argument_type}, {expression}>(launch, arguments, size);"
        for i, (expression, argument_type) in enumerate(file.kernels().items())
    )
    text += HARNESS.format(cases=cases)
    headers = "".join(path.read_text(encoding="utf-8") for path in sorted(folder().glob("*_on_cpu.h")))
    flags = (*FLAGS, *(SANITIZE if sanitize else ()))
    key = hashlib.sha256("\0".join((text, headers, *flags)).encode()).hexdigest()[:16]
    if key not in _loaded:
        path = private_folder("kernels") / f"{file.name}-{key}.so"
        if not is_private_file(path):
            path.unlink(missing_ok=True)
            _compile(text, flags, path)
        library = ctypes.CDLL(str(path))
        library.run.restype = library.trace.restype = ctypes.c_char_p
        _loaded[key] = library
    return _loaded[key]


_loaded = {}  # libraries by the hash of what they were made from


def _compile(text, flags, path):
    with tempfile.TemporaryDirectory() as build, atomic_write(path) as result:
        source = Path(build) / "kernel.cpp"
        source.write_text(text, encoding="utf-8")
        command = [compiler(), *flags, "-include", str(folder() / "cuda_on_cpu.h"), "-o", str(result), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise InputError(f"g++ can't compile {path.stem}: {first_error(done.stderr)}")
        result.chmod(0o700)


def compiler():
    """g++, or InputError with the cure."""
    found = shutil.which("g++")
    if found is None:
        raise InputError("running kernels on the CPU needs g++; install it (Debian, Ubuntu: apt install g++)")
    return found


def first_error(log):
    """The line of a compiler's messages that matters."""
    lines = [line for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "no message")


def sanitized_environment():
    """Environment variables with which a new Python process can use Emulation(sanitize=True)."""
    command = [compiler(), "-print-file-name=libasan.so"]
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not sys.platform.startswith("linux") or not Path(library).is_absolute():
        raise InputError("AddressSanitizer isn't there; on Debian or Ubuntu it comes with g++, elsewhere leave it out")
    # Python itself never frees everything it allocated: leaks aren't looked for.
    return {**os.environ, "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
