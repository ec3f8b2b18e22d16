"""Train the digit judge: `python -m minivdit.lab.evaluation.train_judge`, about three minutes on one core.

It learns MNIST, the built-in stroke digits and windows without a digit (not_digits.py) together, through the same
window cutting that evaluation uses and under what generated clips do to digits: positions off by a pixel, canvases
where a digit has only 16 pixels, blur, noise, and pieces of another digit at the window's edge. It never sees a
generated clip.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np

from ... import autograd as ag
from ...base.backend import blas_threads, to_device, to_numpy, tune_allocator
from ...base.errors import InputError
from ...base.files import save_tensors
from ...data import digit_source
from ...nn.optim import AdamW, clip_global_norm, warmup_cosine
from .judge import CLASSES, NONE, WEIGHTS, WINDOW, DigitJudge, accuracy
from .not_digits import not_digits
from .tracking import bilinear

SIZES = (28, 28, 20, 16)  # sizes at which training digits are drawn before they fill the window


def disturb(images, generator):
    """Turn clean digits (n, s, s) in [0, 1] into windows (n, 28, 28) such as evaluation will cut out."""
    count, side, _ = images.shape

    def uniform(low, high):
        return generator.uniform(low, high, (count, 1, 1)).astype(np.float32)

    # Place: a small turn and zoom, and a centre that the tracker has missed by up to 1.5 pixels of 28.
    grid = np.arange(WINDOW, dtype=np.float32) - (WINDOW - 1) / 2
    angle, zoom = uniform(-0.15, 0.15), uniform(0.9, 1.12) * side / WINDOW
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    y, x = grid[:, None] + uniform(-1.5, 1.5), grid + uniform(-1.5, 1.5)
    middle = (side - 1) / 2
    index = np.arange(count)[:, None, None]
    windows = bilinear(images, index, cos * y + sin * x + middle, cos * x - sin * y + middle)

    # Clutter: every third window shows a piece of another digit that passes by.
    heading = uniform(0, 2 * np.pi)
    away = uniform(0.55, 0.9) * side
    scale = np.float32(side / WINDOW)
    other = bilinear(
        images,
        np.roll(index, 1, 0),
        scale * grid[:, None] + middle - away * np.sin(heading),
        scale * grid + middle - away * np.cos(heading),
    )
    windows = np.maximum(windows, np.where(uniform(0, 1) < 1 / 3, other, 0))

    # Look: blur of up to a binomial (1, 2, 1)/4 in both axes, contrast, noise.
    blur = np.maximum(uniform(-1, 1), 0)
    soft = windows
    for axis in (1, 2):
        soft = 0.5 * soft + 0.25 * (np.roll(soft, 1, axis) + np.roll(soft, -1, axis))
    windows = (windows + blur * (soft - windows)) * uniform(0.75, 1.15)
    windows += uniform(0, 0.06) * generator.standard_normal(windows.shape, dtype=np.float32)
    return np.clip(windows, 0, 1)


def train_judge(generator, sources, steps=6000, batch_size=128, learning_rate=2e-3, progress=None):
    """Train a judge on digits of several sources in equal parts; each batch has digits of one size.

    sources: DigitSources; one that is listed twice counts twice.
    progress: called as progress(step, loss) now and then.
    """
    judge = DigitJudge(generator)
    parameters = judge.parameters()
    optimiser = AdamW(parameters, learning_rate, weight_decay=0.02)
    for step in range(steps):
        labels = generator.integers(CLASSES, size=batch_size)
        windows = disturb(draw(generator, sources, labels, SIZES[step % len(SIZES)]), generator)
        loss = ag.cross_entropy(judge(to_device(windows)), to_device(labels))
        gradients = dict(zip(parameters, ag.gradients(loss, parameters.values())))
        clip_global_norm(gradients, 5.0)
        optimiser.step(gradients, learning_rate * warmup_cosine(step, 50, steps, 0.01))
        if progress and (step % 100 == 99 or step + 1 == steps):
            progress(step + 1, loss.item())
    return judge


def draw(generator, sources, labels, size):
    """Pictures (n, size, size) of classes (n,), of the sources in equal parts; for NONE one without a digit."""
    none = labels == NONE
    shown = np.where(none, generator.choice([0, 2, 3, 4, 5, 6, 7, 8, 9], len(labels)), labels)
    parts = np.array_split(shown, len(sources))
    images = np.concatenate([s.draw(generator, part, size) for s, part in zip(sources, parts)])
    images[none] = not_digits(generator, images[none])
    return images


def weights_hash(tensors):
    """Sixteen hexadecimal digits that tell one set of weights from another."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()[:16]


def main(arguments=None):
    """Train the judge anew on digits of MNIST and strokes and on windows without one; test it, write its weights."""
    parser = argparse.ArgumentParser(prog="python -m minivdit.lab.evaluation.train_judge", description=main.__doc__)
    parser.add_argument("--steps", type=int, default=6000, help="training steps of 128 digits (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches (default %(default)s)")
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="where to write (default: into the package)")
    options = parser.parse_args(arguments)
    tune_allocator()
    # Strokes are learnt at once; MNIST's hand-writing takes the larger part.
    names = ("mnist", "mnist", "mnist", "strokes")
    sources = [digit_source(name, "train") for name in names]
    started = time.monotonic()

    def report(step, loss):
        if step % 500 == 0 or step == options.steps:
            print(f"step {step:5d}  loss {loss:.3f}  {time.monotonic() - started:4.0f} s", flush=True)

    # Products this small only lose by being spread over cores.
    with blas_threads(1):
        judge = train_judge(np.random.default_rng(options.seed), sources, options.steps, progress=report)
        tensors = {name: to_numpy(array).astype(np.float16) for name, array in judge.state_dict().items()}
        judge.load_state_dict({name: array.astype(np.float32) for name, array in tensors.items()})
        tests = {name: digit_source(name, "test") for name in ("mnist", "strokes")}
        reached = {name: accuracy(judge, test.images, test.labels) for name, test in tests.items()}
        nothing = np.full(4000, NONE)
        generator = np.random.default_rng(options.seed + 1)
        shown = disturb(draw(generator, list(tests.values()), nothing, WINDOW), generator)
        reached["none"] = accuracy(judge, shown, nothing)
    metadata = {
        "command": f"python -m minivdit.lab.evaluation.train_judge --steps {options.steps} --seed {options.seed}",
        "trained_on": sorted(set(names)),
        "test_accuracy": reached,
        "hash": weights_hash(tensors),
    }
    save_tensors(options.output, tensors, metadata)
    print(json.dumps(metadata, indent=2))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
