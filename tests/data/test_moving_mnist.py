"""Moving digits and their captions."""

import itertools
import time

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import (
    COLOURS,
    DIRECTIONS,
    HELD_OUT,
    PIXELS_PER_FRAME,
    SPEEDS,
    VERY_FAST,
    CaptionedClips,
    DigitMotion,
    DigitSource,
    digit_source,
    paint,
    parse,
)
from minivdit.data.walls import part_begins
from minivdit.lab.study.worlds import left_behind
from minivdit.training import presets


@pytest.fixture(scope="module")
def strokes():
    return digit_source("strokes", "test")


@pytest.fixture(scope="module")
def squares():
    """A source whose digits are full squares, so that a clip shows exactly where the boxes are."""
    return DigitSource("squares", np.full((10, 28, 28), 255, np.uint8), np.arange(10))


def test_overlaps_keep_the_larger_value():
    video = np.zeros((1, 1, 12, 12), np.float32)
    for value in (0.5, 0.8, 0.3):
        paint(video, np.array([0]), np.full((1, 8, 8), value, np.float32), np.full((1, 1, 2), 2.0))
    assert video.max() == np.float32(0.8) and np.count_nonzero(video) == 64


@pytest.mark.parametrize("size, frames, digit_size", [((64, 64), 16, 28), ((32, 32), 8, 16), ((40, 96), 1, 17)])
def test_shapes_ranges_and_captions(strokes, size, frames, digit_size):
    clips = CaptionedClips(strokes, size, frames, digit_size).batch(np.random.default_rng(0), 24)
    assert clips.video.shape == (24, frames, *size, 1) and clips.video.dtype == np.float32
    assert clips.video.min() == 0.0 and 0.5 < clips.video.max() <= 1.0
    assert clips.tracks.shape == (24, 2, frames, 2) and clips.tracks.dtype == np.float32
    assert (clips.size, clips.digit_size) == (size, digit_size)
    assert [parse(caption) for caption in clips.captions] == clips.labels
    counts = np.array([len(motions) for motions in clips.labels])
    assert set(counts) == {1, 2}
    np.testing.assert_array_equal(np.isnan(clips.tracks[:, 1]).all(axis=(1, 2)), counts == 1)
    assert not np.isnan(clips.tracks[:, 0]).any()
    assert clips.video.max(axis=(2, 3, 4)).min() > 0.5  # something to see in every frame


def test_the_same_generator_gives_the_same_batch(strokes):
    maker = CaptionedClips(strokes, (32, 32), 8, 16)
    first, second = (maker.batch(np.random.default_rng(3), 8) for _ in range(2))
    np.testing.assert_array_equal(first.video, second.video)
    np.testing.assert_array_equal(first.tracks, second.tracks)
    assert first.captions == second.captions
    generator = np.random.default_rng(3)
    assert maker.batch(generator, 8).captions != maker.batch(generator, 8).captions


@pytest.mark.parametrize("subpixel", [True, False])
def test_tracks_say_where_the_digits_are(squares, subpixel):
    """The centre of mass of a full square is its track, in every frame, to a hundredth of a pixel."""
    maker = CaptionedClips(squares, (48, 40), 20, 12, num_digits=(1,), subpixel=subpixel)
    clips = maker.batch(np.random.default_rng(0), 40)
    video, mass = clips.video[..., 0], clips.video.sum(axis=(2, 3, 4))
    np.testing.assert_allclose(mass, 144, rtol=1e-5)
    centre = np.stack([video.sum(axis=3) @ np.arange(48) / mass, video.sum(axis=2) @ np.arange(40) / mass], axis=-1)
    np.testing.assert_allclose(centre, clips.tracks[:, 0], atol=0.01)
    assert (np.rint(clips.tracks * 2) == clips.tracks * 2).all() == (not subpixel)


