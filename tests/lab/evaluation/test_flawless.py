"""Real clips obey and are flawless; clips spoilt in a way that a person sees at once aren't."""

import pytest

from minivdit.data import describe
from minivdit.lab.evaluation import observe, prompt_metrics, read_captions

from .planted import SETTINGS, Planted

ONE = {  # spoilt clips of one digit: the measure made for them
    "gone_early": "obeys",
    "wrong_after_a_while": "obeys",
    "specks": "obeys",
    "detached": "obeys",
    "extra_digit": "obeys",
    "frozen": "obeys",
    "recombined": "obeys",
    "another_writer": "flawless",
    "ghost": "flawless",
    "slowed": "flawless",
    "stuttering": "flawless",
    "shuffled": "flawless",
}
TWO = ONE | {"one_missing": "obeys", "ways_swapped": "obeys"}
for name in ("gone_early", "wrong_after_a_while", "another_writer", "detached", "extra_digit"):
    del TWO[name]  # made for clips of one digit

# Of 16 pixels, digits of two writers may look alike, and a random order of eight frames may be the right one.
LET_PASS = {"64x64": 0.05, "32x32": 0.15}


@pytest.fixture(scope="module")
def planted(strokes):
    return {(setting, digits): Planted(strokes, setting, digits, 24) for setting in SETTINGS for digits in (1, 2)}


def scores(clips, video, rows=..., captions=None):
    targets = read_captions(captions or clips.captions, clips.size)
    values = prompt_metrics(observe(video, clips.digit_size, targets.count), targets)
    return {name: values[name][rows].mean() for name in ("obeys", "flawless")}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("digits", "obeys", "flawless"), [(1, 0.97, 0.97), (2, 0.9, 0.8)])
def test_real_clips_pass(planted, setting, digits, obeys, flawless):
    real = planted[setting, digits]
    found = scores(real.clips, real.real())
    assert found["obeys"] >= obeys and found["flawless"] >= flawless


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_bar_is_no_1(planted, setting):
    bars = planted[setting, 1]
    ones = [describe([motion._replace(digit=1)]) for (motion,) in bars.clips.labels]
    assert scores(bars.clips, bars.redrawn(bars.drawn_as(0 * bars.asked + 1)), captions=ones)["obeys"] >= 0.95
    assert scores(bars.clips, bars.spoilt("bar"), captions=ones) == {"obeys": 0, "flawless": 0}


def test_what_shows_where_two_digits_touch_counts(planted):
    both = planted["64x64", 2]
    rows = (both.touching().mean(1) > 0.2) & (both.touching().mean(1) < 0.7)
    assert rows.sum() >= 4
    assert scores(both.clips, both.real(), rows)["flawless"] >= 0.7
    assert scores(both.clips, both.spoilt("muddled"), rows)["flawless"] <= 0.1


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("way", ONE)
def test_a_spoilt_clip_of_one_digit_fails(planted, setting, way):
    clips = planted[setting, 1]
    found = scores(clips.clips, clips.spoilt(way))
    assert found[ONE[way]] <= LET_PASS[setting] and found["flawless"] <= LET_PASS[setting]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("way", TWO)
def test_a_spoilt_clip_of_two_digits_fails(planted, setting, way):
    clips = planted[setting, 2]
    found = scores(clips.clips, clips.spoilt(way))
    assert found[TWO[way]] <= LET_PASS[setting] and found["flawless"] <= LET_PASS[setting]
