"""Inpainting, in space and time: parts of a clip are known, and the rest is drawn to fit them."""

from ..base.backend import array_module
from .process import Process


def with_known(denoise, known, clean, process):
    """The same denoiser (x, noise_level) -> prediction, but right wherever the clean sample is known.

    known: boolean, (B, T, H, W, 1) or anything that broadcasts to clean. clean: (B, T, H, W, C), only read where known.
    Whatever the sampler, known parts then stay on their own way from noise to clean: at each level they are the clean
    sample with some noise, and at level 0 it alone. (RePaint, Lugmayr et al. 2022, overwrites x between the steps.)
    """

    def corrected(x, noise_level):
        prediction = denoise(x, noise_level)
        _, noise = Process(process.curve, "clean").to_clean_and_noise(clean, x, noise_level)
        return array_module(x).where(known, process.target(clean, noise, noise_level), prediction)

    return corrected
