"""Does the camera pan as told, and does only what is brushed move? A small network learns both, and is measured.

python examples/pan_and_brush.py

It is trained first, in about eight minutes on 2 cores, and kept in the folder pan_and_brush. All figures are velocities
in pixels a frame, measured in the first half of each clip: how far the drawn one is from the one that was asked for. A
tenth of that would be good control. Leakage is the speed of digits that a brush leaves out: they should stand still.
"""

import os
import tempfile

import numpy as np

from minivdit.data import Steering, due
from minivdit.lab.display import write_strips
from minivdit.lab.evaluation.tracking import clear_of_edges, early_velocity, ink_centres
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets

SHORT = "MINIVDIT_SHORT" in os.environ
CLIPS = 4 if SHORT else 64


def trained():
    """The preset quick, in half of whose clips the camera pans or a brush says what moves."""
    changes = ["transformer.velocities=true", *(["training.steps=2", "text_training.steps=2"] * SHORT)]
    changes += ["autoencoder_training.steps=2", "data.digits=strokes"] * SHORT
    folder = tempfile.mkdtemp() if SHORT else "pan_and_brush"
    return train_model(presets.override(presets.get("quick"), changes), folder, previews=0)


def row(name, video, told):
    """A row of the table. told: (B, 2), the velocities asked for. Clips whose digit can't be followed are left out."""
    seen = np.stack([early_velocity(clear_of_edges(clip, ink_centres(clip))) for clip in video])
    missed, asked = np.linalg.norm(seen - told, axis=1), np.linalg.norm(told, axis=1)
    found = ~np.isnan(missed)
    missed = missed[found] if found.any() else np.array([np.nan])
    half = 1.96 * missed.std() / len(missed) ** 0.5
    print(f"| {name} | {missed.mean():.2f} +- {half:.2f} | {asked.mean():.2f} | {found.sum()} of {len(video)} |")


model = trained()
preset = presets.from_plain(model.notes["preset"])
maker, generator = preset.data.clips("test"), np.random.default_rng(1)
labels = [maker.draw_motions(generator) for _ in range(CLIPS)]
own = np.array([[maker.velocity(motion.direction, motion.speed)] for (motion,) in labels])  # (B, 1, 2)
angle, speed = generator.uniform(0, 2 * np.pi, CLIPS), generator.uniform(0.7, 2.1, CLIPS)
way = np.stack([speed * np.sin(angle), speed * np.cos(angle)], axis=1)  # (B, 2), of the camera or of the brush
calm, brushed = Steering.none(CLIPS), np.arange(CLIPS) % 2 == 0

panned = maker.render(generator, labels, steering=calm._replace(pan=way))
steering = calm._replace(held=np.ones(CLIPS, bool), brushed=brushed[:, None].repeat(2, axis=1), velocity=way)
painted = maker.render(generator, labels, steering=steering)
masks = painted.velocities[..., 1:].any(axis=-1)  # (B, H, W)
of_pan, of_brush = (due(clips.velocities, clips.tracks[:, :, 0], own)[:, 0] for clips in (panned, painted))

drawn = {
    "pan": model.generate(panned.captions, seed=2, pan=way),
    "no pan": model.generate(panned.captions, seed=2),
    "brush": model.animate(painted.video[:, 0], painted.captions, seed=2, brush=(masks, way)),
    "no brush": model.animate(painted.video[:, 0], painted.captions, seed=2),
}
print("| | missed by | asked for | measured |")
print("|---|---|---|---|")
row("pan: real clips", panned.video, of_pan)
row("pan: told", drawn["pan"], of_pan)
row("pan: not told", drawn["no pan"], of_pan)
row("brushed: real clips", painted.video[brushed], of_brush[brushed])
row("brushed: told", drawn["brush"][brushed], of_brush[brushed])
row("brushed: not told", drawn["no brush"][brushed], of_brush[brushed])
row("leakage: real clips", painted.video[~brushed], of_brush[~brushed])
row("leakage: told", drawn["brush"][~brushed], of_brush[~brushed])
row("leakage: not told", drawn["no brush"][~brushed], of_brush[~brushed])

shown = [drawn["no pan"][0], drawn["pan"][0], drawn["no brush"][0], drawn["brush"][0], drawn["brush"][1]]
names = ["the caption alone", "the same, and a pan", "a given frame, not told", "its digit brushed", "nothing brushed"]
write_strips("pan_and_brush.png", np.stack(shown), names)
y, x = way[0]
print(f"pan_and_brush.png: the camera, and what is brushed, move by {y:.1f},{x:.1f} pixels a frame (rows,columns);")
print("the last row has another given frame, in which nothing is brushed")
