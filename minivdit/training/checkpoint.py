"""A checkpoint: one safetensors file from which training goes on as if it had never stopped.

It holds the weights, their average, the optimiser's moments, the number of steps done, the seed, the
configuration, the settings and the latest metrics. It holds no state of a random generator, because there
is none to keep: everything random at step k is drawn from `seeds.generator(seed, purpose, k)`, so a run's
position *is* its step number. Nothing can be restored in the wrong order, no data order be replayed.

The file is replaced atomically: whoever kills the process finds the checkpoint before or the one after.
"""

import dataclasses
import json
import math
import typing
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..backend import to_numpy
from ..errors import InputError
from ..files import load_tensors, save_tensors
from ..values import require_floats

FORMAT = "minivdit training 1"
ABOUT = ("config", "settings", "seed", "metrics")  # what a checkpoint says besides numbers


def save_checkpoint(path, groups, metadata):
    """Write the checkpoint. groups: dict such as {'weights': state, ...}, each state a flat dict of arrays and numbers.

    metadata: a dict with at least the entries of ABOUT; `config` and `settings` may be dataclasses.
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
    """Read a checkpoint: (groups, metadata) as they were saved, with config and settings as plain dicts."""
    tensors, metadata = load_tensors(path)
    whole = isinstance(metadata, dict) and {*ABOUT, "numbers"} <= metadata.keys() and metadata.get("format") == FORMAT
    whole = whole and all(isinstance(metadata[name], dict) for name in ("numbers", "settings", "metrics"))
    if not (whole and all(isinstance(value, (int, float)) for value in metadata["numbers"].values())):
        raise InputError(
            f"{path} is not a training checkpoint; give the file that 'minivdit train' wrote, or another name"
        )
    require_floats(tensors, path)
    groups = {}
    for name, value in {**tensors, **metadata.pop("numbers")}.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = value
    return groups, metadata


def differences(saved, here):
    """One phrase for each field in which two configurations (dicts or dataclasses) differ: 'width is 64, here 128'."""
    saved, here = _flat(plain(saved)), _flat(plain(here))
    nothing = "absent"
    return [
        f"{name} is {saved.get(name, nothing)}, here {here.get(name, nothing)}"
        for name in {**saved, **here}
        if saved.get(name, nothing) != here.get(name, nothing)
    ]


def require_equal(saved, here, path, cure):
    """Raise an InputError that names the fields in which the configuration in the file at `path` differs."""
    found = differences(saved, here)
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
    if type(value) in kinds and (type(value) is not float or math.isfinite(value)):
        return value
    raise TypeError(f"{name} can't be {value!r:.40}")


def _flat(value, prefix=""):
    if not isinstance(value, dict):
        return {prefix[:-1]: value}
    return {name: leaf for key, child in value.items() for name, leaf in _flat(child, f"{prefix}{key}.").items()}
