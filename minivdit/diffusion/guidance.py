"""Classifier-free guidance: go further in the direction in which the caption moves the prediction.

guided = unconditional + scale * (conditional - unconditional)    (Ho and Salimans 2022)

Over all channels, whatever the prediction is: the weights add up to 1, so guiding the noise, the
velocity or the clean sample is the same thing.
"""

import numpy as np

from ..base.backend import array_module
from ..base.errors import InputError
from .curves import per_frame


def guided(denoise, condition, no_condition, guidance_scale):
    """A denoiser (x, noise_level) -> prediction that follows the condition more closely than the network does.

    denoise: (x, noise_level, condition) -> prediction. condition, no_condition: arrays of the same length as x,
    such as the tokens of captions and of empty ones; both go through the network in one call.
    guidance_scale: a number (1: no guidance, nothing is computed without the condition), or a function
    from noise_level (B, T) to a scale for each frame, (B, T) or one number, such as `interval`.
    """

    def denoise_guided(x, noise_level):
        xp = array_module(x)
        scale = guidance_scale(noise_level) if callable(guidance_scale) else guidance_scale
        if bool(np.all(scale == 1)):
            return denoise(x, noise_level, condition)
        twice = [xp.concatenate(pair) for pair in ((x, x), (noise_level, noise_level), (condition, no_condition))]
        conditional, unconditional = xp.split(denoise(*twice), 2)
        return unconditional + per_frame(scale, x) * (conditional - unconditional)

    return denoise_guided


def interval(scale, low, high):
    """A guidance scale that is `scale` at levels in [low, high] and 1 (none) elsewhere.

    Guidance at heavy noise costs variety and at light noise does little (Kynkäänniemi et al. 2024).
    """
    if not 0 <= low < high <= 1:
        raise InputError(f"guidance acts between two noise levels, 0 <= low < high <= 1; got {low} and {high}")

    def scale_at(level):
        return array_module(level).where((level >= low) & (level <= high), scale, 1.0)

    return scale_at
