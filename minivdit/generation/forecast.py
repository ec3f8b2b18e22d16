"""What drawing will cost, before anything is drawn: whether it fits into memory, and how many FLOPs it takes."""

import math

import numpy as np

from ..base import machine
from ..base.errors import InputError
from ..diffusion import window_starts
from ..models import costs
from ..models.patches import clip_grid

COPIES = 4  # of a clip's pixels in memory: as given, as decoded, the result, and the result again while it is joined


def require_memory(model, clips, num_frames, size, kept=0):
    """Raise InputError, with the most that fits, if drawing these clips at once needs more memory than is free.

    model: a TextToVideo. num_frames, size (height, width) in pixels: what the patches divide. kept: how many frames
    the whole clip has, if this is a part of one. Of several ranks, those on this machine share its memory.
    """
    config, pixels, ranks = model.transformer.config, model.autoencoder.config, model.ranks
    copies = COPIES * -(-ranks.size // ranks.machines)  # each rank has all pixels
    a_frame = copies * costs.FLOAT * pixels.image_channels * math.prod(size)
    if kept > num_frames:
        machine.require_memory(lambda frames: clips * frames * a_frame, kept, "frames")

    def bytes_for(clips, num_frames=num_frames):  # at the widest moment, inside the transformer or inside the decoder
        grid = clip_grid(num_frames, size, pixels, config.patch_size)
        transformer = costs.working_memory(config, grid, 2 * clips)  # guided: with the caption and without
        at_once = num_frames if pixels.time_factor == 1 else pixels.time_factor  # a causal one goes step by step
        decoder = costs.autoencoder_cost(pixels, at_once, size, clips=clips).working
        return max(transformer, decoder) // ranks.machines + clips * num_frames * a_frame

    free = machine.available_memory()
    if free is None or bytes_for(clips) <= free:
        return
    side = config.patch_size[0]
    most = machine.largest_that_fits(free, bytes_for)
    longest = machine.largest_that_fits(free, lambda patches: bytes_for(1, pixels.frames(patches * side)))
    longest = longest and pixels.frames(longest * side)
    if most:
        cure = f"draw {most} at a time"
    elif longest:
        cure = f"the longest clip of this size that fits has {longest} frames; use `extend` or an overlap to get more"
    else:
        cure = "choose a smaller size: not even one frame fits"
    raise InputError(
        f"{clips} x {num_frames} frames of {size[0]}x{size[1]} need about {machine.amount(bytes_for(clips))} of memory "
        f"and {machine.amount(free)} are free; {cure}"
    )


def teller(progress, part, model, shape, levels, guided, windows=None):
    """A function of the number of steps done that tells `progress`: see TextToVideo.denoise.

    shape: of the clips. levels: (steps + 1, B, T); where they rise, the network isn't called. windows: (window,
    overlap) in frames, where they are drawn in windows.
    """
    if progress is None:
        return lambda done: None
    clips, num_frames, *size, _ = shape
    steps = int((np.diff(levels, axis=0) <= 0).all(axis=(1, 2)).sum())
    if windows:
        clips, num_frames = clips * len(window_starts(num_frames, *windows)), min(num_frames, windows[0])
    config, (before, parts) = model.transformer.config, part
    grid = clip_grid(num_frames, size, model.autoencoder.config, config.patch_size)
    flops = parts * costs.clip_cost(config, grid, clips).sampling_flops(steps, guided)
    return lambda done: progress(before * steps + done, parts * steps, flops)
