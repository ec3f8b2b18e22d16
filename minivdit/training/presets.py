"""Presets: everything that a training depends on, in one frozen dataclass, changeable by name.

preset = override(get("small"), ["transformer.width=192", "training.steps=8000"])
"""

import dataclasses
import difflib
import math
import operator
import typing

from ..base import config
from ..base.errors import InputError, did_you_mean, shorten
from ..data import (
    PIXELS_PER_FRAME,
    SPEEDS,
    USUAL_SPEEDS,
    VERY_FAST,
    CaptionedClips,
    ClipSettings,
    MixedClips,
    Shape,
    check_source,
    digit_source,
)
from ..diffusion import SamplingSettings
from ..models import AutoencoderConfig, VideoDiTConfig
from ..models.patches import clip_grid
from .settings import TrainingSettings
from .tasks import AutoencoderLoss, DiffusionSettings


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """The clips: see data.CaptionedClips. digits: 'auto' (MNIST if it is there), 'mnist' or 'strokes'.

    colors: digits have colours, for an autoencoder with image_channels=3 (see data.CaptionedClips).
    structured is the share of clips whose captions are lists of fields (see data.CaptionedClips).
    For the last stage, finetuning: turning is the share of one-digit clips that turn on the way, and turns how often
    (see data.CaptionedClips); shapes are others than num_frames and size, each with its share of the batches, such as
    ('8x64x64:0.1', '16x48x96:0.1'), or ('8x32x32@4:0.2',) for clips of every 4th frame (see data.MixedClips).
    """

    digits: str = "auto"
    size: tuple[int, int] = (32, 32)
    num_frames: int = 8
    digit_size: int = 16
    num_digits: tuple[int, ...] = (1,)
    speeds: tuple[str, ...] = USUAL_SPEEDS
    pixels_per_frame: tuple[float, ...] = PIXELS_PER_FRAME
    turning: float = 0.0
    turns: tuple[int, ...] = (1,)
    shapes: tuple[str, ...] = ()
    structured: float = 0.0
    colors: bool = False

    def __post_init__(self):
        check_source(self.digits)
        self._clips_of(None, turning=self.turning)  # says what can't be made

    def clips(self, split="train", directory=None, **options):
        """CaptionedClips of the main shape, from the digits of a split, in which no digit turns: for measuring.

        Further options go to CaptionedClips.
        """
        return self._clips_of(digit_source(self.digits, split, directory), **options)

    def _clips_of(self, source, **options):
        own = {name: value for name, value in vars(self).items() if name not in ("digits", "shapes", "turning")}
        return CaptionedClips(source, **{**own, **options})

    def mixed_clips(self, split="train", directory=None, **options):
        """Clips of all shapes, some of them turning: MixedClips, or CaptionedClips where there is only the main one.

        Further options go to CaptionedClips.
        """
        options["turning"] = self.turning
        main = self.clips(split, directory, **options)
        others = [
            (share, self.clips(split, directory, num_frames=frames, size=(height, width), frame_step=step, **options))
            for frames, height, width, share, step in map(Shape.read, self.shapes)
        ]
        return MixedClips(main, others) if others else main


_RATES = {"batch": 16, "shards": 2, "matrix_learning_rate": 0.012, "warmup": 100}
# The stages that a preset may do without: 0 steps.
_READING = TrainingSettings(steps=0, batch=64, shards=2, matrix_learning_rate=0.0)
_FINETUNING = TrainingSettings(steps=0, **{**_RATES, "learning_rate": 5e-4, "matrix_learning_rate": 0.006})


