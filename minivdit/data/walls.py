"""Straight ways between walls: where digits start, and where they are in all frames.

A clip in which a digit turns has several parts, each with a velocity of its own.
"""

import numpy as np

_STARTS = 8  # random starts to choose from


def part_begins(parts, length):
    """The places at which equal parts of so many frames begin: NumPy (parts,). The first ones have a frame more."""
    return -(-np.arange(parts) * length // parts)


def draw_starts(generator, velocity, clear, room):
    """Random starts (_STARTS, B, digits, 2) from which no wall is in the way, as far as the room allows.

    velocity: (parts, B, digits, 2), in pixels a frame. clear: (parts, B), for how many frames each of them is to meet
    no wall. room: (2,), walls are at 0 and there.
    """
    ends = np.cumsum(velocity * clear[..., None, None], axis=0)
    low, high = ends.min(axis=0).clip(None, 0), ends.max(axis=0).clip(0)  # how far it goes from its start
    # A digit that would go more than 1.5 times through the room starts anywhere in the half behind. Were it always at a
    # wall, its caption would tell where it is in each frame.
    far = high - low
    kept = np.where(far > 1.5 * room, room / 2 / np.maximum(far, 1), 1)
    low, high = low * kept, high * kept
    spare = generator.random((_STARTS, *low.shape)) * (room - np.minimum(high - low, room))
    return np.where(velocity[0] < 0, room - high - spare, spare - low).clip(0, room)


def bounce(start, velocity, begins, room, window):
    """Places (_STARTS, B, digits, T, 2) of digits that move straight between walls that reflect them.

    start: (_STARTS, B, digits, 2). velocity: (parts, B, digits, 2). begins: (parts, B), the frames at which the parts
    begin, T for parts that a clip doesn't have. room: (2,), walls are at 0 and there. window: (B, 1, T, 2), zeros for a
    camera that rests; or else the way of its picture over a room that is larger by it. Places are in the picture.
    """
    start, room = start + window[:, :, 0], room + window.max(axis=2, keepdims=True)
    num_frames = window.shape[2]
    time = np.arange(num_frames)[:, None]

    def fold(path):  # reflection at both walls folds a straight path like a strip of paper
        return room - np.abs(path % (2 * room) - room)

    places = fold(start[..., None, :] + velocity[0, :, :, None] * time)
    for begin, after in zip(begins[1:], velocity[1:]):  # a digit that turns goes on from where it is
        here = np.take_along_axis(places, begin.clip(None, num_frames - 1)[None, :, None, None, None], axis=3)
        since = time - begin[:, None, None, None]  # (B, 1, T, 1)
        places = np.where(since > 0, fold(here + after[:, :, None] * since), places)
    return places - window
