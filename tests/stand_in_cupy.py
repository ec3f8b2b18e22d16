"""A stand-in for CuPy on a machine without a GPU: NumPy inside, but as strict as CuPy and stricter.

Its arrays live "on the device". They become NumPy arrays by `.get()` only, don't mix with NumPy arrays, and there is no
function, method or argument that the tables below don't name; the tables were checked against CuPy 14.2 (and are again
by test_stand_in.py wherever CuPy can be imported). Results of ufuncs are contiguous, whatever their inputs were, as
CuPy's are. A number that is looked at, or a mask as an index, counts as a copy to the host, because the host then
waits. Work is refused in any other thread or process than the one that installed it. NVRTC has a stand-in, too. A
RawModule runs the CUDA source that was given to that, by the emulation (minivdit.kernels.emulate), which checks shared
memory, barriers and the struct.

What it can't show: that CuPy computes what NumPy does where both have a function; how fast anything is; how much memory
CuPy takes; anything that needs a real driver, NVRTC or cuBLAS; races between the host and the device, since every call
here has finished when it returns.
"""

import atexit
import ctypes
import functools
import os
import re
import shutil
import sys
import tempfile
import threading
import types
from pathlib import Path

import numpy as np

from minivdit.kernels import compile as compiling
from minivdit.kernels import launch
from minivdit.kernels.catalogue import FILES
from minivdit.kernels.emulate import Emulation

WITHOUT_ASKING = 48 << 10  # bytes of shared memory that a kernel may have by default


def _words(text):
    return text.split()


UFUNCS = _words(
    "absolute add arctan2 bitwise_and bitwise_or cos divide equal exp floor_divide greater greater_equal invert "
    "isfinite isnan left_shift less less_equal log logical_not maximum minimum multiply negative not_equal power "
    "right_shift sign sin sqrt square subtract tanh true_divide"
)
UFUNC_OPTIONS = {"out", "dtype", "casting"}  # and no where=

# The parameters of functions and methods, in CuPy's order.
FUNCTIONS = {
    "all": "a axis out keepdims",
    "arange": "start stop step dtype",
    "array": "obj dtype copy order subok ndmin",
    "asarray": "a dtype order",
    "ascontiguousarray": "a dtype",
    "broadcast_to": "array shape",
    "concatenate": "tup axis out",
    "copyto": "dst src casting where",
    "einsum": "subscripts a b",
    "empty": "shape dtype order",
    "empty_like": "prototype dtype order subok shape",
    "full": "shape fill_value dtype order",
    "full_like": "a fill_value dtype order subok shape",
    "interp": "x xp fp left right period",
    "matmul": "a b out",
    "mean": "a axis dtype out keepdims",
    "moveaxis": "a source destination",
    "ones": "shape dtype order",
    "ones_like": "a dtype order subok shape",
    "shape": "a",
    "split": "ary indices_or_sections axis",
    "stack": "tup axis out",
    "sum": "a axis dtype out keepdims",
    "vdot": "a b",
    "where": "condition x y",
    "zeros": "shape dtype order",
    "zeros_like": "a dtype order subok shape",
}
METHODS = {
    "all": "axis out keepdims",
    "any": "axis out keepdims",
    "argmax": "axis out dtype keepdims",
    "astype": "dtype order casting subok copy",
    "clip": "min max out",
    "copy": "order",
    "max": "axis out keepdims",
    "mean": "axis dtype out keepdims",
    "min": "axis out keepdims",
    "std": "axis dtype out ddof keepdims",
    "sum": "axis dtype out keepdims",
    "swapaxes": "axis1 axis2",
    "var": "axis dtype out ddof keepdims",
    "view": "dtype",
}
OPERATORS = {
    **dict.fromkeys(_words("add sub mul truediv pow"), ("", "r", "i")),
    **dict.fromkeys(_words("matmul floordiv mod"), ("", "r")),
    **dict.fromkeys(_words("and or xor rshift lshift"), ("", "r")),
    **dict.fromkeys(_words("lt le gt ge eq ne"), ("",)),
    **dict.fromkeys(_words("neg abs invert"), ("",)),
}


