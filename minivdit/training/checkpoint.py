"""A checkpoint: one safetensors file from which training goes on as if it had never stopped.

It holds the weights, their average, the optimiser's moments, the number of steps done, the seed, the
configuration, the settings and the latest metrics. It holds no state of a random generator, because there
is none to keep: everything random at step k is drawn from `seeds.generator(seed, purpose, k)`, so a run's
position *is* its step number. Nothing can be restored in the wrong order, no data order be replayed.

The file is replaced atomically: whoever kills the process finds the checkpoint before or the one after.
"""

import dataclasses
import json
import typing
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..backend import to_numpy
from ..errors import InputError, shorten
from ..files import load_tensors, save_tensors
from ..values import require_floats

FORMAT = "minivdit training 1"
LARGEST = 1e12  # of the numbers in a configuration: more than any makes sense with


def save_checkpoint(path, groups, metadata):
    """Write the checkpoint. groups: dict such as {'weights': state, ...}, each state a flat dict of arrays and numbers.

    metadata: a dict of what it says besides: config, settings, seed, metrics. The first two may be dataclasses.
    """
    tensors, numbers = {}, {}
    for group, state in groups.items():
        for name, value in state.items():
            if hasattr(value, "shape"):
                tensors[f"{group}.{name}"] = value
            else:
                numbers[f"{group}.{name}"] = value
    save_tensors(path, tensors, {**plain(metadata), "format": FORMAT, "numbers": numbers})


class Writer:
    """Writes checkpoints to one path in a thread of its own: training goes on while the disk is busy."""

    def __init__(self, path):
        self.path = path
        self._thread, self._writing = ThreadPoolExecutor(1, thread_name_prefix="checkpoint"), None

    def save(self, groups, metadata):
        """Copy what is to be saved, and write it meanwhile. An earlier write is finished first; see `wait`."""
        self.wait()
        self._writing = self._thread.submit(save_checkpoint, self.path, copied(groups), plain(metadata))

    def wait(self):
        """Return when everything is on the disk; raise what went wrong there."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self):
        try:
            self.wait()
        finally:
            self._thread.shutdown()


def copied(groups):
    """Groups as `save_checkpoint` takes them, of which nothing changes any more: numbers and NumPy arrays."""
    return {
        group: {name: np.array(to_numpy(value)) if hasattr(value, "shape") else value for name, value in state.items()}
        for group, state in groups.items()
    }


def load_checkpoint(path):
    """Read a checkpoint: (groups, metadata) as they were saved, with config and settings as plain dicts.

    InputError for a file that can't be one: another format, numbers that make no sense, weights that aren't finite.
    """
    tensors, metadata = load_tensors(path)
    if problem := _problem(tensors, metadata):
        cure = "give the file that 'minivdit train' wrote, or another name"
        raise InputError(f"{path} is not a training checkpoint: {problem}; {cure}")
    require_floats(tensors, path)
    groups = {}
    for name, value in {**tensors, **metadata.pop("numbers")}.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = value
    return groups, metadata


def _problem(tensors, metadata):
    """What is wrong with a checkpoint, in words; "" if nothing is."""
    if not (isinstance(metadata, dict) and metadata.get("format") == FORMAT):
        return f"it has not the format {FORMAT!r}"
    for name in ("config", "settings", "metrics", "numbers"):
        if not isinstance(metadata.get(name), dict):
            return f"it has no {name}"
    if type(metadata.get("seed")) is not int:
        return "it has no seed"
    steps = metadata["settings"].get("steps")
    if type(steps) is not int or steps < 1:
        return f"its settings plan {shorten(steps)} steps"
    numbers = {"run.step": 0, **metadata["numbers"]}
    for name, value in numbers.items():
        if type(value) not in (int, float) or not 0 <= value < 1e300:
            return f"{name:.60} is {shorten(value)}, and no number from 0 upwards"
    for name in ("run.step", "run.seconds"):
        if name in tensors:
            return f"{name} is an array of shape {tensors[name].shape}, and no number"
    if not (type(numbers["run.step"]) is int and numbers["run.step"] <= steps):
        return f"run.step is {numbers['run.step']}, and no number of steps up to {steps}"
    for name, value in {"minutes": metadata.get("minutes"), **metadata["metrics"]}.items():
        if value is not None and type(value) not in (int, float):
            return f"{name:.60} is {shorten(value)}, and no number"
    return ""


def differences(saved, here):
    """One phrase for each field in which two configurations (dicts or dataclasses) differ: 'width is 64, here 128'."""
    saved, here = _flat(plain(saved)), _flat(plain(here))
    nothing = "absent"
    return [
        f"{shorten(name)} is {shorten(saved.get(name, nothing))}, here {shorten(here.get(name, nothing))}"
        for name in {**saved, **here}
        if saved.get(name, nothing) != here.get(name, nothing)
    ]


def require_equal(saved, here, path, cure):
    """Raise an InputError that names the fields in which the configuration in the file at `path` differs."""
    try:
        found = differences(saved, here)
    except RecursionError:
        found = ["it is nested too deeply"]
    if found:
        raise InputError(f"{path} was trained with another configuration: {'; '.join(found)}; {cure}")


def plain(value):
    """Dataclasses to dicts, tuples to lists, NumPy numbers to Python's: what JSON gives back."""

    def convert(x):
        if dataclasses.is_dataclass(x):
            return dataclasses.asdict(x)
        if isinstance(x, np.generic):
            return x.item()
        raise TypeError(f"{type(x).__name__} can't be written as JSON")

    return json.loads(json.dumps(value, default=convert))


def from_plain(kind, values):
    """The dataclass `kind` that `plain` made `values` of; lists become tuples, and what is absent is as by default.

    Raises KeyError for fields that it hasn't, TypeError for values of another type than the field's or a missing field.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{kind.__name__} is no object but {values!r:.40}")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _typed(hints[name], value, name) for name, value in values.items()})


def _typed(kind, value, name):
    """A value read from JSON as what the type `kind` says, or a TypeError that begins with the field's name."""
    if dataclasses.is_dataclass(kind):
        return from_plain(kind, value)
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        items = typing.get_args(kind)
        if items[-1] is Ellipsis or len(items) == len(value):
            return tuple(_typed(items[0], item, name) for item in value)
    kinds = (int, float) if kind is float else (kind,)  # not isinstance: true and false are no numbers
    if type(value) in kinds and (not isinstance(value, (int, float)) or abs(value) <= LARGEST):  # NaN fails, too
        return value
    raise TypeError(f"{name} can't be {value!r:.40}")


def _flat(value, prefix=""):
    if not isinstance(value, dict):
        return {prefix[:-1]: value}
    return {name: leaf for key, child in value.items() for name, leaf in _flat(child, f"{prefix}{key}.").items()}
