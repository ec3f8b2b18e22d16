"""The command line: the parser put together from its families, and how an error is told.

An error that a user can mend is one line on stderr and exit code 2; Ctrl-C is 130. MINIVDIT_DEBUG=1 shows tracebacks;
MINIVDIT_SHORT=1 makes every command take seconds, for tests. Where MPI started several processes, the first one speaks.
"""

import errno
import os

from ... import __version__
from ...base import console, ranks
from ...base.errors import InputError, shorten
from ...base.stopping import told_of_signals
from . import (
    abilities,
    bench,
    compare,
    costs,
    data,
    demo,
    doctor,
    draw,
    explore,
    judge,
    kernels,
    lessons,
    recipes,
    studio,
    train,
)
from .options import Commands, Parser, cut_down

FAMILIES = {
    "begin": [demo.add_demo],
    "draw": [draw.add_sample, *abilities.ABILITIES],
    "see inside": [studio.add_studio, explore.add_explore],
    "train and judge": [
        train.add_train,
        costs.add_costs,
        recipes.add_recipes,
        judge.add_evaluate,
        compare.add_compare,
        compare.add_study,
        compare.add_scaling,
        judge.add_card,
    ],
    "teach": [lessons.add_lessons],
    "data and machine": [data.add_data, bench.add_bench, kernels.add_kernels, doctor.add_doctor],
}


def main(arguments=None):
    """Run one command; returns the exit code: 0, or 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM, 1 for a bug."""
    rank, _ = ranks.launched()
    with console.streams_that_never_fail(show=rank == 0) as out:
        us = ranks.Ranks()  # this process alone, until it has found others
        try:
            us = ranks.here()
            options = cut_down(build_parser().parse_args(arguments))
            require_one_rank(options, us.size)
            if us.size > 1:
                us.require_alike({"command": getattr(options, "command", None)}, "do")
            with told_of_signals():
                code = options.run(options) or 0
            us.meet()
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("MINIVDIT_DEBUG") == "1":
                raise
            message, code = explain(error)
            if not isinstance(error, ranks.Told):
                message, code = us.tell(message, code)
            console.complain(message)
        out.flush()
        if isinstance(out.error, OSError) and not isinstance(out.error, BrokenPipeError):
            console.complain(f"not all could be printed: {explain(out.error)[0]}")
            code = code or 2
    return code


def build_parser():
    """The Parser of the whole command line; it leaves the function to run in `options.run`."""
    parser = Parser(
        prog="minivdit",
        description="A text-to-video diffusion transformer written by hand on NumPy, trained on moving digits.",
        epilog="Begin with 'minivdit demo'. 'minivdit COMMAND --help' explains a command and gives examples.",
    )
    parser.add_argument("--version", action="version", version=f"minivdit {__version__}")
    parser.set_defaults(run=lambda options: parser.print_help())
    commands = Commands(parser)
    for heading, families in FAMILIES.items():
        commands.heading(heading)
        for add_command in families:
            add_command(commands)
    return parser


def require_one_rank(options, ranks):
    """Raise InputError where several ranks were started for a command that doesn't share out its work."""
    if ranks > 1 and not getattr(options, "on_ranks", False):
        command = getattr(options, "command", "the list of commands")
        raise InputError(f"{command} is done by one process, and {ranks} were started; leave mpiexec (or srun) out")


def explain(error):
    """A message for a user, and the exit code, for anything that a command may raise."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "stopped", getattr(error, "code", 130)
    if isinstance(error, ranks.Told):
        return str(error), error.code
    if isinstance(error, InputError):
        return shorten(error, 1000), 2
    if isinstance(error, OSError):
        where = f": {shorten(error.filename)}" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"the disk is full{where}; free some space and run this again", 2
        return f"{error.strerror or error}{where}", 2
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller --size, fewer --frames, a smaller --count or batch", 2
    message = shorten(error, 300)
    return f"{type(error).__name__}: {message} (a bug in minivdit; MINIVDIT_DEBUG=1 shows where)", 1
