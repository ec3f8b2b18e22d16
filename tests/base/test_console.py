"""Printing: it can't fail, a terminal isn't commanded by what files hold, and bars stay away where none are wanted."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minivdit
from minivdit.base import console
from minivdit.lab.cli import main as cli

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(minivdit.__file__).parents[1])}


def printed(text, encoding="utf-8"):
    raw = io.BytesIO()
    stream = console.Stream(io.TextIOWrapper(raw, encoding, newline="\n"))
    print(text, end="", file=stream, flush=True)
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("0.5 ±0.1 ✓", "utf-8", "0.5 ±0.1 ✓"),
        ("0.5 ±0.1", "ascii", "0.5 \\xb10.1"),
        ("Пример", "cp1252", "\\u041f\\u0440\\u0438\\u043c\\u0435\\u0440"),
        ("lone \udc80", "utf-8", "lone \\udc80"),
        ("\x1b]0;title\x07\x9b31m\u202e", "utf-8", "\\x1b]0;title\\x07\\x9b31m\\u202e"),
        ("two\n\tlines", "utf-8", "two\n\tlines"),
        ("\r 50%", "utf-8", "\r 50%"),  # a progress bar
        ("good\rbad", "utf-8", "good\\rbad"),
    ],
)
def test_every_text_can_be_printed_and_none_commands_a_terminal(text, encoding, shown):
    assert printed(text, encoding) == shown


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.mark.parametrize("stream", [None, Broken()])
def test_a_stream_that_is_not_there_or_breaks_is_no_error(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    console.note("nobody reads this")
    with console.streams_that_never_fail():
        console.note("nor this")
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["train"]) == 0 and cli.main(["sampel"]) == 2
    bar = console.progress_bar("drawing", 2)
    bar.update()
    bar.close()


def test_an_error_with_escapes_and_lone_surrogates_is_one_harmless_line(capsys):
    assert cli.main(["train", "\x1b[31m\udc80\nred" + "x" * 10_000]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "\x1b" not in error and len(error) < 200


@pytest.mark.skipif(os.name == "nt", reason="a shell's redirections")
@pytest.mark.parametrize(
    ("redirection", "code"), [("2>&-", 0), (">&-", 0), (">&- 2>&- <&-", 0), ("| head -c 1", 0), (">/dev/full", 2)]
)
def test_closed_and_broken_outputs(redirection, code, tmp_path):
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    script = f"set -o pipefail; '{sys.executable}' -m minivdit train tiny --show {redirection}"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=ENVIRONMENT, cwd=tmp_path)
    assert result.returncode == code and "Traceback" not in result.stderr and "Exception" not in result.stderr
    assert (code == 0) or "not all could be printed: the disk is full" in result.stderr
