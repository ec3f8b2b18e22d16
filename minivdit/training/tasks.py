"""What is trained: the autoencoder on frames, the text encoder on captions, the transformer on the latents of clips.

A task draws everything random in `batch`, noise and noise levels too, so its loss is a plain function of
the batch and of the weights.
"""

import dataclasses

import numpy as np

from .. import autograd as ag
from .. import diffusion
from ..base import seeds
from ..base.backend import array_module, blas_threads, to_device
from ..base.errors import InputError, shorten
from ..data import FIELDS, describe, field_maps, fields_of, in_fields, path_maps, velocity_fields
from ..data.grammar import THEN
from ..models.autoencoder import latent_shape
from ..models.patches import token_count
from ..models.patterns import parse_pattern
from ..nn import fingerprint

# Settings that older checkpoints don't have: they must still match where nobody has set them.
LATER = ("stratified", "early_patterns", "text", "expert_modulation", "control", "velocities", "time_factor")
LATER += ("shift_tokens",)
LEVEL_BINS = 4  # noise levels [0, 1/4), [1/4, 1/2), ...


def _as_set(settings):
    """The fields of a configuration, without those of LATER that are as by default."""
    usual = type(settings)
    return {name: value for name, value in vars(settings).items() if name not in LATER or value != getattr(usual, name)}


class Task:
    """What is trained: the base class of all tasks.

    parameters: dict of name -> Parameter. config: what the weights' shapes and meaning depend on, a dict of plain
    values and dataclasses; a checkpoint of another config is refused. buffers: dict of name -> Tensor that isn't
    trained but belongs into the checkpoint.
    """

    parameters = {}
    buffers = {}
    config = {}

    def batch(self, generator):
        """A dict of arrays, all as long along axis 0 as the batch is.

        Everything random is drawn here, noise too: then the loss doesn't depend on the number of shards.
        It is called in a thread of its own, a step ahead: it makes NumPy arrays, which are brought to the device
        afterwards, and must not read the weights being trained.
        """
        raise NotImplementedError

    def stage(self, share):
        """What a batch has besides when this share of the steps is done, from 0 to 1: a dict of arrays as long."""
        return {}

    def loss(self, batch):
        """(loss, extras) of a batch or a part of one: a scalar Tensor, the mean over its items, and what else to log.

        extras: dict of name -> array with one value an item (or a frame); see `summary`.
        """
        raise NotImplementedError

    def summary(self, extras):
        """What the log says of the extras of a whole batch: dict of name -> number, or tuple of numbers and None.

        extras: dict of name -> flat NumPy array. By default the mean of each.
        """
        return {name: float(values.mean()) for name, values in extras.items()}

    def finish(self, run):
        """Called by `fit` after the last step, before that is saved."""


@dataclasses.dataclass(frozen=True)
class AutoencoderLoss:
    """What a reconstruction is worth: mean squared error + absolute * mean absolute error + kl * divergence.

    The divergence of the latents' distribution from a standard normal is a mean over latent numbers. A little of
    it keeps neighbouring latents alike; much of it blurs.
    """

    absolute: float = 0.1
    kl: float = 1e-4


@dataclasses.dataclass(frozen=True)
class DiffusionSettings(diffusion.ProcessSettings):
    """The process that the transformer learns to reverse, and how it is trained on it.

    shared, given, independent: chances of the three kinds of noise levels, and level_mean, level_deviation
    of the logit-normal they are drawn from, stratified or not; see diffusion.training_levels. weighting: 'velocity'
    counts the error as one of the velocity whatever is predicted, 'plain' as it is. caption_dropout: the share of
    clips whose caption is hidden, so that the model also learns to draw without one, which guidance needs.
    early_patterns: attention patterns to begin with, each for a share of the steps, such as ('frame+time:0.5',
    'window:0.3'); the rest has the transformer's own. Long clips become affordable so (Open-Sora, Zheng et al. 2024).
    """

    weighting: str = "velocity"
    shared: float = 0.6
    given: float = 0.2
    independent: float = 0.2
    level_mean: float = 0.0
    level_deviation: float = 1.0
    stratified: bool = False
    caption_dropout: float = 0.1
    early_patterns: tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        diffusion.levels.checked_chances(self.shared, self.given, self.independent)
        if self.weighting not in ("velocity", "plain"):
            raise InputError(f"{self.weighting!r} is not a weighting; choose velocity or plain")
        if not 0 <= self.caption_dropout < 1:
            raise InputError(f"caption_dropout is a share from 0 to below 1, not {self.caption_dropout}")
        if sum(share for _, share in self.pattern_schedule()) >= 1:
            early = ", ".join(self.early_patterns)
            raise InputError(f"early_patterns leave no steps for the patterns that draw: {early}; lower their shares")

    def pattern_schedule(self):
        """early_patterns as a list of (patterns, share of the steps)."""
        return [_read_early(text) for text in self.early_patterns]


