"""The training loop: a generator that yields its state after every step, and a wrapper that watches it.

    for state in train(Run(task, settings)):
        print(state.step, state.loss)

is a whole training. `fit` is the same with a progress bar, a log, checkpoints and previews, and can be stopped.
The loop knows nothing about digits or videos: a tasks.Task says what a batch is and what its loss is.

A shard is a smaller batch with its own tape: the gradients of a batch are those of its shards, computed at the same
time and added up in their order. So the result depends on how many shards there are, never on who worked on them.
"""

import contextlib
import dataclasses
import itertools
import math
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..base import backend, config, seeds
from ..base.console import note
from ..base.errors import InputError
from ..base.ranks import here
from ..base.sharing import parallel_map
from ..base.stopping import Interrupted, listening
from ..nn.optim import EMA, MuonAdamW, copy_state, warmup_cosine
from ..nn.update import make_update
from . import checkpoint
from .gradients import GradientWorkers
from .journal import Journal, Progress, measurable
from .settings import MOST_STEPS
from .spread import Spread, require_shards, shards_of


@dataclasses.dataclass(frozen=True)
class State:
    """What one step showed. loss: before the update. seconds: how long the step took. extras: see `Task.summary`."""

    step: int  # done so far, of
    total: int
    loss: float
    gradient_norm: float
    fraction: float  # of the highest learning rates
    seconds: float
    extras: dict


class UnreadState(State):
    """A State of a GPU's step whose numbers are read when somebody looks at them, which waits for that step.

    read(): loss, gradient norm and extras. Numbers that aren't finite are an InputError.
    """

    LATE = ("loss", "gradient_norm", "extras")

    def __init__(self, read, **known):
        vars(self).update(known, read=read)

    def __getattr__(self, name):  # which Python asks for what isn't there
        if name not in self.LATE:
            raise AttributeError(name)
        vars(self).update(zip(self.LATE, self.read()))
        del vars(self)["read"]  # and what it holds on the device
        return vars(self)[name]


