"""Space-time patches and their positions, for a grid of any length, height and width."""

import math

import numpy as np

from .. import autograd as ag
from ..base.backend import array_module, cached_on_device, to_device
from ..base.errors import InputError

# Our grids are a few to a few dozen steps long. With the 10,000 that is usual for sentences nearly all waves would
# hardly change over them.
LONGEST = 32.0


def patch_grid(shape, patch_size, hint="; lengths are in latent cells", length_name="num_frames"):
    """The grid (T', H', W') of tokens for latents of shape (T, H, W) cut into patches (pt, ph, pw).

    Raises InputError, with the nearest lengths that work and this hint, where the patch doesn't divide the shape.
    """
    for axis, length, side in zip((length_name, "height", "width"), shape, patch_size):
        if length < side or length % side:
            nearest = sorted({max(side, length // side * side), (length // side + 1) * side})
            such = " or ".join(map(str, nearest))
            raise InputError(f"{axis} {length} must be a multiple of {side}, such as {such}{hint}")
    return tuple(length // side for length, side in zip(shape, patch_size))


def token_count(shape, patch_size):
    """How many tokens latents of shape (T, H, W) become."""
    return math.prod(patch_grid(shape, patch_size))


def pixel_patch(factor, patch_size):
    """A patch's (latent frames, height, width), the last two in pixels, of which a latent cell has factor x factor."""
    frames, height, width = patch_size
    return frames, factor * height, factor * width


def clip_grid(num_frames, size, pixels, patch_size, hint=""):
    """The grid of tokens of a clip of `size` (height, width) pixels. pixels: the AutoencoderConfig.

    Raises InputError as `patch_grid` does, in frames and pixels.
    """
    frames, sides = pixels.latent_frames(num_frames), pixel_patch(pixels.factor, patch_size)
    name = "num_frames" if frames == num_frames else "the number of latent frames"
    return patch_grid((frames, *size), sides, hint, name)


def patchify(latents, patch_size):
    """Cut a clip into boxes and write each as a row: (B, T, H, W, C) -> (B, N, pt*ph*pw*C), N = T' H' W'."""
    batch, *shape, channels = latents.shape
    (t, h, w), (pt, ph, pw) = patch_grid(shape, patch_size), patch_size
    boxes = ag.reshape(latents, shape=(batch, t, pt, h, ph, w, pw, channels))
    boxes = ag.transpose(boxes, axes=(0, 1, 3, 5, 2, 4, 6, 7))  # (B, t, h, w, pt, ph, pw, C)
    return ag.reshape(boxes, shape=(batch, t * h * w, pt * ph * pw * channels))


def unpatchify(tokens, grid, patch_size):
    """The exact inverse of `patchify`: (B, N, pt*ph*pw*C) -> (B, T, H, W, C); grid = (T', H', W')."""
    (t, h, w), (pt, ph, pw) = grid, patch_size
    batch, channels = tokens.shape[0], tokens.shape[-1] // (pt * ph * pw)
    boxes = ag.reshape(tokens, shape=(batch, t, h, w, pt, ph, pw, channels))
    boxes = ag.transpose(boxes, axes=(0, 1, 4, 2, 5, 3, 6, 7))  # (B, t, pt, h, ph, w, pw, C)
    return ag.reshape(boxes, shape=(batch, t * pt, h * ph, w * pw, channels))


def wave_features(values, width, longest=10000.0):
    """Cosines and sines of values (...) at width/2 frequencies, from 1 down towards 1/longest: (..., width).

    Fast waves tell neighbours apart, slow ones tell near from far. An odd width gets a last column of zeros.
    Source: Vaswani et al. 2017, section 3.5.
    """
    xp = array_module(values)
    angles = _angles(values, width // 2, longest)
    features = xp.concatenate([xp.cos(angles), xp.sin(angles), xp.zeros((*angles.shape[:-1], width % 2))], axis=-1)
    return features.astype(np.float32)


def _angles(values, count, longest):
    """Values (...) times `count` frequencies, from 1 down towards 1/longest: (..., count), float64."""
    xp = array_module(values)
    frequencies = longest ** (-xp.arange(count) / max(count, 1))
    return xp.asarray(values, dtype=np.float64)[..., None] * frequencies


def _for_three_axes(function, grid, width, frame_step, first=0):
    """function(coordinates, width, LONGEST) for the coordinates t, y and x of all tokens, side by side: (N, width).

    Each gets a third of the width. What is left over goes to time. first: the number of the first frame.
    """
    thirds = (width - 2 * (width // 3), width // 3, width // 3)
    t, y, x = np.indices(grid).reshape(3, -1)
    coordinates = (first + t) * frame_step, y, x
    return np.concatenate([function(axis, part, LONGEST) for axis, part in zip(coordinates, thirds)], axis=-1)


@cached_on_device
def sincos_positions(grid, width, frame_step=1, frames=None):
    """Fixed positions to add to the tokens: (N, width); a third of the width for each of t, y, x.

    frame_step: the time from frame to frame. A clip that shows every 4th frame only has 4: so the network knows the
    rate, without a weight for it (as in "Cosmos", NVIDIA 2025, whose rotary positions know the rate).
    frames: a range, for the tokens of these frames only.
    """
    frames = range(grid[0]) if frames is None else frames
    some = (len(frames), *grid[1:])
    return to_device(_for_three_axes(wave_features, some, width, frame_step, frames.start))


@cached_on_device
def rotary_angles(grid, head_width, frame_step=1):
    """Cosine and sine (N, 1, head_width/2) of the angles by which `rotary` rotates each pair, for three axes.

    A third of the pairs rotates with t, a third with y, a third with x. (Time gets what is left over, so a head
    needs a width of at least 6 to know all three.) The fastest pair rotates by 1 radian per step, the slowest by
    a little over 1/LONGEST. frame_step: see `sincos_positions`. Source: Su et al. 2021, in three axes.
    """
    angles = _for_three_axes(_angles, grid, head_width // 2, frame_step)[:, None, :]
    return to_device(np.cos(angles).astype(np.float32)), to_device(np.sin(angles).astype(np.float32))
