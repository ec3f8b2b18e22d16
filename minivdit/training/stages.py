"""A whole training: the stages of a preset, one after the other, each with its own checkpoint."""

from ..base import seeds
from ..models import Autoencoder, CaptionReader, TextEncoder, Tokenizer, VideoDiT
from ..nn import fingerprint
from .loop import fit
from .tasks import AutoencoderTask, TextTask, TransformerTask


def train_autoencoder(preset, path=None, *, seed=0, data=None, **watching):
    """The first stage: a trained Autoencoder, with averaged weights and latents normalised per channel.

    path: its checkpoint. If that is complete, it is only read. data: folder of MNIST. watching: see loop.fit.
    """
    settings = preset.autoencoder_training
    clips = preset.data.clips("train", data, num_frames=1, synonyms=False)
    model = Autoencoder(preset.autoencoder, seeds.generator(seed, seeds.INITIAL_WEIGHTS, 1))
    task = AutoencoderTask(model, clips, settings.batch, preset.autoencoder_loss)
    run = fit(task, settings, path, seed=seed, prefix="autoencoder_training.", **{"title": "autoencoder", **watching})
    run.use_average()
    return model


def train_text(preset, path=None, *, seed=0, data=None, **watching):
    """The second stage: a TextEncoder that can read captions, or None where the preset leaves that to the third.

    Arguments as in the first. No frame is seen: the captions are those of the preset's clips.
    """
    settings, shape = preset.text_training, preset.transformer
    if not settings.steps:
        return None
    tokenizer, generator = Tokenizer(), seeds.generator(seed, seeds.INITIAL_WEIGHTS, 3)
    text = TextEncoder(len(tokenizer), shape.width, shape.text_depth, shape.heads, generator, shape.text_positions)
    reader = CaptionReader(text, shape.heads, generator)
    task = TextTask(reader, tokenizer, preset.data.clips("train", data), settings.batch)
    run = fit(task, settings, path, seed=seed, prefix="text_training.", **{"title": "text", **watching})
    run.use_average()
    return text


def transformer_task(preset, autoencoder, *, text=None, start=None, seed=0, data=None):
    """The third stage's task, with a fresh transformer; but its text encoder has the weights of `text`, if given.

    start: a VideoDiT whose weights it has instead.
    """
    tokenizer = Tokenizer()
    generator = seeds.generator(seed, seeds.INITIAL_WEIGHTS, 2)
    model = VideoDiT(preset.transformer, len(tokenizer), generator)
    clips = preset.data.clips("train", data)
    task = TransformerTask(model, autoencoder, tokenizer, clips, preset.training.batch, preset.diffusion)
    if text is not None:
        model.text.load_state_dict(text.state_dict())
        task.config["text"] = fingerprint(text)
    if start is not None:
        model.load_state_dict(start.state_dict())
        task.config["start"] = fingerprint(start)
    return task


def train_transformer(preset, autoencoder, path=None, *, text=None, start=None, seed=0, data=None, **watching):
    """The third stage: a trained (VideoDiT, Tokenizer), with averaged weights. Arguments as in the first.

    text: the TextEncoder of the second stage, which is trained further here. start: a VideoDiT to go on from.
    """
    task = transformer_task(preset, autoencoder, text=text, start=start, seed=seed, data=data)
    run = fit(task, preset.training, path, seed=seed, prefix="training.", **{"title": "transformer", **watching})
    run.use_average()
    return task.model, task.tokenizer


def finetuning_task(preset, autoencoder, transformer, *, data=None):
    """The last stage's task: the transformer goes on, with clips of other shapes and such as turn among them."""
    clips = preset.data.mixed_clips("train", data)
    task = TransformerTask(transformer, autoencoder, Tokenizer(), clips, preset.finetuning.batch, preset.diffusion)
    task.config["start"] = fingerprint(transformer)
    return task


def finetune(preset, autoencoder, transformer, path=None, *, seed=0, data=None, **watching):
    """The last stage: changes the transformer in place, if the preset has it. Arguments as in the third.

    It comes last because a network that has other things to learn besides takes long to tie words to motion.
    """
    if preset.finetuning.steps:
        task = finetuning_task(preset, autoencoder, transformer, data=data)
        run = fit(task, preset.finetuning, path, seed=seed, prefix="finetuning.", **{"title": "finetuning", **watching})
        run.use_average()
