"""NumPy or CuPy, how many threads, which allocator: chosen once here, asked everywhere else.

CuPy is imported only when a GPU is asked for; NumPy is enough for everything but the GPU.
"""

import contextlib
import ctypes
import functools
import importlib
import importlib.util
import math
import os
import platform
import sys
import threading
from pathlib import Path

import numpy as np
import threadpoolctl

from .errors import InputError

OLDEST_GPU = 75  # compute capability, 75 for sm_75: the first with the tensor-core instructions of the kernels

COMPILED_TYPES = (np.float32, np.float64)  # of numbers for which operations are compiled

_state = {"xp": np, "kernels": True, "numba_problem": None, "sharing_cores": 1, "gpu": 0, "label": "cpu"}


def array_module(*arrays):
    """The library (numpy or cupy) whose arrays these are."""
    for array in arrays:
        if type(array).__module__.partition(".")[0] == "cupy":
            return sys.modules["cupy"]
    return np


def xp():
    """The chosen array library: new arrays (weights, noise, batches) are made with it."""
    return _state["xp"]


def device_name():
    """'cpu' or 'gpu'."""
    return "cpu" if xp() is np else "gpu"


def with_kernels():
    """Whether hand-written kernels compute (CUDA's on a GPU, Numba's on a CPU) instead of plain CuPy or NumPy."""
    return _state["kernels"]


def twins_for(*arrays):
    """Whose twins compute operations on these arrays: 'gpu', 'compiled' or None (plain CuPy or NumPy)."""
    if not _state["kernels"]:
        return None
    if array_module(*arrays) is not np:
        return "gpu"
    return "compiled" if numba_problem() is None and arrays[0].dtype in COMPILED_TYPES else None


def numba_problem():
    """None when Numba and SciPy are there, which compile operations for the CPU, else one line with the cure."""
    if _state["numba_problem"]:
        return _state["numba_problem"]
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "NUMBA_DISABLE_JIT switches Numba off; unset it"
    missing = [name for name in ("numba", "scipy") if not _is_installed(name)]
    return f"{' and '.join(missing)} can't be found; pip install 'minivdit[fast]'" if missing else None


@functools.cache
def _is_installed(name):
    return importlib.util.find_spec(name) is not None


def do_without_numba(problem):
    """Leave all operations on a CPU to NumPy from now on, since Numba has this problem."""
    _state["numba_problem"] = problem


def gpu_problem(kernels=True):
    """None when CuPy is installed and a GPU works, else one line that says what is missing and the cure.

    An import that succeeds proves little: a device must be present *and* finish a small computation.
    kernels: whether the GPU must also be new enough for the hand-written kernels.
    """
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:  # a broken installation may raise anything
        return f"CuPy can't be imported ({_in_one_line(error)}); pip install 'minivdit[cuda12]' or 'minivdit[cuda13]'"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        if count == 0:
            return "CuPy is installed but no GPU is present; use --device cpu"
        cupy.cuda.Device(_state["gpu"] % count).use()
        architecture = cupy.cuda.Device().compute_capability
        if kernels and int(architecture) < OLDEST_GPU:
            return (
                f"this GPU is an sm_{architecture}, and the kernels need sm_{OLDEST_GPU} (2018) or newer; "
                "use --kernels off (plain CuPy) or --device cpu"
            )
        if float((cupy.arange(4, dtype=cupy.float32) ** 2).sum()) != 14.0:
            return "the GPU computes wrong results; check the driver, or use --device cpu"
    except Exception as error:
        told = _in_one_line(error)
        cure = next((cure for sign, cure in CURES.items() if sign in told.lower()), "")
        return f"CuPy is installed but the GPU can't be used ({told}); {cure}use --device cpu"
    return None


# What helps, by a word in CuPy's message.
CURES = {
    "insufficientdriver": "install NVIDIA's driver or a newer one ('minivdit[cuda12]' needs 525, [cuda13] 580), or ",
    "nodevice": "check that nvidia-smi lists the GPU, or ",
    "nvrtc": "pip install 'minivdit[cuda12]' or 'minivdit[cuda13]', which bring NVRTC along, or ",
    "out of memory": "end the programs that fill the GPU's memory (nvidia-smi lists them), or ",
    "memoryallocation": "end the programs that fill the GPU's memory (nvidia-smi lists them), or ",
}


