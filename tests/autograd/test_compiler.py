"""Compiled twins: loaded when first wanted, compiled once, kept on disk, done without where they can't be had."""

import os
import subprocess
import sys

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.autograd import engine
from minivdit.base import backend

needs_numba = pytest.mark.skipif(backend.numba_problem() is not None, reason=str(backend.numba_problem()))

DOUBLE = """
import numpy as np
from minivdit.autograd.compiled import compiler

@compiler.compiled("f4[::1]")
def double(start, stop, x):
    for i in range(start, stop):
        x[i] *= 2

compiler.compile_all()
for dtype in (np.float32, np.float64):
    x = np.arange(3, dtype=dtype)
    double(1, 3, x)
    assert x.tolist() == [0, 2, 4]
    try:
        double(0, 3, x[::2])
        raise AssertionError("an array in pieces was taken, or compiled for")
    except TypeError:
        pass
"""


def python(*arguments, **variables):
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    return subprocess.run([sys.executable, *arguments], env=variables, capture_output=True, text=True, check=True)


@needs_numba
def test_a_loop_is_compiled_once_and_kept_in_the_cache(tmp_path):
    script, cache = tmp_path / "double.py", tmp_path / "cache"
    script.write_text(DOUBLE)
    first, second = (python(script, XDG_CACHE_HOME=str(cache)) for _ in range(2))
    assert "compiling 1 operation for this processor" in first.stderr and "1/1" in first.stderr
    assert not second.stderr
    assert [path.name.partition(".")[0] for path in cache.rglob("*.nbi")] == ["double"]
    with open(script, "a") as file:  # another source is compiled anew
        file.write("\n")
    assert len([path for path in cache.rglob("*.nbc")]) == 2  # float32 and float64


@needs_numba
@pytest.mark.parametrize("kind", ["nbc", "nbi"])
@pytest.mark.parametrize("left", [b"", b"garbage"])
def test_a_damaged_cache_is_done_without_and_mends_itself(tmp_path, kind, left):
    script, cache = tmp_path / "double.py", tmp_path / "cache"
    script.write_text(DOUBLE)
    python(script, XDG_CACHE_HOME=str(cache))
    for path in cache.rglob(f"*.{kind}"):
        path.write_bytes(left)
    damaged, mended = (python(script, XDG_CACHE_HOME=str(cache)).stderr for _ in range(2))
    assert "double is compiled for this run alone" in damaged and str(cache) in damaged
    assert not mended


@needs_numba
def test_a_switch_of_numba_itself_is_respected(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert "unset it" in backend.numba_problem() and backend.twins_for(np.zeros(2, np.float32)) is None
    code = "import minivdit.autograd.compiled.load"  # as a page about all modules does
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ)).returncode == 0


@needs_numba
@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_without_a_folder_for_the_cache_it_is_a_temporary_one(tmp_path):
    script = tmp_path / "double.py"
    script.write_text(DOUBLE)
    (tmp_path / "closed").mkdir(mode=0o500)
    told = python(script, XDG_CACHE_HOME=str(tmp_path / "closed")).stderr
    assert "what is compiled goes when this ends" in told


@needs_numba
def test_numba_is_imported_when_an_operation_wants_it():
    python(
        "-c",
        "import sys, numpy as np\n"
        "from minivdit import autograd as ag\n"
        "from minivdit.base import backend\n"
        "x = np.ones((2, 3), np.float32)\n"
        "backend.use('cpu', kernels=False)\n"
        "ag.layer_norm(x), ag.load_twins()\n"
        "assert 'numba' not in sys.modules\n"
        "backend.use('cpu')\n"
        "ag.layer_norm(x)\n"
        "assert 'numba' in sys.modules\n",
    )


@pytest.mark.parametrize("module", ["minivdit.no_such_module", "minivdit.base.errors.nothing"])
def test_without_compiled_twins_numpy_computes_and_a_note_says_so_once(monkeypatch, capsys, module):
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    expected = ag.layer_norm.function.__wrapped__(x)[0]
    monkeypatch.setitem(backend._state, "numba_problem", None)  # as it will be again
    monkeypatch.setattr(backend, "_is_installed", lambda name: True)
    monkeypatch.setitem(engine._modules, "compiled", module)
    monkeypatch.setitem(engine._twins, "compiled", {})
    for _ in range(2):
        np.testing.assert_array_equal(ag.layer_norm(x).data, expected)
    assert capsys.readouterr().err.count("computing with NumPy: Numba can't be used (ModuleNotFoundError") == 1
    assert "pip install" in backend.numba_problem() and backend.twins_for(x) is None


def test_numbers_of_other_types_are_left_to_numpy():
    assert backend.twins_for(np.zeros(2, np.float16)) is None
    assert backend.twins_for(np.zeros(2, np.longdouble)) is None


@needs_numba
@pytest.mark.parametrize("free", [1, 2, 5])
def test_threads_share_a_range(monkeypatch, free):
    from minivdit.autograd.compiled import compiler

    monkeypatch.setattr(compiler, "free_cores", lambda: free)
    parts = []
    compiler.in_parallel(lambda *edge: parts.append(edge), 3, 10 * compiler.ENTRIES)
    assert sorted(parts) == {1: [(0, 3)], 2: [(0, 1), (1, 3)], 5: [(0, 1), (1, 2), (2, 3)]}[free]
    parts.clear()
    compiler.in_parallel(lambda *edge: parts.append(edge), 3, compiler.ENTRIES)  # too little to share
    compiler.in_parallel(lambda *edge: parts.append(edge), 0, 0)
    assert parts == [(0, 3), (0, 0)]