@dataclasses.dataclass(frozen=True)
class Preset:
    """A whole training: of the autoencoder, in batches of frames; of the text encoder, in batches of captions; of the
    transformer, in batches of clips; and the transformer's further training on clips of other kinds, the finetuning.

    text_training, finetuning: with 0 steps there is no such stage; words are then learnt along with the clips.
    """

    name: str
    summary: str
    data: DataSettings
    autoencoder: AutoencoderConfig
    autoencoder_training: TrainingSettings
    transformer: VideoDiTConfig
    training: TrainingSettings
    text_training: TrainingSettings = _READING
    finetuning: TrainingSettings = _FINETUNING
    autoencoder_loss: AutoencoderLoss = dataclasses.field(default_factory=AutoencoderLoss)
    diffusion: DiffusionSettings = dataclasses.field(default_factory=DiffusionSettings)
    sampling: SamplingSettings = dataclasses.field(default_factory=SamplingSettings)

    def __post_init__(self):
        for name in ("autoencoder_training", "training"):
            if not getattr(self, name).steps:
                raise InputError(f"{name}.steps must be above 0, not 0")
        ours, theirs = self.transformer.latent_channels, self.autoencoder.latent_channels
        if ours != theirs:
            raise InputError(
                f"transformer.latent_channels is {ours} but autoencoder.latent_channels is {theirs}; set both alike"
            )
        self._check_shape("data.num_frames and data.size", self.data.num_frames, *self.data.size)
        self._check_data()

    def _check_data(self):
        """Raise InputError unless the clips fit the networks and the stages."""
        channels, needed = self.autoencoder.image_channels, 3 if self.data.colors else 1
        if channels != needed:
            raise InputError(
                f"autoencoder.image_channels must be {needed} for digits {'in colour' if needed == 3 else 'in grey'} "
                f"(data.colors), not {channels}"
            )
        for shape in self.data.shapes:
            self._check_shape("data.shapes", *Shape.read(shape)[:3])
        if (self.data.shapes or self.data.turning) and not self.finetuning.steps:
            raise InputError("data.shapes and data.turning are for the last stage; set finetuning.steps above 0")
        if self.data.turns != DataSettings.turns and not self.data.turning:
            raise InputError("data.turns says how often digits turn that do; set data.turning above 0")

    def _check_shape(self, setting, num_frames, *size):
        """Raise InputError unless the patches divide a clip of this shape."""
        factor, patch = self.autoencoder.factor, self.transformer.patch_size
        cells = f"a patch has {' x '.join(map(str, patch))} latent cells, of {factor} x {factor} pixels"
        clip_grid(num_frames, size, self.autoencoder, patch, f": {cells}; change {setting}")


@dataclasses.dataclass(frozen=True)
class OwnPreset(Preset):
    """A training on a folder of clips of one's own, in which there are no digits: no stage and no setting is for them.

    data: how the folder's clips are seen; the folder itself is given where the training begins.
    """

    data: ClipSettings

    def _check_data(self):
        ours, theirs = self.autoencoder.image_channels, self.data.channels
        if ours != theirs:
            raise InputError(f"autoencoder.image_channels is {ours} but data.channels is {theirs}; set both alike")
        for name in ("text_training", "finetuning"):
            if getattr(self, name).steps:
                raise InputError(f"{name} is for clips of digits; leave {name}.steps at 0 for clips of your own")
        for name in ("control", "velocities"):
            if getattr(self.transformer, name):
                raise InputError(f"transformer.{name} needs to know how digits move; leave it out for your own clips")


# What the presets share; what was tried for it is in examples/results. Shift trains more at heavy noise, where motion
# and identity are decided: many noisy frames together show what one alone doesn't.
_PROCESS = DiffusionSettings(shift=3.0, shared=0.65, given=0.2, independent=0.15)
_LOSS = AutoencoderLoss(kl=3e-5)
# A step takes about as long with any of them: 0.44 to 0.56 s on the 2 cores where the main shape takes 0.48.
_OTHER_SHAPES = (
    "1x64x64:0.04",
    "8x64x64:0.08",
    "24x64x64:0.08",
    "16x64x96:0.08",
    "16x96x64:0.08",
    "16x80x80:0.06",
)


def _small(name, summary, autoencoder_steps, steps, ema_decay=0.999, **data):
    """32x32, 8 latent frames, one digit: 128 tokens."""
    return Preset(
        name=name,
        summary=summary,
        data=DataSettings(**data),
        autoencoder=AutoencoderConfig(latent_channels=4, channels=(32, 64)),
        autoencoder_training=TrainingSettings(
            steps=autoencoder_steps, batch=64, learning_rate=2e-3, ema_decay=ema_decay
        ),
        text_training=dataclasses.replace(_READING, steps=1000),
        transformer=VideoDiTConfig(latent_channels=4, positions="both"),
        training=TrainingSettings(steps=steps, ema_decay=ema_decay, **_RATES),
        autoencoder_loss=_LOSS,
        diffusion=_PROCESS,
    )


