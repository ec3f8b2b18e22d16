"""What Numba makes of attention computes what NumPy does: odd shapes, times, any number of threads."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.autograd.attend import NEVER
from minivdit.base import backend
from minivdit.models.blocks import split_heads

pytestmark = pytest.mark.skipif(backend.numba_problem() is not None, reason="needs Numba")


@pytest.fixture(autouse=True)
def as_before():
    yield
    backend.use("cpu")


def both_ways(kernels, operation, cotangent, *inputs, **options):
    """The value and the gradients, computed by compiled operations (kernels=True) or by NumPy."""
    backend.use("cpu", kernels=kernels)
    value, pullback = operation.function(*inputs, **options)
    return [value, *(gradient for gradient in pullback(cotangent) if gradient is not None)]


def assert_equal_to_numpy(operation, cotangent, *inputs, **options):
    """In float32 the value within 1e-5 of its largest entry, a gradient within 1e-5 of the largest entry anywhere."""
    expected, found = (both_ways(kernels, operation, cotangent, *inputs, **options) for kernels in (False, True))
    assert len(found) == len(expected)
    largest = 0
    for number, (ours, numpys) in enumerate(zip(found, expected)):
        assert ours.shape == numpys.shape and ours.dtype == np.float32
        atol = 1e-5 * max(largest, abs(numpys).max(initial=0))
        np.testing.assert_allclose(ours, numpys, rtol=0, atol=atol, err_msg=f"result {number}")
        largest = max(abs(x).max(initial=1) for x in (cotangent, *inputs) if x is not None)


def attention_inputs(queries, keys=None, *, clips=2, heads=2, width=8, norm=True, tables=None, size=1.0):
    """A cotangent, and q, k, v as split_heads gives them, weights and tables of angles.

    tables: the leading axes of those, () for one that all clips and heads share.
    """
    random = np.random.default_rng(queries + width)
    draw = lambda *shape: random.standard_normal(shape).astype(np.float32)
    keys = keys or queries
    q = split_heads(draw(clips, queries, heads * width), heads)
    k, v = (split_heads(x, heads) for x in np.split(draw(clips, keys, 2 * heads * width), 2, axis=-1))
    weights = draw(2, width) if norm else (None, None)
    angles = None if tables is None else draw(*tables, queries, width // 2)
    turn = (None, None) if tables is None else (np.cos(angles), np.sin(angles))
    cotangent = split_heads(draw(clips, queries, heads * width), heads)
    if size > 1:  # whole numbers, so that large scores are exact: whatever computes them, they are the same
        q, k = np.round(q * np.float32(size)), np.round(k * 4)
    return cotangent, q, k, v, *weights, *turn


SHAPES = {
    "one token": ((1,), {"heads": 1}),
    "seven": ((7,), {"width": 2, "tables": ()}),
    "a tile and one more": ((129,), {"width": 32, "tables": (2, 1)}),
    "several tiles": ((300,), {"clips": 1, "width": 24, "tables": (), "norm": False}),
    "wide": ((140,), {"clips": 1, "width": 64, "tables": (1, 1)}),
    "one head in parts": ((1027 * 2,), {"clips": 1, "heads": 1, "tables": ()}),
    "two heads in parts": ((1200, 40), {"clips": 1}),
    "words": ((70, 12), {"width": 16}),
    "many keys": ((3, 300), {"norm": False}),
    "large scores": ((150,), {"size": 1e4, "norm": False}),
    "no clips": ((5,), {"clips": 0}),
    "no queries": ((0, 3), {}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_attention_of_awkward_shapes(name):
    positional, options = SHAPES[name]
    assert_equal_to_numpy(ag.attention, *attention_inputs(*positional, **options))


TIMES = {
    "causal, in order": lambda n: (np.arange(n) // 10, np.arange(n) // 10),
    "causal, out of order": lambda n: (np.arange(n) * 7 % 5, np.arange(n) * 3 % 5),
    "padding": lambda n: (np.zeros(n, int), np.where(np.arange(n) < n - 20, 0, NEVER)),
    "some see nothing": lambda n: (np.arange(n) % 3, np.full(n, 2)),
    "nobody sees anything": lambda n: (np.zeros(n, int), np.full(n, NEVER)),
    "each clip its own": lambda n: (np.zeros((2, 1, 1), int), np.array([[0, 1], [1, 0]])[:, None].repeat(n // 2, -1)),
}


@pytest.mark.parametrize("size", [1, 1e3], ids=["small scores", "large scores"])
@pytest.mark.parametrize("name", TIMES)
def test_attention_sees_what_times_say(name, size):
    query_time, key_time = TIMES[name](300)
    inputs = attention_inputs(300, norm=False, size=size)
    assert_equal_to_numpy(ag.attention, *inputs, query_time=query_time, key_time=key_time)


@pytest.mark.parametrize("shape", [(300,), (1024,)], ids=["heads", "parts"])
def test_attention_has_the_same_bits_with_one_and_with_two_threads_and_once_more(shape, monkeypatch):
    inputs = attention_inputs(*shape, clips=1, width=32, tables=())
    results = []
    for threads in (1, 2, 2):
        monkeypatch.setattr("minivdit.autograd.compiled.compiler.free_cores", lambda threads=threads: threads)
        results.append(both_ways(True, ag.attention, *inputs))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("largest, error", [(1, 2e-7), (30, 2e-6), (80, 5e-6)])
def test_quick_exp_is_as_exact_as_it_says(largest, error):
    numba = pytest.importorskip("numba")
    from minivdit.autograd.compiled.scalars import quick_exp

    exp = numba.vectorize(["f4(f4)"])(lambda x: quick_exp(x))
    x = np.linspace(-largest, largest, 200_001, dtype=np.float32)
    np.testing.assert_allclose(exp(x), np.exp(x.astype(np.float64)), rtol=error)
    with np.errstate(all="ignore"):
        ends = exp(np.array([-87.4, -3e38, -np.inf, np.nan, 0], np.float32))
    assert ends.dtype == np.float32
    np.testing.assert_array_equal(ends, [0, 0, 0, np.nan, 1])
