"""The training loop: a generator that yields its state after every step, and a wrapper that watches it.

    for state in train(Run(task, settings)):
        print(state.step, state.loss)

is a whole training. `fit` is the same with a progress bar, a log, checkpoints and previews, and can be stopped.
The loop knows nothing about digits or videos: a Task says what a batch is and what its loss is.
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

from ..base import backend, config, seeds
from ..base.console import note
from ..base.errors import InputError, shorten
from ..base.sharing import can_fork, parallel_map
from ..base.stopping import Interrupted, listening
from ..nn.optim import EMA, MuonAdamW, clip_global_norm, copy_state, warmup_cosine
from ..nn.optim_on_gpu import UpdateOnGPU
from . import checkpoint
from .journal import Journal, Progress, measurable
from .parallel import GradientWorkers, parallel_gradients

MOST_STEPS = 2**31


class Task:
    """What is trained: the base class of all tasks.

    parameters: dict of name -> Parameter. config: what the weights' shapes and meaning depend on, a dict of plain
    values and dataclasses; a checkpoint of another config is refused. buffers: dict of name -> Tensor that isn't
    trained but belongs into the checkpoint.
    """

    parameters = {}
    buffers = {}
    config = {}

    def batch(self, generator):
        """A dict of arrays, all as long along axis 0 as the batch is.

        Everything random is drawn here, noise too: then the loss doesn't depend on the number of shards.
        It is called in a thread of its own, a step ahead: it makes NumPy arrays, which are brought to the device
        afterwards, and must not read the weights being trained.
        """
        raise NotImplementedError

    def loss(self, batch):
        """(loss, extras) of a batch or a part of one: a scalar Tensor, the mean over its items, and what else to log.

        extras: dict of name -> array with one value an item (or a frame); see `summary`.
        """
        raise NotImplementedError

    def summary(self, extras):
        """What the log says of the extras of a whole batch: dict of name -> number, or tuple of numbers and None.

        extras: dict of name -> flat NumPy array. By default the mean of each.
        """
        return {name: float(values.mean()) for name, values in extras.items()}

    def finish(self, run):
        """Called by `fit` after the last step, before that is saved."""


# What TrainingSettings may be at most: beyond any use, but within what numbers and memory hold.
MOST = {
    "steps": MOST_STEPS,
    "batch": 2**20,
    "shards": 2**10,
    "warmup": MOST_STEPS,
    "learning_rate": 1000,
    "matrix_learning_rate": 1000,
    "weight_decay": 1000,
    "clip": 1e30,
}


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast. Rates are for the whole batch; `shards` are its parts, worked on by threads (on a GPU the
    batch stays whole)."""

    steps: int = 1000
    batch: int = 32
    shards: int = 4
    learning_rate: float = 1e-3  # of AdamW
    matrix_learning_rate: float = 0.006  # of Muon, for the matrices of blocks; 0: AdamW for them too
    weight_decay: float = 0.0
    warmup: int = 50  # steps over which the rates rise
    final_fraction: float = 0.0  # of the rates, at the end of the cosine
    clip: float = 1.0  # largest norm of all gradients together
    ema_decay: float = 0.999

    def __post_init__(self):
        for name in ("batch", "shards", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("steps", "matrix_learning_rate", "weight_decay", "warmup"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} must not be negative; it is {getattr(self, name)}")
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise InputError(f"{name} must be at most {most:,}, not {shorten(getattr(self, name))}")
        for name in ("final_fraction", "ema_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be between 0 and 1, not {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class State:
    """What one step showed. loss: before the update. seconds: how long the step took. extras: see `Task.summary`."""

    step: int  # done so far, of
    total: int
    loss: float
    gradient_norm: float
    fraction: float
    seconds: float
    extras: dict


class Run:
    """A training at some point of its way: the task, its optimiser, the average of its weights, the steps done."""

    def __init__(self, task, settings, seed=0, threads=None):
        self.task, self.settings, self.seed = task, settings, seed
        on_cpu = backend.device_name() == "cpu"
        self.shards = settings.shards if on_cpu else 1  # a GPU shares out the work by itself
        self.threads = (threads or min(backend.thread_count(), self.shards)) if on_cpu else 1
        self.parameters = task.parameters

        def in_threads(function, items):
            return parallel_map(function, items, self.threads)

        self.optimizer = MuonAdamW(
            self.parameters,
            settings.learning_rate,
            settings.matrix_learning_rate,
            weight_decay=settings.weight_decay,
            map=in_threads,
        )
        self.average = EMA(self.parameters, settings.ema_decay, map=in_threads)
        by_kernel = not on_cpu and backend.with_kernels()
        self.update = UpdateOnGPU(self.optimizer, self.average) if by_kernel else None
        self.workers = None  # see `hired`
        self.step = 0
        self.seconds = 0.0  # of training, over all sessions
        self.minutes = None  # for which it was planned, if not by steps
        self.metrics = {}  # the latest ones from the callbacks

    def gradients(self, batch):
        """(loss, gradients, extras) of a batch: see parallel.parallel_gradients."""
        if self.workers is not None:
            return self.workers(batch)
        return parallel_gradients(self.task.loss, self.parameters, batch, self.shards, self.threads)

    @contextlib.contextmanager
    def hired(self):
        """Inside this block shards are worked on by processes, where they can be forked, instead of threads.

        BLAS is limited to one thread meanwhile: the cores are taken by shards.
        """
        several = min(self.threads, self.shards) > 1
        with backend.blas_threads(1):
            if self.workers is not None or not (several and can_fork()):
                yield
                return
            with GradientWorkers(self.task.loss, self.parameters, self.shards, self.threads) as self.workers:
                try:
                    yield
                finally:
                    self.workers = None

    def advance(self, batch, started=None):
        """Take one step on a batch and return its State. Weights change only after all gradients are known.

        InputError if the loss or a gradient isn't finite, and then weights are as they were; but with a GPU's kernels
        they are not: looking first would have the GPU wait.

        started: time.perf_counter() from which the step's seconds are counted; by default now.
        """
        settings, started = self.settings, started or time.perf_counter()
        fraction = self.fraction(self.step, settings.steps)
        loss, gradients, extras = self.gradients(batch)
        if self.update is not None:
            norm = self.update(gradients, fraction, settings.clip)
            loss, norm = float(loss), float(norm)
            self._require_finite(loss, norm)
        else:
            loss, norm = float(loss), clip_global_norm(gradients, settings.clip)
            self._require_finite(loss, norm)
            self.optimizer.step(gradients, fraction)
            self.average.update()
        self.step += 1
        seconds = time.perf_counter() - started
        self.seconds += seconds
        return State(self.step, settings.steps, loss, norm, fraction, seconds, self.task.summary(_joined(extras)))

    def _require_finite(self, loss, norm):
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise InputError(
                f"the loss or a gradient is not a number at step {self.step + 1}; lower the learning rates "
                f"(learning_rate={self.settings.learning_rate}, "
                f"matrix_learning_rate={self.settings.matrix_learning_rate})"
            )

    def state(self):
        """Everything that a step changes, in groups: live arrays and numbers."""
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

    def use_average(self):
        """Give the model the averaged weights for good: after the last step."""
        copy_state(self.average.average, {name: parameter.data for name, parameter in self.parameters.items()})

    def about(self):
        """What a checkpoint says besides numbers."""
        own = {name: getattr(self, name) for name in ("settings", "seed", "minutes", "metrics")}
        return {"config": self.task.config, **own}

    def save(self, path):
        """Write a checkpoint."""
        checkpoint.save_checkpoint(path, self.state(), self.about())

    def resume(self, path, minutes=None, prefix=""):
        """Go on from a checkpoint; returns a sentence about what that changes, or "".

        The config, the seed and the settings must be the same, but `steps` may be others before the end is reached.
        minutes: see `fit`; as many as then. prefix: before the names of settings in messages, such as "training.".
        InputError, before anything has changed, where something differs that may not.
        """
        groups, saved = checkpoint.load_checkpoint(path)
        done, planned = groups.get("run", {}).get("step", 0), saved["settings"]["steps"]
        steps = self.settings.steps if minutes is None else planned
        here = {"config": self.task.config, "seed": self.seed}
        here |= {prefix + name: value for name, value in config.plain(self.settings).items()}
        there = {"config": saved["config"], "seed": saved["seed"]}
        there |= {prefix + name: value for name, value in saved["settings"].items()}
        cure = "go on with the same, or start afresh under another name"
        if minutes is not None and saved.get("minutes", minutes) != minutes:
            begun = "a number of steps" if saved["minutes"] is None else f"{saved['minutes']:g} minutes"
            raise InputError(f"{path} was begun for {begun}, and not for {minutes:g} minutes as here; {cure}")
        config.require_equal({**there, prefix + "steps": None}, {**here, prefix + "steps": None}, path, cure)
        if steps != planned and done >= min(steps, planned):
            problem = f"has done {done} of {planned} steps, so it can't end after {steps}"
            if steps > planned:
                problem = f"is finished after {planned} steps: its learning rates have come down, so it can't go on"
            short = f" (--steps {planned})" * (prefix == "training.")
            raise InputError(
                f"{path} {problem}; set {prefix}steps to {planned} again{short}, or begin another training under "
                "another name (with its weights, if it is to learn more: --start)"
            )
        self.load_state(groups)
        self.settings = dataclasses.replace(self.settings, steps=steps)
        self.metrics, self.minutes = saved["metrics"], saved.get("minutes") if steps == planned else None
        if steps == planned:
            return ""
        before, after = (self.fraction(done, count) for count in (planned, steps))
        rates = f"its learning rates go from {before:.2f} to {after:.2f} of the highest"
        return f"it ends after {steps} steps instead of {planned}, so {rates}"

    def fraction(self, step, steps):
        """The share of the highest learning rates at a step of so many."""
        return warmup_cosine(step, self.settings.warmup, steps, self.settings.final_fraction)


def train(run):
    """Train to the last step, yielding the State after each. The next batch is made meanwhile, in a thread.

    While it runs, also between two steps, BLAS is limited to one thread: see `Run.hired`.
    """

    def make(step):
        return run.task.batch(seeds.generator(run.seed, seeds.BATCHES, step))

    with run.hired(), ThreadPoolExecutor(1) as workshop:
        upcoming = workshop.submit(make, run.step)
        while run.step < run.settings.steps:
            started = time.perf_counter()
            batch = upcoming.result()
            upcoming = workshop.submit(make, run.step + 1)
            yield run.advance(on_device(batch), started)


def steps_in(run, minutes, trial=5):
    """How many steps fit into `minutes`, from timing a few; the run is left as it was."""
    before = checkpoint.copied(run.state())
    times, started = [], time.perf_counter()
    for _ in islice(train(run), trial + 1):
        times.append(time.perf_counter() - started)
        started = time.perf_counter()
    run.load_state(before)
    steps = 60 * minutes / statistics.median(times[1:] or times)  # the first one warms up
    return max(1, int(min(steps, MOST_STEPS)))


def fit(
    task,
    settings,
    path=None,
    *,
    seed=0,
    threads=None,
    minutes=None,
    resume=True,
    save_every=200,
    callbacks=(),
    log_every=10,
    title="training",
    prefix="",
    progress=True,
):
    """Train a task, watched and saved; returns the finished Run.

    path: the checkpoint (None: save nothing); the log is beside it, with the suffix .jsonl. If it exists
    and `resume` is true, training goes on from there.
    minutes: train for about this long instead of settings.steps. It is turned into a number of steps once, at
    the very start, so that a resumed run still follows the same schedule; resumed with other minutes, it is refused.
    callbacks: (every, function) pairs; function(run, state) is called every so many steps and at the end, and
    may return a dict of metrics for the log. `with run.average.applied():` in it uses the averaged weights.
    title, prefix: how the progress bar calls it, and how messages begin the names of its settings.
    Raises Interrupted after Ctrl-C, SIGTERM or SIGHUP (the second one stops at once and saves nothing more).
    """
    path = path and Path(path)
    run = Run(task, settings, seed, threads)
    if path is not None and resume and path.exists():
        if changed := run.resume(path, minutes, prefix):
            note(f"{title} goes on from step {run.step}: {changed}", progress)
    elif minutes is not None:
        run.settings = dataclasses.replace(settings, steps=MOST_STEPS)
        run.minutes, run.settings = minutes, dataclasses.replace(settings, steps=steps_in(run, minutes))
    about = {"config": task.config, "settings": run.settings, "seed": seed}
    journal = Journal(path and path.with_suffix(".jsonl"), run.step, config.plain(about), log_every, progress)
    bar = Progress(title, run.step, run.settings.steps, progress)
    writer = checkpoint.Writer(path)
    with (
        contextlib.closing(bar),
        contextlib.closing(writer),
        listening() as asked_to_stop,
        contextlib.closing(train(run)) as states,
    ):
        for state in states:
            bar.add(state)
            last = state.step == state.total
            if last:
                task.finish(run)
            metrics = {}
            for every, function in callbacks:
                if last or state.step % every == 0:
                    metrics.update(measurable(function(run, state) or {}))
            run.metrics.update(metrics)
            journal.add(state, run.seconds, metrics)
            stop = asked_to_stop()
            if path and (last or stop or state.step % save_every == 0):
                writer.save(run.state(), run.about())
            if stop:
                writer.wait()
                kept = f"saved in {path}; run the same command again to go on" if path else "nothing was saved"
                raise Interrupted(f"stopped after step {state.step} of {state.total}: {kept}", stop)
    return run


def on_device(batch):
    """A batch of NumPy arrays on the chosen device."""
    return {name: backend.to_device(array) for name, array in batch.items()}


def _joined(extras):
    """The extras of all shards as one dict of name -> flat NumPy array."""
    return {name: np.concatenate([backend.to_numpy(part[name]).reshape(-1) for part in extras]) for name in extras[0]}
