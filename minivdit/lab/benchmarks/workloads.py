"""What is timed, and minivdit's side of it: the same pieces of work for all sides, from the same seeds.

A workload has a name such as 'train 32x64x128x6x4' (batch x tokens x width x depth x heads), 'train small' (a
preset), 'sample small', 'attention 4096' or 'autoencoder full'. `ours` prepares it: a function that does the work once,
and one that gives its results, so that sides can be shown to compute the same. The other sides are in sides.py.
"""

import contextlib
import dataclasses

import numpy as np

from ... import autograd as ag
from ...base import backend
from ...base.errors import InputError
from ...data.grammar import MAX_WORDS
from ...generation.batch import Predictor
from ...models import VideoDiT, VideoDiTConfig, costs, make_autoencoder
from ...training import presets
from ...training.loop import Run
from ...training.settings import TrainingSettings
from ...training.stages import tokenizer_of
from ...training.tasks import AutoencoderTask, TransformerTask

GRIDS = {64: (4, 4, 4), 160: (10, 4, 4), 256: (4, 8, 8), 1024: (16, 8, 8)}  # tokens -> (T, H, W)
SHAPES = ("32x64x128x6x4", "16x256x128x6x4", "4x1024x128x6x4", "16x160x192x8x6")
PRESETS = ("small", "full")
KINDS = ("train", "sample", "attention", "autoencoder")
HEAD_WIDTH = 32  # of the attention that is timed alone
FRAMES = 128  # that the autoencoder is timed with


@dataclasses.dataclass
class Prepared:
    """run(): the work, once. results(): dict of name -> array. flops: of matrix products in a run (0: not counted).
    around: a context in which to do it. queue(): on a GPU, the work without any waiting for it."""

    run: object
    results: object
    flops: int = 0
    around: object = dataclasses.field(default_factory=contextlib.nullcontext)
    queue: object = None


def names():
    """All workloads, in the order of the report."""
    models = (*SHAPES, *PRESETS)
    return [
        *(f"{kind} {model}" for kind in ("train", "sample") for model in models),
        *(f"attention {tokens}" for tokens in (1024, 2048, 4096, 8192)),
        *(f"autoencoder {preset}" for preset in PRESETS),
    ]


def ours(name, threads):
    """Prepare a workload for minivdit, with so many threads."""
    kind, subject = split_name(name)
    if kind == "attention":
        return _our_attention(int(subject))
    run, batch = training(kind, subject, threads)
    if kind == "sample":
        return _our_sample(run.task, batch, threads)

    def results():
        loss, gradients, _ = run.workers(batch)
        return {"loss": np.float32(float(loss)), **gradients}

    def step():
        run.advance(batch)
        backend.wait()

    flops = 3 * _flops(run.task, batch)
    return Prepared(step, results, flops, run.with_workers(), queue=lambda: run.advance(batch))


def split_name(name):
    """('train', 'small') from 'train small'."""
    kind, _, subject = name.partition(" ")
    if kind not in KINDS or not subject:
        raise InputError(f"{name!r} is not a workload; there are {', '.join(names())}")
    return kind, subject


def check_name(name):
    """Raise InputError unless the workload of this name can be prepared; builds nothing."""
    kind, subject = split_name(name)
    if kind == "attention":
        if not (subject.isdecimal() and int(subject)):
            raise InputError(f"{name!r} is not a workload; give a number of tokens, such as 'attention 4096'")
    elif subject not in presets.PRESETS:
        _read_shape(subject)


# --- models and batches ------------------------------------------------------------------------------------


class _Nothing:
    """Stands where an autoencoder would: what comes in are latents already."""

    def encode(self, video):
        return video


