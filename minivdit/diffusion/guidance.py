"""Classifier-free guidance: go further in the direction in which the caption moves the prediction.

guided = unconditional + scale * (conditional - unconditional)    (Ho and Salimans 2022)

Over all channels, whatever the prediction is: the weights add up to 1, so guiding the noise, the
velocity or the clean sample is the same thing.
"""

import numpy as np

from ..backend import array_module
from ..errors import InputError
from .curves import per_frame


def guided(denoise_conditional, denoise_unconditional, guidance_scale):
    """A denoiser (x, noise_level) -> prediction that guides the first one away from the second.

    guidance_scale: a number (1: no guidance, the unconditional network isn't called), or a function
    from noise_level (B, T) to a scale for each frame, (B, T) or one number, such as `interval`.
    """

    def denoise(x, noise_level):
        scale = guidance_scale(noise_level) if callable(guidance_scale) else guidance_scale
        conditional = denoise_conditional(x, noise_level)
        if bool(np.all(scale == 1)):
            return conditional
        unconditional = denoise_unconditional(x, noise_level)
        return unconditional + per_frame(scale, x) * (conditional - unconditional)

    return denoise


def interval(scale, low, high):
    """A guidance scale that is `scale` at levels in [low, high] and 1 (none) elsewhere.

    Guidance at heavy noise costs variety and at light noise does little (Kynkäänniemi et al. 2024).
    """
    if not 0 <= low < high <= 1:
        raise InputError(f"guidance acts between two noise levels, 0 <= low < high <= 1; got {low} and {high}")

    def scale_at(level):
        return array_module(level).where((level >= low) & (level <= high), scale, 1.0)

    return scale_at
