"""Kernels on a GPU: compiled by NVRTC, kept in the user's cache folder, loaded and launched by CuPy on its arrays.

CuPy compiles, too, but asks NVRTC for the GPU's own architecture even where a file is for another one ("90a"): some
versions of NVRTC refuse both together. So files are compiled here, all in one way, as the tests compile them.
"""

import ctypes
import functools
import hashlib
import json
import sys

import numpy as np

from ..base.backend import gpu_problem
from ..base.console import note
from ..base.errors import InputError
from ..base.files import atomic_write, is_private_file, private_folder
from .compile import OPTIONS, nvrtc_version, with_nvrtc
from .sources import whole_source

WITHOUT_ASKING = 48 << 10  # bytes of shared memory that a block gets; more has to be asked for


def launcher():
    """The Launcher of the GPU that is CuPy's current one; each is made once, and what it loaded is kept."""
    cupy = sys.modules.get("cupy")  # where there is none, _launcher says so
    return _launcher(cupy and cupy.cuda.runtime.getDevice())


@functools.cache
def _launcher(device):
    return Launcher()


class Launcher:
    """Runs kernels on CuPy arrays, as emulate.Emulation does on NumPy arrays; on the GPU that was current when made.

    Raises InputError without a GPU.
    """

    library = "cupy"

    def __init__(self):
        if problem := gpu_problem():
            raise InputError(problem)
        import cupy

        self.cupy = cupy
        device = cupy.cuda.Device()
        self.architecture = device.compute_capability  # '90' for sm_90
        self.shared_bytes = device.attributes["MaxSharedMemoryPerBlockOptin"]
        # Made once: a file's functions, and a kernel that is ready to be launched.
        self._functions, self._kernel = functools.cache(self._load), functools.cache(self._make_ready)
        self.compiles = functools.cache(self._compiles)

    def array(self, array):
        """A NumPy array as an array of this library."""
        return self.cupy.asarray(array)

    def empty(self, shape, dtype=np.float32):
        """A new array, with whatever was in that memory."""
        return self.cupy.empty(shape, dtype)

    def run(self, file, function, instance, blocks, arguments, number_type=None):
        """One launch, on CuPy's current stream; it returns at once, as launches do."""
        kernel, shared, as_bytes = self._kernel(file, function, instance, number_type)
        # CuPy passes a NumPy array of one element by value, as so many bytes.
        struct = np.frombuffer(arguments, as_bytes)
        kernel((blocks,), (function.threads,), (struct,), shared_mem=shared)

    def _make_ready(self, file, function, instance, number_type):
        """A kernel, the bytes of shared memory that a block of it needs, and the dtype of its argument."""
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
        module, names = self._functions(file)
        kernel = module.get_function(names[expression])
        if shared > WITHOUT_ASKING:
            kernel.max_dynamic_shared_size_bytes = shared
        # Bytes without a meaning: what NumPy makes of all the fields would be made, and read by CuPy, at each launch.
        return kernel, shared, np.dtype((np.void, ctypes.sizeof(file.arguments)))

    def _load(self, file):
        path, names = compiled(file, self.architecture)
        return self.cupy.RawModule(path=str(path)), names

    def _compiles(self, file):
        """Whether NVRTC compiles a file; a note says why not, once.

        An old one may not know what one architecture alone has. Of other files it is taken for granted: they raise an
        InputError where they are launched.
        """
        if file.only is None:
            return True
        try:
            compiled(file, self.architecture)
        except InputError as error:
            note(f"the next best kernel is taken: {error}")
            return False
        return True


def compiled(file, architecture):
    """The path of a file's machine code, and a dict of expression -> the function's name there; made if need be.

    architecture: of the GPU, '90' for sm_90. Both are kept in the user's cache folder under a name made from a hash of
    all that they depend on. Raises InputError.
    """
    target, text = file.target(architecture), whole_source(file.name)
    parts = (text, target, nvrtc_version(), *OPTIONS, *file.expressions(target))
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    path = private_folder("kernels") / f"{file.name}-{target}-{key}.cubin"
    notes = path.with_suffix(".json")
    names = _kept(path, notes)
    if names is None:
        code, _, names = with_nvrtc(file, target, text)
        about = json.dumps({"names": names, "sha256": hashlib.sha256(code).hexdigest()})
        for written, content in ((path, code), (notes, about.encode())):
            if not is_private_file(written):  # a private one may just be another process's, who is about to load it
                written.unlink(missing_ok=True)
            with atomic_write(written) as temporary:
                temporary.write_bytes(content)
                temporary.chmod(0o600)
    return path, names


def _kept(path, notes):
    """The names that stand beside machine code; None if either is missing or damaged, or if others can write to it."""
    if not (is_private_file(path) and is_private_file(notes)):
        return None
    try:
        about = json.loads(notes.read_bytes())
        whole = about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        return about["names"] if whole else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
