"""Worlds: real clips pass all measures, every spoilt clip fails one, and paces are what they are said to be."""

import numpy as np
import pytest

from minivdit.lab.study import WORLDS
from minivdit.lab.study.ball import FRAMES, PACES, Ball, look_at, rolling, straight_line
from minivdit.lab.study.digits import Digits
from minivdit.lab.study.worlds import left_behind
from minivdit.training import presets


@pytest.fixture(scope="module", params=WORLDS)
def world(request):
    if request.param == "ball":
        return Ball()
    digits = Digits(digits="strokes", progress=False)
    digits.preset = presets.override(digits.preset, ["text_training.steps=2", "text_training.warmup=1"])
    return digits


def judged(world, pace):
    """{reference: {measure: mean}}."""
    return {
        name: {measure: np.nanmean(values) for measure, values in world.judge(video, pace).items()}
        for name, video in world.references(pace).items()
    }


def test_real_clips_pass_and_each_spoilt_one_fails_a_measure(world):
    for pace in world.paces:
        found = judged(world, pace)
        assert list(found["real"]) == list(world.measures) and min(found["real"].values()) >= 0.9, found
        for name in ("frames of other clips", "frames shuffled", "frozen"):
            assert min(found[name].values()) < 0.35, (pace, name, found[name])


def test_only_the_fast_leave_their_patch(world):
    share = {pace: left_behind(world.real(pace), world.patch) for pace in world.paces}
    assert share["slow"] < 0.2 < 0.5 < share["fast"]
    assert world.leaves_its_patch("fast") and not world.leaves_its_patch("slow")


def test_patterns_begin_alike_and_cost_differently(world):
    tasks = [world.task(name, 3) for name in ("joint", "framewise", "perframe")]
    first, *others = (task.model.state_dict() for task in tasks)
    for other in others:
        assert first.keys() == other.keys() and all((first[name] == other[name]).all() for name in first)
    assert world.cost("joint") > world.cost("framewise")
    assert world.training.final_fraction == 1  # else one look would be fairer than another


def test_clips_are_drawn_from_the_same_noise(monkeypatch):
    ball = Ball()
    monkeypatch.setattr(Ball, "clips", 3)
    one, same, other = (ball.draw(ball.task(name, 0), "fast") for name in ("joint", "joint", "perframe"))
    assert one.shape == (3, 6, 4, 20, 3) and (one == same).all() and one.min() >= 0 and one.max() <= 1
    assert (other == one).all()  # fresh networks answer nothing, so only the noise tells


def test_a_share_of_patches_is_left_behind():
    video = np.zeros((1, 3, 16, 16, 1), np.float32)
    video[0, [0, 1], 2, 2] = video[0, 2, 2, 10] = 1  # stays in its patch of 8, then moves into the next one
    assert left_behind(video, (8, 8)) == 0.5


def test_the_ball_is_where_and_what_it_is_said_to_be():
    for pace in PACES.values():
        video, hue = rolling(np.random.default_rng(0), np.full(20, pace))
        found, x, seen = look_at(video)
        off, speed = straight_line(x)
        np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * hue[:, None]).repeat(FRAMES, 1), atol=2e-3)
        assert seen.all() and off.max() < 0.1 and speed == pytest.approx(pace, abs=0.05)


def test_a_lost_ball_keeps_neither_colour_nor_line():
    ball = Ball()
    video = ball.real("fast")
    video[:, 3:] = 0
    found = ball.judge(video, "fast")
    assert found["colour"] == pytest.approx(2 / 5) and not found["line"].any()
    assert not ball.judge(video * 0, "fast")["colour"].any()
