"""The machine: its processor, its free memory, the speed of its matrix products; and how such figures are written."""

import contextlib
import importlib.metadata
import math
import os
import platform
import subprocess
import sys
import time

import numpy as np
import threadpoolctl

from . import backend
from .errors import InputError


def amount(number, unit="B"):
    """A number with three digits and a prefix: amount(1_234_567) is '1.23 MB'."""
    for prefix in ("", "K", "M", "G", "T", "P"):
        if abs(number) < 999.5 or prefix == "P":
            digits = 0 if not prefix else 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
            return f"{number:.{digits}f} {prefix}{unit}".rstrip()
        number /= 1000


def about(minutes):
    """Minutes in words that fit their size: 'under a minute', 'about 5 minutes', 'about 1.6 hours'."""
    for unit, length in (("days", 24 * 60), ("hours", 60)):
        if minutes > 1.5 * length:
            return f"about {minutes / length:,.1f} {unit}"
    return f"about {minutes:.0f} minutes" if minutes >= 1 else "under a minute"


def largest_that_fits(memory, bytes_for):
    """The largest whole number n with bytes_for(n) <= memory, 0 if there is none; bytes_for must not fall.

    For example the largest batch: largest_that_fits(4e9, lambda n: clip_cost(config, grid, n).training_memory).
    """
    if bytes_for(1) > memory:
        return 0
    high = 2
    while bytes_for(high) <= memory:
        high *= 2
        if high > 2**40:
            raise ValueError("bytes_for doesn't grow")
    low = high // 2  # fits, and high doesn't
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bytes_for(middle) <= memory else (low, middle)
    return low


def require_memory(bytes_for, size, unit, memory=None):
    """bytes_for(size), or an InputError if that is more than `memory` (bytes; None: what is free now).

    unit: what `size` counts, such as 'batch'; the message names the largest that fits.
    """
    needed, memory = bytes_for(size), available_memory() if memory is None else memory
    if memory is not None and needed > memory:
        largest = largest_that_fits(memory, bytes_for)
        cure = f"the largest that fits is {unit} {largest}" if largest else "use a smaller model: not even 1 fits"
        raise InputError(f"{unit} {size} needs about {amount(needed)} of memory and {amount(memory)} are free; {cure}")
    return needed


def available_memory():
    """Bytes that can still be used on the chosen device, or None where the system doesn't say."""
    if backend.device_name() == "gpu":
        cupy = backend.xp()  # its pool keeps what arrays gave back, and gives it to new ones
        return cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()
    limits = [backend.memory_quota()] if backend.memory_quota() < math.inf else []
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:  # OSError: not Linux
        limits += [1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable")]
    if not limits and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2]  # macOS: total only; take half
    return max(0, min(limits)) if limits else None


def matmul_speed(size=512, seconds=0.2):
    """FLOP/s of float32 matrix products here and now. Nothing in the project runs faster: flops / speed is the
    least time that something takes."""
    xp = backend.xp()
    a = xp.ones((size, size), np.float32) / size
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        float((a @ a)[0, 0])  # reading a number waits for a GPU to finish
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def core_speed():
    """The same of one core."""
    with backend.blas_threads(1):
        return matmul_speed()


def cores_speed():
    """The same of all cores together, each with products of its own, as training with a shard a core has them.

    One core is measured: threads that share a product wait for each other, and on a busy machine for most of the time.
    """
    return core_speed() * backend.thread_count() * backend.core_share()


def processor():
    """The name of the CPU, as the system tells it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(field):
    """What Linux tells of the first core under this name; '' where it doesn't."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo") as file:
        return next(row.split(":", 1)[1].strip() for row in file if row.startswith(field))
    return ""


def description():
    """Processor and libraries, as figures are labelled: 'Intel Xeon, numpy 2.4.6, BLAS kernels for SkylakeX'."""
    kernels = f"BLAS kernels for {blas_kernels()}" if blas_kernels() else "BLAS kernels unknown"
    compiled = ["numba"] if backend.with_kernels() and backend.numba_problem() is None else []
    return ", ".join([processor(), *versions("numpy", *compiled), kernels])


def versions(*packages):
    """Those of these packages that are installed, each with its version: ['numpy 2.4.6', ...]."""
    found = []
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return found


# --- which kernels BLAS runs ---------------------------------------------------------------------------------

# Vector instructions, widest first: what the system calls them, and the processors for which OpenBLAS has kernels that
# use them (its file driver/others/dynamic.c).
VECTORS = {
    "AVX-512": ({"avx512f", "avx512bw", "avx512dq", "avx512vl"}, {"skylakex", "cooperlake", "sapphirerapids"}),
    "AVX2": ({"avx2", "fma"}, {"haswell", "zen", "excavator"}),
    "AVX": ({"avx"}, {"sandybridge", "bulldozer", "piledriver", "steamroller"}),
    "SSE": ({"sse2"}, {"prescott", "core2", "penryn", "dunnington", "nehalem", "atom", "barcelona", "bobcat"}),
}


def blas_kernels():
    """The processor for which the kernels were written that BLAS runs, such as 'SkylakeX'; '' where it doesn't say."""
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return " and ".join(sorted({pool["architecture"] for pool in pools if pool.get("architecture")}))


def processor_vectors():
    """The widest vector instructions of the processor, of VECTORS; None where the system doesn't say."""
    names = set(_cpuinfo("flags").split())
    if sys.platform == "darwin":
        told = ["sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"]
        with contextlib.suppress(OSError):
            names = set(subprocess.run(told, capture_output=True, text=True).stdout.lower().replace("1.0", "").split())
    return next((vectors for vectors, (needed, _) in VECTORS.items() if needed <= names), None)


def forced_kernels():
    """None, or a line that says what OPENBLAS_CORETYPE costs and the cure.

    Some environments set that variable. OpenBLAS then runs kernels for an older processor than the one that is there.
    """
    forced, kernels, own = os.environ.get("OPENBLAS_CORETYPE"), blas_kernels(), processor_vectors()
    used = next((vectors for vectors, (_, names) in VECTORS.items() if kernels.lower() in names), None)
    order = list(VECTORS)
    if not forced or used is None or own is None or order.index(used) <= order.index(own):
        return None
    slow, fast = cores_speed(), _cores_speed_without("OPENBLAS_CORETYPE")
    return (
        f"OPENBLAS_CORETYPE={forced} makes OpenBLAS use {used} where this processor has {own}: matrix products run at "
        f"{amount(slow, 'FLOP/s')} instead of {amount(fast, 'FLOP/s')}, and training is slower by as much; "
        "run 'unset OPENBLAS_CORETYPE', or put 'env -u OPENBLAS_CORETYPE' before a command"
    )


def _cores_speed_without(variable):
    """cores_speed() of a new process in whose environment the variable isn't set: in about half a second."""
    program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import cores_speed; print(cores_speed())"
    environment = {name: value for name, value in os.environ.items() if name != variable}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return float(answer.stdout)
