"""Clips four and eight times as long as those in training: all frames at once, by extend, and in windows that overlap.

python examples/longer_clips.py

The weights small draw clips of 8 frames. Here they draw 32 and 64, in about ten minutes on 2 cores. What becomes of the
digit from the first eight frames to the last eight? A clip that stands still would keep its digit best, so how much
changes from frame to frame stands beside it, as a share of what changes in a real clip.
"""

import os

import numpy as np

from minivdit.data import CaptionedClips, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display import write_strips
from minivdit.lab.evaluation import Estimate, drift, going_on

SHORT = "MINIVDIT_SHORT" in os.environ
PROMPTS, MEASURES = 2 if SHORT else 24, ("one_class", "likeness", "number")

model = TextToVideo.load("small")
if SHORT:
    model.settings = type(model.settings)(**{**vars(model.settings), "steps": 2})
window, size, digit_size = model.settings.num_frames, model.settings.size, model.settings.digit_size


def at_once(captions, frames):
    return model.generate(captions, frames, seed=1)


def by_extend(captions, frames):
    """A clip of the usual length, then the rest, round after round; each is told which way the digit goes by then."""
    first = model.generate(captions, seed=1)
    return model.extend(first, going_on(captions, digit_size), frames - window, seed=1)


def in_windows(captions, frames):
    return model.generate(captions, frames, seed=1, overlap=window // 2)


def change(video):
    """How much changes from frame to frame in the last stretch: (B,)."""
    return np.abs(np.diff(video[:, -window:], axis=1)).mean(axis=(1, 2, 3, 4))


shown = {}
for frames in (4 * window, 8 * window):
    maker = CaptionedClips(digit_source("auto", "test"), size, frames, digit_size, (1,), synonyms=False)
    real = maker.batch(np.random.default_rng(0), PROMPTS)
    ways = {"all at once": at_once, "extend": by_extend, "windows": in_windows}
    clips = {"real": real.video, **{name: draw(real.captions, frames) for name, draw in ways.items()}}
    print(f"\n{frames} frames: the first {window}, and the last {window}")
    print(f"| | {' | '.join(MEASURES)} | change, of a real clip's |")
    print(f"|---|{'---|' * (len(MEASURES) + 1)}")
    for name, video in clips.items():
        values = drift(video, digit_size, 1, window)
        told = [
            f"{Estimate.average(values[m][:, 0]).text()}, {Estimate.average(values[m][:, -1]).text()}" for m in MEASURES
        ]
        moved = Estimate.average(change(video) / change(real.video).mean()).text()
        print(f"| {name} | {' | '.join(told)} | {moved} |")
    if not shown:
        shown = {name: video[0, ::2] for name, video in clips.items()}
write_strips("longer_clips.png", np.stack(list(shown.values())), list(shown))
print(f"longer_clips.png: every second of {4 * window} frames of {real.captions[0]!r}")
