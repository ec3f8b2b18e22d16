"""From a preset to a model: both stages of training, pictures on the way, one file of weights at the end.

runs/quick/
  autoencoder.safetensors, .jsonl     checkpoint and log of the first stage
  transformer.safetensors, .jsonl     checkpoint and log of the second
  previews/step_000500.png            the same captions, drawn with the averaged weights so far
  model.safetensors                   what `minivdit sample --weights` reads
"""

import dataclasses
from pathlib import Path

from . import display
from .generation import GenerationSettings, TextToVideo
from .training import checkpoint
from .training.stages import train_autoencoder, train_transformer

AUTOENCODER_SHARE = 0.15  # of the time, when a time is given


def train_model(preset, out, *, seed=0, data=None, minutes=None, previews=8, measure=None, progress=True):
    """Train both stages of a preset in the folder `out`, or go on where an earlier call stopped.

    data: folder of MNIST. minutes: about how long, instead of the preset's numbers of steps. previews: how many
    times to draw a strip of clips during the second stage. measure: a function from a TextToVideo to a dict of
    metrics for the log, called as often. Returns the TextToVideo, already saved as `out`/model.safetensors.
    """
    out, watching = Path(out), {"seed": seed, "data": data, "progress": progress}
    first, second = (
        (None, None) if minutes is None else (AUTOENCODER_SHARE * minutes, (1 - AUTOENCODER_SHARE) * minutes)
    )
    autoencoder = train_autoencoder(preset, out / "autoencoder.safetensors", minutes=first, **watching)
    captions = real_clips(preset, 4, seed, data).captions

    def preview(run, state):
        if state.step != state.total and state.step % max(1, state.total // previews):
            return {}
        with run.average.applied():
            model = assemble(preset, run.task.model, autoencoder, run.task.tokenizer)
            video = model.generate(captions, seed=seed)
            display.write_strips(out / "previews" / f"step_{state.step:06d}.png", video, captions)
            return measure(model) if measure else {}

    transformer, tokenizer = train_transformer(
        preset,
        autoencoder,
        out / "transformer.safetensors",
        minutes=second,
        callbacks=[(1, preview)] if previews else [],
        **watching,
    )
    notes = {"seed": seed, "preset": checkpoint.plain(preset)}
    model = assemble(preset, transformer, autoencoder, tokenizer, notes)
    model.save(out / "model.safetensors")
    return model


def assemble(preset, transformer, autoencoder, tokenizer, notes=None):
    """The trained parts as a TextToVideo with the preset's settings."""
    data, diffusion, sampling = preset.data, preset.diffusion, preset.sampling
    settings = GenerationSettings(
        size=data.size,
        num_frames=data.num_frames,
        digit_size=data.digit_size,
        curve=diffusion.curve,
        shift=diffusion.shift,
        prediction=diffusion.prediction,
        **dataclasses.asdict(sampling),
    )
    return TextToVideo(transformer, autoencoder, tokenizer, settings, notes, preset.name)


def real_clips(preset, count, seed=0, data=None):
    """Clips of the preset's kind made of digits that training doesn't see, with the plainest captions."""
    generator = checkpoint.generator(seed, checkpoint.PREVIEWS)
    return preset.data.clips("test", data, synonyms=False).batch(generator, count)
