"""A diffusion process is two curves: x_t = alpha(t) * clean + sigma(t) * noise.

t is the noise level: 0 is clean, 1 is pure noise. DDPM linear, DDPM cosine, zero-terminal-SNR and
rectified flow differ in these curves and in nothing else.

Each curve also has a *velocity*, a second weighted sum of the same pair: a' * clean + s' * noise, the
speed of x along the curve when the time is read off the curve's natural clock (sigma for the straight
lines of rectified flow, the angle between clean and noise for the quarter circles of the others).
Every curve keeps alpha * s' - sigma * a' = 1, so (x, velocity) is turned back into (clean, noise)
without any division: see process.py.
"""

import numpy as np

from ..base.backend import array_module
from ..base.errors import InputError


def per_frame(coefficient, like, dtype=None):
    """A coefficient for each frame, (B, T) or a number, made ready to multiply `like` (B, T, H, W, C).

    dtype: that of `like` unless given.
    """
    coefficient = array_module(like).asarray(coefficient, dtype=dtype or like.dtype)
    return coefficient.reshape(coefficient.shape + (1,) * (like.ndim - coefficient.ndim))


class Curve:
    """What all curves share. A subclass gives `name`, `_pair`, `_rates` and `_clock`, all in float64.

    Levels are numbers or arrays of any shape in [0, 1]; results have the shape and dtype of the level.
    A level outside [0, 1] is an InputError.
    """

    def alpha(self, level):
        """How much of the clean sample is left: 1 at level 0, falling."""
        return _like(level, self._pair(checked(level))[0])

    def sigma(self, level):
        """How much noise there is: 0 at level 0, rising to 1."""
        return _like(level, self._pair(checked(level))[1])

    def velocity(self, level):
        """(a', s') with velocity = a' * clean + s' * noise.

        Rectified flow: noise - clean (Liu et al. 2022). The others: alpha * noise - sigma * clean
        (Salimans and Ho 2022).
        """
        return tuple(_like(level, rate) for rate in self._rates(*self._pair(checked(level))))

    def clock(self, level):
        """The time in which the velocity is the speed of x: d x = velocity * d clock."""
        return _like(level, self._clock(*self._pair(checked(level))))

    def mix(self, clean, noise, level):
        """x_t, for arrays (B, T, ...) and levels (B, T) or one number."""
        return per_frame(self.alpha(level), clean) * clean + per_frame(self.sigma(level), noise) * noise


class RectifiedFlow(Curve):
    """A straight line from clean to noise: alpha = 1 - sigma, with sigma = the shifted level.

    Liu et al. 2022, "Flow Straight and Fast". shift > 1 gives more of the levels to heavy noise
    (Esser et al. 2024, Stable Diffusion 3, equation 23).
    """

    name = "rectified_flow"

    def __init__(self, shift=1.0):
        self.shift = checked_shift(shift)

    def _pair(self, level):
        sigma = shifted(level, self.shift)
        return 1 - sigma, sigma

    def _rates(self, alpha, sigma):
        return -array_module(sigma).ones_like(sigma), array_module(sigma).ones_like(sigma)

    def _clock(self, alpha, sigma):
        return sigma


class VariancePreserving(Curve):
    """alpha^2 + sigma^2 = 1, from a table of alpha_bar = alpha^2 at `len(alpha_bar)` equal steps.

    Entry i of the table (step i of the discrete process, counted from 0) is level (i + 1) / steps;
    level 0 is clean; in between alpha_bar is interpolated linearly.
    """

    def __init__(self, name, alpha_bar):
        self.name = name
        self.alpha_bar = np.concatenate([[1.0], alpha_bar])
        self._tables = {np: (np.linspace(0, 1, len(self.alpha_bar)), self.alpha_bar)}  # by array library

    def _pair(self, level):
        xp = array_module(level)
        if xp not in self._tables:
            self._tables[xp] = tuple(xp.asarray(table) for table in self._tables[np])
        alpha_bar = xp.interp(level, *self._tables[xp])
        return xp.sqrt(alpha_bar), xp.sqrt(1 - alpha_bar)

    def _rates(self, alpha, sigma):
        return -sigma, alpha  # alpha = cos(angle), sigma = sin(angle), differentiated by the angle

    def _clock(self, alpha, sigma):
        return array_module(sigma).arctan2(sigma, alpha)


def linear_table(steps=1000, beta_start=1e-4, beta_end=0.02):
    """alpha_bar of the linear schedule (Ho et al. 2020): beta, the variance added at each step, rises evenly."""
    return np.cumprod(1 - np.linspace(beta_start, beta_end, steps))


def cosine_table(steps=1000, offset=0.008):
    """alpha_bar of the cosine schedule (Nichol and Dhariwal 2021, equation 17), each beta at most 0.999."""
    level = np.arange(steps + 1) / steps
    wanted = np.cos((level + offset) / (1 + offset) * np.pi / 2) ** 2
    beta = np.minimum(1 - wanted[1:] / wanted[:-1], 0.999)
    return np.cumprod(1 - beta)


def rescale_to_zero_terminal_snr(alpha_bar):
    """The same table, shifted and scaled so that its last entry is exactly 0 and its first unchanged.

    Usual schedules leave a trace of the clean sample at the last step, so sampling from pure noise
    starts with a brightness the network never saw (Lin et al. 2023, algorithm 1).
    """
    alpha = np.sqrt(alpha_bar)
    return ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2


def shifted(level, shift):
    """The level moved towards noise: s t / (1 + (s - 1) t); 0 and 1 stay where they are."""
    return shift * level / (1 + (shift - 1) * level)


def zero_terminal_table(**options):
    """The linear schedule with nothing of the clean sample left at its end."""
    return rescale_to_zero_terminal_snr(linear_table(**options))


TABLES = {"ddpm_linear": linear_table, "ddpm_cosine": cosine_table, "zero_terminal_snr": zero_terminal_table}
CURVES = ("rectified_flow", *TABLES)


def make(name, shift=1.0, **options):
    """The curve called `name`, one of CURVES.

    shift: of rectified_flow alone; 1 changes nothing. Options of the others: steps=1000, and for ddpm_linear and
    zero_terminal_snr beta_start=1e-4, beta_end=0.02, for ddpm_cosine offset=0.008.
    """
    if name not in CURVES:
        raise InputError(f"{name!r} is not a noise curve; choose one of {', '.join(CURVES)}")
    if name == "rectified_flow":
        return RectifiedFlow(shift, **options)
    if shift != 1:
        raise InputError(f"only rectified_flow has a shift; set shift=1 with {name}")
    return VariancePreserving(name, TABLES[name](**options))


def checked(level):
    """The level as a float64 array, or an InputError if any of it is outside [0, 1].

    Levels on a GPU are taken as they are: it would have to finish all its work before it could answer. What training
    and sampling put there was drawn, and checked, on the CPU.
    """
    xp = array_module(level)
    values = xp.asarray(level, dtype=np.float64)
    if xp is np and not ((values >= 0) & (values <= 1)).all():  # also false for NaN
        low, high = float(values.min()), float(values.max())
        raise InputError(f"a noise level lies in [0, 1], 0 clean and 1 pure noise; got {low:g} to {high:g}")
    return values


def checked_shift(shift):
    if not 0 < shift < np.inf:
        raise InputError(f"the shift of rectified flow is a number above 0 (1 changes nothing); got {shift}")
    return float(shift)


def _like(level, values):
    """Results are computed in float64 and handed back in the dtype of the level (numbers stay float64)."""
    return values.astype(level.dtype) if hasattr(level, "dtype") else values[()]
