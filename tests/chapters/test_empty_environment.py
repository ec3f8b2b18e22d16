"""A chapter in an empty environment, with only what its first cell installs: as it is in Colab.

It is slow: pip fetches NumPy, Matplotlib, Numba and SciPy. It is skipped where pip can't fetch anything.
"""

import importlib.util
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

for needed in ("hatchling", "jupytext", "nbclient", "nbformat"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} isn't installed; pip install -e '.[dev]'", allow_module_level=True)

PROJECT = Path(__file__).parents[2]
CHAPTER = "06_patches_and_positions"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """The Python of a new environment that has a kernel for notebooks, as Colab has, and nothing else."""
    root = tmp_path_factory.mktemp("empty") / "environment"
    venv.create(root, with_pip=True)
    python = root / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "--retries", "1", "ipykernel"]
    done = subprocess.run(install, capture_output=True, text=True, env=plain())
    if done.returncode:
        pytest.skip(f"pip can't fetch ipykernel here: {done.stderr.strip().splitlines()[-1][:200]}")
    return python


def plain():
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MINIVDIT"))}


def test_a_chapter_runs_with_only_what_its_first_cell_installs(build, monkeypatch, wheel, empty, tmp_path):
    from nbclient import NotebookClient

    monkeypatch.setattr(build, "REPOSITORY", "someone/minivdit")
    notebook = build.read(build.CHAPTERS / "source" / f"{CHAPTER}.py")
    address = "git+https://github.com/someone/minivdit@main"
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert address in cells[0].source
    cells[0].source = cells[0].source.replace(address, wheel.as_uri())
    cells[0].source += "\nimport minivdit\nprint(minivdit.__file__)"
    kernel = tmp_path / "kernels" / "empty"
    kernel.mkdir(parents=True)
    command = [str(empty), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "empty", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    given = plain() | {"MINIVDIT_LESSONS": "short", "NUMBA_DISABLE_JIT": "1", "JUPYTER_PATH": str(tmp_path)}
    client = NotebookClient(notebook, timeout=300, kernel_name="empty", resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=given)
    assert str(empty.parents[1]) in cells[0].outputs[-1].text  # from the new environment, not from the checkout
    told = "".join(output.get("data", {}).get("text/plain", "") for cell in cells for output in cell.outputs)
    assert told.count("Not yet: ") >= 3
