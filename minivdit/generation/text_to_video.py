"""TextToVideo: the trained parts together, from a caption to a video.

One file of weights holds everything that drawing needs: transformer, autoencoder, words, and the settings of
the diffusion process, so that a model can't be run with settings other than those it was trained with.
"""

import dataclasses
import functools
import hashlib
from pathlib import Path

import numpy as np

from .. import autograd as ag
from .. import costs, diffusion, seeds
from ..backend import array_module, thread_count, to_device, to_numpy
from ..errors import InputError
from ..files import load_tensors, save_tensors
from ..models import Autoencoder, AutoencoderConfig, Tokenizer, VideoDiT, VideoDiTConfig
from ..training import checkpoint
from ..training.parallel import split_batch
from ..training.workers import Workers
from .abilities import Abilities
from .given import Given
from .memory import require_memory

SHIPPED = Path(__file__).parent.parent / "weights"
DEFAULT_WEIGHTS = SHIPPED / "joint.safetensors"
FORMAT = 1


def shipped():
    """The names of the models that ship with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors") if path.stem != "judge")


@dataclasses.dataclass(frozen=True)
class GenerationSettings:
    """What the model was trained on and how it is sampled unless told otherwise.

    size: (height, width) in pixels. digit_size: side in pixels of a digit's box. curve, shift, prediction:
    of the diffusion process. sampler, steps, guidance_scale: defaults for generating. InputError where no clip could
    be drawn so.
    """

    size: tuple[int, int]
    num_frames: int
    digit_size: int
    curve: str = "rectified_flow"
    shift: float = 1.0
    prediction: str = "velocity"
    sampler: str = "ddpm"
    steps: int = 40
    guidance_scale: float = 3.0

    def __post_init__(self):
        if len(self.size) != 2 or min(*self.size, self.num_frames, self.digit_size) < 1:
            raise InputError(
                "size (height and width), num_frames and digit_size must all be at least 1, not "
                f"{self.size}, {self.num_frames} and {self.digit_size}"
            )
        diffusion.predictions.check(self.prediction, self.make_curve())
        diffusion.samplers.check(self.sampler, self.steps, self.guidance_scale)

    def make_curve(self):
        """The diffusion curve."""
        return diffusion.make(self.curve, shift=self.shift)


class TextToVideo(Abilities):
    """Draws clips from captions, and from parts of clips: see Abilities for animate, keyframes, extend and others.

        model = TextToVideo.load()
        video = model.generate("a 3 moving right and a 7 moving up", seed=1)  # (1, T, H, W, 1) in [0, 1]

    notes: a dict kept with the weights (how they were trained). name: what to call the weights.
    """

    def __init__(self, transformer, autoencoder, tokenizer, settings, notes=None, name="untitled"):
        self.transformer = transformer
        self.autoencoder = autoencoder
        self.tokenizer = tokenizer
        self.settings = settings
        self.notes = notes or {}
        self.name = name
        self.threads = thread_count()

    @classmethod
    def load(cls, path=None):
        """Read weights written by `save`; without a path, those that ship with the package.

        path: a file, or the name of other weights that ship ('small'). Raises InputError when the file is missing,
        damaged, or of another kind.
        """
        path = cls.path(path)
        tensors, metadata = load_tensors(path)
        try:
            if metadata["format"] != FORMAT:
                raise InputError(f"it has format {metadata['format']!r}, not {FORMAT}")
            generator = np.random.default_rng(0)  # these first weights are all replaced
            tokenizer = Tokenizer(metadata["words"], metadata["max_words"])
            config = checkpoint.from_plain(VideoDiTConfig, metadata["transformer"])
            autoencoder_config = checkpoint.from_plain(AutoencoderConfig, metadata["autoencoder"])
            settings = checkpoint.from_plain(GenerationSettings, metadata["settings"])
            _check_notes(metadata)
            _check_size(tensors, config, len(tokenizer), autoencoder_config)
            transformer = VideoDiT(config, len(tokenizer), generator)
            autoencoder = Autoencoder(autoencoder_config, generator)
            for part, module in (("transformer", transformer), ("autoencoder", autoencoder)):
                own = {
                    name.removeprefix(part + "."): array.astype(np.float32)
                    for name, array in tensors.items()
                    if name.startswith(part + ".")
                }
                module.load_state_dict(own)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} holds no text-to-video model of this version ({type(error).__name__}: {error}); give the "
                "model.safetensors that 'minivdit train' leaves at its end (not a checkpoint), or train again"
            ) from error
        return cls(transformer, autoencoder, tokenizer, settings, metadata.get("notes"), path.stem)

    @staticmethod
    def path(name=None):
        """The Path of a file of weights: given itself, or by the name under which it ships; 'joint' by default.

        Raises InputError, naming those that ship, if there is neither.
        """
        path = Path(name) if name is not None else DEFAULT_WEIGHTS
        if path.exists():
            return path
        if str(path) not in shipped():
            raise InputError(f"no weights at {path}; give a file, or one of {', '.join(shipped())}, which ship")
        return SHIPPED / f"{path}.safetensors"

    def save(self, path, half=True):
        """Write all weights to one safetensors file, in float16 unless `half` is False."""
        dtype = np.float16 if half else np.float32
        tensors = {
            f"{part}.{name}": to_numpy(array).astype(dtype)
            for part, module in (("transformer", self.transformer), ("autoencoder", self.autoencoder))
            for name, array in module.state_dict().items()
        }
        metadata = {
            "format": FORMAT,
            "words": self.tokenizer.words,
            "max_words": self.tokenizer.length - 1,
            "transformer": dataclasses.asdict(self.transformer.config),
            "autoencoder": dataclasses.asdict(self.autoencoder.config),
            "settings": dataclasses.asdict(self.settings),
            "notes": self.notes,
        }
        save_tensors(path, tensors, metadata)

    def generate(self, prompt, num_frames=None, size=None, **drawing):
        """Draw one clip for each prompt.

        prompt: a caption or a list of B captions; with "then" in it, one after the other ("a 3 moving right then up").
        num_frames, size (H, W) in pixels: any that the patches divide; as in training unless given. drawing: see
        `draw`. Returns a float32 NumPy array (B, T, H, W, C) in [0, 1].
        """
        return self.draw(prompt, self._blank(prompt, num_frames, size), **drawing)

    def draw(self, prompt, given, **drawing):
        """Draw what isn't given of B clips: the one thing that all abilities do, `generate` too.

        prompt: a caption for all clips or a list of B. given: a Given. drawing: start, the noise level it begins at (1:
        from nothing but noise); seed, a whole number; stream, what its noise is for (see seeds); steps; guidance_scale;
        sampler. The same seed gives the same clip on CPU and GPU, up to rounding. Returns float32 (B, T, H, W, C) in
        [0, 1], in which known pixels are as they were given, bit for bit.
        """
        for step in self.denoise(prompt, given=given, **drawing):
            last = step
        return given.keep(self.decode(last.x))

    def denoise(
        self,
        prompt,
        num_frames=None,
        size=None,
        seed=0,
        steps=None,
        guidance_scale=None,
        sampler=None,
        given=None,
        start=1.0,
        stream=(seeds.CLIPS,),
    ):
        """The way from noise to latents: a generator of diffusion.Step; see `generate` and `draw` for the arguments.

        A step's x and clean are latents; `decode` turns them into video.
        """
        settings, curve = self.settings, self.settings.make_curve()
        given = given or self._blank(prompt, num_frames, size)
        clips, num_frames, *size, channels = given.video.shape
        prompts = [prompt] * clips if isinstance(prompt, str) else list(prompt)
        if len(prompts) != clips:
            raise InputError(f"{clips} clips need one caption for all or one each, not {len(prompts)}")
        shape = self._check_request(clips, num_frames, size)
        if channels != self.autoencoder.config.image_channels:
            raise InputError(
                f"a clip has {channels} channels; this model draws {self.autoencoder.config.image_channels}"
            )
        if given.known.all():
            raise InputError("every pixel is given, so there is nothing to draw; leave a frame or a part of one free")
        guidance_scale = settings.guidance_scale if guidance_scale is None else guidance_scale
        tokens = self.tokenizer.encode_over_time(prompts, num_frames // self.transformer.config.patch_size[0])
        empty = np.broadcast_to(self.tokenizer.encode([""]), tokens.shape)
        known = given.cells(self.autoencoder.config.factor)
        levels = diffusion.level_matrix(
            settings.steps if steps is None else steps, clips, num_frames, given=known.all(axis=(2, 3, 4)), start=start
        )
        generator = NoiseByClip(seed, stream, clips)
        noise = to_device(generator.standard_normal((clips, *shape), np.float32))
        clean = self.autoencoder.encode(to_device(given.video))
        # Guided, a clip goes through the network twice at a time: with its caption and without.
        predictor = Predictor(self.transformer, min(self.threads, clips * (1 if guidance_scale == 1 else 2)))
        denoise = diffusion.guided(predictor, to_device(tokens), to_device(empty), guidance_scale)
        states = diffusion.steps(
            diffusion.with_known(denoise, to_device(known), clean, curve, settings.prediction),
            curve.mix(clean, noise, to_device(levels[0])),  # at level 0 clean, at 1 noise: given frames and free ones
            levels,
            sampler=sampler or settings.sampler,
            curve=curve,
            prediction_kind=settings.prediction,
            generator=generator,
        )

        def walk():
            with predictor:
                yield from states

        return walk()

    def decode(self, latents):
        """Latents (B, T, h, w, c) to video, a float32 NumPy array (B, T, H, W, C) in [0, 1]."""
        return to_numpy(self.autoencoder.decode(latents))

    def fingerprint(self):
        """Eight hexadecimal digits that change with any weight: printed beside a picture, they say what made it."""
        digest = hashlib.sha256()
        for module in (self.transformer, self.autoencoder):
            for name, array in module.state_dict().items():
                digest.update(name.encode())
                digest.update(to_numpy(array).astype(np.float16).tobytes())
        return digest.hexdigest()[:8]

    def _blank(self, prompt, num_frames, size):
        """A Given of nothing, with a clip for each prompt."""
        clips = 1 if isinstance(prompt, str) else len(prompt)
        if not clips:
            raise InputError('there is no caption to draw; give at least one, "" for anything')
        num_frames = self.settings.num_frames if num_frames is None else num_frames
        size = self.settings.size if size is None else size
        self._check_request(clips, num_frames, size)
        return Given.nothing(clips, num_frames, size, self.autoencoder.config.image_channels)

    def _check_request(self, clips, num_frames, size):
        """(T, h, w, c) for clips of T frames of (height, width) pixels, or an InputError that names what works."""
        config, factor = self.transformer.config, self.autoencoder.config.factor
        sides = (config.patch_size[0], config.patch_size[1] * factor, config.patch_size[2] * factor)
        for name, length, side in zip(("num_frames", "height", "width"), (num_frames, *size), sides):
            if length < side or length % side:
                below, above = length // side * side, max(1, length // side + 1) * side
                nearest = f"{below} or {above}" if below > 0 else str(above)
                raise InputError(f"{name} {length} can't be drawn; it must be a multiple of {side}, such as {nearest}")
        require_memory(self, clips, num_frames, size)
        height, width = size
        return num_frames, height // factor, width // factor, config.latent_channels


class Predictor:
    """The transformer's prediction without gradients, the clips of a batch shared by `count` processes (see Workers).

    Use it in a `with` block. A single clip is for one process; the cores are left to its matrix products.
    """

    def __init__(self, transformer, count):
        self.transformer = transformer
        self.workers = Workers(self._predict, count, "draw fewer clips at a time")

    def __enter__(self):
        self.workers.__enter__()
        return self

    def __exit__(self, *error):
        self.workers.__exit__(*error)

    def __call__(self, latents, noise_level, tokens):
        """latents (B, T, h, w, C), noise_level (B, T), tokens (B, L) -> (B, T, h, w, C)."""
        shards = split_batch((latents, noise_level, tokens), self.workers.count)
        return array_module(latents).concatenate(self.workers(shards))

    def _predict(self, shard):
        with ag.no_grad():  # holds for one thread only
            return self.transformer(*shard).data


class NoiseByClip:
    """Stands in for a numpy Generator: each clip of a batch draws from a generator of its own.

    So what is drawn for a prompt doesn't depend on how many others are drawn with it, whatever the sampler.
    """

    def __init__(self, seed, stream, clips):
        self.generators = [seeds.generator(seed, *stream, clip) for clip in range(clips)]

    def standard_normal(self, shape, dtype):
        """Normal noise of shape (clips, ...)."""
        return np.stack([generator.standard_normal(shape[1:], dtype=dtype) for generator in self.generators])


def _check_notes(metadata):
    """Raise TypeError unless the notes, and what is looked up in them, are objects."""
    for name in ("notes", "notes.preset", "notes.preset.data", "notes.metrics", "notes.start"):
        part = functools.reduce(lambda found, key: found.get(key, {}), name.split("."), metadata)
        if not isinstance(part, dict):
            raise TypeError(f"{name} is no object but {part!r:.40}")


def _check_size(tensors, config, vocabulary, autoencoder_config):
    """Refuse a file that promises more weights than it holds, before memory is set aside for them."""
    layers = config.depth + config.text_depth + len(autoencoder_config.channels)
    if layers > len(tensors):  # each has a few; and counting the weights takes a step for each
        raise InputError(f"it promises {layers:,} layers but holds {len(tensors)} arrays")
    plainest = dataclasses.replace(config, patterns=("joint",))  # patterns have no weights
    promised = costs.clip_cost(plainest, (1, 1, 1), vocabulary=vocabulary).parameters
    promised += costs.autoencoder_cost(autoencoder_config, 1, (1, 1)).parameters
    held = sum(array.size for array in tensors.values())
    if promised > held:
        raise InputError(f"it promises {promised:,} weights but holds {held:,}")
