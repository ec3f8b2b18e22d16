"""Checks of chapter 4: the best guess, a step of DDIM, the spread of DDPM, energy distance."""

import numpy as np

from ...autograd import softmax
from ...diffusion import make
from .exercise import agree, different, exercise


@exercise
def ch04_best(answer, generator):
    count, points, axes = different(generator, 3)
    data, noise = generator.standard_normal((points, axes)), generator.standard_normal((count, axes))
    for sigma in (float(generator.uniform(0.3, 0.9)), 0.01):
        alpha = float(np.sqrt(1 - sigma**2))
        x = alpha * data[generator.integers(0, points, count)] + 0.7 * noise  # 70 sigmas away where sigma is small
        weights = softmax(-((x[:, None] - alpha * data) ** 2).sum(-1) / (2 * sigma**2)).data
        agree(f"the guess at sigma {sigma:.2f}", answer(x, data, alpha, sigma), weights @ data)


@exercise
def ch04_ddim_step(answer, generator):
    shape = (*different(generator, 4), 1)
    clean, noise = generator.standard_normal((2, *shape))
    here = generator.uniform(0.3, 0.95, shape[:2])
    there = here * generator.random(shape[:2])
    curve = make("rectified_flow")
    x = curve.mix(clean, noise, here)
    agree("the clip at the next level", answer(x, noise, here, there), curve.mix(clean, noise, there))


@exercise
def ch04_deviations(answer, generator):
    beta = generator.uniform(0.01, 0.3, different(generator, 1, 5, 12))
    expected, left = [], 1.0  # alpha_bar so far
    for added in beta:
        variance = (1 - left) * added / (1 - left * (1 - added))
        expected.append(np.sqrt(variance))
        left *= 1 - added
    agree("the deviations", answer(beta), expected)


@exercise
def ch04_energy(answer, generator):
    first, second, axes = different(generator, 3)
    a, b = generator.standard_normal((first, axes)), 1 + generator.standard_normal((second, axes))

    def distance(a, b):
        return np.mean([np.linalg.norm(p - q) for p in a for q in b])

    agree("the energy distance", answer(a, b), 2 * distance(a, b) - distance(a, a) - distance(b, b))
