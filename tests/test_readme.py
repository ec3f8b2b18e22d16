"""README.md and chapters/README.md do as they say: every command in them is run, as a person would paste it.

A copy of the project's files stands in an empty folder, and an environment of its own beside it. Every line of every
block is run there, in order, by bash; a Python block by Python. MINIVDIT_SHORT=1 makes the work smaller; the commands
stay as they are. Only the network is missing: pip installs the project itself, without what it depends on.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from minivdit.lab.cli import main as cli
from minivdit.lab.cli.options import SHORT, cut_down

PROJECT = Path(__file__).parents[1]
PAGES = ("README.md", "chapters/README.md")
# Lines that aren't run, and why. Whatever can be checked of them is checked by a test below.
LEFT_OUT = {
    "bash .ci/run": "makes an environment from the network, and runs the tests, this one too",
    "jupyter lab chapters": "a server, which ends when it is told to",
}
pytestmark = [
    pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="there is no bash"),
    pytest.mark.skipif(not importlib.util.find_spec("hatchling"), reason="no hatchling: pip install -e '.[dev]'"),
]


def read(page):
    return (PROJECT / page).read_text(encoding="utf-8")


def blocks(page):
    """(language, text) of every code block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", read(page), flags=re.S | re.M)


def pasted(page):
    """What a person pastes, in order: lines of bash, continued ones as one, and whole Python blocks."""
    for language, text in blocks(page):
        if language == "python":
            yield text
        else:
            yield from (line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip())


def without_comment(line):
    return shlex.join(shlex.split(line, comments=True))


PASTED = [(page, line) for page in PAGES for line in pasted(page)]
RUN = [line for _, line in PASTED if without_comment(line) not in LEFT_OUT]
(SITE,) = (line for line in RUN if "--site" in line)
OF_SITE = ("sphinx", "myst_nb", "furo", "latex2mathml")


def written(line):
    """The files that a line's minivdit commands say they write: their --out, asked for or not."""
    for part in line.split(" && "):
        if part.startswith("minivdit "):
            out = getattr(cli.build_parser().parse_args(shlex.split(part, comments=True)[1:]), "out", None)
            if out:
                yield Path(out)


