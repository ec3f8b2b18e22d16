"""Work shared by processes: what parallel.py does with threads, without Python's lock between them.

NumPy lets go of Python's lock inside its loops and takes it again after each, thousands of times a step. Two threads
that wait for each other so often lose about a quarter of their time (see results/speed.md). A forked process has a
lock of its own. In training, weights and gradients lie in memory that all processes share, so what is carried to and
fro is only a part of the batch, and a loss.

Processes are made by fork, where that is safe (see `can_fork`); elsewhere threads do the same work, with the same
result bit for bit.
"""

import contextlib
import ctypes
import functools
import mmap
import multiprocessing
import os
import signal
import sys
import threading

import numpy as np

from ..backend import blas_threads
from ..errors import InputError
from .parallel import POOL, add_up, batch_size, parallel_map, shard_gradients, split_batch
from .stopping import STOPS

# Modules whose threads never compute: those of notebooks and of progress bars.
NEVER_COMPUTING = (
    *("ipykernel.iostream", "ipykernel.heartbeat", "ipykernel.control", "ipykernel.shellchannel"),
    *("ipykernel.parentpoller", "IPython.core.history", "tqdm._monitor"),
)
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG in Linux's prctl.h


def can_fork():
    """Whether processes can be forked here and now: on Linux, by the only thread that may be computing.

    Beside a thread that is inside of BLAS a fork never returns, or leaves a process that waits for ever. On macOS,
    Apple's libraries don't survive it. A daemonic process (of multiprocessing.Pool, for one) may have none of its own.
    """
    if not sys.platform.startswith("linux") or multiprocessing.current_process().daemon:
        return False
    harmless = {thread.ident for thread in threading.enumerate() if _never_computes(thread)}
    return sys._current_frames().keys() <= {threading.get_ident(), *harmless}


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

    def __enter__(self):
        forked = self.count - 1 if self.count > 1 and can_fork() else 0
        fork, parent = multiprocessing.get_context("fork"), os.getpid()
        for number in range(1, forked + 1):
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


class GradientWorkers:
    """Workers on the shards of a batch. Made once for a training: weights change in place and are seen by all.

    Everything else that the loss depends on must stay as it is. Use it in a `with` block.
    """

    def __init__(self, loss_function, parameters, shards, count):
        self.loss_function, self.parameters, self.shards = loss_function, parameters, shards
        self.workers = Workers(self._work, min(count, shards), "use a smaller batch, such as --set training.batch=8")
        for parameter, shared in zip(parameters.values(), _shared_arrays(parameters)):
            shared[...] = parameter.data
            parameter.data = shared
        # What a forked process finds out is handed over here; this one's own shards keep what they made.
        elsewhere = [shard for shard in range(shards) if shard % self.workers.count]
        self.gradients = {shard: dict(zip(parameters, _shared_arrays(parameters))) for shard in elsewhere}

    def __enter__(self):
        self.workers.__enter__()
        return self

    def __exit__(self, *error):
        self.workers.__exit__(*error)

    def __call__(self, batch):
        """The mean loss over a batch and its gradients; see parallel.parallel_gradients."""
        parts = split_batch(batch, self.shards)
        shares = [batch_size(part) / batch_size(batch) for part in parts]
        results = self.workers(enumerate(zip(parts, shares)))
        return add_up(
            [(loss, found or self.gradients[shard], extras) for shard, (loss, found, extras) in enumerate(results)],
            self.parameters,
            self.workers.count,
        )

    def _work(self, numbered):
        shard, (part, share) = numbered
        loss, found, extras = shard_gradients(self.loss_function, self.parameters, part, share)
        if shard not in self.gradients:
            return loss, found, extras
        for name, gradient in found.items():
            self.gradients[shard][name][...] = gradient
        return loss, None, extras


@functools.cache
def _c_library():
    return ctypes.CDLL(None)


def _shared_arrays(parameters):
    """Zeros shaped like the parameters, in memory that forked processes share."""
    sizes = [parameter.size for parameter in parameters.values()]
    memory = np.frombuffer(mmap.mmap(-1, max(1, 4 * sum(sizes))), np.float32)
    ends = np.cumsum(sizes)
    return [memory[end - p.size : end].reshape(p.shape) for end, p in zip(ends, parameters.values())]
