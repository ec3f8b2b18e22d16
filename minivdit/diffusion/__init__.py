"""A diffusion process is two curves and what the network predicts; every sampler sees only the pair (clean, noise).

    process = Process(make("rectified_flow"), "velocity")
    x = process.mix(clean, noise, training_levels(generator, batch, num_frames))
    clip = sample(denoise, noise, level_matrix(steps, batch, num_frames), process)

curves.py: the two curves. process.py: with what the network predicts. levels.py: which noise levels, in training and in
sampling. samplers.py: the steps from one level to the next. guidance.py: following the caption more closely.
inpainting.py: parts of a clip that are known. windows.py: clips that are longer than those in training.
"""

from .curves import CURVES, Curve, make
from .guidance import guided, interval
from .inpainting import with_known
from .levels import level_matrix, resampled, training_levels, uniform_levels
from .process import PREDICTIONS, Process, ProcessSettings
from .samplers import SAMPLERS, SamplingSettings, Step, sample, steps
from .windows import blended, window_starts
