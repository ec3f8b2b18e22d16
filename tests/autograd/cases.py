"""What the table of operations is made of: samples, refusals, and ways to lay an array out in memory."""

from dataclasses import dataclass, field

import numpy as np

from minivdit import autograd as ag


@dataclass
class Sample:
    """arguments(generator) -> tuple; constant: positions that get no gradient on purpose."""

    arguments: object
    options: dict = field(default_factory=dict)
    constant: tuple = ()

    def draw(self, generator, dtype=np.float64):
        return [_cast(x, dtype) for x in self.arguments(generator)]


@dataclass
class Refusal:
    """Arguments and options that must raise ValueError with `message` (a regular expression) in it."""

    arguments: tuple
    options: dict
    message: str


@dataclass
class Case:
    name: str
    samples: list
    refusals: list = field(default_factory=list)

    @property
    def operation(self):
        return getattr(ag, self.name)


def is_floating(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _cast(x, dtype):
    return x.astype(dtype) if is_floating(x) else x


def normal(*shapes, **options):
    """Standard normal arrays of these shapes."""
    return Sample(lambda g: tuple(np.asarray(g.standard_normal(shape)) for shape in shapes), options)


def positive(*shapes, **options):
    return Sample(lambda g: tuple(np.asarray(g.uniform(0.5, 2.0, shape)) for shape in shapes), options)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def _strided(x):
    steps = (Ellipsis, *(slice(None, None, 2) for _ in x.shape))  # the Ellipsis keeps a 0-d result an array
    result = np.full([2 * n for n in x.shape], np.nan, x.dtype)[steps]
    result[...] = x
    return result


def _reversed(x):
    backwards = (Ellipsis, *(slice(None, None, -1) for _ in x.shape))
    return x[backwards].copy()[backwards]


# The same values, laid out differently in memory.
LAYOUTS = {"transposed": lambda x: np.array(x, order="F"), "strided": _strided, "reversed": _reversed}
