"""The one error that a user is meant to read, and how it echoes what was given."""

import difflib


class InputError(ValueError):
    """Something given from outside can't be used: a word, a size, a file, a device.

    The message is one line: what was given, what was expected, what to do.
    The command line prints it without a traceback and exits with code 2.
    """


def shorten(text, most=60):
    """What an error echoes of a text that may be of any length: its beginning and its end."""
    text = str(text)
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


def did_you_mean(word, known):
    """'; did you mean 'sample'?' with the nearest of some known words, or '' if none is near."""
    near = difflib.get_close_matches(word[:60], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
