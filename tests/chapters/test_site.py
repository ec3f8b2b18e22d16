"""The site: the reference is made from docstrings, and Jupyter Book finds every page and every reference.

Its theme comes from the network, so here an empty one takes its place: all pages are read, checked and written as
content, and only the last step, from content to HTML, is left out.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EMPTY_THEME = "jtex: v1\nmyst: v1\ntitle: Empty\nversion: 1.0.0\nbuild:\n  install: 'true'\n  start: 'true'\n"


def test_the_reference_has_a_page_for_each_room_with_its_functions(api, tmp_path):
    api.write(tmp_path)
    written = {path.stem: path.read_text() for path in tmp_path.iterdir()}
    assert {"autograd", "diffusion", "models", "data", "generation", "costs", "backend"} <= set(written)
    assert "### gradients\n\n```python\ngradients(loss, parameters, cotangent=None)\n```" in written["autograd"]
    assert "### attention" in written["autograd"] and "class RectifiedFlow" not in written["diffusion"]
    assert all(text.count("```") % 2 == 0 for text in written.values())


@pytest.fixture(scope="module")
def book():
    found = shutil.which("jupyter-book", path=str(Path(sys.executable).parent)) or shutil.which("jupyter-book")
    if not found or not shutil.which("node"):
        pytest.skip("Jupyter Book isn't installed; pip install -e '.[site]', and Node.js")
    return found


@pytest.fixture
def content(build, api, tmp_path):
    """A copy of the chapters with the reference and an empty theme."""
    folder = shutil.copytree(build.CHAPTERS, tmp_path / "chapters", ignore=shutil.ignore_patterns("_build", "source"))
    api.write(folder / "api")
    (folder / "theme").mkdir()
    (folder / "theme" / "template.yml").write_text(EMPTY_THEME)
    settings = folder / "myst.yml"
    settings.write_text(settings.read_text().replace("template: book-theme", "template: ./theme"))
    return folder


def build_content(book, folder):
    command = [book, "build", "--site", "--strict", "--ci"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)


def test_the_book_builds_and_a_missing_reference_stops_it(book, content):
    done = build_content(book, content)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.stem for path in (content / "_build" / "site" / "content").glob("*.json")}
    assert len(pages) >= len(list(content.rglob("*.ipynb"))) + len(list(content.glob("*.md")))
    with open(content / "glossary.md", "a") as glossary:
        glossary.write("\nSee [this](references.md#nobody-1900).\n")
    assert build_content(book, content).returncode != 0
