"""The autoencoder against its PyTorch twin: both halves, the variational loss, every gradient, ten steps."""

from types import SimpleNamespace

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.models import Autoencoder, AutoencoderConfig
from minivdit.nn.optim import AdamW
from minivdit.training.tasks import AutoencoderLoss, AutoencoderTask

CONFIGS = {
    "2x, one level": AutoencoderConfig(1, 2, (6,)),
    "4x, colour": AutoencoderConfig(3, 4, (6, 10)),
    "8x": AutoencoderConfig(1, 3, (4, 6, 8)),
}


def build(config, seed=0):
    generator = np.random.default_rng(seed)
    model = Autoencoder(config, generator)
    for parameter in model.parameters().values():
        parameter.data += 0.05 * generator.standard_normal(parameter.shape, dtype=np.float32)
    return model


def make_batch(config, seed=1, frames=3):
    generator = np.random.default_rng(seed)
    height, width = 2 * config.factor, 3 * config.factor
    video = generator.random((frames, height, width, config.image_channels), dtype=np.float32)
    return video, generator.standard_normal((frames, 2, 3, config.latent_channels), dtype=np.float32)


WEIGHTS = AutoencoderLoss(absolute=0.1, kl=0.01)


def our_loss(model, frames, noise):
    """The loss as it is trained: mean squared and mean absolute error, and the divergence from a standard normal."""
    task = SimpleNamespace(model=model, weights=WEIGHTS)
    return AutoencoderTask.loss(task, {"frames": frames, "noise": noise})[0]


def their_loss(torch, network, frames, noise):
    frames = torch.tensor(frames)
    mean, log_variance = network.distribution(frames)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    rebuilt = network.reconstruct(mean + posterior.scale * torch.tensor(noise))
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean()
    error = torch.nn.functional.mse_loss(rebuilt, frames) + 0.1 * torch.nn.functional.l1_loss(rebuilt, frames)
    return error + 0.01 * divergence


@pytest.mark.parametrize("case", CONFIGS)
def test_outputs_and_every_gradient(torch, twin, assert_close, case):
    config = CONFIGS[case]
    model = build(config)
    network = twin.load(twin.Autoencoder(config), model.state_dict())
    batch = make_batch(config)
    (mean, log_variance), reconstruction = model.distribution(batch[0]), model.reconstruct(batch[1])
    with torch.no_grad():
        their_mean, their_log_variance = network.distribution(torch.tensor(batch[0]))
        their_reconstruction = network.reconstruct(torch.tensor(batch[1]))
    assert_close(mean.data, their_mean.numpy(), "mean of the latents")
    assert_close(log_variance.data, their_log_variance.numpy(), "log-variance of the latents")
    assert_close(reconstruction.data, their_reconstruction.numpy(), "reconstruction")

    loss, their_scalar = our_loss(model, *batch), their_loss(torch, network, *batch)
    their_scalar.backward()
    assert loss.item() == pytest.approx(their_scalar.item(), rel=1e-4)
    parameters, expected = model.parameters(), twin.gradient_arrays(network)
    assert expected.keys() == parameters.keys()
    for name, grad in zip(parameters, ag.gradients(loss, parameters.values())):
        assert_close(grad, expected[name], f"gradient of {name}")


@pytest.mark.parametrize("case", CONFIGS)
def test_ten_steps_of_adamw(torch, twin, assert_close, case):
    config = CONFIGS[case]
    model = build(config)
    network = twin.load(twin.Autoencoder(config), model.state_dict())
    parameters = model.parameters()
    options = dict(betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01)
    ours = AdamW(parameters, 3e-4, **options)
    theirs = torch.optim.AdamW(network.parameters(), lr=3e-4, **options)
    for step in range(10):
        batch = make_batch(config, seed=step)
        loss = our_loss(model, *batch)
        ours.step(dict(zip(parameters, ag.gradients(loss, parameters.values()))))
        theirs.zero_grad()
        their_scalar = their_loss(torch, network, *batch)
        their_scalar.backward()
        theirs.step()
        assert loss.item() == pytest.approx(their_scalar.item(), rel=1e-4)
    weights = twin.arrays(network)
    for name, array in model.state_dict().items():
        assert_close(array, weights[name], f"{name} after ten steps")


def test_encode_and_decode_of_a_video(torch, twin, assert_close):
    """The whole way with normalised latents, clip by clip."""
    config = CONFIGS["4x, colour"]
    model = build(config)
    model.latent_mean.data[...] = [0.1, -0.2, 0.3, 0.0]
    model.latent_deviation.data[...] = [0.5, 1.5, 2.0, 1.0]
    network = twin.load(twin.Autoencoder(config), model.state_dict())
    video = np.random.default_rng(3).random((2, 3, 8, 12, 3), dtype=np.float32)
    latents = model.encode(video)
    with torch.no_grad():
        mean, _ = network.distribution(torch.tensor(video).flatten(0, 1))
        expected = ((mean - network.latent_mean) / network.latent_deviation).unflatten(0, (2, 3))
        frames = network.reconstruct(mean).unflatten(0, (2, 3)).clamp(0, 1)
    assert_close(latents, expected.numpy(), "latents")
    assert_close(model.decode(latents), frames.numpy(), "video")
