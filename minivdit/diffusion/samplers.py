"""Samplers: from noise to a clip, one step at a time.

At each step the network's prediction becomes the pair (clean, noise), and x at the next, lower level is a weighted sum:

    x at the next level = w_clean * clean + w_noise * noise + w_x * x + w_fresh * fresh noise

Samplers differ in these weights, and in nothing else. A sampler is a rule that reads them off the curve:

    euler       a straight line along the curve's velocity
    ddim        the same pair, mixed anew at the next level; eta adds fresh noise (Song et al. 2020)
    ddpm        a draw from the exact posterior given the clean sample (Ho et al. 2020)
    dpm_solver  DPM-Solver++ 2M: ddim, with clean extrapolated from two steps (Lu et al. 2022)

On rectified flow euler and ddim with eta = 0 are the same.

`levels` (steps + 1, B, T) gives each frame its own way down. A frame whose level doesn't change in a
step is left bit-unchanged, so a frame that is at level 0 all along is a frame that is given. Where levels rise, x goes
back under noise, without a call of the network; see levels.resampled.
`steps` is a generator that yields a Step after each step; `sample` only returns the end.
"""

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.backend import array_module, normal, to_numpy
from ..base.errors import InputError
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


class Moment:
    """A curve at the levels (B, T) of one moment: alpha, sigma, clock and velocity, in NumPy and float64."""

    def __init__(self, curve, level):
        self.curve, self.level = curve, level

    alpha = functools.cached_property(lambda self: self.curve.alpha(self.level))
    sigma = functools.cached_property(lambda self: self.curve.sigma(self.level))
    clock = functools.cached_property(lambda self: self.curve.clock(self.level))
    velocity = functools.cached_property(lambda self: self.curve.velocity(self.level))

    @property
    def log_ratio(self):
        """The log of alpha / sigma: -inf at pure noise, inf at clean."""
        with np.errstate(divide="ignore"):
            return np.log(self.alpha) - np.log(self.sigma)


@dataclass(frozen=True)
class Coefficients:
    """The weights of the sum that is x at the next level: each (B, T), or None for what isn't in the sum.

    change: before the sum, so much of the change of clean since a frame's last step is added to clean.
    """

    clean: np.ndarray
    noise: np.ndarray | None = None
    x: np.ndarray | float | None = None
    fresh: np.ndarray | None = None
    change: np.ndarray | None = None


# The rules. A step leads from the moment `here` to the moment `there`; `past` is where each frame's last step began. In
# a frame's first step it is `here`.


def euler(past, here, there):
    """Follow the velocity in a straight line; first order."""
    step = there.clock - here.clock
    on_clean, on_noise = here.velocity
    return Coefficients(step * on_clean, step * on_noise, x=1.0)


def ddim(past, here, there, eta=0.0):
    """Mix the predicted pair again at the next level; eta in [0, 1] is the share of noise that is fresh.

    eta = 0 draws nothing and is first order; eta = 1 is ddpm (up to `clip`).
    """
    if not 0 <= eta <= 1:
        raise InputError(f"eta lies in [0, 1] (0 deterministic, 1 as random as DDPM); got {eta}")
    fresh = eta * posterior(here, there).fresh
    kept = np.sqrt(np.maximum(there.sigma**2 - fresh**2, 0))
    return Coefficients(there.alpha, kept, fresh=fresh if eta > 0 else None)


def ddpm(past, here, there):
    """Draw x at the next level from its distribution given x and clean."""
    return posterior(here, there)


