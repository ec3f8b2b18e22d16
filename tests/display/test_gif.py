"""GIFs: what is written is what was given, at the right speed, and bad input is refused."""

import errno
import sys

import imageio.v3 as imageio
import numpy as np
import pytest

from minivdit import display
from minivdit.display import gif
from minivdit.errors import InputError


@pytest.fixture
def clips():
    """Four random clips of 5 frames, 12 x 20 pixels: every frame differs, no side is square."""
    return np.random.default_rng(0).random((4, 5, 12, 20, 1), dtype=np.float32)


def test_a_gif_holds_the_same_pixels(tmp_path, clips):
    display.write_clip(tmp_path / "clip.gif", clips[0], frames_per_second=10)
    read = imageio.imread(tmp_path / "clip.gif", plugin="pillow", mode="L")
    np.testing.assert_array_equal(read, np.rint(clips[0, ..., 0] * 255).astype(np.uint8))
    about = imageio.immeta(tmp_path / "clip.gif", plugin="pillow")
    assert about["duration"] == 100 and about["loop"] == 0  # ms a frame; for ever


def test_a_coloured_gif_keeps_its_shape_and_its_colours(tmp_path):
    clip = np.zeros((2, 6, 8, 3), np.uint8)
    clip[0, ..., 0], clip[1, ..., 2] = 200, 100
    display.write_clip(tmp_path / "clip.gif", clip)
    read = imageio.imread(tmp_path / "clip.gif", plugin="pillow", mode="RGB")
    np.testing.assert_allclose(read.astype(int), clip, atol=8)


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
    assert (picture[:, 14:26, 22:42] == gif.BACKGROUND).all()  # the empty cell


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


def test_the_grid_of_pairs_is_one_call(tmp_path, clips):
    display.write_grid(tmp_path / "pairs.gif", clips, clips, captions=["a 1", "a 2", "a 3", "a 4"], columns=2)
    read = imageio.imread(tmp_path / "pairs.gif", plugin="pillow", mode="L")
    assert len(read) == 5
    assert read.shape[2] == 2 * (11 * 41 + 4) + 4  # two columns of two clips, a gap of one pixel, enlarged 11 times


def test_unusable_names_are_one_line_errors(tmp_path, clips, monkeypatch):
    with pytest.raises(InputError, match=r"ends in \.gif"):
        display.write_clip(tmp_path / "clip.avi", clips[0])
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(gif.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="PyAV"):
        display.write_clip(tmp_path / "clip.mp4", clips[0])
    with pytest.raises(ValueError, match="one clip"):
        display.write_clip(tmp_path / "clip.gif", clips)
    assert list(tmp_path.iterdir()) == []


def test_mp4_where_pyav_is_installed(tmp_path, clips):
    pytest.importorskip("av", reason="PyAV is not installed")
    display.write_clip(tmp_path / "clip.mp4", display.upscale(clips, 5)[0, :, :-5, :-3])  # odd sides are padded
    read = imageio.imread(tmp_path / "clip.mp4", plugin="pyav")
    assert read.shape[0] == 5 and read.shape[1] % 2 == 0 and read.shape[2] % 2 == 0


def test_a_full_disk_keeps_the_earlier_file(tmp_path, clips, monkeypatch):
    path = tmp_path / "clip.gif"
    display.write_clip(path, clips[0])
    before = path.read_bytes()

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(imageio, "imwrite", full)
    with pytest.raises(InputError, match="No space left"):
        display.write_clip(path, clips[1])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
