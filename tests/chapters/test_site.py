"""The site: the reference is made from docstrings, and what leads nowhere fails the build.

The whole of it is built, and looked at, by tests/test_readme.py, since it is a command of chapters/README.md.
"""

import re
import shutil

import pytest

from minivdit.autograd import attend
from minivdit.nn import optim

DOCSTRING = """Like `simple_attention`, `or so`.

x: (N, d); cos, sin: (N, d/2), of
angles, not of scale: x. Returns (N, d), by:
    a  b
or not.

1. One
   more."""


def test_arguments_become_a_list_and_names_become_links(api):
    """As they stand in docstrings: one after the other in running text, and in backticks."""

    def operation(x, cos, sin, scale):
        pass

    assert re.split(r"\n{2,}", api.markup(DOCSTRING, operation, [attend])) == [
        "Like :py:obj:`simple_attention <minivdit.autograd.attend.simple_attention>`, ``or so``.",
        "- **x**: (N, d)",
        "- **cos, sin**: (N, d/2), of\n  angles, not of scale: x.",
        "Returns (N, d), by:",
        "::",
        "    a  b",
        "or not.",
        "1. One\n   more.",
    ]


def test_signs_of_formulas_are_not_taken_for_markup(api):
    words = api.linked("`_Optimiser`, `Muon`, a *pullback*, a * b, 2**3, |x|, y_", [optim])
    known = ":py:obj:`Muon <minivdit.nn.optim.Muon>`"
    assert words == rf"``_Optimiser``, {known}, a *pullback*, a \* b, 2\*\*3, \|x\|, y\_"


def test_the_reference_has_a_page_for_each_room_that_names_its_modules(api, tmp_path):
    api.write(tmp_path)
    written = {path.stem: path.read_text() for path in tmp_path.iterdir()}
    assert {"base", "autograd", "diffusion", "models", "data", "generation", "lab.evaluation"} <= set(written)
    assert "automodule:: minivdit.lab.evaluation.judge\n" in written["lab.evaluation"]
    assert re.findall(r"automodule:: (\S+)", written["nn"])[:2] == ["minivdit.nn", "minivdit.nn.layers"]


@pytest.fixture
def chapters(build, tmp_path):
    """A site that takes a second: all pages but one are only a title, and the reference has only its first room."""
    for needed in ("sphinx", "myst_nb", "furo", "latex2mathml"):
        pytest.importorskip(needed, reason=f"{needed} isn't installed; pip install -e '.[site]'")
    nbformat = pytest.importorskip("nbformat", reason="nbformat isn't installed; pip install -e '.[dev]'")
    made = shutil.ignore_patterns("_build", "api", "source", "pictures", "*.ipynb")
    chapters = shutil.copytree(build.CHAPTERS, tmp_path / "chapters", ignore=made)
    for page in chapters.glob("*.md"):
        page.write_text(f"# {page.stem}\n", encoding="utf-8")
    title = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A notebook")])
    for page in ("00_start_here.ipynb", "solutions/00_start_here.ipynb"):
        nbformat.write(title, chapters / page)
    with open(chapters / "api.py", "a", encoding="utf-8") as program:
        program.write("\n\nall_rooms = list(rooms())\n\n\ndef rooms():\n    return all_rooms[:1]\n")
    return chapters


def test_what_leads_nowhere_fails_the_build(build, chapters, capfd):
    """Each of these is a warning, and any warning is an error."""
    planted = {
        "nobody-1900": "[a source](references.md#nobody-1900)",
        "nowhere.md": "[a page](nowhere.md)",
        "99_nothing.ipynb": "[a chapter](99_nothing.ipynb#part)",
        "minivdit.nothing": "{py:obj}`minivdit.nothing`",
        "nosuchsign": r"$\nosuchsign x$",
    }
    with open(chapters / "glossary.md", "a", encoding="utf-8") as glossary:
        glossary.write("".join(f"\nSee {link}.\n" for link in planted.values()))
    assert build.make_site(chapters) != 0
    complaints = [line for line in capfd.readouterr().err.splitlines() if "WARNING" in line]
    assert len(complaints) == len(planted) and all("glossary.md" in line for line in complaints)
    assert all(any(name in line for line in complaints) for name in planted), complaints
