"""Does each operation compute what it says? Compared with the plainest independent form of the same thing.

A gradient check can't see a wrong value: it only sees that the gradient belongs to the value.
"""

import itertools
import math

import numpy as np
import pytest
from cases import LAYOUTS
from operation_table import TABLE

from minivdit import autograd as ag
from minivdit.autograd import attend, fused, products
from minivdit.autograd.arrays import blocks

pytestmark = pytest.mark.usefixtures("twins")

SAMPLES_OF = {case.name: [sample for c in TABLE if c.name == case.name for sample in c.samples] for case in TABLE}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def value(operation, *arrays, **options):
    return operation(*arrays, **options).data


def entrywise(function):
    """A function of numbers as a function of arrays, by an honest loop."""
    return lambda x: np.array([function(float(v)) for v in x.ravel()]).reshape(x.shape)


@pytest.mark.parametrize(
    "operation, expected",
    [
        (ag.exp, entrywise(math.exp)),
        (ag.square, entrywise(lambda v: v * v)),
        (ag.tanh, entrywise(math.tanh)),
        (ag.negate, entrywise(lambda v: 0 - v)),
        (ag.absolute, entrywise(abs)),
        (ag.relu, entrywise(lambda v: v if v > 0 else 0.0)),
        (ag.silu, entrywise(lambda v: v / (1 + math.exp(-v)))),
        (ag.gelu, entrywise(lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))))),
    ],
)
def test_elementwise(operation, expected):
    x = normal(5, 7) * 2
    np.testing.assert_allclose(value(operation, x), expected(x), rtol=1e-12, atol=1e-15)


def test_gelu_is_close_to_its_exact_form():
    x = normal(500) * 3
    exact = entrywise(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2))))
    assert abs(value(ag.gelu, x) - exact(x)).max() < 1e-3


def test_two_sided():
    a, b = normal(3, 1), normal(4, seed=1)
    for operation, expected in (
        (ag.add, np.add),
        (ag.subtract, np.subtract),
        (ag.multiply, np.multiply),
        (ag.divide, np.divide),
    ):
        np.testing.assert_array_equal(value(operation, a, b), expected(a, b))
    np.testing.assert_array_equal(value(ag.clip, b, low=-0.3, high=0.3), np.clip(b, -0.3, 0.3))
    np.testing.assert_array_equal(value(ag.power, b, exponent=2), b * b)
    np.testing.assert_array_equal(value(ag.scale, b, by=3), 3 * b)


