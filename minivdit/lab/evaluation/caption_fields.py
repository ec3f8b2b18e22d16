"""What each field of a caption is worth: by how much the denoising loss rises where it is missing, or wrong.

Clips, noise and noise levels are the same, so only the caption makes the difference. See data.fields.
"""

import dataclasses

import numpy as np

from ... import autograd as ag
from ...base.backend import to_device, to_numpy
from ...data import FIELDS, in_fields, read_fields
from ...data.grammar import ALL_WORDS
from ...diffusion import ProcessSettings
from ...training.tasks import DiffusionSettings, TransformerTask
from .statistics import Estimate


def without(fields, name):
    """The fields but for those of a name."""
    return [field for field in fields if field[0] != name]


def with_another(fields, name, generator, known=ALL_WORDS):
    """The fields, in which those of a name have another value: by chance one whose words are known."""
    changed = []
    for own, value in fields:
        others = [other for other in FIELDS[own] if other != value and {*other.split()} <= {*known}]
        changed.append((own, str(generator.choice(others)) if own == name else value))
    return changed


def field_losses(model, clips, generator, count, batch=16):
    """By how much the loss rises for each field: {field: {"missing": Estimate, "wrong": Estimate}}.

    As shares of the loss with the whole caption, over those of `count` clips, `batch` at a time, whose captions have
    the field. Levels are drawn as in training, one for all frames of a clip. model: a TextToVideo that knows fields.
    clips: CaptionedClips whose captions are all of fields, with none left out (structured=1, field_dropout=0).
    """
    process = {field.name: getattr(model.settings, field.name) for field in dataclasses.fields(ProcessSettings)}
    levels = {"shared": 1.0, "given": 0.0, "independent": 0.0, "stratified": True, "caption_dropout": 0.0}
    settings = DiffusionSettings(**process, **levels)
    task = TransformerTask(model.transformer, model.autoencoder, model.tokenizer, clips, batch, settings)
    rises, whole = {(name, change): [] for name in FIELDS for change in ("missing", "wrong")}, []
    for _ in range(0, count, batch):
        made = task.batch(generator)
        told = [read_fields(model.tokenizer.decode(row).split()) for row in made["tokens"]]
        made = {name: to_device(array) for name, array in made.items()}
        full = _errors(task, made, told)
        whole.append(full)
        for name in FIELDS:
            has = [name in dict(fields) for fields in told]
            missing = [without(fields, name) for fields in told]
            wrong = [with_another(fields, name, generator, model.tokenizer.words) for fields in told]
            for change, altered in (("missing", missing), ("wrong", wrong)):
                rises[name, change].append((_errors(task, made, altered) - full)[has])
    loss, worth = np.concatenate(whole).mean(), {name: {} for name in FIELDS}
    for (name, change), found in rises.items():
        worth[name][change] = Estimate.average(np.concatenate(found) / loss)
    return worth


def _errors(task, batch, told):
    """The loss of each clip (B,), told other fields."""
    tokens = to_device(task.tokenizer.encode([in_fields(fields) for fields in told]))
    with ag.no_grad():
        _, extras = task.loss({**batch, "tokens": tokens})
    return to_numpy(extras["error"]).mean(axis=1)
