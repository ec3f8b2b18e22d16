"""What a notebook asks of its surroundings: may it take its time, and which packages are there?"""

import importlib.util
import os

SETTING = "MINIVDIT_LESSONS"


def size(full, short):
    """`full`; or `short` where the environment variable MINIVDIT_LESSONS is 'short', as it is in the tests.

    Chapters call it for numbers that only say how much is computed: steps, tokens, repetitions.
    """
    return short if os.environ.get(SETTING) == "short" else full


def installed(*packages):
    """Whether all these packages are there. Where one is missing, it prints that the cell is skipped, and the cure."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        print(f"Skipped, because {' and '.join(missing)} isn't installed: pip install 'minivdit[bridge]'.")
    return not missing
