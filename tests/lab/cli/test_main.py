"""The command line: help worth reading, and one line for every error."""

import errno
import importlib
import inspect
import os
import pkgutil
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minivdit
from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.lab import cli as families
from minivdit.lab.cli import doctor
from minivdit.lab.cli import main as cli

# Other processes find the minivdit that is tested here, installed or not.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(minivdit.__file__).parents[1])}
ABILITIES = ("animate", "keyframes", "extend", "interpolate", "connect", "loop", "edit", "inpaint")
COMMANDS = (
    "demo",
    "sample",
    *ABILITIES,
    "studio",
    "explore",
    "train",
    "evaluate",
    "compare",
    "study",
    "scaling",
    "card",
    "lessons",
    "data",
    "bench",
    "kernels",
    "doctor",
)


def test_help_names_every_command(run, capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert all(f"\n    {command}" in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_in_the_help_are_commands_that_parse(run, command, capsys):
    assert run(command, "--help") == 0
    text = capsys.readouterr().out
    examples = [
        line.split("   ")[0].strip() for line in text.split("examples:\n")[1].replace("\n  ", "\n").splitlines()
    ]
    examples = [line for line in examples if line]
    assert examples
    for example in examples:
        before = ("MINIVDIT_DATA=~/sets ", "mpiexec -n 2 ")  # of which a line may have one
        words = shlex.split(example.removeprefix(next(filter(example.startswith, before), "")))
        assert words[0] == "minivdit" and words[1] == command
        cli.build_parser().parse_args(words[1:])  # raises InputError if it doesn't


def test_no_command_of_a_family_is_forgotten():
    """Every add_... of a file in lab/cli, but for what options and groups of them add to any command."""
    listed = {function for several in cli.FAMILIES.values() for function in several}
    for found in pkgutil.iter_modules(families.__path__, f"{families.__name__}."):
        names = vars(importlib.import_module(found.name)).items()
        own = [thing for name, thing in names if name.startswith("add_") and thing.__module__ == found.name]
        ways = [function for function in own if list(inspect.signature(function).parameters) == ["commands"]]
        subcommands = ("add_list", "add_compile", "add_emulate")  # of kernels
        assert {function for function in ways if function.__name__ not in subcommands} <= listed


def test_without_a_command_there_is_help(run, capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert run() == 0
    assert capsys.readouterr().out == text


def test_help_needs_no_docstrings(run, tmp_path):
    command = [sys.executable, "-OO", "-m", "minivdit", "sample", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert result.returncode == 0 and "Draw clips from captions" in result.stdout


def test_version(run, capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"minivdit {minivdit.__version__}\n"


def test_python_m_minivdit_is_the_same_command(run):
    command = [sys.executable, "-m", "minivdit", "smaple"]
    result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert (
        result.returncode == 2
        and "'smaple' is not a command; did you mean 'sample'?" in result.stderr
        and result.stdout == ""
    )


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
        (["bench"], "required: {cpu,gpu,mpi}"),
        (["animate", "."], ". is a folder; give a picture"),
        (["train", "tiny", "--set", "transformer.width=wide"], "takes a whole number"),
        (["train", "tiny", "--set", "data.size=16,17"], "multiple of"),
        (["train", "tiny", "--resume"], "no run to go on with"),
        (["train", "tiny", "--minutes", "inf"], "not a number above 0"),
        (
            ["study", "--patterns", "framwise,joint"],
            "'framwise' is not a pattern that can be compared; nearest: fram",
        ),
        (["study", "--patterns", "joint"], "two patterns or more"),
        (["study", "--worlds", "balls"], "choose ball, digits, each once"),
        (["study", "--worlds", "ball", "--report-only"], "24 of 24 trainings are missing in runs"),
        (
            ["compare", "--recipes", "sora"],
            "is not an option of compare: 'minivdit study --recipes NAMES' trains",
        ),
        (["study", "--recipes", "soraa"], "'soraa' is not a recipe"),
        (["study", "--recipes", ""], "one or more, not none"),
        (["scaling", "--factors", "1,2,x,8"], "--factors takes whole numbers with commas between them, not 'x'"),
        (["scaling", "--factors", "1,4,32"], "factors are four or more that rise"),
        (["compare", "--weights", "joint"], "two weights or more"),
        (["compare", "--weights", "absent.safetensors"], "no weights at absent.safetensors"),
        (["explore"], "required: prompt"),
        (["explore", "a 3 moving right", "--out", "page.gif"], "ends in .html"),
        (["explore", "a 3 moving right", "--moments", "0"], "from 1 to"),
        (
            ["explore", "a 3 moving right", "--weights", "jiont"],
            "no weights at jiont; give a file, the folder of a run, or one of colour",
        ),
        (["explore", "a 3 moving right", "--restrict", "framwise"], "nearest: framewise"),
        (["explore", "a 3 moving right", "--weights", "joint", "--weights", "small"], "can't be shown side by side"),
        (["explore", "a 3 moving rigt"], "nearest: right"),
        (["explore", "a 3 moving right", "--size", "60x64"], "48 or 64"),
        (["data", "--size", "8x8", "--digit-size", "9"], "8x8"),
        (["data", "--digits", "letters"], "choose auto, mnist, strokes"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2(refused, tmp_path, arguments, expected):
    assert expected in refused(*arguments)
    assert list(tmp_path.iterdir()) == []  # and nothing was begun


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
def test_what_cannot_be_done_is_refused_before_any_work(refused, arguments, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "available_memory", lambda: 4e9)
    monkeypatch.setattr("minivdit.data.digit_source", None)
    monkeypatch.setattr("minivdit.generation.TextToVideo.draw", None)
    assert expected in refused(*arguments)
    assert list(tmp_path.iterdir()) == []


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
def test_whatever_a_command_raises_is_one_line(run, capsys, monkeypatch, error, code, expected):
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
def test_a_command_that_is_ended_says_so(run, capsys, monkeypatch, name):
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
