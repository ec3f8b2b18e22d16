"""Does a digit turn when its caption says so? "A 3 moving right, then up, then left" has three parts.

python examples/captions_in_time.py

The recipe gen3 is trained first, in about ten minutes on 2 cores, and kept in the folder captions_in_time.
In which share of the parts does the digit go as the part says? Beside it stands a network that never saw a turn.
"""

import os
import tempfile

import numpy as np

from minivdit.lab.display import write_strips
from minivdit.lab.evaluation import Estimate, parts_obeyed
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets, recipes

SHORT = "MINIVDIT_SHORT" in os.environ
PROMPTS = 2 if SHORT else 48


def trained(ideas, folder):
    """The recipe with some of its ideas."""
    stages = ("autoencoder_training", "text_training", "training", *["finetuning"] * len(ideas))
    few = [f"{stage}.{name}" for stage in stages for name in ("steps=2", "batch=4")] * SHORT
    few += ["data.digits=strokes", "sampling.steps=2"] * SHORT
    preset = presets.override(recipes.preset("gen3", ideas), few)
    return train_model(preset, tempfile.mkdtemp() if SHORT else folder, previews=0)


models = {
    "never saw a turn": trained([], "captions_in_time/base"),
    "the recipe": trained(["captions in time"], "captions_in_time/gen3"),
}
data = presets.from_plain(models["the recipe"].notes["preset"]).data
print("Share of a caption's parts that are obeyed, with 95% intervals:")
print(f"| parts | real clips | {' | '.join(models)} |")
print(f"|---|---|{'---|' * len(models)}")
for parts in (1, 2, 3):
    maker = data.clips("test", turning=float(parts > 1), turns=(max(1, parts - 1),), synonyms=False)
    real = maker.batch(np.random.default_rng(parts), PROMPTS)
    videos = [real.video, *(model.generate(real.captions, seed=parts) for model in models.values())]
    told = [parts_obeyed(video, real.captions, data.digit_size, data.pixels_per_frame) for video in videos]
    print(f"| {parts} | {' | '.join(Estimate.share(share).text() for share in told)} |")
write_strips("captions_in_time.png", videos[-1][:4], real.captions[:4])
print("captions_in_time.png: the recipe's first clips of three parts")
