"""Recipes: what the systems of the article added, each as settings of the small preset `quick`.

A recipe is the preset with all ideas of its system; `preset(name, ideas)` has some of them only, so that each can be
measured alone. Who published what, and what nobody but the makers knows, is in chapter 15.
"""

import dataclasses

from ..base.errors import InputError, did_you_mean, shorten
from . import presets

BASE = "quick"
_CAUSAL = (
    "autoencoder.time_factor=4",
    "autoencoder.latent_channels=8",
    "autoencoder_training.batch=4",
    "transformer.latent_channels=8",
    "data.num_frames=29",
    "data.pixels_per_frame=0.4,0.7,1.05",
)
_GIVEN = ("diffusion.shared=0.4", "diffusion.given=0.5", "diffusion.independent=0.1")
_NATIVE = ("data.shapes=16x32x32:0.1,8x32x48:0.15,8x48x32:0.15", "finetuning.steps=400")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One system. ideas: what it added -> settings, as presets.override takes them. draws: a command that shows it."""

    system: str
    ideas: dict
    draws: str = 'minivdit sample "a 3 moving right"'


RECIPES = {
    "sora": Recipe("Sora", {"native sizes and lengths": _NATIVE}, 'minivdit sample "a 3 moving right" --size 32x48'),
    "luma": Recipe("Luma Dream Machine", {"start and end frames": _GIVEN}, 'minivdit loop "a 3 moving right"'),
    "kling": Recipe(
        "Kling",
        {
            "a causal autoencoder in space and time": _CAUSAL,
            "joint attention": ("transformer.patterns=joint",),
            "control of motion": ("transformer.control=true",),
            "the camera, and a motion brush": ("transformer.velocities=true",),
        },
        'minivdit sample "a 3 moving right, the camera pans left"',
    ),
    "gen3": Recipe(
        "Runway Gen-3",
        {
            "captions in time": ("data.turning=0.6", "data.turns=1,2", "finetuning.steps=400"),
            "the camera, and a motion brush": ("transformer.velocities=true",),
        },
        'minivdit sample "a 3 moving right" --brush "6,4 26,24" --move 1.4,0',
    ),
    "open-sora": Recipe(
        "Open-Sora",
        {
            "cheaper attention first": ("diffusion.early_patterns=frame+time:0.5,window:0.25",),
            "native sizes and lengths": _NATIVE,
            "a schedule that shifts with the length": (*_NATIVE, "diffusion.shift_tokens=128"),
        },
    ),
    "open-sora-plan": Recipe(
        "Open-Sora-Plan",
        {"skips": ("transformer.patterns=skip",), "a causal autoencoder in space and time": _CAUSAL},
    ),
    "mira": Recipe(
        "Mira",
        {
            "longer clips": ("data.num_frames=16", "training.steps=1000"),
            "structured captions": ("data.structured=0.5", "data.turning=0.3", "finetuning.steps=250"),
        },
        'minivdit sample "digit: 3, start: upper left, direction: right, speed: fast" --frames 64 --overlap 8',
    ),
    "cogvideo": Recipe(
        "CogVideo",
        {
            "frames between key frames": _GIVEN,
            "the frame rate as a condition": ("data.shapes=8x32x32@2:0.3,8x32x32@4:0.3", "finetuning.steps=500"),
        },
        'minivdit sample "a 3 moving right" --recursive 2',
    ),
    "cogvideox": Recipe(
        "CogVideoX",
        {
            "a causal autoencoder in space and time": _CAUSAL,
            "words and patches in one sequence": ("transformer.text=sequence",),
            "modulations of their own for words": ("transformer.text=sequence", "transformer.expert_modulation=true"),
            "stratified noise levels": ("diffusion.stratified=true",),
            "a schedule that ends in noise alone": ("diffusion.curve=zero_terminal_snr", "diffusion.shift=1"),
        },
    ),
}


def preset(name, ideas=None):
    """The Preset of a recipe, with all of its ideas or with some. InputError for names that it hasn't."""
    recipe = RECIPES[name]
    ideas = list(recipe.ideas) if ideas is None else list(ideas)
    for idea in ideas:
        if idea not in recipe.ideas:
            raise InputError(f"{shorten(idea)!r} is no idea of {name}; choose among {', '.join(recipe.ideas)}")
    settings = dict.fromkeys(setting for idea in ideas for setting in recipe.ideas[idea])
    summary = f"the ideas of {recipe.system} in small: {', '.join(ideas) or 'none'}"
    made = presets.override(presets.get(BASE), list(settings))
    return dataclasses.replace(made, name=name, summary=summary)


def get(name):
    """The preset or the recipe of this name; InputError, with the nearest, if there is none."""
    if name in RECIPES:
        return preset(name)
    if name not in presets.PRESETS and (near := did_you_mean(name, RECIPES)):
        raise InputError(f"{shorten(name)!r} is neither a preset nor a recipe{near}")
    return presets.get(name)
