"""Module: weights are found and named by the way to them; loading them is strict and all or nothing."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.nn import Buffer, Conv, Embedding, Linear, Module, Parameter, RMSNorm


class Small(Module):
    """Weights as an attribute, in a list, in lists of lists and of plain parameters; a buffer; things that are none."""

    def __init__(self, generator):
        self.name = "small"
        self.first = Linear(3, 4, generator)
        self.layers = [Linear(4, 4, generator), [RMSNorm(4), Linear(4, 2, generator, bias=False)]]
        self.offsets = [Parameter(np.zeros(2)), Parameter(np.ones(2))]
        self.mean = Buffer([1.0, 2.0])
        self.nothing = None

    def forward(self, x):
        x = ag.gelu(self.first(x))
        norm, last = self.layers[1]
        return last(norm(self.layers[0](x))) + self.offsets[0] * self.offsets[1] - self.mean


NAMES = [
    "first.weight",
    "first.bias",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.0.weight",
    "layers.1.1.weight",
    "offsets.0",
    "offsets.1",
]


def small(seed=0):
    return Small(np.random.default_rng(seed))


def test_every_weight_is_found_under_the_way_to_it():
    model = small()
    assert list(model.parameters()) == NAMES
    assert list(model.state_dict()) == [*NAMES, "mean"]
    assert model.parameter_count() == 3 * 4 + 4 + 16 + 4 + 4 + 8 + 2 + 2
    assert all(parameter.dtype == np.float32 for parameter in model.parameters().values())


def test_every_weight_gets_a_gradient_and_the_buffer_none():
    model, x = small(), np.random.default_rng(1).standard_normal((5, 3), dtype=np.float32)
    model.parameters()["offsets.0"].data += 1  # its partner's gradient is this value
    loss = ag.square(model(x)).sum()
    for name, grad in zip(NAMES, ag.gradients(loss, model.parameters().values())):
        assert abs(grad).max() > 0, name
    with pytest.raises(ValueError, match="not a leaf"):
        ag.gradients(ag.square(model(x)).sum(), [model.mean])


def test_a_parameter_has_an_array_of_its_own():
    given = np.ones(3, np.float32)
    parameter, buffer = Parameter(given), Buffer(given)
    parameter.data += 1
    buffer.data += 2
    assert given.tolist() == [1, 1, 1]
    assert parameter.data.tolist() == [2, 2, 2]


def test_state_dict_goes_round():
    source, target = small(0), small(1)
    x = np.random.default_rng(2).standard_normal((5, 3), dtype=np.float32)
    source.mean.data[...] = [5, 6]
    assert abs(source(x).data - target(x).data).max() > 0.1
    kept = {name: parameter.data for name, parameter in target.parameters().items()}
    target.load_state_dict(source.state_dict())
    assert np.array_equal(source(x).data, target(x).data)
    for name, parameter in target.parameters().items():
        assert parameter.data is kept[name], f"{name}: references to the array must stay valid"
        assert not np.shares_memory(parameter.data, source.state_dict()[name])


def test_half_precision_weights_load():
    source, target = small(0), small(1)
    target.load_state_dict({name: array.astype(np.float16) for name, array in source.state_dict().items()})
    for name, array in target.state_dict().items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, source.state_dict()[name], atol=2e-3)


def without(state, name):
    return {key: array for key, array in state.items() if key != name}


BAD = {
    "missing": (lambda s: without(s, "layers.0.bias"), r"layers\.0\.bias missing"),
    "unexpected": (lambda s: {**s, "extra.weight": np.zeros(2, np.float32)}, r"extra\.weight unexpected"),
    "shape": (lambda s: {**s, "offsets.1": np.zeros(3, np.float32)}, r"offsets\.1 is \(3,\) instead of \(2,\)"),
    "more axes": (lambda s: {**s, "offsets.1": np.zeros((1, 2), np.float32)}, r"offsets\.1 is \(1, 2\) instead"),
    "not a number": (lambda s: {**s, "mean": np.float32([1, np.nan])}, "mean.*finite"),
    "infinite": (lambda s: {**s, "mean": np.float32([1, np.inf])}, "mean.*finite"),
    "too large for float32": (lambda s: {**s, "mean": np.array([1, 1e300])}, "mean.*finite"),
    "whole numbers": (lambda s: {**s, "mean": np.array([1, 2])}, "mean.*float32"),
    "complex": (lambda s: {**s, "mean": np.array([1j, 2])}, "mean.*float32"),
    "nothing": (lambda s: {}, r"first\.bias, first\.weight, layers\.0\.bias and 6 more missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_load_that_fails_says_why_and_changes_nothing(case):
    spoil, message = BAD[case]
    model = small(0)
    before = {name: array.copy() for name, array in model.state_dict().items()}
    with pytest.raises(InputError, match=message) as caught:
        model.load_state_dict(spoil(small(1).state_dict()))
    assert "\n" not in str(caught.value)
    for name, array in model.state_dict().items():
        assert np.array_equal(array, before[name]), name


def test_all_differences_are_named_at_once():
    state = without(small().state_dict(), "mean")
    state["other"], state["first.bias"] = np.zeros(1, np.float32), np.zeros(9, np.float32)
    with pytest.raises(InputError, match=r"mean missing; other unexpected; first\.bias is \(9,\).*configuration"):
        small().load_state_dict(state)


@pytest.mark.parametrize(
    "make",
    [
        lambda g: Linear(3, 2, g),
        lambda g: Embedding(5, 3, g),
        lambda g: Conv(2, 3, g, kernel=(3, 1, 2)),
    ],
)
def test_the_generator_alone_decides_the_initial_values(make):
    first, again, other = (make(np.random.default_rng(seed)).state_dict() for seed in (0, 0, 1))
    for name, array in first.items():
        assert np.array_equal(array, again[name])
    assert any(not np.array_equal(array, other[name]) for name, array in first.items())


def test_a_norm_starts_without_an_effect_of_its_weight():
    x = np.random.default_rng(0).standard_normal((2, 5, 6), dtype=np.float32) * 3 + 1
    np.testing.assert_allclose(RMSNorm(6)(x).data, x / np.sqrt((x * x).mean(-1, keepdims=True)), atol=1e-5)
