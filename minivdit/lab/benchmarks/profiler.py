"""Where the time of a training step goes, operation by operation."""

import collections
import dataclasses
import threading
import time

from ...autograd import engine
from ...base.backend import blas_threads
from . import workloads


@dataclasses.dataclass
class Row:
    """One operation in one direction. seconds: of processor time, over all threads. bytes: read and written, each
    array that goes in or comes out counted once."""

    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0


class Profile:
    """Counts every operation while `engine.observe(profile)` lasts."""

    def __init__(self):
        self.rows = collections.defaultdict(Row)
        self._lock = threading.Lock()

    def __call__(self, name, phase, function, /, *inputs, **options):
        started = time.thread_time()
        result = function(*inputs, **options)
        seconds = time.thread_time() - started
        # An operation returns its value and its pullback, a pullback returns gradients; both may be tuples of arrays.
        moved = sum(array.nbytes for array in _arrays((inputs, result)))
        self.add(name, phase, seconds, moved)
        return result

    def add(self, name, phase, seconds, moved=0):
        with self._lock:
            row = self.rows[name, phase]
            row.calls, row.seconds, row.bytes = row.calls + 1, row.seconds + seconds, row.bytes + moved

    def __str__(self):
        whole = sum(row.seconds for row in self.rows.values())
        lines = [f"{'operation':26}{'phase':10}{'calls':>7}{'ms':>9}{'share':>8}{'MB':>9}{'GB/s':>8}"]
        for (name, phase), row in sorted(self.rows.items(), key=lambda item: -item[1].seconds):
            rate = row.bytes / row.seconds / 1e9 if row.seconds else 0.0
            lines.append(
                f"{name:26}{phase:10}{row.calls:>7}{1e3 * row.seconds:>9.2f}{row.seconds / whole:>8.1%}"
                f"{row.bytes / 1e6:>9.1f}{rate:>8.1f}"
            )
        lines.append(f"{'together':26}{'':10}{'':>7}{1e3 * whole:>9.2f}")
        return "\n".join(lines)


def profile_step(name, threads=1, warm_up=3):
    """The Profile of one training step of a workload such as 'train small'. 'engine' is what no operation accounts
    for: the walk through the graph, sums of gradients, Python."""
    run, batch = workloads.training(*workloads.split_name(name), threads)
    profile = Profile()
    with blas_threads(1):
        for _ in range(warm_up):
            run.advance(batch)
        started = time.process_time()
        with engine.observe(profile):
            _, gradients, _ = run.workers(batch)
        spent = time.process_time() - started
        profile.add("engine", "both", spent - sum(row.seconds for row in profile.rows.values()))
        started = time.process_time()
        run.update(gradients, 0.0, run.settings.clip)
        profile.add("optimizer", "update", time.process_time() - started)
    return profile


def _arrays(value):
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _arrays(item)
    elif hasattr(value, "nbytes"):
        yield value
