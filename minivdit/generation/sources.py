"""Pixels from arrays, Pillow images and files, if they are of the kind that the weights were trained on."""

import os
import sys
import warnings

import numpy as np

from ..base.errors import InputError
from ..data.fitting import to_size
from ..data.pixels import in_channels
from ..data.reading import Clip, open_clip, read_mask
from ..models.patches import pixel_patch

MOST_CHANNELS = 4
ROUNDING = 1e-5  # by so much values may lie outside of [0, 1]
CURE = "bring it to what they know with --fit {} (in Python: model.fit(picture, '{}'))"


def as_pixels(source, shape, name, model):
    """Pixels as `check_pixels` gives them, from an array, a Clip, a file's name, a Pillow image, or a list of these.

    shape: names of the axes. With 'frames' among them a picture becomes a clip of one frame; without, the first frame
    of a clip is taken. Raises InputError for what can't be read, or is of another kind than the model draws.
    """
    if source is None:
        raise InputError(f"{name} is missing; give an array, the name of a file, or a Pillow image")
    channels = model.autoencoder.config.image_channels
    sources = source if isinstance(source, list | tuple) else [source]
    if sources and all(map(_is_foreign, sources)):
        clips = [as_clip(one) for one in sources]
        for clip in clips:
            check_kind(clip, model)
        clips = [clip.in_channels(channels) for clip in clips]
        parts = [clip.video if "frames" in shape else clip.video[0] for clip in clips]
        if len({part.shape for part in parts}) > 1:
            raise InputError(f"{name} must have one size, not {' and '.join(str(part.shape) for part in parts)}")
        source = np.stack(parts)
    pixels = check_pixels(source, shape, name)
    return in_channels(pixels, channels) if pixels.shape[-1] == 1 else pixels  # what is grey, is so in colour, too


def check_pixels(pixels, shape, name):
    """Pixels as a float32 array with these axes, in [0, 1]; InputError for others.

    shape: names of the axes, such as ('clips', 'frames', 'height', 'width', 'channels'). The first may be missing for
    one clip. The last may be missing for a grey one: an axis that is too long for channels is another. Bytes are
    divided by 255, and values that left [0, 1] by rounding are clipped.
    """
    pixels = np.asarray(pixels)
    given = pixels.shape
    if pixels.dtype == np.uint8:
        pixels = pixels * np.float32(1 / 255)
    if given and given[-1] > MOST_CHANNELS:
        pixels = pixels[..., None]
    if pixels.ndim not in (len(shape) - 1, len(shape)) or 0 in given:
        grey = "; for a grey array a without channels give a[..., None]" if given and given[-1] > 1 else ""
        raise InputError(f"{name} must be an array ({', '.join(shape)}), not one of shape {given}{grey}")
    if pixels.dtype.kind != "f":
        raise InputError(f"{name} must be floats in [0, 1], or bytes (uint8), not {pixels.dtype}")
    if not (pixels.min() >= -ROUNDING and pixels.max() <= 1 + ROUNDING):  # written so that NaN fails
        raise InputError(f"{name} must lie in [0, 1]; it goes from {pixels.min():.9g} to {pixels.max():.9g}")
    return pixels.astype(np.float32).clip(0, 1).reshape(-1, *pixels.shape[-len(shape) + 1 :])


def as_mask(source):
    """A mask as it is given to `inpaint`: an array, or boolean (H, W) from a file or a Pillow image."""
    return read_mask(source) if _is_foreign(source) else np.asarray(source)


def as_clip(source):
    """A Clip from a file's name or a Pillow image; its notes on how it was read are given as warnings."""
    if isinstance(source, Clip):
        return source
    clip = open_clip(source, channels=3)
    for note in clip.notes:
        warnings.warn(note, stacklevel=4)
    return clip


def check_kind(clip, model):
    """Raise InputError, with the cure, unless a clip is like those in training: of that size, and without colours where
    weights draw in grey. Weights that draw digits take them light on dark.

    Up to twice or half the size will do, and any size that the same weights drew.
    """
    drawn, size = model.settings.size, clip.video.shape[1:3]
    sides = pixel_patch(model.autoencoder.config.factor, model.transformer.config.patch_size)[1:]
    fits = all(side % step == 0 and wanted / 2 <= side <= 2 * wanted for side, step, wanted in zip(size, sides, drawn))
    problem, ways = None, ("scale, crop or pad", "scale")
    if clip.coloured and model.autoencoder.config.image_channels == 1:
        problem = "has colours, and these weights draw in grey"
    elif clip.negative is not None and model.settings.digit_size:
        problem = "is dark on light, and these weights draw light on dark"
    elif not fits and not (clip.own and clip.about.get("fingerprint") == model.fingerprint()):
        problem = f"has {size[0]}x{size[1]} pixels (height x width), and these weights draw {drawn[0]}x{drawn[1]}"
        if size[0] <= drawn[0] and size[1] <= drawn[1]:  # such as a digit of MNIST, whose pixels are right
            ways = ("pad, scale or crop", "pad")
        if max(sides) > 1:
            problem += f" (or up to twice or half of that, in steps of {max(sides)})"
    if problem:
        raise InputError(f"{clip.name} {problem}; {CURE.format(*ways)}")


def fit(clip, model, way):
    """A Clip of the kind and the size that a model was trained on; its notes say what was done."""
    done, channels = [], model.autoencoder.config.image_channels
    if clip.coloured and channels == 1:
        done.append("its colours became grey")
    turned = clip.negative is not None and model.settings.digit_size
    if turned:
        done.append("dark on light became light on dark")
    video = in_channels(clip.negative if turned else clip.video, channels)
    size, wanted = video.shape[1:3], model.settings.size
    if size != wanted:
        how = {"scale": "scaled", "crop": "scaled and cropped", "pad": "padded"}
        video = to_size(video, wanted, way, clip.name)
        done.append(f"{size[0]}x{size[1]} pixels were {how[way]} to {wanted[0]}x{wanted[1]}")
    notes = (f"{clip.name}: {', '.join(done)}",) if done else ()
    return Clip(video, clip.name, clip.frames_per_second, clip.own, clip.caption, clip.about, notes=notes)


def _is_foreign(source):
    """Whether a source must be read, since it isn't an array."""
    pillow = sys.modules.get("PIL.Image")  # whoever gives such an image has imported it
    return isinstance(source, str | os.PathLike | Clip) or (pillow is not None and isinstance(source, pillow.Image))
