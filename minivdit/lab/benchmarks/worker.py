"""A process that does one workload again and again, and says how long it took and what memory it needed.

Each side is timed in a process of its own, as its users run it: with its own threads, allocator and
memory. The parent lets them take turns.
"""

import contextlib
import ctypes
import gc
import multiprocessing
import signal
import sys
import time

from ...base.backend import to_numpy
from ...base.errors import InputError


def resident_memory(process="self"):
    """Bytes of memory a process holds now, and the most it ever held (Linux; elsewhere this one's peak, twice)."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
        return [1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")]
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return [peak, peak]


def give_back_memory():
    """Return what was freed to the system, and forget the peak so far: what the work takes must not hide in either.

    The first takes glibc, the second Linux; elsewhere figures of memory are too small or too large.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def main(line, prepare, *what):
    """Prepare a workload, send its FLOPs, and answer requests until there are no more; or send what went wrong.

    line: a Connection. prepare(*what): makes a workloads.Prepared, as sides.prepare does.
    A request is the name of one of REQUESTS.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process ends this one
    try:
        prepared = prepare(*what)
        give_back_memory()
        before, _ = resident_memory()
        line.send(prepared.flops)
        with prepared.around, contextlib.suppress(EOFError):
            while True:
                line.send(REQUESTS[line.recv()](prepared, before))
    except Exception as error:
        line.send(error if isinstance(error, InputError) else RuntimeError(f"{type(error).__name__}: {error}"))


def seconds(prepared, before):
    """How long the work takes, once."""
    started = time.perf_counter()
    prepared.run()
    return time.perf_counter() - started


def results(prepared, before):
    """What the work gives, {name: NumPy array}."""
    return {name: to_numpy(array) for name, array in prepared.results().items()}


def memory(prepared, before):
    """Bytes held before, when all was prepared, and the most held since."""
    _, peak = resident_memory()
    # A forked process begins with all that this one held; what it holds beyond that is its own.
    for child in multiprocessing.active_children():
        peak += max(0, resident_memory(child.pid)[1] - before)
    return {"before": before, "peak": peak}


def queue_seconds(prepared, before, turns=3):
    """Seconds in which the host queues the work for a GPU that is idle, the least of some turns; None if not known.

    That isn't the whole of what the host does where the work is more than the queue holds: then it waits.
    """
    if prepared.queue is None:
        return None
    seconds = []
    for _ in range(turns):
        prepared.run()  # waits for all that came before
        started = time.perf_counter()
        prepared.queue()
        seconds.append(time.perf_counter() - started)
    prepared.run()
    return min(seconds)


def launches(prepared, before):
    """How many kernels the work launches on a GPU, counted by PyTorch's profiler; None without it."""
    try:
        import torch
        from torch.profiler import ProfilerActivity, profile
    except ImportError:
        return None
    if not torch.cuda.is_available():  # a PyTorch for CPUs
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        prepared.run()
    on_gpu = [event for event in profiled.events() if event.device_type.name == "CUDA"]
    return sum(not event.name.startswith(("Memcpy", "Memset")) for event in on_gpu)


REQUESTS = {"run": seconds, "results": results, "memory": memory, "queue": queue_seconds, "launches": launches}
