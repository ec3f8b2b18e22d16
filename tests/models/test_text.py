"""Captions to tokens to vectors."""

import contextlib
import time

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base import backend
from minivdit.base.errors import InputError
from minivdit.data.grammar import MAX_WORDS, VOCABULARY, most_words, vocabulary
from minivdit.data.words import LONGEST_CAPTION
from minivdit.models import TextEncoder, Tokenizer
from minivdit.models.blocks import CrossAttention
from minivdit.models.text import PAD, START, key_times
from minivdit.nn import Embedding, Linear, Module
from minivdit.nn.optim import AdamW


def test_words_become_numbers_and_come_back():
    tokenizer = Tokenizer()
    captions = ["a 3 moving right and a 7 moving up", "the digit five drifts down and left"]
    tokens = tokenizer.encode(captions)
    assert tokens.shape == (2, tokenizer.length) and tokens.dtype == np.int32
    assert (tokens[:, 0] == START).all()
    assert [tokenizer.decode(row) for row in tokens] == captions
    assert tokens[tokens > START].min() >= 2 and tokens.max() < len(tokenizer)


def test_every_known_word_has_a_number_of_its_own():
    tokenizer = Tokenizer(VOCABULARY)
    assert tokenizer.decode(range(2, len(tokenizer))) == " ".join(VOCABULARY)
    assert len(tokenizer) == len(VOCABULARY) + 2


def test_capitals_and_punctuation_do_not_matter():
    tokenizer = Tokenizer()
    assert np.array_equal(tokenizer.encode(["A 3, moving RIGHT."]), tokenizer.encode(["a 3 moving right"]))


def test_an_empty_caption_is_a_start_and_padding():
    for caption in ("", "   "):
        assert Tokenizer(("a", "b"), max_words=3).encode([caption]).tolist() == [[START, PAD, PAD, PAD]]


def test_an_unknown_word_names_the_nearest_known_ones():
    with pytest.raises(InputError, match=r"'rigth' is not a word.*nearest: right; try: a 3 moving right$") as caught:
        Tokenizer().encode(["a 3 moving right", "a 3 moving rigth"])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"'xyzzy'.*it knows: cat, dog$"):
        Tokenizer(["cat", "dog"]).encode(["xyzzy"])


def test_the_words_of_a_file_are_named_in_one_short_line_whatever_they_are():
    with pytest.raises(InputError) as caught:
        Tokenizer(["wörd", *(f"word{number}" for number in range(49_999))]).encode(["x" * 900])
    message = str(caught.value)
    assert message.isprintable() and len(message) < 600 and message.endswith("and 49,980 more")


def test_words_that_people_use_are_brought_to_those_that_were_learnt_in_no_other_language():
    tokens = Tokenizer().encode(["the digit 4 moving up and right"])
    assert np.array_equal(Tokenizer().encode(["Number \uff14, travelling NORTHEAST"]), tokens)
    some = ["digit", "left", "up", "4", "then", "a", "right", "to", "the", "0"]  # of the grammar's words, but not all
    for words in (some, some[::-1]):
        assert Tokenizer(some).decode(Tokenizer(some).encode([" ".join(words)])[0]) == " ".join(words)
    assert Tokenizer(["number", "travelling", "3"]).encode(["3 travelling number"]).tolist()[0][:4] == [START, 4, 3, 2]


