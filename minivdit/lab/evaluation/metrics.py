"""What a clip shows against what its caption asked for: digits, directions, identity, motion.

The metrics are cheap functions of an Observation (observation.py) and the captions. Each gives one value a clip, so
controls (other captions, shuffled frames) are the same call on other inputs.

Consistency alone is worthless, a frozen clip has all of it, so motion stands beside it. A clip of
two digits is judged by the best pairing of what was seen with what was asked; only `obeys` asks
that one pairing be right in everything, so a clip whose digits have swapped directions passes `digit`
and `direction` and fails `obeys`.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ...base.errors import InputError
from ...data import COLOURS, DIRECTIONS, PIXELS_PER_FRAME, SPEEDS, parse
from .bouncing_lines import NOWHERE
from .colours import hue_changes, named
from .flawless import flawless, nothing_else, on_path, one_class
from .observation import mean_of_known, most_seen

HALF = 0.5  # of the frames, in which a digit must be read


@dataclass(frozen=True)
class CaptionTargets:
    """What captions ask for, as arrays (B, K); -1 (speed: NaN) where a caption has fewer than K digits.

    named: px a frame that each of SPEEDS stands for. colour: places in (white, *COLOURS).
    """

    digit: np.ndarray
    direction: np.ndarray
    speed: np.ndarray  # px a frame
    named: np.ndarray
    colour: np.ndarray

    @property
    def count(self):
        return (self.digit >= 0).sum(-1)


def read_captions(captions, canvas, pixels_per_frame=PIXELS_PER_FRAME):
    """The CaptionTargets of captions. canvas (height, width) and pixels_per_frame set what "fast" is in pixels."""
    parsed = [parse(caption) for caption in captions]
    if not parsed:
        raise InputError("no captions were given; evaluation takes one for each clip")
    shape = len(parsed), max(map(len, parsed))
    digit, direction, colour = (np.full(shape, -1) for _ in range(3))
    speed, colours = np.full(shape, np.nan), list(COLOURS)
    names, named = list(DIRECTIONS), np.array(pixels_per_frame) * min(canvas) / 64
    for row, motions in enumerate(parsed):
        for slot, motion in enumerate(motions):
            digit[row, slot], direction[row, slot] = motion.digit, names.index(motion.direction)
            speed[row, slot] = named[SPEEDS.index(motion.speed)]
            colour[row, slot] = 1 + colours.index(motion.colour) if motion.colour else 0
    return CaptionTargets(digit, direction, speed, named, colour)


def clip_values(observation, targets):
    """The values (B,) of all measures that say something of a single clip, by name: see measures.MEASURES.

    Grey clips have none for colours.
    """
    return {
        **prompt_metrics(observation, targets),
        **identity_metrics(observation),
        **motion_metrics(observation),
    }


def prompt_metrics(observation, targets):
    """Is the caption obeyed? Values (B,) in [0, 1] by name; obeys and flawless are 0 or 1.

    digit_frames: share of readable frames that show the digit asked for (lost frames don't).
    digit:     the digit read most often is the one asked for.
    direction: the track's path sets off in the direction asked for.
    obeys:     each digit asked for is read in at least half of all frames (but for those in which digits touch), moves
               in its direction, and nothing else is there; in clips with colours it has its own in half of them, too.
    flawless:  it obeys, each digit follows its bouncing line, moves in every step, reads as one class and looks like
               its first frame throughout, and there is no ink beside the digits.
    colour:    share of frames in which the digit asked for has its colour (of clips in colour, else it is absent).
               Frames in which it is lost count as wrong; those in which two digits cover each other don't count.
    speed:     of "slow", "normal" and "fast" the right one is nearest.
    number:    share of frames without touching digits that show as many digits as asked for.
    """
    digit, wanted = targets.digit, targets.digit >= 0
    tracks = observation.classes.shape[1]
    # right[b, motion, track]
    frame_right = (observation.classes[:, None] == digit[:, :, None, None]) & observation.readable[:, None]
    frames = frame_right.sum(-1) / np.maximum(observation.readable.sum(-1), 1)[:, None]
    majority = digit[..., None] == most_seen(observation)[:, None]
    direction = targets.direction[..., None] == observation.paths.direction[:, None]
    moving = observation.paths.direction != NOWHERE
    nearest = np.where(moving, _speed_index(observation.paths.speed, targets.named), -1)
    speed = nearest[:, None] == _speed_index(targets.speed, targets.named)[..., None]

    def best(score):
        """Mean over the motions asked for, under the pairing that is best for `score` (B, motions, tracks)."""
        return _paired(score, _best_pairing(score, wanted, tracks), wanted)

    both = (frames >= HALF) & direction
    if (coloured := _colour(observation, targets)) is not None:
        both &= ~(coloured < HALF)  # NaN: it can't be told
    pairing = _best_pairing(both + 0.1 * (majority + 0.5 * direction + 0.1 * speed), wanted, tracks)
    obeys = (_paired(both, pairing, wanted) > 1 - 1e-6) & nothing_else(observation)
    single = ~observation.tracks.merged.any(1)
    number = np.where(single, observation.tracks.blobs == targets.count[:, None], np.nan)
    values = {
        "digit_frames": best(frames),
        "digit": best(majority),
        "direction": best(direction),
        "obeys": obeys.astype(float),
        "flawless": (obeys & flawless(observation)).astype(float),
        "speed": _paired(speed, pairing, wanted),
        "number": mean_of_known(number, -1),
    }
    return values if coloured is None else {**values, "colour": _paired(coloured, pairing, wanted)}


def _colour(observation, targets):
    """(B, motions, tracks): in which share of the frames each track has each motion's colour; None of grey clips."""
    if observation.tones is None:
        return None
    counted = observation.readable & ~(observation.tracks.found & np.isnan(observation.tones))
    right = named(observation.tones)[:, None] == targets.colour[:, :, None, None]
    return mean_of_known(np.where(counted[:, None], right, np.nan), -1)


def identity_metrics(observation):
    """Does a digit stay itself? Values (B,) by name, means over the clip's digits.

    one_class: every readable frame shows the same class, and none has lost the digit (0 or 1).
    likeness:  mean correlation of the digit's windows with its first one, 1 = the same picture. Frames in which the
               digit is lost are left out, so it can rise by losing the digit: read it beside one_class or digit_frames.
    drift:     by how much that correlation falls from the first half of the clip to the second.
    hue_drift: degrees by which its hue differs from that in the first frame with colour, mean over frames; NaN for
               digits without colour (of clips in colour, else it is absent). See colours.hue_changes.
    """
    # The first window is compared with itself: leave it out.
    likeness = observation.likeness.copy()
    counted = ~np.isnan(likeness)
    np.put_along_axis(likeness, counted.argmax(-1)[..., None], np.nan, -1)
    half = likeness.shape[-1] // 2
    drift = mean_of_known(likeness[..., :half], -1) - mean_of_known(likeness[..., half:], -1)
    values = {"one_class": one_class(observation), "likeness": mean_of_known(likeness, -1), "drift": drift}
    if observation.tones is not None:
        values["hue_drift"] = mean_of_known(hue_changes(observation.tones), -1)
    return _over_digits(observation, values)


def motion_metrics(observation):
    """Does a digit move as digits do? Values (B,) by name, means over the clip's digits.

    on_path:   it is found in nearly every frame, moves, and stays near one straight line mirrored at the walls.
    residual: px, mean distance to the best such line; NaN where too little was seen.
    travel:   px along that line over the whole clip; a frozen digit has 0.
    """
    paths = observation.paths
    travel = paths.speed * (observation.tracks.positions.shape[2] - 1)
    values = {"on_path": on_path(observation), "residual": paths.residual, "travel": travel}
    return _over_digits(observation, values)


def _over_digits(observation, values):
    """Means (B,) over the clip's digits of values (B, K), by name."""
    wanted = observation.tracks.wanted
    return {name: mean_of_known(np.where(wanted, value, np.nan), -1) for name, value in values.items()}


def _speed_index(speed, named):
    """Which of the named speeds is nearest in proportion to `speed`, px a frame."""
    ratio = np.log(np.maximum(np.nan_to_num(speed), 1e-3)[..., None] / named)
    return np.abs(ratio).argmin(-1)


def _best_pairing(score, wanted, tracks):
    """For each clip the track of each motion: (B, motions), over all ways to pair them; score (B, motions, tracks)."""
    motions = score.shape[1]
    ways = list(itertools.permutations(range(max(tracks, motions)), motions))
    padded = np.zeros((*score.shape[:2], max(tracks, motions)))
    padded[..., :tracks] = np.where(wanted[..., None], score, 0)
    totals = np.stack([sum(padded[:, m, t] for m, t in enumerate(way)) for way in ways], -1)
    return np.array(ways)[totals.argmax(-1)]


def _paired(score, pairing, wanted):
    """Mean over wanted motions of score[b, motion, pairing[b, motion]]; a motion without a track scores 0."""
    padded = np.concatenate([score, np.zeros((*score.shape[:2], pairing.max() + 1))], -1)
    values = np.take_along_axis(padded, pairing[..., None], -1)[..., 0]
    return (values * wanted).sum(-1) / wanted.sum(-1)