@pytest.mark.parametrize("size, frames, digit_size", [((64, 64), 16, 28), ((32, 32), 8, 16), ((64, 96), 24, 20)])
def test_the_captioned_direction_and_speed_are_seen_before_the_first_bounce(squares, size, frames, digit_size):
    clips = CaptionedClips(squares, size, frames, digit_size).batch(np.random.default_rng(1), 60)
    for motions, tracks in zip(clips.labels, clips.tracks):
        for (_, direction, speed, _), track in zip(motions, tracks):
            pixels = PIXELS_PER_FRAME[SPEEDS.index(speed)] * min(size) / 64
            step = np.array(DIRECTIONS[direction]) / np.hypot(*DIRECTIONS[direction]) * pixels
            ahead = np.diff(track, axis=0) - step  # zero until the first bounce
            steady = np.abs(ahead).max(axis=1) < 1e-3
            room = np.array(size) - digit_size
            visible = np.minimum(frames / 2, np.min(room / np.maximum(np.abs(step), 1e-9)))
            assert steady[: int(visible)].all()


def test_very_fast_digits_start_anywhere_in_the_half_behind_and_leave_their_patch(squares, strokes):
    """Were they always at a wall, the caption would tell where a digit is in each frame."""
    options = {"num_digits": (1,), "pixels_per_frame": presets.get("full").data.pixels_per_frame, "synonyms": False}
    maker = CaptionedClips(squares, speeds=("very fast",), **options)
    asked = [[DigitMotion(digit, "right", "very fast")] for digit in range(10)] * 20
    clips, shares = maker.render(np.random.default_rng(0), asked), []
    start, then = clips.tracks[:, 0, 0, 1] - 13.5, clips.tracks[:, 0, 1, 1] - 13.5
    assert 0 <= start.min() < 1 and 17 < start.max() <= 18
    np.testing.assert_allclose(then - start, VERY_FAST, atol=1e-4)
    assert clips.captions[3] == "a 3 moving very quickly right"
    for speed in SPEEDS:
        video = CaptionedClips(strokes, speeds=(speed,), **options).batch(np.random.default_rng(0), 40).video
        shares.append(left_behind(video, (16, 16)))
    assert shares == sorted(shares) and shares[-2] < 0.2 and shares[-1] > 0.35, shares


def test_very_fast_digits_are_alone_and_do_not_turn(squares):
    pixels = presets.get("full").data.pixels_per_frame
    maker = CaptionedClips(squares, num_digits=(1, 2), turning=1.0, speeds=SPEEDS, pixels_per_frame=pixels)
    generator = np.random.default_rng(0)
    drawn = [maker.draw_motions(generator) for _ in range(400)]
    quick = [motions for motions in drawn if any(motion.speed == "very fast" for motion in motions)]
    assert 30 < len(quick) < 70 and all(len(motions) == 1 for motions in quick)  # a quarter of half
    assert not any(maker.draw_turns(generator, motions) for motions in quick)
    assert any(maker.draw_turns(generator, motions) for motions in drawn)
    only = CaptionedClips(squares, num_digits=(1, 2), speeds=("very fast",), pixels_per_frame=pixels)
    assert {len(only.draw_motions(generator)) for _ in range(20)} == {1}
    for setting, message in (
        ({"num_digits": (2,), "pixels_per_frame": pixels}, "two digits that are very fast"),
        ({"pixels_per_frame": (1, 2, 3)}, "for each of slow, normal, fast, very fast, not"),
    ):
        with pytest.raises(InputError, match=message):
            CaptionedClips(squares, speeds=("very fast",), **setting)


def test_digits_are_mirrored_by_the_walls_and_stay_inside(squares):
    maker = CaptionedClips(squares, (32, 48), 60, 16, num_digits=(1,))
    asked = [[DigitMotion(digit, "down and right", "fast")] for digit in range(10)]
    clips = maker.render(np.random.default_rng(2), asked)
    tracks = clips.tracks[:, 0] - 7.5
    assert tracks.min() >= 0 and (tracks.max(axis=(0, 1)) <= [16, 32]).all()
    speed = np.abs(np.diff(tracks, axis=1))
    component = PIXELS_PER_FRAME[-1] / 2 / np.sqrt(2)
    bounces = speed < component - 1e-3
    assert bounces.any(axis=1).all()  # 60 frames are enough to meet every wall
    np.testing.assert_allclose(speed[~bounces], component, atol=1e-3)
    turned = np.diff(np.sign(np.diff(tracks, axis=1)), axis=1) != 0
    assert not (turned[:, 1:] & turned[:, :-1]).any()  # one bounce turns once


