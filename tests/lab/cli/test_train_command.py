"""`minivdit train`: what goes on, what is refused before any work, and what survives being stopped or damaged."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minivdit
from minivdit.base.files import load_tensors
from minivdit.base.locking import locked
from minivdit.generation import TextToVideo
from minivdit.lab.cli import main as cli
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets

# Other processes find the minivdit that is tested here, installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(minivdit.__file__).parents[1])}
FINETUNED = ["--set", "finetuning.steps=2", "--set", "data.turning=1"]


def run(*arguments):
    """Call the command line in this process: its exit code."""
    return cli.main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """Call what must be refused with exit code 2; the last line that was printed."""
    capsys.readouterr()
    assert run(*arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("minivdit: ") and "bug" not in line
    return line


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    """No debugging, no MNIST, and files into a temporary folder."""
    monkeypatch.delenv("MINIVDIT_DEBUG", raising=False)
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path / "no-mnist"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory):
    """The folder of a tiny run with all four stages."""
    out = tmp_path_factory.mktemp("runs") / "finetuned"
    assert run("train", "tiny", "--steps", 5, *FINETUNED, "--out", out) == 0
    return out


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (["--steps", 5, "--set", "autoencoder_training.steps=41"], "set autoencoder_training.steps to 40 again"),
        (["--steps", 5, "--set", "text_training.steps=6"], "set text_training.steps to 5 again"),
        (["--steps", 5, "--set", "text_training.steps=0"], "text.safetensors, and this training has no such stage"),
        (["--steps", 8], "set training.steps to 5 again (--steps 5), or"),
        (["--steps", 5, "--set", "training.learning_rate=1"], "training.learning_rate is 0.001, here 1.0"),
        (["--minutes", 0.01], "was begun for a number of steps, and not for 0.0015 minutes"),
        (["--steps", 5, "--start", "small"], "whose networks are others"),
    ],
)
def test_what_is_finished_is_not_trained_on(capsys, finetuned, change, expected):
    """Else the stages after it, made for the weights it had, could never go on."""
    before = {path: path.read_bytes() for path in finetuned.glob("*.*")}
    assert expected in refused(capsys, "train", "tiny", *FINETUNED, *change, "--out", finetuned)
    assert {path: path.read_bytes() for path in finetuned.glob("*.*")} == before
    assert run("train", "tiny", "--steps", 5, *FINETUNED, "--out", finetuned) == 0


def test_a_stage_whose_checkpoint_was_lost_is_named(capsys, finetuned, tmp_path):
    out = shutil.copytree(finetuned, tmp_path / "run")
    (out / "autoencoder.safetensors").unlink()
    again = ["train", "tiny", "--steps", 5, *FINETUNED, "--out", out]
    assert "holds finetuning.safetensors but no autoencoder.safetensors" in refused(capsys, *again)
    shutil.copy(finetuned / "autoencoder.safetensors", out)
    assert run(*again) == 0


def test_a_folder_whose_last_stage_has_its_older_name_goes_on(finetuned, tmp_path):
    out = shutil.copytree(finetuned, tmp_path / "run")
    for suffix in (".safetensors", ".jsonl"):
        (out / "finetuning").with_suffix(suffix).rename((out / "widening").with_suffix(suffix))
    assert run("train", "tiny", "--steps", 5, *FINETUNED, "--out", out) == 0
    assert not list(out.glob("widening*"))
    for name in ("finetuning.safetensors", "finetuning.jsonl", "model.safetensors"):
        assert (out / name).read_bytes() == (finetuned / name).read_bytes()


@pytest.mark.parametrize("damage", ["cut", "lost", "filled"])
def test_a_damaged_log_harms_neither_the_weights_nor_the_next_attempt(capsys, finetuned, tmp_path, damage):
    out = shutil.copytree(finetuned, tmp_path / "run")
    for log in out.glob("*.jsonl"):
        if damage == "lost":
            log.unlink()
        else:
            filling = b'\xff\n{"step": 3, "loss": [1]}\n{"step": 2}\n' * (damage == "filled")
            log.write_bytes(log.read_bytes()[:-30] + filling)
    assert run("train", "tiny", "--steps", 5, *FINETUNED, "--out", out) == 0
    assert ("were lost; curves lack those steps" in capsys.readouterr().err) == (damage != "cut")
    notes = [TextToVideo.load(folder / "model.safetensors").notes for folder in (out, finetuned)]
    assert notes[0] == notes[1] and notes[0]["steps"] == 7


def test_two_trainings_in_one_folder_take_turns(capsys, tmp_path):
    again = ["train", "tiny", "--steps", 4, "--out", "run"]
    with locked(tmp_path / "run"):
        told = refused(capsys, *again)
        assert f"a training is at work in run (process {os.getpid()} on " in told and "wait for its end" in told
        assert run("demo", "--preset", "tiny", "--minutes", 0.01, "--out", "run") == 2
        assert run("compare", "--preset", "tiny", "--steps", 2, "--digits", "strokes", "--out", "run") == 2
    assert not (tmp_path / "run").exists()
    assert run(*again) == 0
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_clip_of_one_frame_leaves_no_figures_that_json_lacks(tmp_path):
    """Whether it stays one digit can't be told: that figure is null."""
    one = ["--set", "data.num_frames=1", "--set", "transformer.patch_size=1,2,2"]
    assert run("train", "tiny", "--steps", 2, *one, "--out", "run") == 0
    last = json.loads((tmp_path / "run" / "transformer.jsonl").read_text().splitlines()[-1], parse_constant=pytest.fail)
    assert last["metrics"]["one_class"] is None
    about = load_tensors(tmp_path / "run" / "model.safetensors")[1]
    assert about["notes"]["metrics"] == last["metrics"] and "NaN" not in json.dumps(about)


FEW = "--set autoencoder_training.steps=2"


@pytest.mark.skipif(os.name == "nt", reason="shells close streams in another way there")
def test_training_without_a_place_for_messages(tmp_path, monkeypatch):
    """With stderr closed, and in a program that has none, as those without a console."""
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    command = f"{shlex.quote(sys.executable)} -m minivdit train tiny --steps 2 {FEW} --out closed 2>&-"
    subprocess.run(command, shell=True, cwd=tmp_path, env=ENVIRONMENT, check=True, timeout=120)
    sys.stderr = None
    preset = presets.override(presets.get("tiny"), ["training.steps=2", *FEW.split("--set ")[1:]])
    train_model(preset, "none")
    train_model(preset, "quiet", progress=False)
    assert all((tmp_path / name / "model.safetensors").exists() for name in ("closed", "none", "quiet"))


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent in another way on Windows")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_stop_saves_and_says_how_to_go_on(tmp_path, name, code):
    """Ctrl-C, a time limit, a terminal that is closed."""
    command = [sys.executable, "-m", "minivdit", "train", "tiny", "--out", "run", "--set"]
    process = subprocess.Popen(
        [*command, "autoencoder_training.steps=100000"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    log = tmp_path / "run" / "autoencoder.jsonl"
    deadline = time.monotonic() + 60
    try:
        while not (log.exists() and log.read_text().count("\n") > 1) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code and "Traceback" not in errors
    assert "run the same command again to go on" in errors.splitlines()[-1]
    assert (tmp_path / "run" / "autoencoder.safetensors").exists()
