"""Weights that are trained already, and the checks that they differ in nothing but their attention pattern."""

import dataclasses
import re
from typing import NamedTuple

from ...base import config
from ...base.errors import InputError, shorten
from ...generation import TextToVideo
from ...models.schemes import SCHEMES
from ...nn import fingerprint
from ...training.presets import Preset
from ..pipeline.train import trained_with


class Weights(NamedTuple):
    """A file of weights: its label, which of the files of this label it is, and what it holds."""

    name: str
    seed: int
    path: str
    model: TextToVideo
    preset: Preset


def load_alike(files):
    """The Weights of a list of (name, path). InputError unless they can be compared: see run.compare_weights."""
    found = []
    for name, path in files:
        if not re.fullmatch(r"\w[\w.-]{0,63}", name):  # it becomes a part of a file's name
            raise InputError(
                f"{shorten(name)} can't be a name in --weights NAME=FILE; give letters, digits, '.', '-' and '_' only"
            )
        model = TextToVideo.load(path)
        seed = sum(other.name == name for other in found)
        found.append(Weights(name, seed, path, model, trained_with(model, path)))
    for weights in found:
        _require_pattern(weights)
        _require_alike(found[0], weights)
    _require_shared_autoencoders(found)
    if len({weights.name for weights in found}) < 2:
        raise InputError("a comparison needs weights of two names or more; give --weights NAME=FILE for each")
    return found


def _require_pattern(weights):
    """Raise InputError where weights aren't of the pattern that they are called."""
    transformer = weights.preset.transformer
    asked = dataclasses.replace(transformer, patterns=SCHEMES.get(weights.name, transformer.patterns))
    if transformer.block_patterns() != asked.block_patterns():
        raise InputError(
            f"{weights.path} has the pattern {', '.join(transformer.patterns)}, which isn't {weights.name} "
            f"({', '.join(SCHEMES[weights.name])}); give it another name"
        )


def _require_alike(first, other):
    """Raise InputError where weights differ from the first in more than the pattern."""

    def fixed(weights):
        preset, model = weights.preset, weights.model
        network = config.plain(preset.transformer) | {"patterns": None}
        parts = {"autoencoder": model.autoencoder.config, "transformer": network}
        return config.plain({"data": preset.data, **parts, "diffusion": preset.diffusion, "settings": model.settings})

    found = config.differences(fixed(first), fixed(other))
    if found:
        raise InputError(
            f"{other.path} can't be compared with {first.path}: {'; '.join(found)}; give weights that differ in their "
            "pattern alone"
        )


def _require_shared_autoencoders(found):
    """Raise InputError unless the weights of one seed, in the order given, share their autoencoder."""
    first = {}  # seed: (path, fingerprint)
    for weights in found:
        own = fingerprint(weights.model.autoencoder)
        other, theirs = first.setdefault(weights.seed, (weights.path, own))
        if own != theirs:
            raise InputError(
                f"{weights.path} has another autoencoder ({own}) than {other} ({theirs}), so more than the pattern "
                "differs; give weights trained with one autoencoder, and those of several seeds in the same order for "
                "each name"
            )