def _own(name, summary):
    """`small` for clips of any kind: in colour, with as many latent numbers again, and nothing that is for digits."""
    few = _small(name, summary, 2000, 7000)
    own = {name: value for name, value in vars(few).items() if name not in ("data", "text_training")}
    own["autoencoder"] = dataclasses.replace(few.autoencoder, image_channels=3, latent_channels=8)
    own["transformer"] = dataclasses.replace(few.transformer, latent_channels=8)
    return OwnPreset(data=ClipSettings(), **own)


def _colour(name, summary):
    """`small` in colour, with one or two digits. A narrower network makes room for more steps."""
    few = _small(name, summary, 2000, 12_000)
    return dataclasses.replace(
        few,
        data=DataSettings(num_digits=(1, 2), colors=True),
        autoencoder=dataclasses.replace(few.autoencoder, image_channels=3, latent_channels=8),
        text_training=dataclasses.replace(_READING, steps=2500),
        transformer=dataclasses.replace(few.transformer, latent_channels=8, width=96),
    )


def _causal(name, summary):
    """`small` with a causal autoencoder: the same clips filmed at four times the rate, 29 frames in 8 latent frames."""
    few = _small(name, summary, 1500, 7000)
    return dataclasses.replace(
        few,
        data=DataSettings(num_frames=29, pixels_per_frame=tuple(speed / 4 for speed in PIXELS_PER_FRAME)),
        autoencoder=AutoencoderConfig(latent_channels=8, channels=(32, 64), time_factor=4),
        autoencoder_training=dataclasses.replace(few.autoencoder_training, batch=4),
        transformer=dataclasses.replace(few.transformer, latent_channels=8),
    )


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="tiny",
            summary="seconds: shows that everything runs, learns next to nothing",
            data=DataSettings(digits="strokes", size=(16, 16), num_frames=4, digit_size=8),
            autoencoder=AutoencoderConfig(latent_channels=4, channels=(16, 16)),
            autoencoder_training=TrainingSettings(steps=40, batch=32, learning_rate=1e-2, warmup=5),
            text_training=dataclasses.replace(_READING, steps=5, batch=8, warmup=2),
            transformer=VideoDiTConfig(latent_channels=4, width=32, depth=2, heads=2, text_depth=1),
            training=TrainingSettings(steps=20, batch=8, warmup=5),
            sampling=SamplingSettings(steps=4),
        ),
        _small("quick", "32x32, 8 frames, one digit: a first look in under 10 minutes on 2 cores", 900, 1400, 0.995),
        _small("small", "32x32, 8 frames, one digit: legible after 35 minutes on 2 cores", 900, 9000),
        _colour("colour", "32x32, 8 frames, one or two digits in six colours or white"),
        _causal(
            "causal", "32x32, 29 frames, one digit: as many tokens as small's, and four times the frames per second"
        ),
        Preset(
            name="full",
            summary="64x64, 16 frames (at the end other shapes too), one or two digits: 90 minutes on 2 cores",
            data=DataSettings(
                size=(64, 64),
                num_frames=16,
                digit_size=28,
                num_digits=(1, 2),
                speeds=SPEEDS,
                pixels_per_frame=(*PIXELS_PER_FRAME, VERY_FAST),
                turning=0.3,
                shapes=_OTHER_SHAPES,
            ),
            autoencoder=AutoencoderConfig(latent_channels=12, channels=(16, 32, 64)),
            autoencoder_training=TrainingSettings(steps=2000, batch=32, shards=2, learning_rate=2e-3),
            text_training=dataclasses.replace(_READING, steps=2500),
            transformer=VideoDiTConfig(latent_channels=12, positions="both"),
            training=TrainingSettings(steps=8_000, **_RATES),
            finetuning=dataclasses.replace(_FINETUNING, steps=2_000),
            autoencoder_loss=_LOSS,
            diffusion=dataclasses.replace(_PROCESS, shared=0.75, independent=0.05),  # much else is to be learnt
        ),
        _own("own", "32x32, 8 frames, in colour, of a folder of your own clips (--clips FOLDER)"),
    )
}


