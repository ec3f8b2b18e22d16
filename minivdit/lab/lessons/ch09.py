"""Checks of chapter 9: how near, the best linear code, latents of unit deviation, and how many tokens are left."""

import numpy as np

from ...diffusion import make
from .exercise import Wrong, agree, different, exercise


@exercise
def ch09_psnr(answer, generator):
    frames = generator.random((*different(generator, 3), 1))
    noise = generator.standard_normal(frames.shape) * generator.uniform(0.01, 0.5, (len(frames), 1, 1, 1))
    agree("the decibels", answer(frames + noise, frames), 10 * np.log10(1 / np.mean(noise**2)))


@exercise
def ch09_linear(answer, generator):
    kept, width, rows = 1 + int(generator.integers(0, 2)), 5 + int(generator.integers(0, 4)), 23
    patches = generator.standard_normal((rows, width)) @ generator.standard_normal((width, width)) + 3
    mean = patches.mean(axis=0)
    left, sizes, right = np.linalg.svd(patches - mean, full_matrices=False)
    agree("the patches, rebuilt", answer(patches, kept), left[:, :kept] * sizes[:kept] @ right[:kept] + mean)


@exercise
def ch09_normalise(answer, generator):
    shape = different(generator, 5)
    channels = shape[-1]
    raw = generator.standard_normal(shape) * generator.uniform(0.1, 3, channels) + generator.standard_normal(channels)
    got = answer(raw.copy())
    if not isinstance(got, tuple) or len(got) != 3:
        raise Wrong("return three arrays: the normalised latents, the means and the deviations")
    mean, deviation = (np.array([function(raw[..., c]) for c in range(channels)]) for function in (np.mean, np.std))
    agree("the means", got[1], mean)
    agree("the deviations", got[2], deviation)
    agree("the normalised latents", got[0], (raw - mean) / deviation)


@exercise
def ch09_level(answer, generator):
    level, deviation = generator.uniform(0.05, 0.95, 7), generator.uniform(0.1, 4, 7)
    curve = make("rectified_flow")
    ratio = deviation * curve.alpha(level) / curve.sigma(level)  # alpha / sigma = (1 - t) / t wherever t is asked for
    agree("the levels", answer(level, deviation), 1 / (1 + ratio))


@exercise
def ch09_tokens(answer, generator):
    blocks, rows, columns = (1 + int(n) for n in generator.permutation(8)[:3])
    frames, height, width = 4 * blocks + 1, 16 * rows, 16 * columns
    agree(
        f"tokens of {frames} frames of {height}x{width}", answer(frames, height, width), (blocks + 1) * rows * columns
    )
