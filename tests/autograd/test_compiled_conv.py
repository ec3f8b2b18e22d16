"""The compiled convolution against NumPy's, at sizes that fill many blocks of windows."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base import backend

pytestmark = pytest.mark.skipif(backend.numba_problem() is not None, reason="needs Numba and SciPy")

# input, kernel with channels in and out, options
CASES = {
    "as in the autoencoder": ((3, 13, 11, 16), (3, 3, 16, 12), {"padding": 1}),
    "shrinking": ((2, 18, 14, 8), (4, 4, 8, 16), {"stride": 2, "padding": 1}),
    "many channels": ((2, 9, 7, 40), (3, 3, 40, 48), {"padding": 1}),
    "one channel": ((2, 30, 26, 1), (4, 4, 1, 3), {"stride": 2, "padding": 1}),
    "from few to many": ((2, 21, 17, 3), (3, 3, 3, 16), {"padding": 1}),
    "to a single one": ((2, 21, 17, 9), (3, 3, 9, 1), {"padding": 1}),
    "uneven": ((2, 19, 23, 5), (3, 2, 5, 6), {"stride": (3, 2), "padding": ((0, 2), (4, 1))}),
    "stride above the kernel": ((2, 19, 23, 5), (2, 1, 5, 6), {"stride": (3, 2), "padding": 1}),
    "a long line": ((1, 3001, 5), (7, 5, 4), {"stride": 2, "padding": 3}),
    "no bias": ((2, 501, 4), (3, 4, 4), {}),
    "three axes": ((2, 7, 9, 8, 6), (3, 3, 2, 6, 5), {"stride": (1, 2, 3), "padding": ((2, 0), 1, 0)}),
    "enlarged": ((3, 13, 11, 16), (3, 3, 16, 12), {"padding": 1, "upsampling": 2}),
    "enlarged unevenly": ((2, 6, 7, 5, 3), (2, 3, 4, 3, 17), {"padding": ((0, 3), 1, 2), "upsampling": (3, 1, 2)}),
    "enlarged, with a stride": ((2, 13, 11, 6), (3, 3, 6, 5), {"stride": 2, "upsampling": 3}),
    "enlarged, without neighbours": ((2, 13, 11, 6), (1, 1, 6, 5), {"upsampling": 2}),
    "four axes": ((1, 4, 3, 4, 5, 2), (2, 1, 2, 3, 2, 3), {"padding": 1}),
}


def computed(case, dtype=np.float32):
    """Value and gradients by the compiled convolution, and by NumPy's."""
    shape, weight_shape, options = CASES[case]
    generator = np.random.default_rng(0)
    shapes = [shape, weight_shape, *([] if case == "no bias" else [weight_shape[-1:]])]
    arrays = [generator.standard_normal(shape).astype(dtype) for shape in shapes]
    grad, results = None, []
    try:
        for kernels in (True, False):
            backend.use("cpu", kernels=kernels)
            value, pullback = ag.conv.function(*arrays, **options)
            grad = generator.standard_normal(value.shape).astype(dtype) if grad is None else grad
            results.append([value, *(g for g in pullback(grad) if g is not None)])
    finally:
        backend.use("cpu")
    return results


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_same_as_numpys(case):
    for found, expected in zip(*computed(case), strict=True):
        assert found.dtype == np.float32 and found.shape == expected.shape
        assert abs(found - expected).max() <= 1e-5 * abs(expected).max()


@pytest.mark.parametrize("case", CASES)
def test_in_double_precision_it_is_the_same_to_the_last_digits(case):
    for found, expected in zip(*computed(case, np.float64)):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_one_thread_gives_the_same_bits_as_two(case, monkeypatch):
    compiler = pytest.importorskip("minivdit.autograd.compiled.compiler")
    monkeypatch.setattr(compiler, "ENTRIES", 1)
    monkeypatch.setattr(backend, "cpu_count", lambda: 2)
    two, _ = computed(case)
    with backend.blas_threads(1):
        one, _ = computed(case)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_numbers_that_are_not_finite_stay_where_they_are_seen():
    x, weight = np.ones((1, 9, 9, 2), np.float32), np.ones((3, 3, 2, 2), np.float32)
    x[0, 4, 4, 1] = np.nan
    seen = np.isnan(ag.conv(x, weight, padding=1).data[0, ..., 0])
    assert seen.sum() == 9 and seen[3:6, 3:6].all()


@pytest.mark.parametrize("case", ["as in the autoencoder", "shrinking", "enlarged"])
@pytest.mark.parametrize(
    "loop, written",
    [("convolution_forward", "value"), ("convolution_backward", "x_grad"), ("convolution_backward", "weight_grad")],
)
def test_one_wrong_entry_of_what_a_loop_writes_is_noticed(case, loop, written, spoil):
    spoil(loop, written)
    with pytest.raises(AssertionError):
        test_it_is_the_same_as_numpys(case)
