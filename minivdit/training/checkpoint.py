"""A checkpoint: one safetensors file from which training goes on as if it had never stopped.

It holds the weights, their average, the optimiser's moments, the number of steps done, the seed, the
configuration, the settings and the latest metrics. It holds no state of a random generator, because there
is none to keep: everything random at step k is drawn from `seeds.generator(seed, purpose, k)`, so a run's
position *is* its step number. Nothing can be restored in the wrong order, no data order be replayed.

The file is replaced atomically: whoever kills the process finds the checkpoint before or the one after.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..base.backend import to_numpy
from ..base.config import plain, require_equal
from ..base.errors import InputError, shorten
from ..base.files import load_tensors, require_shape, save_tensors
from ..base.values import require_floats

FORMAT = "minivdit training 1"


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
    """Writes checkpoints to one path in a thread of its own: training goes on while the disk is busy.

    path: None writes nothing.
    """

    def __init__(self, path):
        self.path = path
        self._thread, self._writing = ThreadPoolExecutor(1, thread_name_prefix="checkpoint"), None

    def save(self, groups, metadata):
        """Copy the groups, and write them meanwhile. An earlier write is finished first; see `wait`.

        metadata: a dict that doesn't change any more.
        """
        self.wait()
        if self.path is not None:
            self._writing = self._thread.submit(save_checkpoint, self.path, copied(groups), metadata)

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
    try:
        _check(tensors, metadata)
    except ValueError as error:
        cure = "give the file that 'minivdit train' wrote, or another name"
        raise InputError(f"{path} is not a training checkpoint: {error}; {cure}") from error
    require_floats(tensors, path)
    groups = {}
    for name, value in {**tensors, **metadata.pop("numbers")}.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = value
    return groups, metadata


def require_goes_on(path, done, saved, here, prefix=""):
    """Raise InputError unless a training can go on from a checkpoint in which so many steps are done.

    saved, here: what the checkpoint and the training say of themselves, as Run.about. The config, the seed, the minutes
    (if there are any here) and the settings must be the same, but `steps` may be others before the end is reached.
    prefix: before the names of settings in messages, such as "training.".
    """
    cure = "go on with the same, or start afresh under another name"
    minutes, steps, planned = here["minutes"], here["settings"]["steps"], saved["settings"]["steps"]
    if minutes is not None and saved.get("minutes", minutes) != minutes:
        begun = "a number of steps" if saved["minutes"] is None else f"{saved['minutes']:g} minutes"
        raise InputError(f"{path} was begun for {begun}, and not for {minutes:g} minutes as here; {cure}")
    settings = ({**about["settings"], "steps": None} for about in (saved, here))
    named = ({prefix + name: value for name, value in own.items()} for own in settings)
    both = ({"config": about["config"], "seed": about["seed"], **own} for about, own in zip((saved, here), named))
    require_equal(*both, path, cure)
    if steps != planned and done >= min(steps, planned):
        problem = f"has done {done} of {planned} steps, so it can't end after {steps}"
        if steps > planned:
            problem = f"is finished after {planned} steps: its learning rates have come down, so it can't go on"
        short = f" (--steps {planned})" * (prefix == "training.")
        raise InputError(
            f"{path} {problem}; set {prefix}steps to {planned} again{short}, or begin another training under another "
            "name (with its weights, if it is to learn more: --start)"
        )


NUMBER = (int, float)
SHAPE = {
    "format": str,
    "config": dict,
    "settings": {"steps": int},
    "seed": int,
    "metrics": {...: (*NUMBER, type(None))},
    "numbers": dict,
}


def _check(tensors, metadata):
    """Raise ValueError unless these are what `save_checkpoint` writes."""
    require_shape(metadata, SHAPE)
    require_shape(metadata.get("minutes"), (*NUMBER, type(None)), "minutes")
    if metadata["format"] != FORMAT:
        raise ValueError(f"it has not the format {FORMAT!r}")
    numbers, steps = {"run.step": 0, **metadata["numbers"]}, metadata["settings"]["steps"]
    numbers |= {name: "an array" for name in ("run.step", "run.seconds") if name in tensors}
    for name, value in numbers.items():
        if type(value) not in NUMBER or not 0 <= value < 1e300:
            raise ValueError(f"{name:.60} is {shorten(value)}, and no number from 0 upwards")
    if steps < 1:
        raise ValueError(f"its settings plan {shorten(steps)} steps")
    if type(numbers["run.step"]) is not int or numbers["run.step"] > steps:
        raise ValueError(f"run.step is {numbers['run.step']}, and no number of steps up to {steps}")
