"""Captioned clips of moving digits.

Moving MNIST (see lab/display/classic.py) made digits bounce. Captions follow Mittal, Marwah and Balasubramanian,
"Sync-DRAW" (2017), who also held out digit x motion pairs to test composition.
"""

from dataclasses import dataclass

import numpy as np

from ..base.errors import InputError
from .digits import DigitSource
from .fields import draw_fields
from .grammar import (
    ALONE,
    COLOURS,
    DIRECTIONS,
    MAX_DIGITS,
    SPEEDS,
    THEN,
    USUAL_SPEEDS,
    WHITE,
    DigitMotion,
    describe,
)
from .steering import Steering
from .walls import bounce, draw_starts, part_begins

# What USUAL_SPEEDS mean unless told otherwise: pixels a frame (a diagonal isn't faster) on a canvas of 64 pixels. They
# scale with its shorter side.
PIXELS_PER_FRAME = (1.6, 2.8, 4.2)
# "very fast" of the preset `full`: 0.8 of its patches of 16 pixels. Of the patches with ink 41% have none one frame
# later (15% at 4.2). A digit of 28 pixels takes three frames from wall to wall, so that its way can still be seen; at a
# whole patch it would take two.
VERY_FAST = 12.6

# Ten of the eighty digit x direction pairs, never seen in training: each digit once, each direction once or twice.
# A model that draws "an 8 moving left" has seen 8 move in other directions, and other digits move left.
HELD_OUT = (
    (0, "left"),
    (1, "up and right"),
    (2, "down and left"),
    (3, "up"),
    (4, "up and left"),
    (5, "right"),
    (6, "down"),
    (7, "down and right"),
    (8, "left"),
    (9, "up and right"),
)
MOST_TURNS = 7  # of a clip
_PAIRS = tuple((digit, direction) for digit in range(10) for direction in DIRECTIONS)


@dataclass
class Clips:
    """A batch of captioned clips.

    video: float32 (B, T, H, W, C) in [0, 1], C = 1, or 3 with colours. captions: B strings. labels: for each clip a
    list of its DigitMotions, in the caption's order. tracks: float32 (B, digits, T, 2), the centre (y, x) of each
    digit's box in pixels, pixel (0, 0) having its centre at (0, 0); NaN where a clip has fewer digits.
    size: (H, W). digit_size: pixels of a box's side. frame_step: see CaptionedClips. velocities: float32 (B, H, W, 3),
    the motion that is told apart from the caption, see velocity_fields; None where none is.
    """

    video: np.ndarray
    captions: list
    labels: list
    tracks: np.ndarray
    size: tuple
    digit_size: int
    frame_step: int = 1
    velocities: np.ndarray | None = None


