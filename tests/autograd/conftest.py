"""Lets the tests in this folder import operation_table, which lies beside them, and run with either kind of twin."""

import sys
from pathlib import Path

import pytest

from minivdit.base import backend

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["numpy", "compiled"])
def twins(request):
    """The operations computed by NumPy, and once more compiled by Numba."""
    if request.param == "compiled" and backend.numba_problem():
        pytest.skip(backend.numba_problem())
    backend.use("cpu", kernels=request.param == "compiled")
    yield request.param
    backend.use("cpu")
