"""The commands that judge weights: `evaluate` draws clips and measures them, `card` says what a file is."""

import json
from pathlib import Path

from ...base.errors import InputError
from .groups import SEVERAL, add_device, add_digits, add_drawing, add_shape, add_weights, drawing, prepare, require_data
from .options import names, output_file, output_folder, path, require_effect, whole

CLIPS = (".gif", ".mp4", ".png")  # how the names of files of clips end


def add_evaluate(commands):
    text = """Judge drawn clips beside real ones.

    Clips are drawn for random captions. Are the digits right? Do they move in the right direction, and as real ones do?
    Do they stay the same? Beside every figure stands the one for real clips (its ceiling) and those for real clips that
    were spoilt in one way (its floors). Captions have one digit. A model that was trained on two digits gets a second
    table, for two.

    Weights that learnt from a folder of clips can't be judged like this: there are no digits to read or follow. With
    --clips they are judged beside clips of the folder that training didn't see. --nearest shows whether they only
    learnt clips by heart.

    examples:
      minivdit evaluate
      minivdit evaluate --weights runs/quick/model.safetensors --prompts 64
      minivdit evaluate --weights framewise --against joint.json
      minivdit evaluate --per-clip 2 --out report.json
      minivdit evaluate --per-clip 1 --frames 32 --size 64x96
      minivdit evaluate --weights runs/own --clips FOLDER --nearest nearest.gif
    """
    parser = commands.add(evaluate, text)
    parser.add("--prompts", whole(2), "how many clips to draw, for each number of digits", 200)
    parser.add("--per-clip", whole(1, 100), "number of digits in a clip (default: each number that it was trained on)")
    parser.add(
        "--clips", path, "the folder that the weights learnt from (default: they learnt digits)", metavar="FOLDER"
    )
    beside = "write a picture of each drawn clip beside the training clip of --clips nearest to it (default: none)"
    parser.add("--nearest", output_file, beside)
    parser.add("--held-out", bool, "ask only for pairs of digit and direction that no training caption had")
    speeds = "speeds of the digits, some of slow,normal,fast,very fast (default: all that it was trained on)"
    parser.add("--speeds", names, speeds)
    add_shape(parser)
    add_drawing(parser, "seed of the prompts and the noise")
    parser.add("--out", output_file, "write all figures there as JSON (default: only print them)")
    keep = "keep the drawn clips in this folder; clips that are there already are judged again (default: none)"
    parser.add("--keep", output_folder, keep)
    against = "compare, clip by clip, with other weights, for which --out wrote this file (default: none)"
    parser.add("--against", path, against)
    add_weights(parser)
    add_digits(parser, None, "the digits that the weights were trained on")
    add_device(parser)


def evaluate(options):
    prepare(options)
    from ...generation import TextToVideo
    from ..evaluation import MEASURES, pairwise

    other = options.against and pairwise.read_evaluation(options.against)
    model = TextToVideo.load(options.weights)
    if not model.settings.digit_size:
        return evaluate_own(options, model)
    require_effect(options, "with weights that learnt digits", "clips", "nearest")
    require_data(options, options.digits or model.learnt.get("digits"))
    counts = [options.per_clip] if options.per_clip else model.learnt.get("num_digits", [1])
    if other:
        asked = {"seed": options.seed, "clips": options.prompts, "frames": options.frames or model.settings.num_frames}
        asked |= {"size": options.size or model.settings.size, "held_out": options.held_out}
        pairwise.require_comparable(other, [f"{count} digits" for count in counts], asked)
    found = {"weights": model.fingerprint(), "name": model.name, "seed": options.seed, "held_out": options.held_out}
    texts = [f"weights {model.name} ({model.fingerprint()}), seed {options.seed}"]
    for count in counts:
        report = judge(options, model, count)
        found[f"{count} digits"] = json.loads(report.to_json())
        texts += [f"{count} digit{'s' * (count > 1)} a clip", str(report)]
        save(options.out, pairwise.as_json(found))
    if other:
        rows = pairwise.against(pairwise.parts(found), pairwise.parts(other))
        found["against"] = {"weights": other["weights"], "rows": pairwise.plain(rows)}
        texts.append(pairwise.table(rows, model.name, other.get("name", other["weights"])))
        save(options.out, pairwise.as_json(found))
    texts += ["What the rows are:", *(f"  {name:14}  {MEASURES[name].meaning}" for name in report["clips"])]
    print("\n".join(texts + [options.out] * bool(options.out)))


