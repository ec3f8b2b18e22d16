"""What is given of a clip before it is drawn: frames, or parts of frames."""

import dataclasses

import numpy as np


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
