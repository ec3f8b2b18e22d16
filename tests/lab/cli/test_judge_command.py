"""`minivdit evaluate` and `minivdit card`: figures beside their bounds, saved before they are printed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minivdit.lab.cli import judge
from minivdit.lab.cli import main as cli


def test_evaluate_prints_ceilings_and_floors(run, capsys, trained, tmp_path):
    arguments = ["--weights", trained / "model.safetensors", "--prompts", 8, "--out", "report.json"]
    assert run("evaluate", *arguments) == 0
    printed = capsys.readouterr().out
    assert "1 digit a clip" in printed and "drawn" in printed and "other captions" in printed
    assert printed.count("frames that show the digit asked for") == 1
    columns = json.loads((tmp_path / "report.json").read_text())["1 digits"]["columns"]
    assert columns["real"]["direction"]["mean"] > columns["frozen"]["direction"]["mean"]


def test_figures_are_saved_before_they_are_printed_and_clips_before_they_are_judged(
    run, refused, capsys, trained, monkeypatch
):
    arguments = ["--weights", trained / "model.safetensors", "--prompts", 2, "--keep", "clips", "--out", "report.json"]
    with monkeypatch.context() as patched:
        patched.setattr("minivdit.lab.evaluation.model_evaluation.evaluate", None)
        assert run("evaluate", *arguments) == 1
    assert [path.name for path in Path("clips").iterdir()] == ["1-digits.safetensors"]
    with monkeypatch.context() as patched:
        patched.setattr("minivdit.generation.TextToVideo.generate", None)
        patched.setattr("builtins.print", closed_pipe)
        with pytest.raises(BrokenPipeError):
            judge.evaluate(cli.build_parser().parse_args(["evaluate", *map(str, arguments)]))
    assert json.loads(Path("report.json").read_text())["1 digits"]["settings"]["clips"] == 2
    capsys.readouterr()
    assert "holds other clips: seed is 0, here 1" in refused("evaluate", *arguments, "--seed", 1)


def closed_pipe(*_, **__):
    raise BrokenPipeError


def test_two_evaluations_are_compared_clip_by_clip(run, refused, capsys, trained, monkeypatch):
    arguments = ["evaluate", "--weights", trained / "model.safetensors", "--prompts", 4]
    assert run(*arguments, "--out", "one.json") == 0
    assert run(*arguments, "--steps", 2, "--against", "one.json", "--out", "two.json") == 0
    printed = capsys.readouterr().out
    assert "model minus model, the same captions and noise, clip by clip" in printed and "corrected by Holm" in printed
    rows = json.loads(Path("two.json").read_text())["against"]["rows"]
    assert {row["metric"] for row in rows} >= {"obeys", "flawless", "number", "frechet_clips"}
    monkeypatch.setattr("minivdit.generation.TextToVideo.generate", None)  # what can't be compared isn't drawn
    assert "seed is 0, here 1" in refused(*arguments, "--seed", 1, "--against", "one.json")
    assert "clips is 4, here 5" in refused(*arguments, "--prompts", 5, "--against", "one.json")
    assert "held_out is False, here True" in refused(*arguments, "--held-out", "--against", "one.json")
    assert "has 1 digits, not 2 digits" in refused(*arguments, "--per-clip", 2, "--against", "one.json")


def test_only_files_are_weights(run, refused, tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "mine").mkdir()
    assert run("card", "--weights", "small") == run("card", "small") == 0  # those that ship
    line = refused("card", "--weights", "mine")
    assert "no weights in the folder mine; give a file, the folder of a run, or one of" in line


def test_all_that_draws_can_keep_away_from_a_caption(run, refused, trained):
    options = ["--weights", trained / "model.safetensors", "--negative", "a 1 moving up"]
    judged = []
    for more in (options, options[:2]):
        assert run("evaluate", *more, "--prompts", 4, "--out", "report.json") == 0
        judged.append(json.loads(Path("report.json").read_text())["1 digits"]["samples"])
    assert judged[0] != judged[1]
    assert "no effect at guidance 1" in refused("evaluate", *options, "--guidance", 1)
    assert "no effect at guidance 1" in refused("explore", "a 3 moving right", *options, "--guidance", 1)
    assert run("explore", "a 3 moving right", *options, "--steps", 1) == 0


def test_a_clip_says_how_it_was_drawn(run, refused, capsys, weights):
    assert run("sample", "a 3 moving right", "a 7 moving up", "--seed", 5, "--negative", "a 1", *weights) == 0
    capsys.readouterr()
    assert run("card", "clip.gif#1") == 0
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed["caption"] == "a 7 moving up" and printed["frames"] == "4 of 16x16 pixels, 8 a second"
    assert printed["seed"] == "5" and printed["negative"] == "a 1" and printed["weights"] == "model"
    assert len(printed["fingerprint"]) == 8
    assert "clip.gif holds 2 clips; choose one of clip.gif#0" in refused("card", "clip.gif")
    assert "--weights has no effect with a clip" in refused("card", "clip.gif#1", *weights[:2])
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("other.png")
    assert "other.png doesn't say how it was drawn" in refused("card", "other.png")
