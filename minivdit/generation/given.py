"""What is given of a clip before it is drawn: frames, or parts of frames."""

import dataclasses

import numpy as np

from ..base.errors import InputError

MOST_CHANNELS = 4
ROUNDING = 1e-5  # by so much values may lie outside of [0, 1]


@dataclasses.dataclass(frozen=True)
class Given:
    """A video, and which of its pixels are known: those stay as they are, the others are drawn.

    video: float32 (B, T, H, W, C) in [0, 1]. known: boolean (B, T, H, W, 1).
    """

    video: np.ndarray
    known: np.ndarray

    @classmethod
    def nothing(cls, clips, num_frames, size, channels=1):
        """Everything is to be drawn. (Takes no memory, however large: it may be more than can be drawn.)"""
        shape = clips, num_frames, *size
        return cls(np.broadcast_to(np.float32(0), (*shape, channels)), np.broadcast_to(False, (*shape, 1)))

    @classmethod
    def at(cls, frames, num_frames):
        """Whole frames at some times: frames is a dict of time -> images (B, H, W, C)."""
        images = next(iter(frames.values()))
        shape = len(images), num_frames, *images.shape[1:3]
        video, known = np.zeros((*shape, images.shape[3]), np.float32), np.zeros((*shape, 1), bool)
        for time, images in frames.items():
            video[:, time], known[:, time] = images, True
        return cls(video, known)

    def known_latents(self, factor):
        """Which latents are known, boolean (B, T, H/factor, W/factor, 1): those of which all pixels are.

        factor: how many times smaller latents are than pixels, in height and in width.
        """
        clips, frames, height, width, _ = self.known.shape
        boxes = self.known.reshape(clips, frames, height // factor, factor, width // factor, factor, 1)
        return boxes.all(axis=(3, 5))

    def keep(self, drawn):
        """The drawn video with every known pixel as it was given, bit for bit."""
        return np.where(self.known, self.video, drawn)


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
