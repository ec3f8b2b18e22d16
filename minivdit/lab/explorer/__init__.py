"""The attention explorer: one HTML page on which a click on a patch shows what it looks at, pattern beside pattern.

collect.py (draw clips and overhear their attention) -> page.py (pack it into one page; page.html, .css and .js are what
it is made of) and picture.py (one choice as a still picture). `explore` is all of it.
"""

from .collect import Look, Rounded, collect, restricted
from .explore import Explorer, explore, load

__all__ = ["Explorer", "Look", "Rounded", "collect", "explore", "load", "restricted"]
