import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.diffusion import curves

EACH = {name: curves.make(name) for name in curves.CURVES} | {"shifted": curves.make("rectified_flow", shift=3.0)}
EVERY_CURVE = pytest.mark.parametrize("curve", EACH.values(), ids=EACH)
LEVELS = np.linspace(0, 1, 257)


@EVERY_CURVE
def test_from_exactly_clean_to_almost_pure_noise(curve):
    alpha, sigma = curve.alpha(LEVELS), curve.sigma(LEVELS)
    assert alpha[0] == 1 and sigma[0] == 0
    assert alpha[-1] < 0.0065 and sigma[-1] > 0.9999
    assert (np.diff(alpha) < 0).all() and (np.diff(sigma) > 0).all() and (np.diff(curve.clock(LEVELS)) > 0).all()


@pytest.mark.parametrize(
    ("name", "terminal"), [("rectified_flow", 0), ("zero_terminal_snr", 0), ("ddpm_linear", 0.00635)]
)
def test_what_is_left_of_the_clean_sample_at_level_1(name, terminal):
    assert curves.make(name).alpha(1.0) == pytest.approx(terminal, abs=1e-5)
    assert (curves.make(name).alpha(1.0) == 0) == (terminal == 0)  # exactly zero, not nearly


@EVERY_CURVE
def test_velocity_is_the_speed_of_x_by_the_curves_clock(curve):
    """Away from the kinks between table entries, by central differences."""
    middle = np.array([0.2505, 0.5005, 0.9005])
    before, after = middle - 1e-6, middle + 1e-6
    ticks = curve.clock(after) - curve.clock(before)
    on_clean, on_noise = curve.velocity(middle)
    np.testing.assert_allclose((curve.alpha(after) - curve.alpha(before)) / ticks, on_clean, rtol=1e-6)
    np.testing.assert_allclose((curve.sigma(after) - curve.sigma(before)) / ticks, on_noise, rtol=1e-6)


@EVERY_CURVE
def test_the_determinant_that_predictions_rely_on_is_1(curve):
    on_clean, on_noise = curve.velocity(LEVELS)
    np.testing.assert_allclose(curve.alpha(LEVELS) * on_noise - curve.sigma(LEVELS) * on_clean, 1, rtol=1e-12)


def test_tables_pass_through_the_discrete_process():
    curve = curves.make("ddpm_linear")
    beta = np.linspace(1e-4, 0.02, 1000)
    alpha_bar = 1.0
    for i in range(1000):
        alpha_bar *= 1 - beta[i]
        if i in (0, 1, 499, 999):
            assert curve.alpha((i + 1) / 1000) ** 2 == pytest.approx(alpha_bar, rel=1e-9)
    # Halfway between two entries alpha_bar is halfway too.
    assert curve.alpha(0.0005) ** 2 == pytest.approx(1 - 0.5e-4, rel=1e-12)


def test_cosine_table_follows_its_formula_until_the_last_beta_is_clipped():
    curve = curves.make("ddpm_cosine")
    level = np.array([0.001, 0.25, 0.5, 0.9, 0.998])
    f = np.cos((level + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(curve.alpha(level) ** 2, f, rtol=1e-9)
    assert curve.alpha(1.0) ** 2 / curve.alpha(0.999) ** 2 == pytest.approx(0.001)


def test_zero_terminal_snr_keeps_the_first_step_and_ends_at_zero():
    before = curves.linear_table()
    after = curves.rescale_to_zero_terminal_snr(before)
    assert after[0] == pytest.approx(before[0], rel=1e-12)
    assert after[-1] == 0
    # The square roots are moved by one linear map.
    slope = np.diff(np.sqrt(after)) / np.diff(np.sqrt(before))
    np.testing.assert_allclose(slope, slope[0], rtol=1e-6)


def test_shift_moves_levels_towards_noise_and_keeps_the_ends():
    assert curves.shifted(0.5, 3.0) == pytest.approx(0.75)
    np.testing.assert_array_equal(curves.shifted(np.array([0.0, 1.0]), 7.0), [0, 1])
    np.testing.assert_allclose(curves.shifted(LEVELS, 1.0), LEVELS)
    np.testing.assert_allclose(curves.make("rectified_flow", shift=3.0).sigma(LEVELS), curves.shifted(LEVELS, 3.0))


@EVERY_CURVE
def test_mix_gives_each_frame_its_level_and_keeps_float32(curve):
    generator = np.random.default_rng(0)
    clean, noise = generator.standard_normal((2, 2, 3, 5, 4, 2), dtype=np.float32)
    level = generator.random((2, 3)).astype(np.float32)
    level[0, 1] = 0
    x = curve.mix(clean, noise, level)
    assert x.dtype == np.float32 and curve.alpha(level).dtype == np.float32
    np.testing.assert_array_equal(x[0, 1], clean[0, 1])
    t = level[1, 2]
    np.testing.assert_allclose(x[1, 2], curve.alpha(t) * clean[1, 2] + curve.sigma(t) * noise[1, 2], rtol=1e-6)
    np.testing.assert_array_equal(curve.mix(clean, noise, 0.0), clean)


@pytest.mark.parametrize("level", [-0.1, 1.001, np.nan, np.array([0.5, 2.0])])
def test_a_level_outside_0_to_1_is_refused(level):
    with pytest.raises(InputError, match=r"a noise level lies in \[0, 1\]"):
        curves.make("rectified_flow").alpha(level)


def test_unknown_curves_and_shifts_are_refused():
    with pytest.raises(InputError, match="'linear' is not a noise curve; choose one of rectified_flow, ddpm_linear"):
        curves.make("linear")
    with pytest.raises(InputError, match="a number above 0"):
        curves.make("rectified_flow", shift=0.0)


def test_a_shift_is_refused_rather_than_ignored_where_there_is_none():
    assert curves.make("ddpm_cosine", shift=1.0).alpha(0.3) == curves.make("ddpm_cosine").alpha(0.3)
    with pytest.raises(InputError, match="set shift=1 with ddpm_linear"):
        curves.make("ddpm_linear", shift=3.0)
