"""The end of a training step, plain and compiled: the same as its parts in turn, and as the simple twins."""

import inspect
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minivdit.base import backend
from minivdit.nn import Parameter, optim
from minivdit.nn.update import Update, make_update

SHAPES = {
    "patch_in.weight": (6, 9),
    "blocks.0.attention.qkv.weight": (8, 24),
    "text.norm.weight": (7,),
    "blocks.0.modulation.weight": (8, 48),
    "blocks.0.mlp.up.weight": (8, 33),
    "blocks.0.mlp.down.weight": (33, 8),
    "scale": (),
    "nothing": (0, 3),
    "blocks.1.cross.kv.weight": (50, 18),
    "large": (70, 90),  # several blocks
}
MATRICES = {"with Muon": 0.006, "without": 0.0}
STEPS = ((1, 0.3, 1.0), (2, 1.0, 1e-3), (3, 0.7, 30.0))  # seed, fraction, size: clipped, not clipped, clipped a lot


@pytest.fixture
def needs_numba():
    if backend.numba_problem():
        pytest.skip(backend.numba_problem())


def drawn(seed, size=1.0):
    generator = np.random.default_rng(seed)
    return {name: np.asarray(size * generator.standard_normal(shape), np.float32) for name, shape in SHAPES.items()}


def prepared(rate=0.006, map=map):
    parameters = {name: Parameter(array) for name, array in drawn(0).items()}
    optimizer = optim.MuonAdamW(parameters, 0.01, rate, weight_decay=0.1, map=map)
    return parameters, optimizer, optim.EMA(parameters, 0.9, map=map)


def everything(parameters, optimizer, average):
    return {name: p.data for name, p in parameters.items()} | optimizer.state_dict() | average.state_dict()


def assert_alike(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert np.shape(found[name]) == np.shape(array), name
        np.testing.assert_allclose(found[name], array, rtol=2e-5, atol=2e-6, err_msg=name)


def test_which_one_is_made(twins):
    assert (type(make_update(*prepared()[1:])) is Update) == (twins == "numpy")


@pytest.mark.parametrize("rate", MATRICES.values(), ids=MATRICES)
def test_it_is_clipping_the_optimiser_and_the_average_one_after_the_other(twins, rate):
    ours, theirs = prepared(rate), prepared(rate)
    update = make_update(*ours[1:])
    for seed, fraction, size in STEPS:
        gradients = drawn(seed, size)
        expected = optim.clip_global_norm(gradients, 1.0)
        theirs[1].step(gradients, fraction)
        theirs[2].update()
        assert update(drawn(seed, size), fraction, 1.0) == pytest.approx(expected, rel=1e-6)
        assert_alike(everything(*ours), everything(*theirs))


def test_it_is_what_the_simple_twins_do(twins):
    parameters, optimizer, average = prepared()
    weights = {name: p.data.copy() for name, p in parameters.items()}
    slots = {name: (np.zeros_like(w), np.zeros_like(w)) for name, w in weights.items()}
    update, averages = make_update(optimizer, average), {name: w.copy() for name, w in weights.items()}
    for step, (seed, fraction, size) in enumerate(STEPS, start=1):
        gradients = drawn(seed, size)
        norm = update({name: g.copy() for name, g in gradients.items()}, fraction, 1.0)
        decay = min(0.9, step / (9 + step))
        for name, gradient in gradients.items():
            gradient, first = gradient * min(1.0, 1.0 / norm), slots[name][0]
            if name in optimizer.muon.parameters:
                parts = zip(*(np.split(a, optim.fused_parts(name), axis=1) for a in (weights[name], gradient, first)))
                moved = [optim.simple_muon(*part, fraction * 0.006, weight_decay=0.1) for part in parts]
                weights[name], momentum = (np.concatenate(arrays, axis=1) for arrays in zip(*moved))
                slots[name] = momentum, momentum
            else:
                given = weights[name], gradient, *slots[name], step, fraction * 0.01
                weights[name], *slots[name] = optim.simple_adamw(*given, weight_decay=0.1)
            averages[name] = decay * averages[name] + (1 - decay) * weights[name]
            np.testing.assert_allclose(parameters[name].data, weights[name], rtol=2e-5, atol=2e-6, err_msg=name)
            np.testing.assert_allclose(average.average[name], averages[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_two_threads_change_no_bit(twins):
    alone = prepared()
    with ThreadPoolExecutor(2) as pool:
        together = prepared(map=pool.map)
        for update in (make_update(*alone[1:]), make_update(*together[1:])):
            for seed, fraction, size in STEPS:
                update(drawn(seed, size), fraction, 1.0)
    for (name, a), b in zip(everything(*alone).items(), everything(*together).values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("first", [True, False], ids=["compiled first", "plain first"])
def test_a_state_goes_on_under_the_other(needs_numba, first):
    here, there = prepared(), prepared()
    backend.use("cpu", kernels=first)
    make_update(*here[1:])(drawn(1), 1.0, 1.0)
    backend.use("cpu", kernels=not first)
    for name, parameter in there[0].items():
        parameter.data[...] = here[0][name].data
    there[1].load_state_dict(here[1].state_dict())
    there[2].load_state_dict(here[2].state_dict())
    make_update(*there[1:])(drawn(2), 1.0, 1.0)
    backend.use("cpu", kernels=first)
    make_update(*here[1:])(drawn(2), 1.0, 1.0)
    backend.use("cpu")
    assert_alike(everything(*there), everything(*here))


def test_gradients_may_be_laid_out_otherwise(twins):
    plain, turned = prepared(), prepared()
    make_update(*plain[1:])(drawn(1), 1.0, 1.0)
    gradients = {name: g.copy("F") for name, g in drawn(1).items()}
    make_update(*turned[1:])(gradients, 1.0, 1.0)
    assert_alike(everything(*turned), everything(*plain))


@pytest.mark.parametrize("size", [np.nan, np.inf])
def test_gradients_that_are_not_numbers_change_nothing(twins, size):
    state = prepared()
    before = {name: np.array(x) for name, x in everything(*state).items()}
    assert not math.isfinite(make_update(*state[1:])(drawn(1, size), 1.0, 1.0))
    for name, array in everything(*state).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


WRITTEN = {
    "adamw_and_average": ("weights", "mean", "square", "average"),
    "muon_and_average": ("weights", "momentum", "average"),
}


@pytest.mark.parametrize("loop, written", [(loop, written) for loop, names in WRITTEN.items() for written in names])
def test_one_wrong_entry_of_what_a_loop_writes_is_noticed(needs_numba, loop, written, monkeypatch):
    from minivdit.autograd.compiled import compiler

    call = compiler.Loop.__call__

    def spoil(self, *arguments):
        call(self, *arguments)
        if self.function.__name__ == loop:
            array = arguments[list(inspect.signature(self.function).parameters).index(written)]
            array *= 1.001

    monkeypatch.setattr(compiler.Loop, "__call__", spoil)
    with pytest.raises(AssertionError):
        test_it_is_clipping_the_optimiser_and_the_average_one_after_the_other("compiled", 0.006)