def get(name):
    """The preset of this name; InputError that lists them if there is none."""
    if name not in PRESETS:
        near = did_you_mean(name, PRESETS) or f"; choose {', '.join(PRESETS)}"
        raise InputError(f"{shorten(name)!r} is not a preset{near}")
    return PRESETS[name]


def from_plain(values):
    """The Preset of a dict that `config.plain` made of one, such as weights carry; what is absent is as by default.

    Raises KeyError, TypeError or InputError for what no preset has.
    """
    if isinstance(values, dict):  # weights that ship say widening for finetuning
        values = {"finetuning" if name == "widening" else name: value for name, value in values.items()}
    own = isinstance(values, dict) and isinstance(values.get("data"), dict) and "held_out" in values["data"]
    return config.from_plain(OwnPreset if own else Preset, values)


def override(preset, assignments):
    """A preset with some fields changed: assignments such as 'transformer.width=128' or 'data.size=64,64'.

    Values are read by the type of the field: numbers, true or false, words, and lists with commas.
    Raises InputError for an unknown name (naming the nearest), a value of another type, or a combination that
    can't work.
    """
    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        known = fields(preset)
        if not equals:
            raise InputError(f"{shorten(assignment)!r} changes nothing; write name=value, such as training.steps=2000")
        if name not in known:
            near = difflib.get_close_matches(name[:60], known, n=3, cutoff=0.5)
            near = near or [full for full in known if full.endswith(f".{name.rpartition('.')[2]}")]
            near = near or difflib.get_close_matches(name[:60], known, n=3, cutoff=0)
            raise InputError(
                f"{shorten(name)!r} is not a setting; nearest: {', '.join(near)}; "
                f"'minivdit train {preset.name} --show' shows all"
            )
        if name in values:
            raise InputError(f"{name} is set twice; set it once")
        values[name] = _read(name, text.strip(), known[name])
    return _replace(preset, values)


def assignments(preset, usual):
    """What `override` needs to make a preset from another, usually that of its name: a list of 'name=value'.

    Settings that no override reaches (name, summary) are left out.
    """
    found = []
    for name in fields(preset):
        value, other = map(operator.attrgetter(name), (preset, usual))
        if value != other and name not in ("name", "summary"):
            many = isinstance(value, (tuple, list))
            found.append(f"{name}={','.join(map(str, value)) if many else str(value)}")
    return found


def fields(config, prefix=""):
    """All settings of a nested dataclass: dict of dotted name -> type."""
    hints, found = typing.get_type_hints(type(config)), {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found.update(fields(value, f"{prefix}{field.name}."))
        else:
            found[prefix + field.name] = hints[field.name]
    return found


def _replace(config, values):
    """The nested dataclass with values for some dotted names. All at once, so that related fields can change."""
    direct = {name: value for name, value in values.items() if "." not in name}
    for child in {name.partition(".")[0] for name in values if "." in name}:
        own = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(child + ".")}
        direct[child] = _replace(getattr(config, child), own)
    return dataclasses.replace(config, **direct)


_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


def _read(name, text, kind):
    """Turn text into a value of a type: int, float, bool, str, or a tuple of one of these."""
    if typing.get_origin(kind) is tuple:
        item, *rest = typing.get_args(kind)
        values = tuple(_read(name, part.strip(), item) for part in text.split(",") if text)
        if rest and rest[0] is not Ellipsis and len(values) != 1 + len(rest):
            raise InputError(f"{name} takes {1 + len(rest)} values with commas between them, not {shorten(text)!r}")
        return values
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        value = kind(text)
        if text and (kind is not float or math.isfinite(value)):
            return value
    except (ValueError, KeyError):
        pass
    raise InputError(f"{name} takes {_EXPECTED[kind]}, not {shorten(text)!r}")
