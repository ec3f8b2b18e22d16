"""Captions of what goes on in a clip: a digit bounces, and "moving right" becomes false.

A caption says which way a digit goes in the first frame of a clip. Each round of `TextToVideo.extend` draws a clip of
its own, and so do connect and loop at their ends. So what is asked for is what the tracker sees in the given frames.
"""

import numpy as np

from ...base.backend import to_numpy
from ...base.errors import InputError
from ...data import DIRECTIONS, PIXELS_PER_FRAME, describe, parse
from .bouncing_lines import NOWHERE, centre_limits, compass, fold
from .observation import observe

AHEAD = 1.0  # frames: which way a line goes there says where it gets to, should it start just before a wall
LEAST = 0.3  # mean probability of its digit, from which a track is taken for the one that is asked for


def going_on(prompt, digit_size, pixels_per_frame=PIXELS_PER_FRAME, before=0):
    """A prompt for extend, connect and loop that follows what there is: a function from given frames to captions.

    prompt: a caption, or one for each clip, that says which digits there are and how fast; its directions are replaced
    by those seen. digit_size: px. pixels_per_frame: what the captions' speeds mean. before: how many frames are drawn
    before the given ones, for clips that are extended backwards. The function takes clips (B, T, H, W, 1) and gives B
    captions. A digit that isn't seen to move keeps the direction of the prompt, and so does a prompt that can't be read
    as one caption of one or two digits, such as one with "then".
    """

    def captions(frames):
        prompts = [prompt] * len(frames) if isinstance(prompt, str) else list(prompt)
        frames = to_numpy(frames)
        frames = np.broadcast_to(frames, (len(prompts), *frames.shape[1:]))  # one may be given for all
        asked = [_motions(one) for one in prompts]
        counts = np.array([max(1, len(motions)) for motions in asked])
        seen = observe(frames, digit_size, counts, pixels_per_frame)
        now, sure = _directions(seen, before), _sureness(seen)
        for row, motions in enumerate(asked):
            if motions:
                tracks = _pairing(sure[row][: len(motions), [motion.digit for motion in motions]])
                followed = [_follow(motion, now[row, k], sure[row, k]) for motion, k in zip(motions, tracks)]
                prompts[row] = describe(followed)
        return prompts

    return captions


def _motions(prompt):
    """The DigitMotions of a caption; [] for what isn't one."""
    try:
        return parse(prompt)
    except InputError:
        return []


def _follow(motion, direction, sure):
    """The motion in the direction seen, if its digit is seen to move."""
    seen = direction != NOWHERE and sure[motion.digit] >= LEAST
    return motion._replace(direction=list(DIRECTIONS)[direction]) if seen else motion


def _sureness(seen):
    """(B, K, 10): the mean probability of each digit in the frames of a track that count."""
    counted = seen.readable[..., None]
    return (seen.probabilities * counted).sum(2) / np.maximum(counted.sum(2), 1)


def _directions(seen, before):
    """(B, K): which way each track goes `before` frames before the first one, NOWHERE where that can't be told."""
    paths = seen.paths
    if not before:
        return paths.direction
    places = []
    for time in (-before, -before + AHEAD):
        unfolded = paths.path[:, :, 0] + time * paths.velocity  # (B, K, 2)
        axes = [fold(unfolded[..., k], *centre_limits(seen.canvas[k], seen.digit_size)) for k in (0, 1)]
        places.append(np.stack(axes, axis=-1))
    return np.where(paths.direction == NOWHERE, NOWHERE, compass(places[1] - places[0]))


def _pairing(sure):
    """For each motion its track: sure (tracks, motions), how surely each track shows each motion's digit."""
    if sure.shape[1] == 1:
        return [int(sure[:, 0].argmax())]
    crossed = sure[0, 1] + sure[1, 0] > sure[0, 0] + sure[1, 1]
    return [1, 0] if crossed else [0, 1]
