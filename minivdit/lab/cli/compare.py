"""`minivdit compare`: attention patterns, trained alike or trained already."""

from ...base.errors import InputError
from .groups import SEVERAL, add_device, add_digits, add_set, changes, prepare, require_data, tell_of_slow_products
from .options import named_path, names, output_folder, require_effect, whole


def add_compare(commands):
    text = """Compare attention patterns: frame-wise against joint.

    Several patterns are trained alike. Then each draws clips of the same captions from the same noise, and a report
    says what differs. The patterns:

      joint      every patch sees all patches of all frames
      framewise  blocks alternate: within a frame, then one place through all frames
      perframe   a patch sees its own frame only: nothing links the frames
      window     a patch sees a box around it, in space and time
      skip       a patch sees every other patch, or blocks of them

    All get the same data, batches, number of parameters, first weights and autoencoder. They are compared after
    equal steps, and then after equal FLOPs. The folder --out gets report.html, report.md and report.json. If it is
    stopped, the same command goes on.

    examples:
      minivdit compare
      minivdit compare --patterns framewise,joint --steps 400 --seeds 2 --out first
      minivdit compare --preset full --seeds 1 --out runs/compare-full
      minivdit compare --report-only          the report of what is there so far
      minivdit compare --weights joint=joint --weights framewise=framewise
    """
    parser = commands.add(compare, text)
    parser.add("--preset", str, "which preset to train with every pattern", "quick", metavar="PRESET")
    add_set(parser)
    patterns = "which patterns, with commas between them (default: all five, or those of the study in --out)"
    parser.add("--patterns", names, patterns)
    parser.add("--seeds", whole(1, 1000), "how often to train each pattern", 3)
    steps = "steps of each training (default: 2000 for quick, otherwise the preset's)"
    parser.add("--steps", whole(1, 10**9), steps)
    equal = "what is equal for all patterns: steps, flops or both (default: steps,flops)"
    parser.add("--equal", names, equal, ["steps", "flops"])
    parser.add("--prompts", whole(1), "how many clips of each kind to draw", 36)
    parser.add("--out", output_folder, "folder of the study", "runs/compare")
    parser.add("--report-only", bool, "report what is there, without training or drawing")
    weights = "compare weights that are trained already; may be given several times (default: train them)"
    parser.add("--weights", named_path, weights, **SEVERAL)
    add_digits(parser, None, "the preset's, or those that the weights were trained on")
    add_device(parser)


def compare(options):
    from ...models import schemes
    from .. import comparison
    from ..comparison import study as studies

    patterns = list(schemes.SCHEMES) if options.patterns is None else options.patterns
    for name in patterns:
        schemes.check_scheme(name)
    if not set(options.equal) <= set(studies.BUDGETS):
        given = ",".join(options.equal)
        raise InputError(f"--equal {given!r} is not a budget; choose {', '.join(studies.BUDGETS)} or both")
    of_training = ("preset", "set", "seeds", "steps")
    if options.weights:
        require_effect(options, "with --weights, which are trained already", "patterns", "equal", *of_training)
        require_data(options, options.digits)
    elif options.report_only:
        require_effect(options, "with --report-only", "prompts", "digits", *of_training)
    prepare(options)
    if options.weights:
        given = {name: getattr(options, name) for name in ("prompts", "data", "digits", "report_only")}
        comparison.compare_weights(options.weights, options.out, **given)
        return
    if options.report_only:
        study = studies.read_study(options.out, options.data, options.patterns)
    else:
        tell_of_slow_products()
        changed = changes(options, {"data.digits": options.digits})
        asked = (options.preset, patterns, options.seeds, options.prompts, options.out, options.steps)
        study = studies.new_study(*asked, changed, options.data)
    comparison.compare(study, [budget for budget in studies.BUDGETS if budget in options.equal], options.report_only)
