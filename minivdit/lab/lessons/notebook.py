"""The one setting that makes every chapter short enough for tests."""

import os

SETTING = "MINIVDIT_LESSONS"


def size(full, short):
    """`full`; or `short` where the environment variable MINIVDIT_LESSONS is 'short', as it is in the tests.

    Chapters call it for numbers that only say how much is computed: steps, tokens, repetitions.
    """
    return short if os.environ.get(SETTING) == "short" else full
