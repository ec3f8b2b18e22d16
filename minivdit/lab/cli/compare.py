"""`minivdit compare`, `minivdit study` and `minivdit scaling`: weights that are there, or trainings made alike."""

import sys

from ...base.errors import InputError, shorten
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
    parser.elsewhere = {"--recipes": " of compare: 'minivdit study --recipes NAMES' trains recipes and compares them"}
    add_weights(parser, "joint, framewise and perframe", action="append")
    add_digits(parser, None, "those that the weights were trained on")
    add_device(parser)


def compare(options):
    from ..study import compare_weights
    from .groups import Watch

    require_data(options, options.digits)
    prepare(options)
    given = {name: getattr(options, name) for name in ("weights", "out", "prompts", "seed", "data", "digits")}
    compare_weights(**given, progress=Watch())
    _open(options)


def add_study(commands):
    text = """Train patterns or recipes alike, and say what differs.

    Attention patterns are trained in small worlds, from the same first weights and with the same batches, and looked
    at four times on the way. The report says which differences are shown. The worlds:

      ball    a ball of any colour rolls slowly or fast: does it keep its colour?
      digits  a digit moves slowly or fast: does it stay the same digit?

    With --recipes, the ideas of large systems (see minivdit recipes) are trained instead: each alone, and all of a
    recipe together, with as many FLOPs as the preset quick. The report says where each helps, where it
    doesn't, and what it costs. A training takes as long as quick, 8 minutes on 2 cores, and another minute to judge.
    luma is 6 trainings, cogvideox 21. With --steps 350 --prompts 24, cogvideox takes an hour.

    If it is stopped, give the same command again: it goes on with the first training that isn't complete.

    examples:
      minivdit study
      minivdit study --worlds ball --seeds 3
      minivdit study --worlds ball --patterns joint,window,skip --out runs/others
      minivdit study --recipes luma
      minivdit study --recipes cogvideox --steps 350 --prompts 24
      minivdit study --report-only
    """
    parser = commands.add(study, text)
    parser.add("--worlds", names, "which worlds, with commas between them (default: ball,digits)", ["ball", "digits"])
    patterns = (
        "which patterns, with commas between them; the first two are tested against each other (default: "
        "joint,framewise,perframe)"
    )
    parser.add("--patterns", names, patterns, ["joint", "framewise", "perframe"])
    parser.add("--recipes", names, "these recipes, or all, instead of patterns (default: patterns)")
    parser.add("--prompts", whole(2), "with --recipes, how many clips of each kind to draw", 40)
    parser.add("--seeds", whole(1, 1000), "how often to train each (default: the world's; 3 for recipes)")
    parser.add("--steps", whole(1, 10**9), "steps of each training (default: the world's, or those of quick)")
    parser.add("--out", output_folder, "folder of the study (default: runs/study, or runs/recipes)")
    _add_report(parser)


def _add_report(parser):
    parser.add("--report-only", bool, "write the report of what is there, without training")
    parser.add("--no-open", bool, "don't open the page in a browser")
    add_digits(parser, None, "auto")
    add_device(parser)


def study(options):
    from .. import study as studies

    if options.recipes is not None:
        require_effect(options, "with --recipes", "worlds", "patterns")
        options.out = options.out or "runs/recipes"
        given = {name: getattr(options, name) for name in ("out", "steps", "prompts", "data", "digits")}
        return _run(options, studies.RecipeStudy(tuple(options.recipes), seeds=options.seeds or 3, **given))
    require_effect(options, "without --recipes", "prompts")
    strange = [name for name in options.worlds if name not in studies.WORLDS]
    if strange or len(set(options.worlds)) < len(options.worlds):
        told = ",".join(options.worlds)
        raise InputError(f"--worlds {told!r} won't do; choose {', '.join(studies.WORLDS)}, each once")
    if "digits" not in options.worlds:
        require_effect(options, "without the world of digits", "digits", "data")
    made = {"digits": lambda: studies.WORLDS["digits"](options.data, options.digits)}
    worlds = [made.get(name, studies.WORLDS[name])() for name in options.worlds]
    options.out = options.out or "runs/study"
    _run(options, studies.PatternStudy(worlds, options.out, tuple(options.patterns), options.seeds, options.steps))


def add_scaling(commands):
    text = """Train one recipe with ever more compute, and predict the next.

    A network of width 64 is the base. With 2, 4, 8 and 32 times its compute, both the network and the number of clips
    that it sees grow. The page shows the loss and the same clips at each size, as Sora's report did for 1, 4 and 32. A
    power law is fitted to all sizes but the last, and has to predict the loss of that one.

    It takes about an hour on 2 cores. Half as many steps take half the time. If it is stopped, give the same command
    again: it goes on.

    examples:
      minivdit scaling
      minivdit scaling --steps 400 --seeds 3 --out runs/quicker
      minivdit scaling --factors 1,2,4,8,16,64
      minivdit scaling --report-only
    """
    parser = commands.add(scaling, text)
    factors = "how many times the base's compute, with commas between them; the last is predicted (default: 1,2,4,8,32)"
    parser.add("--factors", names, factors, ["1", "2", "4", "8", "32"])
    parser.add("--seeds", whole(1, 1000), "how often to train each size", 1)
    parser.add("--steps", whole(1, 10**9), "steps of the base", 800)
    parser.add("--prompts", whole(2), "how many clips to draw of each size", 40)
    parser.add("--out", output_folder, "folder of the study", "runs/scaling")
    _add_report(parser)


def scaling(options):
    from .. import study as studies

    strange = [text for text in options.factors if not (text.isdecimal() and len(text) < 8)]
    if strange:
        raise InputError(f"--factors takes whole numbers with commas between them, not {shorten(strange[0])!r}")
    given = {name: getattr(options, name) for name in ("out", "seeds", "steps", "prompts", "data", "digits")}
    _run(options, studies.ScalingStudy(factors=tuple(map(int, options.factors)), **given))


def _run(options, asked):
    """Run a Study, told beforehand of how long it takes if it can tell, and open its page."""
    from ...base import backend, machine
    from .. import study as studies

    require_data(options, options.digits)
    prepare(options)
    if not options.report_only:
        tell_of_slow_products()
        trials = asked.trials()
        minutes = asked.likely_minutes(trials, machine.cores_speed()) if backend.device_name() == "cpu" else None
        if minutes is not None:
            print(f"{len(trials)} trainings, {machine.about(minutes)} in all on this machine", flush=True)
    studies.run_study(asked, options.report_only)
    _open(options)


def _open(options):
    """Show the page in a browser, where somebody sits at a terminal."""
    if not options.no_open and sys.stdout.isatty():
        import webbrowser
        from pathlib import Path

        webbrowser.open((Path(options.out) / "report.html").resolve().as_uri())
