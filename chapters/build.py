"""Run the chapters and write the notebooks; make the site and slides.

python chapters/build.py            the notebooks whose source has changed; they are run where code has
python chapters/build.py 01 03      the notebooks of these chapters, changed or not
python chapters/build.py --all      all notebooks
python chapters/build.py --check    only say which notebooks don't agree with their source, and which links are broken
python chapters/build.py --site     all of it and the reference of the library as a web site, in chapters/_build/html
python chapters/build.py --slides 03   chapter 3 as slides, in chapters/_build/slides; without a number all chapters

The sources are py:percent files in `source`, beside the notebooks; a notebook is its source, run from top to bottom.
"""

import argparse
import base64
import copy
import io
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

# Where the project is found on GitHub, such as "owner/minivdit", and the branch. From these the badges that open a
# chapter in Colab and on Binder are made, and the cell that installs the package; while it is empty there are none.
REPOSITORY, BRANCH = "", "main"

CHAPTERS = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def sources():
    """All sources: chapters in order, then solutions."""
    return [*sorted(CHAPTERS.glob("source/[0-9]*.py")), *sorted(CHAPTERS.glob("solutions/source/[0-9]*.py"))]


def notebook_of(source):
    """Where the notebook of a source is kept."""
    return source.parents[1] / f"{source.stem}.ipynb"


def read(source):
    """A source as a notebook without outputs, badges included; equal sources give equal notebooks."""
    notebook = jupytext.read(source, fmt="py:percent")
    if REPOSITORY:
        opening = [nbformat.v4.new_markdown_cell(badges(notebook_of(source))), nbformat.v4.new_code_cell(launch())]
        notebook.cells[1:1] = opening
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return notebook


def badges(path):
    """Links that open a notebook in Colab and on Binder."""
    file = path.relative_to(CHAPTERS.parent).as_posix()
    return (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{REPOSITORY}/blob/{BRANCH}/{file})\n"
        "[![Open on Binder](https://mybinder.org/badge_logo.svg)]"
        f"(https://mybinder.org/v2/gh/{REPOSITORY}/{BRANCH}?urlpath=%2Fdoc%2Ftree%2F{file})"
    )


def launch():
    """A cell that installs the package where it is missing, as in Colab. [fast]: chapter 13 compiles with Numba."""
    return (
        "try:\n    import minivdit\nexcept ImportError:  # as in Colab\n"
        f'    %pip install --quiet "minivdit[fast] @ git+https://github.com/{REPOSITORY}@{BRANCH}"'
    )


def text_of(notebook):
    """What a notebook has in common with its source."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def agrees(source):
    """Whether the kept notebook is the source, badges included."""
    path = notebook_of(source)
    return path.exists() and text_of(nbformat.read(path, as_version=4)) == text_of(read(source))


def run(source, timeout=600):
    """The source run from top to bottom in a kernel of its own: a notebook with outputs. Raises where a cell does."""
    notebook = read(source)
    resources = {"metadata": {"path": str(notebook_of(source).parent)}}
    NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata = {}  # nbclient writes the time of day into it
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", ()):
                output.data["image/png"] = smaller(output.data["image/png"])
    notebook.metadata["language_info"] = {"name": "python"}  # and here the version of Python
    return notebook


def smaller(picture):
    """A PNG (in base64) with 128 colours, which are enough for plots, at a third of its bytes; a GIF as it is."""
    content = base64.b64decode(picture)
    if content.startswith(b"GIF"):
        return picture
    reduced = io.BytesIO()
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.quantize(128, dither=Image.Dither.NONE).save(reduced, format="PNG", optimize=True)
    return base64.b64encode(reduced.getvalue()).decode()


def with_outputs(source):
    """The source with the outputs of its kept notebook; None where their code isn't the same, which wants a run."""
    path, notebook = notebook_of(source), read(source)
    kept = code_cells(nbformat.read(path, as_version=4)) if path.exists() else []
    fresh = code_cells(notebook)
    if [cell.source for cell in kept] != [cell.source for cell in fresh]:
        return None
    for cell, known in zip(fresh, kept):
        cell.outputs, cell.execution_count = known.outputs, known.execution_count
    return notebook


def code_cells(notebook):
    """The cells that can be run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def write(source, notebook):
    """Keep the notebook of a source. Returns the path."""
    path = notebook_of(source)
    nbformat.write(notebook, path)
    return path


def texts():
    """(path of the page, its text) for all pages of the chapters: notebooks by their sources, and Markdown files."""
    for source in sources():
        cells = [cell.source for cell in read(source).cells if cell.cell_type == "markdown"]
        yield notebook_of(source), "\n\n".join(cells)
    for path in sorted(CHAPTERS.glob("*.md")):
        yield path, path.read_text(encoding="utf-8")


def anchors(text):
    """What the headings of a text are called in links, by GitHub's rule, which the site shares."""
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links():
    """Links between pages that lead nowhere, one line each."""
    pages = dict(texts())
    for path, text in pages.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in link:
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            if target not in pages and not (target.is_file() and not anchor):
                yield f"{path.name}: there is no {link}"
            elif anchor and anchor not in anchors(pages[target]):
                yield f"{path.name}: {target.name} has no heading for {link}"


