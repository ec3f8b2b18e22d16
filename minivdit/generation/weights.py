"""Files of weights: one holds everything that drawing needs.

Those are the transformer, the autoencoder, the words, and the settings of the process, so that a model can't be run
with settings other than those it was trained with. Anybody may have written such a file, so what it says of itself is
checked before memory is set aside for it.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np

from ..base import config
from ..base.backend import to_numpy
from ..base.errors import InputError, shorten
from ..base.files import load_tensors, require_shape, save_tensors
from ..diffusion import ProcessSettings, SamplingSettings
from ..models import AutoencoderConfig, Tokenizer, VideoDiT, VideoDiTConfig, costs, make_autoencoder

SHIPPED = Path(__file__).parent.parent / "weights"
DEFAULT = SHIPPED / "joint.safetensors"
FORMAT = 1
PARTS = ("transformer", "autoencoder")
# What a file must say of itself.
ABOUT = {"words": [str], "max_words": int, "transformer": dict, "autoencoder": dict, "settings": dict}
NOTHING = type(None)
NUMBER = (int, float, NOTHING)
DATA = {"digits": str, "num_digits": [int], "speeds": [str], "pixels_per_frame": [(int, float)], "colors": bool}
# What is looked up in its notes: how the model was trained. Each may be absent, and there may be more.
NOTES = {
    "seed": (int, NOTHING),
    "steps": (int, NOTHING),
    "minutes": NUMBER,
    "machine": (str, NOTHING),
    "date": (str, NOTHING),
    "metrics": {"digit_frames": NUMBER, "held_out_loss": NUMBER, "training_loss": NUMBER},
    "preset": {"data": DATA},
    "start": {"name": str, "weights": str, "notes": dict},
    "clips": {"learnt": int, "held_out": int},
    "captions": [str],  # some of its training
}
LARGEST = {"seed": 1e40, "steps": 1e12, "minutes": 1e9, "digit_frames": 1}


@dataclasses.dataclass(frozen=True)
class ClipSettings:
    """The clips that a model was trained on.

    size: (height, width) in pixels. digit_size: the side of a digit's box, 0 where there are no digits.
    """

    size: tuple[int, int]
    num_frames: int
    digit_size: int = 0

    def __post_init__(self):
        if len(self.size) != 2 or min(*self.size, self.num_frames) < 1 or self.digit_size < 0:
            raise InputError(
                "size (height and width) and num_frames must be at least 1, and digit_size at least 0, not "
                f"{self.size}, {self.num_frames} and {self.digit_size}"
            )


@dataclasses.dataclass(frozen=True)
class GenerationSettings(SamplingSettings, ProcessSettings, ClipSettings):
    """What a model was trained on, by which process, and how clips are drawn unless told otherwise."""

    def __post_init__(self):
        for part in GenerationSettings.__bases__[::-1]:
            part.__post_init__(self)


def shipped():
    """The names of the models that ship with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors") if path.stem != "judge")


def find(name=None):
    """The Path of a file of weights: given itself, by its run's folder, or by its name if it ships; else 'joint'.

    Raises InputError, naming those that ship, if there is none of these.
    """
    if not isinstance(name, str | os.PathLike | None):
        raise InputError(f"weights are the name of a file, of a folder, or such as 'small', not {shorten(name)}")
    path = Path(name) if name is not None else DEFAULT
    own = [path, path / "model.safetensors", SHIPPED / f"{path}.safetensors" if str(path) in shipped() else path]
    found = next((file for file in own if file.is_file()), None)
    if found is None:
        where = f"no weights {'in the folder' if path.is_dir() else 'at'} {shorten(path)}"
        raise InputError(f"{where}; give a file, the folder of a run, or one of {', '.join(shipped())}, which ship")
    return found


def write(path, model, half=True):
    """Write all weights of a TextToVideo to one safetensors file, in float16 unless `half` is False."""
    tensors = {
        f"{part}.{name}": to_numpy(array).astype(np.float16 if half else np.float32)
        for part in PARTS
        for name, array in getattr(model, part).state_dict().items()
    }
    metadata = {"format": FORMAT, "words": model.tokenizer.words, "max_words": model.tokenizer.length - 1}
    metadata |= {part: dataclasses.asdict(getattr(model, part).config) for part in PARTS}
    metadata |= {"settings": dataclasses.asdict(model.settings), "notes": model.notes}
    save_tensors(path, tensors, metadata)


