"""Encounters: a digit comes to a wall, or two digits meet."""

import numpy as np

from .bouncing_lines import centre_limits
from .flawless import ON_PATH, SEEN
from .observation import mean_of_known, most_seen


def bounces(observation):
    """Are digits reflected by the walls? (B,), mean over the clip's digits; NaN where no bounce was due.

    A bounce is due where the digit's best bouncing line is reflected, or where the digit, going on as in the first half
    of the clip, would end behind a wall. The digit obeys if its line is reflected and it is found near the line in the
    frames in which it would be elsewhere without the bounce. A digit that stops at a wall, leaves through it or comes
    back before it doesn't obey.
    """
    paths, tracks = observation.paths, observation.tracks
    near = ON_PATH * observation.digit_size
    time = np.arange(tracks.positions.shape[2])
    straight = paths.path[:, :, :1] + paths.velocity[:, :, None] * time[:, None]
    # Reflected, a digit is twice as far from the straight line as it would be had it stopped at the wall.
    reflected = (np.abs(paths.path - straight) > 2 * near).any(-1) & observation.readable
    distance = np.linalg.norm(tracks.positions - paths.path, axis=-1)
    followed = _share(distance <= near, reflected) >= SEEN  # NaN where the digit is lost: not near
    due = reflected.any(-1) | (_heads_out(observation, 2 * near) & tracks.wanted)
    return mean_of_known(np.where(due, reflected.any(-1) & followed, np.nan), -1)


def permanence(observation):
    """Are two digits that met both there again afterwards? (B,), 1 or 0; NaN where they didn't meet and part.

    They meet in the frames in which they touch. What is read in the frames before the first of these is compared with
    what is read after the last one: the same two classes, whichever went where. Two digits must have been there before.
    """
    tracks = observation.tracks
    length = tracks.merged.shape[-1]
    if tracks.wanted.shape[1] < 2:
        return np.full(len(tracks.wanted), np.nan)
    together = tracks.merged.any(1)  # (B, T)
    time = np.arange(length)
    before = time < np.where(together.any(1), together.argmax(1), 0)[:, None]
    after = time > (length - 1 - together[:, ::-1].argmax(1))[:, None]
    met = together.any(1) & before.any(1) & after.any(1) & tracks.wanted.all(1)
    classes = [
        np.sort(most_seen(observation, np.broadcast_to(part[:, None], observation.readable.shape)), axis=1)
        for part in (before, after)
    ]
    there = (classes[0] >= 0).all(1)
    return np.where(met & there, (classes[0] == classes[1]).all(1), np.nan)


def _heads_out(observation, margin):
    """(B, K): straight on from its first frames' median step, the digit's centre would end behind a wall."""
    positions = observation.tracks.positions
    length = positions.shape[2]
    first = positions[:, :, : max(2, length // 2 + 1)]
    known = ~np.isnan(first).any((-1, -2))  # in every one of these frames
    step = np.median(np.diff(np.nan_to_num(first), axis=2), axis=2)
    end = np.nan_to_num(first[:, :, 0]) + (length - 1) * step
    low, high = centre_limits(np.array(observation.canvas), observation.digit_size)
    return known & ((end < low - margin) | (end > high + margin)).any(-1)


def _share(true, counted):
    return (true & counted).sum(-1) / np.maximum(counted.sum(-1), 1)
