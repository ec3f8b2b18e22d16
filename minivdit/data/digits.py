"""A source of digits, at any size: MNIST or the built-in strokes, used in the same way."""

import functools

import numpy as np

from ..base.console import note
from ..base.errors import InputError
from .mnist import data_directory, data_problem, find_mnist, load_mnist
from .strokes import stroke_digits

STROKE_POOL = {"train": (20_000, 1), "test": (4_000, 2)}  # how many are drawn, and the seed they are drawn from


class DigitSource:
    """A pool of digit images from which random ones are drawn by class.

    name: "mnist" or "strokes". images: uint8 (n, 28, 28). labels: uint8 (n,), every class at least once.
    """

    def __init__(self, name, images, labels):
        if len(images) != len(labels):
            raise InputError(f"a digit source has {len(images)} images but {len(labels)} labels; give one for each")
        order = np.argsort(labels, kind="stable")
        self.name = name
        self.images, self.labels = images[order], labels[order]
        self.count = np.bincount(self.labels, minlength=10)
        if len(self.count) > 10 or not self.count.all():
            raise InputError(f"a digit source needs all ten classes 0 to 9, but has counts {self.count.tolist()}")
        self.first = np.cumsum(self.count) - self.count
        self._resized = {28: self.images}

    def draw(self, generator, labels, size=28):
        """A random image of each label (integers 0..9, shape (n,)): float32 (n, size, size) in [0, 1]."""
        labels = np.asarray(labels)
        pick = self.first[labels] + (generator.random(len(labels)) * self.count[labels]).astype(np.int64)
        return self.pool(size)[pick] * np.float32(1 / 255)

    def pool(self, size):
        """All images at this size, uint8 (n, size, size), sorted by label; resized once, then kept."""
        if size not in self._resized:
            self._resized[size] = resize(self.images, size)
        return self._resized[size]


def check_source(name):
    """Raise InputError unless there is a source of digits of this name."""
    if name not in ("auto", "mnist", "strokes"):
        raise InputError(f"{name!r} is not a source of digits; choose auto, mnist or strokes")


def digit_source(name="auto", split="train", directory=None):
    """The digits called "mnist" or "strokes"; "auto" is MNIST where its files are at hand, else strokes.

    split: "train" or "test"; no image is in both. directory: where MNIST is looked for (see
    `data_directory`). "mnist" downloads missing files, "auto" never does. Sources are kept, so asking
    twice costs nothing. Raises InputError for an unknown name or split and for damaged files.
    """
    check_source(name)
    if split not in STROKE_POOL:
        raise InputError(f"{split!r} is not a split of the digits; choose train or test")
    if name == "auto":
        name = "mnist" if len(find_mnist(split, directory)) == 2 else "strokes"
    if name == "strokes":
        return _make_strokes(split)
    try:
        return _make_mnist(split, data_directory(directory))
    except InputError as error:
        raise InputError(f"{error}, or use the built-in digits: --digits strokes") from error


def source_like(name, split="train", directory=None):
    """`digit_source` for the digits that weights were trained on, which no user asked for by name.

    Where MNIST is not at hand and can't be kept, strokes take its place, and a note says so.
    """
    problem = name == "mnist" and len(find_mnist(split, directory)) < 2 and data_problem(directory)
    if problem:
        note(f"built-in digits take the place of MNIST, which can't be kept: {problem}")
    return digit_source("strokes" if problem else name, split, directory)


@functools.lru_cache(maxsize=4)
def _make_mnist(split, directory):
    return DigitSource("mnist", *load_mnist(split, directory))


@functools.lru_cache(maxsize=2)
def _make_strokes(split):
    count, seed = STROKE_POOL[split]
    labels = np.arange(count) % 10
    images = stroke_digits(np.random.default_rng(seed), labels)
    return DigitSource("strokes", np.rint(images * 255).astype(np.uint8), labels.astype(np.uint8))


def resize(images, size):
    """Images uint8 (n, h, w) at another size, uint8 (n, size, size); each axis on its own.

    Smaller: every new pixel is the mean over the area it covers, so thin strokes fade but never vanish.
    Larger: linear between pixel centres.
    """
    rows, columns = _resampling(images.shape[1], size), _resampling(images.shape[2], size)
    resized = np.empty((len(images), size, size), np.uint8)
    for start in range(0, len(images), 1024):
        piece = images[start : start + 1024].astype(np.float32)
        resized[start : start + 1024] = np.rint(rows @ piece @ columns.T)
    return resized


def _resampling(old, new):
    """Matrix float32 (new, old) whose rows sum to 1."""
    if new <= old:
        edges = np.linspace(0, old, new + 1)[:, None]
        left = np.arange(old)
        covered = np.minimum(edges[1:], left + 1) - np.maximum(edges[:-1], left)
        weights = np.clip(covered, 0, 1)
    else:
        centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)[:, None]
        weights = np.clip(1 - np.abs(centres - np.arange(old)), 0, 1)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