class LatentTask(TransformerTask):
    """A transformer alone, on random latents: for shapes that are no preset's."""

    def __init__(self, model, batch_size, grid):
        self.model, self.batch_size, self.settings = model, batch_size, DIFFUSION
        self.process, self.parameters, self.config = DIFFUSION.process, model.parameters(), {}
        self.autoencoder, self.grid = _Nothing(), grid

    def batch(self, generator):
        time, height, width = self.grid
        shape = (self.batch_size, time, 2 * height, 2 * width, self.model.config.latent_channels)
        level = 1 - generator.random((self.batch_size, time), dtype=np.float32)
        tokens = generator.integers(2, costs.TOKENS, (self.batch_size, MAX_WORDS + 1), dtype=np.int32)
        tokens[:, MAX_WORDS * 2 // 3 :] = 0  # captions shorter than the longest
        noise, clean = generator.standard_normal((2, *shape), dtype=np.float32)
        return {"video": clean, "noise": noise, "level": level, "tokens": tokens, "weight": np.ones_like(level)}


DIFFUSION = presets.get("small").diffusion


def training(kind, subject, threads, shards=1, ranks=None):
    """(Run, batch) of a workload: every weight random, also those that start at zero.

    shards: at least so many. ranks: see loop.Run.
    """
    generator = np.random.default_rng(0)
    if subject in presets.PRESETS:
        task, settings = preset_task(kind, presets.get(subject), generator)
    else:
        task, settings = _shape_task(subject, generator)
    for parameter in task.parameters.values():
        parameter.data += 0.02 * backend.normal(generator, parameter.shape)
    settings = dataclasses.replace(settings, shards=max(settings.shards, shards))
    return Run(task, settings, threads=threads, ranks=ranks), task.batch(generator)


def _read_shape(subject):
    """(batch, grid, width, depth, heads) from '32x64x128x6x4'."""
    try:
        batch, tokens, width, depth, heads = map(int, subject.split("x"))
        return batch, GRIDS[tokens], width, depth, heads
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{subject!r} is neither a preset nor batch x tokens x width x depth x heads, such as {SHAPES[0]}, "
            f"with {', '.join(map(str, GRIDS))} tokens"
        ) from error


def _shape_task(subject, generator):
    batch, grid, width, depth, heads = _read_shape(subject)
    config = VideoDiTConfig(width=width, depth=depth, heads=heads, positions="both")
    task = LatentTask(VideoDiT(config, costs.TOKENS, generator), batch, grid)
    return task, TrainingSettings(batch=batch, shards=2, matrix_learning_rate=0.0)


def preset_task(kind, preset, generator):
    clips = dataclasses.replace(preset.data, digits="strokes").clips()
    autoencoder = make_autoencoder(preset.autoencoder, generator)
    if kind == "autoencoder":
        clips_a_batch = FRAMES // preset.data.num_frames
        settings = dataclasses.replace(preset.autoencoder_training, batch=clips_a_batch, shards=2)
        return AutoencoderTask(autoencoder, clips, clips_a_batch, preset.autoencoder_loss), settings
    tokenizer = tokenizer_of(preset)
    model = VideoDiT(preset.transformer, len(tokenizer), generator)
    task = TransformerTask(model, autoencoder, tokenizer, clips, preset.training.batch, preset.diffusion)
    return task, preset.training


def _flops(task, batch):
    """Of the matrix products of a forward pass (and, in the autoencoder's training, both halves)."""
    if isinstance(task, AutoencoderTask):
        clips, *lengths, height, width, _ = batch["frames"].shape
        size = (height, width)
        return costs.autoencoder_cost(task.model.config, *lengths or [1], size, clips=clips).forward_flops
    config, (clips, *shape, _) = task.model.config, batch["noise"].shape
    grid = tuple(length // side for length, side in zip(shape, config.patch_size))
    return costs.clip_cost(config, grid, clips, vocabulary=costs.TOKENS).forward_flops


def _our_sample(task, batch, threads):
    inputs = (batch["noise"], batch["level"], batch["tokens"])
    predictor = Predictor(task.model, threads)
    prediction = lambda: predictor(*inputs)
    return Prepared(prediction, lambda: {"prediction": prediction()}, _flops(task, batch), predictor)


def attention_inputs(tokens):
    """q, k, v and a gradient (1, 1, N, d)."""
    return np.random.default_rng(0).standard_normal((4, 1, 1, tokens, HEAD_WIDTH), dtype=np.float32)


def _our_attention(tokens):
    *inputs, cotangent = attention_inputs(tokens)

    def run():
        leaves = [ag.Tensor(a, requires_grad=True) for a in inputs]
        output = ag.attention(*leaves)
        return [output.data, *ag.gradients(output, leaves, cotangent)]

    def results():
        return dict(zip(("output", "q", "k", "v"), run()))

    return Prepared(run, results, 14 * tokens**2 * HEAD_WIDTH)
