"""Ranks: the processes that MPI starts, on one machine or on many, to train or to draw together.

Where MPI didn't start this process it is alone, and every exchange gives back what it is given: so what is shared out
is written once. mpi4py is imported only where LAUNCHERS say that several processes were started.

What is exchanged are arrays of the chosen device. Those of GPUs go from one to another by NCCL (nccl.py), and without
it through the memory of the machines. A rank has a GPU of its own.

One rule keeps ranks together. They meet, and each comes to every meeting: with what the others should know, or with
the error that ends it. So all learn of an error, end, and one of them tells it.
"""

import contextlib
import functools
import math
import os
import platform
import sys
import time
import warnings
from itertools import accumulate

from .console import complain, note
from .errors import InputError

# The variables in which a launcher says how many processes it has started, and which of them this is.
LAUNCHERS = {
    "PMI_SIZE": "PMI_RANK",  # mpiexec of MPICH or Intel, and srun --mpi=pmi2
    "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK",  # mpirun of Open MPI
    "SLURM_STEP_NUM_TASKS": "SLURM_PROCID",  # srun
}
SPIN = 0.002  # seconds that a rank waits without leaving its core to others, which may be the ones it waits for
POLLS = 64  # how often MPI is asked in a row about an exchange, which goes on by a few KB each time
LONGEST = 20  # seconds that a rank with an error waits for the others to come to a meeting


def launched():
    """(rank, size) as the launcher says; (0, 1) where this process was started by itself."""
    for size, rank in LAUNCHERS.items():
        count, number = (os.environ.get(name, "") for name in (size, rank))
        if count.isdecimal() and int(count) > 1:
            return int(number) if number.isdecimal() else 0, int(count)
    return 0, 1


@functools.cache
def here():
    """The ranks that this process is one of. Where several were started and can't find each other, all end."""
    _, size = launched()
    return ALONE if size == 1 else MPIRanks(size)


