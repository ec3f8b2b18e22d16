"""The wheel: built, installed outside the checkout, and used from there.

The environment is a new, empty one. What minivdit depends on isn't installed again (that would need the network):
the site-packages of the environment that runs the tests are appended to its path, after its own. So minivdit itself,
its console script, its weights and its CUDA sources can only come from the wheel, which the tests check.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed: pip install -e '.[dev]'"
)


def run(*command, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MINIVDIT"))}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, **options)
    assert result.returncode == 0, f"{command} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def python(programs):
    return str(programs / ("python.exe" if os.name == "nt" else "python"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=PROJECT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of a new environment's programs, with the wheel installed there."""
    root = tmp_path_factory.mktemp("elsewhere") / "environment"
    venv.create(root, with_pip=False)
    scheme = "nt" if os.name == "nt" else "posix_prefix"
    paths = sysconfig.get_paths(scheme, vars={"base": str(root), "platbase": str(root)})
    programs, own = Path(paths["scripts"]), Path(paths["purelib"])
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python(programs)]
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", str(wheel))
    # Only the dependencies of the tests' environment, as a path: its own .pth files (an editable minivdit) aren't read.
    (own / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return programs


def test_the_wheel_holds_everything_that_is_used_at_run_time(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("minivdit/**/*.py")}
    weights = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("minivdit/weights/*.safetensors")}
    kernels = {f"minivdit/kernel_sources/{path.name}" for path in PROJECT.glob("kernels/*.[ch]*")}
    explorer = {f"minivdit/lab/explorer/page.{ending}" for ending in ("html", "css", "js")}
    assert kernels and not (sources | weights | kernels | explorer) - names
    assert not [name for name in names if name.startswith(("tests/", "runs/")) or name.endswith(".pyc")]


def test_minivdit_is_used_from_the_wheel(installed, tmp_path):
    script = "import json, minivdit; from minivdit import kernels; "
    script += "print(json.dumps([minivdit.__file__, str(kernels.folder()), kernels.names()]))"
    package, folder, names = json.loads(run(python(installed), "-c", script, cwd=tmp_path))
    environment = installed.parent.resolve()
    assert Path(package).resolve().is_relative_to(environment)
    assert Path(folder).resolve().is_relative_to(environment)
    assert names == sorted(path.stem for path in PROJECT.glob("kernels/*.cu")) and names


def test_the_doctor_finds_all_that_the_wheel_brings(installed, tmp_path):
    program = shutil.which("minivdit", path=str(installed))
    assert program, "the console script is missing"
    assert str(installed) in Path(program).read_bytes().decode(errors="ignore")  # it starts this environment's Python
    # Not `run`: the exit code tells of the machine too, such as little memory.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # the wheel's own code
    run(python(installed), "-c", "from minivdit import autograd; autograd.load_twins()", cwd=tmp_path)  # compiles
    result = subprocess.run([program, "doctor"], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert result.stderr == ""
    assert f"[OK]   CUDA sources in {installed.parent}" in result.stdout
    assert "[OK]   the weights that come with minivdit load" in result.stdout
    assert "[OK]   numpy" in result.stdout


def test_a_clip_is_drawn_with_the_weights_in_the_wheel(installed, tmp_path):
    options = ["--frames", "4", "--steps", "2", "--out", "clip.gif"]
    output = run(python(installed), "-m", "minivdit", "sample", "a 3 moving right", *options, cwd=tmp_path)
    assert (tmp_path / "clip.gif").read_bytes()[:6] == b"GIF89a"
    assert "4 frames" in output


def test_a_model_is_trained_and_used_from_the_wheel(installed, tmp_path):
    run(python(installed), "-m", "minivdit", "train", "tiny", "--steps", "2", cwd=tmp_path)
    weights = ["--weights", "runs/tiny/model.safetensors"]
    run(python(installed), "-m", "minivdit", "sample", "a 3 moving right", *weights, cwd=tmp_path)
    assert (tmp_path / "clip.gif").read_bytes()[:6] == b"GIF89a"


def test_help_is_quick_and_imports_nothing_heavy(installed, tmp_path):
    script = "import sys; from minivdit.lab.cli.main import build_parser; build_parser().format_help(); "
    script += "print([name for name in ('numpy', 'matplotlib', 'cupy', 'imageio') if name in sys.modules])"
    assert run(python(installed), "-c", script, cwd=tmp_path).strip() == "[]"
