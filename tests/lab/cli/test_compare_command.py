"""`minivdit compare` and `minivdit study`, from the command to the page."""

import json

from minivdit.generation import TextToVideo
from minivdit.lab.explorer import restricted


def test_weights_from_the_command_to_the_page(run, trained, capsys, monkeypatch, tmp_path):
    other = tmp_path / "framewise.safetensors"
    restricted(TextToVideo.load(trained), "framewise").save(other)
    weights = ["--weights", trained, "--weights", other]
    monkeypatch.setattr("webbrowser.open", None)  # not without a terminal
    assert run("compare", "--prompts", 2, "--out", "page", *weights) == 0
    printed = capsys.readouterr().out
    assert "no difference is shown by 2 clips a kind" in printed and "page/report.html" in printed
    assert list(json.loads((tmp_path / "page" / "report.json").read_text())["weights"]) == ["joint", "framewise"]


def test_a_study_from_the_command_to_the_page(run, capsys, tmp_path):
    few = ["--worlds", "ball", "--patterns", "joint,perframe", "--seeds", 1, "--steps", 2, "--out", "study"]
    assert run("study", *few) == 0
    printed = capsys.readouterr().out
    assert "trained once, so nothing is called a difference" in printed and "study/report.html" in printed
    before = (tmp_path / "study" / "report.md").read_text()
    assert run("study", *few, "--report-only") == 0
    assert (tmp_path / "study" / "report.md").read_text() == before


def test_options_say_which_study_is_run_and_how_long_it_takes_is_told(run, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr("minivdit.lab.study.run_study", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr("minivdit.base.machine.cores_speed", lambda: 1e11)
    assert run("study", "--recipes", "luma", "--steps", 350, "--prompts", 24, "--digits", "strokes") == 0
    told = capsys.readouterr().out
    assert told.startswith("6 trainings, about ") and told.endswith(" in all on this machine\n")
    assert run("scaling", "--factors", "1,2,4,16", "--seeds", 2, "--digits", "strokes", "--report-only") == 0
    assert not capsys.readouterr().out  # nothing is trained
    (recipes, trains), (scaling, reports) = asked
    assert (recipes.names, recipes.seeds, recipes.steps, recipes.prompts) == (("luma",), 3, 350, 24)
    assert (scaling.factors, scaling.seeds, scaling.steps) == ((1, 2, 4, 16), 2, 800)
    assert (str(recipes.out), str(scaling.out)) == ("runs/recipes", "runs/scaling") and (trains, reports) == (
        False,
        True,
    )
