"""Clips and losses made visible: GIFs with captions, frame strips, curves, a summary picture. And clips from files.

imageio, Pillow and matplotlib are imported inside the functions that need them, so importing this
package costs nothing.
"""

from .curves import draw_losses, read_losses, write_curves
from .gif import beside, check_writable, tile, to_uint8, upscale, with_captions, write_clip, write_grid
from .reading import read_clip
from .strips import draw_strip, save_figure, write_strips
from .summary import write_summary

__all__ = [
    "beside",
    "check_writable",
    "draw_losses",
    "draw_strip",
    "read_clip",
    "read_losses",
    "save_figure",
    "tile",
    "to_uint8",
    "upscale",
    "with_captions",
    "write_clip",
    "write_curves",
    "write_grid",
    "write_strips",
    "write_summary",
]
