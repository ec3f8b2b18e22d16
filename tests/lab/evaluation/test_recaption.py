"""Captions that follow a clip: after a bounce they say the new direction, and what isn't seen stays as it was asked."""

import numpy as np
import pytest

from minivdit.data import DIRECTIONS, CaptionedClips, digit_source, parse
from minivdit.lab.evaluation import going_on
from minivdit.lab.evaluation.bouncing_lines import compass

NAMES = list(DIRECTIONS)


@pytest.fixture(scope="module")
def long_clips():
    """Real clips long enough that most digits bounce, two of three with one digit."""
    maker = CaptionedClips(digit_source("strokes", "test"), (64, 64), 24, 28, num_digits=(1, 1, 2), synonyms=False)
    return maker.batch(np.random.default_rng(0), 36)


def asked_and_told(clips, first, last, before=0):
    """(direction when the window began, direction told, direction at the beginning) of all digits."""
    found = []
    for row, caption in enumerate(clips.captions):
        follow = going_on(caption, 28, before=before)
        told = parse(follow(clips.video[row : row + 1, first:last])[0])
        for place, (motion, now) in enumerate(zip(clips.labels[row], told)):
            track = clips.tracks[row, place]
            true = NAMES[int(compass(track[first - before + 1] - track[first - before]))]
            assert (now.digit, now.speed) == (motion.digit, motion.speed)
            found.append((true, now.direction, motion.direction))
    return np.array(found)


def test_after_a_bounce_the_caption_says_the_new_direction(long_clips):
    true, told, asked = asked_and_told(long_clips, 16, 24).T
    assert np.mean(true == asked) < 0.5  # the caption of the beginning is false by then
    assert np.mean(true == told) > 0.9


@pytest.mark.parametrize("first", [8, 16])
def test_backwards_the_caption_says_how_the_part_before_begins(long_clips, first):
    true, told, _ = asked_and_told(long_clips, first, first + 8, before=8).T
    assert np.mean(true == told) > 0.9


def test_what_is_not_seen_stays_as_it_was_asked():
    nothing = np.zeros((2, 8, 64, 64, 1), np.float32)
    prompt = "a 3 moving right and a 7 moving slowly up"
    assert going_on(prompt, 28)(nothing) == [prompt] * 2


def test_other_prompts_are_left_alone_and_each_clip_has_its_own(long_clips):
    captions = ["", "a 3 moving right, then up", *long_clips.captions[2:6]]
    window = long_clips.video[:6, 16:24]
    told = going_on(captions, 28)(window)
    assert told[:2] == captions[:2] and len(told) == 6
    alone = [going_on(caption, 28)(window[row : row + 1])[0] for row, caption in enumerate(captions)]
    assert told == alone
