"""Kernels on a GPU: compiled by NVRTC through CuPy, cached by CuPy, launched on CuPy arrays."""

import functools

import numpy as np

from ..base.backend import gpu_problem
from ..base.errors import InputError
from .emulate import first_error
from .sources import whole_source

WITHOUT_ASKING = 48 << 10  # bytes of shared memory that a block gets; more has to be asked for


@functools.cache
def launcher():
    """The Launcher of this process: what it compiled and loaded is kept."""
    return Launcher()


class Launcher:
    """Runs kernels on CuPy arrays, as emulate.Emulation does on NumPy arrays. Raises InputError without a GPU."""

    library = "cupy"

    def __init__(self):
        if problem := gpu_problem():
            raise InputError(problem)
        import cupy

        self.cupy = cupy
        device = cupy.cuda.Device()
        self.architecture = device.compute_capability  # '90' for sm_90
        self.shared_bytes = device.attributes["MaxSharedMemoryPerBlockOptin"]
        # Made once: a file's machine code, and a kernel that is ready to be launched.
        self._module, self._kernel = functools.cache(self._load), functools.cache(self._make_ready)

    def array(self, array):
        """A NumPy array as an array of this library."""
        return self.cupy.asarray(array)

    def empty(self, shape, dtype=np.float32):
        """A new array, with whatever was in that memory."""
        return self.cupy.empty(shape, dtype)

    def run(self, file, function, instance, blocks, arguments, number_type=None):
        """One launch, on CuPy's current stream; it returns at once, as launches do."""
        kernel = self._kernel(file, function, instance, number_type)
        # CuPy passes a NumPy array of one element by value, as so many bytes.
        struct = np.frombuffer(bytes(arguments), np.dtype(type(arguments)))
        kernel((blocks,), (function.threads,), (struct,), shared_mem=function.shared_bytes(instance))

    def _make_ready(self, file, function, instance, number_type):
        expression, shared = file.expression(function, instance, number_type), function.shared_bytes(instance)
        if file.target(self.architecture) is None:
            needed = f"sm_{file.architecture}{', no other' if file.only else ' or newer'}"
            raise InputError(
                f"{file.name} needs a GPU of {needed}, and this one is sm_{self.architecture}; use --device cpu"
            )
        if number_type is not None and number_type not in file.types_on(self.architecture):
            raise InputError(f"this GPU (sm_{self.architecture}) has no {number_type} products; use float16")
        if shared > self.shared_bytes:
            raise InputError(
                f"{expression} needs {shared} bytes of shared memory a block, and this GPU (sm_{self.architecture}) "
                f"has {self.shared_bytes}; use another rung"
            )
        kernel = self._module(file).get_function(expression)
        if shared > WITHOUT_ASKING:
            kernel.max_dynamic_shared_size_bytes = shared
        return kernel

    def _load(self, file):
        # CuPy adds the GPU's own architecture; NVRTC takes the one with more instructions.
        target = (f"-arch=sm_{file.only}",) if file.only else ()
        module = self.cupy.RawModule(
            code=whole_source(file.name),
            options=("-std=c++17", *target),
            name_expressions=file.expressions(self.architecture),
        )
        try:
            module.compile()
        except self.cupy.cuda.compiler.CompileException as error:
            message = f"NVRTC can't compile {file.name} for sm_{self.architecture}: {first_error(str(error))}"
            raise InputError(message) from None
        return module
