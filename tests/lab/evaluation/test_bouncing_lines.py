"""The bouncing line: velocity before the first bounce, from clean, noisy and broken tracks."""

import numpy as np
import pytest

from minivdit.data import DIRECTIONS
from minivdit.lab.evaluation.bouncing_lines import NOWHERE, compass, fit_paths, fold

CANVAS, SIZE = (48, 64), 20


def bouncing(count, generator, length=14, speed=(0.8, 3.5)):
    """Tracks (count, T, 2) by simulation step by step, and their first velocities."""
    low, high = SIZE / 2 - 0.5, np.array(CANVAS) - SIZE / 2 - 0.5
    place = low + generator.random((count, 2)) * (high - low)
    angle = generator.random(count) * 2 * np.pi
    velocity = np.stack([np.sin(angle), np.cos(angle)], -1) * generator.uniform(*speed, (count, 1))
    # The first step goes as it says: no wall within it.
    velocity = np.where((place + velocity < low) | (place + velocity > high), -velocity, velocity)
    first, path = velocity.copy(), []
    for _ in range(length):
        path.append(place)
        place = place + velocity
        for wall, beyond in ((low, place < low), (high, place > high)):
            place, velocity = np.where(beyond, 2 * wall - place, place), np.where(beyond, -velocity, velocity)
    return np.stack(path, 1), first


def test_fold_is_a_mirror_at_both_walls():
    np.testing.assert_allclose(fold(np.array([-1.0, 0, 2, 5, 6, 11, -6]), 0, 5), [1, 0, 2, 5, 4, 1, 4])


def test_velocity_before_the_bounce_is_found():
    path, velocity = bouncing(150, np.random.default_rng(0))
    fit = fit_paths(path, CANVAS, SIZE)
    bounced = np.abs(np.diff(path, 2, axis=1)).max((1, 2)) > 0.5
    assert bounced.sum() > 60  # the hard case is there
    error = np.sqrt(((fit.velocity - velocity) ** 2).sum(-1))
    assert np.quantile(error, 0.95) < 0.15
    assert np.quantile(fit.residual, 0.95) < 0.25
    np.testing.assert_allclose(fit.speed, np.sqrt((velocity**2).sum(-1)), atol=0.5)


def test_noise_and_wild_frames_do_not_turn_it():
    generator = np.random.default_rng(1)
    path, velocity = bouncing(80, generator)
    noisy = path + 0.7 * generator.standard_normal(path.shape)
    noisy[:, 4] = generator.random((80, 2)) * CANVAS  # tracked something else
    noisy[:, 9] = np.nan
    fit = fit_paths(noisy, CANVAS, SIZE)
    cosine = (fit.velocity * velocity).sum(-1) / np.maximum(fit.speed * np.sqrt((velocity**2).sum(-1)), 1e-9)
    assert np.median(cosine) > 0.98 and (cosine > 0.8).mean() > 0.9
    assert np.median(fit.residual) > 0.4  # and the noise shows


def test_eight_directions_by_name():
    for index, step in enumerate(DIRECTIONS.values()):
        path = np.array([23.5, 31.5]) + 1.2 * np.arange(6)[:, None] * np.array(step)
        assert fit_paths(path[None], CANVAS, SIZE).direction[0] == index
        assert compass(np.array(step, float)) == index


def test_shuffled_frames_have_no_direction():
    generator = np.random.default_rng(2)
    path, _ = bouncing(100, generator, speed=(1.5, 3))
    kept = fit_paths(path, CANVAS, SIZE)
    order = generator.permuted(np.tile(np.arange(path.shape[1]), (100, 1)), axis=1)
    mixed = fit_paths(path[np.arange(100)[:, None], order], CANVAS, SIZE)
    assert (kept.direction != NOWHERE).all() and (mixed.direction != NOWHERE).mean() < 0.2
    assert mixed.residual.mean() > 10 * kept.residual.mean()


def test_what_stands_still_or_is_unseen_has_no_direction():
    still = np.full((1, 8, 2), 20.0)
    fit = fit_paths(still, CANVAS, SIZE)
    assert fit.direction[0] == NOWHERE and fit.speed[0] < 0.05 and fit.residual[0] < 0.1
    jitter = still + 0.3 * np.random.default_rng(3).standard_normal((20, 8, 2))
    assert (fit_paths(jitter, CANVAS, SIZE).direction == NOWHERE).mean() > 0.8
    twice = np.full((1, 8, 2), np.nan)
    twice[0, :2] = [[20, 20], [20, 23]]
    fit = fit_paths(twice, CANVAS, SIZE)
    assert fit.direction[0] == NOWHERE and np.isnan(fit.residual[0]) and fit.speed[0] == 0


@pytest.mark.parametrize("length", [1, 2])
def test_short_clips_are_no_error(length):
    fit = fit_paths(np.full((2, 1, length, 2), 20.0), CANVAS, SIZE)
    assert fit.direction.shape == (2, 1) and (fit.direction == NOWHERE).all() and fit.path.shape == (2, 1, length, 2)
