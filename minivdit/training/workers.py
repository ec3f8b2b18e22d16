"""Shards in processes of their own: what parallel.py does with threads, without Python's lock between them.

NumPy lets go of Python's lock inside its loops and takes it again after each, thousands of times a step. Two threads
that wait for each other so often lose about a quarter of their time (see results/speed.md). A forked process has a
lock of its own. Weights and gradients lie in memory that all processes share, so what is carried to and fro is only a
part of the batch, and a loss.

Processes are made by fork, where that is safe (Linux); elsewhere threads do the same work, with the same result bit for
bit.
"""

import contextlib
import mmap
import multiprocessing
import os
import signal
import sys

import numpy as np

from ..errors import InputError
from .parallel import add_up, batch_size, shard_gradients, split_batch


def can_fork():
    """Whether processes can be forked here: on Linux. (On macOS, Apple's libraries don't survive it.)"""
    return sys.platform.startswith("linux")


class Workers:
    """This process and `count` - 1 forked ones: shard i goes to number i % count, this one being number 0.

    Made once for a training: weights change in place and are seen by all. Everything else that the loss depends on must
    stay as it is. Use it in a `with` block, which ends the processes.
    """

    def __init__(self, loss_function, parameters, shards, count):
        self.loss_function, self.parameters, self.shards, self.count = loss_function, parameters, shards, count
        for parameter, shared in zip(parameters.values(), _shared_arrays(parameters)):
            shared[...] = parameter.data
            parameter.data = shared
        self.connections, self.processes, self.gradients = [], [], {}
        fork = multiprocessing.get_context("fork")
        for number in range(1, min(count, shards)):
            for shard in range(number, shards, count):
                self.gradients[shard] = dict(zip(parameters, _shared_arrays(parameters)))
            here, there = fork.Pipe()
            self.connections.append(here)
            process = fork.Process(target=self._serve, args=(there,), daemon=True, name=f"minivdit-{number}")
            process.start()
            there.close()  # so that the end of that process is the end of the file here
            self.processes.append(process)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for connection in self.connections:
            connection.close()
        for process in self.processes:
            process.terminate()
            process.join()

    def __call__(self, batch):
        """The mean loss over a batch and its gradients; see parallel.parallel_gradients."""
        parts = dict(enumerate(split_batch(batch, self.shards)))
        weights = {shard: batch_size(part) / batch_size(batch) for shard, part in parts.items()}
        chosen = [[shard for shard in parts if shard % self.count == number] for number in range(self.count)]
        busy = [(connection, work) for connection, work in zip(self.connections, chosen[1:]) if work]
        for connection, work in busy:
            with _explaining_a_lost_process():
                connection.send([(shard, parts[shard], weights[shard]) for shard in work])
        results = {}
        for shard in chosen[0]:
            results[shard] = shard_gradients(self.loss_function, self.parameters, parts[shard], weights[shard])
        for connection, work in busy:
            for shard, (loss, extras) in zip(work, _receive(connection)):
                results[shard] = loss, self.gradients[shard], extras
        return add_up([results[shard] for shard in parts], self.parameters, self.count)

    def _serve(self, connection):
        """What a forked process does: shards in, losses out, gradients into the shared arrays."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains; it ends this one
        for other in self.connections:  # those ends belong to that process: it must be the only one to hold them
            other.close()
        with contextlib.suppress(EOFError, OSError):  # it has gone
            while True:
                work = connection.recv()
                try:
                    answer = [self._work(*item) for item in work]
                except BaseException as error:  # whatever it was, it is raised there
                    answer = error
                connection.send(answer)
        os._exit(0)  # without what a Python program does at its end: all of that is the other process's

    def _work(self, shard, part, weight):
        loss, gradients, extras = shard_gradients(self.loss_function, self.parameters, part, weight)
        for name, gradient in gradients.items():
            self.gradients[shard][name][...] = gradient
        return loss, extras


@contextlib.contextmanager
def _explaining_a_lost_process():
    try:
        yield
    except (EOFError, OSError):
        raise InputError(
            "a process that worked on a part of the batch was killed, most likely for want of memory; "
            "use a smaller batch, such as --set training.batch=8"
        ) from None


def _receive(connection):
    with _explaining_a_lost_process():
        answer = connection.recv()
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _shared_arrays(parameters):
    """Zeros shaped like the parameters, in memory that forked processes share."""
    sizes = [parameter.size for parameter in parameters.values()]
    memory = np.frombuffer(mmap.mmap(-1, max(1, 4 * sum(sizes))), np.float32)
    ends = np.cumsum(sizes)
    return [memory[end - p.size : end].reshape(p.shape) for end, p in zip(ends, parameters.values())]
