"""Clips and pictures are brought to another size, where a user asks for that."""

import numpy as np

from ..base.errors import InputError
from .labels import MOST_PIXELS

MODES = {
    "scale": "the whole picture, made smaller or larger; black beside it where its shape is another",
    "crop": "made smaller or larger until it covers the frame; the rest is cut off",
    "pad": "no pixel changes; black around it",
}


def to_size(video, size, mode, name="the picture"):
    """Frames float32 (T, H, W, C) as frames of this size (height, width), by one of MODES. name: for the error."""
    scaled = to_scale(video, size, mode, name)
    inner = [min(pair) for pair in zip(size, scaled.shape[1:3])]
    fitted = np.zeros((len(video), *size, video.shape[3]), np.float32)
    fitted[_middle(size, inner)] = scaled[_middle(scaled.shape[1:3], inner)]
    return fitted


def to_scale(video, size, mode, name="the picture"):
    """Frames (T, H, W, C) made smaller or larger as MODES say, but neither cut nor padded yet."""
    if mode not in MODES:
        raise InputError(f"{mode!r} is no way to bring a picture to size; choose {', '.join(MODES)}")
    sides = video.shape[1:3]
    ratios = [wanted / side for wanted, side in zip(size, sides)]
    if mode == "pad" and min(ratios) < 1:
        raise InputError(
            f"{name} has {sides[0]}x{sides[1]} pixels (height x width), which don't fit into {size[0]}x{size[1]}; "
            "choose --fit scale or --fit crop"
        )
    ratio = {"scale": min(ratios), "crop": max(ratios), "pad": 1}[mode]
    scaled = tuple(max(1, round(side * ratio)) for side in sides)
    if scaled[0] * scaled[1] > MOST_PIXELS:
        raise InputError(
            f"{name} is too narrow, {sides[0]}x{sides[1]} pixels, to fill {size[0]}x{size[1]}; cut it first"
        )
    return _resize(video, scaled)


def _middle(sides, inner):
    """The index (T, H, W) of the middle part with the sides `inner`."""
    starts = [(side - part) // 2 for side, part in zip(sides, inner)]
    return slice(None), *(slice(start, start + part) for start, part in zip(starts, inner))


def _resize(video, size):
    """Scaled: each new pixel is the mean of those that fall into it."""
    from PIL import Image

    if size == video.shape[1:3]:
        return video
    resized = np.empty((len(video), *size, video.shape[3]), np.float32)
    for time, channel in np.ndindex(len(video), video.shape[3]):
        image = Image.fromarray(np.ascontiguousarray(video[time, ..., channel]))
        resized[time, ..., channel] = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return resized.clip(0, 1)