def _read_early(text):
    """'frame+time:0.5' as (('frame', 'time'), 0.5)."""
    names, _, share = text.rpartition(":")
    patterns = tuple(names.split("+"))
    try:
        share = float(share)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise InputError(
            f"{shorten(text)!r} doesn't say for which share of the steps; write patterns, a colon and a number "
            "between 0 and 1, such as frame+time:0.5"
        )
    for pattern in patterns:
        parse_pattern(pattern)
    return patterns, share


class AutoencoderTask(Task):
    """Frames in, the same frames out, through few numbers. A causal autoencoder gets whole clips.

    clips: CaptionedClips; of each clip of a batch all frames are used. batch_size: clips a batch.
    """

    def __init__(self, model, clips, batch_size, loss=AutoencoderLoss()):
        self.model, self.clips, self.batch_size, self.weights = model, clips, batch_size, loss
        self.config = {"autoencoder": _as_set(model.config), "loss": loss, "data": clips.describe()}
        self.parameters = model.parameters()
        self.buffers = {"latent_mean": model.latent_mean, "latent_deviation": model.latent_deviation}

    def batch(self, generator):
        frames = self.model.pieces(self.clips.batch(generator, self.batch_size).video)  # (n, H, W, C), or a video
        shape = latent_shape(self.model.config, frames.shape)
        return {"frames": frames, "noise": generator.standard_normal(shape, dtype=np.float32)}

    def loss(self, batch):
        frames = batch["frames"]
        mean, log_variance = self.model.distribution(frames)
        log_variance = ag.clip(log_variance, low=-20.0, high=10.0)
        latents = mean + ag.exp(log_variance * 0.5) * batch["noise"]
        rebuilt = self.model.reconstruct(latents)
        divergence = ag.mean(mean * mean + ag.exp(log_variance) - log_variance - 1.0) * 0.5
        difference = rebuilt.data - frames
        extras = {
            "squared_error": (difference * difference).mean(axis=tuple(range(1, difference.ndim))),
            "kl": array_module(frames).broadcast_to(divergence.data, (len(frames),)),
        }
        error = ag.mean_squared_error(rebuilt, frames) + self.weights.absolute * ag.mean(ag.absolute(rebuilt - frames))
        return error + self.weights.kl * divergence, extras

    def finish(self, run, count=512):
        """Measure mean and deviation of each latent channel, with the averaged weights, for `encode` to undo."""
        generator = seeds.generator(run.seed, seeds.MEASUREMENTS)
        clips = max(1, count // self.clips.num_frames)
        with run.averaged(), blas_threads(1), ag.no_grad():
            video = to_device(self.clips.batch(generator, clips).video)
            mean, _ = self.model.distribution(self.model.pieces(video))
        places = tuple(range(mean.ndim - 1))
        self.model.latent_mean.data[...] = mean.data.mean(axis=places)
        self.model.latent_deviation.data[...] = mean.data.std(axis=places) + 1e-6
        # Another processor may round another way. All ranks take what the first has measured.
        run.ranks.share([self.model.latent_mean.data, self.model.latent_deviation.data], [0, 0])


class TextTask(Task):
    """Captions and questions about them in, answers out: see models.CaptionReader.

    clips: CaptionedClips, whose captions are used; none of its clips is drawn. batch_size: captions a batch.
    """

    def __init__(self, reader, tokenizer, clips, batch_size):
        self.model, self.tokenizer, self.clips, self.batch_size = reader, tokenizer, clips, batch_size
        self.parameters = reader.parameters()
        text = reader.text
        shape = {"width": text.width, "text_depth": len(text.blocks), "text_positions": text.positions}
        self.config = {"transformer": shape, "data": clips.describe(), "words": len(tokenizer)}

    def batch(self, generator):
        captions, questions, answers = [], [], []
        for _ in range(self.batch_size):
            motions = self.clips.draw_motions(generator)
            caption, asked = describe(motions, generator), motions[generator.integers(len(motions))]
            # One in four as if it came later in a clip; see Tokenizer.encode_over_time.
            captions.append(f"{THEN} {caption}" if generator.random() < 0.25 else caption)
            if self.clips.structured and generator.random() < self.clips.structured:  # without a clip, places are free
                places = generator.choice(FIELDS["start"], len(motions))
                captions[-1] = in_fields(fields_of(motions, places))
            told = (asked.direction, asked.speed, asked.colour)[: 2 + self.clips.colors]
            questions.append([10 * number + asked.digit for number in range(len(told))])
            answers.append([self.model.answers.index(said) for said in told])
        questions, answers = (np.array(numbers, np.int32) for numbers in (questions, answers))
        return {"tokens": self.tokenizer.encode(captions), "questions": questions, "answers": answers}

    def loss(self, batch):
        logits = self.model(batch["tokens"], batch["questions"])
        right = (logits.data.argmax(axis=-1) == batch["answers"]).astype(np.float32)
        return ag.cross_entropy(logits, batch["answers"]), dict(zip(("direction", "speed", "colour"), right.T))


class TransformerTask(Task):
    """Noisy latents of clips, their noise levels and captions in; what the noise was out.

    autoencoder: trained, and not trained further here. clips: CaptionedClips, MixedClips, OwnClips or LatentClips.
    batch_size: clips a batch.
    """

    def __init__(self, model, autoencoder, tokenizer, clips, batch_size, settings=DiffusionSettings()):
        self.model, self.autoencoder, self.tokenizer, self.clips = model, autoencoder, tokenizer, clips
        self.batch_size, self.settings, self.process = batch_size, settings, settings.process
        self.parameters = model.parameters()
        self.config = {
            "transformer": _as_set(model.config),
            "diffusion": _as_set(settings),
            "data": clips.describe(),
            "words": len(tokenizer),
            "autoencoder": fingerprint(autoencoder),
        }

    def batch(self, generator):
        return self.batch_of(self.clips.batch(generator, self.batch_size), generator)

    def batch_of(self, clips, generator):
        """The batch of some clips, as `self.clips.batch` makes them; everything else is drawn."""
        settings = self.settings
        latents = getattr(clips, "latents", None)  # see LatentClips
        shape = latent_shape(self.autoencoder.config, clips.video.shape) if latents is None else latents.shape
        patches = shape[1] // self.model.config.patch_size[0]
        hidden = generator.random(len(clips.captions)) < settings.caption_dropout
        captions = ["" if hide else caption for hide, caption in zip(hidden, clips.captions)]
        level = diffusion.training_levels(
            generator,
            *shape[:2],
            shared=settings.shared,
            given=settings.given,
            independent=settings.independent,
            mean=settings.level_mean,
            deviation=settings.level_deviation,
            stratified=settings.stratified,
            shift=settings.length_shift(token_count(shape[1:4], self.model.config.patch_size)),
        )
        control = self._control(generator, clips, shape)
        noised = (level > 0).astype(np.float32)  # nothing is asked about frames that are given
        return {
            **({"video": clips.video} if latents is None else {"latents": latents}),
            "tokens": self.tokenizer.fewest(self.tokenizer.encode_over_time(captions, patches)),
            "level": level,
            "noise": generator.standard_normal(shape, dtype=np.float32),
            "weight": noised / noised.mean(),  # over the whole batch, before it is cut into shards
            **control,
            **({"frame_step": np.full(shape[0], clips.frame_step)} if clips.frame_step > 1 else {}),
        }

    def _control(self, generator, clips, shape):
        """The maps by which motion is told, if the network is shown any.

        Those of paths are hidden in half of the clips. Those of velocities never are: zeros say that the camera rests
        and nothing is brushed.
        """
        config, pixels, maps = self.model.config, self.autoencoder.config, []
        if config.control:
            paths = path_maps(clips.tracks, shape[1], clips.size, pixels.factor, pixels.time_factor)
            maps.append(paths * (generator.random((len(paths), 1, 1, 1, 1)) < 0.5).astype(np.float32))
        if config.velocities:
            fields = getattr(clips, "velocities", None)
            fields = velocity_fields(shape[0], clips.video.shape[2:4]) if fields is None else fields
            maps.append(field_maps(fields, shape[1], pixels.factor, pixels.time_factor))
        return {"control": np.concatenate(maps, axis=-1)} if maps else {}

    def stage(self, share):
        """Which of the patterns it is that training has now come to, where they change on the way."""
        if not self.settings.early_patterns:
            return {}
        ends = np.cumsum([share for _, share in self.settings.pattern_schedule()])
        return {"patterns": np.full(self.batch_size, np.searchsorted(ends, share, side="right"), np.int32)}

    def _patterns(self, batch):
        """The option of the model's by which a batch has other patterns than its own, if it has."""
        if "patterns" not in batch:
            return {}
        early, number = self.settings.pattern_schedule(), int(batch["patterns"][0])
        return {"patterns": early[number][0]} if number < len(early) else {}

    def loss(self, batch):
        process, noise, level = self.process, batch["noise"], batch["level"]
        clean = self.autoencoder.encode(batch["video"]) if "video" in batch else batch["latents"]
        target = process.target(clean, noise, level)
        options = self._patterns(batch) | ({"control": batch["control"]} if "control" in batch else {})
        if "frame_step" in batch:
            options["frame_step"] = int(batch["frame_step"][0])
        prediction = self.model(process.mix(clean, noise, level), level, batch["tokens"], **options)
        worth = process.velocity_weight(level) if self.settings.weighting == "velocity" else 1.0
        loss = ag.mean_squared_error(prediction, target, (batch["weight"] * worth)[:, :, None, None, None])
        error = worth * ((prediction.data - target) ** 2).mean(axis=(2, 3, 4))  # (B, T)
        return loss, {"level": level, "error": error}

    def summary(self, extras):
        return {"levels": error_by_level(**extras)}


def error_by_level(level, error):
    """The mean of a flat array of errors in each of four bins of their noise levels, as a tuple; None for an empty one.

    Frames at level 0 were given: there is nothing to predict, and their errors don't count.
    """
    bins = np.minimum((level * LEVEL_BINS).astype(int), LEVEL_BINS - 1)
    chosen = [error[(bins == number) & (level > 0)] for number in range(LEVEL_BINS)]
    return tuple(float(values.mean()) if values.size else None for values in chosen)
