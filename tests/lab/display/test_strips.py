"""Frame strips: every frame, in order, nothing stretched."""

import numpy as np
from matplotlib.figure import Figure

from minivdit.lab import display


def drawn(clip, **options):
    axes = Figure().subplots()
    display.draw_strip(axes, clip, **options)
    return axes, axes.images[0].get_array()


def test_a_strip_is_the_frames_in_a_row():
    clip = np.random.default_rng(0).random((3, 4, 6, 1), dtype=np.float32)
    axes, row = drawn(clip, caption="a 3 moving up")
    assert row.shape == (4, 3 * 6 + 2) and axes.get_title(loc="left") == "a 3 moving up"
    for index in range(3):
        np.testing.assert_array_equal(row[:, 7 * index : 7 * index + 6], display.to_uint8(clip)[index, ..., 0])


def test_rows_stand_below_each_other():
    clip = np.random.default_rng(0).random((5, 4, 6, 3), dtype=np.float32)
    _, picture = drawn(clip, rows=2)
    assert picture.shape == (2 * 4 + 1, 3 * 6 + 2, 3)
    np.testing.assert_array_equal(picture[5:, 7:13], display.to_uint8(clip)[4])
    assert (picture[4] == 120).all() and (picture[:, 6] == 120).all() and (picture[5:, 14:] == 120).all()


def test_a_long_clip_is_thinned_but_keeps_its_ends():
    clip = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None, None], (60, 2, 2, 1))
    _, row = drawn(clip, most=5)
    np.testing.assert_array_equal(row[0, ::3], [0, 15, 30, 44, 59])


def test_captions_are_drawn_as_they_are(tmp_path):
    """No formulas: an odd or even number of dollar signs, a lone surrogate, a backslash."""
    for caption in ("a 3 $$", "$x_", r"\$5 and $\frac$", "$$$\udc80"):
        axes, _ = drawn(np.zeros((1, 4, 4, 1), np.uint8), caption=caption, label=caption)
        display.save_figure(tmp_path / "figure.png", axes.figure)
        title = axes.title if axes.title.get_text() else axes._left_title
        shown, is_formula = title._preprocess_math(title.get_text())
        assert shown == caption.replace("\udc80", "?") and not is_formula
