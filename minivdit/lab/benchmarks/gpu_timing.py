"""Times of work on a GPU, by CUDA events, on inputs that were drawn there.

A long matrix product goes first, so that all runs are queued before the first one begins and the time that Python takes
isn't measured. An event behind the product tells whether that worked: where it is over before the last run is queued,
all is done again behind more products. Inputs change from run to run until together they are twice as large as the L2
cache.
"""

import functools
import itertools
import math
import os
import sys

import numpy as np

from ...base import backend, machine
from ...kernels.formats import STORED_AS, to_format

WARM_UP = 2
SECONDS = 1.5  # that the runs of a cell may take together,
RUNS = (5, 50)  # but at least and at most so many
ROUNDS = 3  # in which they are made; those who are compared take turns
PRODUCTS = (1, 4, 16, 64)  # of 8192 x 8192, that keep the GPU busy while runs are queued: tens of milliseconds each
DRY = "the GPU waited for Python: these are times of both"
MEMORY_SHARE = 0.4  # of the free memory that inputs may take


def milliseconds(work, inputs, runs, warm_up=WARM_UP):
    """(the times of so many runs of work(*arguments), "" or the note DRY). inputs: arguments that take turns."""
    cuda, turn = backend.xp().cuda, itertools.cycle(inputs)
    for _ in range(warm_up):
        work(*next(turn))
    for products in PRODUCTS:
        marks, busy = [(cuda.Event(), cuda.Event()) for _ in range(runs)], cuda.Event()
        _keep_busy(products)
        busy.record()
        for before, after in marks:
            before.record()
            work(*next(turn))
            after.record()
        covered = not busy.done
        after.synchronize()
        if covered:
            break
    return [cuda.get_elapsed_time(before, after) for before, after in marks], "" if covered else DRY


def short():
    """Whether to do as little as possible, with tiny arrays: tests set MINIVDIT_SHORT=1."""
    return os.environ.get("MINIVDIT_SHORT") == "1"


def patience(seconds):
    """Seconds that a cell may take, None where all is cut short: kernels are emulated then, which takes longer."""
    return None if short() else seconds


def rounds():
    """How many rounds to make."""
    return 1 if short() else ROUNDS


def runs_of(milliseconds_each):
    """How many runs to make of work that takes so long."""
    least, most = (1, 1) if short() else RUNS
    return max(least, min(most, round(1e3 * SECONDS / max(milliseconds_each, 1e-6))))


def _keep_busy(products):
    a, c = _matrices()
    for _ in range(products):
        backend.xp().matmul(a, a, out=c)


@functools.cache
def _matrices():
    size = 8 if short() else 8192
    return [backend.xp().ones((size, size), np.float32) for _ in range(2)]


class Side:
    """One of those who do the same work, timed in ROUNDS, in which they take turns.

    make(): prepares everything, on the GPU; returns (work, inputs, more), where `more` is what else the record says.
    """

    def __init__(self, name, make):
        self.name, self.make, self.work = name, make, None
        self.times, self.notes = [], set()

    def measure(self):
        """One round: a record with all times so far."""
        free_memory()
        if self.make is not None:
            make, self.make = self.make, None
            self.work, self.inputs, self.more = make()
            (first,), _ = milliseconds(self.work, self.inputs, 1, warm_up=1)
            self.runs = math.ceil(runs_of(first) / rounds())
        times, dry = milliseconds(self.work, self.inputs, self.runs)
        self.times += times
        self.notes |= {dry} - {""}
        return {**timing(self.times), **self.more, **noted(self.more.get("note"), *self.notes)}

    @property
    def failed(self):
        """Whether it was tried, and couldn't be prepared."""
        return self.make is None and self.work is None


def noted(*notes):
    """A record's "note" of those that say something, {} where none does."""
    told = [note for note in notes if note]
    return {"note": "; ".join(told)} if told else {}


def timing(times):
    """What a record says of times in milliseconds: all of them, their median and quartiles."""
    low, median, high = np.percentile(times, (25, 50, 75))
    return {"milliseconds": list(map(float, times)), "median": float(median), "quartiles": [float(low), float(high)]}


def free_memory():
    """Give what nobody uses back to the GPU, from CuPy's pool and from PyTorch's: each would lack the other's."""
    if backend.device_name() == "gpu":
        backend.xp().get_default_memory_pool().free_all_blocks()
    if "torch" in sys.modules and torch_has_a_gpu():  # to import it only for this would take seconds
        sys.modules["torch"].cuda.empty_cache()


@functools.cache
def torch_has_a_gpu():
    """Whether PyTorch is installed and can use the GPU."""
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def normal(shape, dtype, seed):
    """Standard normal numbers of a dtype, drawn on the GPU."""
    return to_format(backend.xp().random.default_rng(seed).standard_normal(shape, dtype=np.float32), dtype)


def sets_past_the_cache(bytes_of_a_set):
    """How many sets of inputs are together twice as large as the cache, if the memory holds so many; at least 1."""
    cache = backend.xp().cuda.Device().attributes["L2CacheSize"]
    memory = MEMORY_SHARE * machine.available_memory()
    return max(1, min(math.ceil(2 * cache / bytes_of_a_set), int(memory // bytes_of_a_set)))


def bytes_of(shape, dtype):
    """Of an array of this shape."""
    return math.prod(shape) * np.dtype(STORED_AS[dtype]).itemsize
