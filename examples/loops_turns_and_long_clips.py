"""Loops without a seam, digits that turn, and clips four times as long as in training: how often do they succeed?

python examples/loops_turns_and_long_clips.py

A loop is good if the jump from its last frame to its first is no larger than its median step. A caption such as "a 3
moving right, then up" has two parts, and each is obeyed if the digit goes its way. A clip that was extended is good if
its digit at the end is read as the one of the beginning. The captions are drawn by chance, and no clip is left out.
After a bounce a caption is false, so each part of a long clip is told the way that is seen (`going_on`).
"""

import numpy as np
from matplotlib.figure import Figure

from minivdit.data import CaptionedClips, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display.strips import save_figure
from minivdit.lab.evaluation import Estimate, drift, going_on, most_seen, observe, parts_obeyed, seam

CLIPS = 32

model = TextToVideo.load()
length, digit_size = model.settings.num_frames, model.settings.digit_size
maker = CaptionedClips(digit_source("auto", "test"), model.settings.size, length, digit_size, (1,), synonyms=False)
captions = maker.batch(np.random.default_rng(0), CLIPS).captions
follow = going_on(captions, digit_size)

loops = model.loop(follow, seed=1)
jump, median = seam(loops)
share = jump / np.maximum(median, 1e-6)
closed = Estimate.share(share <= 1)
print(f"loops: the jump is at most the median step in {closed.text()} of {CLIPS}", end="; ")
print(f"median {np.median(share):.2f}, at most 1.2 in {np.mean(share <= 1.2):.2f}, worst {share.max():.2f}")

turning = CaptionedClips(
    maker.source, model.settings.size, length, digit_size, (1,), turning=1.0, synonyms=False
).batch(np.random.default_rng(2), CLIPS)
turned = model.generate(turning.captions, seed=2)
for name, video in (("drawn", turned), ("real", turning.video)):
    obeyed = parts_obeyed(video, turning.captions, digit_size)
    print(f"turns, {name}: {Estimate.share(obeyed).text()} of parts are obeyed, both in", end=" ")
    print(f"{Estimate.share(obeyed == 1).text()} of {CLIPS}")

long = model.extend(model.generate(captions, seed=1), follow, num_frames=3 * length)
first, last = (most_seen(observe(part, digit_size, 1))[:, 0] for part in (long[:, :length], long[:, -length:]))
print(f"extended to {4 * length} frames: the digit is the same in {Estimate.share(first == last).text()} of {CLIPS}")
worth = drift(long, digit_size, 1, length)
for name, values in worth.items():
    print(f"  {name}, by {length} frames:", *np.nanmean(values, axis=0).round(2))

figure = Figure(figsize=(10, 3.6), layout="constrained")
left, right = figure.subplots(1, 2)
left.hist(np.minimum(share, 3), bins=np.linspace(0, 3, 31))
left.axvline(1, color="black", linestyle=":")
left.set(xlabel="jump at the seam / median step", ylabel="loops")
left.set_title(f"{CLIPS} loops; left of the line the seam is no larger than a step", fontsize=9)
for (name, values), marker in zip(worth.items(), "os^"):
    right.plot(length * np.arange(1, values.shape[1] + 1), np.nanmean(values, axis=0), marker=marker, label=name)
right.set(xlabel="frames", ylim=(-0.02, 1.04))
right.set_title(f"{CLIPS} clips, extended to {4 * length} frames", fontsize=9)
right.grid(alpha=0.3)
right.legend(fontsize=8)
save_figure("loops_turns_and_long_clips.png", figure)
print(f"loops_turns_and_long_clips.png: {CLIPS} loops, {CLIPS} long clips")
