"""From a preset to a model and its scores: the parts joined, as `train`, `evaluate` and `demo` use them.

runs/quick/
  autoencoder.safetensors, .jsonl     checkpoint and log of the first stage
  text.safetensors, .jsonl            of the second, where the preset has one
  transformer.safetensors, .jsonl     of the third
  finetuning.safetensors, .jsonl      of the last, where the preset has one
  latents-0123456789abcdef.npy        of one's own clips, encoded once
  previews/step_000500.png            the same captions, drawn with the averaged weights so far
  model.safetensors                   what `minivdit sample --weights` reads
"""

import contextlib
import dataclasses
import datetime
import functools
import sys
from pathlib import Path

from ...base import backend, config, console, seeds
from ...base.errors import InputError, shorten
from ...base.locking import locked
from ...base.machine import description, processor
from ...base.ranks import here
from ...data import digit_source
from ...diffusion import SamplingSettings
from ...generation import GenerationSettings, TextToVideo
from ...training import checkpoint, presets, recipes
from ...training.loop import fit
from ...training.presets import OwnPreset
from ...training.spread import require_shards
from ...training.stages import (
    STAGES,
    autoencoder_task,
    finetuning_task,
    stages_of,
    text_task,
    tokenizer_of,
    transformer_task,
)
from .. import display
from ..evaluation.model_evaluation import preview_scores
from ..evaluation.own_clips import losses

# Of the time, when a time is given: of the stages before and after the transformer's.
SHARES = {"autoencoder": 0.15, "text": 0.05, "finetuning": 0.2}
PREVIEWED, SHOWN = 16, 4  # clips drawn for a preview's metrics; the first of them are shown


