"""What a kernel file holds: one description, by which it is compiled, emulated and launched.

Every kernel takes one argument, a struct. Python fills in its twin, a ctypes.Structure with the same fields, so
that nothing can be passed in the wrong order or as the wrong type, and the emulation and CuPy get the same bytes.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..base.backend import array_module
from ..base.errors import InputError
from .formats import STORED_AS

OLDEST_FOR_BFLOAT16 = 80


@dataclass(frozen=True, eq=False)  # each is itself alone: what is kept for it is found faster than by its fields
class Function:
    """One __global__ function of a file: a template over one whole number, the instance (and see KernelFile.types).

    threads: of a block; blocks(arguments, instance): how many for one launch, or 0 if none is needed;
    shared_bytes(instance): of shared memory for each block.
    """

    name: str
    threads: int
    blocks: Callable[[ctypes.Structure, int], int]
    shared_bytes: Callable[[int], int] = lambda instance: 0


@dataclass(frozen=True, eq=False)
class KernelFile:
    """One file of kernels/ and its functions, in the order in which they are launched.

    name: of the file, without .cu; arguments: the ctypes.Structure; argument_type: the same in C++;
    instances: the template arguments that exist; architecture: the oldest that it runs on, 75 for sm_75;
    only: "90a" if it has instructions of that architecture alone: compiled for nothing else, it runs on sm_90 alone;
    types: 'float16', 'bfloat16' (and 'float32') if the functions are templates over the type of number, too. Then it
    stands before the instance, and argument_type has {type} in its place: "Forward<{type}>".
    """

    name: str
    functions: tuple[Function, ...]
    arguments: type[ctypes.Structure]
    argument_type: str
    instances: tuple[int, ...]
    architecture: int = 75
    types: tuple[str, ...] = ()
    only: str | None = None

    def compiles_for(self, architecture):
        """Whether an architecture, '90' or '90a', has all its instructions."""
        return architecture == self.only if self.only else int(architecture.rstrip("a")) >= self.architecture

    def target(self, architecture):
        """What it's compiled for to run on a GPU of this architecture, '90' for sm_90; None if it can't run there."""
        target = f"{architecture}a" if f"{architecture}a" == self.only else architecture
        return target if self.compiles_for(target) else None

    def expression(self, function, instance, number_type=None):
        """One instance of one function, as C++ names it."""
        return f"{function.name}<{instance if number_type is None else f'{number_type}, {instance}'}>"

    def kernels(self, architecture=None):
        """Every instance of every function, and the C++ type of its argument; those only that an architecture has."""
        types = self.types_on(architecture or "90") or (None,)
        return {
            self.expression(function, instance, number_type): self.argument_type.format(type=number_type)
            for function in self.functions
            for number_type in types
            for instance in self.instances
        }

    def expressions(self, architecture=None):
        """Every instance of every function, as C++ names it."""
        return list(self.kernels(architecture))

    def types_on(self, architecture):
        """The types of number that it can be compiled for there: sm_75 has no bfloat16."""
        has_bfloat16 = int(architecture.rstrip("a")) >= OLDEST_FOR_BFLOAT16
        return tuple(name for name in self.types if has_bfloat16 or name != "bfloat16")

    def dtypes(self, architecture=None):
        """Those of arrays that it reads, on a GPU of this architecture or on any: float32 where it names no types."""
        if not self.types:
            return ("float32",)
        return self.types if architecture is None else self.types_on(architecture)

    def runs(self, dtype, instance, architecture, shared_bytes):
        """Whether it reads this dtype on a GPU of this architecture that has so many bytes of shared memory a block."""
        return (
            dtype in self.dtypes(architecture)
            and self.target(architecture) is not None
            and max(function.shared_bytes(instance) for function in self.functions) <= shared_bytes
        )


class Rows(ctypes.Structure):
    """Rows<T> of kernels/attention.cuh: where rows of numbers lie. Strides count numbers, not bytes."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("batch", ctypes.c_longlong),
        ("head", ctypes.c_longlong),
        ("token", ctypes.c_longlong),
    ]


