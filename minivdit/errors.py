"""The one error that a user is meant to read."""


class InputError(ValueError):
    """Something given from outside can't be used: a word, a size, a file, a device.

    The message is one line: what was given, what was expected, what to do.
    The command line prints it without a traceback and exits with code 2.
    """