@pytest.mark.parametrize("caption", [" " * 32_000 + "then", "," * 100_000, "a 3 moving right" * 100])
def test_a_caption_of_any_length_is_refused_at_once(caption):
    started = time.process_time()
    with pytest.raises(InputError, match="characters is too long; at most 1,000 fit"):
        Tokenizer().encode_over_time([caption], 4)
    for filling in (" ", ",", "then ", "right ", "a 3 and "):  # as long as may be
        with contextlib.suppress(InputError):
            Tokenizer().encode_over_time([filling * (LONGEST_CAPTION // len(filling))], 4)
    assert time.process_time() - started < 1


def test_colours_are_known_where_they_were_learnt():
    grey, coloured = Tokenizer(), Tokenizer(vocabulary(colours=True), most_words(colours=True))
    assert coloured.grammar and coloured.words[: len(grey.words)] == grey.words
    caption = "a red 3 moving right and a blue 7 moving up"
    assert coloured.decode(coloured.encode(["a crimson 3 moving right and a blue 7 moving up"])[0]) == caption
    with pytest.raises(InputError) as refused:
        grey.encode([caption])
    assert str(refused.value) == (
        "'red' asks for a colour; this model draws white digits (the weights `colour` draw colours); try: a 3 moving "
        "right and a 7 moving up"
    )
    with pytest.raises(InputError, match="'orange' asks for a colour that this model doesn't draw; it draws red, yel"):
        coloured.encode(["an orange 3 moving up"])
    with pytest.raises(InputError, match=r"striped.*; try: a red 3 moving up$"):
        coloured.encode(["a striped red 3 moving up"])


@pytest.mark.parametrize("max_words", [-5, 0, 10**9])
def test_a_length_that_no_caption_has_is_refused(max_words):
    with pytest.raises(InputError, match="max_words must lie between 1 and 1000"):
        Tokenizer(max_words=max_words)


def test_a_caption_that_is_too_long_is_refused_and_the_longest_fits():
    tokenizer = Tokenizer(["a"], max_words=4)
    assert tokenizer.encode(["a a a a"]).tolist() == [[START, 2, 2, 2, 2]]
    with pytest.raises(InputError, match="5 words; at most 4"):
        tokenizer.encode(["a a a a a"])
    longest = "the digit three is moving slowly upwards and to the right"
    longest = f"then {longest} while {longest}"
    assert len(longest.split()) == MAX_WORDS
    assert Tokenizer().decode(Tokenizer().encode([longest])[0]) == longest


def test_a_single_string_is_not_a_list_of_captions():
    with pytest.raises(TypeError, match="list"):
        Tokenizer().encode("a 3")


def encoder(depth=2, seed=0, randomise=lambda model: model):
    return randomise(TextEncoder(12, 16, depth, 2, np.random.default_rng(seed)))


@pytest.mark.parametrize("depth", [0, 2])
def test_padding_does_not_change_the_encoding(depth, randomise):
    model = encoder(depth, randomise=randomise)
    words = np.array([[1, 5, 3, 7], [1, 4, 2, 0]], np.int32)
    padded = np.pad(words, ((0, 0), (0, 6)))
    (short, short_mean), (long, long_mean) = model(words), model(padded)
    np.testing.assert_allclose(long.data[0, :4], short.data[0], atol=1e-5)
    np.testing.assert_allclose(long.data[1, :3], short.data[1, :3], atol=1e-5)
    np.testing.assert_allclose(long_mean.data, short_mean.data, atol=1e-5)
    # The mean is over the words only.
    np.testing.assert_allclose(short_mean.data[1], short.data[1, :3].mean(axis=0), atol=1e-5)
    assert short.shape == (2, 4, 16) and short_mean.shape == (2, 16)


def test_the_padding_words_vector_gets_no_gradient(randomise):
    model = encoder(randomise=randomise)
    tokens = np.array([[1, 5, 3, 0, 0]], np.int32)
    _, mean = model(tokens)
    (grad,) = ag.gradients(ag.square(mean).sum(), [model.embedding.table])
    assert not grad[PAD].any()
    assert grad[[1, 3, 5]].any(axis=1).all() and not grad[[2, 4]].any()


def test_the_order_of_words_matters(randomise):
    model = encoder(randomise=randomise)
    _, one = model(np.array([[1, 5, 3]], np.int32))
    _, other = model(np.array([[1, 3, 5]], np.int32))
    assert abs(one.data - other.data).max() > 1e-3


def test_words_see_each_other_through_the_blocks_only(randomise):
    for depth, reaches in ((0, False), (1, True)):
        model = encoder(depth, randomise=randomise)
        one, _ = model(np.array([[1, 5, 3]], np.int32))
        other, _ = model(np.array([[1, 5, 4]], np.int32))
        assert (abs(one.data - other.data)[0, :2].max() > 1e-3) == reaches


def test_each_caption_is_encoded_by_itself(randomise):
    model = encoder(randomise=randomise)
    tokens = np.array([[1, 5, 3, 7], [1, 4, 2, 0]], np.int32)
    together, _ = model(tokens)
    for row in range(2):
        alone, _ = model(tokens[row : row + 1])
        np.testing.assert_allclose(together.data[row], alone.data[0], atol=1e-5)


def test_captions_that_change_on_the_way_are_told_frame_by_frame():
    tokenizer = Tokenizer()
    plain = ["a 3 moving right", "a 7 moving up"]
    assert np.array_equal(tokenizer.encode_over_time(plain, 8), tokenizer.encode(plain))
    assert np.array_equal(tokenizer.encode_over_time(plain[0], 8), tokenizer.encode(plain[:1]))
    tokens = tokenizer.encode_over_time(["a 3 moving right, then up", "a 7 moving up"], 4)
    told = [[tokenizer.decode(row) for row in clip] for clip in tokens]
    assert told == [["a 3 moving right"] * 2 + ["then a 3 moving up"] * 2, ["a 7 moving up"] * 4]
    older = Tokenizer([word for word in tokenizer.words if word != "then"])  # weights from before there was the word
    tokens = older.encode_over_time(["a 3 moving right, then up"], 2)
    assert [older.decode(row) for row in tokens[0]] == ["a 3 moving right", "a 3 moving up"]
    three = tokenizer.encode_over_time(["a 3 moving right, then up, then left", "a 7 moving up, then down"], 8)
    told = [[tokenizer.decode(row).split()[-1] for row in clip] for clip in three]
    assert told == [["right"] * 3 + ["up"] * 3 + ["left"] * 2, ["up"] * 4 + ["down"] * 4]
    with pytest.raises(InputError, match="3 captions don't fit into 2 steps of time"):
        tokenizer.encode_over_time(["a 3 moving up, then right, then down"], 2)


@pytest.mark.parametrize(
    ("captions", "steps", "kept"),
    [
        (["a 3 moving right, then up"], 8, 2),
        (["a 3 moving right, then up"], 7, 7),
        (["a 3 moving right, then up", "a 7 moving up, then down, then left"], 12, 6),
        (["a 3 moving right, then right"], 8, 2),  # the second is told as what comes later
    ],
)
def test_no_more_captions_than_say_the_same(captions, steps, kept):
    tokenizer = Tokenizer()
    tokens = tokenizer.encode_over_time(captions, steps)
    few = tokenizer.fewest(tokens)
    assert few.shape[1] == kept and np.array_equal(few.repeat(steps // kept, axis=1), tokens)
    same = tokenizer.encode_over_time(["a 3 moving right"] * 2, 8)
    assert np.array_equal(tokenizer.fewest(same), same)
    assert np.array_equal(tokenizer.fewest(same[:, None].repeat(4, axis=1)), same)


@backend.blas_threads(1)  # of products this small, two threads take fifteen times as much of the processor
def share_bound(positions, seed=0, steps=150, width=32):
    """Which digit goes which way? How often it is told right, late in a short training on that question alone."""
    generator, ways = np.random.default_rng(seed), ("up", "down", "left", "right")
    tokenizer = Tokenizer(("a", "and", *"0123", *ways), max_words=8)

    class Reader(Module):
        def __init__(self):
            self.text = TextEncoder(len(tokenizer), width, 2, 2, generator, positions)
            self.digit = Embedding(4, width, generator)
            self.cross = CrossAttention(width, width, 2, generator)
            self.way = Linear(width, 4, generator)

        def forward(self, tokens, digits):
            words, _ = self.text(tokens)
            asked = self.digit(digits)
            return self.way(asked + self.cross(asked, words, key_times(tokens != PAD)))

    reader, right = Reader(), []
    optimizer = AdamW(reader.parameters(), 3e-3)
    for _ in range(steps):
        digits = np.array([generator.permutation(4)[:2] for _ in range(32)])
        asked = generator.integers(4, size=(32, 2))
        captions = [f"a {a} {ways[p]} and a {b} {ways[q]}" for (a, b), (p, q) in zip(digits, asked)]
        answer = reader(tokenizer.encode(captions), digits)
        right.append((answer.data.argmax(axis=-1) == asked).mean())
        found = ag.gradients(ag.cross_entropy(answer, asked), reader.parameters().values())
        optimizer.step(dict(zip(reader.parameters(), found)))
    return np.mean(right[-30:])


def test_a_caption_learns_to_bind_each_digit_to_its_own_way():
    """A bag of words is right 5 times in 8: it guesses between two ways, which may be the same one."""
    assert share_bound("rotary") > 0.95
    assert share_bound("sincos") < 0.75  # the reason why rotary is the default


def test_words_of_any_captions_can_be_learnt():
    tokenizer = Tokenizer.of(["A red ball, then 2 🔴", "a box", ""])
    assert tokenizer.words == ["2", "a", "ball", "box", "red", "then", "🔴"] and tokenizer.length == 1 + 6
    tokens = tokenizer.encode(["A BOX: 2 🔴!"])
    assert tokenizer.decode(tokens[0]) == "a box 2 🔴"
    with pytest.raises(InputError, match=r"'boxx' is not a word this model knows; nearest: box$"):
        tokenizer.encode(["a boxx"])
    with pytest.raises(InputError, match="has 7 words; at most 6 fit"):
        tokenizer.encode(["a a a a a a a"])
    nothing = Tokenizer.of(["", ""])
    assert nothing.encode([""]).tolist() == [[START, PAD]]
    with pytest.raises(InputError, match="this model knows no words, since it learnt from clips without captions"):
        nothing.encode(["a"])


def test_then_is_a_word_like_others_outside_of_the_grammar():
    tokenizer = Tokenizer.of(["it falls, then up"])
    np.testing.assert_array_equal(
        tokenizer.encode_over_time(["it falls, then up"], 4), tokenizer.encode(["it falls then up"])
    )
