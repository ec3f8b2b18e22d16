"""The gradients of whole networks against differences of the loss, in float64, one direction for each weight."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.models import AutoencoderConfig, make_autoencoder
from minivdit.models.autoencoder import latent_shape
from minivdit.nn.optim import clip_global_norm


def assert_slopes(model, loss, step=1e-5, tolerance=1e-6):
    """For every weight: the loss's slope along a random direction, from two more losses and from the gradient."""
    parameters = model.parameters()
    generator = np.random.default_rng(11)
    for name, grad in zip(parameters, ag.gradients(loss(), parameters.values())):
        parameter = parameters[name]
        assert grad.dtype == np.float64 and grad.any(), name
        direction = generator.standard_normal(grad.shape)
        start = parameter.data.copy()
        with ag.no_grad():
            parameter.data[...] = start + step * direction
            above = loss().item()
            parameter.data[...] = start - step * direction
            below = loss().item()
        parameter.data[...] = start
        numeric, ours = (above - below) / (2 * step), (grad * direction).sum()
        scale = np.linalg.norm(grad) + 1e-3
        assert abs(numeric - ours) <= tolerance * scale, f"{name}: slope {numeric}, from the gradient {ours}"


@pytest.mark.parametrize("options", [
    dict(patterns=("joint",)),
    dict(patterns=("frame", "time"), positions="both"),
    dict(patterns=("window",), causal=True),
    dict(patterns=("skip:3",), qk_norm=False, positions="sincos", patch_size=(3, 2, 1)),
], ids=str)  # fmt: skip
def test_transformer(tiny, inputs, in_double, options):
    model = in_double(tiny(heads=2, **options))
    latents, level, tokens = inputs(model, (3, 2, 6), clips=2)
    target = np.random.default_rng(3).standard_normal(latents.shape)
    assert_slopes(model, lambda: ag.mean_squared_error(model(latents, level, tokens), target))


def test_transformer_that_is_told_motion(tiny, inputs, in_double):
    model = in_double(tiny(heads=2, control=True, velocities=True))
    latents, level, tokens = inputs(model, (3, 2, 6), clips=2)
    generator = np.random.default_rng(3)
    target = generator.standard_normal(latents.shape)
    control = generator.standard_normal((*latents.shape[:-1], model.config.control_channels))
    assert_slopes(model, lambda: ag.mean_squared_error(model(latents, level, tokens, control=control), target))


@pytest.mark.parametrize("channels, time_factor", [((3,), 1), ((3, 4), 1), ((3,), 2), ((3, 4), 2), ((3, 4), 4)])
def test_autoencoder(randomise, in_double, channels, time_factor):
    config = AutoencoderConfig(2, 2, channels, time_factor)
    model = in_double(randomise(make_autoencoder(config, np.random.default_rng(0)), 0.1))
    generator = np.random.default_rng(1)
    factor, frames = config.factor, 1 if time_factor == 1 else config.frames(2)
    video = model.pieces(generator.random((2, frames, 2 * factor, factor, 2)))
    noise = generator.standard_normal(latent_shape(config, video.shape))

    def loss():
        mean, log_variance = model.distribution(video)
        reconstruction = model.reconstruct(mean + ag.exp(log_variance * 0.5) * noise)
        divergence = (mean * mean + ag.exp(log_variance) - 1.0 - log_variance).mean()
        return ag.mean_squared_error(reconstruction, video) + divergence * 0.1

    assert_slopes(model, loss)


def test_in_float32_too(tiny, inputs):
    """As it is trained: the slope along the gradient itself, where rounding matters least, is its squared norm."""
    model = tiny(patterns=("frame", "window"))
    latents, level, tokens = inputs(model, (3, 4, 6), clips=2)
    target = np.random.default_rng(3).standard_normal(latents.shape, dtype=np.float32)
    loss = lambda: ag.mean_squared_error(model(latents, level, tokens), target)
    parameters = model.parameters()
    grads = ag.gradients(loss(), parameters.values())
    assert all(grad.dtype == np.float32 for grad in grads)
    norm = clip_global_norm(dict(zip(parameters, grads)), np.inf)
    step = 3e-3 / norm
    values = []
    for sign in (1, -2):  # up, then down to the other side
        for parameter, grad in zip(parameters.values(), grads):
            parameter.data += sign * step * grad
        values.append(loss().item())
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(norm**2, rel=0.02)
