"""What is each field of a structured caption worth? One at a time is left out, or wrong, and the loss is measured.

python examples/caption_fields.py

The recipe mira learns captions of fields first, of clips with one digit or two, in about twelve minutes on 2 cores.
It is kept in the folder caption_fields.
"""

import os
import tempfile

import numpy as np

from minivdit.data import in_fields, read_fields
from minivdit.lab.display import write_strips
from minivdit.lab.evaluation.caption_fields import field_losses, with_another
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets, recipes

SHORT = "MINIVDIT_SHORT" in os.environ
CLIPS = 4 if SHORT else 480
STAGES = ("autoencoder_training", "text_training", "training", "finetuning")


def trained():
    """The recipe with captions of fields alone; "how many" says something only where there may be two."""
    changes = ["data.num_digits=1,2"]
    few = [f"{stage}.{name}" for stage in STAGES for name in ("steps=2", "batch=4")]
    changes += [*few, "data.digits=strokes", "sampling.steps=2"] * SHORT
    folder = tempfile.mkdtemp() if SHORT else "caption_fields"
    return train_model(presets.override(recipes.preset("mira", ["structured captions"]), changes), folder, previews=0)


model = trained()
data = presets.from_plain(model.notes["preset"]).data
clips = data.clips("test", structured=1.0, field_dropout=0.0, turning=data.turning)
losses = field_losses(model, clips, np.random.default_rng(1), CLIPS, batch=4 if SHORT else 16)
print(f"The denoising loss of {CLIPS} test clips rises by this share where one field is missing, or wrong:")
print("| field | missing | wrong | clips that have it |")
print("|---|---|---|---|")
for name, rise in losses.items():
    print(f"| {name} | {rise['missing'].text('.1%')} | {rise['wrong'].text('.1%')} | {rise['wrong'].n} |")

caption = "count: one, digit: 3, start: upper left, direction: right, speed: normal"
fields = read_fields(caption.replace(":", "").replace(",", "").split())
told, known = [caption], model.tokenizer.words
told += [in_fields(with_another(fields, name, np.random.default_rng(2), known)) for name, _ in fields]
write_strips("caption_fields.png", model.generate(told, seed=1), told)
print("caption_fields.png: the same noise, and one field after the other changed")
