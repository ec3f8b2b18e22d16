"""From a preset to a model and its scores: the parts joined, as `train`, `evaluate` and `demo` use them.

runs/quick/
  autoencoder.safetensors, .jsonl     checkpoint and log of the first stage
  text.safetensors, .jsonl            of the second, where the preset has one
  transformer.safetensors, .jsonl     of the third
  finetuning.safetensors, .jsonl      of the last, where the preset has one
  previews/step_000500.png            the same captions, drawn with the averaged weights so far
  model.safetensors                   what `minivdit sample --weights` reads
"""

import dataclasses
import datetime
import functools
import sys
from pathlib import Path

from ...base import backend, config, console, seeds
from ...base.errors import InputError, shorten
from ...base.locking import locked
from ...base.machine import processor
from ...data import digit_source
from ...diffusion import SamplingSettings
from ...generation import GenerationSettings, TextToVideo
from ...training import checkpoint, presets
from ...training.stages import finetune, train_autoencoder, train_text, train_transformer
from .. import display
from ..evaluation.model_evaluation import preview_scores
from .forecast import STAGES

# Of the time, when a time is given: of the stages before and after the transformer's.
SHARES = {"autoencoder": 0.15, "text": 0.05, "finetuning": 0.2}
LATER = ("transformer", "finetuning")  # the stages that go on from trained weights
PREVIEWED = 16  # clips drawn for a preview's metrics; the first 4 are shown


def train_model(preset, out, *, start=None, seed=0, data=None, minutes=None, previews=8, progress=True):
    """Train all stages of a preset in the folder `out`, or go on where an earlier call stopped.

    start: a TextToVideo of the preset's networks, to go on from. Its autoencoder stays as it is, and there is no
    stage for text. InputError if its networks are others.
    data: folder of MNIST. minutes: about how long, instead of the preset's numbers of steps. previews: how many
    times to draw and judge a few clips while the transformer is trained; once more at the end of its finetuning.
    Returns the TextToVideo, already saved as `out`/model.safetensors.
    """
    with locked(out):
        return _train_model(preset, Path(out), start, seed, data, minutes, previews, progress)


