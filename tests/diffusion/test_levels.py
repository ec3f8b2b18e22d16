import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.diffusion import level_matrix, resampled, training_levels, uniform_levels


def kinds_of(levels):
    """For each clip: are all levels the same, are some 0 and the rest the same, or are they all different?"""
    distinct = [np.unique(clip) for clip in levels]
    shared = np.array([len(values) == 1 for values in distinct])
    given = np.array([len(values) == 2 and values[0] == 0 for values in distinct])
    independent = np.array([len(values) == levels.shape[1] for values in distinct])
    return shared, given, independent


def test_training_levels_mix_the_three_kinds_of_clips():
    levels = training_levels(np.random.default_rng(0), 4000, 7)
    assert levels.shape == (4000, 7) and levels.dtype == np.float32
    assert (levels >= 0).all() and (levels < 1).all()
    shared, given, independent = kinds_of(levels)
    assert (shared | given | independent).all()  # every clip is of one kind
    np.testing.assert_allclose([shared.mean(), given.mean(), independent.mean()], [0.6, 0.2, 0.2], atol=0.03)


def test_given_frames_come_first_or_last_or_at_both_ends_or_anywhere_and_something_is_left_to_draw():
    mask = training_levels(np.random.default_rng(1), 4000, 9, shared=0, given=1, independent=0) == 0
    counts = mask.sum(axis=1)
    assert counts.min() == 1 and counts.max() == 8
    assert np.mean(counts <= 2) > 0.35  # few more often than many
    edges = np.abs(np.diff(mask.astype(int), axis=1)).sum(axis=1)  # how often given and free frames take turns
    first, last = (edges == 1) & mask[:, 0], (edges == 1) & mask[:, -1]
    ends = (edges == 2) & mask[:, 0] & mask[:, -1]
    for kind in (first, last, ends, ~(first | last | ends)):
        assert 0.17 < kind.mean() < 0.33  # a quarter each; a few subsets happen to be one of the others
    assert (mask[ends].sum(axis=1) == 2).mean() > 0.2  # first and last frame
    assert mask.any(axis=0).all() and not mask.all(axis=0).any()


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_short_clips_always_keep_a_frame_to_draw(num_frames):
    levels = training_levels(np.random.default_rng(2), 500, num_frames, shared=0, given=1, independent=0)
    assert (levels > 0).any(axis=1).all()
    assert (levels == 0).any() == (num_frames > 1)


