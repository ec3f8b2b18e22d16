"""What the arguments of the command line may be: sizes, numbers, and paths, which are looked at before any work."""

import argparse
import math
import os

from ...base.errors import InputError, shorten


def refuse(text, expected):
    raise argparse.ArgumentTypeError(f"{shorten(text)!r} is not {expected}")


OUTPUTS = ("--out", "--keep", "--readme")
# Where MINIVDIT_SHORT is 1, no option is above these, and `tiny` takes the place of every other preset.
SHORT = {"steps": 2, "minutes": 0.05, "prompts": 2, "seeds": 1, "turns": 1}


def size(text):
    """'64x96' as (height, width); one number means a square."""
    sides = text.lower().split("x")
    if not (1 <= len(sides) <= 2 and all(side.isdecimal() and len(side) < 6 and int(side) > 0 for side in sides)):
        refuse(text, "a size; give height x width in pixels, such as 64x64")
    return int(sides[0]), int(sides[-1])


def whole(least, most=10**6):
    """A converter to whole numbers from `least` to `most`."""

    def convert(text):
        digits = text.removeprefix("-")
        if not (digits.isdecimal() and len(digits) < 30 and least <= int(text) <= most):
            refuse(text, f"a whole number from {least} to {most:,}")
        return int(text)

    return convert


def number(least, most):
    """A converter to numbers from `least` to `most`; where `least` is 0 they must be above it."""

    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (least < value <= most or value == least != 0):
            refuse(text, f"a number {f'from {least:,}' if least else 'above 0 and up'} to {most:,}")
        return value

    return convert


seed = whole(0, 2**63 - 1)


def path(text):
    """A path with ~ for the home folder, which shells leave after --out= ; no device and no pipe."""
    written = os.path.expanduser(text)
    try:
        longest = max(map(len, os.fsencode(written).split(os.fsencode(os.sep))))
    except UnicodeEncodeError:  # a lone surrogate
        longest = math.inf
    if not text or "\0" in text or longest > 255:
        refuse(text, "a path: it is empty, a name in it is too long, or no system can write it")
    if written.startswith("~") and os.sep in written:
        raise argparse.ArgumentTypeError(
            f"{shorten(text)!r} is the home of a user who isn't here; write ./~ for a folder so named"
        )
    if os.path.exists(written) and not (os.path.isfile(written) or os.path.isdir(written)):
        raise argparse.ArgumentTypeError(f"{shorten(text)} is a device or a pipe; give a file or a folder")
    return written


def named_path(text):
    """NAME=FILE, its file as a path."""
    name, sign, file = text.partition("=")
    return name + sign + (path(file) if file else "")  # the command says what is missing


def output_file(text, folder=False):
    """A path at which a file (or a folder) can be written."""
    from ...base.files import check_target

    written = path(text)
    try:
        check_target(written, folder)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return written


def output_folder(text):
    """A path at which a folder stands or can be made."""
    return output_file(text, folder=True)


def path_type(name, metavar):
    """The converter of an argument of this name, called so in the help, or None if it is no path."""
    if name in OUTPUTS:
        return {"FILE": output_file, "DIR": output_folder}[metavar]
    return {"FILE": path, "DIR": path, "NAME=FILE": named_path}.get(metavar)


def cut_down(options):
    """The options; where the environment variable MINIVDIT_SHORT is 1, as tests set it, cut down to take seconds.

    The command stays the same and writes the same files, only smaller or worse ones.
    """
    if os.environ.get("MINIVDIT_SHORT") == "1":
        instead = {"steps"} if getattr(options, "minutes", None) else set()
        for name in (SHORT.keys() & vars(options)) - instead:
            setattr(options, name, min(getattr(options, name) or SHORT[name], SHORT[name]))
        if getattr(options, "preset", None):
            options.preset = "tiny"
    return options
