"""What Numba compiles computes what NumPy does: in float32, on odd shapes, with any number of threads."""

import inspect

import numpy as np
import pytest
from cases import LAYOUTS

from minivdit import autograd as ag
from minivdit.base import backend

pytestmark = pytest.mark.skipif(backend.numba_problem() is not None, reason="Numba isn't installed")


def as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


# ---- Operations on rows -------------------------------------------------------------------------------------

# Operation, the shapes of its arrays, options.
ON_ROWS = [
    ("normalise_and_modulate", [(3, 5, 7, 37), (3, 5, 1, 37), (3, 5, 1, 37)], {}),
    ("normalise_and_modulate", [(2, 130, 9), (2, 1, 9), (2, 1, 9)], {"eps": 0.5}),
    ("gated_residual", [(3, 5, 7, 37), (3, 5, 1, 37), (3, 5, 7, 37)], {}),
    ("layer_norm", [(3, 67, 37), (37,), (37,)], {}),
    ("layer_norm", [(3, 67, 37)], {}),
    ("rms_norm", [(3, 67, 37), (37,)], {}),
]
on_rows = pytest.mark.parametrize("name, shapes, options", ON_ROWS)


def value_and_gradients(name, shapes, options, layout=None, kernels=True):
    """The arrays that an operation and its pullback return for normal float32 inputs, some far from 0."""
    generator = np.random.default_rng(0)
    arrays = [(generator.standard_normal(shape) * 3 + 2).astype(np.float32) for shape in shapes]
    backend.use("cpu", kernels=kernels)
    try:
        value, pullback = getattr(ag, name).function(*[LAYOUTS.get(layout, np.copy)(x) for x in arrays], **options)
        grad = generator.standard_normal(value.shape).astype(np.float32)
        return [value, *(found for found in as_tuple(pullback(grad)) if found is not None)]
    finally:
        backend.use("cpu")


def same_as_numpy(*case, layout=None):
    """Whether each array is NumPy's within 1e-5 of its largest entry."""
    pairs = zip(value_and_gradients(*case, layout), value_and_gradients(*case, kernels=False), strict=True)
    return all(abs(got - expected).max() <= 1e-5 * abs(expected).max() for got, expected in pairs)


@on_rows
@pytest.mark.parametrize("layout", [None, *LAYOUTS])
def test_operations_on_rows_are_those_of_numpy(name, shapes, options, layout):
    assert same_as_numpy(name, shapes, options, layout=layout)


@on_rows
def test_the_number_of_threads_changes_no_bit(name, shapes, options, monkeypatch):
    from minivdit.autograd.compiled import compiler

    monkeypatch.setattr(compiler, "ENTRIES", 1)
    found = []
    for cores in (1, 2, 3):
        monkeypatch.setattr(compiler, "free_cores", lambda cores=cores: cores)
        found.append([array.tobytes() for array in value_and_gradients(name, shapes, options)])
    assert found[0] == found[1] == found[2]


WRITTEN = {
    "normalise_forward": ("mean", "inverse_deviation", "value"),
    "normalise_backward": ("x_grad", "scale_grad", "shift_grad"),
    "gated_residual_forward": ("value",),
    "gated_residual_backward": ("gate_grad", "branch_grad"),
}


@pytest.mark.parametrize("loop, written", [(loop, written) for loop, names in WRITTEN.items() for written in names])
def test_one_wrong_entry_of_what_a_loop_writes_is_noticed(loop, written, monkeypatch):
    from minivdit.autograd.compiled import compiler

    call = compiler.Loop.__call__

    def spoil(self, *arguments):
        call(self, *arguments)
        if self.function.__name__ == loop:
            array = arguments[list(inspect.signature(self.function).parameters).index(written)]
            array.flat[np.abs(array).argmax()] *= 1.001

    monkeypatch.setattr(compiler.Loop, "__call__", spoil)
    assert not all([same_as_numpy(*case) for case in ON_ROWS])
