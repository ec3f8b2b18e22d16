"""Clips of several shapes: one shape a batch, so that one network learns every length, size and aspect ratio."""

import math
from typing import NamedTuple

from ..base.errors import InputError


class Shape(NamedTuple):
    """A clip's frames, height and width (in pixels), and the share of the batches that have it.

    frame_step: 4 if the clip shows every 4th frame only, so that all moves four times as far from frame to frame.
    """

    num_frames: int
    height: int
    width: int
    share: float
    frame_step: int = 1

    @classmethod
    def read(cls, text):
        """From frames x height x width, perhaps @ and the step, a colon and a share: '8x64x64:0.1', '8x32x32@4:0.2'."""
        sides, _, share = text.partition(":")
        sides, _, step = sides.partition("@")
        try:
            frames, height, width = map(int, sides.split("x"))
            shape = cls(frames, height, width, float(share), int(step or 1))
        except ValueError:
            shape = None
        if shape is None or min(*shape[:3], shape.frame_step) < 1 or not 0 < shape.share <= 1:
            raise InputError(
                f"{text!r} is not a shape with its share of the batches; write such as 8x64x64:0.1, or 8x64x64@4:0.1 "
                "for every 4th frame"
            )
        return shape


def equal_clips(count, main, other):
    """How many clips of the shape `other` have no more pixels than `count` of `main`, but at least one.

    main, other: (frames, height, width).
    """
    return max(1, count * math.prod(main) // math.prod(other))


class MixedClips:
    """Makes batches as CaptionedClips does, each of a shape drawn by its share.

    main: CaptionedClips for the share that `others`, a list of (share, CaptionedClips), leave. A batch of another shape
    has more or fewer clips (see `equal_clips`): all batches have about as many tokens, and take about as long.
    """

    def __init__(self, main, others):
        shares = [share for share, _ in others]
        if sum(shares) > 1 + 1e-9:
            raise InputError(f"the shares of the other shapes are {shares}; together they must not be above 1")
        self.shares = [max(0.0, 1 - sum(shares)), *shares]
        self.makers = [main, *(maker for _, maker in others)]

    def batch(self, generator, batch_size):
        """A batch of one shape, as Clips. batch_size: how many clips it has if it is the main shape."""
        maker = self.makers[generator.choice(len(self.makers), p=self.shares)]
        return maker.batch(generator, equal_clips(batch_size, _shape(self.makers[0]), _shape(maker)))

    def describe(self):
        """What the clips are like, for a checkpoint: of the main shape, and which others there are."""
        others = [
            [maker.num_frames, *maker.size, share, *([maker.frame_step] if maker.frame_step > 1 else [])]
            for maker, share in zip(self.makers[1:], self.shares[1:])
        ]
        return {**self.makers[0].describe(), "shapes": others}


def _shape(maker):
    return maker.num_frames, *maker.size