def test_the_two_distributions():
    def draws(**options):
        return training_levels(np.random.default_rng(3), 50_000, 1, **options).ravel()

    uniform = draws(distribution="uniform")
    np.testing.assert_allclose(np.quantile(uniform, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
    normal = draws(mean=0.5, deviation=0.8)
    logit = np.log(normal / (1 - normal))
    assert logit.mean() == pytest.approx(0.5, abs=0.02) and logit.std() == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("distribution", ["logit_normal", "uniform"])
def test_stratified_levels_spread_over_each_batch_and_are_distributed_as_others(distribution):
    generator, options = np.random.default_rng(0), {"distribution": distribution, "mean": 0.5, "deviation": 1.5}

    def batches(stratified):
        made = [training_levels(generator, 16, 2, given=0, stratified=stratified, **options) for _ in range(500)]
        return np.stack(made)[..., 0]  # (500, 16)

    spread, plain = batches(True), batches(False)
    quantiles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(np.quantile(spread, quantiles), np.quantile(plain, quantiles), atol=0.02)
    assert spread.mean(axis=1).std() < 0.3 * plain.mean(axis=1).std()
    assert abs(spread.mean(axis=0) - spread.mean()).max() < 0.06  # every clip of a batch has every level
    middle = np.sort(spread, axis=1)[:, 7:9]
    assert (middle[:, 0] <= np.median(plain) + 0.02).all() and (middle[:, 1] >= np.median(plain) - 0.02).all()


def test_a_shift_moves_every_level_towards_noise_and_leaves_the_ends():
    """Of a logit-normal it adds ln(shift) to the mean."""
    plain, moved = (training_levels(np.random.default_rng(4), 2000, 4, shift=shift) for shift in (1.0, 3.0))
    assert ((plain == 0) == (moved == 0)).all() and (plain == 0).any()
    drawn = (plain > 0) & (plain < 1 - 1e-3)
    odds = [levels[drawn] / (1 - levels[drawn].astype(float)) for levels in (plain, moved)]
    np.testing.assert_allclose(odds[1], 3 * odds[0], rtol=2e-3)
    with pytest.raises(InputError, match="above 0"):
        training_levels(np.random.default_rng(0), 2, 2, shift=0.0)


def test_the_same_seed_gives_the_same_levels():
    first, again, other = (training_levels(np.random.default_rng(seed), 6, 4) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared": -1}, "chances"),
        ({"shared": 0, "given": 0, "independent": 0}, "chances"),
        ({"distribution": "normal"}, "logit_normal or uniform"),
    ],
)
def test_bad_mixes_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        training_levels(np.random.default_rng(0), 2, 3, **options)


def test_uniform_levels():
    levels = uniform_levels(4)
    assert levels.dtype == np.float32
    np.testing.assert_array_equal(levels, np.float32([1, 0.75, 0.5, 0.25, 0]))
    np.testing.assert_allclose(uniform_levels(2, highest=0.6), [0.6, 0.3, 0], rtol=1e-6)
    np.testing.assert_allclose(uniform_levels(4, shift=3.0), [1, 0.9, 0.75, 0.5, 0])
    with pytest.raises(InputError, match="at least 1 step"):
        uniform_levels(0)


def test_level_matrix_holds_given_frames_at_0():
    levels = level_matrix(5, 2, 3, given=[True, False, False])
    assert levels.shape == (6, 2, 3) and levels.dtype == np.float32
    assert (levels[:, :, 0] == 0).all()
    np.testing.assert_array_equal(levels[:, 1, 2], uniform_levels(5))
    one_each = level_matrix(5, 2, 3, given=np.array([[True, False, False], [False, False, True]]))
    assert (one_each[0] == [[0, 1, 1], [1, 1, 0]]).all()
    assert (level_matrix(5, 2, 3)[0] == 1).all()
    with pytest.raises(InputError, match=r"shape \(3,\) or \(2, 3\), not \(2,\)"):
        level_matrix(5, 2, 3, given=[True, False])


def test_given_frames_may_be_seen_under_noise():
    levels = level_matrix(4, 2, 3, [True, False, False], given_level=0.1)
    assert levels.dtype == np.float32 and (levels[..., 0] == np.float32(0.1)).all()
    np.testing.assert_array_equal(levels[..., 1:], level_matrix(4, 2, 2))
    with pytest.raises(InputError, match="a noise level lies in"):
        level_matrix(4, 2, 3, given_level=1.5)


def test_resampled_levels_go_back_up_and_down_between_the_nearest_levels_there_are():
    np.testing.assert_allclose(
        resampled(uniform_levels(5), 2), [1, 0.8, 0.6, 0.4, 0.8, 0.6, 0.4, 0.8, 0.6, 0.4, 0.2, 0]
    )
    falling = level_matrix(10, 1, 2, [True, False])
    twice = resampled(falling, 1, low=0.3, high=0.6)
    np.testing.assert_allclose(twice[:, 0, 1] * 10, [10, 9, 8, 7, 6, 5, 4, 3, 6, 5, 4, 3, 2, 1, 0])
    assert (twice[:, 0, 0] == 0).all() and twice.dtype == falling.dtype
    for levels in (
        resampled(falling, 0),
        resampled(uniform_levels(10, highest=0.5), 3)[:11],
        resampled(uniform_levels(1), 3),
    ):
        assert (np.diff(levels, axis=0) <= 0).all()
    with pytest.raises(InputError, match="0 times or more"):
        resampled(falling, -1)
