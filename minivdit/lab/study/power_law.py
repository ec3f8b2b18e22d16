"""Loss as a power of compute: a straight line through logarithms, and what it says of a training not made yet.

Kaplan et al. 2020 found that losses of language models fall so over many powers of ten; Peebles and Xie 2023 saw that
diffusion transformers get better with their FLOPs. There is no constant term here, so the law can't hold for ever: a
loss that no training gets below would show as trainings that come out above the line.
"""

import dataclasses

import numpy as np

from ...base.errors import InputError
from ..evaluation.statistics import student_t


@dataclasses.dataclass(frozen=True)
class PowerLaw:
    """loss = scale * compute ** -exponent.

    error: standard deviation of the logarithm of a loss around the line; NaN of two points, through which it always
    goes. n: points. centre, spread: mean and sum of squared deviations of their log compute.
    """

    scale: float
    exponent: float
    error: float
    n: int
    centre: float
    spread: float

    @classmethod
    def fit(cls, compute, losses):
        """By least squares in logarithms. compute, losses: as many positive numbers, of two amounts of compute or more.

        InputError for anything else.
        """
        compute, losses = np.asarray(compute, float), np.asarray(losses, float)
        positive = all((array > 0).all() and np.isfinite(array).all() for array in (compute, losses))
        if not positive or compute.shape != losses.shape or len(np.unique(compute)) < 2:
            raise InputError("a power law is fitted to positive losses at two amounts of compute or more")
        x, y = np.log(compute), np.log(losses)
        spread = float(((x - x.mean()) ** 2).sum())
        slope = float(((x - x.mean()) * y).sum()) / spread
        off = y - y.mean() - slope * (x - x.mean())
        error = float(np.sqrt((off**2).sum() / (len(x) - 2))) if len(x) > 2 else np.nan
        return cls(float(np.exp(y.mean() - slope * x.mean())), -slope, error, len(x), float(x.mean()), spread)

    def __call__(self, compute):
        """The loss on the line, for a number or an array."""
        return self.scale * np.asarray(compute, float) ** -self.exponent

    def interval(self, compute):
        """(low, high): where 95% of single trainings with this compute would end, as Student's t has it.

        It is wide for few points, and wider the further away from them. NaN of two points.
        """
        if not self.n > 2:
            return np.nan, np.nan
        away = (np.log(compute) - self.centre) ** 2 / self.spread
        half = student_t(self.n - 2) * self.error * np.sqrt(1 + 1 / self.n + away)
        return self(compute) * np.exp(-half), self(compute) * np.exp(half)
