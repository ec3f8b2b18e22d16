"""Layers: their formulas, their initial values, and that a norm's scale and shift do what they say."""

import numpy as np
import pytest

from minivdit.nn import Conv, Embedding, Linear, RMSNorm


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def test_linear_is_x_times_weight_plus_bias():
    layer = Linear(4, 3, np.random.default_rng(0))
    layer.bias.data[...] = [1, 2, 3]
    x = normal(2, 5, 4)
    np.testing.assert_allclose(layer(x).data, x @ layer.weight.data + [1, 2, 3], rtol=1e-5)
    assert layer(x).dtype == np.float32


def test_a_zero_layer_gives_exactly_nothing():
    x = normal(2, 4, 6, 6, 3)
    assert not Linear(3, 7, np.random.default_rng(0), zero=True)(x).data.any()
    assert not Conv(3, 7, np.random.default_rng(0), kernel=(1, 3, 3), zero=True)(x).data.any()


def test_a_zero_layer_draws_as_many_numbers_as_another():
    """So that two models that differ in where they start at zero have equal weights elsewhere."""
    ends = []
    for zero in (False, True):
        generator = np.random.default_rng(0)
        Linear(5, 4, generator, zero=zero)
        Conv(2, 3, generator, zero=zero)
        ends.append(generator.random())
    assert ends[0] == ends[1]


def test_initial_layers_keep_the_size_of_their_input():
    x = normal(4000, 64)
    assert Linear(64, 256, np.random.default_rng(0))(x).data.std() == pytest.approx(1, abs=0.03)
    picture = normal(4, 20, 20, 16)
    # Variance 2 for a ReLU behind it that takes half of it away.
    assert Conv(16, 64, np.random.default_rng(0))(picture).data.var() == pytest.approx(2, abs=0.1)
    words = Embedding(500, 64, np.random.default_rng(0)).table.data
    assert words.std() == pytest.approx(0.5, abs=0.01)


def test_embedding_looks_up_rows():
    layer = Embedding(6, 3, np.random.default_rng(0))
    indices = np.array([[0, 5, 5], [2, 1, 0]], np.int32)
    assert np.array_equal(layer(indices).data, layer.table.data[indices])
    with pytest.raises(ValueError, match="0 to 5"):
        layer(np.array([6]))


@pytest.mark.parametrize("kernel, size, stride, padding, expected", [
    ((3, 3), (8, 6), 1, 1, (8, 6)),
    ((4, 4), (8, 6), 2, 1, (4, 3)),
    ((1, 1), (5, 7), 1, 0, (5, 7)),
    ((3, 3, 3), (4, 5, 6), 1, 1, (4, 5, 6)),
    ((5,), (9,), 2, 0, (3,)),
])  # fmt: skip
def test_conv_takes_any_number_of_axes(kernel, size, stride, padding, expected):
    layer = Conv(2, 3, np.random.default_rng(0), kernel=kernel, stride=stride, padding=padding)
    layer.bias.data[...] = [1, 2, 3]
    x = normal(2, *size, 2)
    y = layer(x).data
    assert y.shape == (2, *expected, 3)
    # One output in the middle of nothing but input, by hand.
    place = tuple(n // 2 for n in expected)
    start = [p * stride - padding for p in place]
    window = x[(0, *(slice(s, s + k) for s, k in zip(start, kernel)))]
    by_hand = np.tensordot(window, layer.weight.data, axes=window.ndim) + [1, 2, 3]
    np.testing.assert_allclose(y[(0, *place)], by_hand, rtol=1e-4)


def test_a_norm_scales_each_channel():
    layer, x = RMSNorm(6), normal(2, 4, 6)
    plain = layer(x).data.copy()
    layer.weight.data[...] = np.arange(6)
    np.testing.assert_allclose(layer(x).data, plain * np.arange(6), rtol=1e-4, atol=1e-5)


def test_a_norm_ignores_the_size_of_a_row():
    x = normal(3, 8)
    np.testing.assert_allclose(RMSNorm(8)(x * 50).data, RMSNorm(8)(x).data, atol=1e-4)


def test_a_row_of_zeros_stays_finite():
    assert np.array_equal(RMSNorm(4)(np.zeros((2, 4), np.float32)).data, np.zeros((2, 4)))


def test_wrong_widths_are_refused():
    x = normal(2, 5)
    for layer in (Linear(4, 3, np.random.default_rng(0)), RMSNorm(4)):
        with pytest.raises(ValueError):
            layer(x)
