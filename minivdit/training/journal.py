"""What a training tells the world: a progress bar for people, a JSONL file for curves."""

import json
import math
from pathlib import Path

from ..base.console import note, progress_bar
from ..base.errors import InputError, shorten
from ..base.files import write_file


class Journal:
    """A JSONL file: a line about the run, then one every few steps with means over the steps since the last.

    path: the file (None: write nothing). step: from which the training goes on; lines of later steps, left by a run
    that was killed after its last checkpoint, are dropped, and so are damaged ones. header: the first line of a new
    file. progress: whether to say so.
    """

    def __init__(self, path, step, header, every=10, progress=True):
        self.path, self.every, self.waiting = path and Path(path), every, []
        if self.path is None:
            return
        found = list(_entries(self.path)) if step else []
        kept = [entry for entry in found if isinstance(entry, dict) and 0 < entry["step"] <= step]
        if (step >= every and not kept) or any(isinstance(entry, str) for entry in found[:-1]):
            note(f"lines of {self.path} were lost; curves lack those steps, the training doesn't", progress)
        lines = [json.dumps(line, allow_nan=False) + "\n" for line in [{"step": 0, **header}, *kept]]
        write_file(self.path, "".join(lines))

    def add(self, state, elapsed, metrics=None):
        """Take in a step's State; write a line when it is time, or when there are metrics."""
        self.waiting.append(state)
        if self.path is None or not (metrics or state.step % self.every == 0 or state.step == state.total):
            return
        states, self.waiting = self.waiting, []
        line = {
            "step": state.step,
            "minutes": round(elapsed / 60, 4),
            "loss": _mean(s.loss for s in states),
            "gradient_norm": _mean(s.gradient_norm for s in states),
            "fraction": state.fraction,
            "seconds": _mean(s.seconds for s in states),
            **{name: _averaged([s.extras[name] for s in states]) for name in state.extras},
        }
        if metrics:
            line["metrics"] = metrics
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line, allow_nan=False) + "\n")
        except OSError as error:
            raise InputError(f"could not write {self.path}: {error.strerror}; free some space and resume") from error


def read_journal(path):
    """The lines of a journal as dicts; [] if there is no file. A last line that was cut off is left out.

    Numbers that aren't finite are None. Raises InputError where another line isn't what a Journal writes.
    """
    entries = list(_entries(path))
    for number, entry in enumerate(entries[:-1], 1):
        if isinstance(entry, str):
            raise InputError(f"line {number} of {path} is no line of a training log ({entry}); remove that line")
    return [entry for entry in entries if isinstance(entry, dict)]


def lines_with_loss(path):
    """The lines of a journal that have a loss and the minutes so far; [] where there are none."""
    return [entry for entry in read_journal(path) if None not in (entry.get("loss"), entry.get("minutes"))]


def read_losses(path):
    """The journal lines that hold a loss. Raises InputError where there are none."""
    entries = lines_with_loss(path)
    if not entries:
        raise InputError(f"there are no losses in {path}; give the .jsonl file that lies beside a run's checkpoint")
    return entries


def _entries(path):
    """For each line of a journal, if there is one, its dict, or a str that says what is wrong with it."""
    path = Path(path)
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            entry = json.loads(line, parse_constant=lambda name: None)
            _check(entry)
            yield entry
        except (ValueError, RecursionError) as error:  # bytes that aren't UTF-8 are a ValueError, too
            yield shorten(error)


def _check(entry):
    """Raise ValueError unless this is a line of a journal: the first, with the step 0, or one with numbers."""
    if not (isinstance(entry, dict) and type(entry.get("step")) is int and entry["step"] >= 0):
        raise ValueError("it has no step")
    for name, value in entry.items() if entry["step"] else ():
        values = {"levels": list, "metrics": dict}.get(name)
        if values and not isinstance(value, values):
            raise ValueError(f"{name:.40} is {value!r:.40}")
        values = value.values() if values is dict else value if values is list else [value]
        if not all(value is None or (type(value) in (int, float) and abs(value) < 1e300) for value in values):
            raise ValueError(f"{name:.40} is {value!r:.40}")


def measurable(values):
    """A dict of numbers with None in place of those that aren't finite: JSON has no other word for them."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}


class Smooth:
    """A running mean that forgets: the mean of all values at first, then mostly of the last `memory`."""

    def __init__(self, memory=50):
        self.memory, self.count, self.value = memory, 0, None

    def add(self, value):
        if value is not None:
            self.count += 1
            self.value = (self.value or 0.0) + (value - (self.value or 0.0)) / min(self.count, self.memory)


class Progress:
    """A bar with the smoothed loss, the extras that are tuples, steps a second and the time left."""

    def __init__(self, title, step, total, show=True):
        self.bar = progress_bar(title, total, done=step, show=show, smoothing=0.05)
        self.loss, self.extras = Smooth(), {}

    def add(self, state):
        self.loss.add(state.loss)
        text = f"loss {self.loss.value:.4f}"
        for name, values in state.extras.items():
            if isinstance(values, tuple):
                kept = self.extras.setdefault(name, [Smooth() for _ in values])
                for smooth, value in zip(kept, values):
                    smooth.add(value)
                text += f", by {name} {' '.join('-' if s.value is None else f'{s.value:.2f}' for s in kept)}"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update()

    def close(self):
        self.bar.close()


def _averaged(values):
    """The mean over some steps of an extra, a number or a tuple of numbers and None; None for what isn't finite."""
    if isinstance(values[0], tuple):
        return [_mean(column) for column in zip(*values)]
    return measurable({"mean": _mean(values)})["mean"]


def _mean(values):
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None
