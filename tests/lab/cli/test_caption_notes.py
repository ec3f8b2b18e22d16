"""Notes on captions before anything is drawn."""

import re

import pytest

from minivdit.lab.cli.caption_notes import what_is_left_open, without_quotes


@pytest.mark.parametrize(
    ("words", "forgotten"),
    [
        ("a 3 moving right", True),
        ("the digit five drifts dwon", True),
        ("3 going up", True),
        ("a 3", True),
        ("3 7", False),
        ("right", False),
    ],
)
def test_quotes_that_were_forgotten(words, forgotten):
    assert without_quotes(words.split()) is forgotten
    assert not without_quotes([words, words]) or " " not in words


@pytest.mark.parametrize(
    ("caption", "note"),
    [
        ("a 3 moving right", None),
        ("digits 3 and 7 moving right, then a 7 moving up", None),
        ("", "an empty caption says nothing: the model draws any digit, moving any way"),
        ("!", "'!' has no words: the model draws any digit, moving any way"),
        ("🙂", "'🙂' has no words: the model draws any digit"),
        ("a 3 moving right 🙂", None),
        ("two digits", "'two digits' names no digits and doesn't say where to: .* two digits and a direction; .* try: "
                       "a 3 moving right and a 7 moving up"),
        ("digits moving down", "names no digits: .* try: a 3 moving down and a 7 moving down"),
        ("a 3 moving diagonally", "doesn't say where to: .* try: a 3 moving up and right"),
        ("a 3 moving very quickly right", None),
        ("a 3 moving very fast right and a 7 moving up", "has two digits; training showed very quick ones alone"),
        ("a 3", "'a 3' doesn't say where to: the model picks a direction; to choose, try: a 3 moving right"),
        ("4 and 7", "doesn't say where to: .* try: a 4 moving right and a 7 moving up"),
        ("moving left", "'moving left' names no digit: the model picks a digit; to choose, try: a 3 moving left"),
        ("moving 3 up", "training showed no sentence such as 'moving 3 up', so expect less of it: at the start"),
    ],
)  # fmt: skip
def test_what_a_caption_leaves_open_is_said(caption, note):
    said = what_is_left_open(caption)
    assert said is note or re.match(note if note.startswith(("an", "'", "tr")) else f".*{note}", said)
