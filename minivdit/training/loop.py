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
import math
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from .. import autograd as ag
from ..base import backend, config, seeds
from ..base.console import note
from ..base.errors import InputError
from ..base.sharing import Workers, batch_size, parallel_map, shared_memory, split_batch
from ..base.stopping import Interrupted, listening
from ..nn.optim import EMA, MuonAdamW, copy_state, equal_groups, warmup_cosine
from ..nn.update import make_update
from . import checkpoint
from .journal import Journal, Progress, measurable
from .settings import MOST_STEPS


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
    """A training at some point of its way: the task, its optimiser, the average of its weights, the steps done."""

    def __init__(self, task, settings, seed=0, threads=None):
        self.task, self.settings, self.seed = task, settings, seed
        on_cpu = backend.device_name() == "cpu"
        shards = settings.shards if on_cpu else 1  # a GPU shares out the work by itself
        threads = (threads or min(backend.thread_count(), shards)) if on_cpu else 1
        self.parameters = task.parameters
        self.workers = GradientWorkers(task.loss, self.parameters, shards, threads)

        def in_threads(function, items):
            return parallel_map(function, items, threads)

        self.optimizer = MuonAdamW(
            self.parameters,
            settings.learning_rate,
            settings.matrix_learning_rate,
            weight_decay=settings.weight_decay,
            map=in_threads,
        )
        self.average = EMA(self.parameters, settings.ema_decay, map=in_threads)
        self.update = make_update(self.optimizer, self.average)
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
        weights are as they were. On a GPU nobody waits for that: the State is an UnreadState, the numbers are looked at
        when the next step is under way, and by then weights aren't finite either.

        started: time.perf_counter() from which the step's seconds are counted; by default now.
        """
        settings, started = self.settings, started or time.perf_counter()
        step, fraction = self.step + 1, self.fraction(self.step, settings.steps)
        loss, gradients, extras = self.workers(batch)
        on_cpu = isinstance(loss, float)
        if on_cpu:
            self._finite(step, loss)
        norm = self.update(gradients, fraction, settings.clip)
        read_array = backend.to_numpy if on_cpu else backend.reader()

        def read():
            numbers = self._finite(step, read_array(loss), read_array(norm))
            return *numbers, self.task.summary(_joined(extras, read_array))

        known = {"step": step, "total": settings.steps, "fraction": fraction}
        if on_cpu:
            known |= zip(UnreadState.LATE, read())
        self.settle()
        self.step = step
        known["seconds"] = time.perf_counter() - started
        self.seconds += known["seconds"]
        if on_cpu:
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
        copy_state(self.average.average, {name: parameter.data for name, parameter in self.parameters.items()})

    def state(self):
        """Everything that a step changes, in groups: live arrays and numbers. InputError if they aren't finite."""
        self.settle()
        return {
            "weights": {name: parameter.data for name, parameter in self.parameters.items()},
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "buffers": {name: buffer.data for name, buffer in self.task.buffers.items()},
            "run": {"step": self.step, "seconds": self.seconds},
        }

    def load_state(self, groups):
        """Go to the point at which `groups` was taken."""
        for group, state in self.state().items():
            copy_state(groups.get(group, {}), state)
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
        groups, saved = checkpoint.load_checkpoint(path)
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


