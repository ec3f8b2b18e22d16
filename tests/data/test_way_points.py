"""Paths: places at equal steps, maps with a spot where the digit is, and what is no path."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import CaptionedClips, along, digit_source, path_maps
from minivdit.data.paths import tracks_of
from minivdit.lab.evaluation.tracking import path_error


def test_places_lie_on_the_path_at_equal_steps():
    places = along([(0, 0), (0, 30), (40, 30)], 8)
    steps = np.hypot(*np.diff(places, axis=0).T)
    np.testing.assert_allclose(places[[0, 3, -1]], [(0, 0), (0, 30), (40, 30)])
    np.testing.assert_allclose(steps, 10)
    np.testing.assert_allclose(along([(5, 6), (5, 6)], 3), [(5, 6)] * 3)
    np.testing.assert_allclose(along([(5, 6), (5, 9)], 1), [(5, 6)])


@pytest.mark.parametrize(
    "points", [[], [(1, 2)], [(1, 2), (3,)], [(1, 2), (np.nan, 3)], "ab", [1, 2], [[(1, 2)], [(3, 4)]], None]
)
def test_what_is_no_path_is_refused(points):
    with pytest.raises(InputError, match=r"a path is two or more way points \(y, x\)"):
        along(points, 4)


@pytest.mark.parametrize("time_factor, frames", [(1, 9), (4, 3)])
def test_a_map_has_its_spot_where_the_digit_is(time_factor, frames):
    clips = CaptionedClips(digit_source("strokes"), size=(32, 48), num_frames=9, digit_size=12, num_digits=(1, 2))
    made = clips.batch(np.random.default_rng(0), 6)
    maps = path_maps(made.tracks, frames, (32, 48), 4, time_factor)
    assert maps.shape == (6, frames, 8, 12, 2) and maps.dtype == np.float32 and maps.min() == 0 and maps.max() <= 1
    rows, columns = np.indices((8, 12))
    for clip, motions in enumerate(made.labels):
        for digit in range(2):
            spot = maps[clip, ..., digit]
            if digit >= len(motions):
                assert not spot.any()
                continue
            track = made.tracks[clip, digit, ::time_factor]
            peak = spot.reshape(frames, -1).argmax(axis=1)
            found = (
                np.stack([rows.reshape(-1)[peak], columns.reshape(-1)[peak]], axis=-1) * 4 + 1.5
            )  # centre of the cell
            assert np.abs(found - track).max() <= 2.01


def test_a_path_is_for_all_clips_or_for_each():
    one, other = [(1, 2), (3, 4)], [(5, 6), (7, 8)]
    assert np.isnan(tracks_of(one, 3, 4)[:, 1]).all() and (tracks_of(one, 3, 4)[:, 0, 0] == (1, 2)).all()
    assert (tracks_of([one, other], 1, 4)[0, :, -1] == [(3, 4), (7, 8)]).all()  # two digits
    each = tracks_of([one, other], 2, 4)
    assert (each[:, 0, 0] == [(1, 2), (5, 6)]).all() and np.isnan(each[:, 1]).all()
    assert (tracks_of([[one, other]] * 2, 2, 4)[1, 1, 0] == (5, 6)).all()


@pytest.mark.parametrize(
    "path, words",
    [
        ([[(1, 2), (3, 4)]] * 3, "1 or 2 digits"),
        ([[[(1, 2), (3, 4)]]] * 3, "need one path"),
        (5, "need one path"),
        ([], "need one path"),
    ],
)
def test_paths_that_fit_no_clips_are_refused(path, words):
    with pytest.raises(InputError, match=words):
        tracks_of(path, 2, 4)


def test_the_error_of_a_path_is_that_of_real_clips_on_theirs_and_of_others_on_these():
    clips = CaptionedClips(digit_source("strokes"), size=(32, 32), num_frames=8, digit_size=14, num_digits=(1,))
    made = clips.batch(np.random.default_rng(1), 40)
    own = [path_error(video, track[0]) for video, track in zip(made.video, made.tracks)]
    others = [path_error(video, track[0]) for video, track in zip(made.video, np.roll(made.tracks, 1, axis=0))]
    moved = np.hypot(*np.ptp(made.tracks[:, 0], axis=1).T).mean()  # how far digits come, in pixels
    assert np.max(own) < 0.1 * moved and np.mean(others) > 10 * np.mean(own)
    assert path_error(np.zeros((8, 32, 32, 1), np.float32), made.tracks[0, 0]) is None
