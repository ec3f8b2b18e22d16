"""The project around the code: what the README promises exists, and nothing points at one particular machine."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from minivdit.lab.cli import main as cli

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
# What the package may import: itself, the standard library, its dependencies, and what some can do without.
DEPENDENCIES = {"numpy", "safetensors", "PIL", "tqdm", "matplotlib", "threadpoolctl"}
OPTIONAL = {"cupy", "cupy_backends", "av", "gradio", "mpi4py"}


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

    (commands,) = (action.choices for action in cli.build_parser()._actions if hasattr(action.choices, "values"))
    assert len(commands) > 15 and not [
        name for name in commands if f"`{name}`" not in README and f"minivdit {name}" not in README
    ]
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


# The rooms, lowest first. A room may import from itself and from those before it.
ROOMS = ("base", "kernels", "data", "diffusion", "autograd", "nn", "models", "training", "generation")
LAB = ("evaluation", "display", "benchmarks", "pipeline", "explorer", "study", "lessons", "studio", "cli")
FACE = len(ROOMS) + len(LAB)  # the package's own __init__ and __main__ may import from all


def imports(path, package=PROJECT / "minivdit"):
    """All modules of the package that a file imports, wherever the import stands in it, as tuples of names."""
    here = path.relative_to(package).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                names = (*here[: len(here) - node.level + 1], *names)
            elif names[:1] == ("minivdit",):
                names = names[1:]
            else:
                continue
            yield from ((*names, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            names = (tuple(alias.name.split(".")) for alias in node.names)
            yield from (name[1:] for name in names if name[0] == "minivdit" and name[1:])


def height(names):
    """How high a module's room lies. The face, and the lab as a whole, lie above all; __version__ below all."""
    if names[0] == "lab" and names[1:2] and names[1] in LAB:
        return len(ROOMS) + LAB.index(names[1])
    return ROOMS.index(names[0]) if names[0] in ROOMS else -1 if names == ("__version__",) else FACE


def test_a_room_imports_only_from_rooms_below_it():
    """Every import of every file counts, those inside of functions too."""
    seen = set()
    for path in sources():
        place = path.relative_to(PROJECT / "minivdit")
        mine = height(place.parts)
        seen.add(mine)
        for names in imports(path):
            assert height(names) <= mine, f"{place} imports {'.'.join(names)}"
    assert seen == set(range(FACE + 1))  # no room is missing here, and none is empty


@pytest.mark.parametrize(
    ("line", "higher"),
    [
        ("from .. import lab", True),
        ("from .. import load", True),
        ("from ..lab.display import show", True),
        ("import minivdit.generation.given", True),
        ("from minivdit import models", True),
        ("def f():\n    from ..data import words", True),
        ("from .. import __version__", False),
        ("from . import files", False),
    ],
)
def test_an_import_from_a_higher_room_is_seen(tmp_path, line, higher):
    (tmp_path / "base").mkdir()
    path = tmp_path / "base" / "config.py"
    path.write_text(line)
    assert any(height(names) > 0 for names in imports(path, tmp_path)) == higher


def test_no_file_imports_itself_by_way_of_others():
    package = PROJECT / "minivdit"
    files = {path.relative_to(package).with_suffix("").parts: path for path in sources() if path.stem != "__init__"}
    links = {
        name: {other for names in imports(path) for other in (names, names[:-1]) if other in files}
        for name, path in files.items()
    }
    for name, others in links.items():
        reached, waiting = set(), list(others)
        while waiting:
            other = waiting.pop()
            waiting += links[other] - reached
            reached.add(other)
        assert name not in reached


def test_the_top_level_of_the_package_is_the_rooms_and_the_face():
    names = {path.name for path in (PROJECT / "minivdit").iterdir() if path.name != "__pycache__"}
    assert names == {*ROOMS, "lab", "weights", "__init__.py", "__main__.py"}
    assert {path.name for path in (PROJECT / "minivdit" / "lab").iterdir()} - {"__pycache__"} == {*LAB, "__init__.py"}