class Record:
    """What went on: copies between host and device as (direction, bytes); launches, by the names of what was launched;
    kernel files that were compiled; how often the host waited for all that had been asked for, to copy something.

    Of the launches, one is noted for a call, though CuPy may need several, for a matrix product or a mean.
    """

    def __init__(self):
        self.clear()

    def clear(self):
        self.copies, self.launches, self.compiled, self.waits = [], [], [], 0

    def to_device(self):
        return [size for direction, size in self.copies if direction == "to device"]

    def to_host(self):
        return [size for direction, size in self.copies if direction == "to host"]


record = Record()
_home = None  # the process and thread that may work with the device


class OutOfMemoryError(MemoryError):
    pass


class CUDARuntimeError(RuntimeError):
    pass


def _inside(value):
    """What NumPy is to work with in place of an argument; NumPy's own arrays are refused."""
    if isinstance(value, ndarray):
        return value._inside
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (list, tuple)):
        return type(value)(_inside(item) for item in value)
    return value


def _outside(value, contiguous=False):
    if isinstance(value, (list, tuple)):
        return type(value)(_outside(item, contiguous) for item in value)
    return ndarray(np.asarray(value, order="C" if contiguous else None))


def _arguments(name, parameters, given, options):
    """Arguments checked against CuPy's parameters, by position as far as they were."""
    parameters = parameters.split()
    if len(given) > len(parameters) or not options.keys() <= set(parameters):
        raise TypeError(f"cupy.{name} takes {parameters}, not {len(given)} arguments and {sorted(options)}")
    return [_inside(value) for value in given], {key: _inside(value) for key, value in options.items()}


NO_LAUNCH = {"broadcast_to", "empty", "empty_like", "moveaxis", "shape", "split", "swapaxes", "view"}


def _finish(name, result, options, contiguous=False):
    if name not in NO_LAUNCH:
        record.launches.append(name)
    out = options.get("out")
    out = out[0] if isinstance(out, tuple) else out
    return out if out is not None else _outside(result, contiguous)


class ndarray:
    """cupy.ndarray."""

    __array_priority__ = 100

    def __init__(self, inside):
        if _home != (os.getpid(), threading.get_ident()):
            raise RuntimeError("device arrays are made in another thread or process than the one that owns the device")
        self._inside = inside

    shape = property(lambda self: self._inside.shape)
    dtype = property(lambda self: self._inside.dtype)
    ndim = property(lambda self: self._inside.ndim)
    size = property(lambda self: self._inside.size)
    nbytes = property(lambda self: self._inside.nbytes)
    flags = property(lambda self: self._inside.flags)
    itemsize = property(lambda self: self._inside.itemsize)
    strides = property(lambda self: self._inside.strides)
    base = property(lambda self: None if self._inside.base is None else ndarray(self._inside.base))
    T = property(lambda self: ndarray(self._inside.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self._inside.__array_interface__["data"][0]))

    def get(self, stream=None):
        assert stream is None or stream.event.time is not None
        record.copies.append(("to host", self.nbytes))
        record.waits += stream is None
        return self._inside.copy(order="C")

    def item(self):
        return self.get().item()

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    def __bool__(self):
        return bool(self.get())

    def __len__(self):
        return len(self._inside)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __copy__(self):
        return self.copy()

    __hash__ = None

    def __repr__(self):
        return f"stand-in array {self.shape} {self.dtype}"

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or ufunc.__name__ not in UFUNCS:
            return NotImplemented
        return getattr(sys.modules["cupy"], ufunc.__name__)(*inputs, **options)

    def __array_function__(self, function, types, args, options):
        if function.__name__ not in FUNCTIONS or not all(issubclass(kind, ndarray) for kind in types):
            return NotImplemented
        return getattr(sys.modules["cupy"], function.__name__)(*args, **options)

    def _key(self, key, reading):
        for part in key if isinstance(key, tuple) else (key,):
            if isinstance(part, (list, np.ndarray)):
                raise TypeError("an index that isn't on the device would be copied there")
            if reading and isinstance(part, ndarray) and part.dtype == bool:
                record.copies.append(("to host", 8))  # how many are chosen decides the result's shape
        return _inside(key)

    def __getitem__(self, key):
        return _outside(self._inside[self._key(key, reading=True)])

    def __setitem__(self, key, value):
        record.launches.append("copy")
        self._inside[self._key(key, reading=False)] = _inside(value)

    def reshape(self, *shape, order="C"):
        return ndarray(self._inside.reshape(*shape, order=order))

    def squeeze(self, axis=None):
        return ndarray(self._inside.squeeze(axis))

    def transpose(self, *axes):
        return ndarray(self._inside.transpose(*axes))


