"""The whole transformer against its PyTorch twin: output, every gradient, and ten optimiser steps, for each pattern."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.models import VideoDiT, VideoDiTConfig
from minivdit.nn.optim import AdamW, MuonAdamW, fused_parts, is_hidden_matrix

WORDS = 20

# AdamW's eps here, on both sides. Adam's first step divides each gradient by itself, so with the usual 1e-8 an entry
# whose gradient happens to be rounding (4e-9, where others are 0.06) moves by whichever way a machine's BLAS rounds:
# a sixth of a step apart, on some processors. The usual eps is in test_optimiser_parity.py, with equal gradients.
EPS = 1e-6

# name -> (configuration, latent shape): odd grids, so that windows and skips are ragged
CASES = {
    "joint": (dict(patterns=("joint",)), (3, 6, 10)),
    "frame and time": (dict(patterns=("frame", "time")), (3, 6, 10)),
    "window": (dict(patterns=("window:2x2x3",)), (3, 6, 10)),
    "skip": (dict(patterns=("skip:4",)), (3, 6, 10)),
    "skip of 2 and joint": (dict(patterns=("skip", "joint", "skip"), depth=3), (3, 4, 6)),
    "causal joint": (dict(patterns=("joint",), causal=True), (4, 6, 4)),
    "causal time and window": (dict(patterns=("time", "window"), depth=4, causal=True), (5, 6, 4)),
    "sincos, patches over frames": (dict(patch_size=(2, 1, 3), positions="sincos", text_positions="sincos"), (4, 3, 9)),
    "both positions, no QK-norm": (dict(positions="both", qk_norm=False, text_depth=0), (2, 4, 6)),
}


def build(case, seed=0):
    """A model whose every weight is random, also those that start at zero (gates, output)."""
    options, shape = CASES[case]
    config = VideoDiTConfig(**{"latent_channels": 3, "width": 24, "heads": 2, "depth": 2, **options})
    generator = np.random.default_rng(seed)
    model = VideoDiT(config, WORDS, generator)
    for parameter in model.parameters().values():
        parameter.data += 0.1 * generator.standard_normal(parameter.shape, dtype=np.float32)
    return model, shape


def make_batch(model, shape, seed=1, clips=2):
    generator = np.random.default_rng(seed)
    latents, target = generator.standard_normal((2, clips, *shape, model.config.latent_channels), dtype=np.float32)
    level = generator.random((clips, shape[0]), dtype=np.float32)
    level[0, 0], level[-1, -1] = 0, 1  # a given frame and one of pure noise
    tokens = np.zeros((clips, 7), np.int32)
    for row in tokens:
        length = generator.integers(1, 8)
        row[:length] = generator.integers(1, WORDS, length)
    return latents, level, tokens, target


def frame_weight(level):
    """Frames that are given count nothing, as in training."""
    return (level > 0)[:, :, None, None, None].astype(np.float32) * 1.25


def our_loss(model, latents, level, tokens, target):
    prediction = model(latents, level, tokens)
    return prediction, ag.mean_squared_error(prediction, target, frame_weight(level))


def their_loss(torch, network, *batch):
    latents, level, tokens, target = (torch.tensor(a) for a in batch)
    prediction = network(latents, level, tokens.long())
    return prediction, (torch.tensor(frame_weight(batch[1])) * (prediction - target) ** 2).mean()


@pytest.mark.parametrize("case", CASES)
def test_output_and_every_gradient(torch, twin, assert_close, case):
    model, shape = build(case)
    network = twin.load(twin.VideoDiT(model.config, WORDS), model.state_dict())
    batch = make_batch(model, shape)

    prediction, loss = our_loss(model, *batch)
    their_prediction, their_scalar = their_loss(torch, network, *batch)
    their_scalar.backward()

    assert abs(prediction.data).max() > 0.1
    assert_close(prediction.data, their_prediction.detach().numpy(), "output")
    parameters = model.parameters()
    expected = twin.gradient_arrays(network)
    assert expected.keys() == parameters.keys()
    for name, grad in zip(parameters, ag.gradients(loss, parameters.values())):
        assert abs(expected[name]).max() > 0, name
        assert_close(grad, expected[name], f"gradient of {name}")


def test_gradient_of_the_latents(torch, twin, assert_close):
    model, shape = build("causal time and window")
    network = twin.load(twin.VideoDiT(model.config, WORDS), model.state_dict())
    latents, level, tokens, _ = make_batch(model, shape)
    leaf, their_leaf = ag.Tensor(latents, requires_grad=True), torch.tensor(latents, requires_grad=True)
    (grad,) = ag.gradients(ag.square(model(leaf, level, tokens)).sum(), [leaf])
    network(their_leaf, torch.tensor(level), torch.tensor(tokens).long()).square().sum().backward()
    assert_close(grad, their_leaf.grad.numpy(), "gradient of the latents")


def ten_steps(torch, twin, assert_close, case, optimiser, make_theirs):
    model, shape = build(case)
    network = twin.load(twin.VideoDiT(model.config, WORDS), model.state_dict())
    start = {name: array.copy() for name, array in model.state_dict().items()}
    parameters = model.parameters()
    ours, theirs = optimiser(parameters), make_theirs(network)
    losses = []
    for step in range(10):
        batch = make_batch(model, shape, seed=step)
        _, loss = our_loss(model, *batch)
        ours.step(dict(zip(parameters, ag.gradients(loss, parameters.values()))))

        for each in theirs:
            each.zero_grad()
        _, their_scalar = their_loss(torch, network, *batch)
        their_scalar.backward()
        for each in theirs:
            each.step()
        losses.append((loss.item(), their_scalar.item()))
    np.testing.assert_allclose(*zip(*losses), rtol=1e-4)
    weights = twin.arrays(network)
    for name, array in model.state_dict().items():
        assert abs(array - start[name]).max() > 1e-4, f"{name} didn't move"
        assert_close(array, weights[name], f"{name} after ten steps")


@pytest.mark.parametrize("case", ["joint", "frame and time", "window", "skip", "causal joint"])
def test_ten_steps_of_adamw(torch, twin, assert_close, case):
    options = dict(betas=(0.9, 0.99), eps=EPS, weight_decay=0.1)
    ten_steps(
        torch,
        twin,
        assert_close,
        case,
        lambda parameters: AdamW(parameters, 3e-4, **options),
        lambda network: [torch.optim.AdamW(network.parameters(), lr=3e-4, **options)],
    )


@pytest.mark.parametrize("case", ["joint", "frame and time"])
def test_ten_steps_of_muon_with_adamw(torch, twin, assert_close, case):
    def make_theirs(network):
        named = dict(network.named_parameters())
        matrices = {name for name, weight in named.items() if name.startswith("blocks.") and weight.ndim == 2}
        matrices = {name for name in matrices if "modulation" not in name}
        assert len(matrices) == 2 * 7  # seven in each of two blocks
        parts = lambda name: 3 if "qkv" in name else 2 if ".kv." in name else 1
        return [
            twin.Muon([(named[name], parts(name)) for name in sorted(matrices)], lr=0.006),
            torch.optim.AdamW(
                [weight for name, weight in named.items() if name not in matrices],
                lr=3e-4,
                betas=(0.9, 0.99),
                eps=EPS,
                weight_decay=0.0,
            ),
        ]

    def make_ours(parameters):
        both = MuonAdamW(parameters, 3e-4, 0.006)
        both.adamw.eps = EPS
        return both

    ten_steps(torch, twin, assert_close, case, make_ours, make_theirs)


def test_every_fused_matrix_of_the_model_is_known_to_muon():
    """`fused_parts` goes by the layer's name: all matrices of blocks that hold several must be in its list."""
    model, _ = build("joint")
    width = model.config.width
    for name, parameter in model.parameters().items():
        if is_hidden_matrix(name, parameter) and "mlp" not in name:
            assert parameter.shape == (width, width * fused_parts(name)), name


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "normalise_and_modulate"])
def test_normalisations_of_rows_as_small_as_their_epsilon(torch, assert_close, name):
    """Rows of about 1e-3, where the 1e-6 under the root counts as much as the variance."""
    generator = np.random.default_rng(0)
    x = 1e-3 * generator.standard_normal((3, 5, 16), dtype=np.float32)
    shift, scale = generator.standard_normal((2, 3, 1, 16), dtype=np.float32)
    a, b = ag.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    if name == "layer_norm":
        ours, theirs = ag.layer_norm(a), torch.nn.functional.layer_norm(b, (16,), eps=1e-6)
    elif name == "rms_norm":
        ours, theirs = ag.rms_norm(a), torch.nn.functional.rms_norm(b, (16,), eps=1e-6)
    else:
        ours = ag.normalise_and_modulate(a, shift, scale)
        theirs = torch.nn.functional.layer_norm(b, (16,), eps=1e-6) * (1 + torch.tensor(scale)) + torch.tensor(shift)
    cotangent = generator.standard_normal(x.shape, dtype=np.float32)
    theirs.backward(torch.tensor(cotangent))
    assert_close(ours.data, theirs.detach().numpy(), name)
    assert_close(ag.gradients(ours, [a], cotangent)[0], b.grad.numpy(), f"gradient of {name}")