def test_extreme_inputs_neither_overflow_nor_warn():
    big = np.array([-1e4, -100.0, 0.0, 100.0, 1e4], np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for operation, expected in (
            (ag.silu, [0, 0, 0, 100, 1e4]),
            (ag.gelu, [0, 0, 0, 100, 1e4]),
            (ag.softmax, [0, 0, 0, 0, 1]),
            (ag.log_softmax, big - 1e4),
        ):
            x = ag.Tensor(big, requires_grad=True)
            result = operation(x)
            np.testing.assert_allclose(result.data, expected, atol=1e-6)
            assert np.isfinite(ag.gradients(result.sum(), [x])[0]).all()
        assert np.isfinite(value(ag.cross_entropy, big, np.array(0)))


def test_reductions():
    x = normal(3, 4, 5)
    for axis in (None, 0, -1, (0, 2), (1, 0, 2)):
        for keepdims in (False, True):
            options = {"axis": axis, "keepdims": keepdims}
            np.testing.assert_allclose(value(ag.sum, x, **options), np.sum(x, **options))
            np.testing.assert_allclose(value(ag.mean, x, **options), np.mean(x, **options))
    assert value(ag.sum, np.zeros((0, 3)), axis=0).tolist() == [0, 0, 0]


def test_shaping():
    x = normal(2, 3, 4, 5)
    np.testing.assert_array_equal(value(ag.upsample, x, factors=(2, 3)), x.repeat(2, axis=1).repeat(3, axis=2))
    np.testing.assert_array_equal(value(ag.concatenate, x, x[:, :1], axis=1), np.concatenate([x, x[:, :1]], 1))
    for got, expected in zip(ag.split(x, parts=2, axis=2), np.split(x, 2, axis=2)):
        np.testing.assert_array_equal(got.data, expected)


def test_products():
    a, b = normal(5, 1, 3, 4), normal(2, 4, 6, seed=1)
    np.testing.assert_allclose(value(ag.matmul, a, b), np.einsum("axij,xjk->axik", a.repeat(2, 1), b))
    w, bias = normal(4, 6), normal(6)
    np.testing.assert_allclose(value(ag.linear, a, w, bias), np.einsum("axij,jk->axik", a, w) + bias)
    np.testing.assert_array_equal(value(ag.embedding, w, np.array([[3, 0], [0, 0]])), w[[[3, 0], [0, 0]]])


def naive_convolution(x, weight, bias=None, stride=1, padding=0, upsampling=1):
    """One output number at a time."""
    axes = x.ndim - 2
    for axis, factor in enumerate((upsampling,) * axes if isinstance(upsampling, int) else upsampling, start=1):
        x = x.repeat(factor, axis=axis)
    stride = (stride,) * axes if isinstance(stride, int) else stride
    padding = (padding,) * axes if isinstance(padding, int) else padding
    padding = [(p, p) if isinstance(p, int) else p for p in padding]
    x = np.pad(x, [(0, 0), *padding, (0, 0)])
    kernel = weight.shape[:-2]
    out = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], kernel, stride)]
    result = np.zeros((len(x), *out, weight.shape[-1]))
    for b, *place in itertools.product(range(len(x)), *map(range, out)):
        window = x[(b, *(slice(p * s, p * s + k) for p, s, k in zip(place, stride, kernel)))]
        result[(b, *place)] = (window[..., None] * weight).sum(axis=tuple(range(axes + 1)))
    return result if bias is None else result + bias


@pytest.mark.parametrize("number", range(len(SAMPLES_OF["conv"])))
def test_convolution_against_one_number_at_a_time(number):
    sample = SAMPLES_OF["conv"][number]
    arrays = sample.draw(np.random.default_rng(number))
    np.testing.assert_allclose(
        value(ag.conv, *arrays, **sample.options), naive_convolution(*arrays, **sample.options), atol=1e-12
    )


@pytest.mark.parametrize("block", [1, 40, 200])
def test_convolution_in_small_blocks(block, monkeypatch):
    """The same values and gradients however the work is cut."""
    operation = ag.conv
    for sample in SAMPLES_OF["conv"]:
        arrays = sample.draw(np.random.default_rng(0))
        whole, whole_pullback = operation.function(*arrays, **sample.options)
        grad = np.random.default_rng(1).standard_normal(whole.shape)
        expected = [whole, *whole_pullback(grad)]
        with monkeypatch.context() as patch:
            patch.setattr(products, "BLOCK_ENTRIES", block)
            cut, cut_pullback = operation.function(*arrays, **sample.options)
            got = [cut, *cut_pullback(grad)]
        for a, b in zip(got, expected):
            if b is not None:
                np.testing.assert_allclose(a, b, atol=1e-12)


def test_blocks_cover_everything_once():
    for shape in ((3, 5, 4), (1, 7), (4, 1, 1, 3), (0, 3)):
        for entries in (1, 17, 1 << 17, 1 << 20):
            seen = np.zeros(shape, int)
            for block in blocks(shape, entries):
                seen[block] += 1
            assert (seen == 1).all()


def test_embedding_gradient_for_a_large_table(monkeypatch):
    monkeypatch.setattr(products, "ONE_HOT_ENTRIES", 0)
    for sample in SAMPLES_OF["embedding"]:
        assert ag.gradcheck(ag.embedding, *sample.draw(np.random.default_rng(0))) <= 1


