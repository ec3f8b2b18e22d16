"""What is given of a clip before it is drawn: frames, or parts of frames."""

import dataclasses

import numpy as np

from ..base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Given:
    """A video, and which of its pixels are known: those stay as they are, the others are drawn.

    video: float32 (B, T, H, W, C) in [0, 1]. known: boolean (B, T, H, W, 1). level: the noise level under which the
    network sees frames that are wholly given; see diffusion.level_matrix.
    """

    video: np.ndarray
    known: np.ndarray
    level: float = 0.0

    @classmethod
    def nothing(cls, clips, num_frames, size, channels=1):
        """Everything is to be drawn. (Takes no memory, however large: it may be more than can be drawn.)"""
        shape = clips, num_frames, *size
        return cls(np.broadcast_to(np.float32(0), (*shape, channels)), np.broadcast_to(False, (*shape, 1)))

    @classmethod
    def at(cls, frames, num_frames, level=0.0):
        """Whole frames at some times: frames is a dict of time -> images (B, H, W, C)."""
        images = next(iter(frames.values()))
        shape = len(images), num_frames, *images.shape[1:3]
        video, known = np.zeros((*shape, images.shape[3]), np.float32), np.zeros((*shape, 1), bool)
        for time, images in frames.items():
            video[:, time], known[:, time] = images, True
        return cls(video, known, level)

    def known_latents(self, factor, time_factor=1):
        """Which latents are known, boolean (B, T', H/factor, W/factor, 1): those of which all pixels are.

        factor, time_factor: how many times smaller latents are than pixels, and how many times fewer than frames.
        """
        clips, frames, height, width, _ = self.known.shape
        boxes = self.known.reshape(clips, frames, height // factor, factor, width // factor, factor, 1)
        known = boxes.all(axis=(3, 5))
        known = np.concatenate([known[:, :1].repeat(time_factor - 1, axis=1), known], axis=1)  # the first stands alone
        return known.reshape(clips, -1, time_factor, *known.shape[2:]).all(axis=2)

    def check_whole(self, factor, time_factor):
        """Raise InputError if a frame is given that the network won't see, since its latent frame isn't known."""
        if time_factor == 1:
            return
        seen = self.known_latents(factor, time_factor).any(axis=(2, 3, 4)).repeat(time_factor, axis=1)
        unseen = self.known.any(axis=(2, 3, 4)) & ~seen[:, time_factor - 1 :]
        if unseen.any():
            time, each = int(unseen.any(axis=0).argmax()), time_factor
            raise InputError(
                f"frame {time} is given, but not all frames that are coded with it: these weights code the first frame "
                f"by itself and then {each} at a time; give whole groups (frame 0, 1 to {each}, {each + 1} to "
                f"{2 * each}, ...)"
            )

    def keep(self, drawn):
        """The drawn video with every known pixel as it was given, bit for bit."""
        return np.where(self.known, self.video, drawn)
