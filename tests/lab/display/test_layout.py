"""Clips as pictures: enlarged by whole numbers, side by side, captioned, every one in its place."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from minivdit.data.reading import open_clip
from minivdit.lab import display
from minivdit.lab.display import layout, write_clip


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


def font_of(path, letters):
    """Save a font in which each of these letters is a black square."""
    builder, names = FontBuilder(1000), {ord(letter): f"letter{ord(letter)}" for letter in letters}
    square = TTGlyphPen(None)
    for step, place in ((square.moveTo, (0, 0)), (square.lineTo, (0, 800)), (square.lineTo, (800, 800))):
        step(place)
    square.lineTo((800, 0))
    square.closePath()
    shapes = {".notdef": TTGlyphPen(None).glyph(), **dict.fromkeys(names.values(), square.glyph())}
    builder.setupGlyphOrder(list(shapes))
    builder.setupCharacterMap(names)
    builder.setupGlyf(shapes)
    builder.setupHorizontalMetrics(dict.fromkeys(shapes, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return str(path)


def test_a_font_of_the_machine_draws_what_dejavu_lacks_or_it_is_said_once(tmp_path, monkeypatch, capsys):
    """A caption in Chinese: with no font for it, with a broken one, with one for a part of it, and with one for all."""
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    fonts = [str(tmp_path / "broken.ttf"), font_of(tmp_path / "part.ttf", "上"), font_of(tmp_path / "all.ttf", "上月")]
    layout._tell_of_boxes.cache_clear()
    dark = []
    for count in range(4):
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda count=count: fonts[:count])
        layout._font_file.cache_clear()
        write_clip(tmp_path / "a.gif", np.zeros((2, 24, 24, 1), np.uint8), caption="上 月")
        assert open_clip(tmp_path / "a.gif").caption == "上 月"
        dark.append((layout._draw_text("上 月", 40, 120, 30) > 200).sum())
        assert capsys.readouterr().err.count("no font on this machine has all letters") == (count == 0)
    assert dark[0] == dark[1] < dark[2] == dark[3] // 2
    layout._font_file.cache_clear()  # these fonts will be gone


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
