"""The attention schemes that are compared: a name for the patterns of a model's blocks."""

import difflib

from ..base.errors import InputError

# A scheme's pattern for each block, repeated to the model's depth.
SCHEMES = {
    "perframe": ("frame",),
    "framewise": ("frame", "time"),
    "joint": ("joint",),
    "window": ("window",),
    "skip": ("skip",),
}


def check_scheme(name):
    """Raise InputError, naming the nearest, unless this is one of SCHEMES."""
    if name not in SCHEMES:
        near = difflib.get_close_matches(name, SCHEMES, n=1, cutoff=0.5)
        hint = f"nearest: {near[0]}" if near else f"choose among {', '.join(SCHEMES)}"
        raise InputError(f"{name!r} is not a pattern that can be compared; {hint}")
