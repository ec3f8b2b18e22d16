"""Real clips obey and are flawless; clips spoilt in a way that a person sees at once aren't."""

import pytest

from minivdit.evaluation import prompt_metrics, read_captions, watch

from .planted import SETTINGS, Planted

ONE = {  # spoilt clips of one digit: the measure made for them
    "gone_early": "obeys",
    "wrong_after_a_while": "obeys",
    "specks": "obeys",
    "detached": "obeys",
    "extra_digit": "obeys",
    "bar": "obeys",
    "frozen": "obeys",
    "recombined": "obeys",
    "another_writer": "flawless",
    "ghost": "flawless",
    "slowed": "flawless",
    "stuttering": "flawless",
    "shuffled": "flawless",
}
TWO = ONE | {"one_missing": "obeys", "ways_swapped": "obeys"}
for name in ("gone_early", "wrong_after_a_while", "another_writer", "detached", "extra_digit", "bar"):
    del TWO[name]  # made for clips of one digit


@pytest.fixture(scope="module")
def planted(strokes):
    return {(setting, digits): Planted(strokes, setting, digits, 40) for setting in SETTINGS for digits in (1, 2)}


def marks(clips, video):
    wishes = read_captions(clips.captions, clips.size)
    values = prompt_metrics(watch(video, clips.digit_size, wishes.count), wishes)
    return {name: values[name].mean() for name in ("obeys", "flawless")}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("digits", "obeys", "flawless"), [(1, 0.97, 0.97), (2, 0.9, 0.8)])
def test_real_clips_pass(planted, setting, digits, obeys, flawless):
    real = planted[setting, digits]
    found = marks(real.clips, real.real())
    assert found["obeys"] >= obeys and found["flawless"] >= flawless


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("way", ONE)
def test_a_spoilt_clip_of_one_digit_fails(planted, setting, way):
    spoilt = planted[setting, 1]
    found = marks(spoilt.clips, getattr(spoilt, way)())
    assert found[ONE[way]] <= 0.05 and found["flawless"] <= 0.05


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("way", TWO)
def test_a_spoilt_clip_of_two_digits_fails(planted, setting, way):
    spoilt = planted[setting, 2]
    found = marks(spoilt.clips, getattr(spoilt, way)())
    assert found[TWO[way]] <= 0.05 and found["flawless"] <= 0.05
