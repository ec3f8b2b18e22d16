"""What chapters use beside the library: sizes that shrink for tests, and packages and MPI, which may be missing."""

import importlib.util
import sys

import pytest

from minivdit.lab.lessons import installed, mpiexec, notebook, size


@pytest.mark.parametrize(("setting", "expected"), [(None, 100), ("", 100), ("short", 3)])
def test_a_size_is_short_only_where_the_setting_says_so(monkeypatch, setting, expected):
    if setting is None:
        monkeypatch.delenv("MINIVDIT_LESSONS", raising=False)
    else:
        monkeypatch.setenv("MINIVDIT_LESSONS", setting)
    assert size(100, 3) == expected


def test_a_missing_package_is_named_with_the_cure_and_one_that_is_there_is_not(capsys):
    assert installed("numpy") and not capsys.readouterr().out
    assert not installed("numpy", "no_such_package")
    told = capsys.readouterr().out
    assert "no_such_package isn't installed" in told and "numpy" not in told and "pip install" in told


@pytest.fixture
def with_mpi4py(monkeypatch, tmp_path):
    """As if mpi4py were installed, and Python stood in a folder of its own, the only one where programs are."""
    monkeypatch.setattr(notebook, "installed", lambda *packages, extra: True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="makes a program of a script")
@pytest.mark.parametrize(
    ("version", "more"), [("HYDRA build details", []), ("mpiexec (Open MPI) 5", ["--oversubscribe"])]
)
def test_mpiexec_is_the_one_beside_python_and_open_mpi_is_told_that_ranks_share_cores(with_mpi4py, version, more):
    starter = with_mpi4py / "mpiexec"
    starter.write_text(f"#!/bin/sh\necho '{version}'\n")
    starter.chmod(0o755)
    assert mpiexec(3) == [str(starter), *more, "-n", "3", str(with_mpi4py / "python")]


def test_a_missing_mpiexec_is_told_with_the_cure(with_mpi4py, capsys):
    assert mpiexec(2) is None
    assert "no mpiexec: pip install 'minivdit[mpi]'" in capsys.readouterr().out


def test_a_missing_mpi4py_is_told_with_the_cure(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert mpiexec(2) is None
    assert capsys.readouterr().out == "Skipped, because mpi4py isn't installed: pip install 'minivdit[mpi]'.\n"