def test_softmax_and_losses():
    x = normal(4, 6)
    weights = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    labels = np.array([0, 5, 2, 2])
    np.testing.assert_allclose(value(ag.softmax, x), weights)
    np.testing.assert_allclose(value(ag.log_softmax, x), np.log(weights))
    np.testing.assert_allclose(value(ag.cross_entropy, x, labels), -np.log(weights[range(4), labels]).mean())
    y, w = normal(4, 6, seed=1), abs(normal(4, 1, seed=2))
    np.testing.assert_allclose(value(ag.mean_squared_error, x, y), ((x - y) ** 2).mean())
    np.testing.assert_allclose(value(ag.mean_squared_error, x, y, w), (w * (x - y) ** 2).mean())


def test_normalisations():
    x, w, b = normal(2, 3, 6) * 3 + 1, normal(6, seed=1), normal(6, seed=2)
    standard = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(value(ag.layer_norm, x, w, b), standard * w + b)
    np.testing.assert_allclose(value(ag.rms_norm, x, w), x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w)
    shift, scale = normal(2, 1, 6, seed=3), normal(2, 1, 6, seed=4)
    np.testing.assert_allclose(value(ag.normalise_and_modulate, x, shift, scale), standard * (1 + scale) + shift)
    np.testing.assert_allclose(value(ag.gated_residual, x, scale, standard), x + scale * standard)


def test_rotary_turns_pairs_and_keeps_lengths():
    x, angle = normal(2, 5, 3, 4), normal(5, 1, 2, seed=1)
    turned = value(ag.rotary, x, np.cos(angle), np.sin(angle))
    pairs = (x[..., :2] + 1j * x[..., 2:]) * np.exp(1j * angle)
    np.testing.assert_allclose(turned, np.concatenate([pairs.real, pairs.imag], -1))


def naive_attention(q, k, v, scale=None, query_time=None, key_time=None):
    """One query at a time."""
    result = np.zeros((*q.shape[:-1], v.shape[-1]))
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if query_time is not None:
        query_time, key_time = np.broadcast_to(query_time, q.shape[:-1]), np.broadcast_to(key_time, k.shape[:-1])
    for place in np.ndindex(*q.shape[:-1]):
        which = place[:-1]
        seen = slice(None) if query_time is None else key_time[which] <= query_time[place]
        scores = k[which][seen] @ q[place] * scale
        if len(scores):
            weights = np.exp(scores - scores.max())
            result[place] = weights / weights.sum() @ v[which][seen]
    return result


@pytest.mark.parametrize("tile", [2, 3, 512])
@pytest.mark.parametrize("name", ["attention", "simple_attention"])
def test_attention_against_one_query_at_a_time(name, tile, monkeypatch):
    monkeypatch.setattr(attend, "QUICK_PRODUCT", 1)
    monkeypatch.setattr(attend, "TILE_STEP", tile)
    monkeypatch.setattr(attend, "TILE_ENTRIES", tile * tile)
    operation = getattr(ag, name)
    for sample in SAMPLES_OF[name]:
        arrays = sample.draw(np.random.default_rng(0))
        if len(arrays) > 3 or sum(a.size for a in arrays) > 500:
            continue
        expected = naive_attention(*arrays, **sample.options)
        np.testing.assert_allclose(value(operation, *arrays, **sample.options), expected, atol=1e-12)
        assert ag.gradcheck(operation, *arrays, **sample.options) <= 1