def _in_one_line(error):
    """The first line with words in it of an error's first cause (CuPy wraps that in pages of advice)."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line.strip() for line in str(error).splitlines() if any(map(str.isalnum, line))), type(error).__name__)


def use(device, kernels=True):
    """Choose where arrays live: 'cpu', 'gpu', or 'auto' (the GPU when it is usable).

    kernels: False makes a GPU compute everything by plain CuPy, and a CPU by plain NumPy: to compare, or where the
    kernels can't run.
    """
    if device not in ("cpu", "gpu", "auto"):
        raise InputError(f"{device!r} is not a device; choose cpu, gpu or auto")
    _state.update(kernels=kernels, label="cpu")
    if device == "cpu":
        _state["xp"] = np
        return
    problem = gpu_problem(kernels)
    if problem is None:
        _state["xp"] = importlib.import_module("cupy")
        _state["label"] = _label(_state["xp"].cuda.runtime)
    elif device == "gpu":
        raise InputError(problem)
    else:
        _state["xp"] = np


def take_gpu(number):
    """From now on, this process chooses the GPU of this number, so that those of one machine have one each.

    Where there are fewer, they are counted round: a launcher may have left this process only its own to see.
    """
    _state["gpu"] = number


def device_label():
    """'cpu', or a text that stands for one GPU, of all that there are."""
    return _state["label"]


def _label(runtime):
    number = runtime.getDevice()
    unique = runtime.getDeviceProperties(number)["uuid"].hex()
    return f"{platform.node()} {runtime.deviceGetPCIBusId(number)} {unique}"


def to_numpy(array):
    """A NumPy array with the same values, copied from the GPU if it is there."""
    return array.get() if array_module(array) is not np else np.asarray(array)


def reader():
    """A function like `to_numpy`, for arrays that a GPU has been asked for so far: it doesn't wait for later work.

    To be made before that is queued. The usual stream would come to the copy after all that stands in it by then.
    """
    if xp() is np:
        return to_numpy
    done, stream = xp().cuda.Event(disable_timing=True), xp().cuda.Stream(non_blocking=True)
    done.record()
    stream.wait_event(done)
    return lambda array: np.asarray(array) if array_module(array) is np else array.get(stream=stream)


def to_device(array):
    """The array on the chosen device."""
    return xp().asarray(array)


def cached_on_device(function):
    """Cache what a function of hashable arguments makes, for each device. Nobody may change the arrays in it."""

    @functools.lru_cache(maxsize=256)
    def cached(device, *arguments):
        return function(*arguments)

    @functools.wraps(function)
    def call(*arguments):
        return cached(device_name(), *arguments)

    return call


def wait():
    """Wait until the device has finished all its work."""
    if xp() is not np:
        xp().cuda.Device().synchronize()


def normal(generator, shape, dtype=np.float32):
    """Standard normal noise on the device, drawn on the CPU so that a seed means the same everywhere."""
    return to_device(generator.standard_normal(shape, dtype=dtype))


def cpu_count():
    """Cores this process may use: a container's quota or taskset may allow fewer than the machine has."""
    return max(1, _all_cores() // _state["sharing_cores"])


def core_share():
    """How much of a core each of this process's has: less than 1 where more processes than cores share them."""
    return min(1, _all_cores() / _state["sharing_cores"])


def _all_cores():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cpu_quota())))


def share_cores(count):
    """From now on this process uses its share of the cores, since so many processes have the same ones."""
    _state["sharing_cores"] = count


@functools.cache
def cpu_quota(root=Path("/")):
    """How many cores the control groups of this process allow (1.5 is one and a half); infinity without a limit."""
    quotas = [math.inf]
    for folder in control_groups("cpu", root):
        try:
            if (folder / "cpu.max").exists():  # version 2
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if int(quota) > 0:  # -1: none
                quotas.append(int(quota) / int(period))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(quotas)


def memory_quota(root=Path("/")):
    """Bytes that the control groups of this process leave free; infinity without a limit.

    Files that Linux keeps in memory and can drop count as free.
    """
    left = [math.inf]
    for folder in control_groups("memory", root):
        new = (folder / "memory.max").exists()  # version 2
        names = ("memory.max", "memory.current") if new else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        try:
            limit, used = (int((folder / name).read_text()) for name in names)
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            droppable = stat.get("total_inactive_file", stat.get("inactive_file", 0))  # files that were read once
            left.append(limit - used + int(droppable))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(left)


