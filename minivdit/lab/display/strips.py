"""Clips in matplotlib's figures: all frames in a row, the caption above."""

import numpy as np

from ...base.files import atomic_write
from .layout import to_uint8


def draw_strip(axes, clip, caption=None, label=None, most=16, rows=1):
    """Draw the frames of one clip (T, H, W, C) side by side into matplotlib axes.

    Longer clips are thinned to `most` frames, evenly, first and last kept. rows: so many equal rows, one below the
    other; the last one may end early.
    """
    clip = to_uint8(clip)
    frames = clip[np.unique(np.linspace(0, len(clip) - 1, most).round().astype(int))]
    _, height, width, channels = frames.shape
    across = -(-len(frames) // rows)
    picture = np.full((rows * (height + 1) - 1, across * (width + 1) - 1, channels), 120, np.uint8)  # gaps are grey
    for index, frame in enumerate(frames):
        y, x = index // across * (height + 1), index % across * (width + 1)
        picture[y : y + height, x : x + width] = frame
    picture = picture[..., 0] if channels == 1 else picture
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)
    if caption:
        axes.set_title(plain(caption), fontsize=9, loc="left", pad=3)
    if label:
        axes.set_ylabel(plain(label), fontsize=8, rotation=0, ha="right", va="center")


def plain(text):
    """A text that matplotlib draws as it is; else it takes what stands between dollar signs for a formula."""
    return text.encode(errors="replace").decode().replace("$", r"\$")


def save_figure(path, figure):
    """Write a matplotlib figure to a file that is either whole or not there; the ending chooses the format."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)