def test_attention_twins_agree_on_awkward_layouts_and_large_scores():
    q, k, v = (normal(2, 7, 3, 4, seed=n).astype(np.float32).swapaxes(1, 2) for n in range(3))
    for make in LAYOUTS.values():
        fast, simple = (value(f, make(q * 1e3), make(k), make(v)) for f in (ag.attention, ag.simple_attention))
        assert fast.dtype == np.float32
        np.testing.assert_allclose(fast, simple, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(fast, naive_attention(q * 1e3, k, v), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("tile", [2, 512])
def test_attention_with_norm_and_rotation_is_these_operations_one_after_the_other(tile, monkeypatch):
    monkeypatch.setattr(attend, "QUICK_PRODUCT", 1)
    monkeypatch.setattr(attend, "TILE_STEP", tile)
    monkeypatch.setattr(attend, "TILE_ENTRIES", tile * tile)
    q, k, v = (normal(2, 3, 5, 4, seed=n) for n in range(3))  # (B, h, N, d)
    weights, angle = normal(2, 4, seed=4), normal(5, 1, 2, seed=5)
    cos, sin = np.cos(angle), np.sin(angle)
    times = {"query_time": np.array([0, 0, 1, 1, 2]), "key_time": np.array([0, 1, 1, 2, 2])}

    def separately(q, k, v, q_weight, k_weight):
        ready = []
        for x, weight in ((q, q_weight), (k, k_weight)):
            x = ag.transpose(ag.rms_norm(x, weight), axes=(0, 2, 1, 3))  # (B, N, h, d)
            ready.append(ag.transpose(ag.rotary(x, cos, sin), axes=(0, 2, 1, 3)))
        return ag.simple_attention(*ready, v, **times)

    def at_once(*inputs):
        return ag.attention(*inputs, cos[:, 0], sin[:, 0], **times)

    assert_twins_agree(separately, at_once, (q, k, v, *weights))


def test_linear_transposed_is_the_same_array_laid_out_otherwise(twins):
    x, weight, bias = normal(2, 3, 4), normal(4, 5), normal(5)
    plain, columns = (value(ag.linear, x, weight, bias, transposed=choice) for choice in (False, True))
    np.testing.assert_allclose(columns, plain, atol=1e-14)
    assert plain.flags.c_contiguous
    assert columns.reshape(6, 5).flags.f_contiguous == (twins == "numpy")  # a compiled attention reads rows


def assert_twins_agree(simple, fast, inputs):
    """The same value, and the same gradients for a random cotangent."""
    found = []
    for operation in (simple, fast):
        leaves = [ag.Tensor(a, requires_grad=True) for a in inputs]
        result = operation(*leaves)
        found.append([result.data, *ag.gradients(result, leaves, normal(*result.shape, seed=9))])
    for expected, ours in zip(*found):
        assert abs(expected).max() > 0.1
        np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize("entries", [8, 1 << 18])
def test_mlp_is_two_linear_layers_with_gelu_between_them(entries, monkeypatch):
    monkeypatch.setattr(fused, "MLP_ENTRIES", entries)  # a row at a time, or all rows
    inputs = normal(2, 3, 4), normal(4, 5, seed=1), normal(5, seed=2), normal(5, 2, seed=3), normal(2, seed=4)
    assert_twins_agree(ag.simple_mlp, ag.mlp, inputs)
    with ag.no_grad():  # keeps nothing, and comes to the same
        np.testing.assert_allclose(ag.mlp(*inputs).data, ag.simple_mlp(*inputs).data, atol=1e-13)


@pytest.mark.parametrize("block", [1, 1 << 15])
def test_normalise_and_modulate_in_blocks(block, monkeypatch):
    monkeypatch.setattr(fused, "BLOCK", block)
    inputs = normal(2, 3, 4, 6), normal(2, 3, 1, 6, seed=1), normal(2, 3, 1, 6, seed=2)
    assert_twins_agree(ag.simple_normalise_and_modulate, ag.normalise_and_modulate, inputs)
    assert ag.gradcheck(ag.normalise_and_modulate, *inputs) <= 1


def test_gradients_of_split_are_joined_without_a_copy_only_if_they_lie_so_already():
    _, pullback = ag.split.function(np.zeros((2, 3, 6)), parts=3)
    whole = np.arange(36.0).reshape(2, 3, 6)
    parts = np.split(whole, 3, axis=-1)
    assert np.shares_memory(pullback(tuple(parts)), whole)
    np.testing.assert_array_equal(pullback(tuple(parts)), whole)
    large = np.arange(72.0).reshape(2, 3, 12)
    for others in (parts[::-1], [parts[0], parts[0], parts[2]], [p.copy() for p in parts], np.split(large, 6, -1)[1:4]):
        joined = pullback(tuple(others))
        np.testing.assert_array_equal(joined, np.concatenate(others, axis=-1))
        assert not np.shares_memory(joined, others[0])
