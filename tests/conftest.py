"""What all tests share: a stand-in for CuPy, so that what a GPU would do can be followed without one."""

import importlib.util
import signal
from pathlib import Path

import pytest

from minivdit import backend

_spec = importlib.util.spec_from_file_location("stand_in_cupy", Path(__file__).with_name("stand_in_cupy.py"))
_stand_in = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_stand_in)

# Who runs the tests in the background hands on that these are ignored; they are tested, here and in processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def stand_in(monkeypatch):
    """tests/stand_in_cupy.py: stand_in.install(monkeypatch, architecture="80", ...) puts it in CuPy's place."""
    yield _stand_in
    backend.use("cpu")


@pytest.fixture
def gpu(stand_in, monkeypatch):
    """The stand-in's record of copies and launches, with the stand-in installed and chosen."""
    stand_in.install(monkeypatch)
    backend.use("gpu")
    stand_in.record.clear()
    return stand_in.record
