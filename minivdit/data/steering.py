"""Clips that are moved apart from their captions: by a camera that pans, and by a brush over some of their digits.

What a network is told of it is a field of velocities: see `velocities`.
"""

from typing import NamedTuple

import numpy as np

from .grammar import MAX_DIGITS
from .velocities import velocity_fields


class Steering(NamedTuple):
    """How B clips are moved apart from their captions. Velocities are (y, x) in pixels a frame.

    pan: (B, 2), the camera's velocity. held: boolean (B,), digits do what a brush says and not the caption. brushed:
    boolean (B, MAX_DIGITS), which digits are. velocity: (B, 2), theirs.
    """

    pan: np.ndarray
    held: np.ndarray
    brushed: np.ndarray
    velocity: np.ndarray

    @classmethod
    def none(cls, clips):
        nothing = np.zeros((clips, 2))
        return cls(nothing, np.zeros(clips, bool), np.zeros((clips, MAX_DIGITS), bool), nothing)

    @classmethod
    def draw(cls, generator, clips, share, fastest):
        """A random one that gives this share of the clips a pan, a brush or both, each up to the speed `fastest`."""
        angle, speed = 2 * np.pi * generator.random((2, clips)), fastest * generator.random((2, clips))
        pan, velocity = np.moveaxis([speed * np.sin(angle), speed * np.cos(angle)], 0, -1)  # (B, 2) each
        steered, kind = generator.random(clips) < share, generator.integers(3, size=clips)
        held = steered & (kind > 0)
        brushed = held[:, None] & (generator.random((clips, MAX_DIGITS)) < 2 / 3)
        return cls(pan * (steered & (kind < 2))[:, None], held, brushed, velocity)

    def override(self, velocity):
        """The digits' own velocities (parts, B, digits, 2), with the brush's in their place where it holds them."""
        brush = self.brushed[:, : velocity.shape[2], None] * self.velocity[:, None]  # (B, digits, 2)
        return np.where(self.held[:, None, None] & ~np.isnan(velocity), brush, velocity)

    def window(self, num_frames):
        """The upper left corner of the picture in a room that is larger by the camera's way: (B, 1, T, 2)."""
        pan = self.pan[:, None, None]
        return np.where(pan < 0, np.abs(pan) * (num_frames - 1), 0) + pan * np.arange(num_frames)[:, None]

    def fields(self, generator, corners, size, digit_size):
        """The field of velocities of each clip, (B, H, W, 3), with a random mask where there is a brush.

        corners: (B, digits, 2), upper left, of the digits' boxes in the first frame; NaN for an absent digit.
        """
        fields = velocity_fields(len(corners), size, self.pan)
        for clip in np.flatnonzero(self.held):
            boxes = corners[clip][~np.isnan(corners[clip, :, 0])]
            mask = _mask(generator, boxes, self.brushed[clip, : len(boxes)], size, digit_size)
            fields[clip : clip + 1] = velocity_fields(1, size, self.pan[clip], (mask, self.velocity[clip]))
        return fields


def _mask(generator, boxes, brushed, size, side):
    """The mask of a brush, boolean (H, W). It is rough, as if drawn by hand.

    It has a box around each digit that is brushed, with edges up to half a digit further out or a little further in;
    or, if none is, a box anywhere. It leaves out the boxes of the other digits. boxes: (digits, 2), upper left corners.
    brushed: boolean (digits,). side: of a box, in pixels.
    """
    mask = np.zeros(size, bool)
    for low in boxes[brushed] if brushed.any() else generator.uniform(0, np.array(size) - side, (1, 2)):
        out = generator.uniform(-side / 8, side / 2, (2, 2))
        (top, left), (bottom, right) = np.array([low - out[0], low + side + out[1]]).clip(0).round().astype(int)
        mask[top:bottom, left:right] = True
    for top, left in boxes[~brushed].round().astype(int):
        mask[top : top + side, left : left + side] = False
    return mask
