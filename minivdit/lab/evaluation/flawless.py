"""When a clip is flawless: digits stay on their paths and stay alike, and there is no other ink, haze or stutter.

Thresholds were set on real clips, drawn by the data's own rule and after a round trip through a trained autoencoder:
nearly all of them pass, and clips that were spoilt don't (tests/lab/evaluation/test_flawless.py).
"""

import numpy as np

from .bouncing_lines import NOWHERE
from .colours import NEAR, hue_changes
from .tracking import margin

ON_PATH = 1 / 16  # of the digit's size: how near to a bouncing line a track must be (1.75 px of 28)
SEEN = 0.9  # of the frames in which a digit on its path must be found
FEW = 1 / 8  # of the frames: what is wrong in no more than these is let pass
EXTRA = 0.01  # of an average digit's ink: about one white pixel where digits have 28
HAZE = 0.04
STANDS = 1 / 4  # of the step that is due: a digit that goes less far, or back, stands
ALIKE = 0.85  # correlation with the first picture; another writer's digit of the same class has less
EXPLAINED = 0.8  # the same of two digits that touch, whose places are known less well


def flawless(observation):
    """(B,) bool: nothing is wrong with any digit or beside it, whatever the caption says."""
    each = on_path(observation) & keeps_moving(observation) & stays_alike(observation) & keeps_colour(observation)
    each &= one_class(observation) != 0  # NaN: it can't be told
    return (each | ~observation.tracks.wanted).all(-1) & no_haze(observation)


def one_class(observation):
    """(B, K): 1 if every readable frame shows the same class, and none has lost the digit, else 0; NaN of one frame."""
    readable, classes = observation.readable, observation.classes
    lowest = np.where(readable, classes, 10).min(-1)
    highest = np.where(readable, classes, -1).max(-1)
    return np.where(readable.sum(-1) > 1, (lowest == highest) & (lowest >= 0), np.nan)


def nothing_else(observation):
    """(B,) bool: in no more than a FEW frames is there more than the digits.

    That is a stroke, a speck or a shape beside them, or one that touches a digit and makes it larger than its square.
    """
    tracks = observation.tracks
    sides = np.nan_to_num(tracks.high - tracks.low).max(-1) - 2 * margin(observation.digit_size)
    large = ((sides >= observation.digit_size) & ~tracks.merged).any(1)
    return ((tracks.extra > EXTRA) | large).mean(-1) <= FEW


def no_haze(observation):
    """(B,) bool: faint ink beside the digits is in no more than a FEW frames."""
    return (observation.tracks.haze > HAZE).mean(-1) <= FEW


def on_path(observation):
    """(B, K) bool: found in nearly every frame, moves, and stays near one straight line mirrored at the walls."""
    paths, tracks = observation.paths, observation.tracks
    near = np.nan_to_num(paths.residual, nan=np.inf) <= ON_PATH * observation.digit_size
    return (tracks.found.mean(-1) >= SEEN) & near & (paths.direction != NOWHERE)


def keeps_moving(observation):
    """(B, K) bool: in all but a FEW steps the digit goes on along its line, and the picture changes."""
    step, due = (np.diff(places, axis=2) for places in (observation.tracks.positions, observation.paths.path))
    length = np.linalg.norm(due, axis=-1)
    merged = observation.tracks.merged
    counted = ~(merged[..., 1:] | merged[..., :-1] | np.isnan(step[..., 0]))
    counted &= length > observation.paths.speed[..., None] / 2  # at a wall a digit may be reflected within a step
    stands = counted & ((step * due).sum(-1) < STANDS * length**2)
    # Where digits touch, it isn't known how far each has gone: see how much of the picture changes.
    changes = observation.changes
    usual = np.quantile(changes, 0.75, axis=1, keepdims=True) if changes.size else 0
    same = changes < STANDS * usual
    return _few(stands, counted) & _few(same, np.ones_like(same))[:, None]


def _few(wrong, counted):
    """(...,) bool: no more than a FEW of the counted steps (..., T - 1) are wrong; one may always be."""
    return wrong.sum(-1) <= np.maximum(1, FEW * counted.sum(-1))


def stays_alike(observation):
    """(B, K) bool: the digit looks like its first picture throughout; where two touch, their pictures explain both."""
    alone = np.nan_to_num(observation.likeness, nan=1.0) >= ALIKE
    together = np.nan_to_num(observation.overlaid, nan=1.0) >= EXPLAINED
    return alone.all(-1) & together.all(-1)[:, None]


def keeps_colour(observation):
    """(B, K) bool: in no more than a FEW frames is its hue far from that of the first frame with colour."""
    if observation.tones is None:
        return np.ones(observation.tracks.wanted.shape, bool)
    change = hue_changes(observation.tones)
    return _few(change > NEAR, ~np.isnan(change))