def _train_model(preset, out, start, seed, data, minutes, previews, progress):
    watching = {"seed": seed, "data": data, "progress": progress}
    preset = with_known_digits(preset, data)
    if start is not None:
        _require_same_networks(preset, start)
    stages = stages_of(preset, start is not None)
    _take_up_older_names(out)
    _require_beginning(out, stages)
    shares = [share * (name in stages) for name, share in SHARES.items()]
    first, second, last, third = ((minutes and share * minutes) for share in (*shares, 1 - sum(shares)))
    if start is None:
        autoencoder = train_autoencoder(preset, out / "autoencoder.safetensors", minutes=first, **watching)
        text = train_text(preset, out / "text.safetensors", minutes=second, **watching)
    else:
        autoencoder, text = start.autoencoder, None
    real = real_clips(preset, PREVIEWED, seed, data)

    def preview(run, state, name="step", times=previews):
        every = max(1, state.total // times)
        left = state.total - state.step
        if left and (state.step % every or left < every // 2):  # none just before the last
            return {}
        with run.average.applied():
            model = assemble(preset, run.task.model, autoencoder, run.task.tokenizer)
            video = model.generate(real.captions, seed=seed)
        display.write_strips(out / "previews" / f"{name}_{state.step:06d}.png", video[:4], real.captions[:4])
        metrics = preview_scores(video, real.captions, preset.data.digit_size, preset.data.pixels_per_frame)
        if progress:
            known = [f"{mark} {value:.2f}" for mark, value in metrics.items() if value is not None]
            console.print_beside_bars(f"{name} {state.step}: {', '.join(known)}", sys.stdout)
        return metrics

    transformer, tokenizer = train_transformer(
        preset,
        autoencoder,
        out / "transformer.safetensors",
        text=text,
        start=start and start.transformer,
        minutes=third,
        callbacks=[(1, preview)] if previews else [],
        **watching,
    )
    callbacks = [(1, functools.partial(preview, name="finetuning", times=1))] if previews else []
    finetuning = out / "finetuning.safetensors"
    finetune(preset, autoencoder, transformer, finetuning, minutes=last, callbacks=callbacks, **watching)
    ends = [checkpoint.load_checkpoint(out / f"{name}.safetensors") for name in stages if name in LATER]
    runs = [groups["run"] for groups, _ in ends]
    notes = {"seed": seed, "preset": config.plain(preset), "metrics": ends[-1][1]["metrics"]}
    notes |= {"steps": sum(run["step"] for run in runs)}
    notes |= {"minutes": round(sum(run["seconds"] for run in runs) / 60, 4)}
    notes |= where_and_when()
    if start is not None:
        notes["start"] = {"name": start.name, "weights": start.fingerprint(), "notes": start.notes}
        for name in ("steps", "minutes"):  # counted from the very beginning, where that is known
            before = start.notes.get(name)
            notes[name] = None if before is None else before + notes[name]
    model = assemble(preset, transformer, autoencoder, tokenizer, notes)
    model.save(out / "model.safetensors")
    return model


def stages_of(preset, started=False):
    """The names, of STAGES, of the stages that a training has. started: whether it goes on from trained weights."""
    names = LATER if started else tuple(STAGES)
    return [name for name in names if getattr(preset, STAGES[name]).steps]


def require_effects(preset, changes, started=False, by_minutes=False):
    """Raise InputError for a change that `presets.override` made to a preset and that has no effect in its training.

    changes: assignments such as 'training.steps=5'. started, by_minutes: whether it goes on from trained weights, and
    whether a time is given instead of steps.
    """
    stages = stages_of(preset, started)
    own = {setting: stage for stage, setting in STAGES.items()} | {"autoencoder_loss": "autoencoder"}
    for name, value in (change.replace(" ", "").split("=", 1) for change in changes):
        part, _, field = name.partition(".")
        switch = field == "steps" and not started and float(value) == 0
        if part in own and own[part] not in stages and not switch:
            raise InputError(f"{name} has no effect on a training without the stage {own[part]}; leave it out")
        usual = getattr(presets.get(preset.name), part, None)
        if by_minutes and part in STAGES.values() and field == "steps" and usual.steps and not switch:
            raise InputError(f"{name} has no effect with --minutes, which sets the steps; leave one of them out")


def _take_up_older_names(out):
    """Rename the files of the last stage in a folder in which it was called widening."""
    for suffix in (".safetensors", ".jsonl"):
        older, newer = (out / f"{name}{suffix}" for name in ("widening", "finetuning"))
        if older.exists() and not newer.exists():
            older.rename(newer)


def _require_beginning(out, stages):
    """Raise InputError unless the stages that have begun in a folder are the first ones of these."""
    there = [name for name in STAGES if (out / f"{name}.safetensors").exists()]
    if there == stages[: len(there)]:
        return
    began = checkpoint.load_checkpoint(out / "transformer.safetensors")[1]["config"] if "transformer" in there else {}
    if "start" in began and "autoencoder" in stages:
        raise InputError(
            f"training in {out} began with trained weights; name them again (--start), or choose another folder (--out)"
        )
    strange = [name for name in there if name not in stages]
    if strange:
        problem = f"{strange[0]}.safetensors, and this training has no such stage; go on as it was begun"
    else:
        missing = next(name for name in stages if name not in there)
        problem = f"{there[-1]}.safetensors but no {missing}.safetensors, with which that began; put it back"
    raise InputError(f"{out} holds {problem}, or choose another folder (--out)")


def _require_same_networks(preset, start):
    here, there = (
        config.plain({"transformer": transformer, "autoencoder": autoencoder})
        for transformer, autoencoder in (
            (preset.transformer, preset.autoencoder),
            (start.transformer.config, start.autoencoder.config),
        )
    )
    found = config.differences(there, here)
    if found:
        raise InputError(
            f"training can't go on from {start.name}, whose networks are others: {'; '.join(found)}; change the preset "
            "or these settings (--set)"
        )


def where_and_when():
    """Machine and date, for the notes of weights that have just been trained."""
    gpu = " and its GPU" if backend.device_name() == "gpu" else ""
    machine = f"{backend.thread_count()} threads of {processor()}{gpu}"
    return {"machine": machine, "date": f"{datetime.date.today()}"}


def with_known_digits(preset, data=None):
    """The preset with "auto" replaced by the digits that it stands for here, so that weights remember which."""
    name = digit_source(preset.data.digits, "train", data).name
    return dataclasses.replace(preset, data=dataclasses.replace(preset.data, digits=name))


def assemble(preset, transformer, autoencoder, tokenizer, notes=None):
    """The trained parts as a TextToVideo with the preset's settings."""
    settings = config.collect(GenerationSettings, preset.data, preset.diffusion, preset.sampling)
    return TextToVideo(transformer, autoencoder, tokenizer, settings, notes, preset.name)


def trained_with(model, path):
    """The Preset that weights say they were trained with, with the network that they hold. path: for the message."""
    try:
        preset = presets.from_plain(model.notes["preset"])
    except (KeyError, TypeError, ValueError) as error:
        told = shorten(repr(error), 300)
        raise InputError(
            f"{path} doesn't say what it was trained with ({told}); give weights of 'minivdit train'"
        ) from error
    sampling = config.collect(SamplingSettings, model.settings)
    return dataclasses.replace(preset, transformer=model.transformer.config, sampling=sampling)


def real_clips(preset, count, seed=0, data=None):
    """Clips of the preset's kind made of digits that training doesn't see, with the plainest captions."""
    generator = seeds.generator(seed, seeds.PREVIEWS)
    return preset.data.clips("test", data, synonyms=False).batch(generator, count)


# What it will cost ---------------------------------------------------------------------------------------------------


# What it is worth ----------------------------------------------------------------------------------------------------
