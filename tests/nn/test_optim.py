"""Optimisers against formulas written out on one number, against PyTorch where it is there, and on problems."""

import math

import numpy as np
import pytest

from minivdit.autograd import Tensor
from minivdit.base import backend
from minivdit.base.errors import InputError
from minivdit.nn import Parameter, optim


def parameter(array):
    return Tensor(np.array(array, dtype=np.float32), requires_grad=True)


def random_parameters(seed=0):
    generator = np.random.default_rng(seed)
    shapes = {
        "patch_in.weight": (6, 8),
        "blocks.0.attention.qkv.weight": (8, 24),
        "blocks.0.attention.qkv.bias": (24,),
        "blocks.0.modulation.weight": (8, 48),
        "blocks.0.mlp.up.weight": (8, 32),
        "text.blocks.0.mlp.down.weight": (32, 8),
    }
    return {name: parameter(generator.standard_normal(shape)) for name, shape in shapes.items()}


def random_gradients(parameters, seed):
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(p.shape, dtype=np.float32) for name, p in parameters.items()}


def test_adamw_follows_its_formula_on_one_number():
    weights = parameter([2.0])
    optimiser = optim.AdamW({"w": weights}, 0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.5)
    mean = square = 0.0
    expected = 2.0
    for step, gradient in enumerate([1.0, -3.0, 0.5], start=1):
        optimiser.step({"w": np.array([gradient], np.float32)})
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient**2
        expected -= 0.1 * 0.5 * expected
        expected -= 0.1 * (mean / (1 - 0.8**step)) / (math.sqrt(square / (1 - 0.9**step)) + 1e-3)
        assert weights.data[0] == pytest.approx(expected, rel=1e-5)


def test_adamw_does_what_its_simple_twin_does():
    parameters = random_parameters()
    optimiser = optim.AdamW(parameters, 0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.5)
    twins = {name: (p.data.copy(), 0.0, 0.0) for name, p in parameters.items()}
    for step in range(1, 4):
        gradients = random_gradients(parameters, step)
        optimiser.step(gradients)
        for name, (weights, mean, square) in twins.items():
            options = {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.5}
            twins[name] = optim.simple_adamw(weights, gradients[name], mean, square, step, 0.1, **options)
            np.testing.assert_allclose(parameters[name].data, twins[name][0], rtol=1e-5, atol=1e-6)


def test_adamw_agrees_with_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    parameters = random_parameters()
    twins = [torch.nn.Parameter(torch.tensor(p.data.copy())) for p in parameters.values()]
    theirs = torch.optim.AdamW(twins, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)
    ours = optim.AdamW(parameters, 0.01, betas=(0.9, 0.99), weight_decay=0.1)
    for step in range(10):
        gradients = random_gradients(parameters, step)
        for twin, gradient in zip(twins, gradients.values()):
            twin.grad = torch.tensor(gradient)
        theirs.step()
        ours.step(gradients)
    for name, twin in zip(parameters, twins):
        np.testing.assert_allclose(parameters[name].data, twin.detach().numpy(), rtol=1e-4, atol=1e-6, err_msg=name)


def test_updates_are_in_place_and_leave_the_gradients_alone():
    parameters = random_parameters()
    arrays = {name: p.data for name, p in parameters.items()}
    before = {name: a.copy() for name, a in arrays.items()}
    gradients = random_gradients(parameters, 1)
    copies = {name: g.copy() for name, g in gradients.items()}
    optim.MuonAdamW(parameters).step(gradients)
    for name, p in parameters.items():
        assert p.data is arrays[name] and p.data.dtype == np.float32
        assert np.abs(p.data - before[name]).min() > 0, name
        assert np.array_equal(gradients[name], copies[name])


@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8), (3, 12, 7), (5, 1)])
def test_orthogonalise_keeps_directions_and_evens_out_singular_values(shape):
    matrix = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    result = optim.orthogonalise(matrix)
    assert result.shape == shape and result.dtype == np.float32
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    inside = np.swapaxes(u, -1, -2) @ result @ np.swapaxes(vt, -1, -2)
    values = np.diagonal(inside, axis1=-2, axis2=-1)
    large = s / s.max() > 0.1  # five steps don't lift values that are nearly nothing
    assert (values[large] > 0.6).all() and (values[large] < 1.3).all()
    off = inside - np.eye(inside.shape[-1]) * values[..., None, :]
    assert np.abs(off).max() < 1e-4


def test_orthogonalise_of_zero_is_zero():
    assert not optim.orthogonalise(np.zeros((4, 6), np.float32)).any()


