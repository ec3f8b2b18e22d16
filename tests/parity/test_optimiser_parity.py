"""AdamW and Muon alone, on gradients of every size, against PyTorch's and a plain twin."""

import numpy as np
import pytest

from minivdit.nn import Parameter
from minivdit.nn.optim import AdamW, Muon

SHAPES = {"matrix": (7, 5), "bias": (5,), "kernel": (3, 3, 2, 4), "number": (1,)}


@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.8, 0.999), (0.0, 0.0)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_adamw(torch, assert_close, betas, weight_decay):
    generator = np.random.default_rng(0)
    start = {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in SHAPES.items()}
    parameters = {name: Parameter(array) for name, array in start.items()}
    twins = {name: torch.tensor(array, requires_grad=True) for name, array in start.items()}
    options = dict(betas=betas, eps=1e-8, weight_decay=weight_decay)
    ours = AdamW(parameters, 0.01, **options)
    theirs = torch.optim.AdamW(twins.values(), lr=0.01, **options)
    for step in range(10):
        gradients = {
            name: np.asarray(generator.standard_normal(shape) * 10.0 ** generator.integers(-6, 3), np.float32)
            for name, shape in SHAPES.items()
        }
        for name, weight in twins.items():
            weight.grad = torch.tensor(gradients[name])
        rate = 0.01 * (1 + step % 3)  # a schedule
        theirs.param_groups[0]["lr"] = rate
        theirs.step()
        ours.step(gradients, rate)
        for name, parameter in parameters.items():
            assert_close(parameter.data, twins[name].detach().numpy(), f"{name} after step {step + 1}")


def test_muon(torch, twin, assert_close):
    """Ten steps on wide, tall, square and fused matrices (ours are (in, out), the twin's (out, in))."""
    generator = np.random.default_rng(0)
    shapes = {"up.weight": (8, 32), "down.weight": (32, 8), "out.weight": (8, 8), "qkv.weight": (8, 24)}
    parts = {"up.weight": 1, "down.weight": 1, "out.weight": 1, "qkv.weight": 3}
    start = {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    parameters = {name: Parameter(array) for name, array in start.items()}
    twins = {name: torch.tensor(array.T, requires_grad=True) for name, array in start.items()}
    ours = Muon(parameters, 0.02)
    theirs = twin.Muon([(twins[name], parts[name]) for name in shapes], lr=0.02)
    for step in range(10):
        gradients = {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
        for name, weight in twins.items():
            weight.grad = torch.tensor(gradients[name].T.copy())
        theirs.step()
        ours.step(gradients)
        for name, parameter in parameters.items():
            assert_close(parameter.data, twins[name].detach().numpy().T, f"{name} after step {step + 1}")
            assert abs(parameter.data - start[name]).max() > 1e-3
