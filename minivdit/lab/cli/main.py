"""The command line: what every command is called, which options it takes, and how its errors are told.

What they do is in commands.py and drawing_commands.py. An error that a user can mend is one line on stderr and exit
code 2; Ctrl-C is 130. MINIVDIT_DEBUG=1 shows tracebacks; MINIVDIT_SHORT=1 makes every command take seconds, for tests.
"""

import argparse
import errno
import os

from ... import __version__
from ...base import console
from ...base.errors import InputError, shorten
from ...base.stopping import told_of_signals
from . import commands
from .arguments import cut_down, number, seed, size, whole
from .drawing_options import add_abilities, add_explore, add_sample
from .options import Parser, add_device, add_digits, add_drawing, add_shape, add_weights

MINUTES = number(0, 10**6)
STEPS = 10**9  # of a training: the most


def main(arguments=None, build=None, name="minivdit"):
    """Run one command; returns the exit code: 0, or 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM, 1 for a bug.

    build: makes the parser, which leaves in `options.run` what to call. name: how error messages begin.
    """
    with console.streams_that_never_fail() as out:
        try:
            options = cut_down((build or build_parser)().parse_args(arguments))
            with told_of_signals():
                code = options.run(options) or 0
        except (Exception, KeyboardInterrupt) as error:
            if os.environ.get("MINIVDIT_DEBUG") == "1":
                raise
            message, code = explain(error)
            console.complain(message, f"{name}: ")
        out.flush()
        if isinstance(out.error, OSError) and not isinstance(out.error, BrokenPipeError):
            console.complain(f"not all could be printed: {explain(out.error)[0]}", f"{name}: ")
            code = code or 2
    return code


