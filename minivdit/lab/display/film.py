"""Pictures and clips shown in a notebook."""

from ...base.files import write_file
from .writing import grid_bytes


class Picture:
    """A PNG that a notebook shows as the last line of a cell. png: bytes."""

    def __init__(self, png):
        self.png = png

    def _repr_png_(self):
        return self.png

    def save(self, path):
        """Write it to a file."""
        write_file(path, self.png)


class Film(Picture):
    """A GIF that calls itself a PNG: pages that show notebooks let PNGs through, and browsers look at the content."""

    def __repr__(self):
        return f"a moving picture of {len(self.png):,} bytes: a notebook shows it; to keep it, call write_grid"


def show(*videos, captions=None, columns=None, factor=None, frames_per_second=6):
    """Batches of clips (B, T, H, W, C) as one moving picture, a Film; arguments as for `write_grid`.

    A notebook shows it if it stands in the last line of a cell. In a script, write a file with `write_grid`.
    """
    how = {"captions": captions, "columns": columns, "factor": factor, "frames_per_second": frames_per_second}
    return Film(grid_bytes(*videos, **how))
