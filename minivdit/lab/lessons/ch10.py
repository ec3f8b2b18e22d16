"""Checks of chapter 10: the worst pair of hues, noise handed on, what is left behind, how sure a comparison is."""

import itertools

import numpy as np

from .exercise import agree, different, exercise


@exercise
def ch10_hue(answer, generator):
    clips, frames = different(generator, 2, 3, 9)
    hue = generator.uniform(-np.pi, np.pi, (clips, frames))
    away = [[abs(one - other) for one, other in itertools.combinations(clip, 2)] for clip in hue]
    away = np.minimum(away, 2 * np.pi - np.array(away))
    agree("the degrees (B,)", answer(hue), np.degrees(away).max(axis=1))


@exercise
def ch10_noise(answer, generator):
    own = generator.standard_normal((*different(generator, 4, 2, 8), 3))  # (B, T, H, W, C)
    share = float(generator.uniform(0.1, 0.9))
    expected = [own[:, 0]]
    for t in range(1, own.shape[1]):
        expected.append(share * expected[-1] + (1 - share**2) ** 0.5 * own[:, t])
    agree("the noise (B, T, H, W, C)", answer(own.copy(), share), np.stack(expected, axis=1))


@exercise
def ch10_left(answer, generator):
    inked = generator.random(different(generator, 4, 3, 8)) < 0.4  # (B, T, rows, columns)
    left = sum(int((now & ~then).sum()) for clip in inked for now, then in itertools.pairwise(clip))
    agree("the share", answer(inked), left / inked[:, :-1].sum())


@exercise
def ch10_paired(answer, generator):
    seeds = different(generator, 1, 3, 9)[0]
    luck = 5 * generator.standard_normal(seeds)  # what a seed does to both
    a, b = luck + generator.standard_normal(seeds), luck + generator.standard_normal(seeds)
    t = float(generator.uniform(2, 5))
    gaps = [one - other for one, other in zip(a, b)]
    mean = sum(gaps) / seeds
    error = (sum((gap - mean) ** 2 for gap in gaps) / (seeds - 1) / seeds) ** 0.5
    agree("the interval (low, high)", answer(a, b, t), [mean - t * error, mean + t * error])
