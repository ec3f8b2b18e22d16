"""The command line: `minivdit demo | train | sample | evaluate | data | doctor`.

Each command is a short function that asks the package; imports stand inside it, so `minivdit --help` is quick.
An error a user can mend is one line on stderr and exit code 2, Ctrl-C is 130. MINIVDIT_DEBUG=1 shows tracebacks.
"""

import argparse
import errno
import os
import sys
import time
from pathlib import Path

from . import __version__
from .errors import InputError


def main(arguments=None):
    """Run one command; returns the exit code: 0, or 2 for bad input, 130 for Ctrl-C, 1 for a bug."""
    try:
        options = build_parser().parse_args(arguments)
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


# Commands ------------------------------------------------------------------------------------------------------------


def run_sample(options):
    """Draw clips from captions and write them as a GIF."""
    from . import display

    is_strip = Path(options.out).suffix.lower() == ".png"
    if not is_strip:
        display.check_writable(options.out)
    prepare(options)
    from .generation import TextToVideo

    model = TextToVideo.load(options.weights)
    warn_of_strange_sentences(options.prompt)
    prompts = [prompt for prompt in options.prompt for _ in range(options.count)]
    started = time.perf_counter()
    video = model.generate(
        prompts,
        num_frames=options.frames,
        size=options.size,
        seed=options.seed,
        steps=options.steps,
        guidance_scale=options.guidance,
        sampler=options.sampler,
    )
    seconds = time.perf_counter() - started
    if is_strip:
        display.write_strips(options.out, video, prompts)
    else:
        display.write_grid(options.out, video, captions=prompts, frames_per_second=options.fps)
    frames, height, width = video.shape[1:4]
    print(f"{options.out}: {len(video)} x {frames} frames of {height}x{width}, seed {options.seed}, {seconds:.1f} s")
    print(f"weights {model.name} ({model.fingerprint()})")


def warn_of_strange_sentences(prompts):
    """Known words in an order that training never showed are drawn all the same, but not silently."""
    from .data.captions import parse

    for prompt in prompts:
        try:
            parse(prompt)
        except InputError as error:
            if prompt.strip():  # the empty caption means: draw anything
                print(f"minivdit: note: {error}", file=sys.stderr)


def run_data(options):
    """Fetch MNIST, or show what the training clips look like."""
    if options.action == "download":
        from .data.mnist import data_directory, load_mnist

        for split in ("train", "test"):
            images, _ = load_mnist(split, options.data)
            print(f"MNIST {split}: {len(images):,} digits, verified")
        print(f"in {data_directory(options.data)}")
        return
    import numpy as np

    from . import display
    from .data import CaptionedClips, classic_moving_mnist, digit_source

    generator = np.random.default_rng(options.seed)
    source = digit_source(options.digits, "train", options.data)
    height, width = options.size
    digit_size = options.digit_size or min(28, min(height, width) // 2)
    maker = CaptionedClips(source, (height, width), options.frames, digit_size, held_out="include")
    clips = maker.batch(generator, options.count)
    classic, _ = classic_moving_mnist(source, generator, options.count)
    out = Path(options.out)
    display.write_grid(out / "captioned.gif", clips.video, captions=clips.captions)
    display.write_strips(out / "captioned.png", clips.video, clips.captions)
    display.write_grid(out / "classic.gif", classic)
    print(f"digits: {source.name}; captioned clips: {options.frames} frames of {height}x{width}")
    for name in ("captioned.gif", "captioned.png", "classic.gif"):
        print(out / name)


def run_doctor(options):
    """Say what this machine has, what is missing, and the cure."""
    from .doctor import report

    return report()


def prepare(options):
    """Choose the device and tune the allocator: once, before arrays are made."""
    from . import backend

    backend.use(options.device)
    backend.tune_allocator()


# The parser ----------------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line, like all others here."""

    def error(self, message):
        raise InputError(f"{message}; see '{self.prog} --help'")


def size(text):
    """'64x96' as (height, width); one number means a square."""
    sides = text.lower().split("x")
    if not (1 <= len(sides) <= 2 and all(side.isdecimal() and int(side) > 0 for side in sides)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; give height x width in pixels, such as 64x64")
    return int(sides[0]), int(sides[-1])


def whole(least):
    """A converter to whole numbers from `least` upwards."""

    def convert(text):
        if not text.removeprefix("-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} upwards")
        return int(text)

    return convert


def positive(text):
    """A number above zero."""
    try:
        if 0 < float(text) < float("inf"):
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")


def build_parser():
    """The parser of the whole command line; the function to run is left in `options.run`."""
    parser = Parser(
        prog="minivdit",
        description="A text-to-video diffusion transformer written by hand on NumPy, trained on moving digits.",
        epilog="Begin with 'minivdit demo', or 'minivdit COMMAND --help' for the rest.",
    )
    parser.add_argument("--version", action="version", version=f"minivdit {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name, run, summary, examples):
        made = commands.add_parser(
            name,
            help=summary,
            description=run.__doc__,
            epilog="examples:\n" + "\n".join(f"  {line}" for line in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    sample = command(
        "sample",
        run_sample,
        "draw clips from captions",
        [
            'minivdit sample "a 3 moving right"',
            'minivdit sample "a 3 moving right and a 7 moving up" --seed 4 --out two.gif',
            'minivdit sample "the digit five drifts down and left" --count 8 --steps 20 --guidance 3',
            'minivdit sample "an 8 moving up" --weights runs/quick/model.safetensors --out strip.png',
        ],
    )
    sample.add_argument("prompt", nargs="+", help="one or more captions, each in quotes")
    sample.add_argument("--out", default="clip.gif", metavar="FILE", help=".gif, .mp4 or .png (strips); clip.gif")
    sample.add_argument("--count", type=whole(1), default=1, metavar="N", help="clips for each caption; 1")
    sample.add_argument("--seed", type=whole(0), default=0, metavar="N", help="the same seed draws the same clip; 0")
    sample.add_argument("--frames", type=whole(1), metavar="N", help="length; as in training")
    sample.add_argument("--size", type=size, metavar="HxW", help="height x width in pixels; as in training")
    sample.add_argument("--steps", type=whole(1), metavar="N", help="denoising steps: more is slower and finer")
    sample.add_argument("--guidance", type=float, metavar="X", help="pull of the caption: 1 plain, 2 to 4 strong")
    sample.add_argument("--sampler", choices=("euler", "ddim", "ddpm", "dpm_solver"), help="how steps are taken")
    sample.add_argument("--fps", type=positive, default=8, metavar="X", help="frames a second in the file; 8")
    add_weights(sample)
    add_device(sample)

    data = command(
        "data",
        run_data,
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

    command("doctor", run_doctor, "check this machine", ["minivdit doctor"])
    return parser


def add_weights(parser):
    parser.add_argument("--weights", metavar="FILE", help="weights to use; those that come with minivdit")


def add_device(parser):
    parser.add_argument("--device", choices=("cpu", "gpu", "auto"), default="cpu", help="cpu; gpu needs CuPy")


def add_digits(parser):
    parser.add_argument("--data", metavar="DIR", help="folder of MNIST; $MINIVDIT_DATA or the cache folder")
    parser.add_argument(
        "--digits",
        choices=("auto", "mnist", "strokes"),
        default="auto",
        help="auto: MNIST if at hand, else strokes",
    )
