"""Pictures of any kind are brought to what a model of moving digits knows: light on dark, in grey."""

import typing

import numpy as np

COLOURED = 32, 0.01  # a picture is coloured where channels differ by more than 32 of 255 in more than 1% of it


class Seen(typing.NamedTuple):
    """A picture in grey, float32 (H, W) in [0, 1], laid on black; its alpha, likewise, or None; had it colours?"""

    grey: np.ndarray
    alpha: np.ndarray | None
    coloured: bool

    def dark_on_light(self):
        """Whether the background is light; if that is transparent, whether the ink is dark."""
        if self.alpha is not None and np.median(self.alpha) < 0.5:
            return bool(self.grey.sum() < 0.5 * self.alpha.sum())
        return bool(np.median(self.grey) > 0.5)

    def negative(self):
        """The same with light and dark exchanged, on black where it is transparent."""
        return (1 if self.alpha is None else self.alpha) - self.grey


def to_grey(image):
    """A Pillow image of any mode and depth as Seen, turned upright where it says how it was held.

    Raises ValueError for values whose range isn't known.
    """
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        return _deep(image)
    alpha = None
    if image.has_transparency_data:
        alpha = _floats(image.convert("RGBA").getchannel("A"))
    if image.mode in ("1", "L"):
        grey, coloured = _floats(image.convert("L")), False
    else:
        colours = image.convert("RGBA" if alpha is not None else "RGB").convert("RGB")
        channels = np.asarray(colours, np.int16)
        spread = np.ptp(channels, axis=2) * (1 if alpha is None else alpha)
        grey, coloured = _floats(colours.convert("L")), bool((spread > COLOURED[0]).mean() > COLOURED[1])
    return Seen(grey if alpha is None else grey * alpha, alpha, coloured)


def _floats(image):
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def _deep(image):
    """More than 8 bits a pixel: 16 bits, whatever Pillow calls them, or floats."""
    values = np.asarray(image)
    most = 1 if image.mode == "F" else 65535
    if not (values.min() >= 0 and values.max() <= most):  # written so that NaN fails
        raise ValueError(f"its values go from {values.min():g} to {values.max():g}, not from 0 to {most}")
    alpha, clear = None, image.info.get("transparency")
    if isinstance(clear, int):  # the one value that is transparent
        alpha = (values != clear).astype(np.float32)
    grey = values.astype(np.float32) * np.float32(1 / most)
    return Seen(grey if alpha is None else grey * alpha, alpha, False)