def test_speeds_can_be_set_and_are_told_only_where_they_are(squares):
    """Weights and checkpoints from before there was a choice go on: the usual speeds aren't written down."""
    usual, other = CaptionedClips(squares), CaptionedClips(squares, pixels_per_frame=(1, 2, 16.8), speeds=("fast",))
    assert "pixels_per_frame" not in usual.describe() and other.describe()["pixels_per_frame"] == [1, 2, 16.8]
    track = other.batch(np.random.default_rng(0), 8).tracks[:, 0]
    assert np.median(np.hypot(*np.moveaxis(np.diff(track, axis=1), -1, 0))) == pytest.approx(16.8, abs=0.1)
    for wrong in ((1, 2), (0, 1, 2)):
        with pytest.raises(InputError, match="a number above 0 and up to 1,000 for each of slow, normal, fast"):
            CaptionedClips(squares, pixels_per_frame=wrong)


def test_held_out_pairs_are_kept_apart(strokes):
    def pairs(held_out, count):
        maker = CaptionedClips(strokes, (32, 32), 1, 16, held_out=held_out)
        generator = np.random.default_rng(4)
        return {(m.digit, m.direction) for _ in range(count) for m in maker.draw_motions(generator)}

    everything = {(digit, direction) for digit in range(10) for direction in DIRECTIONS}
    assert pairs("only", 300) == set(HELD_OUT)
    assert pairs("exclude", 1500) == everything - set(HELD_OUT)
    assert pairs("include", 1500) == everything


def test_held_out_pairs_touch_each_digit_once_and_spare_the_examples_of_the_documentation():
    digits, directions = zip(*HELD_OUT)
    assert sorted(digits) == list(range(10))
    assert set(directions) == set(DIRECTIONS) and max(map(directions.count, directions)) == 2
    assert not {(3, "right"), (7, "up"), (5, "down and left")} & set(HELD_OUT)


def test_two_digits_differ_and_rarely_cover_each_other(strokes):
    maker = CaptionedClips(strokes, (64, 64), 16, 20, num_digits=(2,))
    clips = maker.batch(np.random.default_rng(5), 200)
    assert all(first.digit != second.digit for first, second in clips.labels)
    apart = np.abs(clips.tracks[:, 0] - clips.tracks[:, 1])
    covered = np.clip(20 - apart, 0, None).prod(axis=-1) / 400
    assert covered.mean() < 0.06  # 0.17 with starts left to chance


def test_render_shows_what_is_asked_in_plain_words(strokes):
    maker = CaptionedClips(strokes, (32, 64), 4, 16, num_digits=(1,), synonyms=False)
    asked = [[DigitMotion(3, "right")], [DigitMotion(0, "up", "slow"), DigitMotion(0, "left", "fast")]]
    clips = maker.render(np.random.default_rng(0), asked)
    assert clips.captions == ["a 3 moving right", "a 0 moving slowly up and a 0 moving quickly left"]
    assert clips.labels == asked and clips.tracks.shape == (2, 2, 4, 2)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_frames": 0}, "at least one frame"),
        ({"size": (64,)}, "a size"),
        ({"size": (24, 64)}, "choose a digit_size from 8 to 23"),
        ({"digit_size": 64}, "can't move on a canvas of 64x64"),
        ({"digit_size": 4}, "can't move"),
        ({"num_digits": (3,)}, "choose among 1 and 2"),
        ({"num_digits": ()}, "choose among 1 and 2"),
        ({"speeds": ("slow", "warp")}, "slow, normal, fast"),
        ({"held_out": True}, "exclude, only or include"),
    ],
)
def test_impossible_clips_are_refused(strokes, options, message):
    with pytest.raises(InputError, match=message):
        CaptionedClips(strokes, **options)


def test_an_empty_batch_is_refused(strokes):
    with pytest.raises(InputError, match="at least 1"):
        CaptionedClips(strokes).batch(np.random.default_rng(0), 0)