class Run:
    """A training at some point of its way: the task, its optimiser, the average of its weights, the steps done.

    ranks: base.ranks.Ranks that share it out, by default those that MPI started. What is an exchange between them, all
    must call: `advance`, `state`, `load_state`, `resume`, `averaged`, `use_average`.
    """

    def __init__(self, task, settings, seed=0, threads=None, ranks=None):
        self.task, self.settings, self.seed, self.ranks = task, settings, seed, ranks or here()
        on_cpu = backend.device_name() == "cpu"
        shards = shards_of(settings, self.ranks)
        threads = (threads or min(backend.thread_count(), shards)) if on_cpu else 1
        require_shards(self.ranks, shards)
        self.parameters = task.parameters
        self.spread = Spread(self.parameters, self.ranks)
        self.workers = GradientWorkers(task.loss, self.parameters, shards, threads, self.spread)

        def in_threads(function, items):
            return parallel_map(function, items, threads)

        self.optimizer = MuonAdamW(
            self.spread.own,
            settings.learning_rate,
            settings.matrix_learning_rate,
            weight_decay=settings.weight_decay,
            map=in_threads,
        )
        self.average = EMA(self.spread.own, settings.ema_decay, map=in_threads)
        everywhere = self.spread.everywhere if self.ranks.size > 1 else dict
        self.update = make_update(self.optimizer, self.average, everywhere)
        self.unread = None  # the State of the last step, if that may still be under way on a GPU
        self.step = 0
        self.seconds = 0.0  # of training, over all sessions
        self.minutes = None  # for which it was planned, if not by steps
        self.metrics = {}  # the latest ones from the callbacks

    @contextlib.contextmanager
    def with_workers(self):
        """Inside this block shards are worked on by processes, where they can be forked, instead of threads.

        BLAS is limited to one thread meanwhile: the cores are taken by shards.
        """
        with backend.blas_threads(1), self.workers:
            yield

    def advance(self, batch, started=None):
        """Take one step on a batch, a dict of arrays, and return its State.

        Weights change only after all gradients are known. InputError if the loss or a gradient isn't finite, and then
        weights are as they were. On a single GPU nobody waits for that: the State is an UnreadState, the numbers are
        looked at when the next step is under way, and by then weights aren't finite either.

        started: time.perf_counter() from which the step's seconds are counted; by default now.
        """
        settings, started = self.settings, started or time.perf_counter()
        step, fraction = self.step + 1, self.fraction(self.step, settings.steps)
        loss, gradients, extras = self.workers(batch)
        at_once = isinstance(loss, float)  # on a CPU, and where ranks have told each other
        if at_once:
            self._finite(step, loss)
        norm = self.update(gradients, fraction, settings.clip)
        self.spread.share_weights()
        read_array = backend.to_numpy if at_once else backend.reader()

        def read():
            numbers = self._finite(step, read_array(loss), read_array(norm))
            return *numbers, self.task.summary(_joined(extras, read_array))

        known = {"step": step, "total": settings.steps, "fraction": fraction}
        if at_once:
            known |= zip(UnreadState.LATE, read())
        self.settle()
        self.step = step
        known["seconds"] = time.perf_counter() - started
        self.seconds += known["seconds"]
        if at_once:
            return State(**known)
        self.unread = UnreadState(read, **known)
        return self.unread

    def settle(self):
        """Wait for the last step, where it may still be under way on a GPU. InputError if its numbers aren't finite."""
        unread, self.unread = self.unread, None
        if unread is not None:
            _ = unread.loss  # reads all of them

    def _finite(self, step, *numbers):
        """The numbers of a step as floats; InputError unless all are finite."""
        numbers = [float(number) for number in numbers]
        if not all(map(math.isfinite, numbers)):
            names = ("learning_rate", "matrix_learning_rate")
            rates = ", ".join(f"{name}={getattr(self.settings, name)}" for name in names)
            raise InputError(
                f"the loss or a gradient is not a number at step {step}; lower the learning rates ({rates})"
            )
        return numbers

    def fraction(self, step, steps):
        """The share of the highest learning rates at a step of so many."""
        return warmup_cosine(step, self.settings.warmup, steps, self.settings.final_fraction)

    def use_average(self):
        """Give the model the averaged weights for good: after the last step."""
        average = self.spread.everywhere(self.average.average)
        copy_state(average, {name: parameter.data for name, parameter in self.parameters.items()})

    @contextlib.contextmanager
    def averaged(self):
        """Inside this block the model has the averaged weights, afterwards its own again."""
        average = {name: backend.to_device(a) for name, a in self.spread.everywhere(self.average.average).items()}
        weights = {name: parameter.data for name, parameter in self.parameters.items()}
        try:
            for name, parameter in self.parameters.items():
                parameter.data = average[name]
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data = weights[name]

    def state(self):
        """Everything that a step changes, in groups: live arrays and numbers. InputError if they aren't finite.

        The first of several ranks gets all of it, each of the others what it has itself.
        """
        own = self._own_state()
        return own | {group: self.ranks.collect(own[group]) for group in ("average", "optimizer")}

    def _own_state(self):
        self.settle()
        return {
            "weights": {name: parameter.data for name, parameter in self.parameters.items()},
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "buffers": {name: buffer.data for name, buffer in self.task.buffers.items()},
            "run": {"step": self.step, "seconds": self.seconds},
        }

    def load_state(self, groups):
        """Go to the point at which `groups`, a whole state or this rank's, was taken."""
        own = self._own_state()
        groups = {group: self.spread.part(groups.get(group, {}), state) for group, state in own.items()}
        for group, state in own.items():
            copy_state(groups[group], state)
        self.average.load_state_dict(groups["average"])
        self.optimizer.load_state_dict(groups["optimizer"])
        self.step, self.seconds = int(groups["run"]["step"]), float(groups["run"]["seconds"])

    def about(self):
        """What a checkpoint says besides numbers."""
        own = {name: getattr(self, name) for name in ("settings", "seed", "minutes", "metrics")}
        return config.plain({"config": self.task.config, **own})

    def resume(self, path, minutes=None, prefix=""):
        """Go on from a checkpoint; returns a sentence about what that changes, or "".

        minutes, prefix: see `fit`. InputError, before anything has changed, where something differs that may not: see
        checkpoint.require_goes_on.
        """
        groups, saved = self.ranks.first_does(lambda: checkpoint.load_checkpoint(path))
        planned, done = saved["settings"]["steps"], groups.get("run", {}).get("step", 0)
        here = self.about()
        here["minutes"], here["settings"]["steps"] = minutes, self.settings.steps if minutes is None else planned
        checkpoint.require_goes_on(path, done, saved, here, prefix)
        self.load_state(groups)
        steps = here["settings"]["steps"]
        self.settings = dataclasses.replace(self.settings, steps=steps)
        self.metrics, self.minutes = saved["metrics"], saved.get("minutes") if steps == planned else None
        if steps == planned:
            return ""
        before, after = (self.fraction(done, count) for count in (planned, steps))
        rates = f"its learning rates go from {before:.2f} to {after:.2f} of the highest"
        return f"it ends after {steps} steps instead of {planned}, so {rates}"


def train(run):
    """Train to the last step, yielding the State after each. The next batch is made meanwhile, in a thread.

    While it runs, also between two steps, BLAS is limited to one thread: see `Run.with_workers`.
    """

    def make(step):
        batch = run.task.batch(seeds.generator(run.seed, seeds.BATCHES, step))
        return batch | run.task.stage(step / run.settings.steps)

    with run.with_workers(), ThreadPoolExecutor(1) as workshop:
        upcoming = workshop.submit(make, run.step)
        while run.step < run.settings.steps:
            started = time.perf_counter()
            batch = upcoming.result()
            upcoming = workshop.submit(make, run.step + 1)
            yield run.advance(batch, started)
        run.settle()