def read(path):
    """What `write` wrote: a dict of transformer, autoencoder, tokenizer, settings and notes.

    Raises InputError when the file is missing, damaged, or of another kind.
    """
    tensors, metadata = load_tensors(path)
    try:
        return _model(tensors, metadata)
    except (KeyError, TypeError, ValueError) as error:
        told = shorten(error, 300)
        raise InputError(
            f"{path} holds no text-to-video model of this version ({type(error).__name__}: {told}); give the "
            "model.safetensors that 'minivdit train' leaves at its end (not a checkpoint), or train again"
        ) from error


def _model(tensors, metadata):
    if metadata["format"] != FORMAT:
        raise InputError(f"it has format {metadata['format']!r}, not {FORMAT}")
    _check_about(metadata)
    tokenizer = Tokenizer(metadata["words"], metadata["max_words"])
    kinds = {"transformer": VideoDiTConfig, "autoencoder": AutoencoderConfig, "settings": GenerationSettings}
    configs = {name: config.from_plain(kind, metadata[name]) for name, kind in kinds.items()}
    _check_parts(tensors, configs["transformer"], configs["autoencoder"], len(tokenizer))
    generator = np.random.default_rng(0)  # these first weights are all replaced
    found = {
        "transformer": VideoDiT(configs["transformer"], len(tokenizer), generator),
        "autoencoder": make_autoencoder(configs["autoencoder"], generator),
    }
    for part, module in found.items():
        own = {name: array for name, array in tensors.items() if name.startswith(f"{part}.")}
        module.load_state_dict({name.partition(".")[2]: array for name, array in own.items()})
    return found | {"tokenizer": tokenizer, "settings": configs["settings"], "notes": metadata.get("notes")}


def _check_about(metadata):
    """Raise ValueError unless the metadata of a file of weights have the shape that the rest of the package expects."""
    require_shape(metadata, ABOUT)
    notes, place = metadata.get("notes", {}), "'notes'"
    while True:
        require_shape(notes, _present(NOTES, notes), place)
        numbers = {**notes, "digit_frames": notes.get("metrics", {}).get("digit_frames")}
        for name, most in LARGEST.items():
            if numbers.get(name) is not None and not 0 <= numbers[name] <= most:
                raise ValueError(f"{name!r} in {place} is {numbers[name]!r:.40}, not from 0 to {most:,}")
        if "start" not in notes:
            return
        notes, place = notes["start"].get("notes", {}), "the 'notes' of what it went on from"


def _present(shapes, value):
    """Of the shapes that `require_shape` takes, those of what is there."""
    if not isinstance(shapes, dict):
        return shapes
    value = value if isinstance(value, dict) else {}
    return {name: _present(shape, value[name]) for name, shape in shapes.items() if name in value}


def _check_parts(tensors, transformer, autoencoder, vocabulary):
    """Raise InputError unless the two configurations fit each other and the file holds all weights that they promise.

    vocabulary: how many words the transformer knows.
    """
    ours, theirs = transformer.latent_channels, autoencoder.latent_channels
    if ours != theirs:
        raise InputError(f"its transformer has {ours} latent channels and its autoencoder {theirs}")
    if autoencoder.image_channels not in (1, 3):
        raise InputError(f"its pictures have {autoencoder.image_channels} channels, neither 1 nor 3")
    layers = transformer.depth + transformer.text_depth + len(autoencoder.channels)
    if layers > len(tensors):  # each has a few; and counting the weights takes a step for each
        raise InputError(f"it promises {layers:,} layers but holds {len(tensors)} arrays")
    plainest = dataclasses.replace(transformer, patterns=("joint",))  # patterns have no weights
    promised = costs.clip_cost(plainest, (1, 1, 1), vocabulary=vocabulary).parameters
    promised += costs.autoencoder_cost(autoencoder, 1, (1, 1)).parameters
    held = sum(array.size for array in tensors.values())
    if promised > held:
        raise InputError(f"it promises {promised:,} weights but holds {held:,}")
