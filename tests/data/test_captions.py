"""The grammar: what describe says, parse reads back, and anything else is refused with a hint."""

import itertools

import numpy as np
import pytest

from minivdit.data import DIRECTIONS, MAX_WORDS, SPEEDS, VOCABULARY, DigitMotion, describe, parse, split_words
from minivdit.data import captions as grammar
from minivdit.data.captions import over_time
from minivdit.errors import InputError

ALL = [DigitMotion(*motion) for motion in itertools.product(range(10), DIRECTIONS, SPEEDS)]


def test_canonical_captions():
    assert describe([DigitMotion(3, "right")]) == "a 3 moving right"
    assert describe([(3, "right"), (7, "up", "normal")]) == "a 3 moving right and a 7 moving up"
    assert describe([(8, "down and left", "slow")]) == "an 8 moving slowly down and left"


@pytest.mark.parametrize(
    "caption, motions",
    [
        ("a 3 moving right and a 7 moving up", [(3, "right", "normal"), (7, "up", "normal")]),
        ("the digit five drifts down and left", [(5, "down and left", "normal")]),
        ("The digit FIVE is quickly moving up, while an 8 floats to the left slowly.",
         [(5, "up", "fast"), (8, "left", "slow")]),
        ("a one going up and to the right and the two going downwards fast",
         [(1, "up and right", "normal"), (2, "down", "fast")]),
        ("a 3 moving up and the 7 moving right", [(3, "up", "normal"), (7, "right", "normal")]),
    ],
)  # fmt: skip
def test_sentences_are_understood(caption, motions):
    assert parse(caption) == motions


def test_parse_undoes_describe_for_everything_that_can_be_said():
    generator = np.random.default_rng(0)
    for motion in ALL:
        assert parse(describe([motion])) == [motion]
        for _ in range(8):
            assert parse(describe([motion], generator)) == [motion]
    for _ in range(2000):
        pair = [ALL[i] for i in generator.integers(len(ALL), size=2)]
        assert parse(describe(pair)) == pair
        assert parse(describe(pair, generator)) == pair


def test_every_word_is_used_and_known_and_the_longest_caption_is_max_words():
    generator = np.random.default_rng(1)
    pairs = [[ALL[i] for i in picks] for picks in generator.integers(len(ALL), size=(5000, 2))]
    said = [split_words(describe(pair, generator)) for pair in pairs]
    assert {word for words in said for word in words} | {"then"} == set(VOCABULARY)
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert max(map(len, said)) < MAX_WORDS
    longest = "the digit three is moving slowly upwards and to the right"
    assert len(parse(f"{longest} while {longest}")) == 2
    assert len(split_words(f"then {longest} while {longest}")) == MAX_WORDS


def test_synonyms_are_varied_and_come_from_the_generator():
    motion = [DigitMotion(4, "up and left", "fast")]
    said = [describe(motion, np.random.default_rng(seed)) for seed in range(200)]
    assert len(set(said)) > 100
    assert said == [describe(motion, np.random.default_rng(seed)) for seed in range(200)]
    assert not any("fast moving" in caption for caption in said)


def test_the_vocabulary_keeps_its_order():
    """Trained weights know words by their place: a change here needs new weights."""
    assert " ".join(VOCABULARY) == (
        "a an the digit 0 1 2 3 4 5 6 7 8 9 zero one two three four five six seven eight nine is moving moves "
        "drifting drifts going goes sliding slides floating floats up down right left upwards downwards to "
        "slowly quickly fast and while then"
    )


def test_split_words():
    assert split_words(" A 3, moving UP-and right!\n") == ["a", "3", "moving", "up", "and", "right"]
    assert split_words("") == []
    with pytest.raises(InputError, match="a caption is text"):
        split_words(3)


@pytest.mark.parametrize(
    "caption, message",
    [
        ("a 3 moving lefft", "'lefft' is not a word this model knows; nearest: left"),
        ("a thre moving up", "nearest: three"),
        ("a 12 moving up", "'12' is not a word"),
        ("a cat moving up", "'cat' is not a word"),
        ("a 3 moving 上", "'上' is not a word this model knows; it knows: a, "),
        ("", "at the start the caption has nothing more; expected 'a', 'an' or 'the'"),
        ("3 moving up", "at the start the caption has '3'"),
        ("a moving up", "after 'a' the caption has 'moving'; expected a digit"),
        ("a 3", "expected a verb"),
        ("a 3 moving", "after 'a 3 moving' the caption has nothing more; expected a direction: right, left"),
        ("a 3 moving slowly", "expected a direction"),
        ("a 3 moving left and up", "after 'a 3 moving left and' the caption has 'up'"),
        ("a 3 moving up and to left", "expected 'the right' or 'the left'"),
        ("a 3 moving up and", "expected 'a', 'an' or 'the'"),
        ("a 3 slowly moving up slowly", "after 'a 3 slowly moving up' the caption has 'slowly'"),
        ("a 3 moving up a 4 moving down", "after 'a 3 moving up' the caption has 'a'; expected 'and' or 'while'"),
        ("a 1 moving up and a 2 moving up and a 3 moving up", "one or two digits"),
    ],
)
def test_errors_are_one_line_and_point_at_the_place(caption, message):
    with pytest.raises(InputError) as caught:
        parse(caption)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "motions", [[], [(1, "up")] * 3, [(10, "up")], [(1, "sideways")], [(1, "up", "warp")], [(1, "right and up")]]
)
def test_what_cannot_be_said_is_refused(motions):
    with pytest.raises(InputError):
        describe(motions)


def test_directions_are_a_compass_with_y_downwards():
    assert DIRECTIONS["up"] == (-1, 0) and DIRECTIONS["down and right"] == (1, 1)
    for name, (dy, dx) in DIRECTIONS.items():
        words = [*{-1: ["up"], 0: [], 1: ["down"]}[dy], *{-1: ["left"], 0: [], 1: ["right"]}[dx]]
        assert name == " and ".join(words)
    assert set(grammar.ADVERBS) == set(SPEEDS)


@pytest.mark.parametrize(
    ("caption", "parts"),
    [
        ("a 3 moving right", ["a 3 moving right"]),
        ("", [""]),
        ("A 3 moving right, then a 7 moving up", ["A 3 moving right", "a 7 moving up"]),
        ("a 3 moving quickly right then up", ["a 3 moving quickly right", "a 3 moving quickly up"]),
        (
            "the digit two drifts down; then up and to the left THEN to the right",
            ["the digit two drifts down", "a 2 moving up and left", "a 2 moving right"],
        ),
    ],
)
def test_captions_that_follow_one_another(caption, parts):
    assert over_time(caption) == parts


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("a 3 moving right then", "nothing on one side of 'then'"),
        ("then up", "nothing on one side of 'then'"),
        ("a 3 moving right and a 7 moving up then down", "doesn't say which of two digits"),
        ("moving 3 a then up", "at the start the caption has 'moving'"),
        ("a 3 moving right then up down", "expected 'and' or 'while'"),
    ],
)
def test_parts_that_are_missing(caption, message):
    with pytest.raises(InputError, match=message):
        over_time(caption)
