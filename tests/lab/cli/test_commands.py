"""What commands share: how long drawing takes is told beforehand, and shown by a bar."""

import shlex

import pytest

from minivdit.base import console, machine
from minivdit.lab.cli import groups
from minivdit.lab.cli import main as cli


@pytest.fixture
def bars(monkeypatch):
    """What progress bars were asked for."""
    asked, make = [], console.progress_bar

    def watched(title, total, **options):
        asked.append((title, total, options))
        return make(title, total, **options)

    monkeypatch.setattr(console, "progress_bar", watched)
    return asked


@pytest.mark.parametrize(
    ("flops", "expected"), [(1e9, ""), (1e15, "minivdit: note: drawing 4 steps will take about 11 days here\n")]
)
def test_what_takes_long_is_said_beforehand(flops, expected, bars, capsys, monkeypatch):
    monkeypatch.setattr(machine, "cores_speed", lambda: 1e15 / (11 * 24 * 3600) / groups.Watch.SHARE)
    watch = groups.Watch()
    for done in range(5):
        watch(done, 4, flops)
    assert capsys.readouterr().err.replace("11.0 days", "11 days") == expected
    assert [(title, total, how["delay"]) for title, total, how in bars] == [("drawing", 4, 2)]


def test_a_bar_appears_only_after_two_seconds(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    for seconds, shown in ((0.1, False), (40.0, True)):
        watch = groups.Watch()
        for done in range(4):
            watch(done, 4, 1e9)
            now[0] += seconds
        assert ("drawing:" in capsys.readouterr().err) == shown


def test_what_comes_next_can_be_pasted(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "tiny", "--digits", "strokes", "--set", "autoencoder_training.steps=2"]
    assert cli.main([*arguments, "--steps", "1", "--out", "my run's folder"]) == 0
    lines = capsys.readouterr().out.splitlines()[-2:]
    for line in lines:
        words = shlex.split(line.removeprefix("next:"))
        assert words[0] == "minivdit" and words[-1] == "my run's folder/model.safetensors"
    assert cli.main(["card", "--weights", "my run's folder"]) == 0  # a run's folder means its weights


def test_only_files_are_weights(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    (tmp_path / "mine").mkdir()
    assert cli.main(["card", "--weights", "small"]) == 0  # those that ship
    assert cli.main(["card", "--weights", "mine"]) == 2
    assert "no weights in the folder mine; give a file, the folder of a run, or one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["data", "--frames", "1000000"], "of memory and"),
        (["data", "--digit-size", "300"], "choose a digit_size from 8 to 63"),
        (["data", "--size", "8x8"], "no room for a digit; give at least 9 pixels each way"),
        (["data", "--count", "1000000000"], "a whole number from 1 to 1,000"),
        (["sample", "a 3 moving right", "--count", "100000000"], "a whole number from 1 to 1,000,000"),
        (["evaluate", "--frames", "100000"], "the longest clip of this size that fits"),
        (["loop", "a 3 moving right", "--frames", "1000000"], "no clip of more than"),
        (["train", "tiny", "--set", "transformer.depth=100000"], "must be at most 1,000"),
        (["train", "tiny", "--set", "data.num_frames=100000000"], "a clip of 400,000,000 patches is too large"),
        (["train", "tiny", "--set", "data.pixels_per_frame=1e308,1e308,1e308"], "up to 1,000"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(arguments, expected, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "available_memory", lambda: 4e9)
    monkeypatch.setattr("minivdit.data.digit_source", None)
    monkeypatch.setattr("minivdit.generation.TextToVideo.draw", None)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
