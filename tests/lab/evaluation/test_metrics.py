"""The metrics reach their ceiling on real clips, and each control brings down the ones it is meant to."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import DigitMotion, describe
from minivdit.lab.evaluation import (
    Estimate,
    frozen,
    identity_metrics,
    observe,
    prompt_metrics,
    read_captions,
    recombined,
    shuffled_captions,
    shuffled_frames,
    track,
    windows,
)
from minivdit.lab.evaluation.metrics import motion_metrics
from minivdit.lab.evaluation.observation import most_seen


def means(observation, targets):
    values = prompt_metrics(observation, targets) | identity_metrics(observation) | motion_metrics(observation)
    return {name: float(np.nanmean(value)) for name, value in values.items()}


@pytest.mark.parametrize("which", ["one", "two"])
def test_real_clips_reach_the_ceiling(seen, which):
    observation, targets = seen[which]
    mean = means(observation, targets)
    for name in ("digit_frames", "digit", "direction", "speed", "number", "one_class", "on_path"):
        assert mean[name] > 0.95, name
    assert mean["obeys"] > 0.93
    assert mean["likeness"] > 0.93 and abs(mean["drift"]) < 0.02
    assert mean["residual"] < 0.3 and mean["travel"] > 0.4 * observation.digit_size


def test_values_are_one_a_clip(seen):
    observation, targets = seen["two"]
    for values in (prompt_metrics(observation, targets), identity_metrics(observation), motion_metrics(observation)):
        assert all(value.shape == (60,) for value in values.values())


@pytest.mark.parametrize("which", ["one", "two"])
def test_other_captions_fail_the_prompt(seen, which, one_digit, two_digits):
    observation, _ = seen[which]
    captions = {"one": one_digit, "two": two_digits}[which].captions
    other = read_captions(shuffled_captions(captions, np.random.default_rng(0)), observation.canvas)
    values = prompt_metrics(observation, other)
    assert values["digit"].mean() < 0.4 and values["direction"].mean() < 0.45 and values["obeys"].mean() < 0.1


def test_swapped_digits_fail_only_the_binding(seen, two_digits):
    """'a 3 right and a 7 up' for a clip of a 3 going up and a 7 going right: all is there, nothing is right."""
    observation, targets = seen["two"]
    swapped = [
        describe([DigitMotion(b.digit, a.direction, a.speed), DigitMotion(a.digit, b.direction, b.speed)])
        for a, b in two_digits.labels
    ]
    different = np.array([a.direction != b.direction for a, b in two_digits.labels])
    assert different.sum() > 40
    asked = targets, read_captions(swapped, observation.canvas)
    before, after = (prompt_metrics(observation, each) for each in asked)
    assert after["obeys"][different].max() == 0 and before["obeys"][different].mean() > 0.9
    for name in ("digit", "digit_frames", "direction"):
        np.testing.assert_array_equal(after[name], before[name])


def test_the_order_of_the_clauses_does_not_matter(seen, two_digits):
    observation, targets = seen["two"]
    turned = read_captions([describe(motions[::-1]) for motions in two_digits.labels], observation.canvas)
    before, after = prompt_metrics(observation, targets), prompt_metrics(observation, turned)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, err_msg=name)


def test_a_frozen_clip_wins_identity_and_fails_motion(one_digit):
    observation = observe(frozen(one_digit.video), one_digit.digit_size, 1)
    mean = means(observation, read_captions(one_digit.captions, one_digit.size))
    assert mean["one_class"] == 1 and mean["likeness"] > 0.999 and mean["digit"] > 0.95
    assert mean["on_path"] == mean["direction"] == mean["obeys"] == mean["speed"] == 0
    assert mean["travel"] < 0.5


def test_shuffled_frames_fail_motion_and_keep_identity(one_digit, seen):
    observation = observe(shuffled_frames(one_digit.video, np.random.default_rng(0)), one_digit.digit_size, 1)
    mean, real = means(observation, seen["one"][1]), means(*seen["one"])
    assert mean["one_class"] > 0.9 and mean["digit_frames"] == pytest.approx(real["digit_frames"])
    assert mean["on_path"] < 0.2 and mean["direction"] < 0.3 and mean["residual"] > 10 * real["residual"]


def test_recombined_clips_fail_identity(two_digits, seen):
    observation = observe(recombined(two_digits.video, np.random.default_rng(0)), two_digits.digit_size, 2)
    mean, real = means(observation, seen["two"][1]), means(*seen["two"])
    assert mean["one_class"] < 0.05 and mean["likeness"] < real["likeness"] - 0.3
    assert mean["on_path"] < 0.05 and mean["obeys"] < 0.05


def test_a_digit_that_changes_halfway_is_caught(strokes, one_digit):
    """The same motion, another digit from frame 4 on: motion stays, identity breaks, the picture drifts."""
    generator = np.random.default_rng(0)
    video = one_digit.video.copy()
    changed = one_digit.video[:, :, ::-1, ::-1][generator.permutation(60)]  # upside down and of other clips
    crops = windows(changed, track(changed, 16).positions, 16, 16)[:, 0, 0]
    for clip, crop, place in zip(video, crops, one_digit.tracks[:, 0]):
        for frame in range(4, 8):
            y, x = np.clip(np.rint(place[frame] - 7.5).astype(int), 0, 16)
            clip[frame] = 0
            clip[frame, y : y + 16, x : x + 16, 0] = crop
    identity = identity_metrics(observe(video, 16, 1))
    assert identity["one_class"].mean() < 0.4 and identity["drift"].mean() > 0.2


def test_nothing_to_see_is_all_wrong_and_no_crash():
    targets = read_captions(["a 3 moving right", "a 1 moving up and a 2 moving down"], (32, 32))
    observation = observe(np.zeros((2, 5, 32, 32, 1), np.float32), 16, targets.count)
    prompt, identity = prompt_metrics(observation, targets), identity_metrics(observation)
    motion = motion_metrics(observation)
    assert all((value == 0).all() for value in prompt.values())
    assert (identity["one_class"] == 0).all() and np.isnan(identity["likeness"]).all()
    assert (motion["on_path"] == 0).all() and (motion["travel"] == 0).all() and np.isnan(motion["residual"]).all()
    assert (most_seen(observation) == -1).all()


def test_a_caption_of_two_on_a_clip_of_one_is_at_most_half_right(seen, one_digit):
    observation, _ = seen["one"]
    doubled = [f"{describe(m)} and a {(m[0].digit + 1) % 10} moving {m[0].direction}" for m in one_digit.labels]
    values = prompt_metrics(observation, read_captions(doubled, observation.canvas))
    assert values["digit"].max() == values["direction"].max() == 0.5
    assert values["obeys"].max() == 0 and values["number"].max() == 0


def test_captions_as_arrays():
    targets = read_captions(["a 3 slowly moving up", "a 1 moving right and a 2 moving down and left fast"], (32, 64))
    assert targets.digit.tolist() == [[3, -1], [1, 2]] and targets.count.tolist() == [1, 2]
    assert targets.speed[1, 1] == pytest.approx(2.1) and np.isnan(targets.speed[0, 1])
    with pytest.raises(InputError, match="no captions"):
        read_captions([], (32, 32))


def test_intervals():
    none, half = Estimate.share(np.zeros(200)), Estimate.share(np.arange(200) % 2)
    assert none.mean == none.low == 0 and none.high == pytest.approx(0.0188, abs=1e-3)
    assert (half.low, half.high) == pytest.approx((0.4314, 0.5686), abs=1e-3)
    values = np.random.default_rng(0).normal(5, 2, 400)
    average = Estimate.average(np.append(values, np.nan))
    assert average.n == 400 and average.high - average.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.1)
    assert average.low < 5 < average.high
    assert Estimate.share([np.nan]).n == 0 and Estimate.average([]).n == 0
    rounded = Estimate.share(np.full(24, 1 + 1e-7))  # correlations of equal pictures
    assert rounded.low == pytest.approx(0.862, abs=1e-3) and rounded.high == 1
