"""A diffusion process is two curves and what the network predicts.

    x = alpha(t) * clean + sigma(t) * noise        the two curves, at noise level t; see curves.py
    predicted = a(t) * clean + b(t) * noise        noise: (0, 1); clean: (1, 0); velocity: (alpha', sigma')

The two lines are a linear change of variables. So from x and any prediction follows the pair (clean, noise), which is
all that a sampler sees, and any prediction works with any sampler.
"""

import math
from dataclasses import dataclass

from ..base.backend import array_module
from ..base.errors import InputError
from .curves import Curve, checked, make, per_frame

PREDICTIONS = ("noise", "velocity", "clean")


@dataclass(frozen=True)
class Process:
    """The curve of a process, and what the network predicts: one of PREDICTIONS.

    clean, noise, x and what is predicted have one shape, (B, T, ...). A level is a number or (B, T), in [0, 1].
    """

    curve: Curve
    prediction: str = "velocity"

    def __post_init__(self):
        if self.prediction not in PREDICTIONS:
            raise InputError(f"{self.prediction!r} is not a kind of prediction; choose one of {', '.join(PREDICTIONS)}")

    def require(self, levels):
        """Raise an InputError if at one of these levels the prediction doesn't tell the clean sample."""
        if self.prediction == "noise" and bool((self.curve.alpha(checked(levels)) == 0).any()):
            raise InputError(
                f"noise prediction can't start from level 1 of {self.curve.name}: alpha is 0 there, x is nothing but "
                "the noise, so knowing it says nothing about the clean sample; predict velocity or clean, or start "
                "below level 1"
            )

    def mix(self, clean, noise, level):
        """x at a level."""
        return self.curve.mix(clean, noise, level)

    def target(self, clean, noise, level):
        """What the network should predict for x at a level."""
        if self.prediction == "noise":
            return noise
        if self.prediction == "clean":
            return clean
        on_clean, on_noise = self.curve.velocity(level)
        return per_frame(on_clean, clean) * clean + per_frame(on_noise, noise) * noise

    def to_clean_and_noise(self, predicted, x, level):
        """The pair (clean, noise) that follows from x and a prediction.

        At level 0 the clean sample is x itself, to the last bit, whatever was predicted.
        Noise prediction where alpha is 0 is an InputError: see `require`.
        """
        level = checked(level)
        self.require(level)
        alpha, sigma = per_frame(self.curve.alpha(level), x), per_frame(self.curve.sigma(level), x)
        if self.prediction == "noise":
            clean, noise = (x - sigma * predicted) / alpha, predicted
        elif self.prediction == "clean":
            # At level 0 any noise fits; dividing by 1 instead of 0 gives some finite one.
            clean, noise = predicted, (x - alpha * predicted) / (sigma + (sigma == 0))
        else:
            # Cramer's rule on the two equations for x and the velocity; their determinant is 1 on every curve.
            on_clean, on_noise = (per_frame(rate, x) for rate in self.curve.velocity(level))
            clean, noise = on_noise * x - sigma * predicted, alpha * predicted - on_clean * x
        return array_module(x).where(sigma == 0, x, clean), noise

    def velocity_weight(self, level, floor=0.05):
        """Weight (the level's shape) that turns a squared error of the prediction into one of the velocity.

        With x given, an error e of the clean sample is an error e / sigma of the velocity, and an error e
        of the noise is e / alpha. `floor` is the smallest sigma or alpha that is divided by.
        """
        if self.prediction == "velocity":
            return array_module(level).ones_like(level)
        divisor = self.curve.sigma(level) if self.prediction == "clean" else self.curve.alpha(level)
        return 1 / array_module(divisor).maximum(divisor, floor) ** 2


@dataclass(frozen=True)
class ProcessSettings:
    """A Process as settings spell it, in presets and in files of weights: by names and numbers.

    curve: one of CURVES. shift: of rectified flow, above 0; more trains and samples more at heavy noise. prediction:
    one of PREDICTIONS. shift_tokens: 0, or a number of tokens from which on the shift grows with a clip's own number;
    see length_shift. InputError for a process that can't start from noise.
    """

    curve: str = "rectified_flow"
    shift: float = 1.0
    prediction: str = "velocity"
    shift_tokens: int = 0

    def __post_init__(self):
        self.process.require(1.0)
        if self.shift_tokens < 0:
            raise InputError(f"shift_tokens is a number of tokens, 0 for no change, not {self.shift_tokens}")
        if self.shift_tokens and self.curve != "rectified_flow":
            raise InputError(f"only rectified_flow has a shift; set shift_tokens=0 with {self.curve}")

    @property
    def process(self):
        """The Process of these settings."""
        return Process(make(self.curve, shift=self.shift), self.prediction)

    def length_shift(self, tokens):
        """How far the levels of a clip of so many tokens are shifted, on top of the curve: 1 if shift_tokens is 0.

        Neighbouring tokens show much of the same, so the more there are, the more noise it takes to hide what they
        show. Averaged over N equal tokens, noise falls with sqrt(N); a shift by sqrt(N / shift_tokens) makes up for
        that (Esser et al. 2024, "Stable Diffusion 3", equation 23; for clips Open-Sora 1.2, Zheng et al. 2024). Levels
        are shifted and the curve is not, so that a level means the same noise to the network at every length.
        """
        return math.sqrt(tokens / self.shift_tokens) if self.shift_tokens else 1.0
