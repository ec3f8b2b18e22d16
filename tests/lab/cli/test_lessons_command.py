"""`minivdit lessons report`: a class is graded, and what can't be is said."""

import json

import pytest

SOLVED = """# %%
import numpy as np
from minivdit.lab.lessons import check

# %%
def backwards(video):
    return np.flip(video, axis=1)

check.ch00_backwards(backwards)
"""


@pytest.fixture
def group(tmp_path):
    """A class: ann has solved one exercise; bob's file is rubbish, kim's no notebook; eve prints "Right"; joe's chapter
    isn't known."""
    eve = {"cell_type": "code", "source": "print('Right: 6 random cases agree.')\ndef backwards(video):\n    pass"}
    texts = {
        "ann/00_start_here.py": SOLVED,
        "bob/00_start_here.ipynb": "{garbage",
        "joe.py": "# %%\nx = 1\n",
        "kim/a.py": "x = 1",
    }
    texts["eve/00_start_here.ipynb"] = json.dumps({"cells": [eve]})
    for place, text in texts.items():
        path = tmp_path / "class" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "class"


def test_a_class_is_graded(run, group, capsys):
    assert run("lessons", "report", group, "--csv", "class.csv", "--why") == 0
    assert capsys.readouterr().out.splitlines() == [
        "chapter 0  backwards  beside  spread  solved",
        "ann        yes        -       -       1 of 3",
        "bob        -          -       -       0 of 3",
        "eve        no         -       -       0 of 3",
        "joe        -          -       -       0 of 3",
        "kim        -          -       -       0 of 3",
        "solved by  1          0       0",
        "",
        "eve, ch00_backwards: Not yet: the clip: nothing was returned. Is the stub filled in?",
        "",
        f"left out: {group}/bob/00_start_here.ipynb can't be read as a notebook; open it in Jupyter and save it again",
        f"left out: {group}/joe.py: which chapter is it? It calls no check, and no chapter's number is in its name",
        f"left out: no notebooks in {group}/kim; there may be .ipynb, and .py with cells that begin '# %%'",
        "class.csv",
    ]
    with open("class.csv") as file:
        head, *rows = file.read().splitlines()
    assert head == "student,ch00_backwards,ch00_beside,ch00_spread,solved"
    assert rows == ["ann,1,,,1", "bob,,,,0", "eve,0,,,0", "joe,,,,0", "kim,,,,0"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["absent"], "there is no folder or notebook absent"),
        (["empty"], "no notebooks in empty; there may be .ipynb, and .py with cells"),
        (["notes.txt"], "notes.txt is not a notebook; give an .ipynb"),
        (["new.py"], "new.py: which chapter is it?"),
        (["new.py", "--timeout", "0"], "not a number above 0"),
        ([], "required: PATH"),
    ],
)
def test_what_cannot_be_graded_is_one_line(refused, tmp_path, arguments, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "new.py").write_text("x = 1\n")
    assert expected in refused("lessons", "report", *arguments)