def _method(name, parameters):
    def method(self, *given, **options):
        given, checked = _arguments(f"ndarray.{name}", parameters, given, options)
        return _finish(name, getattr(self._inside, name)(*given, **checked), options)

    return method


def _operator(name):
    def operator(self, *other):
        if any(isinstance(value, np.ndarray) for value in other):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        result = getattr(self._inside, name)(*map(_inside, other))
        if result is NotImplemented:
            return result
        record.launches.append(name)
        return self if name.startswith("__i") and name != "__invert__" else _outside(result, contiguous=True)

    return operator


for _name, _parameters in METHODS.items():
    setattr(ndarray, _name, _method(_name, _parameters))
for _name, _sides in OPERATORS.items():
    for _side in _sides:
        setattr(ndarray, f"__{_side}{_name}__", _operator(f"__{_side}{_name}__"))
ndarray.__module__ = "cupy"


class _UFunc:
    def __init__(self, name):
        self.name, self.numpy = name, getattr(np, name)

    def __call__(self, *given, **options):
        if not options.keys() <= UFUNC_OPTIONS:
            raise TypeError(f"Wrong arguments {sorted(options.keys() - UFUNC_OPTIONS)}")
        result = self.numpy(*_inside(given), **{key: _inside(value) for key, value in options.items()})
        return _finish(self.name, result, options, contiguous=True)

    def at(self, array, index, values):
        if self.name != "add":
            raise TypeError(f"cupy.{self.name} has no .at here")
        record.launches.append("add.at")
        np.add.at(_inside(array), _inside(index), _inside(values))


def _function(name, parameters):
    def function(*given, **options):
        given, checked = _arguments(name, parameters, given, options)
        return _finish(name, getattr(np, name)(*given, **checked), options, contiguous=name == "where")

    return function


def _asarray(a, dtype=None, order=None):
    """From the host: a copy. An array of the device's: itself, or in another dtype."""
    if isinstance(a, ndarray):
        return a if dtype is None or a.dtype == dtype else a.astype(dtype)
    array = np.array(a, dtype=dtype, order=order or "K")
    record.copies.append(("to device", array.nbytes))
    return ndarray(array)


def _array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0):
    if isinstance(obj, ndarray):
        return obj.copy() if dtype is None else obj.astype(dtype)
    return _asarray(obj, dtype)


def _as_strided(x, shape=None, strides=None):
    return ndarray(np.lib.stride_tricks.as_strided(_inside(x), shape, strides))


class NVRTCError(Exception):
    pass


class NVRTC:
    """CuPy's module of that name. What it makes of a source is the source: it's compiled when it is launched."""

    NVRTCError = NVRTCError
    getVersion = staticmethod(lambda: (0, 0))

    def __init__(self):
        self.programs = {}

    def createProgram(self, source, name, headers, include_names):
        self.programs[len(self.programs)] = (source, [])
        return len(self.programs) - 1

    def addNameExpression(self, program, expression):
        self.programs[program][1].append(expression)

    def getLoweredName(self, program, expression):
        assert expression in self.programs[program][1]
        return f"_Z{expression}"

    def compileProgram(self, program, options):
        record.compiled.append(re.match(r'#line 1 "(\w+)\.cu"', self.programs[program][0]).group(1))
        if "#error" in self.programs[program][0]:
            raise NVRTCError("NVRTC_ERROR_COMPILATION (6)")

    def getCUBIN(self, program):
        return self.programs[program][0].encode()

    def getProgramLog(self, program):
        return 'kernel.cu(3): warning: unused\nkernel.cu(7): error: "nought" is undefined\nmore'

    def destroyProgram(self, program):
        pass