class Told(Exception):
    """Another rank, or several, came to a meeting with an error. Its message and exit code are those of the first."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Ranks:
    """A process that is alone. MPIRanks has the same methods for several; all of them must call each, in one order.

    bytes_sent: of arrays, to other ranks, so far.
    """

    rank, size, machines, bytes_sent = 0, 1, 1, 0

    @property
    def first(self):
        """Whether this is the rank that speaks and writes files."""
        return self.rank == 0

    def part(self, count, rank=None):
        """Which of `count` things in a row a rank has, this one unless another is given: a range.

        They are spread as evenly as can be; where there are fewer than ranks, some have none.
        """
        rank = self.rank if rank is None else rank
        return range(count * rank // self.size, count * (rank + 1) // self.size)

    def teams(self, count):
        """These ranks in so many teams of neighbours, all of one size: (number of this rank's team, its Ranks)."""
        return 0, self

    def meet(self, brought=None):
        """What each rank has brought, a list in the order of ranks. Anything that can be pickled."""
        return [brought]

    def first_does(self, function):
        """What function() gives on the first rank, which alone calls it."""
        return self.meet(function() if self.first else None)[0]

    def tell(self, message, code):
        """Bring an error to the next meeting: message and exit code of the first rank that came with one.

        Where that isn't rank 0, on whose machine all may be well, the message begins with the rank and its machine.
        """
        return message, code

    def require_alike(self, about, doing):
        """Raise InputError unless all bring the same: a dict or a dataclass. doing: to them, such as 'train'."""
        from .config import differences

        first, *others = self.meet(about)
        for rank, other in enumerate(others, 1):
            if found := "; ".join(differences(other, first)):
                raise InputError(
                    f"{self.places[rank]} would {doing} something else than rank 0: {found}; start all alike"
                )

    def collect(self, own):
        """On the first rank the dicts of all ranks in one; elsewhere the rank's own."""
        return own

    def all_to_all(self, arrays, shapes, dtype="float32"):
        """For each rank, a list of arrays for it: returns for each rank a list of arrays from it.

        shapes: for each rank, the shapes of the arrays that come from it. dtype: that of all of them.
        """
        return arrays

    def turn(self, step, arrays, shapes, dtype="float32"):
        """Send a list of arrays to the rank `step` places on, and return those that come from the rank as far back.

        shapes: of what comes. step may be negative.
        """
        sent, due = ([[] for _ in range(self.size)] for _ in range(2))
        source = (self.rank - step) % self.size
        sent[(self.rank + step) % self.size], due[source] = arrays, shapes
        return self.all_to_all(sent, due, dtype)[source]

    def share(self, arrays, owners):
        """Write into each array what it holds on the rank that owns it. All are float32."""


ALONE = Ranks()


class MPIRanks(Ranks):
    """One of several processes that MPI started. size: how many there should be."""

    _nccl = None  # not known yet

    def __init__(self, size):
        mpi = _mpi(size)
        self.world, self._barrier, self._teams = mpi.COMM_WORLD, None, {}
        self.rank, self.size = self.world.rank, self.world.size
        self.places = [f"rank {rank}" for rank in range(self.size)]  # in words; their machines aren't known yet
        self._meetings, self._data = self.world.Dup(), self.world.Dup()
        self._tell_what_nobody_catches()
        self._look_around(mpi.Get_processor_name())

    def teams(self, count):
        each = self.size // count
        number = self.rank // each
        if count not in self._teams:
            self._teams[count] = self if count == 1 else ALONE if each == 1 else Team(self, number)
        return number, self._teams[count]

    def meet(self, brought=None):
        self._arrive()
        return self._talk(None, brought)

    def tell(self, message, code):
        if not self._arrive(LONGEST):  # the others wait for something else, which this rank won't send any more
            _last_words(self._from(self.rank, message))
            self.world.Abort(code)
        try:
            self._talk((message, code))
        except Told as told:
            return str(told), told.code

    def collect(self, own):
        from .backend import to_numpy

        own = {name: to_numpy(value) if hasattr(value, "shape") else value for name, value in own.items()}
        parts = self._meetings.gather(own)
        return own if parts is None else {name: value for part in parts for name, value in part.items()}

    def all_to_all(self, arrays, shapes, dtype="float32"):
        sizes = [sum(array.size for array in some) for some in arrays]
        counts = [sum(map(math.prod, some)) for some in shapes]
        sent = _flat([array for some in arrays for array in some], dtype)
        self.bytes_sent += sent.itemsize * (sent.size - sizes[self.rank])
        if links := self._links():
            received = _room(sum(counts), dtype)
            links.exchange(_pieces(sent, sizes), _pieces(received, counts))
        else:
            received = self._through_host(self._data.Ialltoallv, sent, sizes, counts)
        found = iter(_cut(received, [shape for some in shapes for shape in some]))
        return [[next(found) for _ in some] for some in shapes]

    def share(self, arrays, owners):
        by_rank = [[array for array, owner in zip(arrays, owners) if owner == rank] for rank in range(self.size)]
        counts = [sum(array.size for array in some) for some in by_rank]
        sent = _flat(by_rank[self.rank])
        self.bytes_sent += sent.nbytes * (self.size - 1)
        if links := self._links():
            received = _room(sum(counts))
            links.exchange([sent] * self.size, _pieces(received, counts))
        else:
            received = self._through_host(self._data.Iallgatherv, sent, None, counts)
        whole = [array for some in by_rank for array in some]
        for array, new in zip(whole, _cut(received, [array.shape for array in whole])):
            array[...] = new

    def _arrive(self, longest=math.inf):
        """Wait for all to arrive at a meeting: whether they did within so many seconds.

        While it waits, this rank leaves its core to others, and hears signals.
        """
        self._barrier = self._barrier or self._meetings.Ibarrier()  # an interrupted one still counts
        started = time.monotonic()
        while not self._barrier.Test():
            waited = time.monotonic() - started
            if waited > longest:
                return False
            time.sleep(0 if waited < SPIN else 0.0001 if waited < 0.1 else 0.001)
        self._barrier = None
        return True

    def _talk(self, error, brought=None):
        from . import backend

        came = self._meetings.allgather((error, brought, backend.device_label()))
        for rank, (error, *_) in enumerate(came):
            if error:
                raise Told(self._from(rank, error[0]), error[1])
        require_devices([device for *_, device in came])
        return [brought for _, brought, _ in came]

    def _from(self, rank, message):
        return f"{self.places[rank]}: {message}" if rank else message

    def _links(self):
        """NCCL's between the GPUs of these ranks; None where they compute on CPUs, or one of them has no NCCL."""
        from . import backend

        if backend.device_name() == "cpu":
            return None
        if self._nccl is None:
            from . import nccl

            library = nccl.library()
            if all(self.meet(library is not None)):
                self._nccl = nccl.Links(self, self.first_does(lambda: library.get_unique_id()))
            else:
                self._nccl = ()
                note_no_nccl()
        return self._nccl or None

    def _through_host(self, exchange, sent, sizes, counts):
        """What comes, a flat array on the device, of one of MPI's exchanges of flat arrays in the host's memory."""
        from .backend import to_device, to_numpy

        received = _room(sum(counts), sent.dtype, "cpu")
        given = to_numpy(sent) if sizes is None else [to_numpy(sent), _places(sizes)]
        self._finish(exchange(given, [received, _places(counts)]))
        return to_device(received)

    def _finish(self, request):
        """Wait for an exchange of data. It needs this rank to look after it, so it hardly sleeps."""
        started = time.monotonic()
        while not any(request.Test() for _ in range(POLLS)):
            time.sleep(0 if time.monotonic() - started < SPIN else 0.0001)

    def _tell_what_nobody_catches(self):
        """An error that ends a script on one rank ends all of them: otherwise they would wait for that one for ever."""
        usual = sys.excepthook

        def hook(kind, error, trace):
            usual(kind, error, trace)
            if not isinstance(error, Told):
                self.tell(f"{kind.__name__}: {error}", 1)

        sys.excepthook = hook

    def _look_around(self, name):
        """Count machines, share their cores, and raise InputError unless all ranks have the same versions."""
        from .. import __version__
        from . import backend, machine

        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        versions = [f"minivdit {__version__}", *machine.versions("numpy", "numba", "scipy")]
        found = self.meet((name, cores, versions))
        self.places = [f"rank {rank} on {name}" for rank, (name, *_) in enumerate(found)]
        self.machines = len({name for name, *_ in found})
        backend.take_gpu(sum(other == name for other, _, _ in found[: self.rank]))
        backend.share_cores(sum(other[:2] == (name, cores) for other in found))
        backend.limit_blas()
        for rank, (_, _, versions) in enumerate(found):
            if versions != found[0][2]:
                raise InputError(
                    f"{self.places[rank]} has {', '.join(versions)}, and {self.places[0]} {', '.join(found[0][2])}; "
                    "install the same everywhere"
                )


class Team(MPIRanks):
    """Those of several ranks that call this with the same number."""

    def __init__(self, ranks, number):
        team = ranks.world.Split(number)
        self.world, self._meetings, self._data, self._barrier = ranks.world, team, team, None
        self.rank, self.size = team.rank, team.size
        self.places = ranks.places[number * team.size :][: team.size]


def require_devices(labels):
    """Raise InputError unless all ranks compute on CPUs, or each has a GPU of its own. labels: their device_label()."""
    for rank, label in enumerate(labels):
        if (label == "cpu") != (labels[0] == "cpu"):
            on = [f"{'the CPU' if label == 'cpu' else 'a GPU'}" for label in (label, labels[0])]
            raise InputError(f"rank {rank} computes on {on[0]} and rank 0 on {on[1]}; give --device cpu or gpu to all")
        if label != "cpu" and labels.index(label) < rank:
            raise InputError(
                f"ranks {labels.index(label)} and {rank} have the same GPU; start one rank for each GPU of a machine"
            )


@functools.cache
def note_no_nccl():
    """Say, once, how GPUs exchange what they do without NCCL."""
    note(
        "NCCL isn't there, so GPUs exchange data through the memory of the machines, which is slower; "
        "pip install nvidia-nccl-cu13 (or nvidia-nccl-cu12)",
        show=launched()[0] == 0,
    )


def _mpi(size):
    """The module mpi4py.MPI. Where it isn't there, or doesn't find so many ranks, this rank and all others end."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another MPI's variables: what that comes to is said below
            from mpi4py import MPI
    except Exception as error:  # RuntimeError where there is no MPI library, and what a broken one may raise
        told = str(error).partition("\n")[0]
        _leave(
            f"{size} processes were started, and mpi4py can't be imported ({told}); pip install 'minivdit[mpi]', or "
            "start a single one"
        )
    if MPI.COMM_WORLD.size != size:
        library = MPI.Get_library_version().partition("\n")[0].strip("\0 ")
        _leave(
            f"{size} processes were started, but none of them finds the others: mpi4py's MPI is {library}; start them "
            "with its own mpiexec (under Slurm, srun --mpi=pmi2 or --mpi=pmix)"
        )
    return MPI


def _leave(message):
    """Say why this rank can't find the others, and end it.

    Those that can would wait for it for ever, inside of MPI. Most launchers end them when a rank ends with an error.
    MPICH's is asked to: one line of PMI-1, its language, does what MPI's Abort does.
    """
    rank, _ = launched()
    time.sleep(min(2 * rank, LONGEST))  # if all have the same trouble, rank 0 says so, and this one is ended meanwhile
    _last_words(f"rank {rank} on {platform.node()}: {message}" if rank else message)
    with contextlib.suppress(KeyError, ValueError, OSError):
        os.write(int(os.environ["PMI_FD"]), b"cmd=abort exitcode=2\n")
    raise SystemExit(2)


def _last_words(message):
    """Say what is wrong before all are ended. A launcher that hears of the end first may drop the words."""
    complain(message, sys.__stderr__)
    time.sleep(0.5)


def _room(size, dtype="float32", device=None):
    """A flat array for so many numbers, on the chosen device or on the CPU."""
    import numpy as np  # here, so that help comes at once

    from . import backend

    return (np if device == "cpu" else backend.xp()).empty(size, dtype)


def _flat(arrays, dtype="float32"):
    """The numbers of some arrays side by side. A TypeError unless all have this dtype."""
    from . import backend

    flat = _room(sum(array.size for array in arrays), dtype)
    for place, array in zip(_cut(flat, [array.shape for array in arrays]), arrays):
        backend.xp().copyto(place, array, casting="no")
    return flat


def _pieces(whole, counts):
    """Parts of a flat array with so many numbers each: views."""
    return _cut(whole, [(count,) for count in counts])


def _places(counts):
    """Counts and where each begins, as MPI takes them."""
    return counts, [0, *accumulate(counts)][:-1]


def _cut(whole, shapes):
    """A flat array as arrays of these shapes, one after the other: views."""
    ends = list(accumulate(map(math.prod, shapes)))
    return [whole[end - math.prod(shape) : end].reshape(shape) for end, shape in zip(ends, shapes)]
