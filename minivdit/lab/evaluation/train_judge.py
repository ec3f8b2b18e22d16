"""Train the digit judge: `python -m minivdit.lab.evaluation.train_judge`, about three minutes on one core.

It learns MNIST, the built-in stroke digits and windows without a digit (not_digits.py) together, through the same
window cutting that evaluation uses and under what generated clips do to digits: positions off by a pixel, canvases
where a digit has only 16 pixels, blur, noise, and pieces of another digit at the window's edge. It never sees a
generated clip.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from ... import autograd as ag
from ...base import seeds
from ...base.backend import blas_threads, to_numpy, tune_allocator
from ...base.errors import InputError
from ...base.files import save_tensors
from ...data import digit_source
from ...training.loop import fit
from ...training.settings import TrainingSettings
from ...training.tasks import Task
from .judge import CLASSES, NONE, WEIGHTS, WINDOW, DigitJudge, accuracy
from .not_digits import Draws, not_digits, rotated
from .tracking import bilinear

SIZES = (28, 28, 20, 16)  # sizes at which training digits are drawn before they fill the window
# Strokes are learnt at once; MNIST's hand-writing takes the larger part.
SOURCES = ("mnist", "mnist", "mnist", "strokes")


def disturb(images, generator):
    """Windows (n, 28, 28) like those that evaluation cuts out, made of clean digits (n, s, s) in [0, 1]."""
    count, side, _ = images.shape
    uniform = Draws(generator, count).uniform

    # Place: a small rotation and zoom, and a centre that the tracker has missed by up to 1.5 pixels of 28.
    ticks = np.arange(WINDOW, dtype=np.float32) - (WINDOW - 1) / 2
    angle, zoom = uniform(-0.15, 0.15), uniform(0.9, 1.12) * side / WINDOW
    y, x = rotated(angle, ticks[:, None] + uniform(-1.5, 1.5), ticks + uniform(-1.5, 1.5))
    middle, index = (side - 1) / 2, np.arange(count)[:, None, None]
    windows = bilinear(images, index, zoom * y + middle, zoom * x + middle)

    # Clutter: every third window shows a piece of another digit that passes by.
    heading, away = uniform(0, 2 * np.pi), uniform(0.55, 0.9) * side
    y, x = ticks[:, None] * np.float32(side / WINDOW) + middle, ticks * np.float32(side / WINDOW) + middle
    other = bilinear(images, np.roll(index, 1, 0), y - away * np.sin(heading), x - away * np.cos(heading))
    windows = np.maximum(windows, np.where(uniform(0, 1) < 1 / 3, other, 0))

    # Camera: blur of up to a binomial (1, 2, 1)/4 in both axes, contrast, noise.
    blur = np.maximum(uniform(-1, 1), 0)
    soft = windows
    for axis in (1, 2):
        soft = 0.5 * soft + 0.25 * (np.roll(soft, 1, axis) + np.roll(soft, -1, axis))
    windows = (windows + blur * (soft - windows)) * uniform(0.75, 1.15)
    windows += uniform(0, 0.06) * generator.standard_normal(windows.shape, dtype=np.float32)
    return np.clip(windows, 0, 1)


class JudgeTask(Task):
    """Windows in, the digit that each shows out, or NONE.

    sources: DigitSources, drawn from in equal parts; one that is listed twice counts twice. A batch has digits of one
    size.
    """

    def __init__(self, judge, sources, batch_size):
        self.model, self.sources, self.batch_size = judge, sources, batch_size
        self.parameters = judge.parameters()
        self.config = {"classes": CLASSES, "sources": [source.name for source in sources]}

    def batch(self, generator):
        labels = generator.integers(CLASSES, size=self.batch_size)
        images = draw(generator, self.sources, labels, generator.choice(SIZES))
        return {"windows": disturb(images, generator), "labels": labels}

    def loss(self, batch):
        logits = self.model(batch["windows"])
        right = (logits.data.argmax(axis=-1) == batch["labels"]).astype(np.float32)
        return ag.cross_entropy(logits, batch["labels"]), {"accuracy": right}


def train_judge(sources, steps=6000, batch_size=128, seed=0, **watching):
    """A DigitJudge trained on digits of several sources. watching: see training.loop.fit."""
    judge = DigitJudge(seeds.generator(seed, seeds.INITIAL_WEIGHTS))
    rates = {"learning_rate": 2e-3, "matrix_learning_rate": 0.0, "weight_decay": 0.02, "final_fraction": 0.01}
    settings = TrainingSettings(steps, batch_size, shards=1, clip=5.0, **rates)
    fit(JudgeTask(judge, sources, batch_size), settings, seed=seed, title="digit judge", **watching)
    return judge


def draw(generator, sources, labels, size):
    """Pictures (n, size, size) of classes (n,), of the sources in equal parts; for NONE one without a digit."""
    none = labels == NONE
    shown = np.where(none, generator.choice([0, 2, 3, 4, 5, 6, 7, 8, 9], len(labels)), labels)
    parts = np.array_split(shown, len(sources))
    images = np.concatenate([s.draw(generator, part, size) for s, part in zip(sources, parts)])
    images[none] = not_digits(generator, images[none])
    return images


def main(arguments=None):
    """Train the judge anew on digits of MNIST and strokes and on windows without one; test it, write its weights."""
    parser = argparse.ArgumentParser(prog="python -m minivdit.lab.evaluation.train_judge", description=main.__doc__)
    parser.add_argument("--steps", type=int, default=6000, help="training steps of 128 digits (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches (default %(default)s)")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write (default: into the package)")
    options = parser.parse_args(arguments)
    tune_allocator()
    judge = train_judge([digit_source(name, "train") for name in SOURCES], options.steps, seed=options.seed)
    tensors = {name: to_numpy(array).astype(np.float16) for name, array in judge.state_dict().items()}
    judge.load_state_dict({name: array.astype(np.float32) for name, array in tensors.items()})
    metadata = {
        "command": f"python -m minivdit.lab.evaluation.train_judge --steps {options.steps} --seed {options.seed}",
        "trained_on": sorted(set(SOURCES)),
        "test_accuracy": tested(judge, options.seed),
    }
    save_tensors(options.output, tensors, metadata)
    print(json.dumps(metadata, indent=2))


@blas_threads(1)  # products this small only lose by being spread over cores
def tested(judge, seed):
    """The share of test digits, and of windows without a digit, that are read as what they are."""
    tests = {name: digit_source(name, "test") for name in ("mnist", "strokes")}
    nothing, generator = np.full(4000, NONE), seeds.generator(seed, seeds.MEASUREMENTS)
    shown = disturb(draw(generator, list(tests.values()), nothing, WINDOW), generator)
    reached = {name: accuracy(judge, test.images, test.labels) for name, test in tests.items()}
    return reached | {"none": accuracy(judge, shown, nothing)}


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
