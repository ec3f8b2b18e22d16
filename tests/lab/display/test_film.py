"""Clips shown in a notebook."""

import io

import numpy as np
from PIL import Image

from minivdit.lab.display import show


def test_clips_are_shown_as_a_gif_with_all_their_frames():
    clips = np.random.default_rng(0).random((2, 5, 8, 12, 1), dtype=np.float32)
    shown = show(clips, captions=["one", "two"], columns=2, factor=4)
    picture = Image.open(io.BytesIO(shown._repr_png_()))
    assert picture.format == "GIF" and picture.n_frames == 5
    assert picture.width > 2 * 12 * 4 and picture.height > 8 * 4
    assert "call write_grid" in repr(shown)