def steps_in(run, minutes, trial=5):
    """How many steps fit into `minutes`, from timing a few; the run is left as it was."""
    before = checkpoint.copied(run.state())
    seconds = [state.seconds for state in itertools.islice(train(run), trial + 1)]
    run.load_state(before)
    steps = 60 * minutes / statistics.median(seconds[1:] or seconds)  # the first one warms up
    return max(1, int(min(steps, MOST_STEPS)))


def fit(
    task,
    settings,
    path=None,
    *,
    seed=0,
    minutes=None,
    save_every=200,
    callbacks=(),
    log_every=10,
    title="training",
    prefix="",
    progress=True,
):
    """Train a task, watched and saved; returns the finished Run.

    path: the checkpoint (None: save nothing); the log is beside it, with the suffix .jsonl. If it exists, training goes
    on from there.
    minutes: train for about this long instead of settings.steps. A number of steps is made of it once, before the
    first step, so that a resumed run still follows the same schedule; resumed with other minutes, it is refused.
    callbacks: (every, function) pairs; function(run, state) is called every so many steps and at the end, and
    may return a dict of metrics for the log. `with run.averaged():` in it uses the averaged weights.
    title, prefix: how the progress bar calls it, and how messages begin the names of its settings.
    Raises Interrupted after Ctrl-C, SIGTERM or SIGHUP (the second one stops at once and saves nothing more).
    """
    path, run = path and Path(path), Run(task, settings, seed)
    ranks, progress = run.ranks, progress and run.ranks.first
    if changed := _begin(run, path, minutes, prefix):
        note(f"{title} goes on from step {run.step}: {changed}", progress)
    about, log = run.about(), path and path.with_suffix(".jsonl") if ranks.first else None
    header = {name: about[name] for name in ("config", "settings", "seed")}
    journal = Journal(log, run.step, header, log_every, progress)
    with (
        contextlib.closing(Progress(title, run.step, run.settings.steps, progress)) as bar,
        contextlib.closing(checkpoint.Writer(path if ranks.first else None)) as writer,
        listening() as asked_to_stop,
        contextlib.closing(train(run)) as states,
    ):
        late = []  # a step whose numbers are on a GPU: shown when the next one is under way
        for state in states:
            _show(late, bar, journal)
            last = state.step == state.total
            if last:
                run.settle()
                task.finish(run)
            metrics = _metrics(callbacks, run, state)
            stop = next(filter(None, ranks.meet(asked_to_stop())), None)
            save = path and (last or stop or state.step % save_every == 0)
            late.append((state, run.seconds, metrics))
            if stop or save or run.unread is None:
                _show(late, bar, journal)
            if save:
                writer.save(run.state(), run.about())
            if stop:
                writer.wait()
                ranks.meet()  # before it is saved nobody goes
                kept = f"saved in {path}; run the same command again to go on" if path else "nothing was saved"
                raise Interrupted(f"stopped after step {state.step} of {state.total}: {kept}", stop)
    return run


def _begin(run, path, minutes, prefix):
    """Go on from the checkpoint, if there is one, or plan the steps; returns what Run.resume does, or "".

    InputError unless all ranks train the same.
    """
    changed = ""
    if run.ranks.first_does(lambda: path is not None and path.exists()):
        changed = run.resume(path, minutes, prefix)
    elif minutes is not None:
        _plan(run, minutes)
    run.ranks.require_alike(run.about(), "train")
    return changed


def _plan(run, minutes):
    """Give a run as many steps as fit into `minutes`."""
    settings = run.settings
    run.settings = dataclasses.replace(settings, steps=MOST_STEPS)
    steps = run.ranks.meet(steps_in(run, minutes))[0]  # each has timed its own
    run.minutes, run.settings = minutes, dataclasses.replace(settings, steps=steps)


def _show(late, bar, journal):
    """Tell the bar and the journal of what waits in the list `late`: (State, seconds so far, metrics)."""
    while late:
        state, elapsed, metrics = late.pop()
        bar.add(state)
        journal.add(state, elapsed, metrics)


def _metrics(callbacks, run, state):
    """Call those of the callbacks whose step it is, at the end all: their metrics, which the run keeps, too."""
    metrics = {}
    for every, function in callbacks:
        if state.step == state.total or state.step % every == 0:
            run.settle()
            metrics |= measurable(function(run, state) or {})
    run.metrics.update(metrics)
    return metrics


def _joined(extras, read=backend.to_numpy):
    """The extras of all shards as one dict of name -> flat NumPy array; `read` makes arrays NumPy's."""
    return {name: np.concatenate([read(part[name]).reshape(-1) for part in extras]) for name in extras[0]}
