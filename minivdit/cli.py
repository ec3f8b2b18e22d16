"""The command line: `minivdit demo | train | sample | ... | explore | evaluate | compare | data | bench | doctor`.

What they do is in commands.py. An error that a user can mend is one line on stderr and exit code 2; Ctrl-C is 130.
MINIVDIT_DEBUG=1 shows tracebacks; MINIVDIT_SHORT=1 makes every command take seconds, for tests.
"""

import argparse
import errno
import inspect
import os
import sys

from . import __version__, commands, drawing_commands
from .arguments import number, path, path_type, positive, shorten, size, whole
from .errors import InputError


def main(arguments=None):
    """Run one command; returns the exit code: 0, or 2 for bad input, 130 for Ctrl-C, 1 for a bug."""
    try:
        options = shorten(build_parser().parse_args(arguments))
        return options.run(options) or 0
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("MINIVDIT_DEBUG") == "1":
            raise
        message, code = explain(error)
        # A closed pipe (minivdit doctor | head) has nobody to read a message; nor may Python complain at exit.
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            print(f"minivdit: {' '.join(message.split())}", file=sys.stderr)
        return code


def explain(error):
    """One line for a user, and the exit code, for anything that a command may raise."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "stopped", 130
    if isinstance(error, InputError):
        return str(error), 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error.filename or error.strerror}); free some space and run this again", 2
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 2
    if isinstance(error, MemoryError):
        return "not enough memory; use a smaller --size, fewer --frames, a smaller --count or batch", 2
    return f"{type(error).__name__}: {error} (a bug in minivdit; MINIVDIT_DEBUG=1 shows where)", 1


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line, like all others here."""

    def add_argument(self, *names, **options):
        """Every FILE and DIR is a path, and places to write to are looked at before any work."""
        if kind := path_type(names[0], options.get("metavar")):
            options["type"] = kind
        return super().add_argument(*names, **options)

    def error(self, message):
        raise InputError(f"{message}; see '{self.prog} --help'")


