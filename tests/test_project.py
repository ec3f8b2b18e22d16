"""The project around the code: what the README promises exists, and nothing points at one particular machine."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from minivdit import cli

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
# What the package may import: itself, the standard library, its dependencies, and what some can do without.
DEPENDENCIES = {"numpy", "safetensors", "PIL", "tqdm", "matplotlib", "threadpoolctl"}
OPTIONAL = {"cupy", "cupy_backends", "av"}


def tracked():
    """The project's files, as git knows them; without git, those that aren't hidden or made by tools."""
    listing = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True)
    if listing.returncode == 0 and listing.stdout:
        return [PROJECT / line for line in listing.stdout.splitlines() if (PROJECT / line).is_file()]
    folders = ("minivdit", "kernels", "chapters", "examples", "tests")
    return [path for folder in folders for path in (PROJECT / folder).rglob("*.*") if path.is_file()]


def sources():
    return sorted((PROJECT / "minivdit").rglob("*.py"))


def readme_commands():
    """Every `minivdit ...` in the README, in code blocks and in backticks, but those that stand for many."""
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.S)
    lines = [part for block in blocks for line in block.splitlines() for part in line.split("#")[0].split("&&")]
    inline = re.findall(r"`(minivdit [^`]*)`", README)
    commands = {line.strip() for line in lines + inline}
    return sorted(line for line in commands if line.startswith("minivdit ") and "PRESET" not in line)


@pytest.mark.parametrize("command", readme_commands())
def test_every_command_in_the_readme_parses(command):
    cli.build_parser().parse_args(shlex.split(command)[1:])  # raises InputError if it doesn't


def test_the_readme_names_every_command_and_preset():
    from minivdit.training.presets import PRESETS

    for command in ("demo", "sample", "train", "evaluate", "data", "doctor"):
        assert any(line.split()[1] == command for line in readme_commands()), command
    for preset in PRESETS:
        assert f"| `{preset}` |" in README


def test_the_pictures_and_files_that_the_readme_names_exist():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert pictures
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    in_text = re.sub(r"```.*?```", "", README, flags=re.S)
    named = re.findall(r"`((?:minivdit|kernels|chapters|examples|tests)/[\w./]*)`", in_text)
    missing = [name for name in {*links, *named} if not (PROJECT / name.partition("#")[0]).exists()]
    assert not missing and named
    for page, _, heading in (link.partition("#") for link in links if "#" in link):
        headings = re.findall(r"^#+ (.*)$", (PROJECT / (page or "README.md")).read_text(encoding="utf-8"), flags=re.M)
        assert heading in {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in headings}


def test_a_room_imports_only_from_rooms_above_it():
    """As the README's table of rooms promises; what is called on a GPU only is its one exception."""
    table = README.partition("A room imports only from rooms above it")[2].partition("\n\nTo read the code")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    rooms = [{re.sub(r"^minivdit/|/$|\.py$", "", name) for name in re.findall(r"`([^`]+)`", cell)} for cell in cells]
    place = {room: row for row, several in enumerate(rooms) for room in several} | {"errors": -1, "optim_on_gpu": 99}
    for path in sources():
        inside = path.relative_to(PROJECT / "minivdit").parts
        room = inside[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == len(inside) and path.stem != "__main__":
                others = [node.module.partition(".")[0]] if node.module else [name.name for name in node.names]
                for other in others:
                    on_gpu = room in ("autograd", "optim_on_gpu") and other == "kernels"
                    lower = place.get(other, -1) > place[room]
                    assert on_gpu or other == "optim_on_gpu" or not lower, f"{'/'.join(inside)} imports {other}"


def test_ci_runs_the_test_command_of_the_readme():
    script = (PROJECT / ".ci" / "run").read_text()
    install, test = "pip install", "python -m pytest"
    line = next(line for line in README.splitlines() if test in line)
    assert install in line and "-e '.[dev]'" in line
    assert re.search(r"^python -m pip install .*-e '\.\[dev,site\]'$", script, flags=re.M)
    assert script.rstrip().splitlines()[-1] == test


def test_nothing_names_one_particular_machine():
    places = ("home", "root", "Users", "opt", "work", "mnt")
    pattern = re.compile(r"(?<![\w.~])/(?:" + "|".join(places) + r")/\w|--(?:extra-)?" + r"index-url|find-" + "links")
    found = []
    for path in tracked():
        text = path.read_bytes()
        if b"\0" not in text and path.suffix not in (".safetensors", ".gif", ".png"):
            found += [f"{path.name}: {hit.group()}" for hit in pattern.finditer(text.decode("utf-8"))]
    assert not found


def test_files_can_be_read_in_one_sitting():
    long = {path.name: len(path.read_text().splitlines()) for path in sources()}
    assert not {name: lines for name, lines in long.items() if lines >= 420}


def test_every_module_says_what_it_is_for():
    silent = [path for path in sources() if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_the_package_imports_only_what_it_declares():
    for path in sources():
        yardsticks = {"torch"} if path.parent.name == "benchmarks" else set()
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in (name.partition(".")[0] for name in names):
                allowed = name in sys.stdlib_module_names or name in DEPENDENCIES | OPTIONAL | yardsticks | {"minivdit"}
                assert allowed, f"{path.name} imports {name}"


def test_dependencies_have_lower_bounds_only():
    tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml needs Python 3.11")
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"]
    for dependency in project["dependencies"]:
        assert re.fullmatch(r"[a-z]+>=[\d.]+", dependency), dependency
    extras = project["optional-dependencies"]
    for extra in ("cuda12", "cuda13", "notebooks", "dev"):
        assert extras[extra]
    for extra in ("cuda12", "cuda13"):  # CuPy is the exception: its next major may want another CUDA
        assert extras[extra] == [f"cupy-{extra}x[ctk]>=14.2,<15"]


def test_every_kernel_has_its_line_in_the_ladder():
    ladder = (PROJECT / "kernels" / "README.md").read_text()
    kernels = sorted((PROJECT / "kernels").glob("*.cu"))
    assert kernels
    assert not [path.name for path in kernels if f"| `{path.name}` |" not in ladder]


def test_test_files_have_names_of_their_own():
    names = [path.name for path in (PROJECT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)) > 10
