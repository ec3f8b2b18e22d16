"""Checks of chapter 4: how uncertain the best guess is, steps of DDIM and DDPM, energy distance, a training."""

import itertools

import numpy as np

from ...autograd import softmax
from ...diffusion import make
from .exercise import Wrong, agree, different, exercise, shaped


@exercise("uncertainty")
def ch04_uncertainty(answer, generator):
    count, points, axes = different(generator, 3)
    data, noise = generator.standard_normal((points, axes)), generator.standard_normal((count, axes))
    for sigma in (float(generator.uniform(0.3, 0.9)), 0.01):
        alpha = float(np.sqrt(1 - sigma**2))
        # Where sigma is small, x is many sigmas away from two points, which are equally likely.
        x = alpha * data[generator.integers(0, points, count)] + 0.7 * noise
        x[0] = alpha * (data[0] + data[1]) / 2
        weights = softmax(-((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2)).data
        square = ((data - (weights @ data)[:, None]) ** 2).sum(-1)  # (n, m)
        agree(f"the uncertainty at sigma {sigma:.2f}", answer(x, data, alpha, sigma), (weights * square).sum(1))


@exercise("ddim_step")
def ch04_ddim_step(answer, generator):
    shape = (*different(generator, 4), 1)
    clean, noise = generator.standard_normal((2, *shape))
    here = generator.uniform(0.3, 0.95, shape[:2])
    there = here * generator.random(shape[:2])
    curve = make("rectified_flow")
    x = curve.mix(clean, noise, here)
    agree("the clip at the next level", answer(x, noise, here, there), curve.mix(clean, noise, there))


@exercise("deviations")
def ch04_deviations(answer, generator):
    alpha_bar = np.cumprod(1 - generator.uniform(0.01, 0.3, different(generator, 1, 5, 12)))
    expected, before = [], 1.0  # alpha_bar before the step
    for after in alpha_bar:
        variance = (1 - before) * (1 - after / before) / (1 - after)
        expected.append(np.sqrt(variance))
        before = after
    agree("the standard deviations", answer(alpha_bar), expected)


@exercise("energy")
def ch04_energy(answer, generator):
    first, second, axes = different(generator, 3)
    a, b = generator.standard_normal((first, axes)), 1 + generator.standard_normal((second, axes))
    agree("the energy distance", answer(a, b), _energy_distance(a, b))
    a, b = a[:second], np.concatenate([a, b])  # one set holds the other: below 0
    agree("the energy distance of two sets that are alike", answer(a, b), _energy_distance(a, b))


def _energy_distance(a, b):
    """Of the distributions that points (n, d) and (m, d) were drawn from; 0 on average where they are the same."""

    def within(points):
        distances = np.linalg.norm(points[:, None] - points, axis=-1)
        return distances.sum() / (len(points) * (len(points) - 1))

    return 2 * np.linalg.norm(a[:, None] - b, axis=-1).mean() - within(a) - within(b)


def moons(generator, label):
    """Random points (n, 2) on two half-moons, the upper one where label (n,) is 0 and the lower one where it is 1."""
    angle = np.pi * generator.random(len(label))
    upper = 1.5 * np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=-1)
    return np.where(label[:, None] == 0, upper, -upper) + 0.08 * generator.standard_normal(upper.shape)


FIGURE = 0.03  # the energy distance that a training has to reach
POINTS, STEPS = 400, 20


@exercise("predict")
def ch04_train(answer, generator):
    distance = [
        _energy_distance(_sampled(answer, generator, label), moons(generator, np.full(POINTS, label)))
        for label in (0, 1)
    ]
    if np.mean(distance) > FIGURE:
        raise Wrong(
            f"energy distance {distance[0]:.3f} for label 0 and {distance[1]:.3f} for label 1; "
            f"the mean is to be below {FIGURE}"
        )


def _sampled(predict, generator, label):
    """Points (POINTS, 2) by Euler's method on rectified flow, from pure noise."""
    x, labels = generator.standard_normal((POINTS, 2)), np.full(POINTS, label)
    for now, after in itertools.pairwise(np.linspace(1, 0, STEPS + 1)):
        velocity = shaped("the velocity", predict(x.copy(), np.full(POINTS, now), labels.copy()), x.shape)
        x = x - (now - after) * velocity.astype(np.float64)
    return x
