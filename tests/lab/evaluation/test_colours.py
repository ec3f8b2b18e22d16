"""Colours of digits: seen as they were drawn, and every clip whose colours are spoilt scores worse."""

import dataclasses

import numpy as np
import pytest

from minivdit.data import COLOURS, CaptionedClips
from minivdit.data.pixels import TURNS, tones
from minivdit.lab.evaluation import evaluate, observe, read_captions
from minivdit.lab.evaluation.blobs import brightness
from minivdit.lab.evaluation.colours import HUES, NEAR, hue_changes, named, tones_of_digits
from minivdit.lab.evaluation.metrics import clip_values


@pytest.fixture(scope="module")
def makers(strokes):
    """By number of digits: 32x32, 8 frames, and for two a canvas on which they are apart now and then."""
    how = {"held_out": "include", "colors": True, "synonyms": False}
    return {
        1: CaptionedClips(strokes, (32, 32), 8, 16, (1,), **how),
        2: CaptionedClips(strokes, (48, 64), 8, 16, (2,), **how),
    }


def real(makers, digits, seed=0, count=40):
    """Clips whose digits all have colours, two of them different ones."""
    generator, labels = np.random.default_rng(seed), []
    while len(labels) < count:
        motions = makers[digits].draw_motions(generator)
        colours = {motion.colour for motion in motions} - {""}
        labels += [motions] * (len(colours) == digits)
    return makers[digits].render(generator, labels)


def scored(clips, video=None):
    """The values of all measures, each (B,)."""
    video = clips.video if video is None else video
    targets = read_captions(clips.captions, clips.size)
    return clip_values(observe(video, clips.digit_size, targets.count), targets)


def in_hues(clips, degrees):
    """Clips of one digit in hues that are turned from those asked for by degrees, (T,) or a number."""
    asked = np.array([HUES[list(COLOURS).index(motions[0].colour)] for motions in clips.labels])
    hue = asked[:, None] + np.radians(np.broadcast_to(degrees, clips.video.shape[1]))
    colour = 0.5 + 0.5 * np.real(np.exp(1j * hue)[..., None] * TURNS.conj())  # (B, T, 3)
    colour -= colour.min(-1, keepdims=True)
    colour /= colour.max(-1, keepdims=True)
    return (brightness(clips.video)[..., None] * colour[:, :, None, None]).astype(np.float32)


def test_the_named_colours_are_evenly_round_the_circle_and_white_is_none():
    np.testing.assert_allclose(np.degrees(HUES) % 360, np.arange(6) * 60, atol=1e-4)
    assert named(tones(np.float32([[1, 1, 1], *COLOURS.values()]))).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert named(np.array([np.nan, 0.2j])).tolist() == [-1, 0]
    np.testing.assert_allclose(np.abs(tones(np.float32(list(COLOURS.values())))), 1, atol=1e-6)


def test_the_mean_hue_goes_round_the_circle_and_counts_by_chroma_and_brightness():
    """Red a little to either side of 0 degrees has a mean of 0, not 180; grey and dark pixels hardly count."""
    video = np.zeros((1, 1, 4, 8, 3), np.float32)
    video[0, 0, :, :4], video[0, 0, :, 4:] = (1, 0, 0.3), (1, 0.3, 0)
    box = np.zeros((1, 1, 1, 2)), np.full((1, 1, 1, 2), 7.0)
    assert abs(np.angle(tones_of_digits(video, *box)[0, 0, 0])) < 1e-6
    video[0, 0, 2:] = (0.8, 0.8, 0.8)
    assert abs(np.angle(tones_of_digits(video, *box)[0, 0, 0])) < 1e-6
    video[0, 0, 2:] = (0, 0.2, 0)  # darker than ink
    assert abs(np.angle(tones_of_digits(video, *box)[0, 0, 0])) < 1e-6
    video[0, 0, 2:] = (0, 0.3, 0)
    assert 0 < np.degrees(np.angle(tones_of_digits(video, *box)[0, 0, 0])) < 30
    assert np.isnan(tones_of_digits(np.zeros_like(video), *box)).all()


def test_where_boxes_overlap_only_the_rest_is_looked_at():
    """A red and a green digit that cross look yellow where they do."""
    video = np.zeros((1, 1, 4, 12, 3), np.float32)
    video[..., :8, 0] = 1
    video[..., 4:, 1] = 1
    low, high = np.float32([[[[0, 0]], [[0, 4]]]]), np.float32([[[[3, 7]], [[3, 11]]]])
    assert named(tones_of_digits(video, low, high))[0, :, 0].tolist() == [1, 3]
    assert np.isnan(tones_of_digits(video, low, low + 3)[0, 0, 0]) == np.False_
    assert np.isnan(tones_of_digits(video, np.zeros_like(low), np.full_like(high, 11))).all()  # one box for both


@pytest.mark.parametrize("digits", [1, 2])
def test_real_clips_have_the_colours_asked_for_and_keep_them(makers, digits):
    found = scored(real(makers, digits))
    assert np.nanmean(found["colour"]) > 0.99 and np.nanmean(found["hue_drift"]) < 1
    assert np.isfinite(found["colour"]).mean() > 0.9 and found["obeys"].mean() > 0.9


