"""The stages of a whole training: for each its task, with fresh networks or with those that the stages before trained.

In all of them seed says which random weights a network begins with, and data is a folder of MNIST; or, for a preset of
one's own clips, their folder or a data.own_clips.ClipFolder of it.
"""

import dataclasses

from ..base import seeds
from ..base.backend import array_module
from ..base.errors import InputError
from ..data import SPEEDS, USUAL_SPEEDS, vocabulary
from ..data.grammar import COLOURS, WHITE, most_words
from ..models import CaptionReader, TextEncoder, Tokenizer, VideoDiT, make_autoencoder
from ..models.text import MOST_WORDS
from ..nn import fingerprint
from .latents import encoded
from .presets import OwnPreset
from .tasks import AutoencoderTask, TextTask, TransformerTask

# All stages in their order, and where a preset has their settings.
STAGES = {
    "autoencoder": "autoencoder_training",
    "text": "text_training",
    "transformer": "training",
    "finetuning": "finetuning",
}


def stages_of(preset, from_weights=False):
    """The names of the stages that a training has. from_weights: whether it goes on from trained weights."""
    names = ("transformer", "finetuning") if from_weights else STAGES
    return [name for name in names if getattr(preset, STAGES[name]).steps]


def tokenizer_of(preset, data=None):
    """The Tokenizer of a preset: it knows the words of its captions."""
    if isinstance(preset, OwnPreset):
        folder = preset.data.open(data)
        if len(folder.words) > MOST_WORDS:
            raise InputError(
                f"the captions in {folder.folder} have {len(folder.words):,} different words; at most {MOST_WORDS:,} "
                "can be learnt, so leave out rare ones: --set data.rare=2"
            )
        return Tokenizer(folder.words, folder.longest)
    told = preset.data
    return Tokenizer(vocabulary(told.speeds, told.structured > 0, told.colors), most_words(told.colors))


def frames_a_clip(preset):
    """How many frames the clips have that the autoencoder is trained on: 1, or all if it is causal.

    A causal one sees far back: trained on the beginnings of clips only, it would fail where more comes before.
    """
    return 1 if preset.autoencoder.time_factor == 1 else preset.data.num_frames


def autoencoder_task(preset, *, seed=0, data=None):
    """The first stage: single frames (clips, if it is causal), and an autoencoder that they pass through."""
    model = make_autoencoder(preset.autoencoder, seeds.generator(seed, seeds.INITIAL_WEIGHTS, 1))
    plainest = {} if isinstance(preset, OwnPreset) else {"synonyms": False}
    clips = preset.data.clips("train", data, num_frames=frames_a_clip(preset), **plainest)
    return AutoencoderTask(model, clips, preset.autoencoder_training.batch, preset.autoencoder_loss)


def text_task(preset, *, seed=0, data=None):
    """The second: a TextEncoder learns to read the captions of the preset's clips, of which no frame is seen."""
    shape, tokenizer = preset.transformer, tokenizer_of(preset)
    generator = seeds.generator(seed, seeds.INITIAL_WEIGHTS, 3)
    text = TextEncoder(len(tokenizer), shape.width, shape.text_depth, shape.heads, generator, shape.text_positions)
    speeds = USUAL_SPEEDS if {*preset.data.speeds} <= {*USUAL_SPEEDS} else SPEEDS
    reader = CaptionReader(text, shape.heads, generator, speeds, (WHITE, *COLOURS) if preset.data.colors else ())
    return TextTask(reader, tokenizer, preset.data.clips("train", data), preset.text_training.batch)


def transformer_task(preset, autoencoder, *, text=None, start=None, seed=0, data=None, kept=None, show=True):
    """The third: clips, and a VideoDiT.

    text: the TextEncoder of the second stage, with whose weights the transformer's own begins. start: a VideoDiT with
    whose weights all of it begins; words that it doesn't know, the last of the preset's, begin as in a fresh one.
    kept: a folder for the latents of one's own clips; without it they are encoded in each step. show: see `encoded`.
    """
    tokenizer = tokenizer_of(preset, data)
    model = VideoDiT(preset.transformer, len(tokenizer), seeds.generator(seed, seeds.INITIAL_WEIGHTS, 2))
    clips = preset.data.clips("train", data, **_steered(preset))
    if kept is not None and isinstance(preset, OwnPreset):
        clips = encoded(clips, autoencoder, kept, show)
    task = TransformerTask(model, autoencoder, tokenizer, clips, preset.training.batch, preset.diffusion)
    for name, module, trained in (("text", model.text, text), ("start", model, start)):
        if trained is not None:
            module.load_state_dict(_with_new_words(trained, module))
            task.config[name] = fingerprint(trained)
    return task


def finetuning_task(preset, autoencoder, transformer, *, data=None):
    """The last: the transformer goes on, with clips of other shapes and with digits that turn among them.

    It comes last because a network that has other things to learn besides takes long to tie words to motion.
    """
    clips = preset.data.mixed_clips("train", data, **_steered(preset))
    words, batch = tokenizer_of(preset), preset.finetuning.batch
    settings = dataclasses.replace(preset.diffusion, early_patterns=())  # they are for the stage before
    task = TransformerTask(transformer, autoencoder, words, clips, batch, settings)
    task.config["start"] = fingerprint(transformer)
    return task


def _steered(preset):
    """What clips are asked for besides: the camera pans or there is a brush in half, if the network is shown that."""
    return {"steered": 0.5} if preset.transformer.velocities else {}


def _with_new_words(trained, fresh):
    """The weights of a trained module, and for the words that it doesn't know those of a fresh one of its kind."""
    state = trained.state_dict()
    for name, table in fresh.state_dict().items():
        known = state.get(name)
        if name.endswith("embedding.table") and known is not None and len(known) < len(table):
            state[name] = array_module(table).concatenate([known, table[len(known) :]])
    return state
