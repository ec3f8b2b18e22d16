"""For normally distributed data the best denoiser is known in closed form, and so is where sampling must end."""

import numpy as np
import pytest

from minivdit.diffusion import SAMPLERS, curves, level_matrix, predictions, sample, samplers, steps, uniform_levels
from minivdit.errors import InputError

MEAN, DEVIATION = 0.4, 0.5
CURVES = {name: curves.make(name) for name in curves.CURVES} | {"shifted": curves.make("rectified_flow", shift=3.0)}
EVERY_CURVE = pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
EVERY_SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS)


def best_denoiser(curve, kind):
    """The expected clean sample given x, for pixels that are independent normals, as a prediction of this kind."""

    def denoise(x, noise_level):
        level = np.asarray(noise_level, np.float64)
        alpha, sigma = curve.alpha(level)[..., None, None, None], curve.sigma(level)[..., None, None, None]
        variance = (alpha * DEVIATION) ** 2 + sigma**2
        clean = MEAN + alpha * DEVIATION**2 / variance * (x - alpha * MEAN)
        noise = sigma / variance * (x - alpha * MEAN)
        return predictions.target(kind, clean, noise, curve, level).astype(x.dtype)

    return denoise


def exact(curve, x, start, end):
    """Where the probability flow carries x from one level to another."""
    def spread(level):
        return np.hypot(curve.alpha(level) * DEVIATION, curve.sigma(level))
    return curve.alpha(end) * MEAN + spread(end) / spread(start) * (x - curve.alpha(start) * MEAN)


def noise_clip(seed=0, shape=(2, 3, 40, 50, 1), dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape, dtype=dtype)


def start_for(curve, kind):
    """Noise prediction can't start where nothing of the clean sample is left."""
    return 0.995 if kind == "noise" and curve.alpha(1.0) == 0 else 1.0


@EVERY_CURVE
@pytest.mark.parametrize("kind", predictions.KINDS)
@pytest.mark.parametrize(("sampler", "options", "few", "many"), [
    ("euler", {}, 20, 80), ("ddim", {}, 20, 80), ("ddim", {"eta": 0.5}, 20, 80), ("ddim", {"eta": 1.0}, 20, 80),
    ("ddpm", {}, 20, 80), ("dpm_solver", {}, 8, 32),
])
def test_noise_becomes_the_data_and_more_steps_come_closer(curve, kind, sampler, options, few, many):
    noise, start = noise_clip(), start_for(curve, kind)

    def error(number):
        x = sample(
            best_denoiser(curve, kind), noise, uniform_levels(number, start), sampler=sampler, curve=curve,
            prediction_kind=kind, generator=np.random.default_rng(1), **options,
        )
        assert x.dtype == np.float32 and x.shape == noise.shape
        assert x.mean() == pytest.approx(MEAN, abs=0.03)
        return abs(x.std() / DEVIATION - 1)

    coarse, fine = error(few), error(many)
    assert fine < 0.03
    assert fine < 0.6 * coarse or coarse < 0.01
