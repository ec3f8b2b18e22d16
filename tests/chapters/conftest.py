"""The chapters' own tool, chapters/build.py, for all tests of the chapters."""

import importlib.util
import sys
from pathlib import Path

import pytest

CHAPTERS = Path(__file__).parents[2] / "chapters"


def load(name):
    spec = importlib.util.spec_from_file_location(f"chapters_{name}", CHAPTERS / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def build():
    pytest.importorskip("jupytext", reason="jupytext isn't installed; pip install -e '.[dev]'")
    return load("build")


@pytest.fixture(scope="session")
def api():
    return load("api")
