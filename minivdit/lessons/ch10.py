"""Checks of chapter 10: change of hue, noise in common, what is left behind, and how sure a comparison is."""

import itertools

import numpy as np

from .exercise import agree, different, exercise


@exercise
def ch10_hue(answer, generator):
    clips, frames = different(generator, 2, 3, 9)
    hue = generator.uniform(-np.pi, np.pi, (clips, frames))
    away = np.abs(hue[:, 1:] - hue[:, :1])
    agree("the degrees (B,)", answer(hue), np.degrees(np.minimum(away, 2 * np.pi - away)).mean(axis=1))


@exercise
def ch10_noise(answer, generator):
    clips, frames, height, width = different(generator, 4, 2, 8)
    common = generator.standard_normal((clips, 1, height, width, 3))
    own = generator.standard_normal((clips, frames, height, width, 3))
    share = float(generator.uniform(0.1, 0.9))
    expected = np.stack([share**0.5 * common[:, 0] + (1 - share) ** 0.5 * own[:, t] for t in range(frames)], axis=1)
    agree("the noise (B, T, H, W, C)", answer(common, own, share), expected)


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