class GradientWorkers:
    """Compute the gradients of a batch: called with one, they share out its shards.

    Threads do that; inside a `with` block processes, where they can be forked. These see weights change in place, but
    everything else that the loss depends on must stay as it is.

    loss_function: shard -> (scalar Tensor, the mean over the items of the shard; extras, a dict of anything).
    parameters: dict of name -> Parameter. shards: into how many parts to cut. count: how many work on them.
    """

    def __init__(self, loss_function, parameters, shards=1, count=1):
        self.loss_function, self.parameters, self.shards = loss_function, parameters, shards
        self.workers = Workers(self._work, min(count, shards), "use a smaller batch, such as --set training.batch=8")
        self.handed_over = {}  # shard -> its gradients in shared memory, where another process works on it

    def __enter__(self):
        ag.load_twins()
        if self.workers.will_fork():
            weights = {name: parameter.data for name, parameter in self.parameters.items()}
            for name, shared in shared_memory(weights).items():
                shared[...] = weights[name]
                self.parameters[name].data = shared
            elsewhere = [shard for shard in range(self.shards) if shard % self.workers.count]
            self.handed_over = {shard: shared_memory(weights) for shard in elsewhere}
        self.workers.__enter__()
        return self

    def __exit__(self, *error):
        self.workers.__exit__(*error)
        self.handed_over = {}

    def __call__(self, batch):
        """(mean loss, dict of name -> gradient, list of the shards' extras in order) of a batch, a dict of arrays.

        The loss is a float; on a GPU it is an array (), since reading it would have to wait.
        """
        batch = {name: backend.to_device(array) for name, array in batch.items()}
        parts = split_batch(batch, self.shards)
        weights = [batch_size(part) / batch_size(batch) for part in parts]
        with backend.blas_threads(1):
            results = self.workers(zip(range(self.shards), parts, weights))
        results = [
            (loss, found or self.handed_over[shard], extras) for shard, (loss, found, extras) in enumerate(results)
        ]
        return add_up(results, self.parameters, self.workers.count)

    def _work(self, item):
        shard, part, weight = item
        loss, gradients, extras = shard_gradients(self.loss_function, self.parameters, part, weight)
        if shard not in self.handed_over:
            return loss, gradients, extras
        for name, gradient in gradients.items():
            self.handed_over[shard][name][...] = gradient
        return loss, None, extras


def shard_gradients(loss_function, parameters, shard, weight):
    """(loss, dict of name -> gradient, extras) of one shard, loss and gradients times its weight in the batch."""
    loss, extras = loss_function(shard)
    # Begun with the shard's weight in place of 1, the gradients come out weighted.
    cotangent = backend.array_module(loss.data).full_like(loss.data, weight)
    gradients = dict(zip(parameters, ag.gradients(loss, parameters.values(), cotangent)))
    on_cpu = backend.array_module(loss.data) is np
    return weight * (float(loss.data) if on_cpu else loss.data), gradients, extras


def add_up(results, parameters, threads=1):
    """The sum of what `shard_gradients` gave for all shards, in their order; the first one's arrays become the sum."""
    losses, (totals, *others), extras = zip(*results)

    def add(names):
        for name in names:
            for gradients in others:
                totals[name] += gradients[name]

    if others:
        parallel_map(add, equal_groups(parameters), threads)
    return sum(losses), totals, list(extras)


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
    seconds = [state.seconds for state in islice(train(run), trial + 1)]
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
    may return a dict of metrics for the log. `with run.average.applied():` in it uses the averaged weights.
    title, prefix: how the progress bar calls it, and how messages begin the names of its settings.
    Raises Interrupted after Ctrl-C, SIGTERM or SIGHUP (the second one stops at once and saves nothing more).
    """
    path, run = path and Path(path), Run(task, settings, seed)
    if path is not None and path.exists():
        if changed := run.resume(path, minutes, prefix):
            note(f"{title} goes on from step {run.step}: {changed}", progress)
    elif minutes is not None:
        _plan(run, minutes)
    about, log = run.about(), path and path.with_suffix(".jsonl")
    header = {name: about[name] for name in ("config", "settings", "seed")}
    journal = Journal(log, run.step, header, log_every, progress)
    with (
        contextlib.closing(Progress(title, run.step, run.settings.steps, progress)) as bar,
        contextlib.closing(checkpoint.Writer(path)) as writer,
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
            metrics, stop = _metrics(callbacks, run, state), asked_to_stop()
            save = path and (last or stop or state.step % save_every == 0)
            late.append((state, run.seconds, metrics))
            if stop or save or run.unread is None:
                _show(late, bar, journal)
            if save:
                writer.save(run.state(), run.about())
            if stop:
                writer.wait()
                kept = f"saved in {path}; run the same command again to go on" if path else "nothing was saved"
                raise Interrupted(f"stopped after step {state.step} of {state.total}: {kept}", stop)
    return run


def _plan(run, minutes):
    """Give a run as many steps as fit into `minutes`."""
    settings = run.settings
    run.settings = dataclasses.replace(settings, steps=MOST_STEPS)
    run.minutes, run.settings = minutes, dataclasses.replace(settings, steps=steps_in(run, minutes))


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
