"""Clips in matplotlib's figures: all frames in a row, the caption above."""

import numpy as np

from ...base.files import atomic_write
from .layout import to_uint8


def draw_strip(axes, clip, caption=None, label=None, most=16):
    """Draw the frames of one clip (T, H, W, C) side by side into matplotlib axes.

    Longer clips are thinned to `most` frames, evenly, first and last kept.
    """
    clip = to_uint8(clip)
    frames = clip[np.unique(np.linspace(0, len(clip) - 1, most).round().astype(int))]
    gap = np.full((*frames.shape[:2], 1, frames.shape[3]), 120, np.uint8)
    row = np.concatenate([part for frame in zip(frames, gap) for part in frame][:-1], axis=1)  # (H, T W + gaps, C)
    row = row[..., 0] if row.shape[-1] == 1 else row
    axes.imshow(row, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
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
