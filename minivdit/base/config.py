"""Configurations: a frozen dataclass to what JSON holds and back, and in what two of them differ."""

import dataclasses
import json
import typing

import numpy as np

from .errors import InputError, shorten

LARGEST = 1e12  # of the numbers in a configuration: more than any makes sense with


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


def collect(kind, *sources):
    """The dataclass `kind` with the fields of these names that other dataclasses have; a later source wins."""
    own = {field.name for field in dataclasses.fields(kind)}
    found = {field.name: getattr(source, field.name) for source in sources for field in dataclasses.fields(source)}
    return kind(**{name: value for name, value in found.items() if name in own})


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
