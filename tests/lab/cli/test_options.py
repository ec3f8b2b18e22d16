"""Options: every default is said, help fits a terminal, and numbers have ranges."""

import argparse

import pytest

from minivdit.data.own_clips import FITS, MOMENTS, SHORT
from minivdit.diffusion import SAMPLERS
from minivdit.kernels.formats import STORED_AS
from minivdit.lab.cli import data, groups, kernels
from minivdit.lab.cli import main as cli
from minivdit.lab.cli.options import number, seed, size, whole


def parsers():
    """(name, Parser) of every command, and of those of `minivdit kernels`."""
    waiting = [("minivdit", cli.build_parser())]
    for name, parser in waiting:
        yield name, parser
        choices = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        waiting += [(f"{name} {word}", made) for commands in choices for word, made in commands.items()]


@pytest.mark.parametrize(("name", "parser"), list(parsers()))
def test_every_option_says_its_default_in_the_same_form(name, parser):
    for action in parser._actions:
        takes_a_value = action.nargs != 0 and not isinstance(action, argparse._SubParsersAction)
        may_be_left_out = takes_a_value and (not action.required or action.nargs == "*")
        text = parser._get_formatter()._expand_help(action) if action.help and takes_a_value else ""
        assert text or not takes_a_value, action.dest
        assert (text.endswith(")") and "(default: " in text) == may_be_left_out, f"{name}: {text}"
        if may_be_left_out and isinstance(action.default, (int, float)):
            assert text.endswith(f"(default: {action.default})")


@pytest.mark.parametrize(("name", "parser"), list(parsers()))
def test_help_fits_80_columns(name, parser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert not [line for line in parser.format_help().splitlines() if len(line) > 80]


def test_where_weights_are_chosen_it_is_said_what_they_are(capsys):
    for command in ("sample", "explore", "evaluate", "compare"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        text = capsys.readouterr().out
        for name in ("joint", "framewise", "perframe"):
            assert f"\n  {name:9}  " in text


def test_choices_are_those_of_the_library():
    assert tuple(SAMPLERS) == groups.SAMPLERS and tuple(STORED_AS) == kernels.DTYPES
    assert (tuple(FITS), tuple(MOMENTS), tuple(SHORT)) == (data.FITS, data.MOMENTS, data.SHORT)


@pytest.mark.parametrize(
    ("convert", "good", "bad"),
    [
        (whole(1, 100), {"1": 1, "100": 100, "\uff13": 3}, ["0", "101", "-1", "1.5", "", "²", "9" * 5000, "\udc80"]),
        (seed, {"0": 0, str(2**63 - 1): 2**63 - 1}, ["-1", "1e3", "9" * 300]),
        (number(0, 10), {"1e-3": 0.001, "10": 10}, ["0", "-1", "11", "nan", "inf", "1e308", "9" * 5000, "ten"]),
        (number(-5, 5), {"-5": -5, "5": 5, "0": 0}, ["-5.1", "inf", "-inf"]),
        (
            size,
            {"64x96": (64, 96), "8": (8, 8), "\uff16X\uff16": (6, 6)},
            ["", "x", "0x8", "8x8x8", "9" * 300, "64by64"],
        ),
    ],
)
def test_numbers_have_ranges(convert, good, bad):
    assert {text: convert(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError) as refusal:
            convert(text)
        assert len(str(refusal.value)) < 150
