"""Clips and pictures of another size brought to size, where a user asks for that."""

import numpy as np

from ..base.errors import InputError

WAYS = {
    "scale": "all of it, made smaller or larger; black beside it where its shape is another",
    "crop": "made smaller or larger until it covers everything; what stands over is cut off",
    "pad": "no pixel changes; black around it",
}


def to_size(video, size, way, name="the picture"):
    """Frames float32 (T, H, W, C) as frames of this size (height, width), in one of the WAYS. name: for the message."""
    if way not in WAYS:
        raise InputError(f"{way!r} is no way to bring a picture to size; choose {', '.join(WAYS)}")
    sides = video.shape[1:3]
    ratios = [wanted / side for wanted, side in zip(size, sides)]
    if way == "pad" and min(ratios) < 1:
        raise InputError(
            f"{name} has {sides[0]}x{sides[1]} pixels (height x width), which don't fit into {size[0]}x{size[1]}; "
            "choose --fit scale or --fit crop"
        )
    ratio = {"scale": min(ratios), "crop": max(ratios), "pad": 1}[way]
    scaled = _resize(video, tuple(max(1, round(side * ratio)) for side in sides))
    return _middle(scaled, size)


def _resize(video, size):
    """Scaled, the mean of all pixels that fall into one."""
    from PIL import Image

    if size == video.shape[1:3]:
        return video
    resized = np.empty((*video.shape[:1], *size, video.shape[3]), np.float32)
    for time, channel in np.ndindex(video.shape[0], video.shape[3]):
        image = Image.fromarray(np.ascontiguousarray(video[time, ..., channel]))
        resized[time, ..., channel] = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return resized.clip(0, 1)


def _middle(video, size):
    """Each side cut, or filled with black, around its middle."""
    for axis, wanted in zip((1, 2), size):
        missing = wanted - video.shape[axis]
        if missing > 0:
            widths = [(missing // 2, missing - missing // 2) if a == axis else (0, 0) for a in range(4)]
            video = np.pad(video, widths)
        elif missing < 0:
            first = -missing // 2
            video = video.take(range(first, first + wanted), axis)
    return video
