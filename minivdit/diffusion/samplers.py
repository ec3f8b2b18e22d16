"""Samplers: from noise to a clip, one step at a time.

At each step the network's prediction becomes the pair (clean, noise), and the sampler decides how to
put x together at the next, lower level. All four are weighted sums; they differ in the weights:

    euler       a straight line along the curve's velocity
    ddim        the same pair, mixed anew at the next level; eta adds fresh noise (Song et al. 2020)
    ddpm        a draw from the exact posterior given the clean sample (Ho et al. 2020)
    dpm_solver  DPM-Solver++ 2M: ddim, with clean extrapolated from two steps (Lu et al. 2022)

On rectified flow euler and ddim with eta = 0 are the same.

`levels` (steps + 1, B, T) gives each frame its own way down. A frame whose level doesn't change in a
step is left bit-unchanged, so a frame that is at level 0 all along is a frame that is given.
Samplers are generators that yield a Step after each step; `sample` only returns the end.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.backend import array_module, normal, to_numpy
from ..base.errors import InputError
from . import predictions
from .curves import checked, per_frame

MOST_STEPS = 100_000  # a hundred times as many as anybody takes


@dataclass(frozen=True)
class Step:
    """One step of sampling, just done.

    index: 0 for the first step. x: (B, T, H, W, C) after the step. levels: (B, T), the levels of that x.
    clean: the clean clip as predicted during the step.
    """

    index: int
    x: Any
    clean: Any
    levels: np.ndarray


@dataclass(frozen=True)
class Point:
    """A curve at the levels of one moment: everything (B, T), NumPy, float64."""

    level: np.ndarray
    alpha: np.ndarray
    sigma: np.ndarray
    clock: np.ndarray
    rates: tuple

    @classmethod
    def of(cls, curve, level):
        return cls(level, curve.alpha(level), curve.sigma(level), curve.clock(level), curve.velocity(level))


def euler(denoise, noise, levels, *, curve, prediction_kind="velocity", generator=None, clip=None):
    """Follow the velocity in a straight line; first order. For the arguments see `steps`. `generator` is unused."""

    def advance(x, clean, noise, here, there):
        step = there.clock - here.clock
        on_clean, on_noise = here.rates
        return x + _weighted(step * on_clean, clean, step * on_noise, noise)

    return _walk(denoise, noise, levels, advance, curve, prediction_kind, clip)


def ddim(denoise, noise, levels, *, curve, prediction_kind="velocity", generator=None, clip=None, eta=0.0):
    """Mix the predicted pair again at the next level; eta in [0, 1] is the share of noise that is fresh.

    eta = 0 draws nothing and is first order; eta = 1 is ddpm (up to `clip`). For the arguments see `steps`.
    """
    if not 0 <= eta <= 1:
        raise InputError(f"eta lies in [0, 1] (0 deterministic, 1 as random as DDPM); got {eta}")
    if eta > 0:
        _need(generator, "ddim with eta above 0")

    def advance(x, clean, noise, here, there):
        fresh = eta * _posterior(here, there)[2]
        kept = np.sqrt(np.maximum(there.sigma**2 - fresh**2, 0))
        x = _weighted(there.alpha, clean, kept, noise)
        return x + _weighted(fresh, normal(generator, x.shape, x.dtype)) if eta > 0 else x

    return _walk(denoise, noise, levels, advance, curve, prediction_kind, clip)


def ddpm(denoise, noise, levels, *, curve, prediction_kind="velocity", generator=None, clip=None):
    """Draw x at the next level from its distribution given x and clean. For the arguments see `steps`."""
    _need(generator, "ddpm")

    def advance(x, clean, noise, here, there):
        on_x, on_clean, spread = _posterior(here, there)
        return _weighted(on_x, x, on_clean, clean, spread, normal(generator, x.shape, x.dtype))

    return _walk(denoise, noise, levels, advance, curve, prediction_kind, clip)


def dpm_solver(denoise, noise, levels, *, curve, prediction_kind="velocity", generator=None, clip=None):
    """DPM-Solver++ 2M (Lu et al. 2022, algorithm 2): second order at one call of the network a step.

    In the log of the signal-to-noise ratio the way from x to the next level is exact but for how clean
    changes meanwhile; that is extrapolated from the last step. First order in a frame's first step and
    wherever the ratio is 0 or infinite. For the arguments see `steps`. `generator` is unused.
    """
    past_clean, past_log = None, np.nan  # of each frame's last step that changed its level

    def advance(x, clean, noise, here, there):
        nonlocal past_clean, past_log
        log_here, log_there = _log_ratio(here), _log_ratio(there)
        with np.errstate(invalid="ignore", divide="ignore"):
            ahead, behind = log_there - log_here, log_here - past_log
            trust = np.where(np.isfinite(ahead) & np.isfinite(behind), ahead / (2 * behind), 0)
        if past_clean is None:
            past_clean = clean
        extrapolated = clean + _weighted(trust, clean - past_clean)
        moved = here.level != there.level
        past_clean = array_module(clean).where(_mask(moved, clean), clean, past_clean)
        past_log = np.where(moved, log_here, past_log)
        on_x = _ratio(there.sigma, here.sigma)
        return _weighted(on_x, x, there.alpha - here.alpha * on_x, extrapolated)

    return _walk(denoise, noise, levels, advance, curve, prediction_kind, clip)


SAMPLERS = {"euler": euler, "ddim": ddim, "ddpm": ddpm, "dpm_solver": dpm_solver}


def check(sampler, steps=1, guidance_scale=1.0):
    """Raise an InputError unless a clip can be drawn so: by one of SAMPLERS, in some steps, with a finite guidance."""
    if sampler not in list(SAMPLERS):
        raise InputError(f"{sampler!r} is not a sampler; choose one of {', '.join(SAMPLERS)}")
    if not 1 <= steps <= MOST_STEPS:
        raise InputError(f"sampling takes at least 1 step and at most {MOST_STEPS:,}; got {steps}")
    if not -np.inf < guidance_scale < np.inf:
        raise InputError(f"guidance_scale is a number, 1 for none and 2 to 4 for a strong pull; got {guidance_scale}")


def steps(denoise, noise, levels, *, sampler="euler", **options):
    """A generator of Steps by the sampler of this name (one of SAMPLERS).

    denoise(x, noise_level): the network; x (B, T, H, W, C), noise_level (B, T) in x's dtype; returns a
        prediction shaped like x.
    noise: the start, (B, T, H, W, C): noise, and the clean frames where frames are given.
    levels: (steps + 1,), or (steps + 1, B, T), never rising; see levels.level_matrix.
    curve, prediction_kind: what the network was trained with.
    generator: numpy Generator of the fresh noise; needed by ddpm and by ddim with eta above 0.
    clip: (low, high) that the predicted clean sample is clipped to (the noise of the pair stays), or None.
    eta: for ddim.
    """
    check(sampler)
    return SAMPLERS[sampler](denoise, noise, levels, **options)


def sample(denoise, noise, levels, **options):
    """The clip at the end of `steps`, (B, T, H, W, C); same arguments."""
    for step in steps(denoise, noise, levels, **options):
        last = step
    return last.x


def _walk(denoise, x, levels, advance, curve, kind, clip):
    """What all samplers share: checks now, and then the loop as a generator."""
    levels = _checked_levels(levels, x)
    predictions.check(kind, curve, levels[:-1])
    xp = array_module(x)

    def walk(x):
        for index, (now, after) in enumerate(itertools.pairwise(levels)):
            prediction = denoise(x, xp.asarray(now, dtype=x.dtype))
            if prediction.shape != x.shape:
                raise ValueError(f"denoise returned shape {prediction.shape} for x of shape {x.shape}")
            clean, noise = predictions.to_clean_and_noise(kind, prediction, x, curve, xp.asarray(now))
            if clip is not None:
                clean = clean.clip(*clip)
            moved = advance(x, clean, noise, Point.of(curve, now), Point.of(curve, after))
            x = xp.where(_mask(now != after, x), moved, x)
            yield Step(index, x, clean, after)

    return walk(x)


def _checked_levels(levels, x):
    """`levels` as float64 (steps + 1, B, T), or an InputError."""
    levels = checked(to_numpy(levels))
    frames = x.shape[:2]
    if levels.ndim not in (1, 3) or len(levels) < 2 or (levels.ndim == 3 and levels.shape[1:] != frames):
        raise InputError(
            f"levels of shape {levels.shape} don't fit a clip of (B, T) = {frames}; give (steps + 1,) or "
            f"(steps + 1, {frames[0]}, {frames[1]}), with at least 1 step"
        )
    if (np.diff(levels, axis=0) > 0).any():
        raise InputError("noise levels can't rise while sampling; list them from noise (1) down to clean (0)")
    if levels.ndim == 1:
        levels = levels[:, None, None]
    return np.broadcast_to(levels, (len(levels), *frames))


def _need(generator, sampler):
    if generator is None:
        raise InputError(f"{sampler} draws fresh noise: pass generator=numpy.random.default_rng(seed)")


def _mask(frames, like):
    """Boolean (B, T) ready to choose between arrays (B, T, ...)."""
    return array_module(like).asarray(frames).reshape(frames.shape + (1,) * (like.ndim - 2))


def _weighted(*weights_and_arrays):
    """weight * array + weight * array + ...: weights (B, T) in float64, the sum in the arrays' own dtype."""
    pairs = zip(weights_and_arrays[::2], weights_and_arrays[1::2])
    return sum(per_frame(weight, array) * array for weight, array in pairs)


def _ratio(above, below):
    """above / below, and 0 where below is 0 (only at the ends of a curve, where no frame can move on)."""
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _log_ratio(point):
    with np.errstate(divide="ignore"):
        return np.log(point.alpha) - np.log(point.sigma)  # -inf at pure noise, inf at clean


def _posterior(here, there):
    """x at `there` given x at `here` and clean is normal: weights of x and of clean, standard deviation.

    Ho et al. 2020, equation 7, for any curve and any pair of levels (Kingma et al. 2021, appendix A).
    """
    shrink = _ratio(here.alpha, there.alpha)  # from there to here: x shrinks by this,
    added = np.maximum(here.sigma**2 - (shrink * there.sigma) ** 2, 0)  # and noise of this variance comes in
    variance = here.sigma**2
    return (
        shrink * _ratio(there.sigma**2, variance),
        there.alpha * _ratio(added, variance),
        there.sigma * np.sqrt(_ratio(added, variance)),
    )
