"""Does a digit go where it is told? A small network learns to follow paths, and is asked for some that it hasn't seen.

python examples/follow_a_path.py

It is trained first, in about eight minutes on 2 cores, and kept in the folder follow_a_path. How far a clip strays from
its path is in pixels, a mean over its frames; a tenth of the way would be good control.
"""

import os
import tempfile

import numpy as np

from minivdit.data import along
from minivdit.lab.display import write_strips
from minivdit.lab.evaluation.tracking import path_error
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets

SHORT = "MINIVDIT_SHORT" in os.environ
PROMPTS = 2 if SHORT else 48


def trained():
    """The preset quick, shown the paths of half of its clips."""
    changes = ["transformer.control=true", *(["training.steps=2", "text_training.steps=2"] * SHORT)]
    changes += ["autoencoder_training.steps=2", "data.digits=strokes"] * SHORT
    folder = tempfile.mkdtemp() if SHORT else "follow_a_path"
    return train_model(presets.override(presets.get("quick"), changes), folder, previews=0)


def strayed(video, tracks):
    """Mean and half the width of a 95% interval of the error of clips (B, T, H, W, 1); empty ones are left out."""
    errors = [path_error(clip, track) for clip, track in zip(video, tracks)]
    errors = [error for error in errors if error is not None] or [np.nan]
    return f"{np.mean(errors):.2f} +- {1.96 * np.std(errors) / len(errors) ** 0.5:.2f}"


model = trained()
preset = presets.from_plain(model.notes["preset"])
real = preset.data.clips("test").batch(np.random.default_rng(1), PROMPTS)
frames, (height, width) = preset.data.num_frames, preset.data.size
low, high = preset.data.digit_size / 2, np.array([height, width]) - 1 - preset.data.digit_size / 2

own = np.stack([track[0] for track in real.tracks])  # (B, T, 2)
generator = np.random.default_rng(2)
corners = generator.uniform(low, high, (PROMPTS, 3, 2))  # two straight lines with a corner that no clip in training has
bent = np.stack([along(points, frames) for points in corners])

figures = {
    "real clips on their own paths": (real.video, own),
    "told the path of a real clip": (model.generate(real.captions, seed=3, path=[list(path) for path in own]), own),
    "told nothing but the caption": (model.generate(real.captions, seed=3), own),
    "told a bent path": (model.generate(real.captions, seed=3, path=corners.tolist()), bent),
    "told nothing, beside that bent path": (model.generate(real.captions, seed=3), bent),
}
print("| | strays by, pixels | way, pixels |")
print("|---|---|---|")
for name, (video, path) in figures.items():
    way = np.hypot(*np.diff(path, axis=1).transpose(2, 0, 1)).sum(axis=1).mean()
    print(f"| {name} | {strayed(video, path)} | {way:.1f} |")

shown = np.repeat(np.stack([figures[name][0][0] for name in list(figures)[1:4]]), 3, axis=-1)  # in colour
for clip, path in zip(shown, (own[0], own[0], bent[0])):  # a red cross where the centre is to be
    for frame, (y, x) in zip(clip, path.round().astype(int)):
        frame[y - 1 : y + 2, x] = frame[y, x - 1 : x + 2] = (1, 0.2, 0.2)
write_strips("follow_a_path.png", shown, list(figures)[1:4])
print("follow_a_path.png: the crosses are where the digit's centre was to be")