def evaluate_own(options, model):
    """`evaluate` of weights that learnt from a folder of clips."""
    from ...base.console import note
    from ...data import open_folder
    from ..display import check_writable, write_grid
    from ..evaluation.own_clips import judge_own
    from ..pipeline.train import trained_with

    no_digits = ("per_clip", "held_out", "speeds", "frames", "size", "data", "digits", "against")
    require_effect(options, f"with {model.name}, which learnt from a folder of clips", *no_digits)
    if options.clips is None:
        raise InputError(f"{model.name} learnt from a folder of clips; name it with --clips FOLDER")
    preset = trained_with(model, model.name)
    folder = open_folder(options.clips, preset.data, skip=True)
    for problem in folder.problems:
        note(f"left out: {problem}")
    if options.nearest:
        check_writable(options.nearest)
    print("off, since there are no digits: the judge that reads them, and tracking")
    keep = options.keep and Path(options.keep) / "own-clips.safetensors"
    report = judge_own(model, preset.diffusion, folder, options.prompts, keep=keep, **drawing(options))
    save(options.out, report.to_json(weights=model.fingerprint(), name=model.name, seed=options.seed) + "\n")
    if options.nearest:
        told = [f"{caption or 'drawn'} | nearest, {apart:.3f}: {name}" for caption, name, apart in report.neighbours()]
        write_grid(options.nearest, report.drawn, report.nearest, captions=told)
    print(f"weights {model.name} ({model.fingerprint()}), {len(report.drawn)} clips, seed {options.seed}")
    print("\n".join([str(report), *filter(None, (options.out, options.nearest))]))


def judge(options, model, count):
    """The Report on clips of so many digits."""
    from ..evaluation import judge_model

    kept = f"{count}-digits{'-held-out' * options.held_out}.safetensors"
    report, *_ = judge_model(
        model,
        options.prompts,
        num_digits=count,
        held_out="only" if options.held_out else "exclude",
        data=options.data,
        digits=options.digits,
        num_frames=options.frames,
        size=options.size,
        speeds=options.speeds,
        keep=options.keep and Path(options.keep) / kept,
        **drawing(options),
    )
    return report


def save(out, text):
    """Write a text to the file `out`, if one was given. It comes before printing, which nobody may be there to read."""
    from ...base.files import write_file

    if out:
        write_file(out, text)


def add_card(commands):
    text = """Say what a file of weights, or of clips, is.

    For weights it prints what they learnt from, by which command, how long it took, and how good they are. The figures
    come from files that 'minivdit evaluate --out' wrote for the same weights. For a clip it prints the caption, the
    seed and what drew it.

    examples:
      minivdit card
      minivdit card small --evaluation small.json
      minivdit card --evaluation one.json --evaluation two.json
      minivdit card clip.gif
    """
    parser = commands.add(card, text)
    file = (
        "a clip that minivdit drew (of several in a file, clip.gif#1 is the second), or weights as --weights takes them"
    )
    parser.add("file", path, file + " (default: none)", nargs="?", metavar="FILE")
    evaluation = "figures that 'minivdit evaluate --out' wrote; may be given several times (default: none)"
    parser.add("--evaluation", path, evaluation, **SEVERAL)
    parser.add("--out", output_file, "write the card there (default: print it)")
    add_weights(parser)


def card(options):
    from ..pipeline.card import model_card

    if options.file and Path(options.file.partition("#")[0]).suffix.lower() in CLIPS:
        require_effect(options, "with a clip", "weights", "evaluation")
        text = clip_card(options.file)
    else:
        if options.file:
            require_effect(options, "beside the name of other weights", "weights")
        text = model_card(options.file or options.weights, options.evaluation)
    save(options.out, text)
    print(options.out or text)


def clip_card(file):
    """What a file keeps of how a clip in it was drawn, one line each."""
    from ...data.reading import open_clip

    clip = open_clip(file)
    if not clip.own:
        raise InputError(f"{file} doesn't say how it was drawn; give a file as minivdit wrote it")
    frames, height, width, _ = clip.video.shape
    length = f"{frames} of {height}x{width} pixels, {clip.frames_per_second:g} a second"
    facts = {"caption": clip.caption, "frames": length, **clip.about}
    return "\n".join(f"{name:12}{value}" for name, value in facts.items())
