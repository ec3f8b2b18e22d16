"""`minivdit bench mpi`: exchanges and a training step, timed on the ranks that MPI started.

A step on these ranks takes turns with the same step, on the same shards, by one process that forks as many: so other
work of the machine slows both alike. First it is checked that both get the same gradients, to the last bit.
"""

import contextlib
import json
import os
import time

import numpy as np

from ... import autograd as ag
from ...base import backend
from ...base.errors import InputError
from ...base.files import write_file
from ...base.ranks import LAUNCHERS, Ranks
from ...training import presets
from . import cpu, workloads

SIZES = (4_000, 64_000, 1_000_000, 16_000_000)  # bytes that a rank sends
EXCHANGES = ("all_to_all", "share")


def bench(ranks, chosen=None, *, turns=15, out=None, show=print):
    """Measure, show a line for each figure, and write all of them as JSON, on the first rank. All ranks call this.

    ranks: base.ranks.MPIRanks. chosen: names of workloads, 'train' and a preset; 'train full' unless given. Returns a
    dict of all figures.
    """
    chosen = list(chosen or ["train full"])
    for name in chosen:
        check_name(name)
    begin()
    about = ranks.first_does(lambda: cpu.describe_machine(ranks.size, cpu.products_rate(1)))
    machines = f"{ranks.machines} machine{'s' * (ranks.machines > 1)}"
    show(f"{ranks.size} ranks on {machines}: {about['processor']}, {about['versions']}; {about['date']}")
    show(f"medians of {turns} turns, quartiles in brackets; each turn is as long as the slowest rank's")
    figures = {"machine": about, "ranks": ranks.size, "machines": ranks.machines}
    meeting = timed(ranks, ranks.meet, turns)
    show(f"{'':12}{'a rank sends':>14}{'ms':>26}{'Gbit/s':>9}")
    show(f"{'meet':12}{'':14}{quartiles(1e3 * np.array(meeting)):>26}")
    figures |= {"meet": meeting, "exchanges": []}
    for name in EXCHANGES:
        for size in SIZES:
            sent, work = exchange(ranks, name, size)
            seconds = timed(ranks, work, turns)
            rate = 8e-9 * sent / np.median(seconds)
            show(f"{name:12}{sent:>12,} B{quartiles(1e3 * np.array(seconds)):>26}{rate:>9.2f}")
            figures["exchanges"].append({"name": name, "bytes": sent, "seconds": seconds})
    figures["network"] = network = network_of(ranks, figures["exchanges"])
    show(f"for minivdit costs: --bandwidth {network['gigabits']:.3g} --latency {network['microseconds']:.3g}")
    figures["steps"] = {name: steps(ranks, name, turns, show) for name in chosen}
    if out is not None and ranks.first:
        write_file(out, json.dumps(figures, indent=1))
        show(str(out))
    return figures


def check_name(name):
    """Raise InputError unless the name is 'train' and a preset."""
    kind, subject = workloads.split_name(name)
    if kind != "train" or subject not in presets.PRESETS:
        known = ", ".join(f"'train {preset}'" for preset in presets.PRESETS)
        raise InputError(f"{name!r} isn't timed between ranks; there are {known}")


