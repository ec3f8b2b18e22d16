import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.diffusion import CURVES, PREDICTIONS, Process, ProcessSettings, make
from minivdit.diffusion.curves import shifted

EVERY_CURVE = pytest.mark.parametrize("name", list(CURVES))
EVERY_KIND = pytest.mark.parametrize("kind", PREDICTIONS)


def pair(generator, shape=(2, 3, 5, 4, 2)):
    return generator.standard_normal((2, *shape))


@EVERY_CURVE
@EVERY_KIND
def test_the_pair_comes_back_from_its_target(name, kind):
    generator, process = np.random.default_rng(1), Process(make(name), kind)
    clean, noise = pair(generator)
    level = generator.uniform(0.05, 0.95, (2, 3))
    answer = process.target(clean, noise, level)
    found = process.to_clean_and_noise(answer, process.mix(clean, noise, level), level)
    np.testing.assert_allclose(found[0], clean, atol=1e-12)
    np.testing.assert_allclose(found[1], noise, atol=1e-12)


def test_velocity_is_what_the_papers_call_it():
    clean, noise = pair(np.random.default_rng(2))
    level = np.full((2, 3), 0.3)
    straight = Process(make("rectified_flow"), "velocity").target(clean, noise, level)
    np.testing.assert_allclose(straight, noise - clean)
    curve = make("ddpm_cosine")
    rotating = Process(curve, "velocity").target(clean, noise, level)
    np.testing.assert_allclose(rotating, curve.alpha(0.3) * noise - curve.sigma(0.3) * clean)


@EVERY_CURVE
@EVERY_KIND
def test_at_level_0_the_clean_sample_is_x_whatever_was_predicted(name, kind):
    generator = np.random.default_rng(3)
    x, nonsense = pair(generator).astype(np.float32)
    level = np.array([[0, 0.5, 0.9], [0.5, 0.2, 0]], np.float32)
    clean, noise = Process(make(name), kind).to_clean_and_noise(nonsense, x, level)
    assert clean.dtype == noise.dtype == np.float32
    assert clean[0, 0].tobytes() == x[0, 0].tobytes() and clean[1, 2].tobytes() == x[1, 2].tobytes()
    assert np.isfinite(noise).all()
    assert not np.allclose(clean[0, 1], x[0, 1])


@pytest.mark.parametrize("name", ["rectified_flow", "zero_terminal_snr"])
@pytest.mark.parametrize("kind", ["velocity", "clean"])
def test_from_pure_noise_without_dividing_by_alpha_0(name, kind):
    """Where alpha is 0, x is the noise, and the clean sample comes from the prediction alone."""
    process = Process(make(name), kind)
    clean, noise = pair(np.random.default_rng(4))
    answer = process.target(clean, noise, 1.0)
    found = process.to_clean_and_noise(answer, process.mix(clean, noise, 1.0), np.ones((2, 3)))
    np.testing.assert_allclose(found[0], clean, atol=1e-12)
    np.testing.assert_allclose(found[1], noise, atol=1e-12)


@pytest.mark.parametrize("name", ["rectified_flow", "zero_terminal_snr"])
def test_noise_prediction_from_pure_noise_is_refused_with_the_reason(name):
    x, answer = pair(np.random.default_rng(5))
    process, level = Process(make(name), "noise"), np.ones((2, 3))
    with pytest.raises(InputError, match="says nothing about the clean sample; predict velocity or clean"):
        process.to_clean_and_noise(answer, x, level)
    with pytest.raises(InputError, match=f"level 1 of {name}"):
        ProcessSettings(curve=name, prediction="noise")
    ProcessSettings(curve="ddpm_linear", prediction="noise")  # has a trace of the clean sample left
    process.require(0.999)


@EVERY_CURVE
@EVERY_KIND
def test_velocity_weight_turns_an_error_of_any_kind_into_the_velocitys(name, kind):
    """A wrong prediction, seen as a velocity: its squared error is the weight times the one it was made with."""
    generator, process = np.random.default_rng(6), Process(make(name), kind)
    velocity = Process(process.curve, "velocity")
    clean, noise = pair(generator)
    level = generator.uniform(0.2, 0.6, (2, 3))  # alpha and sigma stay above the floor
    x = process.mix(clean, noise, level)
    right = process.target(clean, noise, level)
    wrong = right + generator.standard_normal(right.shape)
    seen = velocity.target(*process.to_clean_and_noise(wrong, x, level), level)
    error = (seen - velocity.target(clean, noise, level)) ** 2
    weight = process.velocity_weight(level)
    np.testing.assert_allclose(error, weight[..., None, None, None] * (wrong - right) ** 2, rtol=1e-8)


def test_velocity_weight_is_bounded_by_its_floor():
    level = np.array([[0.0, 1.0]], np.float32)
    for kind, expected in (("clean", [[100, 1]]), ("noise", [[1, 100]])):
        weight = Process(make("rectified_flow"), kind).velocity_weight(level, floor=0.1)
        np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="'epsilon' is not a kind of prediction; choose one of noise, velocity, clean"):
        Process(make("rectified_flow"), "epsilon")


def test_where_the_shift_grows_with_the_length_as_much_stays_hidden_in_a_long_clip_as_in_a_short_one():
    """N tokens that show the same brightness tell it as well as n do: averaged, they are as far from it."""
    settings, generator = ProcessSettings(shift=3.0, shift_tokens=16), np.random.default_rng(0)
    curve = settings.process.curve

    def strays(tokens, shift):
        level = shifted(0.4, shift)
        noise = generator.standard_normal((20_000, tokens))
        noisy = curve.mix(np.full_like(noise, 0.7), noise, level)
        return (noisy.mean(axis=1) / curve.alpha(level)).std()

    assert strays(64, settings.length_shift(64)) == pytest.approx(strays(16, 1.0), rel=0.03)
    assert strays(4, settings.length_shift(4)) == pytest.approx(strays(16, 1.0), rel=0.03)
    assert strays(64, 1.0) < 0.6 * strays(16, 1.0)  # without it, the long clip's is plain to see
    assert [settings.length_shift(tokens) for tokens in (4, 16, 64)] == [0.5, 1, 2]


def test_the_shift_does_not_grow_unless_asked_and_grows_on_rectified_flow_alone():
    assert {ProcessSettings().length_shift(tokens) for tokens in (1, 128, 10**6)} == {1.0}
    with pytest.raises(InputError, match="shift_tokens is a number of tokens, 0 for no change, not -1"):
        ProcessSettings(shift_tokens=-1)
    with pytest.raises(InputError, match="only rectified_flow has a shift; set shift_tokens=0 with ddpm_cosine"):
        ProcessSettings(curve="ddpm_cosine", shift_tokens=128)