def explain(error):
    """A message for a user, and the exit code, for anything that a command may raise."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "stopped", getattr(error, "code", 130)
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


class Commands:
    """The commands of a parser, listed in its help under the headings of their kinds."""

    def __init__(self, parser):
        self.parser = parser
        self.parsers = parser.add_subparsers(prog=parser.prog, help=argparse.SUPPRESS)  # the description lists them

    def heading(self, text):
        self.parser.description += f"\n\n{text}:\n"
        return self

    def add(self, name, run, summary, examples):
        """The Parser of a new command; run.__doc__ is what its help says."""
        self.parser.description += f"    {name:12}{summary}\n"
        made = self.parsers.add_parser(
            name, description=run.__doc__, epilog="examples:\n" + "\n".join(f"  {line}" for line in examples)
        )
        made.set_defaults(run=run)
        return made


def build_parser():
    """The parser of the whole command line; the function to run is left in `options.run`."""
    parser = Parser(
        prog="minivdit",
        usage="minivdit [-h] [--version] COMMAND ...",
        description="A text-to-video diffusion transformer written by hand on NumPy, trained on moving digits.",
        epilog="Begin with 'minivdit demo'. 'minivdit COMMAND --help' explains a command and gives examples.",
    )
    parser.add_argument("--version", action="version", version=f"minivdit {__version__}")
    parser.set_defaults(run=lambda options: parser.print_help())
    listed = Commands(parser)
    add_demo(listed.heading("begin"))
    listed.heading("draw")
    add_sample(listed)
    add_abilities(listed)
    add_explore(listed.heading("look inside"))
    add_train(listed.heading("train and judge"))
    add_evaluate(listed)
    add_compare(listed)
    add_card(listed)
    add_data(listed.heading("data and machine"))
    add_bench(listed)
    listed.add("doctor", commands.doctor, "check this machine", ["minivdit doctor"])
    return parser


def add_demo(listed):
    demo = listed.add(
        "demo",
        commands.demo,
        "train a small model and let it draw, in under 10 minutes",
        ["minivdit demo", "minivdit demo --minutes 20 --out longer", "minivdit demo --preset tiny --minutes 0.1"],
    )
    demo.add_argument("--out", default="demo", metavar="DIR", help="folder for everything that it makes")
    demo.add_argument(
        "--minutes", type=MINUTES, default=8, metavar="X", help="how long to train; drawing takes some more"
    )
    demo.add_argument("--preset", default="quick", metavar="PRESET", help="which preset to train")
    demo.add_argument("--prompts", type=whole(2), default=64, metavar="N", help="how many clips to draw and judge")
    demo.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the weights, the clips and the noise")
    add_device(demo)


def add_train(listed):
    train = listed.add(
        "train",
        commands.train,
        "train a preset, or go on with a training",
        [
            "minivdit train                   list the presets",
            "minivdit train quick --show      show its settings, as --set takes them",
            "minivdit train quick             train it in the folder runs/quick",
            "minivdit train small --digits mnist --data ~/sets",
            "minivdit train quick --set transformer.patterns=frame,time --out other",
            "minivdit train full --start joint --steps 2000 --seed 1 --out runs/longer",
            "minivdit train full --minutes 30 --set training.batch=8",
        ],
    )
    train.add_argument("preset", nargs="?", metavar="PRESET", help="what to train (default: list the presets)")
    train.add_argument("--show", action="store_true", help="print all settings and stop")
    add_set(train)
    train.add_argument("--out", metavar="DIR", help="folder of the run (default: runs/PRESET)")
    train.add_argument(
        "--start",
        metavar="FILE",
        help="fine-tune these weights, a file or a name that ships, instead of beginning anew (default: none)",
    )
    train.add_argument("--resume", action="store_true", help="fail unless --out holds a run to resume")
    train.add_argument(
        "--steps", type=whole(1, STEPS), metavar="N", help="training steps of the transformer (default: the preset's)"
    )
    train.add_argument(
        "--minutes", type=MINUTES, metavar="X", help="train for about this long (default: until all steps are done)"
    )
    train.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the weights, the clips and the noise")
    add_digits(train, None, "the preset's")
    add_device(train)


def add_set(parser):
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting; may be given several times (default: the preset's settings)",
    )


def add_evaluate(listed):
    evaluate = listed.add(
        "evaluate",
        commands.evaluate,
        "judge a model's clips beside real ones",
        [
            "minivdit evaluate",
            "minivdit evaluate --weights small --prompts 100",
            "minivdit evaluate --held-out          only pairs that no caption named",
            "minivdit evaluate --keep runs/clips   draw once, judge the same clips again",
            "minivdit evaluate --weights framewise --against joint.json",
            "minivdit evaluate --per-clip 2 --out report.json",
            "minivdit evaluate --per-clip 1 --frames 32 --size 64x96",
        ],
    )
    evaluate.add_argument(
        "--prompts", type=whole(2), default=200, metavar="N", help="how many clips to draw, for each number of digits"
    )
    evaluate.add_argument(
        "--per-clip", type=whole(1, 100), metavar="N", help="number of digits in a clip (default: all that it learnt)"
    )
    evaluate.add_argument(
        "--held-out",
        action="store_true",
        help="ask only for pairs that no caption of the training had",
    )
    add_shape(evaluate)
    evaluate.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the prompts and the noise")
    add_drawing(evaluate)
    evaluate.add_argument("--out", metavar="FILE", help="write all figures there as JSON (default: only print them)")
    keep = "folder for the clips: drawn ones are kept there, and those in it are judged again (default: none)"
    evaluate.add_argument("--keep", metavar="DIR", help=keep)
    against = "what --out wrote for other weights: compare with it, clip by clip (default: none)"
    evaluate.add_argument("--against", metavar="FILE", help=against)
    add_weights(evaluate)
    add_digits(evaluate, None, "the digits that the weights were trained on")
    add_device(evaluate)


def add_card(listed):
    about = listed.add(
        "card",
        commands.card,
        "say what a file of weights is: data, command, time, figures",
        [
            "minivdit card",
            "minivdit card --weights small --evaluation small.json",
            "minivdit card --evaluation one.json --evaluation two.json",
        ],
    )
    about.add_argument(
        "--evaluation",
        action="append",
        default=[],
        metavar="FILE",
        help="figures that 'minivdit evaluate --out' wrote; may be given several times (default: none)",
    )
    about.add_argument("--out", metavar="FILE", help="write the card there (default: print it)")
    add_weights(about)


def add_compare(listed):
    study = listed.add(
        "compare",
        commands.compare,
        "compare attention patterns: frame-wise against joint",
        [
            "minivdit compare",
            "minivdit compare --patterns framewise,joint --steps 400 --seeds 2 --out first",
            "minivdit compare --preset full --seeds 1 --out runs/compare-full",
            "minivdit compare --report-only          the report of what is there so far",
            "minivdit compare --weights joint=joint --weights framewise=framewise",
        ],
    )
    study.add_argument("--preset", default="quick", metavar="PRESET", help="which preset to train with every pattern")
    add_set(study)
    patterns = "which patterns, with commas between them (default: all five, or those of the study in --out)"
    study.add_argument("--patterns", metavar="A,B", help=patterns)
    study.add_argument("--seeds", type=whole(1, 1000), default=3, metavar="N", help="how often to train each pattern")
    steps = "steps of each training (default: 2000 for quick, otherwise the preset's)"
    study.add_argument("--steps", type=whole(1, STEPS), metavar="N", help=steps)
    equal = "what is equal for all patterns: steps, flops or both"
    study.add_argument("--equal", default="steps,flops", metavar="A,B", help=equal)
    study.add_argument("--prompts", type=whole(1), default=36, metavar="N", help="how many clips of each kind to draw")
    study.add_argument("--out", default="runs/compare", metavar="DIR", help="folder of the study")
    study.add_argument("--report-only", action="store_true", help="report what is there, without training or drawing")
    study.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="compare weights that are trained already; may be given several times (default: train them)",
    )
    add_digits(study, None, "the preset's, or those that the weights were trained on")
    add_device(study)


def add_data(listed):
    data = listed.add(
        "data",
        commands.data,
        "fetch MNIST, or look at the training clips",
        [
            "minivdit data                      pictures of clips, in data-preview/",
            "minivdit data preview --size 48x96 --frames 24 --digits strokes",
            "minivdit data download             MNIST into the cache folder, checked",
            "MINIVDIT_DATA=~/sets minivdit data download",
        ],
    )
    data.add_argument(
        "action", nargs="?", choices=("preview", "download"), default="preview", help="show clips, or fetch MNIST"
    )
    data.add_argument("--out", default="data-preview", metavar="DIR", help="folder for the pictures")
    data.add_argument(
        "--size", type=size, default=(64, 64), metavar="HxW", help="height x width in pixels (default: 64x64)"
    )
    data.add_argument("--frames", type=whole(1), default=16, metavar="N", help="number of frames of a clip")
    data.add_argument(
        "--digit-size",
        type=whole(8, 10_000),
        metavar="N",
        help="height and width of a digit in pixels (default: 28, or half of a small clip)",
    )
    data.add_argument("--count", type=whole(1, 1000), default=9, metavar="N", help="how many clips to show")
    data.add_argument("--seed", type=seed, default=0, metavar="N", help="another seed shows other clips")
    add_digits(data)


def add_bench(listed):
    bench = listed.add(
        "bench",
        commands.bench,
        "time this machine, beside PyTorch",
        [
            "minivdit bench cpu                       everything, in about 5 minutes",
            "minivdit bench cpu --workload 'train small' --out small.json",
            "minivdit bench cpu --profile 'train small'",
            "minivdit bench gpu --out gpu.json        attention kernels, training steps",
        ],
    )
    bench.add_argument("where", choices=("cpu", "gpu"), metavar="{cpu,gpu}", help="what to time")
    bench.add_argument(
        "--workload",
        action="append",
        metavar="NAME",
        help="time only this, such as 'train small'; may be given several times (default: all)",
    )
    bench.add_argument(
        "--turns", type=whole(1, 10_000), default=15, metavar="N", help="how often each side does the work"
    )
    bench.add_argument(
        "--threads", type=whole(1, 1024), metavar="N", help="threads for either side (default: as many as cores)"
    )
    bench.add_argument("--compiled", action="store_true", help="compare with torch.compile, too")
    profile = "time every operation of one training workload instead, with 1 thread (default: none)"
    bench.add_argument("--profile", metavar="NAME", help=profile)
    bench.add_argument("--out", metavar="FILE", help="write all figures there as JSON (default: only print them)")
    readme = "on a GPU: fill in the table of this copy of kernels/README.md (default: none)"
    bench.add_argument("--readme", metavar="FILE", help=readme)
    bench.set_defaults(device="cpu", kernels="on")
