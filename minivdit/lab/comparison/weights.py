"""Weights that are trained already, and the checks that they differ in nothing but their attention pattern."""

from ...base import config
from ...base.errors import InputError
from ...nn import fingerprint
from ..explorer import load
from ..explorer.collect import pattern_name
from ..pipeline.train import trained_with


def load_alike(weights=None):
    """{label: TextToVideo} of names or files of weights; the label is the pattern, numbered where it comes again.

    weights: those that ship with a pattern as their name unless given. InputError unless there are two or more, with
    the same data, network, noise levels and autoencoder. Steps and batches aren't checked.
    """
    models, labelled = load(weights), {}
    if len(models) < 2:
        raise InputError("a comparison needs two weights or more; give --weights again for each")
    for model in models:
        name = pattern_name(model.transformer.config)
        again = sum(label.split()[0] == name for label in labelled)
        labelled[f"{name} {again + 1}" if again else name] = model
    first, *others = models
    for other in others:
        found = config.differences(_fixed(first), _fixed(other))
        if found:
            raise InputError(
                f"{other.name} can't be compared with {first.name}: {'; '.join(found)}; give weights that differ in "
                "their pattern alone"
            )
    return labelled


def _fixed(model):
    """What must be the same for all."""
    preset = trained_with(model, model.name)
    network = config.plain(preset.transformer) | {"patterns": None}
    parts = {"transformer": network, "autoencoder": model.autoencoder.config, "settings": model.settings}
    same = {
        "data": preset.data,
        "diffusion": preset.diffusion,
        "weights of the autoencoder": fingerprint(model.autoencoder),
    }
    return config.plain({**parts, **same})
