"""What a training tells the world: a progress bar for people, a JSONL file for curves."""

import json
import sys
from pathlib import Path

from tqdm import tqdm

from ..errors import InputError
from ..files import atomic_write


class Journal:
    """A JSONL file: a line about the run, then one every few steps with means over the steps since the last.

    path: the file (None: write nothing). step: where training starts; lines of later steps, left by a run
    that was killed after its last checkpoint, are dropped. header: the first line of a new file.
    """

    def __init__(self, path, step, header, every=10):
        self.path, self.every, self.waiting = path and Path(path), every, []
        if self.path is None:
            return
        kept = [line for line in read_journal(self.path) if 0 < line["step"] <= step] if step else []
        with atomic_write(self.path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in [{"step": 0, **header}, *kept]))

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
            "levels": [_mean(bin) for bin in zip(*(s.levels for s in states))],
            "gradient_norm": _mean(s.gradient_norm for s in states),
            "fraction": state.fraction,
            "seconds": _mean(s.seconds for s in states),
            **{name: _mean(s.means.get(name) for s in states) for name in state.means},
        }
        if metrics:
            line["metrics"] = metrics
        try:
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise InputError(f"could not write {self.path}: {error.strerror}; free some space and resume") from error


def read_journal(path):
    """The lines of a journal as dicts; [] if there is no file. A last line that was cut off is left out.

    Raises InputError where another line isn't what a Journal writes.
    """
    path = Path(path)
    lines = path.read_bytes().splitlines() if path.is_file() else []
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if not (isinstance(entry, dict) and isinstance(entry.get("step"), int)):
                raise ValueError("it has no step")
            entries.append(entry)
        except (ValueError, RecursionError) as error:  # bytes that aren't UTF-8 are a ValueError, too
            if number < len(lines):
                raise InputError(f"line {number} of {path} is no line of a training log ({error})") from error
    return entries


class Smooth:
    """A running mean that forgets: the mean of all values at first, then mostly of the last `memory`."""

    def __init__(self, memory=50):
        self.memory, self.count, self.value = memory, 0, None

    def add(self, value):
        if value is not None:
            self.count += 1
            self.value = (self.value or 0.0) + (value - (self.value or 0.0)) / min(self.count, self.memory)


class Progress:
    """A bar with the smoothed loss, the loss by noise level from clean to pure noise, steps a second, time left."""

    def __init__(self, title, step, total, show=True):
        terminal = sys.stderr.isatty()
        self.bar = tqdm(
            desc=title,
            initial=step,
            total=total,
            unit="step",
            disable=not show,
            mininterval=0.2 if terminal else 30,
            dynamic_ncols=terminal,
            smoothing=0.05,
        )
        self.loss, self.levels = Smooth(), []

    def add(self, state):
        self.loss.add(state.loss)
        self.levels = self.levels or [Smooth() for _ in state.levels]
        for smooth, value in zip(self.levels, state.levels):
            smooth.add(value)
        text = f"loss {self.loss.value:.4f}"
        if self.levels:
            shown = ("-" if s.value is None else f"{s.value:.2f}" for s in self.levels)
            text += f", by noise {' '.join(shown)}"
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update()

    def close(self):
        self.bar.close()


def _mean(values):
    values = [value for value in values if value is not None]
    return sum(values) / len(values) if values else None