def build_parser():
    """The parser of the whole command line; the function to run is left in `options.run`."""
    parser = Parser(
        prog="minivdit",
        description="A text-to-video diffusion transformer written by hand on NumPy, trained on moving digits.",
        epilog="Begin with 'minivdit demo', or 'minivdit COMMAND --help' for the rest.",
    )
    parser.add_argument("--version", action="version", version=f"minivdit {__version__}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name, run, summary, examples):
        made = subparsers.add_parser(
            name,
            help=summary,
            description=inspect.cleandoc(run.__doc__),
            epilog="examples:\n" + "\n".join(f"  {line}" for line in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    demo = command(
        "demo",
        commands.demo,
        "train a small model and let it draw, in under 10 minutes",
        ["minivdit demo", "minivdit demo --minutes 20 --out longer", "minivdit demo --preset tiny --minutes 0.1"],
    )
    demo.add_argument("--out", default="demo", metavar="DIR", help="folder for what it makes; demo")
    demo.add_argument("--minutes", type=positive, default=8.0, metavar="X", help="of training; drawing comes on top; 8")
    demo.add_argument("--preset", default="quick", metavar="PRESET", help="what to train; quick")
    demo.add_argument("--prompts", type=whole(2), default=64, metavar="N", help="clips to draw and judge; 64")
    demo.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of weights, clips and noise; 0")
    add_device(demo)

    sample = command(
        "sample",
        drawing_commands.sample,
        "draw clips from captions",
        [
            'minivdit sample "a 3 moving right"',
            'minivdit sample "a 3 moving right" "a 7 moving up" --seed 4 --out two.gif',
            'minivdit sample "the digit five drifts down and left" --count 8 --steps 20 --guidance 3',
            'minivdit sample "a 3 moving right, then up"',
            'minivdit sample "an 8 moving up" --weights runs/quick/model.safetensors --out strip.png',
        ],
    )
    sample.add_argument("prompt", nargs="+", help="one or more captions, each in quotes")
    sample.add_argument("--count", type=whole(1), default=1, metavar="N", help="clips for each caption; 1")
    sample.add_argument("--frames", type=whole(1), metavar="N", help="length; as in training")
    sample.add_argument("--size", type=size, metavar="HxW", help="height x width in pixels; as in training")
    add_output(sample)

    def ability(run, summary, examples, *files, frames=None):
        """A command that draws from files: their names, a caption, and how many frames if it takes that."""
        made = command(run.__name__, run, summary, examples)
        for name, meaning in files:
            made.add_argument(name, metavar=name.upper(), type=path, help=meaning)
        made.add_argument("prompt", nargs="?", default="", help="caption, in quotes; none")
        if frames:
            made.add_argument("--frames", type=whole(1), metavar="N", help=frames)
        add_output(made)
        return made

    a_clip = ("clip", "a .gif or .mp4 (or a picture: one frame)")
    ability(
        drawing_commands.animate,
        "a picture becomes the first frame",
        ['minivdit animate three.png "a 3 moving right"', 'minivdit animate three.png "a 3 moving up" --frames 24'],
        ("image", "a picture, or a clip whose first frame is taken"),
        frames="length; as in training",
    )
    keys = ability(
        drawing_commands.keyframes,
        "pictures at given times",
        ['minivdit keyframes "a 3 moving right" --at 0 first.png --at 15 last.png'],
        frames="length; as in training",
    )
    keys.add_argument(
        "--at", nargs=2, action="append", required=True, type=path, metavar=("TIME", "FILE"), help="repeatable"
    )
    longer = ability(
        drawing_commands.extend,
        "what follows a clip, or came before",
        [
            'minivdit extend clip.gif "a 3 moving right" --frames 32',
            'minivdit extend clip.gif "a 3 moving right" --backwards',
        ],
        a_clip,
        frames="how many to add; what one turn gives, half a clip's length in training",
    )
    longer.add_argument("--backwards", action="store_true", help="before the clip instead of after it")
    denser = ability(
        drawing_commands.interpolate,
        "more frames between frames",
        ['minivdit interpolate clip.gif "a 3 moving right" --factor 3'],
        a_clip,
    )
    denser.add_argument("--factor", type=whole(2), default=2, metavar="N", help="how many times as many frames; 2")
    ability(
        drawing_commands.connect,
        "what leads from one clip to another",
        ['minivdit connect one.gif two.gif "a 3 moving right"'],
        ("before", "the first clip"),
        ("after", "the second clip, of the same size"),
        frames="how many between them; half a clip's length in training",
    )
    ring = ability(
        drawing_commands.loop,
        "a clip without end",
        ['minivdit loop "a 0 moving quickly down"', 'minivdit loop "a 3 moving right" --image three.png --frames 24'],
        frames="length; as in training",
    )
    ring.add_argument("--image", metavar="FILE", help="the first frame; drawn")
    changed = ability(
        drawing_commands.edit,
        "change what a clip shows",
        ['minivdit edit clip.gif "an 8 moving right" --level 0.8'],
        a_clip,
    )
    changed.add_argument("--level", type=positive, default=0.7, metavar="X", help="of noise, up to 1; 0.7")
    part = ability(
        drawing_commands.inpaint,
        "draw a part of a clip anew",
        [
            'minivdit inpaint clip.gif "a 3 moving right" --mask mask.png',
            'minivdit inpaint clip.gif "a 3 moving right" --from 4 --to 11',
        ],
        a_clip,
    )
    part.add_argument("--mask", metavar="FILE", help="a picture, bright where to draw; everywhere")
    part.add_argument("--from", dest="start", type=whole(0), default=0, metavar="N", help="first frame to draw in; 0")
    part.add_argument("--to", type=whole(0), metavar="N", help="last frame to draw in; the clip's last")

    page = command(
        "explore",
        drawing_commands.explore,
        "click a patch, see where it looks: one HTML page",
        [
            'minivdit explore "a 3 moving right"',
            'minivdit explore "a 3 moving right" --weights joint --restrict framewise,perframe',
            'minivdit explore "a 7 moving up" --weights runs/a/model.safetensors --weights runs/b/model.safetensors',
        ],
    )
    page.add_argument("prompt", help="a caption, in quotes")
    page.add_argument(
        "--weights", action="append", metavar="FILE", help="a file or a name; repeatable; all patterns that ship"
    )
    page.add_argument("--restrict", default="", metavar="A,B", help="show the first weights in these patterns, too")
    page.add_argument("--moments", type=whole(1), default=4, metavar="N", help="denoising steps to keep; 4")
    page.add_argument("--frames", type=whole(1), metavar="N", help="length; as in training")
    page.add_argument("--size", type=size, metavar="HxW", help="height x width in pixels; as in training")
    page.add_argument("--out", default="explorer.html", metavar="FILE", help="the page; explorer.html")
    page.add_argument("--seed", type=whole(0), default=0, metavar="N", help="the same seed draws the same clip; 0")
    add_drawing(page)
    add_device(page)

    train = command(
        "train",
        commands.train,
        "train a preset, or go on with a training",
        [
            "minivdit train                   the presets",
            "minivdit train quick --show      its settings, as --set takes them",
            "minivdit train quick             into runs/quick",
            "minivdit train small --digits mnist --data ~/sets",
            "minivdit train quick --set transformer.patterns=frame,time --out runs/factorised",
            "minivdit train full --start joint --steps 2000 --seed 1 --out runs/longer",
            "minivdit train full --minutes 30 --set training.batch=8 --set training.learning_rate=5e-4",
        ],
    )
    train.add_argument("preset", nargs="?", metavar="PRESET", help="leave it out to see which there are")
    train.add_argument("--show", action="store_true", help="print all settings and stop")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; repeatable")
    train.add_argument("--out", metavar="DIR", help="folder of the run; runs/PRESET")
    train.add_argument("--start", metavar="FILE", help="weights to go on from, a file or a name of those that ship")
    train.add_argument("--resume", action="store_true", help="insist that the run in --out goes on, never begin one")
    train.add_argument("--steps", type=whole(1), metavar="N", help="of the transformer; as --set training.steps=N")
    train.add_argument("--minutes", type=positive, metavar="X", help="train for about so long instead of by steps")
    train.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of weights, clips and noise; 0")
    add_digits(train, None)
    add_device(train)

    evaluate = command(
        "evaluate",
        commands.evaluate,
        "judge a model's clips beside real ones",
        [
            "minivdit evaluate",
            "minivdit evaluate --weights runs/small/model.safetensors --prompts 100",
            "minivdit evaluate --held-out                   only pairs that no caption of the training had",
            "minivdit evaluate --keep runs/clips            draw once; judge the same clips again next time",
            "minivdit evaluate --weights framewise --against joint.json       which is better, and is that sure?",
            "minivdit evaluate --per-clip 2 --out report.json",
            "minivdit evaluate --per-clip 1 --frames 32 --size 64x96    as good at another length and size?",
        ],
    )
    evaluate.add_argument("--prompts", type=whole(2), default=200, metavar="N", help="of each kind; 200")
    evaluate.add_argument("--per-clip", type=whole(1), metavar="N", help="digits in a prompt; as in training")
    evaluate.add_argument("--held-out", action="store_true", help="only pairs that no caption of the training had")
    evaluate.add_argument("--frames", type=whole(1), metavar="N", help="length of the clips; as in training")
    evaluate.add_argument("--size", type=size, metavar="HxW", help="height x width in pixels; as in training")
    evaluate.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of prompts and noise; 0")
    add_drawing(evaluate)
    evaluate.add_argument("--out", metavar="FILE", help="write all figures there as JSON")
    evaluate.add_argument(
        "--keep", metavar="DIR", help="folder for the clips: drawn ones are kept there, and those in it judged again"
    )
    evaluate.add_argument(
        "--against", metavar="FILE", help="what --out wrote for other weights: compare with it, clip by clip"
    )
    add_weights(evaluate)
    add_digits(evaluate, None)
    add_device(evaluate)

    about = command(
        "card",
        commands.card,
        "say what a file of weights is: data, command, time, figures",
        [
            "minivdit card",
            "minivdit card --weights small --evaluation results/small/evaluation.json",
            "minivdit card --weights runs/full/model.safetensors --evaluation one.json --evaluation two.json",
        ],
    )
    about.add_argument("--evaluation", action="append", default=[], metavar="FILE", help="of evaluate; repeatable")
    about.add_argument("--out", metavar="FILE", help="write it there instead of printing it")
    add_weights(about)

    study = command(
        "compare",
        commands.compare,
        "attention patterns side by side: frame-wise against joint",
        [
            "minivdit compare                                        five patterns x 3 seeds, into runs/compare",
            "minivdit compare --patterns framewise,joint --steps 400 --seeds 2 --out runs/first-look",
            "minivdit compare --preset full --seeds 1 --out runs/compare-full",
            "minivdit compare --report-only                          the report of what is there so far",
            "minivdit compare --weights joint=joint --weights framewise=framewise --weights perframe=perframe",
        ],
    )
    study.add_argument("--preset", default="quick", metavar="PRESET", help="what to train; quick")
    study.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a setting; repeatable")
    study.add_argument("--patterns", metavar="A,B", help="which; all five, with --report-only those of the study")
    study.add_argument("--seeds", type=whole(1), default=3, metavar="N", help="trainings of each; 3")
    study.add_argument(
        "--steps", type=whole(1), metavar="N", help="of each training; 2000 for quick, else the preset's"
    )
    study.add_argument("--equal", default="steps,flops", metavar="A,B", help="steps, flops or both; both")
    study.add_argument("--prompts", type=whole(1), default=36, metavar="N", help="of each kind; 36")
    study.add_argument("--out", default="runs/compare", metavar="DIR", help="folder of the study; runs/compare")
    study.add_argument("--report-only", action="store_true", help="no training and no drawing")
    trained = {"action": "append", "default": [], "metavar": "NAME=FILE"}
    study.add_argument("--weights", **trained, help="trained already: only draw and judge; repeatable")
    add_digits(study, None)
    add_device(study)

    data = command(
        "data",
        commands.data,
        "fetch MNIST, or look at the training clips",
        [
            "minivdit data                                  captioned and classic clips into data-preview/",
            "minivdit data preview --size 48x96 --frames 24 --digits strokes",
            "minivdit data download                         MNIST into the cache folder, checked",
            "MINIVDIT_DATA=~/sets minivdit data download    or into a folder of your own",
        ],
    )
    data.add_argument("action", nargs="?", choices=("preview", "download"), default="preview")
    data.add_argument("--out", default="data-preview", metavar="DIR", help="folder for the pictures; data-preview")
    data.add_argument("--size", type=size, default=(64, 64), metavar="HxW", help="canvas, height x width; 64x64")
    data.add_argument("--frames", type=whole(1), default=16, metavar="N", help="length of a clip; 16")
    data.add_argument("--digit-size", type=whole(1), metavar="N", help="pixels of a digit; 28, or half a small canvas")
    data.add_argument("--count", type=whole(1), default=9, metavar="N", help="how many clips; 9")
    data.add_argument("--seed", type=whole(0), default=0, metavar="N", help="other seeds, other clips; 0")
    add_digits(data)

    bench = command(
        "bench",
        commands.bench,
        "time this machine, beside PyTorch",
        [
            "minivdit bench cpu                                   everything, about 5 minutes",
            "minivdit bench cpu --workload 'train small' --out small.json",
            "minivdit bench cpu --profile 'train small'           operation by operation",
            "minivdit bench gpu --out gpu.json                    attention kernels and training steps",
        ],
    )
    bench.add_argument("where", choices=("cpu", "gpu"), help="what to time")
    bench.add_argument("--workload", action="append", metavar="NAME", help="only this one, 'train small'; repeatable")
    bench.add_argument("--turns", type=whole(1), default=15, metavar="N", help="how often each side does the work; 15")
    bench.add_argument("--threads", type=whole(1), metavar="N", help="for either side; as many as there are cores")
    bench.add_argument("--compiled", action="store_true", help="compare with torch.compile, too")
    bench.add_argument("--profile", metavar="NAME", help="of one training workload instead, with 1 thread")
    bench.add_argument("--out", metavar="FILE", help="write all figures there as JSON")
    bench.add_argument("--readme", metavar="FILE", help="on a GPU: fill the table of this copy of kernels/README.md")
    bench.set_defaults(device="cpu", kernels="on")

    command("doctor", commands.doctor, "check this machine", ["minivdit doctor"])
    return parser


def add_output(parser):
    """Everything that the commands which write one file of clips share."""
    parser.add_argument("--out", default="clip.gif", metavar="FILE", help=".gif, .mp4 or .png (strips); clip.gif")
    parser.add_argument("--plain", action="store_true", help="only the clip's own pixels, for other commands to read")
    parser.add_argument("--fps", type=positive, default=8, metavar="X", help="frames a second in the file; 8")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="the same seed draws the same clip; 0")
    add_drawing(parser)
    add_weights(parser)
    add_device(parser)


def add_drawing(parser):
    parser.add_argument("--steps", type=whole(1), metavar="N", help="denoising steps: more is slower and finer")
    parser.add_argument("--guidance", type=number, metavar="X", help="pull of the caption: 1 plain, 2 to 4 strong")
    parser.add_argument("--sampler", choices=("euler", "ddim", "ddpm", "dpm_solver"), help="how steps are taken")


def add_weights(parser):
    parser.add_argument(
        "--weights", metavar="FILE", help="weights to use: a file, or one of joint, framewise, perframe, small; joint"
    )


def add_device(parser):
    parser.add_argument("--device", choices=("cpu", "gpu", "auto"), default="cpu", help="cpu; gpu needs CuPy")
    parser.add_argument("--kernels", choices=("on", "off"), default="on", help="off: all on a GPU by plain CuPy; on")


def add_digits(parser, default="auto"):
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST; $MINIVDIT_DATA or the cache folder")
    kinds = ("auto", "mnist", "strokes")
    parser.add_argument("--digits", choices=kinds, default=default, help="auto: MNIST if at hand, else strokes")
