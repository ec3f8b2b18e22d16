"""The causal autoencoder: nothing looks ahead, the first frame is alone, and pieces give the same bits as the whole."""

import tracemalloc

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.models import Autoencoder, AutoencoderConfig, CausalAutoencoder, make_autoencoder
from minivdit.models.autoencoder import latent_shape
from minivdit.nn.optim import AdamW

SHAPES = pytest.mark.parametrize("channels, time_factor", [((4,), 2), ((4, 6), 2), ((4, 6), 4), ((3, 4, 5), 8)])


@pytest.fixture
def build(randomise):
    def make(channels=(4, 6), time_factor=4, image_channels=1):
        config = AutoencoderConfig(image_channels, 3, channels, time_factor)
        return randomise(make_autoencoder(config, np.random.default_rng(0)), 0.3)

    return make


def clip(model, latent_frames, seed=1):
    side, frames = model.config.factor, model.config.frames(latent_frames)
    return np.random.default_rng(seed).random((2, frames, 2 * side, 3 * side, 1), dtype=np.float32)


@SHAPES
def test_shapes(build, channels, time_factor):
    model = build(channels, time_factor)
    assert isinstance(model, CausalAutoencoder)
    for latent_frames in (1, 2, 5):
        video = clip(model, latent_frames)
        latents = model.encode(video)
        assert latents.shape == (2, latent_frames, 2, 3, 3) == latent_shape(model.config, video.shape)
        assert model.decode(latents).shape == video.shape and latents.dtype == np.float32


def test_a_factor_of_1_is_the_autoencoder_of_single_frames():
    assert type(make_autoencoder(AutoencoderConfig(), np.random.default_rng(0))) is Autoencoder


@SHAPES
def test_a_later_frame_changes_no_earlier_latent(build, channels, time_factor):
    model = build(channels, time_factor)
    video = clip(model, 4)
    latents = model.encode(video)
    for frame in range(video.shape[1]):
        changed = video.copy()
        changed[:, frame] = 1 - changed[:, frame]
        differs = (model.encode(changed) != latents).any(axis=(0, 2, 3, 4))
        first = -(-frame // time_factor)  # the latent frame that this frame is coded in
        assert not differs[:first].any() and differs[first]


@SHAPES
def test_a_later_latent_changes_no_earlier_frame(build, channels, time_factor):
    model = build(channels, time_factor)
    latents = np.random.default_rng(2).standard_normal((1, 4, 2, 2, 3), dtype=np.float32)
    video = model.decode(latents)
    for place in range(4):
        changed = latents.copy()
        changed[:, place] += 1
        differs = (model.decode(changed) != video).any(axis=(0, 2, 3, 4))
        first, last = (model.config.frames(place) if place else 0), model.config.frames(place + 1)  # its own frames
        assert not differs[:first].any() and differs[first:last].all()


@SHAPES
def test_the_first_frame_is_coded_by_itself(build, channels, time_factor):
    model = build(channels, time_factor)
    video = clip(model, 3)
    latents = model.encode(video)
    np.testing.assert_array_equal(model.encode(video[:, :1]), latents[:, :1])
    np.testing.assert_array_equal(model.decode(latents[:, :1]), model.decode(latents)[:, :1])


@SHAPES
@pytest.mark.parametrize("cuts", [(1,), (1, 2, 3, 4, 5), (2, 5), (4,)])
def test_pieces_give_the_same_bits_as_the_whole(build, channels, time_factor, cuts):
    model = build(channels, time_factor)
    model.latent_mean.data[...], model.latent_deviation.data[...] = (0.1, 0.2, 0.3), (1.5, 0.5, 2.0)
    video = clip(model, 6)
    latents = model.encode(video)
    parts = model.encode_pieces(np.split(video, [model.config.frames(cut) for cut in cuts], axis=1))
    np.testing.assert_array_equal(np.concatenate(list(parts), axis=1), latents)
    frames = model.decode_pieces(np.split(latents, cuts, axis=1))
    np.testing.assert_array_equal(np.concatenate(list(frames), axis=1), model.decode(latents))


@SHAPES
def test_training_sees_the_same_network_as_drawing(build, channels, time_factor):
    model = build(channels, time_factor)
    video = clip(model, 4)
    with ag.no_grad():
        latents = model.distribution(video)[0].data
        np.testing.assert_allclose(model.encode(video), latents, atol=1e-5)
        np.testing.assert_allclose(model.decode(latents), model.reconstruct(latents).data.clip(0, 1), atol=1e-5)


def test_a_clip_that_comes_in_pieces_takes_no_more_memory_however_long(build, plain_numpy):
    model = build((8, 8), 4)
    part = np.random.default_rng(0).random((1, 4, 32, 32, 1), dtype=np.float32)

    def most(pieces):
        def parts():
            yield part[:, :1]
            for _ in range(pieces):
                yield part

        tracemalloc.start()
        try:
            for _ in model.decode_pieces(model.encode_pieces(parts())):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most(1)
    assert most(40) < 1.1 * most(4)


@pytest.mark.parametrize("frames", [0, 2, 4, 6])
def test_lengths_that_cannot_be_coded_are_refused(build, frames):
    model = build()
    video = np.zeros((1, frames, 8, 8, 1), np.float32)
    with pytest.raises(InputError, match=rf"has 1 and a multiple of 4 frames, not {frames}"):
        model.encode(video)
    if frames:
        with pytest.raises(InputError, match=f"num_frames {frames} must be 1 and a multiple of 4, such as"):
            model.distribution(video)
    with pytest.raises(InputError, match="a later part of a clip has a multiple of 4 frames, not 3"):
        list(model.encode_pieces([np.zeros((1, 1, 8, 8, 1), np.float32), np.zeros((1, 3, 8, 8, 1), np.float32)]))


@pytest.mark.parametrize("time_factor", [0, -1, 3, 8])
def test_factors_that_no_level_can_give_are_refused(time_factor):
    with pytest.raises(InputError, match=f"at each of the 2 levels, not {time_factor}"):
        AutoencoderConfig(channels=(4, 6), time_factor=time_factor)


def test_it_learns_to_rebuild_a_moving_square():
    config = AutoencoderConfig(latent_channels=8, channels=(16, 16), time_factor=4)
    model = make_autoencoder(config, np.random.default_rng(0))
    generator, parameters = np.random.default_rng(1), model.parameters()
    optimiser = AdamW(parameters, learning_rate=5e-3)

    def clips(count):
        video = np.zeros((count, 9, 16, 16, 1), np.float32)
        for one, (top, left) in zip(video, generator.integers(0, 8, (count, 2))):
            for time, frame in enumerate(one):
                shift = abs((left + time) % 22 - 11)
                frame[top : top + 5, shift : shift + 5] = 1
        return video

    for _ in range(80):
        video = clips(6)
        loss = ag.mean_squared_error(model.reconstruct(model.distribution(video)[0]), video)
        optimiser.step(dict(zip(parameters, ag.gradients(loss, parameters.values()))))
    video = clips(4)
    blank = ((video - video.mean()) ** 2).mean()
    assert ((model.decode(model.encode(video)) - video) ** 2).mean() < 0.4 * blank
    still = np.repeat(video[:, :1], 9, axis=1)  # to repeat the first frame is worse, even if that is right
    assert ((still - video) ** 2).mean() > 0.8 * blank
