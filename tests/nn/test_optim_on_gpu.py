"""The end of a training step by kernel, with the stand-in for CuPy, against the same step by step on the CPU."""

import numpy as np
import pytest

from minivdit.base import backend
from minivdit.nn import Parameter, optim
from minivdit.nn.optim_on_gpu import UpdateOnGPU

SHAPES = {
    "patch_in.weight": (6, 9),
    "blocks.0.attention.qkv.weight": (8, 24),
    "text.norm.weight": (7,),
    "blocks.0.modulation.weight": (8, 48),
    "blocks.0.mlp.up.weight": (8, 33),
    "scale": (),
    "blocks.1.attention.qkv.weight": (8, 24),
}
MATRICES = {"with Muon": 0.006, "without": 0.0}


def drawn(seed, size=1.0):
    generator = np.random.default_rng(seed)
    return {name: np.asarray(size * generator.standard_normal(shape), np.float32) for name, shape in SHAPES.items()}


def prepared(matrix_learning_rate, shapes=SHAPES):
    parameters = {name: Parameter(array) for name, array in drawn(0).items() if name in shapes}
    optimizer = optim.MuonAdamW(parameters, 0.01, matrix_learning_rate, weight_decay=0.1)
    return parameters, optimizer, optim.EMA(parameters, 0.9)


def by_kernel(update, seed, fraction, size=1.0, names=SHAPES):
    gradients = {name: backend.to_device(array) for name, array in drawn(seed, size).items() if name in names}
    return update(gradients, fraction, limit=1.0)


def step_by_step(optimizer, average, seed, fraction, size=1.0, names=SHAPES):
    gradients = {name: array for name, array in drawn(seed, size).items() if name in names}
    norm = optim.clip_global_norm(gradients, 1.0)
    optimizer.step(gradients, fraction)
    average.update()
    return norm


def everything(parameters, optimizer, average):
    arrays = {name: p.data for name, p in parameters.items()} | optimizer.state_dict() | average.state_dict()
    return {name: backend.to_numpy(array) if hasattr(array, "shape") else array for name, array in arrays.items()}


def assert_alike(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert np.shape(found[name]) == np.shape(array), name
        np.testing.assert_allclose(found[name], array, rtol=2e-5, atol=2e-6, err_msg=name)


STEPS = ((1, 0.3, 1.0), (2, 1.0, 1e-3), (3, 0.7, 30.0))  # seed, fraction, size: clipped, not clipped, clipped a lot


@pytest.mark.parametrize("names", [SHAPES, ["scale"], ["blocks.0.mlp.up.weight"]], ids=["all", "one", "one matrix"])
@pytest.mark.parametrize("rate", MATRICES.values(), ids=MATRICES)
def test_it_is_the_same_as_step_by_step(gpu, rate, names):
    there = prepared(rate, names)
    update = UpdateOnGPU(*there[1:])
    backend.use("cpu")
    here = prepared(rate, names)
    backend.use("gpu")
    for step in STEPS:
        norm = by_kernel(update, *step, names=names)
        assert float(norm) == pytest.approx(step_by_step(*here[1:], *step, names=names), rel=1e-5)
        assert_alike(everything(*there), everything(*here))


def test_nothing_is_waited_for_and_adamw_and_the_average_are_one_launch(gpu):
    _, optimizer, average = prepared(0.006)
    update = UpdateOnGPU(optimizer, average)
    gradients = {name: backend.to_device(array) for name, array in drawn(1).items()}
    update(gradients, 1.0, 1.0)
    gpu.clear()
    update(gradients, 1.0, 1.0)
    assert not gpu.copies
    assert sum(name.startswith("adamw_ema") for name in gpu.launches) == 1
    muon = 2 * (6 + 5 * 8 + 8)  # two shapes; and matrices are moved one by one
    assert len(gpu.launches) < muon + 20


def test_parameters_begin_where_products_are_quick(gpu):
    parameters, optimizer, average = prepared(0.006)
    UpdateOnGPU(optimizer, average)(
        {name: backend.to_device(array) for name, array in drawn(1).items()}, fraction=1.0, limit=1.0
    )
    starts = [p.data.data.ptr for p in parameters.values()]
    assert all((start - min(starts)) % 256 == 0 for start in starts)


def test_states_are_loaded_and_saved_as_ever(gpu):
    there = prepared(0.006)
    update = UpdateOnGPU(*there[1:])
    by_kernel(update, 1, 1.0)
    backend.use("cpu")
    here = prepared(0.006)
    here[1].load_state_dict(
        {name: backend.to_numpy(x) if hasattr(x, "shape") else x for name, x in there[1].state_dict().items()}
    )
    here[2].load_state_dict(
        {name: backend.to_numpy(x) if hasattr(x, "shape") else x for name, x in there[2].state_dict().items()}
    )
    for name, parameter in here[0].items():
        parameter.data[...] = there[0][name].data.get()
    step_by_step(*here[1:], 2, 1.0)
    backend.use("gpu")
    by_kernel(update, 2, 1.0)
    assert_alike(everything(*there), everything(*here))
    there[1].load_state_dict(here[1].state_dict())  # in place: the next step goes on from there
    by_kernel(update, 3, 1.0)
    step_by_step(*here[1:], 3, 1.0)
    assert_alike(everything(*there), everything(*here))


def test_the_average_can_be_applied_and_another_update_may_take_the_weights_over(gpu):
    parameters, optimizer, average = prepared(0.006)
    update = UpdateOnGPU(optimizer, average)
    by_kernel(update, 1, 1.0)
    before = {name: p.data.get() for name, p in parameters.items()}
    with average.applied():
        assert any((p.data.get() != before[name]).any() for name, p in parameters.items())
    other = UpdateOnGPU(optim.MuonAdamW(parameters), optim.EMA(parameters))
    by_kernel(other, 2, 1.0)
    after = {name: p.data.get() for name, p in parameters.items()}
    by_kernel(update, 3, 0.0)  # at no rate: it takes the weights as the other one left them
    for name, p in parameters.items():
        assert (after[name] != before[name]).any()
        np.testing.assert_array_equal(p.data.get(), after[name])


def test_gradients_that_are_not_numbers_are_the_callers_to_see(gpu):
    update = UpdateOnGPU(*prepared(0.006)[1:])
    assert np.isnan(float(by_kernel(update, 1, 1.0, size=np.nan)))


def test_the_norm_counts_the_gradients_of_other_ranks(gpu):
    def everywhere(squares):
        return {name: float(backend.to_numpy(square)) for name, square in squares.items()} | {"elsewhere": 9e3}

    there = prepared(0.006)
    update = UpdateOnGPU(*there[1:], everywhere)
    found = float(by_kernel(update, 1, 0.3))
    backend.use("cpu")
    here, gradients = prepared(0.006), drawn(1)
    norm = optim.clip_global_norm(gradients, 1.0, everywhere)
    here[1].step(gradients, 0.3)
    here[2].update()
    assert found == pytest.approx(norm, rel=1e-6) and norm > 90
    assert_alike(everything(*there), everything(*here))
