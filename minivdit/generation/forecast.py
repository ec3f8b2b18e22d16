"""What drawing will cost: whether it fits into memory, and how many FLOPs it is, known before anything is drawn."""

import math

from ..base import machine
from ..base.errors import InputError
from ..models import costs
from ..models.patches import clip_grid

COPIES = 4  # of a clip's pixels in memory: what is given, what was decoded, the result, and its like while it is joined


def require_memory(model, clips, num_frames, size, kept=0):
    """Raise InputError, with the most that fits, if so many clips of this kind don't fit into memory.

    model: a TextToVideo. size: (height, width) in pixels, which the patches divide, as they do num_frames. kept: frames
    of the whole clip, if what is drawn at a time is a part of it.
    """
    config, pixels = model.transformer.config, model.autoencoder.config
    a_frame = COPIES * costs.FLOAT * pixels.image_channels * math.prod(size)
    if kept > num_frames:
        machine.require_memory(lambda frames: clips * frames * a_frame, kept, "frames")

    def bytes_for(clips, num_frames=num_frames):  # the widest moments: inside the transformer, and inside the decoder
        grid = clip_grid(num_frames, size, pixels.factor, config.patch_size)
        decoder = costs.autoencoder_cost(pixels, clips * num_frames, size)
        # guided: with the caption and without
        return max(costs.working_memory(config, grid, 2 * clips), decoder.working) + clips * num_frames * a_frame

    free = machine.available_memory()
    if free is None or bytes_for(clips) <= free:
        return
    side = config.patch_size[0]
    most = machine.largest_that_fits(free, bytes_for)
    longest = machine.largest_that_fits(free, lambda patches: bytes_for(1, patches * side)) * side
    if most:
        cure = f"draw {most} at a time"
    elif longest:
        cure = f"the longest clip of this size that fits has {longest} frames; extend it in turns to get more"
    else:
        cure = "choose a smaller size: not even one frame fits"
    raise InputError(
        f"{clips} x {num_frames} frames of {size[0]}x{size[1]} need about {machine.amount(bytes_for(clips))} of memory "
        f"and {machine.amount(free)} are free; {cure}"
    )


def teller(progress, part, model, shape, steps, guided):
    """A function of the number of steps done that tells `progress`: see TextToVideo.denoise. shape: of the clips."""
    if progress is None:
        return lambda done: None
    clips, num_frames, *size, _ = shape
    config, (before, parts) = model.transformer.config, part
    grid = clip_grid(num_frames, size, model.autoencoder.config.factor, config.patch_size)
    flops = parts * costs.clip_cost(config, grid, clips).sampling_flops(steps, guided)
    return lambda done: progress(before * steps + done, parts * steps, flops)
