"""Captioned clips of moving digits.

Moving MNIST (see lab/display/classic.py) made digits bounce. Captions follow Mittal, Marwah and Balasubramanian,
"Sync-DRAW" (2017), who also held out digit x motion pairs to test composition.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..base.errors import InputError
from .digits import DigitSource
from .fields import fields_of, in_fields, place_of
from .grammar import ALONE, DIRECTIONS, FIELDS, MAX_DIGITS, SPEEDS, THEN, USUAL_SPEEDS, DigitMotion, describe
from .velocities import velocity_fields

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
_STARTS = 8  # random starts of which the one with least overlap is taken
_PAIRS = tuple((digit, direction) for digit in range(10) for direction in DIRECTIONS)


@dataclass
class Clips:
    """A batch of captioned clips.

    video: float32 (B, T, H, W, 1) in [0, 1]. captions: B strings. labels: for each clip a list of its
    DigitMotions, in the caption's order. tracks: float32 (B, digits, T, 2), the centre (y, x) of each
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


@dataclass(eq=False)
class CaptionedClips:
    """Makes clips of moving digits and captions that say what moves where.

    A digit moves straight at its caption's direction and speed. The walls reflect it as a mirror reflects light. It
    starts far enough from the wall ahead that, where the canvas allows, no bounce comes in the first half of the clip;
    where it would go more than 1.5 times through the room by then, anywhere in the half behind. Two digits of a clip
    are of different classes, and never "very fast"; of a few random starts the one with the least overlap is taken.

    source: a DigitSource. size: canvas (H, W), any. num_frames: any. digit_size: pixels, under H and W.
    num_digits: how many digits a clip may have, such as (1,) or (1, 2). speeds: some of SPEEDS.
    turning: the share of one-digit clips whose digit turns into another direction, where the caption says so: "a 3
    moving right, then up". turns: how often, one of these numbers by chance: with two turns a clip has three parts of
    equal length, up to a frame. Each part has two frames at least, or the clip doesn't turn; and a digit that is very
    fast would turn among bounces, so it doesn't.
    held_out: "exclude" (training) never shows a pair of HELD_OUT, "only" shows nothing else (the test
    of composition), "include" shows all. synonyms: False always gives the plainest caption.
    structured: the share of clips whose caption is a list of fields (see data.fields), if not always the plainest.
    field_dropout: each field is left out of so many of these, so that a network learns to do without it.
    subpixel: False rounds positions to whole pixels, as in the classic data set. That keeps thin strokes
    equally bright in every frame, but makes slow motion stutter (0 or 1 pixel a frame).
    pixels_per_frame: how fast each of SPEEDS is, of the first three at least; see PIXELS_PER_FRAME.
    frame_step: 4 to show every 4th frame only: all goes four times as far from frame to frame.
    steered: the share of clips in which the camera pans, or only brushed digits move, or both; see velocity_fields. The
    velocities are random, up to the fastest usual speed. In the first frame all digits are in the picture.
    """

    source: DigitSource
    size: tuple[int, int] = (64, 64)
    num_frames: int = 16
    digit_size: int = 28
    num_digits: tuple[int, ...] = (1, 2)
    speeds: tuple[str, ...] = USUAL_SPEEDS
    turning: float = 0.0
    turns: tuple[int, ...] = (1,)
    held_out: str = "exclude"
    synonyms: bool = True
    subpixel: bool = True
    pixels_per_frame: tuple[float, ...] = PIXELS_PER_FRAME
    frame_step: int = 1
    steered: float = 0.0
    structured: float = 0.0
    field_dropout: float = 0.1

    def __post_init__(self):
        check_canvas(self.size, self.num_frames, self.digit_size)
        for name in ("size", "num_digits", "speeds", "pixels_per_frame", "turns"):
            setattr(self, name, tuple(getattr(self, name)))
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
        for name in ("turning", "steered", "structured", "field_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        if not self.turns or not all(1 <= count <= MOST_TURNS for count in self.turns):
            raise InputError(f"turns are numbers from 1 to {MOST_TURNS}, such as 1,2; not {self.turns}")
        if self.held_out not in ("exclude", "only", "include"):
            raise InputError(f"held_out={self.held_out!r} is not known; choose exclude, only or include")
        pairs = {"exclude": [pair for pair in _PAIRS if pair not in HELD_OUT], "only": HELD_OUT, "include": _PAIRS}
        self.pairs = pairs[self.held_out]

    def batch(self, generator, batch_size):
        """`batch_size` random clips, as Clips. All randomness comes from `generator`."""
        labels = [self.draw_motions(generator) for _ in range(batch_size)]
        turns = [self.draw_turns(generator, motions) for motions in labels]
        steering = self.draw_steering(generator, batch_size) if self.steered else None
        return self.render(generator, labels, turns, steering)

    def describe(self):
        """What the clips are like, for a checkpoint: a training goes on only with the same."""
        names = ["size", "num_frames", "digit_size", "num_digits", "speeds"]
        # Older checkpoints don't have these, and must still match where nobody has set them.
        names += [
            name
            for name in ("pixels_per_frame", "turning", "turns", "frame_step", "steered", "structured", "field_dropout")
            if getattr(self, name) != getattr(type(self), name)
        ]
        return {"digits": self.source.name, **{name: list(np.atleast_1d(getattr(self, name))) for name in names}}

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
        return motions

    def draw_turns(self, generator, motions):
        """The directions into which the digit of a clip turns, one after the other: a tuple, () if it doesn't turn."""
        (digit, before, speed), *others = motions
        counts = [count for count in self.turns if self.num_frames >= 2 * (count + 1)]
        if not self.turning or others or not counts or speed in ALONE or generator.random() >= self.turning:
            return ()
        turns = []
        for _ in range(counts[0] if len(counts) == 1 else counts[generator.integers(len(counts))]):
            ways = [way for other, way in self.pairs if other == digit and way != before]
            if not ways:
                break
            before = ways[generator.integers(len(ways))]
            turns.append(before)
        return tuple(turns)

    def velocity(self, direction, speed):
        """What a caption means: (y, x) in pixels a frame. direction: a key of DIRECTIONS. speed: one of SPEEDS."""
        step = np.array(DIRECTIONS[direction])
        pixels = self.frame_step * self.pixels_per_frame[SPEEDS.index(speed)] * min(self.size) / 64
        return step / np.hypot(*step) * pixels

    def draw_steering(self, generator, clips):
        """The Steering of clips of which the share `steered` has any: a pan, a brush or both."""
        fastest = self.frame_step * max(self.pixels_per_frame[: len(USUAL_SPEEDS)]) * min(self.size) / 64
        angle, speed = 2 * np.pi * generator.random((2, clips)), fastest * generator.random((2, clips))
        pan, velocity = np.moveaxis([speed * np.sin(angle), speed * np.cos(angle)], 0, -1)  # (B, 2) each
        steered, kind = generator.random(clips) < self.steered, generator.integers(3, size=clips)
        held = steered & (kind > 0)
        brushed = held[:, None] & (generator.random((clips, MAX_DIGITS)) < 2 / 3)
        return Steering(pan * (steered & (kind < 2))[:, None], held, brushed, velocity)

    def render(self, generator, labels, turns=None, steering=None):
        """Clips that show these motions (one list of DigitMotions a clip), with random instances and starts.

        turns: for each clip the directions into which its digit turns, one after the other; () for none. steering: a
        Steering, by default none; digits that do what a brush says don't turn.
        """
        if not labels:
            raise InputError("a batch of 0 clips can't be made; ask for at least 1")
        turns, told = turns or [()] * len(labels), steering is not None
        steering = steering if told else Steering.none(len(labels))
        turns = [() if held else later for held, later in zip(steering.held, turns)]
        captions = [
            f", {THEN} ".join([describe(motions, generator if self.synonyms else None), *later])
            for motions, later in zip(labels, turns)
        ]
        corners = self._corners(generator, labels, turns, steering)
        edge = self.digit_size if steering.pan.any() else 0  # digits that leave the picture are painted beside it
        video = np.zeros((len(labels), self.num_frames, *(np.array(self.size) + 2 * edge)), np.float32)
        for slot in range(corners.shape[1]):
            clips = np.array([clip for clip, motions in enumerate(labels) if slot < len(motions)])
            digits = self.source.draw(generator, [labels[clip][slot].digit for clip in clips], self.digit_size)
            paint(video, clips, digits, (corners[clips, slot] + edge).clip(0, np.array(self.size) + edge))
        video = np.ascontiguousarray(video[:, :, edge : edge + self.size[0], edge : edge + self.size[1]])
        tracks = corners + np.float32((self.digit_size - 1) / 2)
        if self.structured and self.synonyms:
            for clip, (motions, later) in enumerate(zip(labels, turns)):
                if generator.random() < self.structured:
                    places = [place_of(track[0], self.size) for track in tracks[clip]]
                    captions[clip] = self.structured_caption(generator, motions, places, later)
        fields = self._fields(generator, corners[:, :, 0], steering) if told else None
        return Clips(video[..., None], captions, labels, tracks, self.size, self.digit_size, self.frame_step, fields)

    def structured_caption(self, generator, motions, places, turns=()):
        """The caption of fields of a clip (see data.fields_of), without those that are left out by chance."""
        left_out = {name for name in FIELDS if generator.random() < self.field_dropout}
        return in_fields(field for field in fields_of(motions, places, turns) if field[0] not in left_out)

    def _fields(self, generator, corners, steering):
        """The field of velocities of each clip, (B, H, W, 3). corners: of the digits' boxes in the first frame.

        A brush is rough: a box around each digit that is brushed, with edges up to half a digit further out or a little
        further in; or, if none is, a box anywhere beside the digits. It leaves out the boxes of the others.
        """
        fields, side = velocity_fields(len(corners), self.size, steering.pan), self.digit_size
        for clip in np.flatnonzero(steering.held):
            mask, boxes = np.zeros(self.size, bool), corners[clip]
            there = ~np.isnan(boxes[:, 0])
            brushed = there & steering.brushed[clip, : len(boxes)]
            around = boxes[brushed] if brushed.any() else generator.uniform(0, np.array(self.size) - side, (1, 2))
            for low in around:
                out = generator.uniform(-side / 8, side / 2, (2, 2))
                edges = np.array([low - out[0], low + side + out[1]]).clip(0)
                (top, left), (bottom, right) = edges.round().astype(int)
                mask[top:bottom, left:right] = True
            for low in boxes[there & ~brushed]:
                top, left = low.round().astype(int)
                mask[top : top + side, left : left + side] = False
            brush = mask, steering.velocity[clip]
            fields[clip : clip + 1] = velocity_fields(1, self.size, steering.pan[clip], brush)
        return fields

    def _corners(self, generator, labels, turns, steering):
        """Upper left corners (y, x) of the digits' boxes: float32 (B, digits, T, 2), NaN for an absent digit."""
        room, parts = np.array(self.size) - self.digit_size, 1 + max(map(len, turns))
        velocity = np.full((parts, len(labels), max(map(len, labels)), 2), np.nan)  # in each part of the clip
        begins = np.full((parts, len(labels)), self.num_frames)  # the frames at which parts begin, if they do
        for clip, (motions, later) in enumerate(zip(labels, turns)):
            begins[: 1 + len(later), clip] = part_begins(1 + len(later), self.num_frames)
            for slot, (_, before, speed) in enumerate(motions):
                for part, direction in enumerate((before, *later)):
                    velocity[part, clip, slot] = self.velocity(direction, speed)
                velocity[1 + len(later) :, clip, slot] = 0
        brush = steering.brushed[:, : velocity.shape[2], None] * steering.velocity[:, None]  # (B, digits, 2)
        velocity = np.where(steering.held[:, None, None] & ~np.isnan(velocity), brush, velocity)
        # The camera moves a window over a room that is larger by its way. It begins where this room has space for it.
        pan, time = steering.pan[:, None, None], np.arange(self.num_frames)[:, None]  # (B, 1, 1, 2), (T, 1)
        way = np.abs(pan) * (self.num_frames - 1)
        window = np.where(pan < 0, way, 0) + pan * time  # (B, 1, T, 2), its upper left corner in the room
        seen = velocity - steering.pan[:, None]  # in the window
        # No wall is in the way in the first half, nor in any part if a clip turns; chance decides within the room that
        # this leaves.
        turned = np.array([len(later) > 0 for later in turns])
        lengths = np.diff(begins, axis=0, append=self.num_frames)
        lengths = np.where(turned, lengths, lengths / 2)[..., None, None]
        ends = np.cumsum(seen * lengths, axis=0)
        low, high = ends.min(axis=0).clip(None, 0), ends.max(axis=0).clip(0)
        # Were a digit that is far too fast for that always at a wall, its caption would tell where it is in each frame.
        far = high - low
        kept = np.where(far > 1.5 * room, room / 2 / np.maximum(far, 1), 1)
        low, high = low * kept, high * kept
        spare = generator.random((_STARTS, *low.shape)) * (room - np.minimum(high - low, room))
        start = np.where(seen[0] < 0, room - high - spare, spare - low).clip(0, room)
        start, room = start[..., None, :] + window[:, :, :1], room + way

        def fold(path):  # reflection at both walls folds a straight path like a strip of paper, at 0 and at `room`
            return room - np.abs(path % (2 * room) - room)

        corners = fold(start + velocity[0, :, :, None] * time)  # (_STARTS, B, digits, T, 2)
        for begin, speed in zip(begins[1:], velocity[1:]):
            here = np.take_along_axis(corners, begin.clip(None, self.num_frames - 1)[None, :, None, None, None], axis=3)
            since = time - begin[:, None, None, None]  # (B, 1, T, 1)
            corners = np.where(since > 0, fold(here + speed[:, :, None] * since), corners)
        corners = corners - window
        apart = np.abs(corners[:, :, :1] - corners[:, :, -1:])
        covered = np.clip(self.digit_size - apart, 0, None).prod(axis=-1).mean(axis=(2, 3))  # (_STARTS, B)
        best = np.nan_to_num(covered).argmin(axis=0)  # the first where there is one digit
        corners = corners[best, np.arange(len(labels))].astype(np.float32)
        return corners if self.subpixel else np.rint(corners)


def part_begins(parts, length):
    """The places at which equal parts of so many frames begin: NumPy (parts,). The first ones have a frame more."""
    return -(-np.arange(parts) * length // parts)


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
