"""Clips and losses made visible: GIFs with captions, frame strips, curves, a summary picture. And clips from files.

Pillow and matplotlib are imported inside the functions that need them, so importing this package costs nothing.
"""

from ...data.reading import open_clip, read_clip
from ...training.journal import read_losses
from .curves import draw_losses
from .film import show
from .layout import beside, tile, to_uint8, upscale, with_captions
from .strips import draw_strip, plain, save_figure
from .summary import write_summary
from .writing import RATES, check_writable, write_clip, write_grid, write_strips
