"""The attention explorer: one HTML page on which a click on a patch shows what it looks at, pattern beside pattern.

collect.py draws clips and records their attention, page.py packs that into one page (from page.html, .css and .js),
picture.py draws one choice of it as a still picture. `explore` calls all three.
"""

from .collect import Recording, Rounded, collect, restricted
from .explore import ORDER, Explorer, describe, explore, load, with_own_names