def address(array):
    """Where a NumPy or CuPy array's first number lies."""
    return array.__array_interface__["data"][0] if isinstance(array, np.ndarray) else array.data.ptr


def whole_rows(array):
    """An array (batch, heads, tokens, width) itself, if kernels can read it as it lies, or else a contiguous copy."""
    in_one_piece = array.shape[3] == 1 or array.strides[3] == array.dtype.itemsize
    if in_one_piece and _aligned(address(array), array.strides, array.shape):
        return array
    return array.copy()


def _aligned(start, strides, shape):
    """Whether all rows of (batch, heads, tokens, width) begin at multiples of 16 bytes."""
    return not (
        start % 16
        or (shape[0] > 1 and strides[0] % 16)
        or (shape[1] > 1 and strides[1] % 16)
        or (shape[2] > 1 and strides[2] % 16)
    )


def contiguous(name, array, shape, dtype):
    """The address of an array that lies in one piece, row by row. Raises InputError if it isn't what is needed."""
    _check_shape(name, array, shape, dtype)
    if not array.flags.c_contiguous:
        raise InputError(f"the kernel needs {name} in one piece, row by row; copy it first, with .copy()")
    return address(array)


def _check_shape(name, array, shape, dtype):
    if array.shape != shape or array.dtype != dtype:
        wanted = np.dtype(dtype).name
        raise InputError(f"the kernel needs {name} as {wanted} {shape}, not {array.dtype} {array.shape}; use .astype")


def rows(name, array, shape, dtype, aligned=True):
    """Rows for an array (batch, heads, tokens, width), or (batch, heads, tokens) of single numbers.

    The array may be a view with any strides, as q, k and v are that come out of one product. Only a row of several
    numbers has to lie in one piece, and, if it is read 16 bytes at a time, to begin `aligned`, at a multiple of that.
    Raises InputError if shape, dtype, order or alignment isn't what the kernel reads.
    """
    _check_shape(name, array, shape, dtype)
    start, strides, size = address(array), array.strides, array.dtype.itemsize
    if len(shape) == 4:
        if shape[3] > 1 and strides[3] != size:
            raise InputError(
                f"the kernel needs each row of {name} in one piece, but its numbers lie {strides[3]} bytes "
                "apart; copy it first, with .copy()"
            )
        if aligned and not _aligned(start, strides, shape):
            raise InputError(
                f"the kernel needs rows of {name} that begin at multiples of 16 bytes; copy it first, with .copy()"
            )
    return Rows(start, strides[0] // size, strides[1] // size, strides[2] // size)


def vectors(name, array, shape, dtype):
    """Rows for one vector each (..., 1, width): the i-th is row i of batch 0, head 0.

    The array may be a view, as one part of a product's columns is. Raises InputError if shape, dtype or order isn't
    what the kernel reads.
    """
    _check_shape(name, array, shape, dtype)
    flat = array.reshape(-1, shape[-1])
    if address(flat) != address(array):  # reshape had to copy
        raise InputError(f"the kernel needs vectors of {name} at equal distances; copy it first, with .copy()")
    return rows(name, flat[None, None], (1, 1, *flat.shape), dtype, aligned=False)


def empty_rows(runner, shape, dtype):
    """An array (batch, heads, tokens, width) that lies in memory as (batch, tokens, heads, width)."""
    batch, heads, tokens, width = shape
    return runner.empty((batch, tokens, heads, width), STORED_AS[dtype]).swapaxes(1, 2)


def check_library(runner, *arrays):
    """Raises InputError unless the arrays are of the library that the runner's kernels work on."""
    for array in arrays:
        if array_module(array).__name__ != runner.library:
            raise InputError(f"this needs {runner.library} arrays, not {type(array).__module__}'s")


def run(file, functions, instance, arguments, runner, dtype):
    """Some functions of a file, one after the other."""
    number_type = dtype if file.types else None
    for function in functions:
        blocks = function.blocks(arguments, instance)
        if blocks >= 2**31:
            raise InputError(f"{function.name} would need {blocks} blocks, and a GPU takes 2**31 - 1; split the batch")
        if blocks:
            runner.run(file, function, instance, blocks, arguments, number_type)
