import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.diffusion import Process, guided, interval, make


def setting(seed=0, shape=(2, 3, 4, 5, 6)):
    """x, what a network predicts with the caption 1 and with 0, that network with both captions, sizes of its calls."""
    generator = np.random.default_rng(seed)
    x, conditional, unconditional = generator.standard_normal((3, *shape)).astype(np.float32)
    sizes = []

    def denoise(x, noise_level, captions):
        sizes.append(len(x))
        assert len(x) == len(noise_level) == len(captions)
        return np.stack([(unconditional, conditional)[c][i % shape[0]] for i, c in enumerate(captions)])

    captions = np.ones(shape[0], int), np.zeros(shape[0], int)
    return x, conditional, unconditional, (denoise, *captions), sizes


def test_guidance_goes_past_the_conditional_in_every_channel():
    x, conditional, unconditional, network, _ = setting()
    out = guided(*network, 2.5)(x, np.full((2, 3), 0.5, np.float32))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, unconditional + 2.5 * (conditional - unconditional), rtol=1e-6)
    past = (out - conditional) / (conditional - unconditional)
    np.testing.assert_allclose(np.median(past, axis=(0, 1, 2, 3)), 1.5, rtol=1e-4)  # each channel, none left out


def test_scale_1_is_the_conditional_and_saves_the_other_call():
    x, conditional, unconditional, network, sizes = setting()
    level = np.full((2, 3), 0.5, np.float32)
    np.testing.assert_array_equal(guided(*network, 1)(x, level), conditional)
    assert sizes == [2]
    np.testing.assert_array_equal(guided(*network, 0)(x, level), unconditional)
    assert sizes == [2, 4]


def test_an_interval_guides_only_the_frames_inside_it():
    x, conditional, unconditional, network, sizes = setting()
    level = np.array([[0, 0.2, 0.5], [0.8, 0.9, 1]], np.float32)
    out = guided(*network, interval(3.0, 0.2, 0.8))(x, level)
    inside = (level >= 0.2) & (level <= 0.8)
    assert inside.sum() == 3
    strong = unconditional + 3 * (conditional - unconditional)
    np.testing.assert_allclose(out[inside], strong[inside], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out[~inside], conditional[~inside], rtol=1e-5, atol=1e-6)
    assert out.dtype == np.float32
    guided(*network, interval(3.0, 0.2, 0.8))(x, np.full((2, 3), 0.9, np.float32))
    assert sizes == [4, 2]  # outside the interval there is nothing to compare with


@pytest.mark.parametrize("kind", ["noise", "clean"])
def test_guiding_any_kind_of_prediction_is_guiding_the_velocity(kind):
    generator, curve = np.random.default_rng(1), make("ddpm_cosine")
    x, one, other = generator.standard_normal((3, 2, 3, 4, 4, 2))
    level = generator.uniform(0.2, 0.9, (2, 3))

    def as_kind(velocity):
        pair = Process(curve, "velocity").to_clean_and_noise(velocity, x, level)
        return lambda x, noise_level: Process(curve, kind).target(*pair, level)

    captions = np.ones(2, int), np.zeros(2, int)
    velocity = guided(lambda x, t, c: np.concatenate([one, other]), *captions, 4.0)(x, level)
    both = as_kind(one), as_kind(other)
    same = guided(lambda x, t, c: np.concatenate([kind(x[:2], t[:2]) for kind in both]), *captions, 4.0)(x, level)
    np.testing.assert_allclose(same, as_kind(velocity)(x, level), rtol=1e-9, atol=1e-9)


def test_an_empty_interval_is_refused():
    with pytest.raises(InputError, match="0 <= low < high <= 1"):
        interval(2.0, 0.8, 0.2)
