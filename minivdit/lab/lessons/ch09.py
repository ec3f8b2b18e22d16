"""Checks of chapter 9: decibels of the ink, numbers that are enough, moments in one pass, levels, tokens."""

import numpy as np

from .exercise import agree, agree_all, different, exercise

BLACK = 0.02  # what is darker counts as no ink


@exercise("decibels_of_ink")
def ch09_psnr(answer, generator):
    shape = different(generator, 4, 3, 8)
    clips = generator.random((*shape, 1)) * (generator.random((*shape, 1)) < 0.4)  # mostly black, in [0, 1]
    noise = generator.standard_normal(clips.shape) * generator.uniform(0.02, 0.4, (len(clips), 1, 1, 1, 1))
    rebuilt = np.clip(clips + noise, 0, 1)
    expected = [10 * np.log10(1 / ((a - b)[b > BLACK] ** 2).mean()) for a, b in zip(rebuilt, clips)]
    agree("the decibels (B,)", answer(rebuilt, clips), expected)


@exercise("numbers_needed")
def ch09_linear(answer, generator):
    width, rows = 6 + int(generator.integers(0, 4)), 23
    patches = generator.standard_normal((rows, width)) * 0.7 ** np.arange(width)
    patches = patches @ np.linalg.qr(generator.standard_normal((width, width)))[0] + 3
    share = float(generator.uniform(0.5, 0.97))
    sizes = np.linalg.svd(patches - patches.mean(axis=0), compute_uv=False) ** 2
    kept = next(n for n in range(1, width + 1) if sizes[:n].sum() >= share * sizes.sum())
    agree("how many numbers", answer(patches, share), kept)


@exercise("moments")
def ch09_normalise(answer, generator):
    frames, height, width, channels, *counts = different(generator, 7, 2, 9)
    scale, shift = generator.uniform(0.1, 3, channels), generator.standard_normal(channels)
    batches = [
        generator.standard_normal((count, frames, height, width, channels)) * scale
        + shift
        + generator.standard_normal(channels)  # batches differ in their means
        for count in counts
    ]
    everything = np.concatenate(batches)
    names = ("the means", "the standard deviations")
    expected = [np.array([of(everything[..., c]) for c in range(channels)]) for of in (np.mean, np.std)]
    agree_all("return two arrays: the means and the standard deviations", answer(batches), dict(zip(names, expected)))


@exercise("alpha_bar_as_seen")
def ch09_level(answer, generator):
    alpha_bar, deviation = generator.uniform(0.05, 0.95, 7), generator.uniform(0.1, 4, 7)
    ratio = deviation**2 * alpha_bar / (1 - alpha_bar)  # signal to noise
    agree("alpha_bar", answer(alpha_bar, deviation), 1 - 1 / (1 + ratio))


@exercise("tokens_of_clip")
def ch09_tokens(answer, generator):
    blocks, rows, columns = (1 + int(n) for n in generator.permutation(8)[:3])
    frames, height, width = 4 * blocks + 1, 16 * rows, 16 * columns
    expected = (blocks + 1) * rows * columns
    agree(f"tokens of {frames} frames of {height}x{width}", answer(frames, height, width), expected)
