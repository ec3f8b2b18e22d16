"""From weights and a caption to an Explorer: the page as a file, in a notebook, or as a still picture."""

import dataclasses
from html import escape

from ...base import values
from ...base.errors import InputError
from ...base.files import write_file
from ...generation import TextToVideo
from ...generation.weights import shipped
from ..display.film import Picture
from . import page
from .collect import Recording, check_room, collect, pattern_name, restricted
from .picture import draw

HEIGHT = 900  # of the page inside a notebook, in pixels
ORDER = ("joint", "framewise", "perframe", "window", "skip")


@dataclasses.dataclass(frozen=True)
class Explorer:
    """Recordings of one caption's clips. As the last line of a notebook's cell it shows the page.

    Where notebooks are shown without scripts, as on GitHub, the page is missing. `picture()` as the last line of a cell
    gives a still picture, which is shown everywhere.
    """

    recordings: tuple[Recording, ...]
    prompt: str
    seed: int

    def html(self):
        """The whole page, a str."""
        return page.html(self.recordings, self.prompt, self.seed)

    def save(self, path):
        """Write the page to a file; returns its size in bytes."""
        content = self.html().encode()
        write_file(path, content)
        return len(content)

    def picture(self, patch=None, step=None):
        """A still picture of the means of all blocks and heads, a Picture.

        patch: (time, row, column) in patches, from 0; one with much ink unless given. step: its index; the middle one
        of those that were kept unless given.
        """
        return Picture(draw(self.recordings, self.prompt, patch, step))

    def _repr_html_(self):
        inside = escape(self.html())
        return (
            f'<iframe srcdoc="{inside}" title="attention explorer" width="100%" height="{HEIGHT}" '
            'style="border: 0; min-width: 20rem"></iframe>'
        )


def explore(prompt, weights=None, restrict=(), moments=4, seed=0, **drawing):
    """Draw a caption's clip with each of some weights, record their attention, and return an Explorer.

    weights: files, names of weights that ship, or TextToVideo models; by default those that ship with one of the
    PATTERNS as their name. Each is shown with its own pattern. restrict: names of PATTERNS in which the first weights
    are shown besides, for which they weren't trained. moments: how many denoising steps to keep. drawing: steps,
    guidance_scale, sampler, num_frames, size; see TextToVideo.denoise. Raises InputError for unknown weights, words and
    patterns, and for weights whose clips have different patches.
    """
    moments, seed = values.whole("moments", moments, 1), values.whole("seed", seed)
    models = load(weights)
    _check_alike(models)
    drawing["steps"] = drawing.get("steps") or models[0].settings.steps
    shown = [(model, describe(model)) for model in models]
    own = pattern_name(models[0].transformer.config)
    for name in restrict:
        if name == own:
            raise InputError(
                f"the weights {models[0].name} have the pattern {own} anyway; restrict them to another one"
            )
        words = f"Not trained so: the weights {models[0].name} ({own}), restricted. "
        words += f"What {name} permits, not what it learns."
        shown.append((restricted(models[0], name), words))
    check_room([model for model, _ in shown], drawing.get("num_frames"), drawing.get("size"))
    recordings = [
        collect(model, prompt, moments, seed, weights=words, part=(place, len(shown)), **drawing)
        for place, (model, words) in enumerate(shown)
    ]
    return Explorer(tuple(with_own_names(recordings)), prompt, seed)


def load(weights=None):
    """The TextToVideo models of `explore`'s weights."""
    weights = [name for name in ORDER if name in shipped()] if weights is None else weights
    return [model if isinstance(model, TextToVideo) else TextToVideo.load(model) for model in weights]


def describe(model):
    """Which weights these are and how they were trained, as far as they know it."""
    notes, told = model.notes, [f"Weights {model.name} ({model.fingerprint()})"]
    if notes.get("steps") is not None:
        counts = dict.fromkeys(model.learnt.get("num_digits", ()))  # each once
        digits = f" on clips of {' or '.join(map(str, counts))} digits" if counts else ""
        told.append(f"trained with this pattern for {notes['steps']:,} steps{digits}")
    return ", ".join(told) + "."


def _check_alike(models):
    """One click must mean the same patch for all, and one choice the same step, block and head."""
    first, *others = models
    for other in others:
        for name, of in {
            "frames": lambda model: model.settings.num_frames,
            "pixels": lambda model: model.settings.size,
            "the patches": lambda model: model.transformer.config.patch_size,
            "channels of a pixel": lambda model: model.autoencoder.config.image_channels,
            "pixels a latent": lambda model: model.autoencoder.config.factor,
            "blocks": lambda model: model.transformer.config.depth,
            "heads": lambda model: model.transformer.config.heads,
        }.items():
            if of(first) != of(other):
                raise InputError(
                    f"{first.name} and {other.name} can't be shown side by side: {name} are {of(first)} in one and "
                    f"{of(other)} in the other; give weights trained with the same settings"
                )


def with_own_names(recordings):
    """The recordings with names that differ: 'joint', 'joint 2'."""
    names = []
    for recording in recordings:
        names.append(recording.name)
        count = names.count(recording.name)
        yield recording if count == 1 else dataclasses.replace(recording, name=f"{recording.name} {count}")