def test_muon_moves_with_nesterov_momentum_and_scales_with_the_shape():
    generator = np.random.default_rng(4)
    first, second = generator.standard_normal((2, 6, 24), dtype=np.float32)
    weights = parameter(np.zeros((6, 24)))
    optimiser = optim.Muon({"mlp.up.weight": weights}, 0.5)
    optimiser.step({"mlp.up.weight": first})
    one = -0.5 * math.sqrt(24 / 6) * optim.orthogonalise(first * 1.95)
    np.testing.assert_allclose(weights.data, one, rtol=1e-4, atol=1e-5)
    optimiser.step({"mlp.up.weight": second})
    nesterov = second + 0.95 * (second + 0.95 * first)
    two = one - 0.5 * math.sqrt(24 / 6) * optim.orthogonalise(nesterov)
    np.testing.assert_allclose(weights.data, two, rtol=1e-3, atol=1e-5)


def test_muon_does_what_its_simple_twin_does():
    parameters = {f"mlp.{shape}.weight": parameter(np.ones(shape)) for shape in ((6, 24), (24, 6), (8, 8))}
    optimiser = optim.Muon(parameters, 0.5, momentum=0.9, weight_decay=0.1)
    twins = {name: (p.data.copy(), 0.0) for name, p in parameters.items()}
    for step in range(3):
        gradients = random_gradients(parameters, step)
        optimiser.step(gradients)
        for name, (weights, momentum) in twins.items():
            twins[name] = optim.simple_muon(weights, gradients[name], momentum, 0.5, 0.9, weight_decay=0.1)
            np.testing.assert_allclose(parameters[name].data, twins[name][0], rtol=1e-3, atol=1e-5)


def test_muon_treats_fused_matrices_as_separate_ones():
    gradient = np.random.default_rng(5).standard_normal((8, 24), dtype=np.float32)
    fused = parameter(np.zeros((8, 24)))
    optim.Muon({"attention.qkv.weight": fused}, 1.0).step({"attention.qkv.weight": gradient})
    for part in range(3):
        columns = slice(8 * part, 8 * part + 8)
        alone = parameter(np.zeros((8, 8)))
        optim.Muon({"attention.out.weight": alone}, 1.0).step({"attention.out.weight": gradient[:, columns]})
        np.testing.assert_allclose(fused.data[:, columns], alone.data, rtol=1e-3, atol=1e-5)
    assert [optim.fused_parts(n) for n in ("a.qkv.weight", "a.kv.weight", "mlp.up.weight", "qkv")] == [3, 2, 1, 3]


def test_muon_refuses_what_is_not_a_matrix():
    with pytest.raises(ValueError, match="'bias' has shape"):
        optim.Muon({"bias": parameter(np.zeros(3))})


def test_routing_of_parameters():
    both = optim.MuonAdamW(random_parameters())
    assert set(both.muon.parameters) == {
        "blocks.0.attention.qkv.weight",
        "blocks.0.mlp.up.weight",
    }
    assert set(both.adamw.parameters) == {
        "text.blocks.0.mlp.down.weight",
        "patch_in.weight",
        "blocks.0.attention.qkv.bias",
        "blocks.0.modulation.weight",
    }
    assert not optim.MuonAdamW(random_parameters(), matrix_learning_rate=0).muon.parameters


def test_fraction_scales_both_rates():
    parameters = random_parameters()
    before = {name: p.data.copy() for name, p in parameters.items()}
    optim.MuonAdamW(parameters).step(random_gradients(parameters, 0), fraction=0.0)
    assert all(np.array_equal(p.data, before[name]) for name, p in parameters.items())


@pytest.mark.parametrize("make", [optim.AdamW, optim.MuonAdamW, lambda p: optim.EMA(p, 0.9)])
def test_state_is_complete(make):
    """Two steps, or one step, saved and taken over by a fresh object, and another: the same to the last bit."""

    def go(thing, parameters, step):
        gradients = random_gradients(parameters, step)
        if isinstance(thing, optim.EMA):
            for name, p in parameters.items():
                p.data += gradients[name]
            thing.update()
        else:
            thing.step(gradients)

    straight = random_parameters()
    one = make(straight)
    for step in range(4):
        go(one, straight, step)

    stopped = random_parameters()
    two = make(stopped)
    for step in range(2):
        go(two, stopped, step)
    resumed = random_parameters(seed=9)
    for name, p in resumed.items():
        p.data[...] = stopped[name].data
    three = make(resumed)
    three.load_state_dict({name: np.copy(v) for name, v in two.state_dict().items()})
    for step in range(2, 4):
        go(three, resumed, step)

    assert all(np.array_equal(straight[name].data, resumed[name].data) for name in straight)
    ours, theirs = one.state_dict(), three.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_state_of_another_model_is_refused_and_changes_nothing():
    optimiser = optim.MuonAdamW(random_parameters())
    optimiser.step(random_gradients(random_parameters(), 0))
    before = {name: np.copy(v) for name, v in optimiser.state_dict().items()}
    state = dict(before)
    del state["adamw.mean.patch_in.weight"]
    with pytest.raises(InputError, match=r"adamw\.mean\.patch_in\.weight missing.*saved from this one"):
        optimiser.load_state_dict(state)
    with pytest.raises(InputError, match="surplus unexpected"):
        optimiser.load_state_dict({**before, "surplus": np.zeros(3)})
    with pytest.raises(InputError, match=r"is \(2,\) instead of \(6, 8\)"):
        optimiser.load_state_dict({**before, "adamw.square.patch_in.weight": np.zeros(2)})
    assert all(np.array_equal(before[name], v) for name, v in optimiser.state_dict().items())


