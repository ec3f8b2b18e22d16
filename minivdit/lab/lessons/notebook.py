"""Clips shown in a notebook, and the one setting that makes every chapter short enough for tests."""

import os
import tempfile
from pathlib import Path

from ..display import write_grid

SETTING = "MINIVDIT_LESSONS"


def size(full, short):
    """`full`; or `short` where the environment variable MINIVDIT_LESSONS is 'short', as it is in the tests.

    Chapters call it for numbers that only say how much is computed: steps, tokens, repetitions.
    """
    return short if os.environ.get(SETTING) == "short" else full


class Film:
    """A GIF that calls itself a PNG: pages that show notebooks let PNGs through, and browsers look at the content."""

    def __init__(self, gif):
        self.gif = gif

    def _repr_png_(self):
        return self.gif


def show_clips(*videos, captions=None, columns=None, factor=None, frames_per_second=6):
    """Batches of clips (B, T, H, W, C) as one moving picture, a Film; arguments as for `display.write_grid`.

    As the last line of a notebook's cell it is shown.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clips.gif"
        write_grid(
            path, *videos, captions=captions, columns=columns, factor=factor, frames_per_second=frames_per_second
        )
        return Film(path.read_bytes())
