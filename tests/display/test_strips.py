"""Frame strips: every frame, in order, nothing stretched."""

import imageio.v3 as imageio
import numpy as np
from matplotlib.figure import Figure

from minivdit import display


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


def test_a_long_clip_is_thinned_but_keeps_its_ends():
    clip = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None, None, None], (60, 2, 2, 1))
    _, row = drawn(clip, most=5)
    np.testing.assert_array_equal(row[0, ::3], [0, 15, 30, 44, 59])


def test_strips_are_written_as_a_picture(tmp_path):
    clips = [np.ones((3, 8, 8, 1), np.float32), np.zeros((5, 8, 12, 1), np.float32)]  # lengths and sizes may differ
    display.write_strips(tmp_path / "strips.png", clips, ["all white", "all black"], labels=["real", "drawn"])
    picture = imageio.imread(tmp_path / "strips.png")[..., :3]
    assert picture.shape[1] == 1200
    assert (picture == 0).all(-1).sum() > 1000  # the black clip is in it
    display.write_strips(tmp_path / "one.png", clips[:1])
    assert (tmp_path / "one.png").stat().st_size > 0
