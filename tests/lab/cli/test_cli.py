"""The command line: help worth reading, one line for every error, and each command run for real on a tiny preset."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minivdit
from minivdit.base import backend, files, machine
from minivdit.base.errors import InputError
from minivdit.generation import TextToVideo
from minivdit.lab.cli import doctor, judge, options
from minivdit.lab.cli import main as cli
from minivdit.lab.evaluation import model_evaluation

# Other processes find the minivdit that is tested here, installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(minivdit.__file__).parents[1])}
ABILITIES = ("animate", "keyframes", "extend", "interpolate", "connect", "loop", "edit", "inpaint")
COMMANDS = ("demo", "sample", *ABILITIES, "explore", "train", "evaluate", "compare", "data", "doctor")


def run(*arguments):
    """Call the command line in this process: (exit code)."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # argparse leaves so after --help and --version
        return leaving.code


def refused(capsys, *arguments):
    """Run arguments that must be refused with exit code 2; the one line that was printed."""
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("minivdit: ") and "Traceback" not in line
    return line


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    """No debugging, no MNIST, files into a temporary folder, and afterwards the CPU again."""
    monkeypatch.delenv("MINIVDIT_DEBUG", raising=False)
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path / "no-mnist"))
    monkeypatch.chdir(tmp_path)
    yield
    backend.use("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a tiny run, trained through the command line."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    assert run("train", "tiny", "--steps", 4, "--out", out) == 0
    return out


# Help ----------------------------------------------------------------------------------------------------------------


def test_help_names_every_command(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command}" in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_in_the_help_are_commands_that_parse(command, capsys):
    assert run(command, "--help") == 0
    text = capsys.readouterr().out
    examples = [
        line.split("   ")[0].strip() for line in text.split("examples:\n")[1].replace("\n  ", "\n").splitlines()
    ]
    examples = [line for line in examples if line]
    assert examples
    for example in examples:
        words = [word for word in shlex.split(example) if not word.startswith("MINIVDIT_DATA=")]
        assert words[0] == "minivdit" and words[1] == command
        cli.build_parser().parse_args(words[1:])  # raises InputError if it doesn't


def test_without_a_command_there_is_help(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert run() == 0
    assert capsys.readouterr().out == text


def test_help_needs_no_docstrings(tmp_path):
    command = [sys.executable, "-OO", "-m", "minivdit", "sample", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert result.returncode == 0 and "Draw clips from captions" in result.stdout


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"minivdit {minivdit.__version__}\n"


def test_python_m_minivdit_is_the_same_command():
    command = [sys.executable, "-m", "minivdit", "smaple"]
    result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert (
        result.returncode == 2
        and "'smaple' is not a command; did you mean 'sample'?" in result.stderr
        and result.stdout == ""
    )


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["xylophone"], "'xylophone' is not a command; see 'minivdit --help'"),
        (["sampel"], "minivdit: 'sampel' is not a command; did you mean 'sample'?"),
        (["sample", "a 3", "--wieghts", "small"], "'--wieghts' is not an option; did you mean '--weights'?"),
        (["sample", "a 3", "--sampler", "eulr"], "--sampler: 'eulr' is not known; did you mean 'euler'?"),
        (["doctor", "who"], "'who' is one argument too many"),
        (["sample"], "required: prompt"),
        (["sample", "a 3 moving right", "--size", "64by64"], "height x width"),
        (["sample", "a 3 moving right", "--frames", "0"], "from 1 to 1,000,000"),
        (["sample", "a 3 moving right", "--steps", "1.5"], "whole number"),
        (["sample", "a 3 moving right", "--seed", "-1"], "from 0 to"),
        (["sample", "a 3 moving right", "--guidance", "nan"], "not a number from"),
        (["sample", "a 3 moving right", "--fps", "0"], "above 0"),
        (["sample", "a 3 moving right", "--out", "clip.avi"], "ends in .gif"),
        (["sample", "a 3 moving right", "--weights", "absent.safetensors"], "no weights at absent.safetensors"),
        # What can't be written is said before weights are even looked for, so before anything is drawn.
        (["sample", "a 3", "--plain", "--count", "2", "--weights", "absent"], "one clip, and these are 2"),
        (["sample", "a 3", "a 7", "--plain", "--weights", "absent"], "one clip, and these are 2"),
        (["sample", "a 3", "--plain", "--out", "clip.png", "--weights", "absent"], "writes a clip, not strips"),
        (["animate"], "required: IMAGE"),
        (["animate", "absent.png"], "there is no file absent.png"),
        (["keyframes", "--at", "first", "first.png"], "'first' is not a time"),
        (["interpolate", "clip.gif", "--factor", "1"], "from 2 to"),
        (["train", "huge"], "'huge' is not a preset; choose tiny"),
        (["train", "tiny", "--set", "transformer.widht=3"], "nearest: transformer.width"),
        (["train", "tiny", "--set", "foo=1"], "'minivdit train tiny --show' shows all"),
        (["train", "--preset", "quick"], "'--preset' is not an option; leave --preset itself out"),
        (
            ["train", "tiny", "--out", "/proc/x"],
            "it is a device or a pipe; give the name of a folder",
        ),
        (["bench"], "required: {cpu,gpu}"),
        (["animate", "."], ". is a folder; give a picture"),
        (["train", "tiny", "--set", "transformer.width=wide"], "takes a whole number"),
        (["train", "tiny", "--set", "data.size=16,17"], "multiple of"),
        (["train", "tiny", "--resume"], "no run to go on with"),
        (["train", "tiny", "--minutes", "inf"], "not a number above 0"),
        (
            ["compare", "--patterns", "framwise,joint"],
            "'framwise' is not a pattern that can be compared; nearest: fram",
        ),
        (["compare", "--patterns", "joint"], "two patterns or more"),
        (["compare", "--preset", "huge"], "'huge' is not a preset"),
        (["compare", "--equal", "minutes"], "choose steps, flops or both"),
        (["compare", "--report-only"], "there is no study in runs"),
        (["compare", "--weights", "model.safetensors"], "takes a name and a file"),
        (["compare", "--weights", "joint=absent.safetensors"], "no weights at absent.safetensors"),
        (["explore"], "required: prompt"),
        (["explore", "a 3 moving right", "--out", "page.gif"], "ends in .html"),
        (["explore", "a 3 moving right", "--moments", "0"], "from 1 to"),
        (
            ["explore", "a 3 moving right", "--weights", "jiont"],
            "no weights at jiont; give a file, the folder of a run, or one of framewise",
        ),
        (["explore", "a 3 moving right", "--restrict", "framwise"], "nearest: framewise"),
        (["explore", "a 3 moving right", "--weights", "joint", "--weights", "small"], "can't be shown side by side"),
        (["explore", "a 3 moving rigt"], "nearest: right"),
        (["explore", "a 3 moving right", "--size", "60x64"], "48 or 64"),
        (["data", "--size", "8x8", "--digit-size", "9"], "8x8"),
        (["data", "--digits", "letters"], "choose auto, mnist, strokes"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(capsys, tmp_path, arguments, expected):
    assert expected in refused(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []  # and nothing was begun


@pytest.mark.skipif(os.name != "posix", reason="devices, pipes and ~ as POSIX has them")
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/dev/null", "a device or a pipe"),
        ("/dev/stdout", "a device or a pipe"),
        ("pipe", "a device or a pipe"),
        ("file/x", "is no folder to write in"),
        ("~nobody-here/x", "the home of a user who isn't here"),
    ],
)
def test_no_work_is_begun_for_a_place_that_cannot_be_written(capsys, tmp_path, place, expected):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("a file")
    commands = [("sample", "a 3"), ("explore", "a 3"), ("evaluate",), ("card",), ("bench", "cpu"), ("data",), ("demo",)]
    commands += [("train", "tiny"), ("compare",), ("loop", "a 3")]
    for command in commands:
        assert expected in refused(capsys, *command, f"--out={place}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes as POSIX has them")
def test_a_folder_may_hold_any_name_and_stand_in_no_file(capsys, tmp_path):
    (tmp_path / "here" / "file").mkdir(parents=True)
    (tmp_path / "text").write_text("a file")
    assert options.output_folder(str(tmp_path / "here")) == str(tmp_path / "here")
    line = refused(capsys, "train", "tiny", "--out", "text/x")
    assert "could not write 'text/x': " in line and "text is no folder to write in" in line
    assert "it is a file; give the name of a folder" in refused(capsys, "train", "tiny", "--out", "text")


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes as POSIX has them")
def test_no_device_or_pipe_is_read(capsys, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for given in ("/dev/zero", "pipe"):
        for command in (["animate", given], ["keyframes", "--at", 0, given], ["loop", "--image", given]):
            assert "is a device or a pipe; give a file" in refused(capsys, *command)
        for option in (["card", "--evaluation", given], ["sample", "a 3", "--weights", given]):
            assert "is a device or a pipe; give a file" in refused(capsys, *option)
        assert "is a device or a pipe" in refused(capsys, "compare", "--weights", f"a={given}")


def test_the_home_folder_is_written_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    parse = cli.build_parser().parse_args
    assert parse(["sample", "a 3", "--out=~/x.gif"]).out == str(tmp_path / "home" / "x.gif")
    assert parse(["compare", "--weights", "a=~/w"]).weights == [("a", str(tmp_path / "home" / "w"))]
    assert parse(["extend", "~/in.gif"]).clip == str(tmp_path / "home" / "in.gif")
    assert parse(["data", "--data=~/sets", "--out=~"]).data == str(tmp_path / "home" / "sets")
    assert parse(["sample", "a 3", "--out=~x.gif"]).out == "~x.gif"  # a name that happens to begin so


def test_every_file_and_folder_is_a_path(capsys):
    """However options are added, those that the help calls FILE or DIR are paths, and outputs can be written."""
    outputs = {"FILE": options.output_file, "DIR": options.output_folder}
    inputs = {"FILE": options.path, "DIR": options.folder, "NAME=FILE": options.named_path}
    (commands,) = (action for action in cli.build_parser()._actions if action.choices)
    for name, parser in commands.choices.items():
        for action in parser._actions:
            if action.metavar in inputs:
                wanted = outputs if action.dest in ("out", "keep", "readme") else inputs
                assert action.type is wanted[action.metavar], f"{name} {action.dest}"


@pytest.mark.parametrize(
    ("prompt", "options", "expected"),
    [
        ("a 3 moving rigt", [], "nearest: right"),
        ("a 3 and a 4 and a 5", [], "a caption has one or two digits, and this one has 3; try: a 3 moving right and a"),
        ("a 3 moving right", ["--size", "16x17"], "16 or 24"),
        ("a 3 moving right", ["--frames", "1000000", "--size", "10000"], "of memory and"),
        ("a 3 moving right", ["--count", "1000000"], "draw "),
    ],
)
def test_prompts_and_sizes_that_cannot_be_drawn(capsys, trained, prompt, options, expected):
    assert expected in refused(capsys, "sample", prompt, "--weights", trained / "model.safetensors", *options)


def test_quotes_that_were_forgotten_are_named(capsys):
    assert 'put the caption in quotes: minivdit sample "a 3 moving right"' in refused(
        capsys, "sample", "a", "3", "moving", "right", "--weights", "small"
    )


def test_damaged_weights_are_one_line(capsys, trained, tmp_path):
    whole = (trained / "model.safetensors").read_bytes()
    hostile = (2**62).to_bytes(8, "little") + b"{}"  # a header that claims to be 4 exabytes long
    for content in (whole[: len(whole) // 2], b"", b"not weights at all", hostile):
        path = tmp_path / "damaged.safetensors"
        path.write_bytes(content)
        assert "damaged.safetensors" in refused(capsys, "sample", "a 3 moving right", "--weights", path)


def test_a_gpu_that_is_not_there_is_one_line(capsys, trained, monkeypatch):
    monkeypatch.setattr(
        backend, "gpu_problem", lambda kernels: "CuPy is installed but no GPU is present; use --device cpu"
    )
    weights = ["--weights", trained / "model.safetensors"]
    assert "use --device cpu" in refused(capsys, "sample", "a 3 moving right", "--device", "gpu", *weights)
    assert run("sample", "a 3 moving right", "--device", "auto", *weights) == 0  # auto falls back


def test_a_full_disk_is_one_line_and_loses_nothing(capsys, trained, tmp_path, monkeypatch):
    earlier = tmp_path / "clip.gif"
    earlier.write_bytes(b"earlier")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    line = refused(capsys, "sample", "a 3 moving right", "--weights", trained / "model.safetensors")
    assert "No space left" in line and earlier.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [earlier]


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (InputError("two\nlines"), 2, "minivdit: two lines\n"),
        (KeyboardInterrupt(), 130, "minivdit: stopped\n"),
        (KeyboardInterrupt("saved in x"), 130, "minivdit: saved in x\n"),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 2, "the disk is full: x;"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "minivdit: Permission denied: x\n"),
        (MemoryError(), 2, "not enough memory"),
        (RuntimeError("odd"), 1, "RuntimeError: odd (a bug in minivdit"),
    ],
)
def test_whatever_a_command_raises_is_one_line(capsys, monkeypatch, error, code, expected):
    def broken():
        raise error

    monkeypatch.setattr(doctor, "report", broken)
    assert run("doctor") == code
    printed = capsys.readouterr().err
    assert expected in printed and printed.count("\n") == 1
    monkeypatch.setenv("MINIVDIT_DEBUG", "1")
    with pytest.raises(type(error)):
        run("doctor")


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a program without asking")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_command_that_is_ended_says_so(capsys, monkeypatch, name):
    number = getattr(signal, name)

    def ended():
        signal.raise_signal(number)

    monkeypatch.setattr(doctor, "report", ended)
    before = signal.signal(number, signal.SIG_DFL)
    try:
        assert run("doctor") == 128 + number and signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert capsys.readouterr().err == "minivdit: stopped\n"


def test_a_reader_that_leaves_early_is_no_error():
    command = [sys.executable, "-m", "minivdit", "doctor"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait()
    process.stderr.close()


# The commands, run ---------------------------------------------------------------------------------------------------


def test_training_leaves_all_it_promises(trained):
    names = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    stages = {
        f"{stage}.{ending}" for stage in ("autoencoder", "text", "transformer") for ending in ("safetensors", "jsonl")
    }
    assert names >= stages | {"model.safetensors", "previews/step_000004.png"}
    last = json.loads((trained / "transformer.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 4 and set(last["metrics"]) == set(model_evaluation.BRIEF)


def test_the_same_command_goes_on_and_another_one_is_refused(capsys, trained):
    before = (trained / "model.safetensors").read_bytes()
    assert run("train", "tiny", "--steps", 4, "--out", trained, "--resume") == 0
    assert (trained / "model.safetensors").read_bytes() == before
    capsys.readouterr()
    assert run("train", "tiny", "--steps", 4, "--out", trained, "--set", "transformer.width=64") == 2
    assert "transformer.width is 32, here 64" in capsys.readouterr().err


def test_training_tells_what_it_will_cost_before_it_starts(capsys, tmp_path):
    assert run("train", "tiny", "--minutes", 0.01, "--out", tmp_path / "run") == 0
    lines = capsys.readouterr().out.splitlines()
    stage = next(line for line in lines if line.strip().startswith("transformer"))
    assert "parameters" in stage and "FLOPs a step" in stage and "memory" in stage


def test_training_on_other_shapes_and_turns_is_measured_on_plain_clips(tmp_path):
    mixed = ["--set", "data.turning=1", "--set", "data.shapes=2x16x24:0.5", "--set", "finetuning.steps=3"]
    assert run("train", "tiny", "--steps", 4, "--set", "autoencoder_training.steps=4", *mixed, "--out", tmp_path) == 0
    ends = [
        json.loads((tmp_path / f"{stage}.jsonl").read_text().splitlines()[-1])
        for stage in ("transformer", "finetuning")
    ]
    assert all(set(end["metrics"]) == set(model_evaluation.BRIEF) for end in ends)
    assert {path.name for path in (tmp_path / "previews").iterdir()} >= {"step_000004.png", "finetuning_000003.png"}
    weights = tmp_path / "model.safetensors"
    assert TextToVideo.load(weights).notes["steps"] == 4 + 3
    assert run("sample", "a 3 moving right, then up", "--weights", weights, "--out", tmp_path / "turned.gif") == 0


def test_training_goes_on_from_trained_weights(capsys, trained, tmp_path):
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
    assert "began with trained weights; name them again (--start)" in refused(capsys, *without, 3)
    assert not (tmp_path / "more" / "autoencoder.safetensors").exists()
    refusal = refused(capsys, *more, 3, "--set", "transformer.width=64")
    assert refusal.endswith("transformer.width is 32, here 64; change the preset or these settings (--set)")


def test_presets_and_their_settings_are_listed(capsys):
    assert run("train") == 0
    assert "tiny " in capsys.readouterr().out
    assert run("train", "tiny", "--show", "--set", "transformer.patterns=frame,time") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "transformer.patterns=frame,time" in shown and "data.size=16,16" in shown
    settings = [line for line in shown if not line.startswith(("name=", "summary="))]
    assert run("train", "tiny", "--show", *(f"--set={line}" for line in settings)) == 0
    assert capsys.readouterr().out.splitlines()[2:] == settings[0:]  # what is shown can be set


def test_sampling_is_decided_by_the_seed(capsys, trained, tmp_path):
    weights = ["--weights", trained / "model.safetensors"]
    for name, seed in (("one.gif", 1), ("again.gif", 1), ("two.gif", 2)):
        assert run("sample", "a 3 moving right", "--seed", seed, "--out", name, *weights) == 0
    one, again, two = ((tmp_path / name).read_bytes() for name in ("one.gif", "again.gif", "two.gif"))
    assert one == again != two
    assert "one.gif: 1 x 4 frames of 16x16, seed 1" in capsys.readouterr().out


def test_other_lengths_sizes_counts_and_strips(capsys, trained, tmp_path):
    import imageio.v3 as imageio

    weights = ["--weights", trained / "model.safetensors"]
    options = ["--frames", 6, "--size", "24x32", "--steps", 2, "--guidance", 3, "--sampler", "ddpm"]
    assert run("sample", "a 3 moving right", "an 8 moving up", "--count", 2, *options, *weights) == 0
    printed = capsys.readouterr()
    assert "clip.gif: 4 x 6 frames of 24x32" in printed.out
    assert "these weights had 4 steps of training" in printed.err
    assert len(imageio.imread(tmp_path / "clip.gif", plugin="pillow", mode="L")) == 6
    assert run("sample", "moving 3 a", "--out", "strip.png", *weights) == 0
    assert "doesn't say where to" in capsys.readouterr().err  # drawn, but not silently
    assert imageio.imread(tmp_path / "strip.png").shape[1] > 1000


def pixels(path):
    """A clip from a file, as bytes (T, H, W, C)."""
    from minivdit.lab.display import read_clip

    return np.rint(read_clip(path) * 255).astype(np.uint8)


@pytest.fixture
def weights(trained):
    return ["--weights", trained / "model.safetensors", "--steps", 1]


@pytest.fixture
def clip_file(weights, capsys):
    """in.gif: 4 frames of 16x16 that the tiny model drew, with a frame and a caption, enlarged."""
    assert run("sample", "a 3 moving right", *weights, "--out", "in.gif") == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("command", "arguments", "frames"),
    [
        ("animate", ["in.gif"], 4),
        ("animate", ["in.gif", "a 3 moving up", "--frames", 6], 6),
        ("keyframes", ["a 3 moving up", "--at", 0, "in.gif", "--at", 3, "in.gif"], 4),
        ("extend", ["in.gif", "a 3 moving up", "--frames", 5], 9),
        ("extend", ["in.gif", "--frames", 5, "--backwards"], 9),
        ("interpolate", ["in.gif", "a 3 moving up", "--factor", 3], 10),
        ("connect", ["in.gif", "in.gif", "--frames", 3], 11),
        ("loop", ["a 3 moving up", "--frames", 6], 6),
        ("loop", ["--image", "in.gif"], 4),
        ("edit", ["in.gif", "an 8 moving up", "--level", 0.5], 4),
        ("inpaint", ["in.gif", "a 3 moving up", "--mask", "mask.png", "--from", 1, "--to", 2], 4),
    ],
)
def test_every_ability_reads_files_and_writes_one(capsys, weights, clip_file, command, arguments, frames):
    from PIL import Image

    area = np.zeros((16, 16), np.uint8)
    area[:8] = 255
    Image.fromarray(area).save("mask.png")
    assert run(command, *arguments, *weights, "--out", "out.gif") == 0
    printed = capsys.readouterr().out
    assert f"out.gif: 1 x {frames} frames of 16x16" in printed
    assert ("likeness to the first picture of the digit" in printed) == (command == "extend") and (
        "(median)" in printed
    ) == (command == "loop")
    drawn, given = pixels("out.gif"), pixels("in.gif")
    if command in ("animate", "keyframes", "interpolate", "connect"):
        np.testing.assert_array_equal(drawn[0], given[0])
    if command == "extend":
        np.testing.assert_array_equal(drawn[-4:] if "--backwards" in arguments else drawn[:4], given)
    if command == "inpaint":
        np.testing.assert_array_equal(drawn[:, 8:], given[:, 8:])
    assert run(command, *arguments, *weights, "--plain", "--out", "plain.gif") == 0
    np.testing.assert_array_equal(pixels("plain.gif"), drawn)


@pytest.mark.parametrize("ending", ["gif", "png", "mp4"])
def test_what_one_command_draws_the_next_one_reads(capsys, weights, ending):
    """As a person would, with the names that the commands choose: each file goes into the next command."""
    if ending == "mp4":
        pytest.importorskip("av")
    commands = [
        ["sample", "a 3 moving right", "--out", "one"],
        ["extend", "one", "a 3 moving right", "--frames", 4, "--out", "longer"],
        ["edit", "longer", "an 8 moving right", "--level", 0.8, "--out", "eight"],
        ["animate", "one", "a 3 moving up", "--out", "up"],
        ["interpolate", "up", "a 3 moving up", "--out", "dense"],
        ["connect", "one", "up", "a 3 moving right", "--frames", 4, "--out", "both"],
        ["inpaint", "both", "a 3 moving right", "--from", 4, "--to", 7, "--out", "redrawn"],
        ["keyframes", "a 3 moving up", "--at", 0, "one", "--at", 3, "redrawn", "--out", "keys"],
        ["loop", "a 3 moving right", "--image", "keys", "--out", "ring"],
        ["sample", "a 3 moving right", "a 7 moving up", "--out", "two"],
        ["animate", "two#1", "a 7 moving up", "--out", "seven"],
    ]
    names = {"one", "two", "up", "longer", "eight", "dense", "both", "redrawn", "keys", "ring", "seven"}

    def written(word):
        stem, sign, number = str(word).partition("#")
        return f"{stem}.{ending}{sign}{number}" if stem in names else word

    for command in commands:
        assert run(*map(written, command), *weights) == 0, capsys.readouterr().err
        assert "read as it is seen" not in capsys.readouterr().err
    one = pixels(f"one.{ending}")
    assert len(pixels(f"both.{ending}")) == 12
    np.testing.assert_array_equal(pixels(f"both.{ending}")[:4], one)
    np.testing.assert_array_equal(pixels(f"longer.{ending}")[:4], one)
    np.testing.assert_array_equal(pixels(f"seven.{ending}")[0], pixels(f"two.{ending}#1")[0])
    assert "holds 2 clips; choose one of" in refused(capsys, "extend", f"two.{ending}", *weights)


def test_more_clips_than_a_file_can_hold_are_not_drawn(capsys, monkeypatch, weights):
    monkeypatch.setattr(machine, "available_memory", lambda: 1e15)
    line = refused(capsys, "sample", "a 3 moving right", "--count", 300_000, *weights)
    assert "a side has at most 65535; write fewer clips into one file" in line


def test_a_file_says_how_it_was_drawn(capsys, weights, trained):
    from minivdit.data.reading import open_clip

    options = ["--seed", 5, "--guidance", 2, "--sampler", "euler", "--fps", 10]
    assert run("sample", "a 3 moving right", *options, *weights) == 0
    clip = open_clip("clip.gif")
    fingerprint = TextToVideo.load(trained / "model.safetensors").fingerprint()
    expected = {"command": "sample", "seed": 5, "steps": 1, "guidance": 2, "sampler": "euler", "weights": "model"}
    assert clip.about.items() >= (expected | {"fingerprint": fingerprint}).items()
    assert clip.caption == "a 3 moving right" and clip.frames_per_second == 10
    assert run("edit", "clip.gif", "an 8 moving up", "--level", 0.5, *weights) == 0
    assert open_clip("clip.gif").about.items() >= {"command": "edit", "level": 0.5, "seed": 0}.items()


def test_time_is_kept_unless_another_is_asked_for(capsys, weights):
    from minivdit.data.reading import open_clip

    def rate(*arguments):
        assert run(*arguments, *weights, "--out", "out.gif") == 0
        return open_clip("out.gif").frames_per_second, capsys.readouterr().err

    assert run("sample", "a 3 moving right", "--fps", 20, *weights, "--out", "in.gif") == 0
    assert run("sample", "a 3 moving right", *weights, "--out", "slow.gif") == 0
    assert open_clip("slow.gif").frames_per_second == 8
    assert rate("extend", "in.gif")[0] == 20
    assert rate("extend", "in.gif", "--fps", 5)[0] == 5
    assert rate("interpolate", "in.gif")[0] == 40
    fastest, note = rate("interpolate", "in.gif", "--factor", 3)
    assert fastest == 50 and "60 frames a second became 50" in note
    first, note = rate("connect", "slow.gif", "in.gif", "--frames", 4)
    assert first == 8 and "the clips have 8 and 20 frames a second" in note
    for bad in ("60", "0.001"):
        assert "frames a second" in refused(capsys, "sample", "a 3", "--fps", bad, "--weights", "absent")


def test_what_the_weights_do_not_know_is_refused_until_it_is_made_to_fit(capsys, weights):
    """Colours, another size, dark on light, dark strokes on a transparent ground: each with its cure."""
    from PIL import Image

    generator = np.random.default_rng(0)
    colours = [Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(4)]
    colours[0].save("colours.gif", save_all=True, append_images=colours[1:])
    stroke = np.zeros((480, 640), np.uint8)
    stroke[100:400, 300:340] = 255
    Image.fromarray(stroke).save("large.png")
    Image.fromarray(255 - stroke[:300:20, :320:20]).resize((16, 16)).save("paper.png")
    black = Image.merge("LA", [Image.new("L", (640, 480)), Image.fromarray(stroke)])
    black.save("clear.png")
    Image.fromarray(stroke[:28, :28]).save("digit.png")
    for name, reason, done in (
        ("colours.gif", "has colours, and these weights draw in grey", "its colours became grey"),
        (
            "large.png",
            "has 480x640 pixels (height x width), and these",
            "480x640 pixels were scaled to 16x16",
        ),
        ("paper.png", "is dark on light", "dark on light became light on dark"),
        ("clear.png", "is dark on light", "dark on light became light on dark, 480x640 pixels were scaled"),
        ("digit.png", "has 28x28 pixels", "28x28 pixels were scaled to 16x16"),
    ):
        for command in (["animate", name], ["loop", "--image", name], ["keyframes", "--at", 0, name]):
            line = refused(capsys, *command, *weights)
            assert reason in line and "with --fit scale, crop or pad" in line
            assert run(*command, "--fit", "scale", *weights) == 0
            assert f"minivdit: note: {name}: {done}" in capsys.readouterr().err
    Image.fromarray(stroke[250:256, 297:303]).save("small.png")
    assert "with --fit pad, scale or crop" in refused(capsys, "animate", "small.png", *weights)
    assert run("animate", "clear.png", "--fit", "scale", *weights) == 0
    shown = pixels("clip.gif")[0, ..., 0]
    assert shown[8, 8] > 100 and shown[8, :7].max() == 0 == shown[0].max()  # the stroke is light, bands are black
    capsys.readouterr()
    line = refused(capsys, "animate", "digit.png", "--fit", "pad", *weights)
    assert "digit.png has 28x28 pixels (height x width), which don't fit into 16x16; choose --fit scale" in line


def test_a_mask_is_made_to_fit_with_its_clip(capsys, weights):
    from PIL import Image

    picture = np.zeros((32, 64), np.uint8)
    picture[8:24, 30:34] = 255
    Image.fromarray(picture).save("wide.png")
    area = np.zeros((32, 64, 4), np.uint8)
    area[:, 32:, 3] = 255
    Image.fromarray(area).save("half.png")
    Image.fromarray(0 * picture).save("black.png")
    films = [Image.fromarray(np.roll(picture, step, axis=1)) for step in range(4)]
    films[0].save("wide.gif", save_all=True, append_images=films[1:])
    assert "has 32x64 pixels" in refused(capsys, "inpaint", "wide.gif", "--mask", "half.png", *weights)
    command = ["inpaint", "wide.gif", *weights, "--fit", "crop", "--mask"]
    assert run(*command, "black.png") == 2
    assert "the mask black.png is black everywhere, so there is nothing to draw" in capsys.readouterr().err
    assert run("inpaint", "wide.gif", "--mask", "half.png", "--fit", "crop", *weights, "--out", "new.gif") == 0
    assert run("animate", "wide.gif", "--fit", "crop", *weights, "--out", "same.gif") == 0
    np.testing.assert_array_equal(pixels("new.gif")[0, :, :8], pixels("same.gif")[0, :, :8])
    assert (pixels("new.gif")[0, :, 8:] != pixels("same.gif")[0, :, 8:]).any()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["keyframes", "--at", 9, "in.gif"], "a time must be a whole number from 0 to 3, not 9"),
        (["edit", "in.gif", "a 3 moving up", "--level", 2], "a number above 0 and up to 1"),
        (["inpaint", "in.gif", "--from", 3, "--to", 1], "no frames 3 to 1"),
        (["inpaint", "in.gif", "--to", 4], "no frames 0 to 4 in a clip of 4"),
        (["inpaint", "in.gif", "--mask", "wide.png"], "has 16x20 pixels (height x width) and the clip 16x16; give"),
        (["animate", "wide.png"], "has 16x20 pixels (height x width), and these weights draw 16x16"),
        (["animate", "in.gif", "a dog moving up"], "'dog' is no digit"),
        (["animate", "in.gif", "--frames", 10**6], "no clip of more than 262,144 can be read again"),
        (["extend", "in.gif", "--frames", 10**6], "no clip of more than 262,144 can be read again"),
        (["animate", "damaged.png"], "damaged.png can't be read"),
    ],
)
def test_files_and_times_that_do_not_fit(capsys, monkeypatch, trained, clip_file, arguments, expected):
    from PIL import Image

    monkeypatch.setattr(machine, "available_memory", lambda: 4e9)  # whatever this machine has
    Image.fromarray(np.zeros((16, 20), np.uint8)).save("wide.png")
    Path("damaged.png").write_bytes(b"not a picture")
    assert expected in refused(capsys, *arguments, "--weights", trained / "model.safetensors")


def test_explore_writes_a_page(capsys, trained, tmp_path):
    weights = ["--weights", trained / "model.safetensors", "--steps", 2]
    command = ["explore", "a 3 moving right", "--restrict", "framewise,perframe", "--moments", 9]
    assert run(*command, "--out", "page.html", *weights) == 0
    printed = capsys.readouterr()
    assert "page.html: joint, framewise, perframe; 0.0 MB" in printed.out and "4 steps of training" in printed.err
    assert "there are 2 denoising steps, so the page shows 2, not 9" in printed.err
    assert "not what it learns" in (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "folder.html").mkdir()
    assert "could not write" in refused(capsys, "explore", "a 3 moving right", "--out", "folder.html", *weights)


def test_evaluate_prints_ceilings_and_floors(capsys, trained, tmp_path):
    arguments = ["--weights", trained / "model.safetensors", "--prompts", 8, "--out", "report.json"]
    assert run("evaluate", *arguments) == 0
    printed = capsys.readouterr().out
    assert "1 digit a clip" in printed and "drawn" in printed and "other captions" in printed
    assert printed.count("frames that show the digit asked for") == 1
    columns = json.loads((tmp_path / "report.json").read_text())["1 digits"]["columns"]
    assert columns["real"]["direction"]["mean"] > columns["frozen"]["direction"]["mean"]


def test_figures_are_saved_before_they_are_printed_and_clips_before_they_are_judged(capsys, trained, monkeypatch):
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
    assert "holds other clips: seed is 0, here 1" in refused(capsys, "evaluate", *arguments, "--seed", 1)


def test_two_evaluations_are_compared_clip_by_clip(capsys, trained, monkeypatch):
    arguments = ["evaluate", "--weights", trained / "model.safetensors", "--prompts", 4]
    assert run(*arguments, "--out", "one.json") == 0
    assert run(*arguments, "--steps", 2, "--against", "one.json", "--out", "two.json") == 0
    printed = capsys.readouterr().out
    assert "model minus model, the same captions and noise, clip by clip" in printed and "corrected by Holm" in printed
    rows = json.loads(Path("two.json").read_text())["against"]["rows"]
    assert {row["metric"] for row in rows} >= {"obeys", "flawless", "number", "frechet_clips"}
    monkeypatch.setattr("minivdit.generation.TextToVideo.generate", None)  # what can't be compared isn't drawn
    assert "seed is 0, here 1" in refused(capsys, *arguments, "--seed", 1, "--against", "one.json")
    assert "clips is 4, here 5" in refused(capsys, *arguments, "--prompts", 5, "--against", "one.json")
    assert "held_out is False, here True" in refused(capsys, *arguments, "--held-out", "--against", "one.json")
    assert "has 1 digits, not 2 digits" in refused(capsys, *arguments, "--per-clip", 2, "--against", "one.json")


def closed_pipe(*_, **__):
    raise BrokenPipeError


def test_a_comparison_from_the_command_to_the_report(capsys, tmp_path):
    tiny = [
        "--preset",
        "tiny",
        "--set",
        "autoencoder_training.steps=2",
        "--set",
        "sampling.steps=1",
        "--digits",
        "strokes",
    ]
    arguments = [*tiny, "--patterns", "framewise,joint", "--seeds", 1, "--steps", 2, "--prompts", 3, "--equal", "steps"]
    assert run("compare", *arguments, "--out", "study") == 0
    printed = capsys.readouterr().out
    assert "equal steps: 2 trainings to do" in printed and "no difference is called" in printed
    for name in ("report.html", "report.md", "report.json", "clips-1.gif", "seed0/joint/model.safetensors"):
        assert (tmp_path / "study" / name).stat().st_size > 0
    before = json.loads((tmp_path / "study" / "report.json").read_text())["tables"][0]
    assert run("compare", "--report-only", "--out", "study", "--equal", "steps") == 0
    assert json.loads((tmp_path / "study" / "report.json").read_text())["tables"][0] == before
    skip = ["--patterns", "joint,skip"]  # which isn't there
    assert "fewer than two patterns" in refused(capsys, "compare", "--report-only", "--out", "study", *skip)
    assert refused(capsys, "compare", *arguments, "--out", "study", "--set", "training.batch=4").count(
        "training.batch is 8"
    )


def test_data_preview_shows_the_classic_clips_too(capsys, tmp_path):
    import imageio.v3 as imageio

    assert run("data", "--size", "24x40", "--frames", 5, "--count", 2, "--digits", "strokes", "--digit-size", 12) == 0
    assert "digits: strokes; captioned clips: 5 frames of 24x40" in capsys.readouterr().out
    preview = tmp_path / "data-preview"
    assert sorted(path.name for path in preview.iterdir()) == ["captioned.gif", "captioned.png", "classic.gif"]
    classic = imageio.imread(preview / "classic.gif", plugin="pillow", mode="L")
    assert len(classic) == 20 and np.ptp(classic) > 200


def test_the_demo_leaves_its_pictures_and_prints_its_marks(capsys, tmp_path):
    assert run("demo", "--preset", "tiny", "--minutes", 0.01, "--prompts", 4) == 0
    printed = capsys.readouterr().out
    for name in ("clips.gif", "summary.png", "report.json", "explorer.html", "run/model.safetensors"):
        assert (tmp_path / "demo" / name).stat().st_size > 0
    names = [line.split()[0] for line in printed.splitlines() if line.startswith("   ") and " 0." in line]
    assert names == ["digit_frames", "digit", "direction", "obeys", "flawless", "one_class", "on_path"]
    assert "steps are too few to learn digits" in printed and "Expect grey squares instead of digits" in printed
    assert "Next:" in printed and "minivdit sample" in printed


def test_one_clip_of_several_is_drawn_again_alone_and_away_from_a_caption(trained, capsys, tmp_path):
    from minivdit.lab.display import read_clip

    command = ["sample", "a 3 moving right", "a 7 moving up", "--count", 2, "--seed", 4, "--negative", "a 1 moving up"]
    command += ["--weights", trained / "model.safetensors"]
    together = TextToVideo.load(trained / "model.safetensors").generate(
        ["a 3 moving right"] * 2 + ["a 7 moving up"] * 2, seed=4, negative_prompt="a 1 moving up"
    )
    assert run(*command, "--index", 2, "--plain", "--out", tmp_path / "third.gif") == 0
    np.testing.assert_allclose(read_clip(tmp_path / "third.gif"), together[2], atol=0.51 / 255)
    assert np.abs(together[3] - together[2]).max() > 1 / 255
    capsys.readouterr()
    assert "there is no clip 4 among 4, counted from 0; change --index" in refused(capsys, *command, "--index", 4)
    assert "no effect at guidance 1" in refused(capsys, *command, "--guidance", 1)
    assert "'cat' is no digit" in refused(capsys, *command, "--negative", "a cat")


def test_what_training_never_showed_is_said(trained, capsys):
    prompts = ["digits 4 and 7", "right a moving", "a 3 moving right"]
    assert run("sample", *prompts, "--weights", trained / "model.safetensors", "--steps", 1, "--out", "clip.gif") == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if "note:" in line]
    about_digits = [note for note in notes if "these weights were trained on clips of 1" in note]
    assert len(about_digits) == 1 and "'digits 4 and 7' has 2 digits" in about_digits[0]
    assert len([note for note in notes if "steps of training" not in note]) == 3
    assert any("'digits 4 and 7' doesn't say where to" in note for note in notes)
    assert any("'right a moving' names no digit: the model picks a digit" in note for note in notes)


def test_what_a_caption_leaves_open_is_said_once_and_before_anything_is_drawn(trained, capsys, monkeypatch):
    def draw(model, *arguments, **options):
        errors = capsys.readouterr().err
        assert errors.count("note:") == errors.count("the model") == 2
        assert "'a 3' doesn't say where to: the model picks a direction; to choose, try: a 3 moving right\n" in errors
        assert "an empty caption says nothing: the model draws any digit, moving any way\n" in errors
        raise InputError("that was all")

    monkeypatch.setattr(TextToVideo, "generate", draw)
    assert "that was all" in refused(
        capsys, "sample", "a 3", "", "--count", 3, "--weights", trained / "model.safetensors"
    )
