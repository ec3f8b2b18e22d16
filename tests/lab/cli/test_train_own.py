"""`minivdit train own`: a folder of clips becomes weights that draw, and what stands in the way is said in one line."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from minivdit.data import ClipSettings, reading
from minivdit.data.reading import open_clip
from minivdit.generation import TextToVideo
from minivdit.lab.cli.main import build_parser
from minivdit.lab.display import write_clip
from minivdit.training import presets

SMALL = """
    data.size=16,16 data.num_frames=4 data.fit=scale autoencoder.channels=8,8 autoencoder.latent_channels=4
    transformer.latent_channels=4 transformer.width=32 transformer.depth=2 transformer.heads=2 transformer.text_depth=1
    training.batch=4 sampling.steps=2
"""
HELD_OUT, FIRST = "data.held_out=0.3", "autoencoder_training.steps=3 autoencoder_training.batch=8"


def train(*settings):
    return ("train", "own", *(word for setting in " ".join(settings).split() for word in ("--set", setting)))


TRAIN = train(SMALL, HELD_OUT, FIRST)
COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0)}


def squares(folder, captions=True):
    """A folder of 12 clips of 6 frames, 20x24 pixels: a square of either colour moves left or right."""
    folder.mkdir(exist_ok=True)
    for number in range(12):
        colour, way = list(COLOURS)[number % 2], ("left", "right")[number // 2 % 2]
        clip = np.zeros((6, 20, 24, 3), np.float32)
        for time in range(6):
            x = 2 + 2 * time + number % 3 if way == "right" else 16 - 2 * time
            clip[time, 4 + number : 10 + number, x : x + 6] = COLOURS[colour]
        write_clip(folder / f"{number}.gif", clip, frames_per_second=8)
        if captions:
            (folder / f"{number}.txt").write_text(f"A {colour} square moves {way}!")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return squares(tmp_path_factory.mktemp("own") / "clips")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory, run, folder):
    """The folder of a run on those clips."""
    out = tmp_path_factory.mktemp("runs") / "own"
    assert run(*TRAIN, "--clips", folder, "--steps", 4, "--out", out) == 0
    return out


def test_a_folder_of_clips_becomes_weights_that_draw(run, capsys, learnt):
    model = TextToVideo.load(learnt)
    assert model.tokenizer.words == ["a", "green", "left", "moves", "red", "right", "square"]
    assert model.settings.size == (16, 16) and model.settings.num_frames == 4 and model.settings.digit_size == 0
    drawn = model.generate("a red SQUARE, moves left.", seed=1)
    assert drawn.shape == (1, 4, 16, 16, 3)
    assert not np.array_equal(drawn, model.generate("a green square moves left", seed=1))  # the words are read
    assert run("sample", "a red square moves right", "--weights", learnt, "--out", "clip.gif") == 0
    assert run("extend", "clip.gif", "a red square moves right", "--weights", learnt) == 0
    assert run("loop", "a red square moves right", "--weights", learnt) == 0


def test_the_run_keeps_its_losses_on_both_sides_of_the_split(learnt):
    last = json.loads((learnt / "transformer.jsonl").read_text().splitlines()[-1])
    assert last["metrics"].keys() == {"held_out_loss", "training_loss"} and min(last["metrics"].values()) > 0
    assert (learnt / "previews" / "step_000004.png").exists()
    notes = TextToVideo.load(learnt).notes
    assert sum(notes["clips"].values()) == 12 and notes["clips"]["held_out"] > 0
    assert notes["metrics"] == last["metrics"]
    assert 1 <= len(notes["captions"]) <= 5 and set(" ".join(notes["captions"]).split()) <= {
        *("a", "green", "red", "square", "moves", "left", "right")
    }


def test_an_unknown_word_is_refused_with_those_that_are_known(refused, learnt):
    line = refused("sample", "a blue square", "--weights", learnt)
    assert "'blue' is not a word this model knows; it knows: a, green, left, moves, red, right, square" in line


def test_the_same_command_goes_on_and_a_folder_that_has_changed_is_refused(run, capsys, tmp_path, learnt):
    clips, out = squares(tmp_path / "clips"), tmp_path / "run"
    command = (*TRAIN, "--clips", clips, "--out", out, "--steps")
    assert run(*command, 4) == 0
    whole = (out / "model.safetensors").read_bytes()
    assert run(*command, 4, "--resume") == 0 and (out / "model.safetensors").read_bytes() == whole
    capsys.readouterr()
    (clips / "0.txt").write_text("a red square moves right and left")
    (clips / "1.txt").write_text("a green square moves right and left")
    assert run(*command, 4) == 2
    assert "have changed since training in" in capsys.readouterr().err
    clips.rename(tmp_path / "elsewhere")
    assert run(*command, 4) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "there is no folder" in line
    assert run(*TRAIN, "--clips", tmp_path / "elsewhere", "--steps", 2, "--out", "more") == 0  # in a folder of its own


def test_training_goes_on_from_weights_that_know_the_same_words(run, learnt, folder, tmp_path):
    more = (*train(SMALL, HELD_OUT), "--clips", folder, "--steps", 2, "--start", learnt, "--out", tmp_path / "more")
    assert run(*more) == 0
    assert TextToVideo.load(tmp_path / "more").notes["steps"] == 4 + 2


def test_clips_without_captions_are_learnt_without_guidance(run, capsys, refused, tmp_path):
    out, clips = tmp_path / "run", squares(tmp_path / "clips", captions=False)
    command = (*train(SMALL, FIRST, "data.held_out=0"), "--clips", clips, "--steps", 2, "--out", out, "--grey")
    assert run(*command) == 0
    assert "no clip has a caption" in capsys.readouterr().err
    model = TextToVideo.load(out)
    assert model.settings.guidance_scale == 1 and model.generate("").shape == (1, 4, 16, 16, 1)
    assert "knows no words" in refused("sample", "a square", "--weights", out)
    metrics = json.loads((out / "transformer.jsonl").read_text().splitlines()[-1])["metrics"]
    assert metrics["held_out_loss"] is None and metrics["training_loss"] > 0
    assert run("card", out) == 0 and "from no captions" in capsys.readouterr().out


def test_a_card_says_what_was_learnt_and_that_nothing_reads_digits(run, capsys, learnt):
    assert run("card", learnt) == 0
    card = capsys.readouterr().out
    assert "captions of 7 words: a, green, left, moves, red, right, square" in card
    assert "neither the judge nor tracking" in card and "held out" in card
    command = re.search(r"`minivdit (train own --clips FOLDER [^`]*)`", card)[1]
    assert "data.size=16,16" in command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "clips"], "to learn from the folder of this name: minivdit train own --clips clips"),
        (["train", "--clips", "my clips"], "are for this one: minivdit train own --clips 'my clips'"),
        (["train", "own", "clips"], "'clips' is one argument too many; write --clips before a folder"),
        (["train", "own"], "learns from a folder of clips; name it with --clips FOLDER"),
        (["train", "own", "--clips", "nowhere"], "there is no folder nowhere"),
        (["train", "own", "--clips", "clips", "--digits", "strokes"], "--digits has no effect with the preset own"),
        (["train", "tiny", "--clips", "clips"], "--clips has no effect with a preset of digits"),
        (["train", "own", "--set", "data.channels=1"], "image_channels is 3 but data.channels is 1; set both alike"),
        (["train", "own", "--set", "text_training.steps=5"], "text_training is for clips of digits"),
        (["train", "own", "--set", "transformer.control=true"], "transformer.control needs to know how digits move"),
        (["train", "own", "--set", "data.speeds=slow"], "'data.speeds' is not a setting"),
    ],
)
def test_what_stands_in_the_way_is_one_line(refused, tmp_path, arguments, said):
    (tmp_path / "clips").mkdir()
    assert said in refused(*arguments)


def test_a_broken_file_stops_a_training_unless_it_is_told_to_go_on(run, refused, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "films_can_be_read", lambda: False)
    clips = squares(tmp_path / "clips")
    (clips / "broken.gif").write_bytes(b"")
    (clips / "walk.mp4").write_bytes(b"no film")
    command = (*TRAIN, "--clips", clips, "--steps", 1, "--out", tmp_path / "run")
    assert "broken.gif" in refused(*command) and not (tmp_path / "run").exists()
    assert run(*command, "--skip") == 0
    told = capsys.readouterr().err
    assert "left out: broken.gif" in told and "left out: reading walk.mp4 needs PyAV: pip install" in told


def test_few_clips_are_told_and_a_camera_is_a_word_like_any(run, capsys, tmp_path):
    clips = squares(tmp_path / "clips", captions=False)
    for number in range(12):
        (clips / f"{number}.txt").write_text("a camera, then a square")
    many = SMALL.replace("training.batch=4", "training.batch=13")
    assert run(*train(many, FIRST, "data.held_out=0"), "--clips", clips, "--steps", 1, "--out", tmp_path / "run") == 0
    printed = capsys.readouterr()
    assert "a batch of 13 clips is more than there are" in printed.err
    assert "but with data.size=16,16, data.num_frames=4, " in printed.out and "minivdit evaluate" not in printed.out
    assert run("sample", "a square, then a camera", "--weights", tmp_path / "run") == 0


def test_the_preview_of_a_folder_ends_with_the_command_that_trains_on_it(run, capsys, folder):
    assert run("data", folder, "--fit", "scale", "--grey", "--size", "16x24", "--rare", 2) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    options = build_parser().parse_args(shlex.split(last.removeprefix("next: minivdit ")))
    preset = presets.override(presets.get(options.preset), options.set)
    assert Path(options.clips) == folder
    assert preset.data == ClipSettings(size=(16, 24), channels=1, fit="scale", rare=2)
    assert run("data", folder, "--size", "15x15") == 0
    assert "a network can't learn these yet: " in capsys.readouterr().out


def test_weights_are_judged_beside_held_out_clips(run, refused, capsys, learnt, folder):
    command = ("evaluate", "--weights", learnt, "--prompts", 3)
    assert run(*command, "--clips", folder, "--out", "own.json", "--nearest", "nearest.gif") == 0
    said = capsys.readouterr().out
    assert "off, since there are no digits" in said and "nearest.gif" in said
    report = json.loads(Path("own.json").read_text())
    assert set(report["columns"]) >= {"drawn", "held out", "frozen"} and report["clips"] == 3
    assert report["columns"]["held out"]["copied"]["mean"] == 0 < report["columns"]["drawn"]["nearest"]["mean"]
    assert report["losses"].keys() == {"held_out_loss", "training_loss"}
    assert run("card", learnt, "--evaluation", "own.json") == 0
    assert "| nearest | " in capsys.readouterr().out
    assert open_clip("nearest.gif#1").video.shape == (4, 16, 16, 3)  # the nearest of the first
    assert "name it with --clips FOLDER" in refused(*command)
    assert "--per-clip has no effect with model" in refused(*command, "--clips", folder, "--per-clip", 1)
    assert "--clips has no effect with weights that learnt digits" in refused("evaluate", "--clips", folder)


def test_digits_are_not_looked_for_in_other_clips(refused, learnt):
    arguments = ("compare", "--weights", learnt, "--weights", learnt / "model.safetensors", "--prompts", 2)
    assert "nothing here can judge what it draws" in refused(*arguments)
