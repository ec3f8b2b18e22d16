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
