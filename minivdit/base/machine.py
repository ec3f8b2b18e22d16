"""The machine: its processor, its free memory, the speed of its matrix products; and how such figures are written."""

import contextlib
import math
import os
import platform
import time

import numpy as np

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


def cores_speed():
    """The same of all cores together, each with products of its own, as training with a shard a core has them.

    One core is measured: threads that share a product wait for each other, and on a busy machine for most of the time.
    """
    with backend.blas_threads(1):
        return matmul_speed() * backend.thread_count()


def processor():
    """The name of the CPU, as the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(row.split(":", 1)[1].strip() for row in file if row.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
