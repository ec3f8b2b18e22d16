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

import numpy as np
import pytest

import minivdit
from minivdit.base.files import load_tensors
from minivdit.base.locking import locked
from minivdit.generation import TextToVideo
from minivdit.lab.evaluation import measures
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets

# Other processes find the minivdit that is tested here, installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(minivdit.__file__).parents[1])}
FINETUNED = ["--set", "finetuning.steps=2", "--set", "data.turning=1"]


@pytest.fixture
def refused(run, capsys):
    """As in all tests of commands, but progress may be printed first: the last line."""

    def run_and_read(*arguments):
        capsys.readouterr()
        assert run(*arguments) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("minivdit: ") and "bug" not in line
        return line

    return run_and_read


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory, run):
    """The folder of a tiny run with all four stages."""
    out = tmp_path_factory.mktemp("runs") / "finetuned"
    assert run("train", "tiny", "--steps", 5, *FINETUNED, "--out", out) == 0
    return out


def test_training_leaves_all_it_promises(trained):
    names = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    stages = {
        f"{stage}.{ending}" for stage in ("autoencoder", "text", "transformer") for ending in ("safetensors", "jsonl")
    }
    assert names >= stages | {"model.safetensors", "previews/step_000004.png"}
    last = json.loads((trained / "transformer.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 4 and set(last["metrics"]) == {*measures.PREVIEWED} - {"colour"}


def test_the_same_command_goes_on_and_another_one_is_refused(run, capsys, trained):
    before = (trained / "model.safetensors").read_bytes()
    assert run("train", "tiny", "--steps", 4, "--out", trained, "--resume") == 0
    assert (trained / "model.safetensors").read_bytes() == before
    capsys.readouterr()
    assert run("train", "tiny", "--steps", 4, "--out", trained, "--set", "transformer.width=64") == 2
    assert "transformer.width is 32, here 64" in capsys.readouterr().err


def test_training_tells_what_it_will_cost_before_it_starts(run, capsys, tmp_path):
    assert run("train", "tiny", "--minutes", 0.01, "--out", tmp_path / "run") == 0
    lines = capsys.readouterr().out.splitlines()
    stage = next(line for line in lines if line.strip().startswith("transformer"))
    assert "parameters" in stage and "FLOPs a step" in stage and "memory" in stage


def test_training_on_other_shapes_and_turns_is_measured_on_plain_clips(run, tmp_path):
    mixed = ["--set", "data.turning=1", "--set", "data.shapes=2x16x24:0.5", "--set", "finetuning.steps=3"]
    assert run("train", "tiny", "--steps", 4, "--set", "autoencoder_training.steps=4", *mixed, "--out", tmp_path) == 0
    ends = [
        json.loads((tmp_path / f"{stage}.jsonl").read_text().splitlines()[-1])
        for stage in ("transformer", "finetuning")
    ]
    assert all(set(end["metrics"]) == {*measures.PREVIEWED} - {"colour"} for end in ends)
    assert {path.name for path in (tmp_path / "previews").iterdir()} >= {"step_000004.png", "finetuning_000003.png"}
    weights = tmp_path / "model.safetensors"
    assert TextToVideo.load(weights).notes["steps"] == 4 + 3
    assert run("sample", "a 3 moving right, then up", "--weights", weights, "--out", tmp_path / "turned.gif") == 0


def test_training_goes_on_from_trained_weights(run, refused, capsys, trained, tmp_path):
    start = trained / "model.safetensors"
    more = ["train", "tiny", "--start", start, "--set", "data.digit_size=10", "--out", tmp_path / "more", "--steps"]
    assert run(*more, 0.5) == 2 and run(*more, 3) == 0
    assert "autoencoder" not in capsys.readouterr().out
    assert not (tmp_path / "more" / "autoencoder.safetensors").exists()
    before, after = TextToVideo.load(start), TextToVideo.load(tmp_path / "more" / "model.safetensors")
    old, new = before.transformer.state_dict(), after.transformer.state_dict()
    moved = {name: np.abs(new[name] - old[name]).max() for name in old}
    assert 0 < max(moved.values()) < 0.1  # three steps away, not begun anew
    fixed = before.autoencoder.state_dict()
    assert all((fixed[name] == array).all() for name, array in after.autoencoder.state_dict().items())
    assert after.notes["steps"] == before.notes["steps"] + 3 == 7
    assert after.notes["minutes"] > before.notes["minutes"]
    capsys.readouterr()
    assert run("card", "--weights", tmp_path / "more" / "model.safetensors") == 0
    command = "minivdit train tiny --start model --seed 0 --set data.digit_size=10 --set training.steps=3`"
    assert f"gives model ({before.fingerprint()}), then `{command}" in capsys.readouterr().out
    assert run(*more, 3, "--resume") == 0  # nothing is left to do
    capsys.readouterr()
    without = [word for word in more if word not in ("--start", start)]
    assert "began with trained weights; name them again (--start)" in refused(*without, 3)
    assert not (tmp_path / "more" / "autoencoder.safetensors").exists()
    refusal = refused(*more, 3, "--set", "transformer.width=64")
    assert refusal.endswith("transformer.width is 32, here 64; change the preset or these settings (--set)")


def test_words_in_the_sequence_go_through_all_commands(run, capsys, tmp_path):
    words = ["--set", "transformer.text=sequence", "--set", "transformer.expert_modulation=true", *FINETUNED]
    for steps in (2, 3):  # stopped in between, as it were
        run("train", "tiny", "--steps", steps, *words, "--out", f"run{steps}")
    assert run("train", "tiny", "--steps", 3, *words, "--out", "run3") == 0
    config = TextToVideo.load("run3").transformer.config
    assert config.text == "sequence" and config.expert_modulation
    for command in (
        ("sample", "a 3 moving right, then up", "--out", "clip.gif"),
        ("explore", "a 3 moving right", "--out", "page.html"),
        ("extend", "clip.gif", "a 3 moving right", "--out", "longer.gif"),
    ):
        assert run(*command, "--weights", "run3", "--steps", 2) == 0
    assert run("card", "run3") == 0 and "words in the sequence, experts" in capsys.readouterr().out


def test_presets_and_their_settings_are_listed(run, capsys):
    assert run("train") == 0
    assert "tiny " in capsys.readouterr().out
    assert run("train", "tiny", "--show", "--set", "transformer.patterns=frame,time") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "transformer.patterns=frame,time" in shown and "data.size=16,16" in shown
    settings = [line for line in shown if not line.startswith(("name=", "summary="))]
    assert run("train", "tiny", "--show", *(f"--set={line}" for line in settings)) == 0
    assert capsys.readouterr().out.splitlines()[2:] == settings[0:]  # what is shown can be set


def test_what_comes_next_can_be_pasted(run, capsys):
    arguments = ["train", "tiny", "--digits", "strokes", "--set", "autoencoder_training.steps=2"]
    assert run(*arguments, "--steps", "1", "--out", "my run's folder") == 0
    lines = capsys.readouterr().out.splitlines()[-2:]
    for line in lines:
        words = shlex.split(line.removeprefix("next:"))
        assert words[0] == "minivdit" and words[-1] == "my run's folder/model.safetensors"
    assert run("card", "--weights", "my run's folder") == 0  # a run's folder means its weights


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
def test_what_is_finished_is_not_trained_on(run, refused, finetuned, change, expected):
    """Else the stages after it, made for the weights it had, could never go on."""
    before = {path: path.read_bytes() for path in finetuned.glob("*.*")}
    assert expected in refused("train", "tiny", *FINETUNED, *change, "--out", finetuned)
    assert {path: path.read_bytes() for path in finetuned.glob("*.*")} == before
    assert run("train", "tiny", "--steps", 5, *FINETUNED, "--out", finetuned) == 0


def test_a_stage_whose_checkpoint_was_lost_is_named(run, refused, finetuned, tmp_path):
    out = shutil.copytree(finetuned, tmp_path / "run")
    (out / "autoencoder.safetensors").unlink()
    again = ["train", "tiny", "--steps", 5, *FINETUNED, "--out", out]
    assert "holds finetuning.safetensors but no autoencoder.safetensors" in refused(*again)
    shutil.copy(finetuned / "autoencoder.safetensors", out)
    assert run(*again) == 0


def test_a_folder_whose_last_stage_has_its_older_name_goes_on(run, finetuned, tmp_path):
    out = shutil.copytree(finetuned, tmp_path / "run")
    for suffix in (".safetensors", ".jsonl"):
        (out / "finetuning").with_suffix(suffix).rename((out / "widening").with_suffix(suffix))
    assert run("train", "tiny", "--steps", 5, *FINETUNED, "--out", out) == 0
    assert not list(out.glob("widening*"))
    for name in ("finetuning.safetensors", "finetuning.jsonl", "model.safetensors"):
        assert (out / name).read_bytes() == (finetuned / name).read_bytes()


@pytest.mark.parametrize("damage", ["cut", "lost", "filled"])
def test_a_damaged_log_harms_neither_the_weights_nor_the_next_attempt(run, capsys, finetuned, tmp_path, damage):
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


def test_two_trainings_in_one_folder_take_turns(run, refused, tmp_path):
    again = ["train", "tiny", "--steps", 4, "--out", "run"]
    with locked(tmp_path / "run"):
        told = refused(*again)
        assert f"a training is at work in run (process {os.getpid()} on " in told and "wait for its end" in told
        assert run("demo", "--preset", "tiny", "--minutes", 0.01, "--out", "run") == 2
        assert run("study", "--worlds", "ball", "--steps", 2, "--out", "run") == 2
    assert not (tmp_path / "run").exists()
    assert run(*again) == 0
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_clip_of_one_frame_leaves_no_figures_that_json_lacks(run, tmp_path):
    """Whether it stays one digit can't be told: that figure is null."""
    one = ["--set", "data.num_frames=1", "--set", "transformer.patch_size=1,2,2"]
    assert run("train", "tiny", "--steps", 2, *one, "--out", "run") == 0
    last = json.loads((tmp_path / "run" / "transformer.jsonl").read_text().splitlines()[-1], parse_constant=pytest.fail)
    assert last["metrics"]["one_class"] is None
    about = load_tensors(tmp_path / "run" / "model.safetensors")[1]
    assert about["notes"]["metrics"] == last["metrics"] and "NaN" not in json.dumps(about)


FEW = "--set autoencoder_training.steps=2"


@pytest.mark.skipif(os.name == "nt", reason="shells close streams in another way there")
def test_training_without_a_place_for_messages(run, tmp_path, monkeypatch):
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