class RawModule:
    """Compiles nothing before it is launched: then the emulation does, from the very source that was given to NVRTC."""

    def __init__(self, *, path):
        code = Path(path).read_text(encoding="utf-8")
        self.file = FILES[re.match(r'#line 1 "(\w+)\.cu"', code).group(1)]
        self.emulation = Emulation(sources={self.file.name: code})
        self.names = {f"_Z{expression}": expression for expression in self.file.expressions()}

    def get_function(self, name):
        return RawKernel(self, self.names[name])


class RawKernel:
    """A function of a module."""

    def __init__(self, module, name):
        self.module, self.name, self.max_dynamic_shared_size_bytes = module, name, WITHOUT_ASKING

    def __call__(self, grid, block, args, *, shared_mem=0):
        (struct,) = args
        file = self.module.file
        function, number_type, instance = re.fullmatch(r"(\w+)<(?:(\w+), )?(\d+)>", self.name).groups()
        function = next(known for known in file.functions if known.name == function)
        if shared_mem > self.max_dynamic_shared_size_bytes or shared_mem != function.shared_bytes(int(instance)):
            raise CUDARuntimeError("cudaErrorInvalidValue: invalid argument")
        if block != (function.threads,) or not (isinstance(struct, np.ndarray) and struct.shape == (1,)):
            raise CUDARuntimeError("cudaErrorInvalidConfiguration: invalid configuration argument")
        arguments = file.arguments.from_buffer_copy(struct.tobytes())
        assert isinstance(arguments, ctypes.Structure)
        record.launches.append(self.name)
        self.module.emulation.run(file, function, int(instance), *grid, arguments, number_type)


class Event:
    """cupy.cuda.Event: here every event is a millisecond after the one before. done: what the class says.

    Work here has been done when its call returns; but so the GPU looks as busy as it is with real work.
    """

    clock, done = 0.0, False

    def __init__(self, **options):
        self.time = None

    def record(self, stream=None):
        Event.clock += 1.0
        self.time = Event.clock

    def synchronize(self):
        assert self.time is not None


class Stream:
    """cupy.cuda.Stream: for copies to the host that don't wait for what the usual stream has still to do."""

    def __init__(self, non_blocking=False):
        assert non_blocking, "it would wait for the usual stream"
        self.event = None

    def wait_event(self, event):
        self.event = event


class NCCL:
    """cupy.cuda.nccl, where several ranks were started: MPI carries what NCCL would, when a group ends.

    What was sent has to be met by as many bytes to be received, or the ranks hang or MPI complains.
    """

    available, NCCL_INT8 = True, 0

    def __init__(self):
        from mpi4py import MPI

        self.world, self.waiting = MPI.COMM_WORLD, None

    def get_unique_id(self):
        return bytes(range(128))

    def NcclCommunicator(self, ndev, commId, rank):
        assert (ndev, commId, rank) == (self.world.size, self.get_unique_id(), self.world.rank)

        def move(how):
            def call(pointer, count, datatype, peer, stream):
                assert datatype == self.NCCL_INT8 and stream == STREAM and peer != rank and count > 0
                self.waiting.append((how, (ctypes.c_char * count).from_address(pointer), peer))

            return call

        return types.SimpleNamespace(send=move(self.world.Isend), recv=move(self.world.Irecv))

    def groupStart(self):
        assert self.waiting is None
        self.waiting = []

    def groupEnd(self):
        record.launches.append("nccl")
        requests = [how(bytes_there, peer, tag=7) for how, bytes_there, peer in self.waiting]
        for request in requests:
            request.Wait()
        self.waiting = None


