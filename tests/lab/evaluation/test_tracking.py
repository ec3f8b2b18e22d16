"""Digits are found where they are, through junk, gaps and touching, and not found where there are none."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.lab.evaluation import track, windows
from minivdit.lab.evaluation.blobs import as_clips, find_blobs, label_components
from minivdit.lab.evaluation.tracking import bilinear, clear_of_edges, early_velocity, ink_centres


def flood_fill(mask):
    """Components by the textbook way, slowly: a dict pixel -> component number."""
    number, found = {}, 0
    for start in zip(*np.nonzero(mask)):
        if start in number:
            continue
        found += 1
        pending = [start]
        while pending:
            y, x = pending.pop()
            if (y, x) in number or not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]) or not mask[y, x]:
                continue
            number[y, x] = found
            pending += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return number


@pytest.mark.parametrize("density", [0.2, 0.4, 0.6])
def test_components_equal_flood_fill(density):
    masks = np.random.default_rng(0).random((40, 9, 13)) < density  # more than one chunk
    labels = label_components(masks)
    assert ((labels > 0) == masks).all()
    assert len(np.unique(labels[masks])) == sum(len(set(flood_fill(mask).values())) for mask in masks)
    for mask, label in zip(masks, labels):
        number = flood_fill(mask)
        pairs = {(n, label[place]) for place, n in number.items()}
        assert len(pairs) == len(set(number.values()))  # one label for each component


def test_a_spiral_is_one_component():
    spiral = np.ones((1, 15, 15), bool)
    spiral[0, 1, :-1] = spiral[0, 1:14, 13] = spiral[0, 13, 1:14] = spiral[0, 3:14, 1] = False
    assert len(np.unique(label_components(spiral)[spiral])) == len(set(flood_fill(spiral[0]).values()))


def bars(*boxes):
    """A frame of 40x40 with bright boxes (top, left, height, width)."""
    frame = np.zeros((1, 40, 40), np.float32)
    for top, left, height, width in boxes:
        frame[0, top : top + height, left : left + width] = 1
    return frame


def test_pieces_of_a_digit_are_one_blob_only_where_too_many_are_seen():
    five = bars((10, 8, 4, 12), (18, 10, 6, 10))  # a 5 whose bar has come off: four empty rows
    for digits, count in ((1, 1), (2, 2)):
        assert find_blobs(five, 28, np.array([digits])).count[0] == count
    joined = find_blobs(five, 28, np.array([1]))
    y, x = np.mgrid[:40, :40]
    np.testing.assert_allclose(joined.centre[0, 0], [(five * y).sum() / 108, (five * x).sum() / 108])
    assert joined.mass[0].tolist() == [108, 0, 0, 0] and joined.side[0].tolist() == [14, 0, 0, 0]
    apart = bars((2, 2, 8, 8), (25, 25, 9, 9))  # too far apart for one digit: two, whatever was asked for
    assert find_blobs(apart, 28, np.array([1])).count[0] == 2


def test_blobs_are_sorted_by_mass_and_four_are_kept():
    frame = bars((1, 1, 5, 5), (1, 30, 6, 6), (20, 1, 7, 7), (20, 30, 8, 8), (34, 15, 5, 6), (12, 16, 1, 2))
    blobs = find_blobs(frame, 14, np.array([4]))
    assert blobs.mass[0].tolist() == [64, 49, 36, 30]
    np.testing.assert_allclose(blobs.centre[0, :2], [[23.5, 33.5], [23, 4]])
    assert blobs.side[0].tolist() == [8, 7, 6, 6]


def distance_to_truth(tracks, clips):
    """(B, K, T) px, under the better of the two orders of the tracks."""
    both = [np.sqrt(((p - clips.tracks) ** 2).sum(-1)) for p in (tracks.positions, tracks.positions[:, ::-1])]
    nearer = np.nanmean(both[0], (1, 2)) <= np.nanmean(both[1], (1, 2))
    return np.where(nearer[:, None, None], *both)


def test_one_digit_is_followed_to_a_pixel(one_digit):
    tracks = track(one_digit.video, one_digit.digit_size)
    assert tracks.positions.shape == (60, 1, 8, 2) and tracks.positions.dtype == np.float32
    assert tracks.found.all() and not tracks.merged.any() and (tracks.blobs == 1).all()
    assert distance_to_truth(tracks, one_digit).max() < 1.5


def test_two_digits_are_followed_through_touching(two_digits):
    tracks = track(two_digits.video, two_digits.digit_size, 2)
    error = distance_to_truth(tracks, two_digits)
    assert tracks.found.mean() > 0.99
    assert 0 < tracks.merged.mean() < 0.2
    assert np.quantile(error[~tracks.merged & tracks.found], 0.98) < 1.5
    assert np.median(error[tracks.merged]) < 3


def test_tracks_go_on_as_they_were_after_crossing(strokes):
    """Two digits that cross keep their tracks: the left one ends on the right."""
    digits = strokes.draw(np.random.default_rng(3), [3, 8], 16)
    clip = np.zeros((1, 12, 24, 64, 1), np.float32)
    for frame in range(12):
        for digit, left, top in ((digits[0], 2 + 4 * frame, 2), (digits[1], 46 - 4 * frame, 6)):
            box = clip[0, frame, top : top + 16, left : left + 16, 0]
            np.maximum(box, digit, out=box)
    tracks = track(clip, 16, 2)
    assert tracks.merged.any() and not tracks.merged[..., [0, -1]].any()
    first, last = tracks.positions[0, :, 0, 1], tracks.positions[0, :, -1, 1]
    assert first.argmin() == last.argmax()


def test_nothing_is_found_where_nothing_is(one_digit):
    tracks = track(np.zeros((2, 4, 32, 32, 1), np.float32), 16, 2)
    assert not tracks.found.any() and (tracks.blobs == 0).all()
    faint = track(0.2 * one_digit.video[:2], 16)
    assert not faint.found.any()
    assert not track(np.full((1, 3, 32, 32, 1), np.nan, np.float32), 16).found.any()


def test_any_number_type_and_range_is_brought_to_the_unit_interval(one_digit):
    clip = one_digit.video[:2]
    np.testing.assert_allclose(as_clips(np.rint(clip * 255).astype(np.uint8)), clip[..., 0], atol=0.002)
    wild = as_clips(np.array([[[[np.nan, -1.0, 0.5, 7.0]]]]))
    assert wild.tolist() == [[[[0, 0, 0.5, 1]]]] and wild.dtype == np.float32


def test_digits_of_all_colours_are_as_bright_as_white_ones(one_digit):
    for colour in ([1, 0, 0], [0, 1, 1], [1, 1, 1]):
        coloured = one_digit.video[:3] * np.float32(colour)
        np.testing.assert_array_equal(as_clips(coloured), one_digit.video[:3, ..., 0])
        np.testing.assert_array_equal(ink_centres(coloured[0]), ink_centres(one_digit.video[0]))
        np.testing.assert_array_equal(*(clear_of_edges(v[0], np.ones((8, 2))) for v in (coloured, one_digit.video)))
        assert track(coloured, 16).positions.tolist() == track(one_digit.video[:3], 16).positions.tolist()


def test_specks_are_ignored_and_a_missing_frame_is_lost(one_digit):
    video = one_digit.video[:20].copy()
    generator = np.random.default_rng(4)
    for clip in video:  # single bright pixels anywhere
        clip[np.arange(8), generator.integers(32, size=8), generator.integers(32, size=8)] = 1
    video[:, 5] = 0
    tracks = track(video, 16)
    assert (tracks.found == (np.arange(8) != 5)).all()
    error = np.sqrt(((tracks.positions - one_digit.tracks[:20]) ** 2).sum(-1))
    assert np.nanmedian(error) < 1


def test_a_second_digit_that_was_not_asked_for_shows_in_the_count(two_digits):
    tracks = track(two_digits.video, two_digits.digit_size, np.where(np.arange(60) < 30, 1, 2))
    assert (tracks.wanted.sum(1) == np.where(np.arange(60) < 30, 1, 2)).all()
    assert not tracks.found[:30, 1].any() and tracks.found[30:, 1].mean() > 0.95
    assert (tracks.blobs[:30] == 2).mean() > 0.7


def test_windows_show_the_digit_and_black_where_it_is_lost(strokes):
    digit = strokes.draw(np.random.default_rng(5), [5], 28)[0]
    clip = np.zeros((1, 2, 40, 50, 1), np.float32)
    clip[0, 0, 3:31, 10:38, 0] = digit
    positions = np.array([[[[16.5, 23.5], [np.nan, np.nan]]]], np.float32)
    crops = windows(clip, positions, 28)
    assert crops.shape == (1, 1, 2, 28, 28) and crops.dtype == np.float32
    np.testing.assert_allclose(crops[0, 0, 0], digit, atol=1e-6)
    assert (crops[0, 0, 1] == 0).all()
    # Half a pixel further down each row is the mean of two.
    lower = windows(clip, positions + np.float32([0.5, 0]), 28)[0, 0, 0]
    np.testing.assert_allclose(lower[:-1], (digit[:-1] + digit[1:]) / 2, atol=1e-6)


def test_bilinear_outside_is_black():
    image = np.ones((1, 4, 4), np.float32)
    values = bilinear(image, 0, np.array([-2.0, -0.5, 0.0, 3.0, 3.5, 9.0]), np.float64(1.0))
    np.testing.assert_allclose(values, [0, 0.5, 1, 1, 0.5, 0])


@pytest.mark.parametrize("shape", [(2, 8, 32, 32, 2), (8, 32, 32), (0, 8, 32, 32, 1)])
def test_wrong_shapes_are_named(shape):
    with pytest.raises(InputError, match="expected"):
        track(np.zeros(shape, np.float32), 16)


def test_three_digits_are_refused():
    with pytest.raises(InputError, match="1 or 2"):
        track(np.zeros((1, 2, 32, 32, 1), np.float32), 16, 3)


def test_the_velocity_of_the_first_half_is_found_through_a_wild_frame_and_none_where_a_digit_is_cut_off():
    time = np.arange(8)[:, None]
    places = 10 + time * np.array([0.5, -1.25])
    places[5:] = 0  # after half of the clip anything may come
    assert early_velocity(places) == pytest.approx([0.5, -1.25])
    places[2] += 7
    assert early_velocity(places) == pytest.approx([0.5, -1.25])
    gone = np.full((8, 2), np.nan)
    gone[0] = 3
    assert np.isnan(early_velocity(np.stack([places, gone]))[1]).all()

    video = np.zeros((8, 16, 16, 1), np.float32)
    for frame in range(7):
        video[frame, 4:8, 2 * frame : 2 * frame + 4] = 0.8  # at both edges in turn; black at the end
    centres = ink_centres(video)
    np.testing.assert_allclose(centres[:7], [(5.5, 2 * frame + 1.5) for frame in range(7)], rtol=1e-6)
    assert np.isnan(centres[7]).all()
    clear = clear_of_edges(video, centres)
    assert (np.isnan(clear[:, 0]) == [True, *[False] * 5, True, True]).all()
    assert early_velocity(clear) == pytest.approx([0, 2])