def test_average_warms_up_then_decays():
    weights = parameter([0.0])
    average = optim.EMA({"w": weights}, decay=0.5)
    expected = 0.0
    for step in range(20):
        weights.data += 1
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights.data[0]
        assert average.average["w"][0] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(RuntimeError), average.applied():
        assert weights.data[0] == pytest.approx(expected, rel=1e-5)
        raise RuntimeError
    assert weights.data[0] == 20


def test_clipping_scales_all_together_and_only_down():
    gradients = {"a": np.array([3.0], np.float32), "b": np.array([[0.0, -4.0]], np.float32)}
    assert optim.clip_global_norm(gradients, 10.0) == pytest.approx(5.0)
    assert gradients["a"][0] == 3
    assert optim.clip_global_norm(gradients, 1.0) == pytest.approx(5.0)
    np.testing.assert_allclose(gradients["a"], [0.6], rtol=1e-6)
    np.testing.assert_allclose(gradients["b"], [[0.0, -0.8]], rtol=1e-6)
    broken = {"a": np.array([np.nan, 1.0], np.float32)}
    assert math.isnan(optim.clip_global_norm(broken, 1.0))
    assert broken["a"][1] == 1


def test_schedule():
    fractions = [optim.warmup_cosine(step, 4, 12, 0.1) for step in range(13)]
    assert fractions[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert fractions[8] == pytest.approx(0.55) and fractions[12] == pytest.approx(0.1)
    assert fractions[4:] == sorted(fractions[4:], reverse=True)
    assert optim.warmup_cosine(0, 0, 10) == 1.0 and optim.warmup_cosine(99, 0, 10) == 0.0


def test_muon_learns_a_badly_scaled_matrix_product_faster_than_adamw():
    """Fit W in x @ W = y where the directions of x differ 30 times in size: what orthogonalising is for."""
    generator = np.random.default_rng(6)
    x = (generator.standard_normal((256, 12)) * np.geomspace(1, 0.03, 12)).astype(np.float32)
    rotation = np.linalg.qr(generator.standard_normal((12, 12)))[0].astype(np.float32)
    x = x @ rotation
    y = x @ generator.standard_normal((12, 12), dtype=np.float32)

    def final_loss(make, rate):
        weights = parameter(np.zeros((12, 12)))
        optimiser = make({"w": weights})
        for step in range(300):
            gradient = x.T @ (x @ weights.data - y) / len(x)
            optimiser.step({"w": gradient}, rate * optim.warmup_cosine(step, 0, 300))
        return float(((x @ weights.data - y) ** 2).mean())

    muon = min(final_loss(optim.Muon, rate) for rate in (0.1, 0.3))
    adamw = min(final_loss(optim.AdamW, rate) for rate in (0.03, 0.1, 0.3))
    assert muon < adamw / 10 < float((y**2).mean()) / 1000


def test_adamw_takes_a_single_number():
    weights = {"temperature": parameter(np.array(1.0))}
    optim.AdamW(weights, learning_rate=0.1).step({"temperature": np.array(3.0, np.float32)})
    assert weights["temperature"].data == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_muon_on_a_gpu_does_all_matrices_of_a_shape_at_once(gpu, weight_decay):
    generator = np.random.default_rng(0)
    shapes = {
        "a.qkv.weight": (8, 24),
        "a.out.weight": (8, 8),
        "b.kv.weight": (8, 16),
        "up.weight": (8, 32),
        "down.weight": (32, 8),
    }
    start, gradients = (
        {n: generator.standard_normal(s, dtype=np.float32) for n, s in shapes.items()} for _ in range(2)
    )
    weights = {}
    for device in ("cpu", "gpu"):
        backend.use(device)
        parameters = {name: Parameter(array) for name, array in start.items()}
        optimiser = optim.Muon(parameters, 0.02, weight_decay=weight_decay)
        given = {name: backend.to_device(array) for name, array in gradients.items()}
        gpu.clear()
        for _ in range(2):
            optimiser.step(given)
        weights[device] = {name: backend.to_numpy(p.data) for name, p in parameters.items()}
    assert sum(name == "__matmul__" for name in gpu.launches) == 2 * 3 * 5 * 3  # steps, shapes, rounds, products
    for name, array in weights["cpu"].items():
        assert abs(weights["gpu"][name] - array).max() < 1e-5, name