STREAM = 4711  # the usual stream's pointer


class MemoryPool:
    """cupy.cuda.MemoryPool: so many bytes that arrays gave back. What arrays take isn't counted here."""

    def __init__(self, pooled):
        self.pooled = pooled

    def free_bytes(self):
        return self.pooled

    def used_bytes(self):
        return 0

    def total_bytes(self):
        return self.free_bytes() + self.used_bytes()

    def free_all_blocks(self):
        self.pooled = 0


class Generator:
    """cupy.random.Generator; other numbers than CuPy's."""

    def __init__(self, seed):
        self._inside = np.random.default_rng(seed)

    def standard_normal(self, size=None, dtype=float):
        record.launches.append("standard_normal")
        return ndarray(self._inside.standard_normal(size, dtype))


def cupy(architecture="90", shared_bytes=227 << 10, memory=8 << 30, devices=1, pooled=0):
    """A module like cupy, for GPUs of this architecture with so many bytes of memory, and of shared memory a block.

    devices: how many there are, or an exception that asking for them raises. pooled: bytes that CuPy holds unused.
    """
    chosen = [0]

    def count():
        if isinstance(devices, Exception):
            raise devices
        return devices

    module = types.ModuleType("cupy")
    module.__version__ = "14.2 (a stand-in)"
    module.ndarray, module.RawModule = ndarray, RawModule
    for name in ("float16", "float32", "float64", "int32", "int64", "uint16", "uint32", "bool_"):
        setattr(module, name, getattr(np, name))
    for name in UFUNCS:
        setattr(module, name, _UFunc(name))
    for name, parameters in FUNCTIONS.items():
        setattr(module, name, _function(name, parameters))
    module.asarray, module.array = _asarray, _array
    module.random = types.SimpleNamespace(default_rng=Generator)
    module.lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=_as_strided))

    @functools.cache
    def device(number=None):
        return types.SimpleNamespace(
            compute_capability=architecture,
            attributes={"MaxSharedMemoryPerBlockOptin": shared_bytes, "L2CacheSize": 1 << 12},
            synchronize=lambda: None,
            use=lambda: chosen.__setitem__(0, number),
        )

    pool = MemoryPool(pooled)
    module.get_default_memory_pool = lambda: pool
    properties = {"name": b"Stand-in", "totalGlobalMem": memory}
    module.cuda = types.SimpleNamespace(
        Device=device,
        Event=Event,
        Stream=Stream,
        get_current_stream=lambda: types.SimpleNamespace(ptr=STREAM),
        get_elapsed_time=lambda start, end: end.time - start.time,
        runtime=types.SimpleNamespace(
            getDeviceCount=count,
            getDevice=lambda: chosen[0],
            getDeviceProperties=lambda number: {**properties, "uuid": bytes([number]) * 16},
            deviceGetPCIBusId=lambda number: f"0000:{number:02X}:00.0",
            memGetInfo=lambda: (memory - pool.total_bytes(), memory),
            driverGetVersion=lambda: 13000,
        ),
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    )
    return module


@functools.cache
def _compiled():
    """A folder for what was compiled, in place of the user's own."""
    made = tempfile.mkdtemp(prefix="minivdit-stand-in-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@functools.wraps(cupy)
def install(monkeypatch, nccl=False, **options):
    """Put the stand-in in CuPy's place, for one test, in this thread; returns the module. nccl: whether it is there."""
    global _home
    _home = os.getpid(), threading.get_ident()
    launch._launcher.cache_clear()
    record.clear()
    nvrtc, folder = NVRTC(), Path(_compiled())
    monkeypatch.setattr(compiling, "_nvrtc", lambda: nvrtc)
    monkeypatch.setattr(launch, "private_folder", lambda name: folder)
    module = cupy(**options)
    monkeypatch.setitem(sys.modules, "cupy", module)
    links = NCCL() if nccl else types.SimpleNamespace(available=False)
    monkeypatch.setitem(sys.modules, "cupy.cuda.nccl", links)
    return module
