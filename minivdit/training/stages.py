"""A whole training: the two stages of a preset, one after the other, each with its own checkpoint."""

from ..models import Autoencoder, Tokenizer, VideoDiT
from . import checkpoint
from .loop import fit
from .tasks import AutoencoderTask, TransformerTask


def train_autoencoder(preset, path=None, *, seed=0, data=None, **watching):
    """The first stage: a trained Autoencoder, with averaged weights and latents normalised per channel.

    path: its checkpoint. If that is complete, it is only read. data: folder of MNIST. watching: see loop.fit.
    """
    settings = preset.autoencoder_training
    clips = preset.data.clips("train", data, num_frames=1, synonyms=False)
    model = Autoencoder(preset.autoencoder, checkpoint.generator(seed, checkpoint.INITIAL_WEIGHTS, 1))
    task = AutoencoderTask(model, clips, settings.batch, preset.autoencoder_loss)
    run = fit(task, settings, path, seed=seed, **{"title": "autoencoder", **watching})
    run.use_average()
    return model


def transformer_task(preset, autoencoder, *, seed=0, data=None):
    """The second stage's task, with a fresh transformer."""
    tokenizer = Tokenizer()
    generator = checkpoint.generator(seed, checkpoint.INITIAL_WEIGHTS, 2)
    model = VideoDiT(preset.transformer, len(tokenizer), generator)
    clips = preset.data.mixed_clips("train", data)
    return TransformerTask(model, autoencoder, tokenizer, clips, preset.training.batch, preset.diffusion)


def train_transformer(preset, autoencoder, path=None, *, seed=0, data=None, **watching):
    """The second stage: a trained (VideoDiT, Tokenizer), with averaged weights. Arguments as in the first."""
    task = transformer_task(preset, autoencoder, seed=seed, data=data)
    run = fit(task, preset.training, path, seed=seed, **{"title": "transformer", **watching})
    run.use_average()
    return task.model, task.tokenizer
