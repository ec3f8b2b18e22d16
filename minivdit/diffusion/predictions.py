"""What the network predicts, and the change of variables from it to the pair (clean, noise).

A network may predict the noise, the velocity or the clean sample. Since x = alpha * clean + sigma * noise
is known too, each is a linear change of variables to the same pair, and samplers only ever see that pair.
"""

from ..base.backend import array_module
from ..base.errors import InputError
from .curves import checked, per_frame

KINDS = ("noise", "velocity", "clean")


def check(kind, curve, levels=1.0):
    """Raise an InputError if `kind` is unknown, or can't give the clean sample at one of `levels`."""
    if kind not in KINDS:
        raise InputError(f"{kind!r} is not a kind of prediction; choose one of {', '.join(KINDS)}")
    if kind == "noise" and bool((curve.alpha(checked(levels)) == 0).any()):
        raise InputError(
            f"noise prediction can't start from level 1 of {curve.name}: alpha is 0 there, x is nothing but the noise, "
            "so knowing it says nothing about the clean sample; predict velocity or clean, or start below level 1"
        )


def target(kind, clean, noise, curve, level):
    """What a network of this kind should answer at `level` (B, T); shaped like clean (B, T, ...)."""
    check(kind, curve, 0.0)
    if kind == "noise":
        return noise
    if kind == "clean":
        return clean
    on_clean, on_noise = curve.velocity(level)
    return per_frame(on_clean, clean) * clean + per_frame(on_noise, noise) * noise


def to_clean_and_noise(kind, prediction, x, curve, level):
    """(clean, noise), both shaped like x (B, T, ...), from a prediction of this kind at `level` (B, T).

    At level 0 the clean sample is x itself, to the last bit, whatever was predicted.
    Noise prediction where alpha is 0 is an InputError: see `check`.
    """
    level = checked(level)
    check(kind, curve, level)
    alpha, sigma = per_frame(curve.alpha(level), x), per_frame(curve.sigma(level), x)
    if kind == "noise":
        clean, noise = (x - sigma * prediction) / alpha, prediction
    elif kind == "velocity":
        # Cramer's rule on the two equations for x and the velocity; their determinant is 1 on every curve.
        on_clean, on_noise = (per_frame(rate, x) for rate in curve.velocity(level))
        clean, noise = on_noise * x - sigma * prediction, alpha * prediction - on_clean * x
    else:
        # At level 0 any noise fits; dividing by 1 instead of 0 gives some finite one.
        clean, noise = prediction, (x - alpha * prediction) / (sigma + (sigma == 0))
    return array_module(x).where(sigma == 0, x, clean), noise


def velocity_weight(kind, curve, level, floor=0.05):
    """Weight (the level's shape) that turns a squared error of this kind into one of the velocity.

    With x given, an error e of the clean sample is an error e / sigma of the velocity, and an error e
    of the noise is e / alpha. `floor` is the smallest sigma or alpha that is divided by.
    """
    check(kind, curve, 0.0)
    if kind == "velocity":
        return array_module(level).ones_like(level)
    divisor = curve.sigma(level) if kind == "clean" else curve.alpha(level)
    return 1 / array_module(divisor).maximum(divisor, floor) ** 2
