"""`minivdit bench cpu`: training steps, sampling steps, attention, the autoencoder and batches, timed on this machine.

The same work is done by minivdit without compiled operations, by its twin in PyTorch and by others, where they are
installed (sides.py): same weights, same batch, same number of threads. Each side has a process of its own. They take
turns in one run, so that other work of the machine slows all alike. First it is checked that all compute the same.
"""

import dataclasses
import datetime
import json
import multiprocessing
import platform
import subprocess
import sys
import time

import numpy as np

from ...base import backend, machine
from ...base.errors import InputError
from ...base.files import write_file
from ...training import presets
from . import worker, workloads
from .sides import SIDES, installed, prepare, takes

PAUSE = 0.05  # seconds between two turns, in which the threads of the last one go to sleep
TOLERANCE = 1e-3  # of the largest entry of an array: float32 sums in another order, through a whole network


class Worker:
    """One side of one workload, in a process of its own; see worker.py. prepare: as sides.prepare."""

    def __init__(self, side, name, threads, device="cpu", prepare=prepare):
        spawn = multiprocessing.get_context("spawn")
        self.line, there = spawn.Pipe()
        self.process = spawn.Process(target=worker.main, args=(there, prepare, side, name, threads, device))
        self.process.start()
        there.close()
        self.side, self.name = side, name

    def begin(self):
        """Wait until all is prepared, which takes long: others may be started meanwhile."""
        self.flops = self._answer()

    def ask(self, request):
        """What comes of one of worker.REQUESTS."""
        self.line.send(request)
        return self._answer()

    def _answer(self):
        try:
            answer = self.line.recv()
        except EOFError:
            self.process.join()
            answer = RuntimeError(f"exit code {self.process.exitcode}")
        if isinstance(answer, Exception):
            raise InputError(f"{self.name!r} ({self.side}) stopped: {answer}")
        return answer

    def close(self):
        self.line.close()
        self.process.terminate()
        self.process.join()


@dataclasses.dataclass
class Timing:
    """What was measured of a workload: for each side the seconds of every turn, and the bytes that the work added."""

    name: str
    flops: int
    seconds: dict
    memory: dict
    difference: dict  # of the results, relative to the largest entry: for each side but ours
    launches: dict = dataclasses.field(default_factory=dict)  # of kernels on a GPU, for each side; None if not known
    queued: dict = dataclasses.field(default_factory=dict)  # seconds in which the host queues a step there; likewise

    def median(self, side="ours"):
        return float(np.median(self.seconds[side]))

    def ratios(self, side):
        """Ours / theirs, turn by turn."""
        return np.array(self.seconds["ours"]) / np.array(self.seconds[side])

    def speed(self):
        """FLOP/s of ours."""
        return self.flops / self.median()


def measure(name, threads, sides=("ours", "eager"), turns=15, warm_up=3, device="cpu"):
    """Time a workload: a Timing. Raises InputError where two sides don't compute the same."""
    workers = {}
    try:
        for side in sides:
            workers[side] = Worker(side, name, threads, device)
        for each in workers.values():
            each.begin()
        difference = _compare(workers)
        for each in workers.values():
            for _ in range(warm_up):
                each.ask("run")
        seconds = {side: [] for side in sides}
        for turn in range(turns):
            for side in sides if turn % 2 == 0 else reversed(sides):
                time.sleep(PAUSE)
                seconds[side].append(workers[side].ask("run"))
        memory, launches, queued = {}, {}, {}
        for side, each in workers.items():
            held = each.ask("memory")
            memory[side] = held["peak"] - held["before"]
            if device == "gpu":
                queued[side], launches[side] = each.ask("queue"), each.ask("launches")
        return Timing(name, workers["ours"].flops, seconds, memory, difference, launches, queued)
    finally:
        for each in workers.values():
            each.close()


def _compare(workers):
    """The largest difference of any result, relative to the largest entry of its array, for each side but ours."""
    difference = {}
    mine = workers["ours"].ask("results") if len(workers) > 1 else {}
    for side, other in workers.items():
        if side == "ours":
            continue
        others = other.ask("results")
        if mine.keys() != others.keys():
            raise InputError(f"{other.name!r}: minivdit and {SIDES[side].title} gave results of different names")
        worst = max(mine, key=lambda name: _distance(mine[name], others[name]))
        difference[side] = _distance(mine[worst], others[worst])
        if not difference[side] <= TOLERANCE:
            raise InputError(
                f"{other.name!r}: minivdit and {SIDES[side].title} don't compute the same: {worst} differs by "
                f"{difference[side]:.1e} of its largest entry"
            )
    return difference


def _distance(a, b):
    return float(abs(a.astype(np.float64) - b).max() / max(1e-12, abs(b).max())) if a.shape == b.shape else np.inf


def median_seconds(work, turns):
    """How long work(turn) takes, in seconds: the median of so many turns."""
    seconds = []
    for turn in range(turns):
        started = time.perf_counter()
        work(turn)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def batch_seconds(name):
    """How long a preset's batch takes to make, in seconds."""
    task, _ = workloads.preset_task("train", presets.get(name), np.random.default_rng(0))
    return median_seconds(lambda turn: task.batch(np.random.default_rng(turn)), 15)