def control_groups(controller, root):
    """The folders of Linux's control groups, 'cpu' or 'memory', that this process is in, innermost first.

    Each limits all that is below it. In a container only the outer ones may be seen.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)  # version 2 has one line, without controllers
        if controllers and controller not in controllers.split(","):
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount in (controllers, controller) if controllers else ("", "unified"):
            top = root / "sys/fs/cgroup" / mount
            yield from (top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))


def thread_count():
    """How many threads share the work: one for each core, or a single one for a GPU."""
    return cpu_count() if xp() is np else 1


def free_cores():
    """How many threads an operation may use: one inside `blas_threads(1)`, where others are at work beside it."""
    return min(cpu_count(), _blas_limit.count or math.inf)


@functools.cache
def _thread_pools():
    """The BLAS of NumPy and, if it is loaded, that of SciPy. Looking takes a millisecond, so it is done once."""
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


class _BlasLimit:
    """How many threads BLAS uses, which holds for the whole process: the limit that was set last and still stands."""

    def __init__(self):
        self.lock, self.limits, self.count, self.limiter = threading.Lock(), {}, None, None

    def enter(self, key, count):
        with self.lock:
            self.limits[key] = count
            self._apply(count)

    def leave(self, key):
        with self.lock:
            del self.limits[key]
            self._apply(next(reversed(self.limits.values()), None))

    def _apply(self, count):
        if count == self.count:  # asking the library takes a few microseconds
            return
        if hasattr(threadpoolctl.OpenBLASController, "clear_controlling_thread"):
            # From version 3.8 on it ignores what another thread asks for. Here the lock makes them take turns.
            threadpoolctl.OpenBLASController.clear_controlling_thread(force=True)
        if self.limiter is not None:
            self.limiter.restore_original_limits()
        self.limiter = None if count is None else _thread_pools().limit(limits=count)
        self.count = count


_blas_limit = _BlasLimit()


def look_for_blas():
    """Look for the BLAS libraries again, since one was loaded: a limit that stands holds for it, too."""
    with _blas_limit.lock:
        _thread_pools.cache_clear()
        count, _blas_limit.count = _blas_limit.count, None
        _blas_limit._apply(count)


@contextlib.contextmanager
def blas_threads(count):
    """Limit matrix products to `count` threads inside the block (or, as a decorator, inside the function)."""
    key = object()
    _blas_limit.enter(key, count)
    try:
        yield
    finally:
        _blas_limit.leave(key)


def limit_blas():
    """Limit matrix products to as many threads as there are cores to use. BLAS doesn't look at quotas itself."""
    if any(pool["num_threads"] > cpu_count() for pool in _thread_pools().info()):
        _thread_pools().limit(limits=cpu_count())


def tune_allocator():
    """Tell glibc to keep freed memory instead of handing it back to Linux after every operation.

    NumPy makes a fresh array for each result, and mapping and unmapping those pages costs up to a third
    of a training step. Returns True where it was done (Linux with glibc), False elsewhere.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # names from malloc.h
    settings = ((trim_threshold, 2**31 - 1), (top_pad, 1 << 30), (mmap_threshold, 32 << 20))
    done = all([mallopt(option, value) == 1 for option, value in settings])
    _use_huge_pages()
    return done


HUGE_PAGES = 14  # MADV_HUGEPAGE in Linux's mman.h


def _use_huge_pages():
    """Ask Linux for pages of 2 MiB, not 4 KiB, where malloc keeps arrays: training steps take up to a fifth less time.

    NumPy asks for them itself, but only for arrays of 4 MiB and more. Returns True where Linux agreed.
    """
    np.empty(16 << 20, np.uint8)  # makes malloc's heap grow, by as much as `top_pad` says
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
        madvise = ctypes.CDLL("libc.so.6").madvise
    except (OSError, AttributeError):
        return False
    ranges = [[int(edge, 16) for edge in line.split()[0].split("-")] for line in lines if line.endswith("[heap]")]
    sizes = [(ctypes.c_void_p(start), ctypes.c_size_t(end - start)) for start, end in ranges]
    return bool(sizes) and all([madvise(*piece, HUGE_PAGES) == 0 for piece in sizes])
