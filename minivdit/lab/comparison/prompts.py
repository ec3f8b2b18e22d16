"""What every model of a comparison is asked to draw: the same captions for all, with real clips of them beside."""

import dataclasses
import functools

import numpy as np

from ...base import seeds, values
from ...base.errors import InputError
from ...data import DIRECTIONS, HELD_OUT, SPEEDS, describe
from ...data.grammar import ALONE
from ..evaluation.blobs import INK
from ..evaluation.model_evaluation import require_judging_memory
from ..evaluation.scores import Scorer

KINDS = {"seen": "one digit", "held_out": "one digit, a pair that no caption of the training had", "two": "two digits"}
# Two digits that move by more than this share of their size between frames can't be told apart by where they were.
FOLLOWED = 0.5
SPEED_CLIPS = 36  # real clips that show what a speed is


@dataclasses.dataclass(frozen=True)
class Prompts:
    """B captions and what belongs to them.

    kind, speed: arrays of words (B,), of KINDS and SPEEDS. real, others: two sets of real clips of these captions, made
    of digits that training doesn't see, float32 (B, T, H, W, 1). data: the presets.DataSettings they are of.
    """

    captions: list
    kind: np.ndarray
    speed: np.ndarray
    real: np.ndarray
    others: np.ndarray
    data: object

    def rows(self, kinds, speed=None):
        """Which prompts are of these kinds, all kinds for (), and of this speed if one is given: boolean (B,)."""
        return np.isin(self.kind, kinds or list(KINDS)) & (speed is None or self.speed == speed)

    @functools.cached_property
    def scorer(self):
        """Gives the Scores of clips that were drawn for these prompts."""
        return Scorer(self.captions, self.others, self.data.digit_size, self.data.pixels_per_frame)


def choose_prompts(data, count, directory=None):
    """About `count` prompts of each of the KINDS that `data` (a DataSettings) can show, evenly over its speeds.

    Both digits of a pair have one speed, and in every second pair they go opposite ways, so that some meet. Speeds at
    which two digits can't be followed by eye (FOLLOWED) are for one digit only. directory: of MNIST.
    """
    count = values.whole("prompts", count, 1)
    require_judging_memory(count, data.num_frames, data.size, len(KINDS))
    generator = seeds.generator(0, seeds.COMPARISONS)
    motions, kinds, speeds = [], [], []
    for kind in KINDS:
        digits = 2 if kind == "two" else 1
        if digits not in data.num_digits:
            continue
        fast = FOLLOWED * data.digit_size
        usable = data.speeds
        if digits == 2:
            usable = [speed for speed in usable if speed not in ALONE and speed_in_pixels(data, speed) <= fast]
        for number in range(max(count, len(usable)) if usable else 0):
            speed = usable[number % len(usable)]
            held_out = "only" if kind == "held_out" else "exclude"
            maker = data.clips("test", directory, num_digits=(digits,), speeds=(speed,), held_out=held_out)
            asked = maker.draw_motions(generator)
            if digits == 2 and number // len(usable) % 2:
                asked = _opposite(asked)
            motions.append(asked)
            kinds.append(kind)
            speeds.append(speed)
    if not motions:
        raise InputError(
            "two digits at these speeds can't be followed; let clips have one digit (data.num_digits) or slower ones "
            "(data.pixels_per_frame)"
        )
    maker = data.clips("test", directory, held_out="include", synonyms=False)
    real, others = (maker.render(generator, motions).video for _ in range(2))
    captions = [describe(asked) for asked in motions]
    return Prompts(captions, np.array(kinds), np.array(speeds), real, others, data)


def speed_in_pixels(data, speed):
    """How far a digit goes between two frames, px along its path."""
    return data.pixels_per_frame[SPEEDS.index(speed)] * min(data.size) / 64


def left_behind(video, patch):
    """The share of patches with ink that have none one frame later: there a link to the same place sees nothing.

    video: (B, T, H, W, 1). patch: its sides (height, width) in pixels.
    """
    count, length, height, width = video.shape[:4]
    rows, columns = height // patch[0], width // patch[1]
    cells = video[:, :, : rows * patch[0], : columns * patch[1], 0].reshape(count, length, rows, patch[0], columns, -1)
    inked = (cells > INK).any(axis=(3, 5))  # (B, T, rows, columns)
    return float((inked[:, :-1] & ~inked[:, 1:]).sum() / max(1, inked[:, :-1].sum()))


def emptied_patches(data, patch, directory=None):
    """left_behind for each speed of `data` (a DataSettings), of clips of one digit, whatever the prompts are."""
    shares = {}
    for place, speed in enumerate(data.speeds):
        maker = data.clips("test", directory, num_digits=(1,), speeds=(speed,), held_out="include")
        clips = maker.batch(seeds.generator(0, seeds.COMPARISONS, 1, place), SPEED_CLIPS)
        shares[speed] = left_behind(clips.video, patch)
    return shares


def _opposite(motions):
    """The same pair, the second digit going the opposite way, if that isn't a pair held out."""
    first, second = motions
    step = tuple(-s for s in DIRECTIONS[first.direction])
    direction = next(name for name, other in DIRECTIONS.items() if other == step)
    return motions if (second.digit, direction) in HELD_OUT else [first, second._replace(direction=direction)]
