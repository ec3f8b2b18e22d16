"""`minivdit compare` and `minivdit study`: attention patterns, trained already or trained alike."""

import sys

from ...base.errors import InputError
from .groups import add_device, add_digits, add_weights, prepare, require_data, tell_of_slow_products
from .options import names, output_folder, require_effect, seed, whole


def add_compare(commands):
    text = """Put attention patterns side by side on one page.

    The weights that ship draw the same captions from the same noise. One page shows the clips in motion, says by how
    much the patterns differ, and leads to the attention explorer. It takes two or three minutes on 2 cores.

    examples:
      minivdit compare
      minivdit compare --prompts 100 --out longer
      minivdit compare --weights joint --weights runs/mine
    """
    parser = commands.add(compare, text)
    parser.add("--prompts", whole(2), "how many clips of each kind to draw", 24)
    parser.add("--seed", seed, "seed of the captions and the noise", 0)
    parser.add("--out", output_folder, "folder of the page", "runs/compare")
    parser.add("--no-open", bool, "don't open the page in a browser")
    add_weights(parser, "joint, framewise and perframe", action="append")
    add_digits(parser, None, "those that the weights were trained on")
    add_device(parser)


def compare(options):
    from ..comparison import compare_weights
    from .groups import Watch

    require_data(options, options.digits)
    prepare(options)
    given = {name: getattr(options, name) for name in ("weights", "out", "prompts", "seed", "data", "digits")}
    compare_weights(**given, progress=Watch())
    _open(options)


def add_study(commands):
    text = """Train attention patterns alike, several times, in small worlds.

    Each pattern is trained several times, from the same first weights and with the same batches, and looked at four
    times on the way. The report says which differences are shown. The worlds:

      ball    a ball of any colour rolls slowly or fast: does it keep its colour?
      digits  a digit moves slowly or fast: does it stay the same digit?

    If it is stopped, the same command goes on with the first training that isn't complete.

    examples:
      minivdit study
      minivdit study --worlds ball --seeds 3
      minivdit study --worlds ball --patterns joint,window,skip --out runs/others
      minivdit study --report-only
    """
    parser = commands.add(study, text)
    parser.add("--worlds", names, "which worlds, with commas between them", ["ball", "digits"])
    patterns = "which patterns, with commas between them; the first two are tested against each other"
    parser.add("--patterns", names, patterns, ["joint", "framewise", "perframe"])
    parser.add("--seeds", whole(1, 1000), "how often to train each pattern (default: the world's)")
    parser.add("--steps", whole(1, 10**9), "steps of each training (default: the world's)")
    parser.add("--out", output_folder, "folder of the study", "runs/study")
    parser.add("--report-only", bool, "write the report of what is there, without training")
    parser.add("--no-open", bool, "don't open the page in a browser")
    add_digits(parser, None, "auto")
    add_device(parser)


def study(options):
    from .. import study as studies

    strange = [name for name in options.worlds if name not in studies.WORLDS]
    if strange or len(set(options.worlds)) < len(options.worlds):
        told = ",".join(options.worlds)
        raise InputError(f"--worlds {told!r} won't do; choose {', '.join(studies.WORLDS)}, each once")
    if "digits" not in options.worlds:
        require_effect(options, "without the world of digits", "digits", "data")
    require_data(options, options.digits)
    prepare(options)
    if not options.report_only:
        tell_of_slow_products()
    made = {"digits": lambda: studies.WORLDS["digits"](options.data, options.digits)}
    worlds = [made.get(name, studies.WORLDS[name])() for name in options.worlds]
    asked = studies.PatternStudy(worlds, options.out, tuple(options.patterns), options.seeds, options.steps)
    studies.run_study(asked, options.report_only)
    _open(options)


def _open(options):
    """Show the page in a browser, where somebody sits at a terminal."""
    if not options.no_open and sys.stdout.isatty():
        import webbrowser
        from pathlib import Path

        webbrowser.open((Path(options.out) / "report.html").resolve().as_uri())