def exchange(ranks, name, size):
    """(bytes that each rank sends, a function that does it once) for about so many bytes. name: of EXCHANGES."""
    count = max(1, size // (4 * (ranks.size - 1)))
    mine = np.ones(count, np.float32)
    whole = [mine.copy() for _ in range(ranks.size)]

    def all_to_all():
        ranks.all_to_all([[mine]] * ranks.size, [[mine.shape]] * ranks.size)

    work = {"all_to_all": all_to_all, "share": lambda: ranks.share(whole, range(ranks.size))}[name]
    before = ranks.bytes_sent
    work()
    return ranks.bytes_sent - before, work


def timed(ranks, work, turns):
    """Seconds of the slowest rank in each turn, a list, the same on all ranks."""
    seconds = []
    for _ in range(turns):
        ranks.meet()
        started = time.perf_counter()
        work()
        seconds.append(max(ranks.meet(time.perf_counter() - started)))
    return seconds


def network_of(ranks, exchanges):
    """The latency and the bandwidth that explain the smallest and the largest all_to_all, as `minivdit costs` takes
    them."""
    known = {one["bytes"]: np.median(one["seconds"]) for one in exchanges if one["name"] == "all_to_all"}
    latency = known[min(known)] / (ranks.size - 1)
    carrying = max(1e-9, known[max(known)] - known[min(known)])
    return {"gigabits": 8e-9 * (max(known) - min(known)) / carrying, "microseconds": 1e6 * latency}


def steps(ranks, name, turns, show, warm_up=3):
    """Seconds of each turn of a training step, for each side: 'ranks', and where they are on one machine 'forked'."""
    run, batch = workloads.training(*workloads.split_name(name), None, shards=ranks.size, ranks=ranks)
    forked = contextlib.nullcontext()
    if ranks.machines == 1:
        cores = set().union(*ranks.meet(own_cores()))
        forked = contextlib.closing(start_forked(name, ranks.size, cores)) if ranks.first else forked
    with forked as worker, run.with_workers():
        work = {"ranks": lambda: run.advance(batch)}
        if ranks.machines == 1:
            compare(ranks, run, batch, worker)
            work["forked"] = lambda: worker and worker.ask("run")
        for _ in range(warm_up):
            for do in work.values():
                do()
                ranks.meet()
        seconds = {side: [] for side in work}
        for turn in range(turns):
            for side in list(work) if turn % 2 == 0 else reversed(list(work)):
                time.sleep(cpu.PAUSE)
                seconds[side] += timed(ranks, work[side], 1)
    show(f"{name}, {run.workers.shards} shards: {quartiles(1e3 * np.array(seconds['ranks']))} ms on {ranks.size} ranks")
    if "forked" in seconds:
        ratios = np.array(seconds["ranks"]) / np.array(seconds["forked"])
        alone = quartiles(1e3 * np.array(seconds["forked"]))
        show(f"  {alone} ms by {ranks.size} processes that one forks; ranks / forked {quartiles(ratios)}")
    else:
        show("  not beside forked processes, which would all be on one machine")
    return {"shards": run.workers.shards, "seconds": seconds}


def begin():
    """What ranks and the process that forks do first."""
    backend.use("cpu")
    backend.tune_allocator()
    ag.load_twins()


def prepare_forked(side, name, count, device):
    """What a cpu.Worker begins with, in its process; see sides.prepare."""
    begin()
    run, batch = workloads.training(*workloads.split_name(name), count, shards=count, ranks=Ranks())
    return workloads.Prepared(lambda: run.advance(batch), lambda: run.workers(batch)[1], around=run.with_workers())


def start_forked(name, count, cores):
    """A cpu.Worker that forks so many, on these cores (an empty set: on all). It is no rank, and asks for none."""
    told = {variable: os.environ.pop(variable, None) for variable in LAUNCHERS}
    try:
        worker = cpu.Worker("forked", name, count, prepare=prepare_forked)
    finally:
        os.environ.update({variable: value for variable, value in told.items() if value is not None})
    if cores:
        os.sched_setaffinity(worker.process.pid, cores)
    worker.begin()
    return worker


def own_cores():
    """Numbers of the cores that this rank may use; a launcher may have bound it to some. Empty where no one says."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def compare(ranks, run, batch, worker):
    """Raise InputError unless the ranks' gradients are the forked processes', bit for bit."""
    ours = run.spread.everywhere(run.workers(batch)[1])
    if worker:
        theirs = worker.ask("results")
        differ = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
        if differ:
            raise InputError(f"ranks and forked processes got different gradients: of {', '.join(differ[:3])}")
    ranks.meet()


def quartiles(values):
    """'1.04 (1.02-1.07)': the median and the quartiles."""
    low, middle, high = (
        f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in np.percentile(values, (25, 50, 75))
    )
    return f"{middle} ({low}-{high})"
