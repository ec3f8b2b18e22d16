"""What a file of weights says of itself, checked before anything is made of it: anybody may have written it."""

import dataclasses

from ..base.errors import InputError
from ..base.files import require_shape
from ..models import costs

ABOUT = {"words": [str], "max_words": int, "transformer": dict, "autoencoder": dict, "settings": dict}
NOTHING = type(None)
NUMBER = (int, float, NOTHING)
# What is looked up in the notes: how the model was trained. Each may be absent, and there may be more.
NOTES = {
    "seed": (int, NOTHING),
    "steps": (int, NOTHING),
    "minutes": NUMBER,
    "machine": (str, NOTHING),
    "date": (str, NOTHING),
    "metrics": {"digit_frames": NUMBER},
    "preset": {"data": {"digits": str, "num_digits": [int], "pixels_per_frame": [(int, float)]}},
    "start": {"name": str, "weights": str, "notes": dict},
}
LARGEST = {"seed": 1e40, "steps": 1e12, "minutes": 1e9, "digit_frames": 1}


def check_about(metadata):
    """Raise ValueError unless the metadata of a file of weights have the shape that the rest of the package expects."""
    require_shape(metadata, ABOUT)
    notes, place = metadata.get("notes", {}), "'notes'"
    while True:
        _check_notes(notes, NOTES, place)
        if "start" not in notes:
            return
        notes, place = notes["start"].get("notes", {}), "the 'notes' of what it went on from"


def _check_notes(notes, shapes, place):
    require_shape(notes, {}, place)
    for name in shapes.keys() & notes.keys():
        value, where = notes[name], f"{name!r} in {place}"
        if isinstance(shapes[name], dict):
            _check_notes(value, shapes[name], where)
            continue
        require_shape(value, shapes[name], where)
        if name in LARGEST and value is not None and not 0 <= value <= LARGEST[name]:
            raise ValueError(f"{where} is {value!r:.40}, not from 0 to {LARGEST[name]:,}")


def check_parts(tensors, config, autoencoder_config, vocabulary):
    """Raise InputError unless the parts fit each other and the file holds all the weights that it promises.

    Before memory is set aside for them. vocabulary: how many words the transformer knows.
    """
    ours, theirs = config.latent_channels, autoencoder_config.latent_channels
    if ours != theirs:
        raise InputError(f"its transformer has {ours} latent channels and its autoencoder {theirs}")
    if autoencoder_config.image_channels not in (1, 3):
        raise InputError(f"its pictures have {autoencoder_config.image_channels} channels, neither 1 nor 3")
    layers = config.depth + config.text_depth + len(autoencoder_config.channels)
    if layers > len(tensors):  # each has a few; and counting the weights takes a step for each
        raise InputError(f"it promises {layers:,} layers but holds {len(tensors)} arrays")
    plainest = dataclasses.replace(config, patterns=("joint",))  # patterns have no weights
    promised = costs.clip_cost(plainest, (1, 1, 1), vocabulary=vocabulary).parameters
    promised += costs.autoencoder_cost(autoencoder_config, 1, (1, 1)).parameters
    held = sum(array.size for array in tensors.values())
    if promised > held:
        raise InputError(f"it promises {promised:,} weights but holds {held:,}")
