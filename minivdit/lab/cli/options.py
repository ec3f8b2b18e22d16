"""How the command line reads and explains its options: what a value may be, errors of one line, and the help.

An option's help ends in '(default: 40)' by itself. Where the default isn't a fixed value, the help says it so.
"""

import argparse
import inspect
import math
import os
import re

from ...base.errors import InputError, did_you_mean, shorten

# Where MINIVDIT_SHORT is 1, no option is above these, and `tiny` takes the place of every other preset.
SHORT = {"steps": 2, "minutes": 0.05, "prompts": 2, "seeds": 1, "turns": 1}


class Help(argparse.RawDescriptionHelpFormatter):
    """Wraps paragraphs, but not lists, whose lines begin with spaces. Adds each default in the same form."""

    def _fill_text(self, text, width, indent):
        wrap = argparse.HelpFormatter._fill_text
        paragraphs = text.split("\n\n")
        return "\n\n".join(part if "\n  " in part else wrap(self, part, width, indent) for part in paragraphs)

    def _get_help_string(self, action):
        may_be_left_out = action.option_strings or action.nargs == "?"
        fixed = action.default or (action.default == 0 and action.default is not False)
        said = "(default: " in action.help or action.default == argparse.SUPPRESS
        return action.help + " (default: %(default)s)" * bool(may_be_left_out and fixed and not said)


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line, like all others here, that name the nearest command, option or value.

    elsewhere: {option that isn't here: where it is}, for an error that would help more than the nearest name.
    """

    elsewhere = {}

    def __init__(self, **options):
        super().__init__(formatter_class=Help, **options)
        self._negative_number_matcher = re.compile(r"-[\d.][\d.,-]*$")  # -2,0 is a value, too, and no option
        self.color = False  # colours are control characters, which console.Stream shows instead of sending them

    def add(self, name, kind, help, default=None, **more):
        """Take an option, or an argument if its name has no dashes.

        kind: a function that converts the text to a value, such as those below; its `metavar` is what help calls the
        text. Or a tuple of choices, or bool for a switch. more: see argparse's add_argument.
        """
        if kind is bool:
            return self.add_argument(name, action="store_true", help=help)
        if isinstance(kind, tuple):
            return self.add_argument(name, choices=kind, default=default, help=help, **more)
        more = {"metavar": getattr(kind, "metavar", None), **more}
        return self.add_argument(name, type=kind, default=default, help=help, **more)

    def error(self, message):
        hint = "" if message.endswith("?") else f"; see '{self.prog} --help'"
        raise InputError(shorten(message, 300) + hint)

    def parse_known_args(self, args=None, namespace=None):
        namespace, unknown = super().parse_known_args(args, namespace)
        if not hasattr(namespace, "given"):  # a command's parser comes first
            usual = {action.dest: action.default for action in self._actions}
            namespace.given = {name for name, value in vars(namespace).items() if value != usual.get(name, value)}
            namespace.words = args  # as they were given
        if not unknown:
            return namespace, unknown
        word = next((word for word in unknown if word.startswith("-")), unknown[0])
        if not word.startswith("-"):
            folder = "--clips" in self._option_string_actions and os.path.isdir(word)
            cure = "write --clips before a folder" if folder else "put a caption in quotes"
            self.error(f"{shorten(word)!r} is one argument too many; {cure}")
        name = word.partition("=")[0]
        if any(name == f"--{action.dest}" and not action.option_strings for action in self._actions):
            self.error(f"{name!r} is not an option; leave {name} itself out, and give what stands after it alone")
        hint = self.elsewhere.get(name) or did_you_mean(name, self._option_string_actions)
        self.error(f"{shorten(name)!r} is not an option{hint}")

    def _check_value(self, action, value):
        if action.choices is None or value in action.choices:
            return
        near = did_you_mean(str(value), [str(choice) for choice in action.choices])
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"{shorten(value)!r} is not a command{near}")
        near = near or f"; choose {', '.join(map(str, action.choices))}"
        raise argparse.ArgumentError(action, f"{shorten(value)!r} is not known{near}")


class Commands:
    """The commands of a parser. Its help lists them, in their order, under the headings of their kinds."""

    def __init__(self, parser):
        self.parser = parser
        parser.usage = parser.format_usage().removeprefix("usage: ").strip() + " COMMAND ..."
        self.parsers = parser.add_subparsers(prog=parser.prog, help=argparse.SUPPRESS)  # the description lists them

    def heading(self, text):
        self.parser.description += f"\n\n{text}:\n"

    def add(self, run, text, name=None):
        """The Parser of a new command, whose name is that of the function `run` unless another is given.

        text: its help. The first line is a sentence, which also stands in the list of commands. After a line
        'examples:' come commands, one a line.
        """
        description, _, examples = inspect.cleandoc(text).partition("\n\nexamples:\n")
        name, summary = name or run.__name__, description.splitlines()[0].rstrip(".")
        self.parser.description += f"    {name:12}{summary[0].lower()}{summary[1:]}\n"
        made = self.parsers.add_parser(name, description=description, epilog=f"examples:\n{examples}")
        made.set_defaults(run=run, command=name)
        return made


def require_effect(options, when, *names):
    """Raise InputError if one of these options was given. when: in which case they have no effect: 'for a .png'."""
    for name in names:
        if name in options.given:
            raise InputError(f"--{name.replace('_', '-')} has no effect {when}; leave it out")


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


# Converters: each makes a value of a text, or refuses the text in one line -------------------------------------------


def shown_as(metavar):
    """Sets what help calls the text that a function converts."""

    def mark(convert):
        convert.metavar = metavar
        return convert

    return mark


def refuse(text, expected):
    raise argparse.ArgumentTypeError(f"{shorten(text)!r} is not {expected}")


@shown_as("HxW")
def size(text):
    """'64x96' as (height, width); one number means a square."""
    sides = text.lower().split("x")
    if not (1 <= len(sides) <= 2 and all(side.isdecimal() and len(side) < 6 and int(side) > 0 for side in sides)):
        refuse(text, "a size; give height x width in pixels, such as 64x64")
    return int(sides[0]), int(sides[-1])


@shown_as("PATH")
def way_points(text):
    """'8,8 40,24' as [(8.0, 8.0), (40.0, 24.0)]: rows and columns in pixels."""
    try:
        points = [tuple(map(float, point.split(","))) for point in text.split()]
    except ValueError:
        points = []
    if len(points) < 2 or any(len(point) != 2 or not all(map(math.isfinite, point)) for point in points):
        refuse(text, 'a path; give two or more way points row,column in quotes, such as "8,8 40,24 8,40"')
    return points


@shown_as("Y,X")
def velocity(text):
    """'0,-2' as (0.0, -2.0): rows and columns in pixels a frame."""
    try:
        steps = tuple(map(float, text.split(",")))
    except ValueError:
        steps = ()
    if len(steps) != 2 or not all(map(math.isfinite, steps)):
        refuse(text, "a velocity; give rows,columns in pixels a frame, such as 0,-2 for 2 to the left")
    return steps


@shown_as("BRUSH")
def brush(text):
    """'4,2 20,16', two corners row,column of a box, as [(4.0, 2.0), (20.0, 16.0)]; or else the path of a picture."""
    try:
        corners = [tuple(map(float, corner.split(","))) for corner in text.split()]
    except ValueError:
        return path(text)
    if len(corners) != 2 or any(len(corner) != 2 or not all(map(math.isfinite, corner)) for corner in corners):
        refuse(text, 'a brush; give a picture, or two corners row,column of a box in quotes, such as "4,2 20,16"')
    return corners


def whole(least, most=10**6):
    """A converter to whole numbers from `least` to `most`."""

    @shown_as("N")
    def convert(text):
        digits = text.removeprefix("-")
        if not (digits.isdecimal() and len(digits) < 30 and least <= int(text) <= most):
            refuse(text, f"a whole number from {least} to {most:,}")
        return int(text)

    return convert


def number(least, most):
    """A converter to numbers from `least` to `most`; where `least` is 0 they must be above it."""

    @shown_as("X")
    def convert(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (least < value <= most or value == least != 0):
            refuse(text, f"a number {f'from {least:,}' if least else 'above 0 and up'} to {most:,}")
        return value

    return convert


def several(convert):
    """A converter to a list, of values that `convert` makes of what stands between commas."""

    @shown_as(f"{convert.metavar}[,{convert.metavar}...]")
    def read(text):
        return [convert(part.strip()) for part in text.split(",")]

    return read


@shown_as("A,B")
def names(text):
    """'joint, skip' as ['joint', 'skip']."""
    return [name for part in text.split(",") if (name := part.strip())]


seed = whole(0, 2**63 - 1)


@shown_as("FILE")
def path(text):
    """A path to read, with ~ for the home folder, which shells leave after --out= ; no device and no pipe."""
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


@shown_as("FILE")
def output_file(text, folder=False):
    """A path at which a file (or a folder) can be written, checked before any work."""
    from ...base.files import check_target

    written = path(text)
    try:
        check_target(written, folder)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return written


@shown_as("DIR")
def output_folder(text):
    """A path at which a folder stands or can be made."""
    return output_file(text, folder=True)
