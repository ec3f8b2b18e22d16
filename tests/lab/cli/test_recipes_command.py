"""`minivdit recipes`, and `minivdit train` with the name of one."""

import pytest

from minivdit.lab.cli.main import main
from minivdit.training.recipes import RECIPES


def test_all_recipes_are_listed(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RECIPES) + 1
    for line, (name, recipe) in zip(lines, RECIPES.items()):
        assert line.startswith(name) and recipe.system in line and line.endswith("minutes)")
        assert all(idea in line for idea in recipe.ideas)


@pytest.mark.parametrize("name", RECIPES)
def test_one_is_shown_with_its_settings(name, capsys):
    assert main(["recipes", name]) == 0
    told = capsys.readouterr().out
    assert all(f"--set {setting}" in told for settings in RECIPES[name].ideas.values() for setting in settings)
    assert f"minivdit train {name} (" in told
    assert f"{RECIPES[name].draws} --weights runs/{name}" in told and f"study --recipes {name} (each" in told


def test_an_unknown_recipe_names_the_nearest(capsys):
    assert main(["recipes", "cogvideo-x"]) == 2
    assert "'cogvideo-x' is not a recipe" in capsys.readouterr().err
    assert main(["train", "soraa", "--show"]) == 2
    assert "sora" in capsys.readouterr().err


def test_train_shows_the_settings_of_a_recipe(capsys):
    assert main(["train", "open-sora-plan", "--show"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "name=open-sora-plan" in told or "transformer.patterns=skip" in told
    assert "autoencoder.time_factor=4" in told
