"""Motion as a user tells it: the pan of a camera and a motion brush, as one field of velocities.

A field has three numbers at each pixel: `held`, and a velocity (y, x) in pixels a frame. They say what becomes of a
digit that stands there in the first frame:

    its velocity in the picture = (1 - held) * its own, as the caption says, + (y, x)

So the controls differ only in where they tell a velocity:

            held            velocity
    none    0               0
    pan     0               the camera's with the opposite sign, everywhere
    brush   1 everywhere    the brush's where it is brushed, and 0 elsewhere: what isn't brushed stands still
    both    1 everywhere    the sum of the two

**What a pan means on black.** The picture is a window, and the camera moves it over a larger room. Digits do in the
room what the caption says. They bounce off the room's walls and not off the picture's edges, so they can leave the
picture. A black background doesn't show that the window moves. Only the digits show it: all of them get the same
velocity on top of their own. So a 3 that moves right stays where it is if the camera pans right as fast, and whoever
sees that clip alone can't tell it from a 3 at rest.

Motion as a condition, the camera's and the objects' apart, is an idea of MotionCtrl (Wang et al. 2024). Runway and
Kling offer both controls, and don't say how theirs work.
"""

import numpy as np

from ..base.errors import InputError, shorten

CHANNELS = 3  # of a field: held, y, x


def velocity_fields(clips, size, pan=None, brush=None):
    """Fields float32 (clips, H, W, 3) of a camera's pan, a motion brush, both or neither.

    pan: the camera's velocity (y, x) in pixels a frame: (0, -2) pans left. brush: a mask, boolean (H, W), True where it
    is brushed in the first frame, and the velocity (y, x) of what is there; a mask of nothing holds all. Either
    velocity may be one for each clip, (clips, 2), and so may the mask, (clips, H, W). InputError for what is neither.
    """
    fields = np.zeros((clips, *size, CHANNELS), np.float32)
    if brush is not None:
        if not isinstance(brush, list | tuple) or len(brush) != 2:
            raise InputError("a brush is a mask and a velocity (y, x) in pixels a frame, such as (mask, (0, 2))")
        mask = np.asarray(brush[0])
        if mask.dtype != bool or mask.shape not in (tuple(size), (clips, *size)):
            raise InputError(
                f"the mask of a brush is a boolean array (height, width) = {tuple(size)}, True where it is brushed, "
                f"not {mask.dtype} of shape {mask.shape}"
            )
        velocity = _velocity(brush[1], clips, size, "the velocity of a brush")
        fields[..., 0] = 1
        fields[..., 1:] = mask[..., None] * velocity[:, None, None]
    if pan is not None:
        fields[..., 1:] -= _velocity(pan, clips, size, "a pan")[:, None, None]
    return fields


def _velocity(value, clips, size, name):
    """A velocity (y, x) for each clip, (clips, 2), from one or from several; InputError for what is none."""
    try:
        velocity = np.broadcast_to(np.asarray(value, np.float32), (clips, 2))
    except (TypeError, ValueError):
        velocity = np.full((1, 2), np.nan)
    if not np.isfinite(velocity).all():
        raise InputError(
            f"{name} is two numbers (y, x) in pixels a frame, such as (0, -2) to the left, not {shorten(value)}"
        )
    if (np.abs(velocity) >= size).any():
        raise InputError(
            f"{name} of {shorten(value)} pixels a frame leaves a picture of {size[0]}x{size[1]} at once; give less"
        )
    return velocity


def due(fields, places, own):
    """The velocities (B, digits, 2) that fields ask for: the formula above, in pixels a frame.

    places: (B, digits, 2), (y, x) of the digits in the first frame. own: (B, digits, 2), as their captions say. NaN
    where a clip has fewer digits.
    """
    rows, columns = np.moveaxis(np.nan_to_num(places).round().astype(int), -1, 0)
    told = fields[np.arange(len(fields))[:, None], rows, columns]  # (B, digits, 3)
    return (1 - told[..., :1]) * own + told[..., 1:]


def field_maps(fields, frames, factor, time_factor=1):
    """Maps float32 (B, frames, h, w, 3) of fields (B, H, W, 3), as the network is shown them: alike in all frames.

    Velocities become latent cells a latent frame. factor, time_factor: see AutoencoderConfig.
    """
    batch, height, width, channels = fields.shape
    cells = fields.reshape(batch, height // factor, factor, width // factor, factor, channels).mean(axis=(2, 4))
    cells[..., 1:] *= np.float32(time_factor / factor)
    return cells[:, None].repeat(frames, axis=1)