def test_the_top_level_of_the_project_is_what_a_newcomer_expects():
    names = {path.relative_to(PROJECT).parts[0] for path in tracked()}
    pages = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "pyproject.toml"}
    assert {name for name in names if not name.startswith(".")} <= {
        *pages,
        *("minivdit", "kernels", "chapters", "examples", "tests"),
    }


def test_what_the_recipes_of_contributing_name_is_there():
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`\n]+)`", text))
    files = {name for name in named if re.fullmatch(r"[\w./]+/[\w.]*", name)}
    assert len(files) > 15 and not [name for name in files if not (PROJECT / name).exists()]
    code = "\n".join(path.read_text(encoding="utf-8") for path in tracked() if path.suffix == ".py")
    words = {name for name in named - files if re.fullmatch(r"\w+", name)}
    assert len(words) > 10 and not [
        word for word in words if not re.search(rf"(def|class) {word}\b|^{word} = ", code, re.M)
    ]


def test_ci_runs_the_test_command_of_the_readme():
    script = (PROJECT / ".ci" / "run").read_text()
    install, test = "pip install", "python -m pytest -n auto"
    line = next(line for line in README.splitlines() if test in line)
    assert install in line and "-e '.[dev]'" in line
    assert re.search(r"^python -m pip install .*-e '\.\[dev,site\]'$", script, flags=re.M)
    assert script.rstrip().splitlines()[-1] == test
    workflow = (PROJECT / ".github" / "workflows" / "test.yml").read_text()
    assert f"run: {test}\n" in workflow and 'pip install -e ".[dev]"' in workflow


def test_nothing_names_one_particular_machine():
    places = ("home", "root", "Users", "opt", "work", "mnt")
    pattern = re.compile(r"(?<![\w.~])/(?:" + "|".join(places) + r")/\w|--(?:extra-)?" + r"index-url|find-" + "links")
    found = []
    for path in tracked():
        text = path.read_bytes()
        if b"\0" not in text and path.suffix not in (".safetensors", ".gif", ".png"):
            found += [f"{path.name}: {hit.group()}" for hit in pattern.finditer(text.decode("utf-8"))]
    assert not found


def test_no_merge_was_left_half_done():
    """git writes such lines where two changes meet."""
    pattern = re.compile(r"^(?:<{7}|>{7}) ", flags=re.M)
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in tracked() if path.suffix in (".md", ".py")}
    assert not [path.name for path, text in texts.items() if pattern.search(text)]


def test_files_can_be_read_in_one_sitting():
    long = {path.name: len(path.read_text().splitlines()) for path in sources()}
    assert not {name: lines for name, lines in long.items() if lines >= 420}


def functions():
    """(number of lines, file, name) of every function of the package."""
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield node.end_lineno - node.lineno + 1, path.name, node.name


def test_a_function_fits_on_a_screen():
    """But for attention, whose forward and backward pass belong side by side."""
    found = sorted(functions(), reverse=True)
    assert [(file, name) for lines, file, name in found if lines > 60] == [("attend.py", "attention")]
    assert found[len(found) // 2][0] < 10  # the median


def test_the_readme_says_how_much_there_is_to_read():
    def lines(room):
        return sum(
            len(path.read_text(encoding="utf-8").splitlines()) for path in (PROJECT / "minivdit" / room).rglob("*.py")
        )

    told = re.search(r"([\d,]+)\s+lines of the package's ([\d,]+)", README)
    counted = sum(map(lines, ROOMS[2:])), lines("")
    assert len(ROOMS[2:]) == 7
    assert all(abs(int(number.replace(",", "")) - count) <= 100 for number, count in zip(told.groups(), counted)), (
        counted
    )


def test_every_module_says_what_it_is_for():
    silent = [path for path in sources() if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_the_package_imports_only_what_it_declares():
    for path in sources():
        of_room = {"benchmarks": {"torch", "jax"}, "compiled": {"numba", "llvmlite", "scipy"}}
        yardsticks = of_room.get(path.parent.name, set())
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