def dpm_solver(past, here, there):
    """DPM-Solver++ 2M (Lu et al. 2022, algorithm 2): second order at one call of the network a step.

    In the log of the signal-to-noise ratio the way from x to the next level is exact but for how clean
    changes meanwhile; that is extrapolated from the last step. First order in a frame's first step and
    wherever the ratio is 0 or infinite.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ahead, behind = there.log_ratio - here.log_ratio, here.log_ratio - past.log_ratio
        second_order = np.isfinite(ahead) & np.isfinite(behind) & (past.level != here.level)
        change = np.where(second_order, ahead / (2 * behind), 0)
    on_x = _ratio(there.sigma, here.sigma)
    return Coefficients(there.alpha - here.alpha * on_x, x=on_x, change=change)


def posterior(here, there):
    """x at `there` given x at `here` and clean is normal: the weights of its mean, and `fresh`, its deviation.

    Ho et al. 2020, equation 7, for any curve and any pair of levels (Kingma et al. 2021, appendix A).
    """
    shrink, added = _noising(there, here)
    variance = here.sigma**2
    return Coefficients(
        clean=there.alpha * _ratio(added, variance),
        x=shrink * _ratio(there.sigma**2, variance),
        fresh=there.sigma * np.sqrt(_ratio(added, variance)),
    )


def _noising(here, there):
    """From `here` to a higher level x shrinks by the first of these, and noise of the second as variance comes in."""
    shrink = _ratio(there.alpha, here.alpha)
    return shrink, np.maximum(there.sigma**2 - (shrink * here.sigma) ** 2, 0)


SAMPLERS = {"euler": euler, "ddim": ddim, "ddpm": ddpm, "dpm_solver": dpm_solver}


def steps(denoise, noise, levels, process, *, sampler="euler", generator=None, clip=None, **options):
    """A generator of Steps by the sampler of this name (one of SAMPLERS).

    denoise(x, noise_level): the network; x (B, T, H, W, C), noise_level (B, T) in x's dtype; returns a
        prediction shaped like x.
    noise: x at the first levels, (B, T, H, W, C): noise, and the clean frames where frames are given.
    levels: (steps + 1,), or (steps + 1, B, T); see levels.level_matrix. Where some rise, none may fall, and no Step
        comes of it; see levels.resampled.
    process: what the network was trained with.
    generator: numpy Generator of the fresh noise; needed by ddpm, by ddim with eta above 0, and where levels rise.
    clip: (low, high) that the predicted clean sample is clipped to (the noise of the pair stays), or None.
    options: eta, for ddim.
    """
    SamplingSettings(sampler)  # says if there is none of this name
    levels = _checked_levels(levels, noise)
    process.require(levels[:-1])
    rule = functools.partial(SAMPLERS[sampler], **options)
    here, there = (Moment(process.curve, level) for level in levels[:2])
    rising = bool((np.diff(levels, axis=0) > 0).any())
    if generator is None and (rising or rule(here, here, there).fresh is not None):
        drawing = f"{sampler} with eta above 0" if options else f"{sampler} with rising levels" if rising else sampler
        raise InputError(f"{drawing} draws fresh noise: pass generator=numpy.random.default_rng(seed)")
    return _walk(denoise, noise, levels, process, rule, generator, clip)


def sample(denoise, noise, levels, process, **options):
    """The clip at the end of `steps`, (B, T, H, W, C); same arguments."""
    for step in steps(denoise, noise, levels, process, **options):
        last = step
    return last.x


def _walk(denoise, x, levels, process, rule, generator, clip):
    """The Steps: at each, predict, ask the rule for its weights, add up."""
    xp, past_levels, past_clean = array_module(x), levels[0], None  # of each frame's last step
    index = itertools.count()
    for level, after in itertools.pairwise(levels):
        if (after > level).any():
            shrink, added = _noising(*(Moment(process.curve, each) for each in (level, after)))
            fresh = normal(generator, x.shape, x.dtype)
            noised = _sum((shrink, x), (np.sqrt(added), fresh))
            x, past_levels = xp.where(per_frame(level != after, x, bool), noised, x), after
            continue
        predicted = denoise(x, xp.asarray(level, dtype=x.dtype))
        if predicted.shape != x.shape:
            raise ValueError(f"denoise returned shape {predicted.shape} for x of shape {x.shape}")
        clean, noise = process.to_clean_and_noise(predicted, x, xp.asarray(level))
        if clip is not None:
            clean = clean.clip(*clip)
        weights = rule(*(Moment(process.curve, each) for each in (past_levels, level, after)))
        moves = level != after
        moving, guess = per_frame(moves, x, bool), clean
        if weights.change is not None:
            if past_clean is not None:
                guess = clean + per_frame(weights.change, x) * (clean - past_clean)
            past_clean = clean if past_clean is None else xp.where(moving, clean, past_clean)
        fresh = None if weights.fresh is None else normal(generator, x.shape, x.dtype)
        moved = _sum((weights.clean, guess), (weights.noise, noise), (weights.x, x), (weights.fresh, fresh))
        x, past_levels = xp.where(moving, moved, x), np.where(moves, level, past_levels)
        yield Step(next(index), x, clean, after)


def _sum(*weighted):
    """weight * array + weight * array + ...: weights (B, T) in float64, the sum in the arrays' own dtype."""
    return sum(per_frame(weight, array) * array for weight, array in weighted if weight is not None)


def _ratio(above, below):
    """above / below, and 0 where below is 0 (only at the ends of a curve, where no frame can move on)."""
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def _checked_levels(levels, x):
    """`levels` as float64 (steps + 1, B, T), or an InputError."""
    levels = checked(to_numpy(levels))
    frames = x.shape[:2]
    if levels.ndim not in (1, 3) or len(levels) < 2 or (levels.ndim == 3 and levels.shape[1:] != frames):
        raise InputError(
            f"levels of shape {levels.shape} don't fit a clip of (B, T) = {frames}; give (steps + 1,) or "
            f"(steps + 1, {frames[0]}, {frames[1]}), with at least 1 step"
        )
    change = np.diff(levels, axis=0).reshape(len(levels) - 1, -1)
    if (levels[-1] > levels[0]).any() or ((change > 0).any(axis=1) & (change < 0).any(axis=1)).any():
        raise InputError(
            "noise levels lead from noise (1) to clean (0): no frame may end at a higher level than it began at, and "
            "in one step levels may rise or fall, not both"
        )
    if levels.ndim == 1:
        levels = levels[:, None, None]
    return np.broadcast_to(levels, (len(levels), *frames))


@dataclass(frozen=True)
class SamplingSettings:
    """How clips are drawn unless told otherwise; InputError if none could be drawn so.

    sampler: one of SAMPLERS. guidance_scale: see guidance.guided.
    """

    sampler: str = "ddpm"
    steps: int = 40
    guidance_scale: float = 3.0

    def __post_init__(self):
        if self.sampler not in list(SAMPLERS):
            raise InputError(f"{self.sampler!r} is not a sampler; choose one of {', '.join(SAMPLERS)}")
        if not 1 <= self.steps <= MOST_STEPS:
            raise InputError(f"sampling takes at least 1 step and at most {MOST_STEPS:,}; got {self.steps}")
        if not -np.inf < self.guidance_scale < np.inf:
            raise InputError(
                f"guidance_scale is a number, 1 for none and 2 to 4 for a strong pull; got {self.guidance_scale}"
            )
