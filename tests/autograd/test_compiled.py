"""What Numba compiles computes what NumPy does: in float32, on odd shapes, with any number of threads."""

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
    ("mlp", [(3, 171, 37), (37, 83), (83,), (83, 19), (19,)], {}),
    ("linear", [(3, 171, 37), (37, 83), (83,)], {"transposed": True}),
    ("gelu", [(5, 97, 151)], {}),
    ("silu", [(5, 97, 151)], {}),
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
    "mlp_forward": ("before", "value"),
    "mlp_backward": ("x_grad", "up_grad", "up_bias_grad", "down_grad"),
    "gelu_forward": ("value",),
    "gelu_backward": ("x_grad",),
    "silu_forward": ("value",),
    "silu_backward": ("x_grad",),
}


@pytest.mark.parametrize("loop, written", [(loop, written) for loop, names in WRITTEN.items() for written in names])
def test_one_wrong_entry_of_what_a_loop_writes_is_noticed(loop, written, spoil):
    spoil(loop, written)
    assert not all([same_as_numpy(*case) for case in ON_ROWS])


# ---- Functions of one number --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled_exp():
    import numba

    from minivdit.autograd.compiled import scalars

    @numba.njit(**scalars.OPTIONS)
    def loop(x, value):
        for j in range(len(x)):
            value[j] = scalars.exp(x[j])

    def exp(x):
        value = np.empty_like(x)
        loop(x, value)
        return value

    return exp


def wrong_by(value, x):
    """How far a float32 value is from the true exp(x), in units of the last bit of that."""
    exact = np.exp(x.astype(np.float64))
    return abs(value - exact) / np.spacing(exact.astype(np.float32))


def test_exp_for_every_exponent_of_a_float32(compiled_exp):
    bits = np.random.default_rng(0).integers(0, 1 << 23, (2, 256, 64), dtype=np.uint32)  # signs, exponents
    bits |= np.arange(256, dtype=np.uint32)[:, None] << 23
    bits[1] |= np.uint32(1 << 31)
    x = bits.view(np.float32).ravel()
    x = np.concatenate([x[np.isfinite(x)], np.linspace(-87.3, 88.7, 1 << 16, dtype=np.float32)])
    value = compiled_exp(x)
    usual = (x > -87.33) & (x < 88.72)  # elsewhere the result is no normal number
    assert wrong_by(value[usual], x[usual]).max() <= 2
    assert wrong_by(value[usual] * np.float32(1 + 4e-7), x[usual]).max() > 2  # it would have been noticed
    with np.errstate(over="ignore", under="ignore"):
        expected = np.exp(x[~usual])
    np.testing.assert_array_equal(value[~usual], np.where(expected < 1.2e-38, 0, expected))


def test_exp_of_infinity_and_nan_and_zero(compiled_exp):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e30, -1e30, 89, -88] * 3, np.float32)  # several vectors long
    np.testing.assert_array_equal(compiled_exp(x), [np.inf, 0, np.nan, 1, 1, np.inf, 0, np.inf, 0] * 3)


@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_gelu_and_silu_far_from_zero(name):
    """There the gate is 0 or 1, and nothing overflows."""
    x = np.array([-1e4, -90, -20, 20, 90, 1e4] * 5, np.float32)
    value, pullback = getattr(ag, name).function(x)
    np.testing.assert_allclose(value, np.where(x > 0, x, 0), atol=1e-6)
    np.testing.assert_allclose(pullback(np.ones_like(x)), x > 0, atol=1e-6)


def test_attention_writes_gradients_that_split_need_not_join():
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 4, 5, 6)).astype(np.float32)  # (B, h, N, d)
    grads = ag.attention.function(q, k, v)[1](np.ones_like(q))[:3]
    rows = [grad.transpose(0, 2, 1, 3).reshape(2, 5, 24) for grad in grads]
    joined = ag.split.function(np.zeros((2, 5, 72), np.float32), parts=3)[1](tuple(rows))
    assert np.shares_memory(joined, rows[0])
    np.testing.assert_array_equal(joined, np.concatenate(rows, axis=-1))
