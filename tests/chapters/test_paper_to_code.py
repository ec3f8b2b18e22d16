"""The page from symbols to code: every file and every name that it gives exists, and so do its sources and chapters."""

import ast
import re
from pathlib import Path

import pytest

CHAPTERS = Path(__file__).parents[2] / "chapters"
PAGE = (CHAPTERS / "paper_to_code.md").read_text(encoding="utf-8")
HEAD = ["symbol", "term in papers", "name here", "file", "chapter"]
CENTRAL = ("$x_0$", "$\\epsilon$", "$v$", "$\\beta_t$", "$w$", "$c$", "$z$", "$Q, K, V$", "$\\mu$", "$\\theta$", "$h$")


def rows():
    """The cells of each row, as lists, without the tables' heads."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [row for row in cells if row != HEAD and not row[0].startswith("---")]


def names_in(path):
    """All names of a file, and those of methods as Class.method."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found |= {getattr(node, field, None) for field in ("name", "id", "arg", "attr")}
        if isinstance(node, ast.ClassDef):
            inside = [getattr(part, "name", None) for part in node.body]
            targets = [target for part in node.body if isinstance(part, ast.Assign) for target in part.targets]
            inside += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
            found |= {f"{node.name}.{name}" for name in inside}
    return found


def missing(row):
    """What a row names and what isn't there."""
    files = [CHAPTERS / link for link in re.findall(r"\]\(([^)]+)\)", row[3])]
    yield from (str(path) for path in files if not path.is_file())
    known = set().union(*(names_in(path) for path in files if path.is_file()))
    yield from (name for name in re.findall(r"`-?([\w.]+)`", row[2]) if name not in known)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_names_what_is_there(row):
    symbol, term, name, file, chapter = row
    assert re.search(r"\$[^$]+\$", symbol) and "](references.md#" in term
    assert "`" in name and re.fullmatch(r"(\[(\w+\.py)\]\(\.\./minivdit/[\w/]+/\2\)(, )?)+", file)
    assert re.fullmatch(r"\[(\d+)\]\(0?\1_\w+\.ipynb\)", chapter)
    assert not list(missing(row))


def test_what_isnt_there_is_noticed():
    row = ["$x$", "", "`Process.mix`, `Process.blend`, `blend`", "[a](../minivdit/diffusion/process.py)", ""]
    assert list(missing(row)) == ["Process.blend", "blend"]
    assert next(missing([*row[:3], "[a](../minivdit/nowhere.py)", ""])).endswith("nowhere.py")


def test_the_central_quantities_are_there_and_both_lists_lead_to_the_page():
    symbols = [row[0] for row in rows()]
    assert len(symbols) >= 35 and set(CENTRAL) <= set(symbols)
    assert "](paper_to_code.md)" in (CHAPTERS / "README.md").read_text(encoding="utf-8")
    assert "\npaper_to_code\n" in (CHAPTERS / "conf.py").read_text(encoding="utf-8")
