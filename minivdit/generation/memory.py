"""How large a request may be: asked before anything is drawn."""

from .. import costs
from ..errors import InputError
from ..models.patches import clip_grid


def require_memory(model, clips, num_frames, size):
    """Raise InputError, with the most that fits, if so many clips of this kind don't fit into memory.

    model: a TextToVideo. size: (height, width) in pixels, which the patches divide, as they do num_frames.
    """
    config, pixels = model.transformer.config, model.autoencoder.config

    def bytes_for(clips, num_frames=num_frames):  # the widest moments: inside the transformer, and inside the decoder
        grid = clip_grid(num_frames, size, pixels.factor, config.patch_size)
        decoder = costs.autoencoder_cost(pixels, clips * num_frames, size)
        # guided: with the caption and without
        return max(costs.working_memory(config, grid, 2 * clips), decoder.working)

    free = costs.available_memory()
    if free is None or bytes_for(clips) <= free:
        return
    side = config.patch_size[0]
    most = costs.largest_that_fits(free, bytes_for)
    longest = costs.largest_that_fits(free, lambda patches: bytes_for(1, patches * side)) * side
    if most:
        cure = f"draw {most} at a time"
    elif longest:
        cure = f"the longest clip of this size that fits has {longest} frames; extend it in turns to get more"
    else:
        cure = "choose a smaller size: not even one frame fits"
    raise InputError(
        f"{clips} x {num_frames} frames of {size[0]}x{size[1]} need about {costs.amount(bytes_for(clips))} of memory "
        f"and {costs.amount(free)} are free; {cure}"
    )
