"""Every sampler against the scheduler of diffusers that takes the same steps; the settings are those of chapter 18."""

import numpy as np
import pytest

from minivdit import diffusion

STEPS = 10
CURVES = {
    "ddpm_linear": {},
    "ddpm_cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "zero_terminal_snr": {"rescale_betas_zero_snr": True},
}
PREDICTIONS = {"noise": "epsilon", "velocity": "v_prediction", "clean": "sample"}
SAMPLERS = {
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "ddpm": ("DDPMScheduler", {"clip_sample": False, "variance_type": "fixed_small"}),
    "dpm_solver": ("DPMSolverMultistepScheduler", {"final_sigmas_type": "zero", "lower_order_final": False}),
}


@pytest.fixture(scope="module")
def diffusers(torch):
    return pytest.importorskip("diffusers", reason="diffusers is not installed; pip install 'minivdit[bridge]'")


def network(x, level):
    """Any function of x (B, T, H, W, C) and the level (B, T)."""
    return np.tanh(0.7 * x + np.asarray(level)[..., None, None, None] / 2).astype(np.float32)


def start():
    return np.random.default_rng(0).standard_normal((2, 3, 4, 4, 5), dtype=np.float32)


def by_scheduler(torch, scheduler, level_of, **options):
    x = torch.from_numpy(start())
    for timestep in scheduler.timesteps:
        prediction = network(x.numpy(), np.full(x.shape[:2], level_of(float(timestep)), np.float32))
        x = scheduler.step(torch.from_numpy(prediction), timestep, x, **options).prev_sample
    return x.numpy()


class SameNoise:
    """Draws as a torch.Generator with this seed does."""

    def __init__(self, torch, seed):
        self.draw = lambda shape: torch.randn(shape, generator=generator).numpy()
        generator = torch.Generator().manual_seed(seed)

    def standard_normal(self, shape, dtype):
        return self.draw(shape).astype(dtype)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("curve", CURVES)
def test_a_sampler_takes_the_steps_of_its_scheduler(torch, diffusers, assert_close, curve, prediction, sampler):
    if curve != "ddpm_linear" and prediction == "noise":
        pytest.skip("their last alpha is 0, or nearly, and noise prediction divides by it")
    kind, options = SAMPLERS[sampler]
    scheduler = getattr(diffusers, kind)(
        timestep_spacing="trailing", prediction_type=PREDICTIONS[prediction], **CURVES[curve], **options
    )
    scheduler.set_timesteps(STEPS)
    fresh = {"generator": torch.Generator().manual_seed(1)} if sampler == "ddpm" else {}
    theirs = by_scheduler(torch, scheduler, lambda timestep: (timestep + 1) / 1000, **fresh)
    process = diffusion.Process(diffusion.make(curve), prediction)
    levels = diffusion.uniform_levels(STEPS)
    ours = diffusion.sample(network, start(), levels, process, sampler=sampler, generator=SameNoise(torch, 1))
    # Where the ratio of signal to noise is 0, they put a tiny number in its place and we a step of first order.
    replaced = curve == "zero_terminal_snr" and sampler == "dpm_solver"
    assert_close(ours, theirs, sampler, 1e-3 if replaced else 1e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_euler_on_rectified_flow_takes_the_steps_of_the_flow_scheduler(torch, diffusers, assert_close, shift):
    levels, curve = diffusion.uniform_levels(STEPS), diffusion.make("rectified_flow", shift=shift)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=levels[:-1])
    theirs = by_scheduler(torch, scheduler, lambda timestep: timestep / 1000)
    told_sigma = lambda x, level: network(x, curve.sigma(level))
    ours = diffusion.sample(told_sigma, start(), levels, diffusion.Process(curve, "velocity"), sampler="euler")
    assert_close(ours, theirs, "euler", 1e-5)
    scheduler.set_timesteps(STEPS)  # the scheduler's own list ends at 1/1000 before 0, so it is another way down
    assert np.abs(by_scheduler(torch, scheduler, lambda timestep: timestep / 1000) - theirs).max() > 1e-3
