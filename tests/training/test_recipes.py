"""The recipes: each idea changes something, alone and with others; each trains, draws and has a card."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.generation import TextToVideo
from minivdit.lab.explorer.collect import collect
from minivdit.lab.pipeline.card import model_card
from minivdit.lab.pipeline.forecast import likely_minutes
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets, recipes

QUICKLY = (
    *("data.digits=strokes", "training.steps=2", "training.batch=4", "text_training.steps=2"),
    *("autoencoder_training.steps=2", "autoencoder_training.batch=2", "sampling.steps=2", "training.warmup=1"),
)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_each_idea_changes_settings_of_the_base(name):
    base, recipe = presets.get(recipes.BASE), recipes.RECIPES[name]
    assert recipes.preset(name, []).transformer == base.transformer
    for idea, settings in recipe.ideas.items():
        alone = recipes.preset(name, [idea])
        for setting in settings:
            assert presets.override(alone, [setting]) == alone
        if idea != "joint attention":  # which the base has, too
            assert (alone.data, alone.transformer, alone.diffusion) != (base.data, base.transformer, base.diffusion)
    assert recipes.get(name) == recipes.preset(name, recipe.ideas)


def test_a_preset_is_found_by_its_name_and_what_is_unknown_names_the_nearest():
    assert recipes.get("small") == presets.get("small")
    for wrong, near in (
        ("cogvideo-x", "cogvideox"),
        ("opensora", "open-sora"),
        ("smal", "small"),
        ("huge", "choose tiny"),
    ):
        with pytest.raises(InputError, match=near):
            recipes.get(wrong)
    with pytest.raises(InputError, match="'skips' is no idea of sora; choose among native sizes and lengths"):
        recipes.preset("sora", ["skips"])


def test_each_takes_a_quarter_of_an_hour_at_most_where_the_base_takes_eight_minutes():
    """By the forecast, in units of the base's own time, which doesn't depend on the machine."""
    base = likely_minutes(presets.get(recipes.BASE), 1e11)
    for name in recipes.RECIPES:
        assert likely_minutes(recipes.get(name), 1e11) < 15 / 8 * base, name


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_each_trains_is_resumed_draws_and_is_described(name, tmp_path):
    preset = presets.override(recipes.get(name), QUICKLY)
    if preset.finetuning.steps:
        preset = presets.override(preset, ["finetuning.steps=1", "finetuning.batch=4"])
    model = train_model(preset, tmp_path, previews=0, progress=False)
    again = train_model(preset, tmp_path, previews=0, progress=False)  # all checkpoints are there: nothing is trained
    assert again.fingerprint() == model.fingerprint()
    drawn = TextToVideo.load(tmp_path / "model.safetensors")
    video = drawn.generate("a 3 moving right", seed=1)
    assert video.shape == (1, preset.data.num_frames, *preset.data.size, 1) and np.isfinite(video).all()
    told = model_card(tmp_path / "model.safetensors")
    assert f"minivdit train {name} " in told and "--set training.steps=2" in told
    assert ("which makes one latent frame of 4" in told) == (preset.autoencoder.time_factor == 4)
    assert ("at first with frame+time:0.5" in told) == (name == "open-sora")
    assert collect(drawn, "a 3 moving right", moments=1).grid[0] == preset.autoencoder.latent_frames(video.shape[1])
