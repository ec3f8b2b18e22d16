"""Work shared by threads or by forked processes.

NumPy lets go of Python's lock inside its loops and takes it again after each, thousands of times a step. Two threads
that wait for each other so often lose about a quarter of their time (see examples/results/speed.md). A forked process
has a lock of its own.

Processes are made by fork, where that is safe (see `can_fork`); elsewhere threads do the same work, with the same
result bit for bit.
"""

import contextlib
import ctypes
import functools
import itertools
import mmap
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from .backend import blas_threads
from .errors import InputError
from .stopping import STOPS

POOL = "minivdit-pool"  # how the names of its threads begin


@functools.lru_cache(maxsize=8)
def _pool(threads):
    return ThreadPoolExecutor(threads, thread_name_prefix=POOL)


if hasattr(os, "register_at_fork"):  # a forked process has the pool, but none of its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def parallel_map(function, items, threads):
    """The list of function(item), in the order of the items; the first error of any of them is raised.

    None of them is still at work afterwards, not even after an error.
    """
    with blas_threads(1):
        if threads <= 1:
            return [function(item) for item in items]
        futures = [_pool(threads).submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:  # after an error or Ctrl-C, don't start what hasn't begun
            for future in futures:
                future.cancel()
            wait(futures)


def batch_size(batch):
    """The common length of the first axis of all arrays of a batch, a dict of name -> array."""
    sizes = {len(array) for array in batch.values()}
    if len(sizes) != 1:
        raise ValueError(f"the arrays of a batch must have one length along axis 0, not {sorted(sizes)}")
    return sizes.pop()


def split_batch(batch, shards):
    """Cut a batch into `shards` batches of nearly equal size (views); fewer if it has fewer items."""
    size = batch_size(batch)
    count = max(1, min(shards, size))
    edges = [size * i // count for i in range(count + 1)]
    return [{name: array[low:high] for name, array in batch.items()} for low, high in itertools.pairwise(edges)]


def shared_memory(arrays):
    """Zeros, as float32, in the shapes of a dict of arrays, in memory that forked processes share."""
    ends = np.cumsum([array.size for array in arrays.values()])
    memory = np.frombuffer(mmap.mmap(-1, 4 * max(1, *map(int, ends))), np.float32)
    return {name: memory[end - a.size : end].reshape(a.shape) for end, (name, a) in zip(ends, arrays.items())}


# Modules whose threads never compute: those of notebooks and of progress bars.
NEVER_COMPUTING = (
    *("ipykernel.iostream", "ipykernel.heartbeat", "ipykernel.control", "ipykernel.shellchannel"),
    *("ipykernel.parentpoller", "IPython.core.history", "tqdm._monitor"),
)

WAITING = set()  # the identifiers of more threads that never compute, entered by whoever knows of them

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG in Linux's prctl.h


def can_fork():
    """Whether processes can be forked here and now: on Linux, by the only thread that may be computing.

    Beside a thread that is inside of BLAS a fork never returns, or leaves a process that waits for ever. On macOS,
    Apple's libraries don't survive it. A daemonic process (of multiprocessing.Pool, for one) may have none of its own.
    What becomes of MPI's connections in a forked process, its standard leaves open.
    """
    if not sys.platform.startswith("linux") or multiprocessing.current_process().daemon or "mpi4py.MPI" in sys.modules:
        return False
    harmless = {thread.ident for thread in threading.enumerate() if _never_computes(thread)}
    return sys._current_frames().keys() <= {threading.get_ident(), *harmless, *WAITING}


def _never_computes(thread):
    """Whether a thread can't be inside of BLAS while this one isn't in `parallel_map`."""
    if thread.name.startswith(POOL):
        return True
    origin = thread._target if type(thread) is threading.Thread else type(thread)
    return getattr(origin, "__module__", None) in NEVER_COMPUTING


class Workers:
    """function(item) for several items at once: by this process and `count` - 1 forked ones, in a `with` block.

    The forked ones know what was in memory when the block began; of later changes they see those in shared memory.
    They end with the block, and with this process however that ends. Where none can be forked, threads do their work.
    cure: what to do when one of them is killed, which is most likely for want of memory.
    """

    def __init__(self, function, count, cure):
        self.function, self.count, self.cure = function, count, cure
        self.connections, self.processes = [], []

    def will_fork(self):
        """Whether a `with` block that began now would have processes."""
        return self.count > 1 and can_fork()

    def __enter__(self):
        if not self.will_fork():
            return self
        fork, parent = multiprocessing.get_context("fork"), os.getpid()  # Windows has no such context
        for number in range(1, self.count):
            here, there = fork.Pipe()
            self.connections.append(here)
            process = fork.Process(target=self._serve, args=(there, parent), daemon=True, name=f"minivdit-{number}")
            process.start()
            there.close()  # so that the end of that process is the end of the file here
            self.processes.append(process)
        return self

    def __exit__(self, *error):
        for connection in self.connections:
            connection.close()
        for process in self.processes:
            process.kill()
            process.join()
        self.connections, self.processes = [], []

    def __call__(self, items):
        """The list of function(item), in order. Item i is for number i % count, this process being number 0."""
        items = list(items)
        if self.count == 1:
            return [self.function(item) for item in items]
        if not self.processes:
            return parallel_map(self.function, items, self.count)
        busy = [(number, connection) for number, connection in enumerate(self.connections, 1) if number < len(items)]
        results = [None] * len(items)
        with self._explaining_a_lost_process():
            for number, connection in busy:
                connection.send(items[number :: self.count])
        with blas_threads(1):
            results[:: self.count] = [self.function(item) for item in items[:: self.count]]
        for number, connection in busy:
            with self._explaining_a_lost_process():
                answer = connection.recv()
            if isinstance(answer, BaseException):
                raise answer
            results[number :: self.count] = answer
        return results

    def _serve(self, connection, parent):
        """What a forked process does: items in, results out."""
        for number in STOPS:  # a terminal or a time limit sends them to all; that one saves, and ends these
            signal.signal(number, signal.SIG_IGN)
        _c_library().prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:  # it has gone already
            os._exit(0)
        for other in self.connections:  # those ends belong to that process: it must be the only one to hold them
            other.close()
        with contextlib.suppress(EOFError, OSError), blas_threads(1):  # it has gone
            while True:
                items = connection.recv()
                try:
                    answer = [self.function(item) for item in items]
                except BaseException as error:  # whatever it was, it is raised there
                    answer = error
                connection.send(answer)
        os._exit(0)  # without what a Python program does at its end: all of that is the other process's

    @contextlib.contextmanager
    def _explaining_a_lost_process(self):
        try:
            yield
        except (EOFError, OSError):
            raise InputError(
                "a process that worked on a part of the batch was killed, most likely for want of memory; " + self.cure
            ) from None


@functools.cache
def _c_library():
    return ctypes.CDLL(None)
