"""Every chapter and every solution is executed, in short form; stubs fail their checks, solutions pass them."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minivdit.base.backend import cpu_count
from minivdit.lab.lessons.report import STUBS

for needed in ("jupytext", "nbclient", "ipykernel"):
    pytest.importorskip(needed, reason=f"{needed} isn't installed; pip install -e '.[dev]'")
nbformat = pytest.importorskip("nbformat", reason="nbformat isn't installed; pip install -e '.[dev]'")

CHAPTERS = Path(__file__).parents[2] / "chapters"
WRITTEN = sorted(path.stem for path in CHAPTERS.glob("source/[0-9]*.py"))
SOLVED = sorted(path.stem for path in CHAPTERS.glob("solutions/source/[0-9]*.py"))
ALL = [f"source/{name}" for name in WRITTEN] + [f"solutions/source/{name}" for name in SOLVED]


@pytest.fixture(scope="module")
def runs(build, request):
    """Every source that a test asks for -> a future of its notebook, run in a kernel of its own; one for each core."""
    asked = {name for item in request.session.items if "runs" in item.fixturenames for name in names(item)}
    pool = ThreadPoolExecutor(cpu_count())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MINIVDIT_LESSONS", "short")
        environment.setenv("OMP_NUM_THREADS", "1")  # as many kernels at a time as there are cores
        yield {name: pool.submit(build.run, CHAPTERS / f"{name}.py") for name in ALL if name in asked}
        pool.shutdown(cancel_futures=True)


def names(item):
    """The sources whose notebooks a test reads."""
    name = item.callspec.params["name"]
    return (f"source/{name}", f"solutions/source/{name}")


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def verdicts(notebook):
    """{exercise: what its check said} of a notebook that was run."""
    found = {}
    for cell in code(notebook):
        for name in re.findall(r"^check\.(\w+)\(", cell.source, flags=re.M):
            found[name] = "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
    return found


@pytest.mark.parametrize("name", WRITTEN)
def test_a_chapter_runs_and_its_stubs_fail_their_checks(runs, name):
    told = verdicts(runs[f"source/{name}"].result())
    assert 3 <= len(told) <= 5
    assert all(exercise.startswith(f"ch{name[:2]}_") for exercise in told)
    assert all(words.startswith("Not yet: ") for words in told.values()), told


@pytest.mark.parametrize("name", SOLVED)
def test_a_solution_passes_every_check_of_its_chapter(runs, name):
    told = verdicts(runs[f"solutions/source/{name}"].result())
    assert set(told) == set(verdicts(runs[f"source/{name}"].result()))
    assert all(words.startswith("Right: ") for words in told.values()), told


@pytest.mark.parametrize("name", ALL)
def test_the_kept_notebook_is_its_source_with_the_outputs_of_a_whole_run(build, name):
    source = CHAPTERS / f"{name}.py"
    assert build.agrees(source), "run: python chapters/build.py"
    kept = nbformat.read(build.notebook_of(source), as_version=4)
    nbformat.validate(kept)
    assert [cell.execution_count for cell in code(kept)] == list(range(1, len(code(kept)) + 1))
    outputs = [output for cell in code(kept) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    # Where MPLBACKEND is set, as it is for tests, a notebook runs and has no pictures: build.py must run without it.
    draws = any("plt.show()" in cell.source for cell in code(kept))
    assert draws <= any("image/png" in output.get("data", {}) for output in outputs)


def test_who_grades_knows_the_exercises_of_the_chapters_in_their_order_and_what_they_ask_for():
    for source in CHAPTERS.glob("source/[0-9]*.py"):
        calls = re.findall(r"^check\.(\w+)\((\w+)\)", source.read_text(encoding="utf-8"), flags=re.M)
        assert list(STUBS.get(source.stem, {}).items()) == calls, source.stem


def test_a_notebook_that_was_edited_is_noticed(build, tmp_path, monkeypatch):
    source = CHAPTERS / f"source/{WRITTEN[0]}.py"
    notebook = nbformat.read(build.notebook_of(source), as_version=4)
    monkeypatch.setattr(build, "notebook_of", lambda source: tmp_path / "edited.ipynb")
    nbformat.write(notebook, tmp_path / "edited.ipynb")
    assert build.agrees(source)
    notebook.cells[-1].source += " More."
    nbformat.write(notebook, tmp_path / "edited.ipynb")
    assert not build.agrees(source)


def test_a_change_of_text_keeps_the_outputs_and_a_change_of_code_wants_a_run(build, tmp_path, monkeypatch):
    source = CHAPTERS / f"source/{WRITTEN[0]}.py"
    before = nbformat.read(build.notebook_of(source), as_version=4)
    changed = tmp_path / "source" / source.name
    changed.parent.mkdir()
    changed.write_text(source.read_text(encoding="utf-8").replace("**Claim.**", "**We say.**"), encoding="utf-8")
    monkeypatch.setattr(build, "notebook_of", lambda source: tmp_path / "kept.ipynb")
    assert build.with_outputs(changed) is None
    nbformat.write(before, tmp_path / "kept.ipynb")
    assert not build.agrees(changed)
    after = build.with_outputs(changed)
    assert [cell.outputs for cell in code(after)] == [cell.outputs for cell in code(before)]
    build.write(changed, after)
    assert build.agrees(changed)
    changed.write_text(changed.read_text(encoding="utf-8") + "\n# %%\n1 + 1\n", encoding="utf-8")
    assert build.with_outputs(changed) is None


@pytest.mark.parametrize("name", WRITTEN)
def test_a_chapter_keeps_its_form_and_its_limits(build, name):
    source = CHAPTERS / f"source/{name}.py"
    cells = build.read(source).cells
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert len([cell for cell in cells if cell.cell_type == "code"]) <= 40
    assert len(text.split()) <= 3000
    assert build.notebook_of(source).stat().st_size <= 500_000
    opening = cells[0].source
    assert opening.startswith(f"# {int(name[:2])}. ") and re.search(r"\d+ minutes", opening)
    for part in ("**You'll do:**", "**You'll learn:**", "**You need:**"):
        assert part in opening, part
    headings = re.findall(r"^## (.+)$", text, flags=re.M)
    assert headings[-3:] == ["Exercises", "In practice", "Further reading"]
    assert text.count("**Claim.**") >= 1 and "\nassert " in "\n".join(cell.source for cell in cells)
    assert re.search(rf"\]\(solutions/{name}\.ipynb\)", text)


def test_links_between_pages_lead_somewhere(build):
    assert not list(build.broken_links())


@pytest.mark.parametrize("link", ["nowhere.md", "glossary.md#nothing", "#nothing", "01_autograd.ipynb#nothing"])
def test_a_broken_link_is_noticed(build, monkeypatch, link):
    pages = [*build.texts(), (build.CHAPTERS / "new.md", f"# New\n\n[here]({link}) and [there](glossary.md#pullback)")]
    monkeypatch.setattr(build, "texts", lambda: pages)
    assert len(list(build.broken_links())) == 1


def test_every_word_of_the_glossary_is_linked_from_a_chapter(build):
    pages = dict(build.texts())
    glossary = pages[build.CHAPTERS / "glossary.md"]
    words = build.anchors("\n".join(re.findall(r"^### .+$", glossary, flags=re.M)))
    chapters = "\n".join(text for path, text in pages.items() if path.suffix == ".ipynb")
    assert len(words) >= 80 and words <= set(re.findall(r"glossary\.md#([\w-]+)", chapters))


def test_the_map_links_what_is_written_and_nothing_else(build):
    chapters = (build.CHAPTERS / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[\d+ [^\]]+\]\((\w+)\.ipynb\)", chapters, flags=re.M)
    assert linked == WRITTEN == SOLVED
    numbers = [int(number) for number in re.findall(r"^\| \[?(\d+) ", chapters, flags=re.M)]
    assert numbers == list(range(19))


def test_badges_are_made_from_one_setting(build, monkeypatch):
    source = CHAPTERS / f"source/{WRITTEN[0]}.py"
    plain = build.read(source)
    monkeypatch.setattr(build, "REPOSITORY", "someone/minivdit")
    badged = build.read(source)
    assert [cell.source for cell in badged.cells[:1] + badged.cells[3:]] == [cell.source for cell in plain.cells]
    assert "git+https://github.com/someone/minivdit@main" in badged.cells[2].source
    words = badged.cells[1].source
    assert f"https://colab.research.google.com/github/someone/minivdit/blob/main/chapters/{WRITTEN[0]}.ipynb" in words
    assert "https://mybinder.org/v2/gh/someone/minivdit/main?urlpath=" in words
