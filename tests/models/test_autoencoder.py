"""The autoencoder: shapes for every factor, normalised latents, refusals, and that it can learn."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.models import Autoencoder, AutoencoderConfig
from minivdit.nn.optim import AdamW


def build(channels=(4, 6), latent_channels=3, image_channels=1, seed=0):
    return Autoencoder(AutoencoderConfig(image_channels, latent_channels, channels), np.random.default_rng(seed))


def clip(*shape, seed=1):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("channels, factor", [((4,), 2), ((4, 6), 4), ((4, 6, 8), 8), ((2, 2, 2, 2), 16)])
@pytest.mark.parametrize("cells", [(1, 1), (2, 3), (3, 1)])
def test_shapes_for_several_factors_and_non_square_sizes(channels, factor, cells):
    model = build(channels, image_channels=3)
    assert model.config.factor == factor
    video = clip(2, 3, cells[0] * factor, cells[1] * factor, 3)
    latents = model.encode(video)
    assert latents.shape == (2, 3, *cells, 3) and latents.dtype == np.float32
    decoded = model.decode(latents)
    assert decoded.shape == video.shape and decoded.dtype == np.float32
    assert decoded.min() >= 0 and decoded.max() <= 1


def test_frames_are_encoded_one_by_one():
    model = build()
    video = clip(2, 3, 8, 12, 1)
    latents = model.encode(video)
    np.testing.assert_allclose(latents[1, 2], model.encode(video[1:, 2:])[0, 0], atol=1e-5)
    changed = video.copy()
    changed[0, 1] = 0
    difference = abs(model.encode(changed) - latents).max(axis=(2, 3, 4))
    assert difference[0, 1] > 1e-3
    difference[0, 1] = 0
    assert difference.max() < 1e-6


def test_latents_are_normalised_once_mean_and_deviation_are_set():
    model = build()
    video = clip(4, 3, 8, 12, 1)
    raw, picture = model.encode(video), model.decode(model.encode(video))
    model.latent_mean.data[...] = raw.mean(axis=(0, 1, 2, 3))
    model.latent_deviation.data[...] = raw.std(axis=(0, 1, 2, 3))
    latents = model.encode(video)
    assert abs(raw.mean(axis=(0, 1, 2, 3))).max() > 0.05
    np.testing.assert_allclose(latents.mean(axis=(0, 1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(latents.std(axis=(0, 1, 2, 3)), 1, atol=1e-4)
    np.testing.assert_allclose(model.decode(latents), picture, atol=1e-5)
    # They are saved with the weights, and not trained.
    other = build(seed=9)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.encode(video), latents)
    assert not {"latent_mean", "latent_deviation"} & model.parameters().keys()


@pytest.mark.parametrize("shape, message", [
    ((1, 1, 10, 8, 1), r"10x8 can't be shrunk 4 times.*multiples of 4, such as 8x8"),
    ((1, 1, 8, 15, 1), r"8x15.*such as 8x16"),
    ((1, 1, 1, 2, 1), r"1x2.*such as 4x4"),
    ((1, 1, 0, 8, 1), r"0x8"),
    ((1, 1, 8, 8, 3), r"3 channels; this autoencoder takes 1"),
    ((1, 8, 8, 1), r"\(batch, frames, height, width, channels\).*\(1, 8, 8, 1\)"),
])  # fmt: skip
def test_a_video_of_another_shape_is_refused(shape, message):
    with pytest.raises(InputError, match=message) as caught:
        build().encode(np.zeros(shape, np.float32))
    assert "\n" not in str(caught.value)


def test_a_video_of_whole_numbers_is_refused():
    with pytest.raises(InputError, match=r"float32.*\[0, 1\].*uint8"):
        build().encode(np.zeros((1, 1, 8, 8, 1), np.uint8))


@pytest.mark.parametrize("options", [dict(channels=()), dict(channels=(4, 0)), dict(latent_channels=0)])
def test_a_configuration_without_levels_or_channels_is_refused(options):
    with pytest.raises(InputError, match="at least one"):
        AutoencoderConfig(**options)


def test_encode_and_decode_leave_no_graph():
    model = build()
    video = clip(1, 2, 8, 8, 1)
    assert isinstance(model.encode(video), np.ndarray) and isinstance(model.decode(model.encode(video)), np.ndarray)
    assert ag.is_recording()


def test_a_few_steps_learn_a_picture():
    model = build((8, 8), 4)
    grid = np.indices((16, 16)).sum(axis=0)
    video = np.stack([(grid // 4 % 2), (grid % 8 < 4)]).astype(np.float32)[..., None]
    parameters = model.parameters()
    optimiser = AdamW(parameters, 5e-3)
    losses = []
    for _ in range(60):
        loss = ag.mean_squared_error(model.reconstruct(model.distribution(video)[0]), video)
        losses.append(loss.item())
        optimiser.step(dict(zip(parameters, ag.gradients(loss, parameters.values()))))
    assert losses[-1] < 0.2 * losses[0]


def test_the_last_doubling_spreads_each_position_over_two_by_two_pixels():
    model = build(image_channels=2)
    model.to_pixels.weight.data[...] = 0
    model.to_pixels.bias.data[...] = [0, 1, 10, 11, 20, 21, 30, 31]  # upper left, upper right, lower left, lower right
    frames = (model.reconstruct(np.zeros((1, 2, 3, 3), np.float32)).data - 0.5) * 2
    assert frames.shape == (1, 8, 12, 2)
    block = [[[0, 1], [10, 11]], [[20, 21], [30, 31]]]
    np.testing.assert_allclose(frames[0], np.tile(block, (4, 6, 1)), atol=1e-5)
