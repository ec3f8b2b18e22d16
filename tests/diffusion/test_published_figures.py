"""The public samplers give the figures that diffusers' own scheduler tests publish.

The fixture: x = 768 even numbers in [0, 1), a "network" x * t / (t + 1), betas linear over 1000 steps.
diffusers' step i is our level (i + 1) / 1000.
"""

import numpy as np
import pytest

from minivdit.diffusion import Process, curves, samplers


def fixture_sample():
    x = np.arange(768, dtype=np.float32).reshape(3, 8, 8, 4) / np.float32(768)
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2))[:, None]  # (4, 1, 3, 8, 8)


def fixture_noise():
    x = np.arange(768, dtype=np.float32)[::-1].reshape(3, 8, 8, 4) / np.float32(768)
    return np.ascontiguousarray(x.transpose(3, 0, 1, 2))[:, None]


def network(x, noise_level):
    step = np.round(noise_level * 1000)[..., None, None, None] - 1
    return x * (step / (step + 1)).astype(np.float32)


def levels_of(steps):
    return np.append((np.asarray(steps) + 1) / 1000, 0.0)


LEADING = levels_of(range(900, -1, -100))
CURVE = curves.make("ddpm_linear")


def run(sampler, levels, kind="noise", x=None, curve=CURVE, **options):
    x = fixture_sample() if x is None else x
    x = samplers.sample(network, x, levels, Process(curve, kind), sampler=sampler, **options)
    assert x.dtype == np.float32
    return np.abs(x).sum(dtype=np.float64), np.abs(x).mean(dtype=np.float64)


@pytest.mark.parametrize(
    ("kind", "beta_start", "total", "mean"),
    [("noise", 1e-4, 172.0067, 0.223967), ("velocity", 1e-4, 52.5302, 0.0684), ("noise", 0.01, 149.8295, 0.1951)],
)
def test_ddim_full_loop(kind, beta_start, total, mean):
    curve = curves.make("ddpm_linear", beta_start=beta_start)
    result = run("ddim", LEADING, kind, curve=curve, clip=(-1, 1), eta=0.0)
    assert result[0] == pytest.approx(total, abs=1e-2)
    assert result[1] == pytest.approx(mean, abs=1e-4)


def test_ddim_from_a_noised_sample():
    levels = levels_of([100, 0])
    x = CURVE.mix(fixture_sample(), fixture_noise(), levels[0])
    total, mean = run("ddim", levels, x=x, clip=(-1, 1))
    assert total == pytest.approx(354.5418, abs=1e-2)
    assert mean == pytest.approx(0.4616, abs=1e-4)


@pytest.mark.parametrize(("kind", "mean"), [("noise", 0.3301), ("velocity", 0.2251)])
def test_dpm_solver_full_loop(kind, mean):
    # That test ends at the first entry of the table (final_sigmas_type="sigma_min"), not at the clean clip.
    levels = levels_of(np.linspace(999, 0, 11).round())[:-1]
    assert run("dpm_solver", levels, kind)[1] == pytest.approx(mean, abs=1e-3)


class TorchNoise:
    """Looks like a numpy Generator but draws PyTorch's seeded noise, which the published figures used."""

    def __init__(self, torch, seed):
        self.torch, self.generator = torch, torch.Generator().manual_seed(seed)

    def standard_normal(self, shape, dtype):
        shape = (shape[0], *shape[2:])  # the fixture has no frame axis
        return self.torch.randn(shape, generator=self.generator).numpy().astype(dtype)[:, None]


@pytest.mark.parametrize(("kind", "total", "mean"), [("noise", 258.9606, 0.3372), ("velocity", 202.0296, 0.2631)])
def test_ddpm_full_loop(kind, total, mean):
    torch = pytest.importorskip("torch", reason="the published DDPM figures need PyTorch's seeded noise")
    levels = levels_of(range(999, -1, -1))
    result = run("ddpm", levels, kind, clip=(-1, 1), generator=TorchNoise(torch, 0))
    assert result[0] == pytest.approx(total, abs=1e-2)
    assert result[1] == pytest.approx(mean, abs=1e-4)


def test_ddpm_from_a_noised_sample():
    torch = pytest.importorskip("torch", reason="the published DDPM figures need PyTorch's seeded noise")
    levels = levels_of([1, 0])
    x = CURVE.mix(fixture_sample(), fixture_noise(), levels[0])
    total, mean = run("ddpm", levels, x=x, clip=(-1, 1), generator=TorchNoise(torch, 0))
    # The published 387.9466 is rounded: the same formulas give 387.9672 once the table is float64.
    assert total == pytest.approx(387.9672, abs=1e-3)
    assert mean == pytest.approx(0.5051, abs=1e-4)


def test_ddpm_variances():
    """The published variances of single steps of the posterior (fixed_small): (487 -> 486) and (999 -> 998)."""
    for step, variance in [(487, 0.00979), (999, 0.02)]:
        here, there = (samplers.Moment(CURVE, np.array([[(i + 1) / 1000]])) for i in (step, step - 1))
        assert samplers.posterior(here, there).fresh.item() ** 2 == pytest.approx(variance, abs=1e-5)
    here, there = (samplers.Moment(CURVE, np.array([[(i + 1) / 1000]])) for i in (420, 400))
    assert samplers.posterior(here, there).fresh.item() ** 2 == pytest.approx(0.14771, abs=1e-5)
