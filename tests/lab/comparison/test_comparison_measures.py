"""Measures of clips whose answer is known: real ones, and real ones in which one thing was spoilt."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import HELD_OUT, USUAL_SPEEDS, parse
from minivdit.lab.comparison.drawing import LEVEL_BINS, validation_errors
from minivdit.lab.comparison.measures import COMPARED, ONE, figure, likeness, references
from minivdit.lab.comparison.prompts import choose_prompts, left_behind
from minivdit.lab.comparison.study import study_preset
from minivdit.lab.evaluation import Estimate
from minivdit.lab.evaluation.statistics import student_t, wilson
from minivdit.lab.pipeline.train import assemble
from minivdit.models import Autoencoder, Tokenizer, VideoDiT


@pytest.fixture(scope="module")
def data():
    return study_preset("quick", changes=["data.digits=strokes", "data.num_digits=1,2"]).data


@pytest.fixture(scope="module")
def prompts(data):
    return choose_prompts(data, 12)


@pytest.fixture(scope="module")
def scores(prompts):
    return references(prompts)


def figures(scores, prompts):
    return {name: figure(scores, name, prompts)[0] for name in COMPARED}


def test_the_same_prompts_every_time_and_of_every_kind(prompts, data):
    again = choose_prompts(data, 12)
    assert again.captions == prompts.captions and (again.real == prompts.real).all()
    asked = [parse(caption) for caption in prompts.captions]
    assert all(len(motions) == (2 if kind == "two" else 1) for motions, kind in zip(asked, prompts.kind))
    assert all(motion.speed == speed for motions, speed in zip(asked, prompts.speed) for motion in motions)
    held_out = {
        (m.digit, m.direction) in HELD_OUT for m, kind in zip((a[0] for a in asked), prompts.kind) if kind == "held_out"
    }
    assert held_out == {True} and not any(
        (m.digit, m.direction) in HELD_OUT for a, kind in zip(asked, prompts.kind) if kind != "held_out" for m in a
    )
    for speed in USUAL_SPEEDS:
        assert prompts.rows(["seen"], speed).sum() == prompts.rows(["held_out"], speed).sum() == 4
    assert not prompts.rows(["two"], "fast").any() and prompts.rows(["two"]).sum() == 12
    with pytest.raises(InputError, match="prompts must be a whole number from 1 upwards, not 0"):
        choose_prompts(data, 0)


def test_the_fastest_digit_leaves_its_patch_and_others_do_not(prompts):
    share = {speed: left_behind(prompts.real[prompts.rows(ONE, speed)], (8, 8)) for speed in USUAL_SPEEDS}
    assert share["slow"] < 0.1 < share["normal"] < 0.4 < share["fast"]
    video = np.zeros((1, 3, 16, 16, 1), np.float32)
    video[0, [0, 1], 2, 2] = video[0, 2, 2, 10] = 1  # stays in its patch of 8, then moves into the next one
    assert left_behind(video, (8, 8)) == 0.5


def test_real_clips_are_the_ceiling_and_every_floor_lies_below(scores, prompts):
    real = figures(scores["real"], prompts)
    for name, measure in COMPARED.items():
        floor = figure(scores[measure.floor], name, prompts)[0]
        if measure.share:
            assert real[name] >= 0.9 and (np.isnan(floor) or floor < real[name] - 0.3), name
    assert real["appearance_change"] < 0.05 < figure(scores["recombined"], "appearance_change", prompts)[0]
    assert real["travel_ratio"] == pytest.approx(1, abs=0.05)


def test_a_frozen_clip_wins_identity_and_fails_all_else(scores, prompts):
    frozen = figures(scores["frozen"], prompts)
    assert frozen["one_class"] == 1 and frozen["appearance_change"] < 1e-3
    assert frozen["travel_ratio"] == frozen["on_path"] == frozen["direction"] == frozen["obeys"] == frozen["bound"] == 0
    assert np.isnan(frozen["bounces"]) and np.isnan(frozen["permanence"])


def test_the_distance_of_clips_sees_what_that_of_frames_cannot(scores):
    frames, clips = (
        {name: scores[name].distances[key] for name in scores} for key in ("frechet_frames", "frechet_clips")
    )
    assert frames["shuffled frames"] == pytest.approx(frames["real"]) == pytest.approx(frames["recombined"])
    assert clips["shuffled frames"] > 1.5 * clips["real"] and clips["recombined"] > 1.5 * clips["real"]


def test_a_digit_that_jumps_breaks_the_law_and_one_that_changes_class_its_identity(prompts):
    rows = np.flatnonzero(prompts.rows(["seen"], "slow"))
    jumps, changes = prompts.real.copy(), prompts.real.copy()
    jumps[rows, 4:] = np.roll(prompts.real[rows, 4:], 9, axis=3)
    changes[rows, 4:] = prompts.real[np.roll(rows, 1), 4:]  # the next prompt's clip: another digit, elsewhere
    real = prompts.scorer(prompts.real)
    assert figure(real, "on_path", prompts, "slow")[0] == 1
    jumped, changed = prompts.scorer(jumps), prompts.scorer(changes)
    assert jumped.values["on_path"][rows].mean() < 0.3 and jumped.values["one_class"][rows].mean() > 0.7
    assert changed.values["one_class"][rows].mean() < 0.3 and changed.values["appearance_change"][rows].mean() > 0.15
    # The others are untouched.
    assert figure(jumped, "on_path", prompts, "fast") == figure(real, "on_path", prompts, "fast")
    assert figure(changed, "obeys", prompts, "slow")[1] == 4  # clips behind the figure


def test_a_digit_that_is_lost_does_not_win_by_it(prompts):
    one, clips = prompts.rows(ONE), [prompts.real.copy() for _ in range(3)]
    clips[0][:, 2:] = clips[1][:, :3] = clips[2][:, :-1] = 0
    gone, late, last = (prompts.scorer(video) for video in clips)
    assert figure(gone, "appearance_change", prompts)[0] == pytest.approx(6 / 7, abs=0.01)
    assert (likeness(gone, prompts)[2:] == 0).all()
    assert (gone.values["likeness"][one] > 0.9).all()  # evaluation's own measure sees nothing of it
    assert figure(late, "appearance_change", prompts)[0] < 0.05  # before it was first seen it isn't lost
    assert figure(last, "appearance_change", prompts)[1] == 0 and likeness(last, prompts)[-1] == pytest.approx(1)


def test_likeness_starts_at_one(scores, prompts):
    curve = likeness(scores["real"], prompts)
    assert curve.shape == (8,) and curve[0] == pytest.approx(1) and (curve > 0.9).all()
    assert likeness(scores["recombined"], prompts)[1:].max() < 0.9


def test_the_validation_loss_of_a_fresh_network_is_that_of_answering_nothing():
    preset = study_preset("tiny", changes=["data.digits=strokes"])
    generator, tokenizer = np.random.default_rng(0), Tokenizer()
    network = VideoDiT(preset.transformer, len(tokenizer), generator)
    model = assemble(preset, network, Autoencoder(preset.autoencoder, generator), tokenizer)
    errors, nothing = validation_errors(model, preset.data)
    assert errors.shape == nothing.shape == (3, LEVEL_BINS)
    np.testing.assert_allclose(errors, nothing, rtol=1e-6)
    network.patch_out.bias.data += 0.5  # now it answers something
    changed, same = validation_errors(model, preset.data)
    np.testing.assert_array_equal(same, nothing)
    assert (changed != errors).all()


def test_intervals_over_seeds():
    assert [student_t(n) for n in (1, 2, 4)] == pytest.approx([12.706, 4.303, 2.776], abs=6e-4)
    assert student_t(9) == pytest.approx(2.262, abs=6e-4) and student_t(30) == pytest.approx(2.042, abs=6e-4)
    three = Estimate.over_runs([0.5, 0.7, 0.9, np.nan])
    assert three.n == 3 and three.mean == pytest.approx(0.7)
    assert three.high - 0.7 == pytest.approx(student_t(2) * 0.2 / np.sqrt(3)) == pytest.approx(0.7 - three.low)
    one, none = Estimate.over_runs([0.5]), Estimate.over_runs([])
    assert one.mean == 0.5 and one.n == 1 and np.isnan([one.low, one.high, none.mean]).all() and none.n == 0
    assert wilson(0.0, 200) == pytest.approx((0, 0.0188), abs=1e-3)
