"""Editing: how much noise takes the old digit away, and how much takes its motion away too?

python examples/edit_levels.py

Real clips are put under noise of several levels and drawn from there with a caption that names another digit. Little
noise keeps everything, the digit too; much noise obeys the caption and forgets the clip. Between them lies the level at
which the digit is new and its way the old one.
"""

import numpy as np
from matplotlib.figure import Figure

from minivdit.data import CaptionedClips, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display.strips import save_figure
from minivdit.lab.evaluation import Estimate, kept_place, observe, prompt_metrics, read_captions

CLIPS = 32
LEVELS = (0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 1.0)

model = TextToVideo.load()
size, digit_size = model.settings.size, model.settings.digit_size
maker = CaptionedClips(
    digit_source("auto", "test"), size, model.settings.num_frames, digit_size, (1,), synonyms=False, held_out="include"
)
generator = np.random.default_rng(0)
motions = [maker.draw_motions(generator) for _ in range(CLIPS)]
others = [[motion._replace(digit=(motion.digit + generator.integers(1, 10)) % 10)] for (motion,) in motions]
before, asked = maker.render(generator, motions).video, maker.render(generator, others)

edited = {level: model.edit(before, asked.captions, level=level) for level in LEVELS}
curves = {
    "the digit is the new one (share of frames)": [],
    "it is where the old one was (share of frames)": [],
}
for level, video in edited.items():
    seen = observe(video, digit_size, 1)
    obeyed = prompt_metrics(seen, read_captions(asked.captions, size))["digit_frames"]
    figures = [Estimate.share(values) for values in (obeyed, kept_place(video, before, digit_size, 1))]
    for curve, figure in zip(curves.values(), figures):
        curve.append(figure)
    print(f"level {level:.2f}: new digit {figures[0].mean:.2f}, old place {figures[1].mean:.2f}")

figure = Figure(figsize=(9, 4.6), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(3, 2))
for (name, curve), marker in zip(curves.items(), "os"):
    left.plot(LEVELS, [point.mean for point in curve], marker=marker, label=name)
    left.fill_between(LEVELS, [point.low for point in curve], [point.high for point in curve], alpha=0.2)
left.set(xlabel="noise level from which the clip is drawn anew", ylim=(-0.02, 1.02))
left.set_title(f"{CLIPS} clips, 95% intervals", fontsize=9)
left.grid(alpha=0.3)
left.legend(fontsize=8)
rows = [before[0], *(edited[level][0] for level in LEVELS[1::2])]
shown = np.linspace(0, before.shape[1] - 1, 4).astype(int)
right.imshow(np.concatenate([np.concatenate(list(row[shown, :, :, 0]), axis=1) for row in rows]), cmap="gray")
names = ["before", *(f"level {level}" for level in LEVELS[1::2])]
right.set_yticks([(place + 0.5) * size[0] for place in range(len(rows))], names, fontsize=8)
right.set_xticks([])
right.set_title(f"now: {asked.captions[0]}", fontsize=9)
save_figure("edit_levels.png", figure)
print(f"edit_levels.png: {CLIPS} clips at {len(LEVELS)} levels")
