"""Pictures of any kind and depth become numbers in [0, 1]: in grey or in colour, upright, laid on black."""

import typing

import numpy as np

COLOURED = 32, 0.01  # a picture is coloured where channels differ by more than 32 of 255 in more than 1% of it
LUMA = np.float32([0.299, 0.587, 0.114])  # what red, green and blue add to grey (ITU-R BT.601, as Pillow has it)

TURNS = np.exp(2j * np.pi * np.arange(3) / 3).astype(np.complex64)  # red, green and blue on the circle of hues


class Seen(typing.NamedTuple):
    """A picture: float32 (H, W, C) in [0, 1], laid on black; its alpha (H, W), likewise, or None; had it colours?"""

    pixels: np.ndarray
    alpha: np.ndarray | None
    coloured: bool

    def dark_on_light(self):
        """Whether the background is light; if that is transparent, whether the ink is dark."""
        grey = self.pixels.mean(axis=-1)
        if self.alpha is not None and np.median(self.alpha) < 0.5:
            return bool(grey.sum() < 0.5 * self.alpha.sum())
        return bool(np.median(grey) > 0.5)

    def negative(self):
        """The same with light and dark exchanged, on black where it is transparent. Hues stay."""
        pixels = self.pixels
        turned = pixels.max(axis=-1, keepdims=True) + pixels.min(axis=-1, keepdims=True) - pixels  # grey as it was
        return (1 if self.alpha is None else self.alpha[..., None]) - turned


def see(image, channels=1):
    """A Pillow image of any mode and depth as Seen, turned upright where it says how it was held.

    channels: 1 for grey, 3 for colour. Raises ValueError for values whose range isn't known.
    """
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        return _deep(image, channels)
    alpha = None
    if image.has_transparency_data:
        alpha = _floats(image.convert("RGBA").getchannel("A"))
    if image.mode in ("1", "L"):
        return _laid_on_black(_floats(image.convert("L")), alpha, False, channels)
    colours = image.convert("RGBA" if alpha is not None else "RGB").convert("RGB")
    coloured = _has_colours(np.asarray(colours), alpha)
    return _laid_on_black(_floats(colours if channels == 3 else colours.convert("L")), alpha, coloured, channels)


def see_array(frame, channels=1):
    """A frame as an array (H, W) or (H, W, C) as Seen; C: 1 grey, 2 grey and alpha, 3 colours, 4 colours and alpha.

    Bytes, 16 bits, floats in [0, 1] or booleans. Raises ValueError for what is none of these.
    """
    most = {"uint8": 255, "uint16": 65535, "bool": 1}.get(frame.dtype.name, 1 if frame.dtype.kind == "f" else None)
    if most is None or frame.ndim not in (2, 3) or not 1 <= frame[0, 0].size <= 4:
        raise ValueError(
            "a frame is (height, width) or (height, width, 1 to 4 channels), of uint8, uint16, bool or floats in "
            f"[0, 1], not {frame.dtype} of shape {frame.shape}"
        )
    values = _in_range(frame.reshape(*frame.shape[:2], -1), most)
    alpha = values[..., -1] if values.shape[-1] in (2, 4) else None
    values = values[..., : 1 if values.shape[-1] < 3 else 3]
    coloured = values.shape[-1] == 3 and _has_colours(values * 255, alpha)
    return _laid_on_black(values if values.shape[-1] in (1, channels) else values @ LUMA, alpha, coloured, channels)


def _laid_on_black(pixels, alpha, coloured, channels):
    """Seen from pixels (H, W) or (H, W, 1), which all channels get, or (H, W, channels)."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    pixels = pixels if alpha is None else pixels * alpha[..., None]
    return Seen(in_channels(pixels, channels), alpha, coloured)


def in_channels(pixels, channels):
    """Pixels (..., C) in grey, 1 channel, or in colour, 3. What is grey already keeps its values."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3 or (pixels == pixels[..., :1]).all():
        return pixels[..., :1].repeat(channels, axis=-1)
    return (pixels @ LUMA)[..., None]


def tones(pixels):
    """Pixels (..., 3) as complex numbers (...): the angle is the hue, the length how much colour there is, 0 for grey.

    They are places in the plane across the axis of greys, 1 long for the brightest red, yellow, green, cyan, blue and
    magenta (Hanbury 2008). So the sum over pixels is their circular mean of hues (Mardia and Jupp 2000), in which each
    counts by saturation times brightness, the chroma of HSV (Smith 1978).
    """
    return pixels @ TURNS


def _has_colours(colours, alpha):
    """Whether a picture (H, W, 3), from 0 to 255, has colours that can be seen; of a large one, some pixels tell."""
    some = tuple(slice(None, None, max(1, side // 256)) for side in colours.shape[:2])
    spread = np.ptp(colours[some].astype(np.int16), axis=2) * (1 if alpha is None else alpha[some])
    return bool((spread > COLOURED[0]).mean() > COLOURED[1])


def _floats(image):
    return np.asarray(image, np.float32) * np.float32(1 / 255)


def _in_range(values, most):
    """Values from 0 to `most` as float32 from 0 to 1."""
    if not (values.min() >= 0 and values.max() <= most):  # written so that NaN fails
        raise ValueError(f"its values go from {values.min():g} to {values.max():g}, not from 0 to {most}: scale them")
    return values.astype(np.float32) * np.float32(1 / most)


def _deep(image, channels):
    """More than 8 bits a pixel: 16 bits, whatever Pillow calls them, or floats."""
    values = np.asarray(image)
    alpha, clear = None, image.info.get("transparency")
    grey = _in_range(values, 1 if image.mode == "F" else 65535)
    if isinstance(clear, int):  # the one value that is transparent
        alpha = (values != clear).astype(np.float32)
    return _laid_on_black(grey, alpha, False, channels)
