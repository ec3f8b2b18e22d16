"""Bounces and meetings in clips that were made so that the answer is known."""

import numpy as np
import pytest

from minivdit.data import CaptionedClips, paint
from minivdit.lab.evaluation import frozen, observe, recombined
from minivdit.lab.evaluation.encounters import bounces, permanence

SIDE, DIGIT, FRAMES = 48, 16, 12


def film(source, digits, ways):
    """One clip (1, T, H, W, 1) of digits whose boxes' corners go along `ways` (digits, T, 2); NaN: not there."""
    video = np.zeros((1, FRAMES, SIDE, SIDE), np.float32)
    for digit, way in zip(digits, np.asarray(ways, np.float32)):
        image = source.draw(np.random.default_rng(digit), [digit], DIGIT)
        there = np.flatnonzero(~np.isnan(way[:, 0]))
        part = np.ascontiguousarray(video[:, there])
        paint(part, np.array([0]), image, way[None, there])
        video[:, there] = part
    return video[..., None]


def along(start, step, frames=FRAMES):
    """Corners (T, 2) straight on from `start`, `step` px a frame."""
    return np.array(start) + np.array(step) * np.arange(frames)[:, None]


def at_the_wall(kind):
    """Corners of a digit that comes to the right wall, at x = 32, in frame 6 of 12, at 3 px a frame."""
    way = along((16, 14), (0, 3.0))
    beyond = np.maximum(way[:, 1] - 32, 0)
    if kind == "reflected":
        way[:, 1] -= 2 * beyond
    elif kind == "stops":
        way[:, 1] -= beyond
    elif kind == "leaves":
        way[beyond > 0] = np.nan
    elif kind == "too slowly":
        way[:, 1] -= 1.3 * beyond
    elif kind == "stands still before it":
        way[:, 1] = np.minimum(way[:, 1], 26)
    elif kind == "turns before it":
        way[:, 1] -= 2 * np.maximum(way[:, 1] - 24, 0)
    return way


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("reflected", 1),
        ("stops", 0),
        ("leaves", 0),
        ("too slowly", 0),
        ("turns before it", 0),
        ("stands still before it", 0),
    ],
)
def test_who_obeys_the_wall(strokes, kind, expected):
    assert bounces(observe(film(strokes, [3], [at_the_wall(kind)]), DIGIT, 1)).tolist() == [expected]


def test_without_a_wall_nothing_is_due(strokes):
    clip = film(strokes, [3], [along((16, 4), (0, 1.5))])
    assert np.isnan(bounces(observe(clip, DIGIT, 1))).all()
    assert np.isnan(bounces(observe(frozen(clip), DIGIT, 1))).all()


def test_real_clips_obey_and_recombined_ones_do_not(strokes):
    pace = (1.6, 5.6, 16.8)
    maker = CaptionedClips(strokes, (32, 32), 8, 14, (1,), ("normal", "fast"), pixels_per_frame=pace)
    clips = maker.batch(np.random.default_rng(0), 24)
    real = bounces(observe(clips.video, 14, 1, pixels_per_frame=pace))
    mixed = bounces(observe(recombined(clips.video, np.random.default_rng(0)), 14, 1, pixels_per_frame=pace))
    assert (~np.isnan(real)).sum() > 15 and np.nanmean(real) > 0.9 and np.nanmean(mixed) < 0.2


def meeting(strokes, kind):
    """A 3 from the left and a 0 from the right, in one row; they cover each other in the middle of the clip."""
    ways = np.stack([along((16, 0), (0, 2.9)), along((16, 32), (0, -2.9))])
    if kind == "pass each other in two rows":
        ways[0, :, 0], ways[1, :, 0] = 0, 32
    digits, after = [3, 0], FRAMES - 4
    if kind == "stay together":
        ways = np.stack([along((16, 0), (0, 1.4)), along((16, 32), (0, -1.4))])
    if kind == "one vanishes":
        ways[1, after:] = np.nan
    if kind == "one changes":
        ways = np.concatenate([ways, ways[1:]])
        ways[1, after:], ways[2, :after], digits = np.nan, np.nan, [3, 0, 1]
    return observe(film(strokes, digits, ways), DIGIT, 2)


@pytest.mark.parametrize(("kind", "expected"), [("both are there again", 1), ("one vanishes", 0), ("one changes", 0)])
def test_who_is_there_after_two_have_met(strokes, kind, expected):
    observation = meeting(strokes, kind)
    assert observation.tracks.merged.any()
    assert permanence(observation).tolist() == [expected]


def test_who_does_not_meet_is_not_judged(strokes):
    assert np.isnan(permanence(meeting(strokes, "pass each other in two rows"))).all()
    assert np.isnan(permanence(meeting(strokes, "stay together"))).all()
    assert np.isnan(permanence(observe(film(strokes, [3], [along((0, 0), (1, 1))]), DIGIT, 1))).all()
