"""Captions of fields: what they say of a clip, what they may say, and which weights know them."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import FIELDS, CaptionedClips, DigitMotion, digit_source, fields_of, in_fields, parse, read_fields
from minivdit.data.captions import asks_for_digits
from minivdit.data.fields import is_fields, place_of
from minivdit.data.grammar import MAX_WORDS, VERY, vocabulary
from minivdit.data.words import plain_words, split_words
from minivdit.lab.cli.caption_notes import what_is_left_open
from minivdit.models import Tokenizer
from minivdit.training import presets, stages

WHOLE = "count: one, digit: 3, start: upper left, direction: right, speed: fast, later: up, later: left"
TWO = (
    "count: two, digit: 3, start: upper left, direction: up, speed: slow, digit: 7, start: lower right, direction: left"
)


def made(count=60, **options):
    options = {"size": (32, 48), "num_frames": 9, "digit_size": 16, "structured": 1.0, **options}
    return CaptionedClips(digit_source("strokes"), **options).batch(np.random.default_rng(0), count)


def test_a_caption_says_what_its_clip_shows():
    clips = made(turning=0.5, turns=(1, 2), field_dropout=0.0)
    for caption, motions, tracks in zip(clips.captions, clips.labels, clips.tracks):
        fields = read_fields(split_words(caption))
        assert parse(caption) == motions and in_fields(fields) == caption
        assert dict(fields)["count"] == ("one", "two")[len(motions) - 1]
        starts = [value for name, value in fields if name == "start"]
        for start, track in zip(starts, tracks, strict=False):
            upper, left = track[0] < np.array([15.5, 23.5])
            assert start == f"{'upper' if upper else 'lower'} {'left' if left else 'right'}"
        assert len(starts) == len(motions) == asks_for_digits(caption)
        turned = [value for name, value in fields if name == "later"]
        begins = -(-np.arange(1 + len(turned)) * 9 // (1 + len(turned)))
        for begin, way in zip(begins, (motions[0].direction, *turned)):
            if turned:  # no wall is in the way then
                step = tracks[0, begin + 1] - tracks[0, begin]
                assert way == ("".join(_named(step)) or way)
        assert len(split_words(caption)) <= MAX_WORDS
    laters = {caption.count("later") for caption in clips.captions}
    assert laters == {0, 1, 2}


def _named(step):
    down, across = np.sign(np.round(step, 3))
    return " and ".join(filter(None, ({-1: "up", 1: "down"}.get(down), {-1: "left", 1: "right"}.get(across))))


def test_all_is_as_it_was_where_no_caption_is_of_fields():
    clips, plain = made(structured=0.5), made(structured=0.0)
    np.testing.assert_array_equal(clips.video, plain.video)
    fields = [is_fields(split_words(caption)) for caption in clips.captions]
    assert 20 < sum(fields) < 40
    assert all(own == other for own, other, of_fields in zip(clips.captions, plain.captions, fields) if not of_fields)
    assert not any("count" in caption for caption in made(synonyms=False).captions)
    maker = CaptionedClips(digit_source("strokes"))
    assert not {"structured", "field_dropout"} & {*maker.describe()}


def test_fields_are_left_out_as_often_as_is_asked():
    captions = made(2000, num_digits=(1,), num_frames=2, field_dropout=0.25).captions
    for name in ("count", "digit", "start", "direction", "speed"):
        assert 0.2 < np.mean([f"{name}:" not in caption for caption in captions]) < 0.3, name
    assert set(made(field_dropout=1.0).captions) == {""}


@pytest.mark.parametrize(
    "caption", [WHOLE, TWO, "start: lower left", "digit: 3, speed: slow", "COUNT two; digit 3, digit 4"]
)
def test_colons_and_case_are_not_needed(caption):
    words = split_words(caption)
    assert (
        plain_words(caption) == words
        and in_fields(read_fields(words)).replace(":", "").replace(",", "").split() == words
    )


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("count: three", "'count' is followed by one, two; not 'three'"),
        ("digit: three, speed: fast", "'digit' is followed by 0, 1, 2"),
        ("start: middle", "'start' is followed by upper left, .*; not 'middle'"),
        ("direction: left up", "'direction' is followed by right, .*; not 'left up'"),
        ("start:", "not ''"),
        ("speed: fast, count: one", "'count' is not in its place; fields come in the order count, digit, start"),
        ("later: up, digit: 3", "'digit' is not in its place"),
        ("count: two, digit: 1, digit: 2, digit: 3", "these fields say what 3 digits do, of 1 or 2 in a clip"),
        ("digit: 3, start: upper left", "don't say 'direction'; add it, such as direction: down"),
        ("count: one, direction: up", "don't say 'digit'; add it, such as digit: 3"),
    ],
)
def test_what_fields_cannot_say_is_told(caption, message):
    with pytest.raises(InputError, match=message) as caught:
        parse(caption)
    assert parse(str(caught.value).split("; try: ")[1]) and "\n" not in str(caught.value)


def test_motions_are_read_and_what_is_left_open_is_noted():
    assert parse(WHOLE) == [DigitMotion(3, "right", "fast")]
    assert parse(TWO) == [DigitMotion(3, "up", "slow"), DigitMotion(7, "left")]
    assert what_is_left_open(WHOLE) is None
    assert what_is_left_open("digit: 3, direction: up").endswith("leaves open: count, start, speed")
    places = [place_of((y, x), (32, 48)) for y in (3, 28) for x in (3, 44)]
    assert tuple(places) == FIELDS["start"]
    assert in_fields(fields_of([DigitMotion(3, "right", "fast")], places[:1], ("up", "left"))) == WHOLE


def test_weights_know_fields_or_say_that_they_don_t():
    knowing, plain = Tokenizer(vocabulary(fields=True)), Tokenizer()
    assert knowing.grammar and knowing.decode(knowing.encode([WHOLE])[0]) == " ".join(split_words(WHOLE))
    assert knowing.decode(knowing.encode(["number 4 going rightwards"])[0]) == "the digit 4 going right"
    with pytest.raises(InputError, match="haven't learnt captions of fields"):
        plain.encode([WHOLE])
    with pytest.raises(InputError, match="'speed: very fast' asks for a speed that this model hasn't learnt"):
        knowing.encode(["digit: 3, speed: very fast"])
    assert VERY not in knowing.words
    for sentence, message in (
        ("a 3 in the upper left corner moving right", "a sentence can't say where a digit starts"),
        ("a 3 moving lowre right", "doesn't know 'lowre'"),
        ("a 3 moving right with direction", "know 'with'|know 'direction'"),
    ):
        with pytest.raises(InputError, match=message):
            knowing.encode([sentence])
    parts = knowing.encode_over_time([f"{WHOLE}, then digit: 3, direction: up"], 4)
    assert knowing.decode(parts[0, 3]) == "then digit 3 direction up"


def test_a_preset_trains_on_them():
    preset = presets.override(presets.get("tiny"), ["data.structured=0.5", "data.num_digits=1,2"])
    assert stages.tokenizer_of(preset).words == list(vocabulary(fields=True))
    reading = stages.text_task(preset)
    batch = reading.batch(np.random.default_rng(0))
    told = [reading.tokenizer.decode(row).split() for row in batch["tokens"]]
    assert 0 < sum(map(is_fields, told)) < len(told)
    for words, (question, _), (answer, _) in zip(told, batch["questions"], batch["answers"]):
        motions = parse(" ".join(words[words[0] == "then" :]))
        assert (question, reading.model.ANSWERS[answer]) in [(motion.digit, motion.direction) for motion in motions]
    task = stages.transformer_task(preset, stages.autoencoder_task(preset).model)
    assert np.isfinite(task.loss(task.batch(np.random.default_rng(0)))[0].item())
    assert task.config["data"]["structured"] == [0.5]
    with pytest.raises(InputError, match="structured is a share from 0 to 1"):
        presets.override(preset, ["data.structured=2"])
