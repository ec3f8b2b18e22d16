"""Whatever is given to an option, a command ends with a line for the user: never with a bug, never with a traceback."""

import argparse

import numpy as np
import pytest

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.generation import TextToVideo
from minivdit.generation.weights import shipped
from minivdit.kernels import compile
from minivdit.lab import display, evaluation, explorer, studio
from minivdit.lab import study as studies
from minivdit.lab.benchmarks import cpu, gpu, kernel_attention_check, kernel_fused_check
from minivdit.lab.cli import doctor
from minivdit.lab.cli import main as cli
from minivdit.lab.pipeline import train as pipeline

ABSURD = ["", "0", "-1", "7", "0.5", "1e308", "-1e308", "nan", "inf", "9" * 300, "1" * 5000, "x" * 5000, "1e5"]
ABSURD += ["\udc80", "\ud800", "\x1b[31m", "\uff13", "%s %(x)d {}", "1x1", "99999x99999", "=", "a,b", "a=b"]
PARSER = cli.build_parser()


def commands(parser):
    """{name: Parser} of the commands of a parser."""
    (found,) = (action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return found


COMMANDS = commands(PARSER)
COMMANDS |= {f"kernels {name}": parser for name, parser in commands(COMMANDS["kernels"]).items()}
POSITIONAL = {
    "sample": ["a 3 moving right"],
    "animate": ["in.png"],
    "keyframes": ["--at", "0", "in.png"],
    "extend": ["in.gif"],
    "interpolate": ["in.gif"],
    "connect": ["in.gif", "in.gif"],
    "edit": ["in.gif", "a 3 moving right"],
    "inpaint": ["in.gif"],
    "explore": ["a 3 moving right"],
    "train": ["tiny"],
    "costs": ["tiny"],
    "bench": ["cpu"],
    "kernels emulate": ["bias_gelu"],
    "lessons": ["report", "in.png"],
}


@pytest.fixture(scope="module")
def model():
    return TextToVideo.load("small")


@pytest.fixture
def light(model, monkeypatch, tmp_path):
    """Commands in an empty folder with two files of clips; what takes long is left out, but not its checks."""
    from minivdit.lab.display import write_clip

    def stop(*arguments, **options):
        raise InputError("stopped before the work")

    def begin(self, prompt, given, **drawing):
        self.denoise(prompt, given=given, **drawing)
        stop()

    load = TextToVideo.load
    monkeypatch.setattr(TextToVideo, "load", lambda path=None: model if path in (None, *shipped()) else load(path))
    monkeypatch.setattr(TextToVideo, "draw", begin)
    monkeypatch.setattr(machine, "available_memory", lambda: 3 * 10**8)
    monkeypatch.setattr(machine, "cores_speed", lambda: 1e11)
    monkeypatch.setattr(machine, "core_speed", lambda: 1e11)
    for room, names in {
        studies: ["compare_weights", "run_study"],
        display: ["write_grid"],
        doctor: ["report"],
        evaluation: ["judge_model"],
        explorer: ["explore"],
        pipeline: ["train_model"],
        studio: ["serve"],
        cpu: ["bench"],
        gpu: ["bench"],
        kernel_attention_check: ["errors"],
        kernel_fused_check: ["errors"],
        compile: ["compile_file"],
    }.items():
        for name in names:
            monkeypatch.setattr(room, name, stop)
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path / "no-mnist"))
    monkeypatch.delenv("MINIVDIT_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "build_parser", lambda: PARSER)
    write_clip("in.gif", np.zeros((8, 32, 32, 1), np.float32))
    write_clip("in.png", np.zeros((1, 32, 32, 1), np.float32))


def attempts(name, parser):
    """Command lines with one absurd value each."""
    usual = [*name.split(), *POSITIONAL.get(name, [])]
    for action in parser._actions:
        for value in ABSURD if action.nargs != 0 else []:
            if not action.option_strings:
                yield [*name.split(), *(["cpu"] if name == "bench" and action.dest != "where" else []), value]
            elif action.nargs == 2:
                yield [*usual, action.option_strings[0], value, "in.png"]
            else:
                yield [*usual, f"{action.option_strings[0]}={value}"]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_value_of_an_option_is_a_bug(name, light, capsys):
    for arguments in attempts(name, COMMANDS[name]):
        code = cli.main(arguments)
        error = capsys.readouterr().err
        assert code in (0, 2) and "bug" not in error and "Traceback" not in error, f"{arguments}: {error}"
        assert len(error) < 3000 and "\x1b" not in error, f"{arguments}: {error}"
