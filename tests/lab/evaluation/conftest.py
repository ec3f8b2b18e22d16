"""Real clips of the built-in digits and what the shipped judge sees in them, made once for all tests here."""

import numpy as np
import pytest

from minivdit.data import CaptionedClips, digit_source
from minivdit.lab.evaluation import observe, read_captions


@pytest.fixture(scope="session")
def strokes():
    return digit_source("strokes", "test")


@pytest.fixture(scope="session")
def one_digit(strokes):
    """60 clips of one digit: 32x32, 8 frames, digits of 16 pixels."""
    return CaptionedClips(strokes, (32, 32), 8, 16, (1,), held_out="include").batch(np.random.default_rng(1), 60)


@pytest.fixture(scope="session")
def two_digits(strokes):
    """60 clips of two digits on a canvas that isn't square."""
    return CaptionedClips(strokes, (56, 72), 12, 20, (2,), held_out="include").batch(np.random.default_rng(2), 60)


@pytest.fixture(scope="session")
def seen(one_digit, two_digits):
    """For each set of clips its (Observation, CaptionTargets)."""

    def look(clips):
        targets = read_captions(clips.captions, clips.size)
        return observe(clips.video, clips.digit_size, targets.count), targets

    return {"one": look(one_digit), "two": look(two_digits)}
