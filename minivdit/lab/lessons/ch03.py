"""Checks of chapter 3: more noise, schedules, and the clean clip from a velocity."""

import numpy as np

from ...diffusion import make
from .exercise import agree, different, exercise


def _clips(generator):
    shape = (*different(generator, 4), 1)
    return generator.standard_normal((2, *shape)), generator.random(shape[:2])  # clean and noise; levels (B, T)


@exercise("noisier")
def ch03_noisier(answer, generator):
    (clean, noise), here = _clips(generator)
    there = here + (1 - here) * generator.random(here.shape)
    here[0, 0] = 0  # a clean frame
    there[1, 0] = 1  # one that becomes pure noise
    there[1, 1] = here[1, 1]  # and one that stays as it is
    fresh, curve = generator.standard_normal(clean.shape), make("rectified_flow")
    ratio = (1 - there) / (1 - here)
    variance = there**2 - (ratio * here) ** 2
    expected = curve.mix(clean, noise, here)
    for index in np.ndindex(*here.shape):
        expected[index] = ratio[index] * expected[index] + variance[index] ** 0.5 * fresh[index]
    agree("the noisier clip", answer(curve.mix(clean, noise, here), fresh, here, there), expected)


@exercise("beta_of")
def ch03_beta(answer, generator):
    beta = generator.uniform(0.01, 0.3, different(generator, 1, 5, 12))
    alpha_bar = np.cumprod(1 - beta)
    agree("beta", answer(alpha_bar), beta)
    alpha_bar[-1] = 0
    agree("beta of a schedule that ends at 0", answer(alpha_bar), np.append(beta[:-1], 0.999))


@exercise("level_of")
def ch03_level_of(answer, generator):
    level, shift = generator.uniform(0.05, 0.95, different(generator, 1)), float(generator.uniform(1.5, 5))
    curve = make("rectified_flow", shift=shift)
    decibels = 20 * np.log10(curve.alpha(level) / curve.sigma(level))
    agree("the level", answer(decibels, shift), level)


@exercise("clean_of")
def ch03_clean(answer, generator):
    (clean, noise), level = _clips(generator)
    x = make("rectified_flow").mix(clean, noise, level)
    agree("the clean clip", answer(x, noise - clean, level), clean)
