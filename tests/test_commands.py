"""What commands share: how long drawing takes is told beforehand, and shown by a bar."""

import shlex

import pytest

from minivdit import cli, commands, console, costs


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
    monkeypatch.setattr(costs, "cores_speed", lambda: 1e15 / (11 * 24 * 3600) / commands.Watch.SHARE)
    watch = commands.Watch()
    for done in range(5):
        watch(done, 4, flops)
    assert capsys.readouterr().err.replace("11.0 days", "11 days") == expected
    assert [(title, total, how["delay"]) for title, total, how in bars] == [("drawing", 4, 2)]


def test_a_bar_appears_only_after_two_seconds(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    for seconds, shown in ((0.1, False), (40.0, True)):
        watch = commands.Watch()
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