def copy_of_the_project(folder):
    """What a clone holds: the files that git knows, and those it doesn't ignore."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=PROJECT, capture_output=True, text=True
    )
    if listing.returncode:  # an unpacked archive
        shutil.copytree(PROJECT, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "__pycache__", "runs"))
        return
    for name in listing.stdout.splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)


def new_environment(root):
    """The programs of a new environment. It finds the dependencies of ours, but no minivdit before pip installs it."""
    venv.create(root, with_pip=False)
    paths = sysconfig.get_paths("posix_prefix", vars={"base": str(root), "platbase": str(root)})
    (Path(paths["purelib"]) / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    programs = Path(paths["scripts"])
    offline = "--no-deps --no-index --no-build-isolation --disable-pip-version-check --quiet"
    pip = f'#!/bin/sh\nexec "{sys.executable}" -m pip --python "{programs}/python" "$@" {offline}\n'
    (programs / "pip").write_text(pip)
    (programs / "pip").chmod(0o755)
    return programs


def surroundings(programs, home):
    """The environment variables: short work, and none of ours that Python or minivdit listens to."""
    ours = ("PYTHON", "PYTEST", "MINIVDIT", "PIP")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), kept["PATH"]])
    return kept | {
        "PATH": path,
        "HOME": str(home),
        "MINIVDIT_SHORT": "1",
        # A new home has no compiled operations, and making them takes longer than any line: tests/test_wheel.py does.
        "NUMBA_DISABLE_JIT": "1",
        "MPLBACKEND": "Agg",
        "PYTEST_ADDOPTS": "-q tests/base/test_files.py",  # of all tests these: the command is the README's
    }


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder with a copy of the project, in which all lines are run."""
    folder = tmp_path_factory.mktemp("reader") / "minivdit"
    folder.mkdir()
    copy_of_the_project(folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def results(clone):
    """{line: (its exit code, what it printed, the files that it didn't write)}, after all were run in order."""
    home = clone.with_name("home")
    home.mkdir()
    environment = surroundings(new_environment(clone.with_name("environment")), home)
    told = {}
    for line in RUN:
        for name in written(line):  # what an earlier line wrote there doesn't count
            (clone / name).unlink(missing_ok=True) if not (clone / name).is_dir() else None
        command = ["bash", "-c", line] if "\n" not in line else ["python", "-c", line]
        done = subprocess.run(
            command, cwd=clone, env=environment, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL
        )
        missing = [str(name) for name in written(line) if not (clone / name).exists()]
        told[line] = done.returncode, done.stdout + done.stderr, missing
    return told


@pytest.mark.parametrize("line", RUN, ids=lambda line: line.splitlines()[0][:60])
def test_a_pasted_line_does_what_it_says(results, line):
    code, output, missing = results[line]
    if "--device gpu" in line and not importlib.util.find_spec("cupy"):
        assert code == 2 and "pip install" in output, output
        return
    if line == SITE and not all(map(importlib.util.find_spec, OF_SITE)):
        assert code and "No module named" in output, output
        return
    # The doctor's exit code tells of the machine too, such as little memory.
    assert code in ((0, 1) if "doctor" in line else (0,)), output
    assert not missing, output


@pytest.mark.skipif(not all(map(importlib.util.find_spec, OF_SITE)), reason="no Sphinx: pip install -e '.[site]'")
def test_the_site_has_every_page(results, clone):
    assert results[SITE][0] == 0
    chapters = clone / "chapters"
    html = chapters / "_build" / "html"
    kinds = ("*.md", "*.ipynb", "solutions/*.ipynb", "api/*.rst")
    sources = [path for kind in kinds for path in chapters.glob(kind)]
    assert len(sources) > 30
    assert not [path for path in sources if not (html / path.relative_to(chapters)).with_suffix(".html").is_file()]
    reference = (html / "api" / "autograd.html").read_text(encoding="utf-8")
    assert 'id="minivdit.autograd.engine.gradients"' in reference
    assert 'href="#minivdit.autograd.attend.simple_attention"' in reference
    front = (html / "index.html").read_text(encoding="utf-8")
    assert 'href="01_autograd.html"' in front and 'href="api/autograd.html"' in front
    assert "<math" in (html / "03_adding_noise.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "page",
    ["examples/results/README.md", "examples/results/tried.md", "examples/results/speed.md", "kernels/README.md"],
)
def test_the_commands_of_other_pages_can_be_given(page):
    """They take hours or a GPU, so they are only parsed."""
    lines = [line for line in pasted(page) if line.startswith("minivdit ")]
    inline = re.findall(r"`(minivdit [^`]*)`", read(page).replace("\n", " "))
    for line in lines + [line for line in inline if "..." not in line]:
        cli.build_parser().parse_args(shlex.split(line, comments=True)[1:])  # raises InputError if it can't


@pytest.mark.parametrize(
    "page",
    ["examples/results/README.md", "examples/results/tried.md", "examples/results/speed.md", "kernels/README.md"],
)
def test_what_other_pages_link_to_is_there(page):
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", read(page)) if "://" not in link]
    assert not [link for link in links if link and not ((PROJECT / page).parent / link).exists()]


def test_no_line_is_left_out_that_the_pages_do_not_hold():
    lines = {without_comment(line) for _, line in PASTED if "\n" not in line}
    assert set(LEFT_OUT) <= lines
    assert (
        importlib.util.find_spec("minivdit") and (PROJECT / ".ci" / "run").exists() and (PROJECT / "chapters").is_dir()
    )


def test_the_readme_counts_its_notebooks_and_exercises_rightly():
    sources = sorted((PROJECT / "chapters" / "source").glob("[0-9]*.py"))
    exercises = sum(len(re.findall(r"^check\.\w+\(", path.read_text(encoding="utf-8"), flags=re.M)) for path in sources)
    assert f"{len(sources)} notebooks, {exercises} checked exercises" in " ".join(read("README.md").split())


def test_the_readme_is_short_and_its_figures_stand_in_tables():
    lines = read("README.md").splitlines()
    assert len(lines) < 200
    prose = " ".join(line for line in lines if not line.startswith("|"))
    assert all(sentence.count("%") <= 1 for sentence in re.split(r"(?<=[.:;!?])\s", prose))


def test_the_first_screen_leads_to_the_course(overview):
    """A picture of at least 400 pixels, and the chapters, within the first twenty lines; all of it before any table."""
    screen = "\n".join(read("README.md").splitlines()[:20])
    with Image.open(PROJECT / re.search(r"!\[[^\]]*\]\(([^)]+)\)", screen)[1]) as picture:
        assert picture.width >= 400
        assert picture.n_frames > 1
    assert (PROJECT / "examples" / "pictures" / "side_by_side.gif").stat().st_size < 1e6
    assert "(chapters/00_start_here.ipynb)" in screen
    assert "minivdit sample" in screen and "minivdit demo" in screen and "python -m pytest" in screen
    assert f"](chapters/pictures/{overview.OUT.name})\n\n{overview.table()}\n" in read("README.md")


def test_pip_is_asked_only_for_extras_that_there_are():
    project = read("pyproject.toml").partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^([\w-]+) = \[", project, flags=re.M))
    asked = {
        name
        for page in PAGES
        for names in re.findall(r"pip install -e '\.\[(.*?)\]'", read(page))
        for name in names.split(",")
    }
    assert {"dev", "notebooks"} <= asked <= extras
    assert "jupyterlab" in project


def test_short_work_is_smaller_and_no_other():
    parser = cli.build_parser()
    for line in ("sample x --steps 30 --seed 4", "study --steps 100 --seeds 5", "demo --prompts 9 --minutes 0.01"):
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("MINIVDIT_SHORT", "1")
            short = vars(cut_down(parser.parse_args(line.split())))
            environment.setenv("MINIVDIT_SHORT", "0")
            whole = vars(cut_down(parser.parse_args(line.split())))
        assert whole == vars(parser.parse_args(line.split()))
        changed = {name for name in whole if short[name] != whole[name]}
        assert changed and changed <= {*SHORT, "preset"}
        assert all(short[name] <= SHORT[name] for name in SHORT.keys() & short.keys())


@pytest.fixture(scope="module")
def overview():
    """The script that draws the picture; tests/chapters/test_pictures.py holds that the kept file is up to date."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROJECT / "chapters" / "pictures"))
        yield importlib.import_module("overview")


def test_each_box_of_the_overview_leads_to_its_code_and_its_chapter(overview):
    drawing = ElementTree.fromstring(overview.svg())
    namespace = "{http://www.w3.org/2000/svg}"
    links = [link.get("href") for link in drawing.iter(f"{namespace}a")]
    boxes = (*overview.BOXES, overview.SAMPLER)
    assert sorted(links) == sorted(f"../../{link}" for box in boxes for link in box.links)
    assert all((overview.OUT.parent / link).exists() for link in links)
    words = [words.text for words in drawing.iter(f"{namespace}text")]
    assert all(words.count(title) == 1 for title in ("Caption", "Text encoder", "Transformer", "Latents", "Clip"))