def test_a_batch_is_fast(strokes):
    """32 clips of 16 frames of 64x64 with two digits: 4 ms measured on one core; far more would slow training."""
    maker = CaptionedClips(strokes, num_digits=(2,))
    generator = np.random.default_rng(0)
    maker.batch(generator, 32)
    best = np.inf
    for _ in range(10):
        started = time.perf_counter()
        maker.batch(generator, 32)
        best = min(best, time.perf_counter() - started)
    assert best < 0.04


def test_a_turning_digit_goes_the_second_way_from_the_middle_on(squares):
    maker = CaptionedClips(squares, (64, 64), 16, 28, (1,), synonyms=False)
    asked = [
        [DigitMotion(digit, way, speed)] for digit, way, speed in [(3, "right", "fast"), (7, "up and left", "slow")]
    ]
    for seed in range(20):
        clips = maker.render(np.random.default_rng(seed), asked * 2, [("up",), ("right",), (), ("down",)])
        assert clips.captions[:2] == [
            "a 3 moving quickly right, then up",
            "a 7 moving slowly up and left, then right",
        ]
        assert clips.captions[2] == "a 3 moving quickly right" and clips.labels == asked * 2
        steps = np.diff(clips.tracks[:, 0], axis=1)  # (B, 15, 2)
        assert (steps[0, :8, 1] > 4).all() and abs(steps[0, :8, 0]).max() < 1e-4
        assert abs(steps[0, 8:, 1]).max() < 1e-4 and (steps[0, 8:, 0] < -4).all()  # no wall is in the way
        assert (steps[1, :8] < -1).all() and abs(steps[1, 8:, 0]).max() < 1e-4 and (steps[1, 8:, 1] > 1.5).all()
        assert (steps[3, :8] < -1).all() and (steps[3, 8:, 0] > 1.5).all()
        assert clips.tracks.min() >= 13.5 - 1e-4 and clips.tracks.max() <= 63 - 13.5 + 1e-4


def test_some_single_digits_turn_and_never_a_held_out_way(squares):
    maker = CaptionedClips(squares, (64, 64), 16, 28, (1, 2), turning=0.5)
    generator = np.random.default_rng(0)
    turned = [
        (m, t) for m in (maker.draw_motions(generator) for _ in range(400)) if (t := maker.draw_turns(generator, m))
    ]
    assert 60 < len(turned) < 140  # half of half
    assert all(len(motions) == 1 and (turn,) != (motions[0].direction,) for motions, (turn,) in turned)
    assert not any((motions[0].digit, turn) in HELD_OUT for motions, (turn,) in turned)
    assert any(", then " in caption for caption in maker.batch(generator, 20).captions)
    short = CaptionedClips(squares, (64, 64), 3, 28, (1,), turning=1.0)
    assert not any("then" in caption for caption in short.batch(generator, 8).captions)
    still = CaptionedClips(squares, (64, 64), 16, 28, (1,))
    assert "turning" not in still.describe() and maker.describe()["turning"] == [0.5]


def test_a_digit_turns_as_often_as_its_caption_says_in_equal_parts(squares):
    maker = CaptionedClips(squares, (64, 64), 16, 28, (1,), synonyms=False)
    asked = [[DigitMotion(3, "right", "fast")], [DigitMotion(5, "up", "slow")], [DigitMotion(7, "left", "slow")]]
    for seed in range(10):
        clips = maker.render(np.random.default_rng(seed), asked, [("up", "left"), ("down",), ()])
        assert clips.captions == [
            "a 3 moving quickly right, then up, then left",
            "a 5 moving slowly up, then down",
            "a 7 moving slowly left",
        ]
        steps = np.diff(clips.tracks[0, 0], axis=0)  # parts begin at frames 0, 6 and 11
        ways = [*[(0, 4.2)] * 6, *[(-4.2, 0)] * 5, *[(0, -4.2)] * 4]
        np.testing.assert_allclose(steps, ways, atol=1e-4)  # no wall is in the way
        np.testing.assert_allclose(np.diff(clips.tracks[1, 0, :, 0]), [-1.6] * 8 + [1.6] * 7, atol=1e-4)
    assert part_begins(3, 16).tolist() == [0, 6, 11] and part_begins(2, 15).tolist() == [0, 8]


