"""Does a clip hold together: over a seam, when long, with what was before an edit, and where its caption turns?"""

import numpy as np

from ...data import DIRECTIONS, PIXELS_PER_FRAME, parse
from ...data.captions import over_time
from ...data.walls import part_begins
from .observation import mean_of_known, observe


def seam(video):
    """How a loop closes: (jump, step), each (B,), mean absolute differences of pixels of a video (B, T, H, W, C).

    jump: from the last frame to the first. step: the median over all neighbouring frames. A loop in which the jump is
    no larger than the step is seamless.
    """
    steps = np.abs(np.diff(video, axis=1)).mean(axis=(2, 3, 4))
    return np.abs(video[:, -1] - video[:, 0]).mean(axis=(1, 2, 3)), np.median(steps, axis=1)


def drift(video, digit_size, digits, every):
    """What becomes of a digit over stretches of `every` frames of a long clip, in values (B, stretches) by name.

    A clip of fewer frames is one stretch, and frames at the end that don't fill one are left out.
    likeness: correlation of the digit's windows with its first one. one_class: share of frames that show the class that
    most frames of the first stretch show. Means over the clip's digits, which are 1 or 2; NaN where they can't be seen.
    number: share of frames without touching digits that show as many as there should be.
    """
    observation, every = observe(video, digit_size, digits), min(every, video.shape[1])
    ends = range(every, video.shape[1] + 1, every)
    first = observation.classes[:, :, :every]
    votes = ((first[..., None] == np.arange(10)) & observation.readable[:, :, :every, None]).sum(axis=2)
    same = (observation.classes == votes.argmax(axis=-1)[..., None]) & observation.tracks.found
    tracks = observation.tracks
    number = np.where(tracks.merged.any(axis=1), np.nan, tracks.blobs == digits)[:, None]
    values = {
        "likeness": observation.likeness,
        "one_class": np.where(observation.readable, same, np.nan),
        "number": number,
    }
    return {
        name: np.stack([mean_of_known(value[:, :, end - every : end], (1, 2)) for end in ends], axis=1)
        for name, value in values.items()
    }


def parts_obeyed(video, captions, digit_size, pixels_per_frame=PIXELS_PER_FRAME):
    """Share of the parts of its caption in which a clip's digits go the way that the part says: (B,).

    video: (B, T, H, W, 1). captions: B, each of one or more parts, such as "a 3 moving right, then up, then left". A
    part reaches to the frame in which the next begins, where the digit stands when it turns. Which digit it is, isn't
    asked here; see `drift`.
    """
    shares = []
    for clip, caption in zip(video, captions):
        parts, right = [parse(part) for part in over_time(caption)], []
        begins = [*part_begins(len(parts), len(clip)), len(clip) - 1]
        for motions, begin, end in zip(parts, begins, begins[1:]):
            seen = observe(clip[None, begin : end + 1], digit_size, len(motions), pixels_per_frame).paths.direction[0]
            right.append(sorted(seen) == sorted(list(DIRECTIONS).index(motion.direction) for motion in motions))
        shares.append(np.mean(right))
    return np.array(shares)


def kept_place(video, before, digit_size, digits):
    """Share of frames in which a clip's digits are where they were in another clip: (B,), mean over the digits.

    video, before: (B, T, H, W, 1). Where they were means nearer than a quarter of digit_size (pixels), a digit lost in
    `video` doesn't count as kept. NaN where nothing is seen in `before`.
    """
    now, then = (observe(clips, digit_size, digits).tracks.positions for clips in (video, before))
    apart = np.linalg.norm(now[:, :, None] - then[:, None], axis=-1)  # (B, now, then, T)
    nearest = np.where(np.isnan(apart), np.inf, apart).min(axis=1)
    kept = np.where(np.isnan(then).any(-1), np.nan, nearest < digit_size / 4)
    return mean_of_known(kept, (1, 2))