@dataclass(eq=False)
class CaptionedClips:
    """Makes clips of moving digits and captions that say what moves where.

    A digit moves straight at its caption's direction and speed. The walls reflect it as a mirror reflects light. Where
    the canvas allows, it meets none in the first half of the clip. Two digits of a clip are of different classes, and
    never "very fast".

    source: a DigitSource. size: canvas (H, W), any. num_frames: any. digit_size: pixels, under H and W.
    num_digits: how many digits a clip may have, such as (1,) or (1, 2). speeds: some of SPEEDS.
    held_out: "exclude" (training) never shows a pair of HELD_OUT, "only" shows nothing else (the test
    of composition), "include" shows all. synonyms: False always gives the plainest caption.
    subpixel: False rounds positions to whole pixels, as in the classic data set. That keeps thin strokes
    equally bright in every frame, but makes slow motion stutter (0 or 1 pixel a frame).
    pixels_per_frame: how fast each of SPEEDS is, of the first three at least; see PIXELS_PER_FRAME.
    frame_step: 4 to show every 4th frame only: all goes four times as far from frame to frame.

    What follows is off unless asked for, and a first reading can skip it.

    turning: the share of clips of one digit, not "very fast", in which it turns into another direction, and the caption
    says so: "a 3 moving right, then up". turns: how often, one of these numbers by chance: with two turns a clip has
    three parts of equal length, up to a frame. Each part has two frames at least, or the clip doesn't turn.
    structured: the share of clips whose caption is a list of fields, see data.fields; only with synonyms.
    field_dropout: each field is left out of so many of these, so that a network learns to do without it.
    steered: the share of clips in which the camera pans, or only brushed digits move, or both; see data.steering. The
    velocities are random, up to the fastest usual speed. In the first frame all digits are in the picture.
    colors: each digit has one of COLOURS or is white, by chance, and captions say so: "a red 3 moving right". Where two
    cross, their light adds up, channel by channel, to the larger value.
    """

    source: DigitSource
    size: tuple[int, int] = (64, 64)
    num_frames: int = 16
    digit_size: int = 28
    num_digits: tuple[int, ...] = (1, 2)
    speeds: tuple[str, ...] = USUAL_SPEEDS
    held_out: str = "exclude"
    synonyms: bool = True
    subpixel: bool = True
    pixels_per_frame: tuple[float, ...] = PIXELS_PER_FRAME
    frame_step: int = 1
    turning: float = 0.0
    turns: tuple[int, ...] = (1,)
    structured: float = 0.0
    field_dropout: float = 0.1
    steered: float = 0.0
    colors: bool = False

    def __post_init__(self):
        for name in ("size", "num_digits", "speeds", "pixels_per_frame", "turns"):
            setattr(self, name, tuple(getattr(self, name)))
        self._check()
        pairs = {"exclude": [pair for pair in _PAIRS if pair not in HELD_OUT], "only": HELD_OUT, "include": _PAIRS}
        self.pairs = pairs[self.held_out]

    def batch(self, generator, batch_size):
        """`batch_size` random clips, as Clips. All randomness comes from `generator`."""
        labels = [self.draw_motions(generator) for _ in range(batch_size)]
        turns = [self.draw_turns(generator, motions) for motions in labels]
        fastest = max(map(self._pixels, USUAL_SPEEDS))
        steering = Steering.draw(generator, batch_size, self.steered, fastest) if self.steered else None
        return self.render(generator, labels, turns, steering)

    def draw_motions(self, generator):
        """What one clip is to show: a list of DigitMotions."""
        count, speeds = self.num_digits[generator.integers(len(self.num_digits))], self.speeds
        if count > 1:
            slower = [speed for speed in speeds if speed not in ALONE]
            count, speeds = (count, slower) if slower else (1, speeds)
        motions = []
        while len(motions) < count:
            pair, speed = generator.random(2)
            digit, direction = self.pairs[int(pair * len(self.pairs))]
            if all(digit != other.digit for other in motions):
                motions.append(DigitMotion(digit, direction, speeds[int(speed * len(speeds))]))
        return [self._coloured(generator, motion) for motion in motions] if self.colors else motions

    @staticmethod
    def _coloured(generator, motion):
        return motion._replace(colour=(WHITE, *COLOURS)[generator.integers(1 + len(COLOURS))])

    def velocity(self, direction, speed):
        """What a caption means: (y, x) in pixels a frame. direction: a key of DIRECTIONS. speed: one of SPEEDS."""
        step = np.array(DIRECTIONS[direction])
        return step / np.hypot(*step) * self._pixels(speed)

    def _pixels(self, speed):
        return self.frame_step * self.pixels_per_frame[SPEEDS.index(speed)] * min(self.size) / 64

    def render(self, generator, labels, turns=None, steering=None):
        """Clips that show these motions (one list of DigitMotions a clip), with random instances and starts.

        turns: for each clip the directions into which its digit turns, one after the other; () for none. steering: a
        Steering, by default none; digits that do what a brush says don't turn.
        """
        if not labels:
            raise InputError("a batch of 0 clips can't be made; ask for at least 1")
        if not self.colors and (named := {motion.colour for motions in labels for motion in motions} - {WHITE}):
            raise InputError(
                f"clips in grey can't show what is {' or '.join(sorted(named))}; make them with colors=True"
            )
        moved = Steering.none(len(labels)) if steering is None else steering
        turns = [() if held else later for held, later in zip(moved.held, turns or [()] * len(labels))]
        captions = [
            f", {THEN} ".join([describe(motions, generator if self.synonyms else None), *later])
            for motions, later in zip(labels, turns)
        ]
        corners = self._corners(generator, labels, turns, moved)
        margin = self.digit_size if moved.pan.any() else 0  # digits that leave the picture are painted beside it
        video = self._paint(generator, labels, corners, margin)
        tracks = corners + np.float32((self.digit_size - 1) / 2)
        clips = Clips(video, captions, labels, tracks, self.size, self.digit_size, self.frame_step)
        if self.structured and self.synonyms:
            for clip, (motions, later, track) in enumerate(zip(labels, turns, tracks)):
                if generator.random() < self.structured:
                    captions[clip] = draw_fields(generator, motions, track[:, 0], self.size, later, self.field_dropout)
        if steering is not None:
            clips.velocities = steering.fields(generator, corners[:, :, 0], self.size, self.digit_size)
        return clips

    def _corners(self, generator, labels, turns, steering):
        """Upper left corners (y, x) of the digits' boxes: float32 (B, digits, T, 2), NaN for an absent digit."""
        velocity, begins = self._velocities(labels, turns)
        velocity, room = steering.override(velocity), np.array(self.size) - self.digit_size
        lengths = np.diff(begins, axis=0, append=self.num_frames)
        # No wall is in the way in the first half, nor in any part of a clip that turns.
        clear = np.where([len(later) > 0 for later in turns], lengths, lengths / 2)
        start = draw_starts(generator, velocity - steering.pan[:, None], clear, room)
        corners = bounce(start, velocity, begins, room, steering.window(self.num_frames))
        # The start is taken with which two digits cover each other least.
        apart = np.abs(corners[:, :, :1] - corners[:, :, -1:])
        covered = np.clip(self.digit_size - apart, 0, None).prod(axis=-1).mean(axis=(2, 3))  # (starts, B)
        best = np.nan_to_num(covered).argmin(axis=0)  # the first where there is one digit
        corners = corners[best, np.arange(len(labels))].astype(np.float32)
        return corners if self.subpixel else np.rint(corners)

    def _velocities(self, labels, turns):
        """What captions mean in each part of a clip, (parts, B, digits, 2), and the frames at which parts begin.

        Frames are (parts, B). A clip that doesn't turn has one part; parts that a clip doesn't have begin at its end.
        """
        parts = 1 + max(map(len, turns))
        velocity = np.zeros((parts, len(labels), max(map(len, labels)), 2))
        begins = np.full((parts, len(labels)), self.num_frames)
        for clip, (motions, later) in enumerate(zip(labels, turns)):
            begins[: 1 + len(later), clip] = part_begins(1 + len(later), self.num_frames)
            velocity[:, clip, len(motions) :] = np.nan
            for slot, motion in enumerate(motions):
                for part, direction in enumerate((motion.direction, *later)):
                    velocity[part, clip, slot] = self.velocity(direction, motion.speed)
        return velocity, begins

    def _paint(self, generator, labels, corners, margin):
        """The frames, float32 (B, T, H, W, C). margin: pixels around the picture that are painted and then cut off."""
        height, width = self.size
        channels, shape = (3 if self.colors else 1), (self.num_frames, height + 2 * margin, width + 2 * margin)
        video = np.zeros((channels, len(labels), *shape), np.float32)
        for slot in range(corners.shape[1]):
            clips = np.array([clip for clip, motions in enumerate(labels) if slot < len(motions)])
            shown = [labels[clip][slot] for clip in clips]
            digits = self.source.draw(generator, [motion.digit for motion in shown], self.digit_size)
            places = (corners[clips, slot] + margin).clip(0, (height + margin, width + margin))
            light = np.array([COLOURS.get(motion.colour, (1, 1, 1)) for motion in shown], np.float32)
            for channel in range(channels):
                paint(video[channel], clips, digits * light[:, channel, None, None], places)
        inner = video[:, :, :, margin : margin + height, margin : margin + width]
        return np.ascontiguousarray(np.moveaxis(inner, 0, -1))

    def draw_turns(self, generator, motions):
        """The directions into which the digit of a clip turns, one after the other: a tuple, () if it doesn't turn."""
        (digit, before, speed, _), *others = motions
        counts = [count for count in self.turns if self.num_frames >= 2 * (count + 1)]
        if not self.turning or others or not counts or speed in ALONE or generator.random() >= self.turning:
            return ()
        turns, count = [], counts[generator.integers(len(counts))]
        while len(turns) < count and (ways := [way for other, way in self.pairs if other == digit and way != before]):
            before = ways[generator.integers(len(ways))]
            turns.append(before)
        return tuple(turns)

    def describe(self):
        """What the clips are like, for a checkpoint: a training goes on only with the same."""
        names = ["size", "num_frames", "digit_size", "num_digits", "speeds"]
        # Older checkpoints don't have these, and must still match where nobody has set them.
        names += [
            name
            for name in (
                *("pixels_per_frame", "turning", "turns", "frame_step", "steered", "structured", "field_dropout"),
                "colors",
            )
            if getattr(self, name) != getattr(type(self), name)
        ]
        return {"digits": self.source.name, **{name: list(np.atleast_1d(getattr(self, name))) for name in names}}

    def _check(self):
        """InputError for settings that no clip can have."""
        check_canvas(self.size, self.num_frames, self.digit_size)
        if not self.num_digits or not set(self.num_digits) <= set(range(1, MAX_DIGITS + 1)):
            raise InputError(f"clips of {self.num_digits} digits can't be made; choose among 1 and {MAX_DIGITS}")
        if not self.speeds or not set(self.speeds) <= set(SPEEDS):
            raise InputError(f"{self.speeds} are not all speeds; choose among {', '.join(SPEEDS)}")
        if {*self.num_digits} == {2} and {*self.speeds} <= {*ALONE}:
            raise InputError("two digits that are very fast can't be followed; give slower speeds, or one digit")
        least = max(len(USUAL_SPEEDS), *(SPEEDS.index(speed) + 1 for speed in self.speeds))
        named = SPEEDS[: max(least, len(self.pixels_per_frame))]
        if len(self.pixels_per_frame) != len(named) or not all(0 < speed <= 1000 for speed in self.pixels_per_frame):
            raise InputError(
                f"pixels_per_frame is a number above 0 and up to 1,000 for each of {', '.join(named)}, not "
                f"{self.pixels_per_frame}"
            )
        if self.colors and self.structured:
            raise InputError("captions of fields don't say colours; leave out structured, or colors")
        for name in ("turning", "steered", "structured", "field_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        if not self.turns or not all(1 <= count <= MOST_TURNS for count in self.turns):
            raise InputError(f"turns are numbers from 1 to {MOST_TURNS}, such as 1,2; not {self.turns}")
        if self.held_out not in ("exclude", "only", "include"):
            raise InputError(f"held_out={self.held_out!r} is not known; choose exclude, only or include")


def paint(video, clips, digits, corners):
    """Draw digits into a video in place, each pixel keeping the larger of what was there and what comes.

    video: float32 (B, T, H, W). clips: (n,) different clips' indices. digits: float32 (n, d, d), d < H, W.
    corners: (n, T, 2), the box's upper left corner (y, x) in pixels, 0 to (H, W) - d. Whole numbers copy
    the digit exactly; between them it is interpolated linearly, which moves its centre of mass exactly.
    """
    side = digits.shape[-1] + 1  # of the patch that a shifted digit touches
    frames = np.arange(video.shape[1])
    whole = np.minimum(corners.astype(np.int64), np.array(video.shape[2:]) - side)  # at the far wall the shift is 1
    down, right = np.moveaxis((corners - whole).astype(np.float32), -1, 0)  # (n, T)
    # Linear interpolation is a weighted sum of four whole-pixel shifts, so a matrix product over them.
    framed = np.pad(digits, ((0, 0), (1, 1), (1, 1)))
    shifts = [framed[:, y : y + side, x : x + side] for y in (1, 0) for x in (1, 0)]
    shifts = np.stack(shifts, axis=1).reshape(len(digits), 4, side * side)
    weights = [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
    patches = (np.stack(weights, axis=-1) @ shifts).reshape(*down.shape, side, side)
    windows = np.lib.stride_tricks.sliding_window_view(video, (side, side), axis=(2, 3), writeable=True)
    place = clips[:, None], frames, whole[..., 0], whole[..., 1]
    windows[place] = np.maximum(windows[place], patches)


def check_canvas(size, num_frames, digit_size):
    """InputError, with what works, unless a digit of so many pixels can move in clips of this size and length."""
    if len(size) != 2 or num_frames < 1:
        raise InputError(f"a clip needs a size (height, width) and at least one frame, not {size} and {num_frames}")
    if min(size) <= 8:
        raise InputError(f"a canvas of {size[0]}x{size[1]} has no room for a digit; give at least 9 pixels each way")
    if not 8 <= digit_size < min(size):
        raise InputError(
            f"digits of {digit_size} pixels can't move on a canvas of {size[0]}x{size[1]}; "
            f"choose a digit_size from 8 to {min(size) - 1}, or a larger canvas"
        )
