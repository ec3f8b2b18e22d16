"""Parts of a clip that are known: the truth takes the place of the network's answer there; the rest is drawn to fit."""

from ..base.backend import array_module
from .predictions import target, to_clean_and_noise


def with_known(denoise, known, clean, curve, kind):
    """The same denoiser (x, noise_level) -> prediction, but right wherever the clean sample is known.

    known: boolean, (B, T, H, W, 1) or anything that broadcasts to clean. clean: (B, T, H, W, C), only read where known.
    curve, kind: of the process and of the prediction. Whatever the sampler, known parts then stay on their own way from
    noise to clean: at each level they are what the clean sample with some noise is, and at level 0 it alone.
    (Lugmayr et al. 2022, "RePaint", put the same in by overwriting x between steps.)
    """

    def corrected(x, noise_level):
        prediction = denoise(x, noise_level)
        _, noise = to_clean_and_noise("clean", clean, x, curve, noise_level)
        return array_module(x).where(known, target(kind, clean, noise, curve, noise_level), prediction)

    return corrected