def test_how_often_clips_turn_is_drawn_among_what_fits(squares):
    generator = np.random.default_rng(0)

    def counts(frames, turns):
        maker = CaptionedClips(squares, (64, 64), frames, 28, (1,), turning=1.0, turns=turns)
        captions = [caption for _ in range(3) for caption in maker.batch(generator, 32).captions]
        return {caption.count("then") for caption in captions}

    assert counts(16, (1, 2)) == {1, 2} and counts(4, (1, 2)) == {1} and counts(5, (2,)) == {0}
    maker = CaptionedClips(squares, turning=1.0, turns=(2, 3), num_digits=(1,))
    assert maker.describe()["turns"] == [2, 3] and "turns" not in CaptionedClips(squares, turning=1.0).describe()
    for turns in (maker.draw_turns(generator, [DigitMotion(3, "right")]) for _ in range(50)):
        assert all(before != after for before, after in itertools.pairwise(("right", *turns)))
        assert not any((3, turn) in HELD_OUT for turn in turns)


@pytest.mark.parametrize(
    "setting",
    [
        {"turns": ()},
        {"turns": (0,)},
        {"turns": (8,)},
        {"turning": 1.5},
        {"turning": -0.1},
        {"num_digits": ()},
        {"speeds": ("warp",)},
    ],
)
def test_settings_that_no_clip_can_have_are_refused(setting):
    with pytest.raises(InputError):
        CaptionedClips(None, **setting)


def test_in_colour_each_digit_has_the_colour_that_its_caption_says(strokes):
    """As bright as in grey, bit for bit; where two digits cross, their light adds up to the larger of each channel."""
    grey, maker = (CaptionedClips(strokes, (32, 32), 8, 16, synonyms=False, colors=on) for on in (False, True))
    clips = maker.batch(np.random.default_rng(0), 100)
    assert clips.video.shape == (100, 8, 32, 32, 3) and clips.video.dtype == np.float32
    assert [parse(caption) for caption in clips.captions] == clips.labels
    found = [motion.colour for motions in clips.labels for motion in motions]
    assert {*found} == {"", *COLOURS} and all(10 < found.count(colour) < 40 for colour in {*found})
    plain = [[motion._replace(colour="") for motion in motions] for motions in clips.labels]
    coloured = maker.render(np.random.default_rng(1), clips.labels).video
    np.testing.assert_array_equal(coloured.max(axis=-1), grey.render(np.random.default_rng(1), plain).video[..., 0])
    with pytest.raises(InputError, match="clips in grey can't show what is red; make them with colors=True"):
        grey.render(np.random.default_rng(1), [[DigitMotion(3, "right", colour="red")]])
    for video, motions in zip(coloured, clips.labels):
        if len(motions) == 1:
            light = COLOURS.get(motions[0].colour, (1, 1, 1))
            np.testing.assert_array_equal(video, video.max(axis=-1, keepdims=True) * np.float32(light))
    both = [[DigitMotion(3, "right", colour="red"), DigitMotion(5, "left", colour="green")]]
    video = maker.render(np.random.default_rng(2), both).video
    apart = [
        maker.render(np.random.default_rng(2), [[m._replace(colour=c) for m, c in zip(both[0], colours)]]).video
        for colours in (("red", "red"), ("green", "green"))
    ]
    assert video[..., 0].any() and video[..., 1].any() and not video[..., 2].any()
    np.testing.assert_array_equal(np.maximum(video[..., 0], video[..., 1]), apart[0][..., 0])
    np.testing.assert_array_equal(apart[0][..., 0], apart[1][..., 1])


def test_colours_are_told_to_a_checkpoint_only_where_there_are_any_and_no_fields_name_them(strokes):
    assert "colors" not in CaptionedClips(strokes).describe()
    assert CaptionedClips(strokes, colors=True).describe()["colors"] == [True]
    with pytest.raises(InputError, match="captions of fields don't say colours"):
        CaptionedClips(strokes, colors=True, structured=0.5)
