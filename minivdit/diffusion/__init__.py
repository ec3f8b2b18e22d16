"""A diffusion process is two curves; every sampler sees only the pair (clean, noise).

    curve = make("rectified_flow")
    x = curve.mix(clean, noise, training_levels(generator, batch, num_frames))
    clip = sample(denoise, noise, level_matrix(steps, batch, num_frames), curve=curve)

curves.py: the two curves. predictions.py: what the network predicts. levels.py: which levels, in training
and in sampling. samplers.py: the steps between them. guidance.py: following the caption more closely. known.py: parts
of a clip that are given.
"""

from .curves import CURVES, Curve, make
from .guidance import guided, interval
from .inpainting import with_known
from .levels import level_matrix, training_levels, uniform_levels
from .predictions import KINDS, target, to_clean_and_noise, velocity_weight
from .samplers import SAMPLERS, Step, sample, steps

__all__ = [
    "CURVES",
    "KINDS",
    "SAMPLERS",
    "Curve",
    "Step",
    "guided",
    "interval",
    "level_matrix",
    "make",
    "sample",
    "steps",
    "target",
    "to_clean_and_noise",
    "training_levels",
    "uniform_levels",
    "velocity_weight",
    "with_known",
]
