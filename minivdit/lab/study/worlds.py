"""What a study is about: a World has clips to learn at two paces, and measures of what is drawn."""

import abc

from ...base import seeds
from ...training.settings import TrainingSettings
from ..evaluation.blobs import INK
from ..evaluation.controls import frozen, recombined, shuffled_frames


class World(abc.ABC):
    """Clips that patterns learn to draw; whatever moves in them moves at one of a few paces.

    name: a word. title: what clips show. patch: its height and width in pixels. paces: {pace: pixels a frame}.
    measures: {name: what it counts}; all are shares, and more is better. training: of the most expensive pattern; its
    rates stay as they are after the warmup, so that every step of the way can be compared. seeds: how often each
    pattern is trained. clips: how many are drawn at each pace. rate: how many frames a second are shown.
    """

    name: str
    title: str
    patch: tuple
    paces: dict
    measures: dict
    training: TrainingSettings
    seeds: int
    clips: int
    rate: int

    @abc.abstractmethod
    def task(self, pattern, seed):
        """The Task of a pattern of SCHEMES. Its fresh weights are the same for all patterns."""

    @abc.abstractmethod
    def cost(self, pattern):
        """FLOPs of a training step."""

    @abc.abstractmethod
    def draw(self, task, pace):
        """Clips (B, T, H, W, C) in [0, 1] of this pace, drawn by the task's network; the noise is always the same."""

    @abc.abstractmethod
    def real(self, pace):
        """As many real clips of this pace, which training doesn't see."""

    @abc.abstractmethod
    def judge(self, video, pace):
        """{measure: (B,)} of clips, from 0 to 1; NaN where a clip doesn't show it."""

    def references(self, pace):
        """{name: clips}: real ones, and real ones that were spoilt in three ways."""
        real, generator = self.real(pace), seeds.generator(0, seeds.COMPARISONS, 1)
        return {
            "real": real,
            "frames of other clips": recombined(real, generator),
            "frames shuffled": shuffled_frames(real, generator),
            "frozen": frozen(real),
        }

    def leaves_its_patch(self, pace):
        """Whether what moves is in another patch one frame later: then a link to the same place meets background."""
        return self.paces[pace] >= self.patch[1]


def left_behind(video, patch):
    """The share of patches with ink that have none one frame later: there a link to the same place sees nothing.

    video: (B, T, H, W, C). patch: its sides (height, width) in pixels.
    """
    count, length, height, width, _ = video.shape
    rows, columns = height // patch[0], width // patch[1]
    ink = video.max(axis=-1)[:, :, : rows * patch[0], : columns * patch[1]] > INK
    inked = ink.reshape(count, length, rows, patch[0], columns, -1).any(axis=(3, 5))  # (B, T, rows, columns)
    return float((inked[:, :-1] & ~inked[:, 1:]).sum() / max(1, inked[:, :-1].sum()))
