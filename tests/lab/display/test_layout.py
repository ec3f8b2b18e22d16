"""Clips as pictures: enlarged by whole numbers, side by side, captioned, every one in its place."""

import numpy as np
import pytest

from minivdit.lab import display
from minivdit.lab.display import layout


@pytest.fixture
def clips():
    """Four random clips of 5 frames, 12 x 20 pixels: every frame differs, no side is square."""
    return np.random.default_rng(0).random((4, 5, 12, 20, 1), dtype=np.float32)


def test_bytes_are_rounded_and_values_that_are_no_video_are_refused():
    np.testing.assert_array_equal(display.to_uint8(np.float32([0, 0.5, 0.999, 1])), [0, 128, 255, 255])
    for bad in (np.float32([1.5]), np.float32([-0.1]), np.float32([np.nan])):
        with pytest.raises(ValueError, match="values in"):
            display.to_uint8(bad)


def test_upscale_repeats_pixels(clips):
    large = display.upscale(clips, 3)
    assert large.shape == (4, 5, 36, 60, 1)
    np.testing.assert_array_equal(large[:, :, 1::3, 2::3], clips)
    assert display.upscale(clips).shape == (4, 5, 132, 220, 1)


@pytest.mark.parametrize(
    ("clips", "height", "width", "factor"),
    [
        (1, 64, 64, 4),
        (1, 64, 96, 3),
        (1, 16, 16, 16),
        (1, 300, 300, 1),
        (2, 64, 64, 2),
        (1, 2000, 8, 2),
        (1, 9000, 8, 1),
    ],
)
def test_a_single_clip_is_at_least_256_pixels_wide(clips, height, width, factor):
    assert layout.enlargement(clips, height, width) == factor


def test_clips_stand_side_by_side_in_the_given_order(clips):
    both = display.beside(clips, 1 - clips, gap=2)
    assert both.shape == (4, 5, 12, 42, 1)
    np.testing.assert_array_equal(both[..., :20, :], display.to_uint8(clips))
    np.testing.assert_array_equal(both[..., 22:, :], display.to_uint8(1 - clips))
    with pytest.raises(ValueError, match="equal"):
        display.beside(clips, clips[:, :3])


def test_a_grid_has_every_clip_in_its_place(clips):
    picture = display.tile(clips[:3], columns=2, gap=1)
    assert picture.shape == (5, 2 * 13 + 1, 2 * 21 + 1, 1)
    for index, (top, left) in enumerate([(1, 1), (1, 22), (14, 1)]):
        place = picture[:, top : top + 12, left : left + 20]
        np.testing.assert_array_equal(place, display.to_uint8(clips[index]))
    assert (picture[:, 14:26, 22:42] == layout.BACKGROUND).all()  # the empty cell


def test_letters_beyond_ascii_are_no_boxes():
    letters = [layout._draw_text(letter, 40, 40, 30) for letter in "éèжωש"]
    assert all((one != other).any() for number, one in enumerate(letters) for other in letters[:number])


def test_captions_stand_beneath_and_differ(clips):
    clips = display.upscale(clips[:2], 5)
    long = "a 3 moving up and right and a 7 moving down and left"
    captioned = display.with_captions(clips, ["a 3", long])
    np.testing.assert_array_equal(captioned[:, :, :60], display.to_uint8(clips))
    bands = captioned[:, :, 60:]
    ink = (bands > 128).sum(axis=(1, 2, 3, 4))
    assert 0 < ink[0] < ink[1]
    assert bands.shape[2] > 2 * 13  # the long one was wrapped into more lines
    assert not (bands[:, :, :, [0, 1, -1]] > 128).any()  # and isn't cut at the sides
    with pytest.raises(ValueError, match="captions"):
        display.with_captions(clips, ["one only"])