def make_site(chapters=CHAPTERS):
    """Write the site to chapters/_build/html; the exit code of Sphinx, not 0 where a link or a reference is broken."""
    pages = chapters / "_build" / "html"
    # -E: read every page each time, since a page that is skipped isn't complained of. -W, -n: see conf.py.
    options = ["-b", "html", "-d", pages.with_name("read"), "-E", "-W", "-n", "--keep-going"]
    done = subprocess.run([sys.executable, "-m", "sphinx", *options, chapters, pages])
    if done.returncode == 0:
        shutil.copy(pages / "README.html", pages / "index.html")  # what a server shows first
    return done.returncode


def slide_cells(cells):
    """A notebook's cells as slides: a heading begins one, and each further cell is one below it.

    Cells are divided at their headings. A heading of level 3 or more begins a slide below, too.
    """
    for cell in cells:
        parts = at_headings(cell.source) if cell.cell_type == "markdown" else [cell.source]
        for number, part in enumerate(parts):
            slide = copy.deepcopy(cell)
            slide.source, slide.id = part, f"{cell.id}-{number}"
            kind = "slide" if cell.cell_type == "markdown" and re.match("##? ", part) else "subslide"
            slide.metadata["slideshow"] = {"slide_type": kind}
            yield slide


def at_headings(text):
    """The parts of a Markdown text, each but the first beginning with a heading; code in fences has none."""
    parts, fenced = [""], False
    for line in text.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if not fenced and re.match("#+ ", line) and parts[-1].strip():
            parts.append("")
        parts[-1] += line
    return parts


def make_slides(source, folder=CHAPTERS / "_build" / "slides"):
    """Write a chapter as slides of reveal.js, pictures included. Returns the path."""
    from nbconvert import SlidesExporter  # of the extra `site`

    notebook = nbformat.read(notebook_of(source), as_version=4)
    notebook.cells = list(slide_cells(notebook.cells))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":  # links to other files of the chapters, seen from the folder of the slides
            cell.source = re.sub(r"(?<!!)(\[[^\]]*\]\()(?!\w+:|#)", r"\1../../", cell.source)
    unseen = {f"exclude_{what}": True for what in ("input_prompt", "output_prompt", "anchor_links")}
    exporter = SlidesExporter(embed_images=True, reveal_scroll=True, reveal_number="c/t", **unseen)
    resources = {"metadata": {"name": source.stem, "path": str(CHAPTERS)}}
    page, _ = exporter.from_notebook_node(notebook, resources=resources)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{source.stem[:2]}.html"
    path.write_text(page, encoding="utf-8")
    return path


def loaded_by(page):
    """The hosts from which a page fetches scripts and styles when it is shown."""
    parts = re.findall(r"<(?:script|link)\b[^>]*>|import [^\n]*|\"https://[^\n\"]*\.js\"", page)
    return sorted({host for part in parts for host in re.findall(r"https://([\w.]+)", part)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", help="chapters to run, such as 01")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--site", action="store_true")
    parser.add_argument("--slides", action="store_true")
    options = parser.parse_args()
    options.numbers = [number.zfill(2) for number in options.numbers]
    known = sorted({source.name[:2] for source in sources()})
    for number in options.numbers:
        if number not in known:
            parser.error(f"there is no chapter {number}; choose from {' '.join(known)}")
    if options.site:
        return make_site()
    if options.slides:
        chapters = [source for source in sources() if source.parents[1] == CHAPTERS]
        for source in chapters:
            if not options.numbers or source.name[:2] in options.numbers:
                path = make_slides(source)
                hosts = ", ".join(loaded_by(path.read_text(encoding="utf-8")))
                print(f"{path.relative_to(CHAPTERS.parent)}; when it is shown it loads scripts from {hosts}")
        return 0
    broken = list(broken_links()) if options.check else []
    if broken:
        print("\n".join(broken))
    forced = options.all or bool(options.numbers)
    if options.numbers:
        wanted = [source for source in sources() if source.name[:2] in options.numbers]
    else:
        wanted = [source for source in sources() if options.all or not agrees(source)]
    if options.check:
        print("\n".join(f"{notebook_of(source)} doesn't agree with its source" for source in wanted) or "all agree")
        return int(bool(wanted or broken))
    for source in wanted:  # one after the other: chapters measure times
        started = time.perf_counter()
        path = write(source, (None if forced else with_outputs(source)) or run(source))
        took = time.perf_counter() - started
        print(f"{path.relative_to(CHAPTERS.parent)}: {path.stat().st_size / 1000:.0f} KB, {took:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