def startup_seconds(threads, turns):
    """From starting Python to the end of the first training step of the preset small, in seconds."""
    program = f"from minivdit.lab.benchmarks import workloads; workloads.ours('train small', {threads}).run()"
    command = [sys.executable, "-c", program]
    return median_seconds(lambda turn: subprocess.run(command, check=True, capture_output=True), turns)


def bench(chosen=None, *, threads=None, turns=15, sides=("ours", "numpy", "eager"), out=None, show=print):
    """Measure workloads (all unless `chosen`), show a line for each as it is done, and write all figures as JSON.

    sides: 'ours' and what it is compared with, of sides.SIDES; what isn't installed is left out. Returns a dict of
    name -> Timing.
    """
    threads = threads or backend.cpu_count()
    chosen = list(chosen or workloads.names())
    for name in chosen:
        workloads.check_name(name)
    rate = products_rate(threads)
    about = describe_machine(threads, rate)
    show(f"{about['processor']}, {threads} threads; matrix products run at {rate / 1e9:.0f} GFLOP/s")
    show(f"{about['versions']}, BLAS kernels for {about['kernels'] or 'an unknown processor'}; {about['date']}")
    if problem := machine.forced_kernels():
        show(f"note: {problem}")
    for package, cure in {(SIDES[side].package, SIDES[side].cure) for side in sides if not installed(side)}:
        show(f"{package} isn't installed, so nothing is compared with it ({cure})")
    sides = [side for side in sides if installed(side)]
    show(f"medians of {turns} turns, quartiles in brackets")
    show(header(sides))
    timings = {}
    for name in chosen:
        timings[name] = measure(name, threads, [side for side in sides if takes(side, name)], turns)
        rate = about["matrix_products"] = max(rate, products_rate(threads))  # other work may have disturbed the first
        show(line(timings[name], rate, sides))
    for text in medians(timings.values(), sides):
        show(text)
    made = {preset: batch_seconds(preset) for preset in workloads.PRESETS if f"train {preset}" in timings}
    for preset, seconds in made.items():
        share = seconds / timings[f"train {preset}"].median()
        show(f"a batch of {preset}: {1e3 * seconds:.1f} ms, {share:.1%} of a step (made beside it, in a thread)")
    startup = startup_seconds(threads, min(turns, 5))
    show(f"from starting Python to the end of the first step of small: {startup:.2f} s")
    if out is not None:
        figures = {name: {**dataclasses.asdict(timing), **summary(timing)} for name, timing in timings.items()}
        everything = {"machine": about, "startup": startup, "batch_seconds": made, "workloads": figures}
        write_file(out, json.dumps(everything, indent=1))
        show(str(out))
    return timings


def products_rate(threads):
    """FLOP/s of large matrix products with so many threads: what no workload can exceed."""
    with backend.blas_threads(threads):
        return machine.matmul_speed(1024, seconds=0.5)


def summary(timing):
    """The figures of the table: medians of seconds, and of the ratios to each other side."""
    others = [side for side in timing.seconds if side != "ours"]
    return {
        "median": {side: timing.median(side) for side in timing.seconds},
        "ratio": {side: float(np.median(timing.ratios(side))) for side in others},
        "memory_ratio": {side: timing.memory["ours"] / max(1, timing.memory[side]) for side in others},
    }


def header(sides):
    others = "".join(f"{side + ' ms':>12}{'ours/' + side:>23}{'memory':>10}" for side in sides[1:])
    return f"{'workload':28}{'ms':>22}{'GFLOP/s':>9}{'of peak':>9}{'memory':>10}{others}"


def line(timing, rate, sides):
    """One row of the table; '-' where a side doesn't do the workload."""
    low, median, high = 1e3 * np.percentile(timing.seconds["ours"], (25, 50, 75))
    row = f"{timing.name:28}{f'{median:.1f} ({low:.1f}-{high:.1f})':>22}{timing.speed() / 1e9:>9.0f}"
    row += f"{timing.speed() / rate:>9.0%}{machine.amount(timing.memory['ours']):>10}"
    for side in sides[1:]:
        if side not in timing.seconds:
            row += f"{'-':>12}{'-':>23}{'-':>10}"
            continue
        low, middle, high = np.percentile(timing.ratios(side), (25, 50, 75))
        row += f"{1e3 * timing.median(side):>12.1f}{f'{middle:.2f} ({low:.2f}-{high:.2f})':>23}"
        row += f"{timing.memory['ours'] / max(1, timing.memory[side]):>10.2f}"
    return row


def medians(timings, sides):
    """A line for each kind of workload: the median, over those of this kind, of ours / each other side."""
    for kind in workloads.KINDS:
        alike = [timing for timing in timings if workloads.split_name(timing.name)[0] == kind]
        middle = {side: [np.median(t.ratios(side)) for t in alike if side in t.seconds] for side in sides[1:]}
        told = [f"ours/{side} {np.median(ratios):.2f}" for side, ratios in middle.items() if ratios]
        if told:
            yield f"{kind}, the median of {len(alike)}: {', '.join(told)}"


def describe_machine(threads, rate):
    """What the figures depend on: for the JSON and the first lines."""
    packages = machine.versions("numpy", "numba", "scipy", "torch", "jax")
    return {
        "processor": machine.processor(),
        "threads": threads,
        "matrix_products": rate,
        "kernels": machine.blas_kernels(),
        "versions": ", ".join([f"Python {platform.python_version()}", *packages]),
        "date": datetime.date.today().isoformat(),
    }