def train_model(preset, out, *, start=None, seed=0, data=None, minutes=None, previews=8, progress=True):
    """Train all stages of a preset in the folder `out`, or go on where an earlier call stopped.

    start: a TextToVideo of the preset's networks, to go on from. Its autoencoder stays as it is, and there is no
    stage for text. InputError if its networks are others.
    data: folder of MNIST; for clips of one's own their folder, or a ClipFolder. minutes: about how long, instead of the
    preset's numbers of steps. previews: how many times to draw and judge a few clips while the transformer is trained;
    once more at the end of its finetuning.
    Where MPI started several ranks, all call this, and the first one reads and writes in the folder.
    Returns the TextToVideo, already saved as `out`/model.safetensors.
    """
    out, ranks = Path(out), here()
    with locked(out) if ranks.first else contextlib.nullcontext():
        preset, data = _with_what_is_there(preset, data)
        sources = {"seed": seed, "data": data}
        if start is not None:
            _require_same_networks(preset, start, data)
        stages = stages_of(preset, start is not None)
        _require_shards(preset, stages, ranks)
        if ranks.first:
            _take_up_older_names(out)
            _require_beginning(out, stages)
            if isinstance(preset, OwnPreset):
                _require_same_clips(out, preset, data)
        shares = {name: share * (name in stages) for name, share in SHARES.items()}
        shares["transformer"] = 1 - sum(shares.values())

        def train(stage, task, **watching):
            path, time = out / f"{stage}.safetensors", minutes and shares[stage] * minutes
            return train_stage(stage, task, preset, path, seed=seed, minutes=time, progress=progress, **watching)

        def draw(name, times):
            kept = out / "previews" / name
            how = {"preset": preset, "real": real, "measure": measure, "path": kept, "times": times, "seed": seed}
            every = functools.partial(_preview, **how, show=progress)
            return [(1, every)] if previews else []

        text, autoencoder = None, start and start.autoencoder
        if "autoencoder" in stages:
            autoencoder = train("autoencoder", autoencoder_task(preset, **sources)).model
        if "text" in stages:
            text = train("text", text_task(preset, **sources)).model.text
        real, measure = real_clips(preset, PREVIEWED, seed, data), _measure_of(preset, data)
        watched = {"kept": out, "show": progress}
        task = transformer_task(preset, autoencoder, text=text, start=start and start.transformer, **sources, **watched)
        train("transformer", task, callbacks=draw("step", previews))
        if "finetuning" in stages:
            task = finetuning_task(preset, autoencoder, task.model, data=data)
            train("finetuning", task, callbacks=draw("finetuning", 1))
        notes = ranks.first_does(lambda: _notes(preset, out, stages, seed, start))
        if isinstance(preset, OwnPreset):
            held_out = sum(map(data.is_held_out, data.entries))
            notes["clips"] = {"learnt": len(data.entries) - held_out, "held_out": held_out}
            captions = list(dict.fromkeys(filter(None, data.clips("train").captions)))
            notes["captions"] = captions[:: max(1, len(captions) // 5)][:5]
        model = assemble(preset, task.model, autoencoder, task.tokenizer, notes)
        if ranks.first:
            model.save(out / "model.safetensors")
        return model


def train_stage(stage, task, preset, path=None, **watching):
    """Train a stage's task, one of training.stages, as the preset says; returns it, with averaged weights.

    path: its checkpoint, from which the training goes on; if that is complete, it is only read. watching: see loop.fit.
    """
    setting = STAGES[stage]
    run = fit(task, getattr(preset, setting), path, **{"title": stage, **watching}, prefix=f"{setting}.")
    run.use_average()
    return task


def _measure_of(preset, data):
    """A function of (task, drawn clips, their captions) that gives the metrics of a preview."""
    if isinstance(preset, OwnPreset):
        return lambda task, video, captions: losses(task, data)
    shown = preset.data.digit_size, preset.data.pixels_per_frame
    return lambda task, video, captions: preview_scores(video, captions, *shown)


def _preview(run, state, *, preset, real, measure, path, times, seed, show):
    """A callback of loop.fit that draws and judges clips `times` times in all: their metrics, {} for other steps.

    real: clips, for whose captions others are drawn. measure: see `_measure_of`. path: of the pictures, to which the
    step is added.
    """
    every, left = max(1, state.total // times), state.total - state.step
    if left and (state.step % every or left < every // 2):  # none just before the last
        return {}
    with run.averaged():
        if not run.ranks.first:
            return {}
        model = assemble(preset, run.task.model, run.task.autoencoder, run.task.tokenizer)
        video = model.generate(real.captions, seed=seed)
        metrics = measure(run.task, video, real.captions)
    display.write_strips(path.with_name(f"{path.name}_{state.step:06d}.png"), video[:SHOWN], real.captions[:SHOWN])
    if show:
        known = [f"{mark} {value:.2f}" for mark, value in metrics.items() if value is not None]
        console.print_beside_bars(f"{path.name} {state.step}: {', '.join(known)}", sys.stdout)
    return metrics


def _notes(preset, out, stages, seed, start):
    """What weights tell of their training, from the checkpoints of the transformer's stages."""
    paths = [out / f"{stage}.safetensors" for stage in stages if stage in ("transformer", "finetuning")]
    ends = [checkpoint.load_checkpoint(path) for path in paths]
    steps, seconds = (sum(groups["run"][name] for groups, _ in ends) for name in ("step", "seconds"))
    notes = {"seed": seed, "preset": config.plain(preset), "metrics": ends[-1][1]["metrics"], "steps": steps}
    notes |= {"minutes": round(seconds / 60, 4), **where_and_when()}
    if start is not None:
        notes["start"] = {"name": start.name, "weights": start.fingerprint(), "notes": start.notes}
        for name in ("steps", "minutes"):  # counted from the very beginning, where that is known
            before = start.notes.get(name)
            notes[name] = None if before is None else before + notes[name]
    return notes


def require_effects(preset, changes, from_weights=False, by_minutes=False):
    """Raise InputError for a change that `presets.override` made to a preset and that has no effect in its training.

    changes: assignments such as 'training.steps=5'. from_weights, by_minutes: whether the training goes on from trained
    weights, and whether a time is given instead of steps.
    """
    stages = stages_of(preset, from_weights)
    own = {setting: stage for stage, setting in STAGES.items()} | {"autoencoder_loss": "autoencoder"}
    for name, value in (change.replace(" ", "").split("=", 1) for change in changes):
        part, _, field = name.partition(".")
        switch = field == "steps" and not from_weights and float(value) == 0
        if part in own and own[part] not in stages and not switch:
            raise InputError(f"{name} has no effect on a training without the stage {own[part]}; leave it out")
        usual = getattr(recipes.get(preset.name), part, None)
        if by_minutes and part in STAGES.values() and field == "steps" and usual.steps and not switch:
            raise InputError(f"{name} has no effect with --minutes, which sets the steps; leave one of them out")


def _require_shards(preset, stages, ranks):
    """Raise InputError unless each stage has a shard for every rank: now, and not when one has been trained."""
    shards = {f"{STAGES[stage]}.shards": getattr(preset, STAGES[stage]).shards for stage in stages}
    require_shards(ranks, min(shards.values()), [name for name, count in shards.items() if count < ranks.size])


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


def _require_same_clips(out, preset, folder):
    """Raise InputError where the training in a folder was begun with other clips or captions than are there now."""
    first = next((path for name in STAGES if (path := out / f"{name}.safetensors").exists()), None)
    if first is None:
        return
    then, now = checkpoint.load_checkpoint(first)[1]["config"].get("data", {}), folder.clips("train").describe()
    if "files" in then and then["files"] != now["files"]:
        raise InputError(
            f"the clips or captions in {folder.folder} have changed since training in {out} began ("
            f"{then['own_clips']} clips to learn from then, {now['own_clips']} now); put them back, or train anew in "
            "another folder (--out)"
        )


def _require_same_networks(preset, start, data=None):
    there = {"transformer": start.transformer.config, "autoencoder": start.autoencoder.config}
    found = config.differences(there, {name: getattr(preset, name) for name in there})
    words, ours = start.tokenizer.words, tokenizer_of(preset, data).words
    if words != ours[: len(words)]:
        strange = shorten(next((word for word in words if word not in ours), "its words in another order"))
        own = isinstance(preset, OwnPreset)
        cure = "give clips with the same words" if own else "set data.speeds to those of its clips"
        raise InputError(
            f"training can't go on from {start.name}: it knows {strange!r}, which no caption of this training has; "
            f"{cure}"
        )
    if found:
        raise InputError(
            f"training can't go on from {start.name}, whose networks are others: {'; '.join(found)}; change the preset "
            "or these settings (--set)"
        )


def where_and_when():
    """Machine and date, for the notes of weights that have just been trained."""
    machine = f"{processor()} and its GPU" if backend.device_name() == "gpu" else description()
    return {"machine": f"{backend.thread_count()} threads of {machine}", "date": f"{datetime.date.today()}"}


def _with_what_is_there(preset, data):
    """(preset, data) with what the preset leaves open: which digits "auto" means, or what a folder of clips holds."""
    if not isinstance(preset, OwnPreset):
        return with_known_digits(preset, data), data
    folder = preset.data.open(data)
    if not folder.words:  # clips drawn with a caption and without it would be the same
        preset = dataclasses.replace(preset, sampling=dataclasses.replace(preset.sampling, guidance_scale=1.0))
    return preset, folder


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
    """Clips of the preset's kind made of digits that training doesn't see, with the plainest captions.

    Of one's own clips the first that are held out, or where none are, of those in training: as many as are shown.
    """
    if isinstance(preset, OwnPreset):
        folder = preset.data.open(data)
        clips = folder.clips("test" if any(map(folder.is_held_out, folder.entries)) else "train")
        return clips.cut(clips.each()[: min(count, SHOWN)])
    generator = seeds.generator(seed, seeds.PREVIEWS)
    return preset.data.clips("test", data, synonyms=False).batch(generator, count)