def test_white_digits_are_white(makers):
    """They have a colour, but no hue that could drift."""
    clips = makers[1].render(
        np.random.default_rng(3), [[motions[0]._replace(colour="")] for motions in real(makers, 1).labels]
    )
    found = scored(clips)
    assert (found["colour"] == 1).all() and np.isnan(found["hue_drift"]).all()
    asked = [f"a red {motions[0].digit} moving {motions[0].direction}" for motions in clips.labels]
    assert (scored(dataclasses.replace(clips, captions=asked))["colour"] == 0).all()


def test_a_hue_that_drifts_scores_worse(makers):
    clips = real(makers, 1)
    good, bad = scored(clips), scored(clips, in_hues(clips, np.linspace(0, 100, 8)))
    np.testing.assert_allclose(bad["hue_drift"], np.linspace(0, 100, 8)[1:].mean(), atol=2)
    assert (bad["hue_drift"] > good["hue_drift"] + 40).all()
    assert (bad["colour"] < good["colour"]).all() and bad["flawless"].sum() == 0 < good["flawless"].mean()
    small = scored(clips, in_hues(clips, np.linspace(0, NEAR / 2, 8)))
    assert (small["colour"] == good["colour"]).all() and (small["hue_drift"] > good["hue_drift"] + 5).all()


def test_a_wrong_colour_scores_worse_and_is_not_obeyed(makers):
    clips = real(makers, 1)
    bad = scored(clips, in_hues(clips, 60))
    assert (bad["colour"] == 0).all() and (bad["obeys"] == 0).all() and np.nanmean(bad["hue_drift"]) < 1
    np.testing.assert_array_equal(bad["digit_frames"], scored(clips)["digit_frames"])


def test_digits_that_swap_colours_score_worse(makers):
    """Both colours are there, and so are both digits; but each has the other one's."""
    clips = real(makers, 2)
    swapped = [[one._replace(colour=two.colour), two._replace(colour=one.colour)] for one, two in clips.labels]
    bad = scored(dataclasses.replace(makers[2].render(np.random.default_rng(7), swapped), captions=clips.captions))
    good = scored(clips)
    assert np.nanmean(bad["colour"]) < 0.02 and np.nanmean(good["colour"]) > 0.99
    assert bad["obeys"].mean() < 0.05 and np.abs(bad["digit"].mean() - good["digit"].mean()) < 0.05


def test_colours_swapped_on_the_way_score_worse(makers):
    clips = real(makers, 2)
    swapped = [[one._replace(colour=two.colour), two._replace(colour=one.colour)] for one, two in clips.labels]
    both = [makers[2].render(np.random.default_rng(7), labels).video for labels in (clips.labels, swapped)]
    video = np.concatenate([both[0][:, :4], both[1][:, 4:]], axis=1)
    bad, good = scored(clips, video), scored(clips, both[0])
    assert np.nanmean(bad["hue_drift"]) > 30 > 2 > np.nanmean(good["hue_drift"])
    assert np.nanmean(bad["colour"]) < 0.7 and bad["flawless"].sum() == 0


def test_grey_clips_score_worse(makers):
    clips = real(makers, 1)
    grey = brightness(clips.video)[..., None].repeat(3, axis=-1)
    bad = scored(clips, grey)
    assert (bad["colour"] == 0).all() and (bad["obeys"] == 0).all()
    fading = np.where(np.arange(8)[:, None, None, None] < 4, clips.video, grey)
    bad = scored(clips, fading)
    assert (bad["hue_drift"] > 40).all() and (bad["colour"] <= 0.6).all()


def test_a_digit_that_is_gone_has_not_the_colour_asked_for(makers):
    clips = real(makers, 1)
    assert (scored(clips, clips.video * (np.arange(8) < 2)[:, None, None, None])["colour"] < 0.5).all()


def test_where_a_digit_never_has_colour_there_is_no_drift():
    tone = np.array([[0.1, 0.9, 0.9j, 0.1, np.nan], [0.1, 0.2, np.nan, 0, 0]])
    np.testing.assert_allclose(hue_changes(tone), [[90, np.nan, 90, 90, np.nan], [np.nan] * 5])


def test_a_report_has_ceiling_and_floors_for_colours_and_grey_clips_have_no_row(makers):
    clips, others = real(makers, 1), real(makers, 1, seed=1)
    report = evaluate(clips.video, clips.captions, (clips.video, others.video), 16)
    assert report["real"]["colour"].mean > 0.99 and report["other captions"]["colour"].mean < 0.4
    assert report["real"]["hue_drift"].mean < 1 and report["recombined"]["hue_drift"].mean > 50
    assert "hue_drift" in str(report) and {"colour", "hue_drift"} <= report.samples.keys()
    assert list(report.settings["size"]) == [32, 32]
    grey = [brightness(array)[..., None] for array in (clips.video, clips.video, others.video)]
    plain = evaluate(
        grey[0], [text.replace(f" {m[0].colour} ", " ") for text, m in zip(clips.captions, clips.labels)], grey[1:], 16
    )
    assert "colour" not in plain["clips"] and "hue_drift" not in str(plain) and "hue_drift" not in plain.samples
    for name in ("digit_frames", "direction", "likeness"):
        assert plain["clips"][name].mean == pytest.approx(report["clips"][name].mean, abs=1e-6)
