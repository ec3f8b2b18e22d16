"""Checks of chapter 3: mixing with noise, schedules, and the way back from a velocity."""

import numpy as np

from ...diffusion import make
from .exercise import agree, different, exercise


def _clips(generator):
    shape = (*different(generator, 4), 1)
    return generator.standard_normal((2, *shape)), generator.random(shape[:2])  # clean and noise; levels (B, T)


@exercise
def ch03_mix(answer, generator):
    (clean, noise), level = _clips(generator)
    agree("the mixture", answer(clean, noise, level), make("rectified_flow").mix(clean, noise, level))


@exercise
def ch03_alpha_bar(answer, generator):
    beta = generator.uniform(0.01, 0.3, different(generator, 1, 5, 12))
    agree("alpha_bar", answer(beta), np.cumprod(1 - beta))


@exercise
def ch03_level_of(answer, generator):
    level = generator.uniform(0.05, 0.95, different(generator, 1))
    ratio = ((1 - level) / level) ** 2
    agree("the level", answer(ratio), level)


@exercise
def ch03_clean(answer, generator):
    (clean, noise), level = _clips(generator)
    x = make("rectified_flow").mix(clean, noise, level)
    agree("the clean clip", answer(x, noise - clean, level), clean)
