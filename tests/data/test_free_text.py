"""Captions of one's own become words: of any script, with numbers and signs, none lost and none glued together."""

import pytest

from minivdit.base.errors import InputError
from minivdit.data.free_text import count_words, read_words
from minivdit.data.words import split_words


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("", []),
        ("  A Ball, falling!\n", ["a", "ball", "falling"]),
        ("route_66 at 3.5 or -2", ["route", "66", "at", "3", "point", "5", "or", "minus", "2"]),
        ("a 🔴ball", ["a", "🔴", "ball"]),
        ("👍🏽❤️", ["👍", "🏽", "❤"]),
        ("naïve CAFÉ", ["naïve", "café"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowels are marks, and belong to their words
        ("球が落ちる", list("球が落ちる")),
        ("공이 떨어진다", ["공이", "떨어진다"]),
        ("\uff13 balls at 20°", ["3", "balls", "at", "20", "°"]),
    ],
)
def test_a_caption_becomes_words(caption, words):
    assert read_words(caption) == words
    assert read_words(" ".join(words)) == words  # so captions can be kept as words and read again


def test_plain_captions_are_read_as_those_of_the_grammar():
    for caption in ("a 3 moving right", "What's 4.5 (or -7)?", "x_y;z"):
        assert read_words(caption) == split_words(caption)


def test_what_is_no_text_is_refused():
    for caption, expected in (("\ud83d", "aren't text"), (3, "a caption is text"), ("a" * 1001, "too long")):
        with pytest.raises(InputError, match=expected):
            read_words(caption)


def test_words_are_counted_once_a_caption():
    assert count_words([["a", "a", "b"], ["a"], []]) == {"a": 2, "b": 1}
