"""Chapters as slides: headings begin them, and nothing of the notebook is lost."""

import re
import sys
from html.parser import HTMLParser

import pytest

pytest.importorskip("nbconvert", reason="nbconvert isn't installed; pip install -e '.[site]'")
nbformat = pytest.importorskip("nbformat", reason="nbformat isn't installed; pip install -e '.[dev]'")


class Page(HTMLParser):
    """text: what can be read on a page of slides. opening: of each slide (not those below it), its first elements."""

    def __init__(self, page):
        super().__init__()
        self.text, self.opening, self.depth, self.below = "", [], 0, 0
        self.feed(page[page.index('<div class="slides">') :].partition("</main>")[0])

    def handle_starttag(self, tag, attributes):
        if tag == "section":
            self.depth += 1
            if self.depth == 1:
                self.opening.append([])
            self.below += self.depth == 2
        elif self.depth and tag in ("h1", "h2", "h3", "h4", "p", "pre", "img"):
            self.opening[-1].append(tag)

    def handle_endtag(self, tag):
        self.depth -= tag == "section"

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def chapter(build, tmp_path_factory):
    """(notebook, its slides as HTML) of chapter 5, which has formulas, code, plots and a schematic."""
    (source,) = build.CHAPTERS.glob("source/05_*.py")
    path = build.make_slides(source, tmp_path_factory.mktemp("slides"))
    assert path.name == "05.html"
    return nbformat.read(build.notebook_of(source), as_version=4), path.read_text(encoding="utf-8")


def test_each_slide_begins_with_a_heading_and_each_heading_with_a_slide(chapter):
    notebook, page = chapter
    slides = Page(page)
    texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    headings = re.findall(r"^##? .+$", texts, flags=re.M)
    assert len(slides.opening) == len(headings) > 5
    assert all(elements[0] in ("h1", "h2") for elements in slides.opening)
    assert slides.below >= len(notebook.cells)  # a cell is a slide of its own, below


def test_nothing_of_the_notebook_is_lost(chapter):
    notebook, page = chapter
    text = Page(page).text
    squeezed = "".join(text.split())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert "".join(cell.source.split()) in squeezed
            printed = [output.text for output in cell.outputs if output.output_type == "stream"]
            assert all("".join(words.split()) in squeezed for words in printed)
        else:
            read = re.sub(r"\]\([^)]*\)|!\[[^\]]*", " ", cell.source)  # links and pictures have no words to read
            assert set(re.findall(r"\w+", read)) <= set(re.findall(r"\w+", text))
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    pictures = sum("image/png" in output.data for output in pictures)
    assert page.count('src="data:image/png') == pictures > 2


def test_pictures_are_inside_and_links_lead_to_the_chapters(build, chapter):
    _, page = chapter
    assert 'src="data:image/svg+xml' in page and 'src="../' not in page
    links = set(re.findall(r'<a href="([^":#]+)', page))
    folder = build.CHAPTERS / "_build" / "slides"
    assert len(links) > 5 and all((folder / link).resolve().is_file() for link in links)


def test_it_is_said_which_hosts_a_page_loads_from(build, chapter):
    _, page = chapter
    assert build.loaded_by(page)
    page = (
        '<a href="https://a.org">words</a><script src="https://b.org/x.js"></script><link href="https://c.org/y.css">'
    )
    assert build.loaded_by(page) == ["b.org", "c.org"]


def test_a_chapter_that_is_not_there_is_an_error(build, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["build.py", "--slides", "99"])
    with pytest.raises(SystemExit):
        build.main()
    assert "there is no chapter 99; choose from 00 01" in capsys.readouterr().err


def test_code_in_fences_has_no_headings(build):
    text = "Words.\n\n## One\n\n```python\n# no heading\n```\n\n### Two\n"
    assert build.at_headings(text) == ["Words.\n\n", "## One\n\n```python\n# no heading\n```\n\n", "### Two\n"]
