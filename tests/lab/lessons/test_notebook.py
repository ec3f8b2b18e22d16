"""What chapters use beside the library: sizes that shrink for tests, clips shown as moving pictures."""

import io

import numpy as np
import pytest
from PIL import Image

from minivdit.lab.lessons import show_clips, size


@pytest.mark.parametrize(("setting", "expected"), [(None, 100), ("", 100), ("short", 3)])
def test_a_size_is_short_only_where_the_setting_says_so(monkeypatch, setting, expected):
    if setting is None:
        monkeypatch.delenv("MINIVDIT_LESSONS", raising=False)
    else:
        monkeypatch.setenv("MINIVDIT_LESSONS", setting)
    assert size(100, 3) == expected


def test_clips_are_shown_as_a_gif_with_all_their_frames():
    clips = np.random.default_rng(0).random((2, 5, 8, 12, 1), dtype=np.float32)
    shown = show_clips(clips, captions=["one", "two"], columns=2, factor=4)
    picture = Image.open(io.BytesIO(shown._repr_png_()))
    assert picture.format == "GIF" and picture.n_frames == 5
    assert picture.width > 2 * 12 * 4 and picture.height > 8 * 4
