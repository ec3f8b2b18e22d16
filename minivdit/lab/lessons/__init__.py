"""What the chapters need beside the library: checks of exercises, a clip shown in a notebook, sizes that can shrink.

It is part of the package, and not of the chapters' folder, so that a notebook opened by itself needs nothing else.
"""

from . import check
from .notebook import installed, mpiexec, size
