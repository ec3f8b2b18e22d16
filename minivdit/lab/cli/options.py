"""How the command line reads and explains its options: errors of one line that name the nearest, and the defaults.

An option's help ends in '(default: 40)' by itself. Where the default isn't a fixed value, the help says it so.
"""

import argparse
import inspect

from ...base.errors import InputError, did_you_mean, shorten
from .arguments import number, path, path_type, seed, size, whole


class Help(argparse.RawDescriptionHelpFormatter):
    """Wraps text but for lists, whose lines begin with spaces; adds each default in the same form."""

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
    """argparse with errors of one line, like all others here, that name the nearest command, option or value."""

    def __init__(self, **options):
        super().__init__(formatter_class=Help, **options)
        self.color = False  # colours are control characters, which console.Stream shows instead of sending them

    def add_argument(self, *names, **options):
        """Every FILE and DIR is a path, and places to write to are looked at before any work."""
        if kind := path_type(names[0], options.get("metavar")):
            options["type"] = kind
        return super().add_argument(*names, **options)

    def error(self, message):
        hint = "" if message.endswith("?") else f"; see '{self.prog} --help'"
        raise InputError(shorten(message, 300) + hint)

    def parse_known_args(self, args=None, namespace=None):
        namespace, unknown = super().parse_known_args(args, namespace)
        if not hasattr(namespace, "given"):  # a command's parser comes first
            usual = {action.dest: action.default for action in self._actions}
            namespace.given = {name for name, value in vars(namespace).items() if value != usual.get(name, value)}
        if not unknown:
            return namespace, unknown
        word = next((word for word in unknown if word.startswith("-")), unknown[0])
        if not word.startswith("-"):
            self.error(f"{shorten(word)!r} is one argument too many; put a caption in quotes")
        name = word.partition("=")[0]
        if any(name == f"--{action.dest}" and not action.option_strings for action in self._actions):
            self.error(f"{name!r} is not an option; leave {name} itself out, and give what stands after it alone")
        self.error(f"{shorten(name)!r} is not an option{did_you_mean(name, self._option_string_actions)}")

    def _check_value(self, action, value):
        if action.choices is None or value in action.choices:
            return
        near = did_you_mean(str(value), [str(choice) for choice in action.choices])
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"{shorten(value)!r} is not a command{near}")
        near = near or f"; choose {', '.join(map(str, action.choices))}"
        raise argparse.ArgumentError(action, f"{shorten(value)!r} is not known{near}")


def require_effect(options, when, *names):
    """Raise InputError if one of these options was given. when: in which case they have no effect: 'for a .png'."""
    for name in names:
        if name in options.given:
            raise InputError(f"--{name.replace('_', '-')} has no effect {when}; leave it out")


def says(text):
    """Sets a command's docstring, which its help shows; python -OO would drop one that is written as usual."""

    def set_docstring(run):
        run.__doc__ = inspect.cleandoc(text)
        return run

    return set_docstring


def add_output(parser, rate="as a given clip has them, otherwise 8"):
    """What the commands that write one file of clips share. rate: which one is usual, in words."""
    out = "file to write: .gif, .mp4, or .png for a strip of frames"
    parser.add_argument("--out", default="clip.gif", metavar="FILE", help=out)
    plain = "write only the clip's own pixels, without frame and caption"
    parser.add_argument("--plain", action="store_true", help=plain)
    fps = f"frames a second in the file (default: {rate})"
    parser.add_argument("--fps", type=number(0, 1000), metavar="X", help=fps)
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="the same seed draws the same clip")
    negative = "a caption of what to keep away from, in quotes (default: none)"
    parser.add_argument("--negative", metavar="TEXT", help=negative)
    add_drawing(parser)
    add_weights(parser)
    add_device(parser)


def add_shape(parser):
    """Length and size of clips."""
    frames = "number of frames of a clip (default: as in training)"
    parser.add_argument("--frames", type=whole(1), metavar="N", help=frames)
    parser.add_argument(
        "--size", type=size, metavar="HxW", help="height x width of a clip in pixels (default: as in training)"
    )


def add_drawing(parser):
    """How clips are drawn."""
    steps = "denoising steps; more are slower and finer (default: as the weights say, 40 for those that ship)"
    parser.add_argument("--steps", type=whole(1, 100_000), metavar="N", help=steps)
    guidance = "how strongly the caption pulls: 0 not at all, 1 as learnt, 3 strongly (default: as the weights say, 3)"
    parser.add_argument("--guidance", type=number(-1000, 1000), metavar="X", help=guidance)
    samplers = ("euler", "ddim", "ddpm", "dpm_solver")
    sampler = "how a step is taken (default: as the weights say, ddpm)"
    parser.add_argument("--sampler", choices=samplers, help=sampler)


WEIGHTS = """\
  joint      every patch sees all patches of all frames
  framewise  a patch sees its own frame and its place in other frames, in turn
  perframe   a patch sees its own frame only: nothing links the frames
  small      like joint, but for clips of 32x32 pixels and 8 frames"""


def add_weights(parser, usual="joint", **options):
    """Which weights draw."""
    group = parser.add_argument_group("weights", f"These come with minivdit:\n\n{WEIGHTS}")
    several = "; may be given several times" * bool(options)
    meaning = f"a file of weights, the folder of a run, or one of these names{several} (default: {usual})"
    group.add_argument("--weights", type=path, metavar="FILE", help=meaning, **options)


def add_device(parser):
    """Where arrays are."""
    device = "where to compute; gpu needs CuPy, auto takes it if it is there"
    parser.add_argument("--device", choices=("cpu", "gpu", "auto"), default="cpu", help=device)
    kernels = "use minivdit's own CUDA kernels on a GPU; off leaves all to CuPy"
    parser.add_argument("--kernels", choices=("on", "off"), default="on", help=kernels)


def add_digits(parser, default="auto", usual="auto"):
    """Which digits clips are made of."""
    data = "folder of MNIST (default: $MINIVDIT_DATA, or else the cache folder)"
    parser.add_argument("--data", metavar="DIR", help=data)
    digits = (
        "mnist is fetched if it isn't there; strokes are drawn by a pen that is built in; auto is mnist if it is "
        f"there, otherwise strokes (default: {usual})"
    )
    parser.add_argument("--digits", choices=("auto", "mnist", "strokes"), default=default, help=digits)
