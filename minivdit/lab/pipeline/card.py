"""What a file of weights is, as a page of Markdown: nobody should have to guess what a model has seen and can do.

The idea is Mitchell et al. 2019, "Model Cards for Model Reporting" (arXiv:1810.03993), cut down to what a model of
moving digits needs.
"""

import dataclasses
import hashlib
import re
import shlex
from pathlib import Path

from ...base.errors import InputError, shorten
from ...generation import TextToVideo
from ...generation.weights import find
from ...training import presets, recipes
from ..evaluation import MEASURES, Estimate
from ..evaluation.measures import ABOUT_COLOURS
from ..evaluation.own_clips import MEASURES as OWN_MEASURES
from ..evaluation.own_clips import read_own
from ..evaluation.pairwise import parts, read_evaluation
from .train import trained_with

DIGITS = {"mnist": "MNIST digits", "strokes": "digits drawn by strokes"}
SHOWN = ("digit_frames", "direction", "obeys", "flawless", "number", "one_class", "on_path")


def model_card(path, evaluations=()):
    """The card of a file of weights, or of weights that ship, as text.

    evaluations: files that `minivdit evaluate --out` wrote for them.
    Raises InputError for weights that don't hold the preset they were trained with, and for evaluations of others.
    """
    path = find(path)
    model = TextToVideo.load(path)
    preset, notes = trained_with(model, path), model.notes
    minutes = "under a minute" if notes.get("minutes") is not None and notes["minutes"] < 1 else "{:.0f} minutes"

    def noted(name, text="{}"):
        return f"({name} not written down)" if notes.get(name) is None else _words(text.format(notes[name]))

    draws, data = _own_clips(preset.data, model) if isinstance(preset, presets.OwnPreset) else _clips(preset.data)
    facts = {
        "draws": draws,
        "attention": f"{_words(', '.join(preset.transformer.patterns))}{_in_sequence(preset.transformer)}; "
        f"{model.transformer.parameter_count():,} weights in the transformer, "
        f"{model.autoencoder.parameter_count():,} in the autoencoder"
        f"{_in_time(preset.autoencoder)}{_at_first(preset.diffusion)}",
        "data": data,
        "command": _commands(preset, notes, path),
        "training": f"{noted('steps', '{:,} steps')} of {preset.training.batch} clips in "
        f"{noted('minutes', minutes)} on {noted('machine')}, {noted('date')}",
        "drawing": f"{preset.sampling.sampler}, {preset.sampling.steps} steps, guidance "
        f"{preset.sampling.guidance_scale:g}, unless told otherwise",
        "file": f"{_words(path.name)}, {path.stat().st_size / 2**20:.1f} MB in half precision; weights "
        f"{model.fingerprint()}, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}",
    }
    lines = [f"# Model card: {_code(model.name)}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in facts.items()]
    figures = _own_figures if isinstance(preset, presets.OwnPreset) else _figures
    for file in evaluations:
        lines += ["", *figures(Path(file), model)]
    return "\n".join(lines) + "\n"


def _clips(data):
    """What a card says of clips of digits: what is drawn, and what was learnt from."""
    height, width = data.size
    digits = " or ".join({1: "one", 2: "two"}[count] for count in dict.fromkeys(data.num_digits))
    digits += f" moving digit{'s' * (max(data.num_digits) > 1)}"
    shapes = f", a part of them in other shapes: {_words(', '.join(data.shapes))} (frames x height x width : share)"
    such, colours = ("a red 3", ", white or in six colours") if data.colors else ("a 3", "")
    return (
        f"clips of {digits}{colours}, {height}x{width} pixels, {data.num_frames} frames, from captions such as '{such} "
        "moving right'; it knows nothing else",
        f"{_digits(data.digits)} of {data.digit_size} pixels that move and bounce, made on the fly"
        f"{shapes if data.shapes else ''}; pairs of digit and direction in `data.HELD_OUT` never captioned",
    )


def _own_clips(data, model):
    """The same of clips of one's own."""
    (height, width), words, notes = data.size, model.tokenizer.words, model.notes
    colour, some = "grey" if data.channels == 1 else "colour", _words(", ".join(words[:20]))
    captions = (
        f"captions of {len(words):,} words: {some}{', and others' * (len(words) > 20)}" if words else "no captions"
    )
    learnt, held_out = (notes.get("clips", {}).get(name, "an unknown number") for name in ("learnt", "held_out"))
    told = {"held_out_loss": "on those held out", "training_loss": "on as many from training"}
    losses = {words: notes.get("metrics", {}).get(name) for name, words in told.items()}
    figures = " and ".join(f"{value:.3f} {words}" for words, value in losses.items() if value is not None)
    return (
        f"clips in {colour}, {height}x{width} pixels, {data.num_frames} frames, from {captions}; it knows nothing "
        "else. There are no digits in them, so neither the judge nor tracking says anything here",
        f"a folder of clips, {learnt} to learn from and {held_out} held out"
        f"{f'; loss at the end {figures}' if figures else ''}",
    )


def _folded(text):
    """Text from a file in one line, without control characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())


def _in_sequence(config):
    """What a card says of words that stand among the tokens."""
    return f", words in the sequence{', experts' * config.expert_modulation}" if config.text == "sequence" else ""


def _in_time(config):
    """What a card says of an autoencoder that makes few frames of many."""
    return f", which makes one latent frame of {config.time_factor}" if config.time_factor > 1 else ""


def _at_first(settings):
    """What a card says of patterns that changed during training."""
    return f"; trained at first with {_words(', '.join(settings.early_patterns))}" if settings.early_patterns else ""


def _words(text):
    """Text from a file as nothing but words: what Markdown or HTML would obey is written as its number."""
    return re.sub(r"[\\`*\[\]<>|&~]", lambda found: f"&#{ord(found[0])};", shorten(_folded(text), 300))


def _code(text):
    """Text from a file as code in Markdown, also in a table."""
    text = _folded(text).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    edge = " " * (text.startswith("`") or text.endswith("`"))
    return f"{fence}{edge}{text}{edge}{fence}"


def _commands(preset, notes, path):
    """The command of the training that these notes are of; before it, those of the weights that it went on from."""
    start = notes.get("start")
    command = ["minivdit", "train", preset.name, *(["--start", str(start.get("name"))] if start else [])]
    command += ["--clips", "FOLDER"] if isinstance(preset, presets.OwnPreset) else []
    command += ["--seed", str(notes["seed"])] if "seed" in notes else []
    for assignment in presets.assignments(preset, recipes.get(preset.name)):
        command += ["--set", assignment]
    text = f"{_code(shlex.join(command))}{'' if 'seed' in notes else ' (seed not written down)'}"
    if not start:
        return text
    try:
        before = dataclasses.replace(presets.from_plain(start["notes"]["preset"]), transformer=preset.transformer)
        name, weights = _words(start["name"]), _words(start["weights"])
        return f"{_commands(before, start['notes'], path)} gives {name} ({weights}), then {text}"
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} doesn't say what it went on from ({shorten(repr(error), 300)}); give weights of 'minivdit train'"
        ) from error


def _figures(file, model):
    """The lines of a table for each kind of prompts in an evaluation."""
    report, lines = _of_these(file, read_evaluation(file), model), []
    for kind, part in parts(report).items():
        source = part["settings"].get("digits")
        pairs = ", pairs that no caption of the training had" if report["held_out"] else ""
        lines += [
            f"{part['settings']['clips']} prompts, {_words(kind.replace('1 digits', '1 digit'))} each{pairs}, seed "
            f"{report['seed']}; the real clips are of {_digits(source)}:",
            "",
            "| measure | drawn | real clips (ceiling) | spoilt clips (floor) |",
            "|---|---|---|---|",
        ]
        columns = part["columns"]
        for name in (*SHOWN, *(name for name in ABOUT_COLOURS if name in columns["clips"])):
            spoilt = MEASURES[name].floor
            drawn, real, floor = (columns.get(column, {}).get(name) for column in ("clips", "real", spoilt))
            least = f"{_number(floor)} ({spoilt})" if spoilt else "none"
            unit = ", degrees" * (MEASURES[name].unit == "degrees")
            lines.append(f"| {name}{unit} | {_number(drawn, True)} | {_number(real)} | {least} |")
        lines.append("")
    return lines[:-1]


def _of_these(file, report, model):
    """The report itself; InputError if it is of other weights."""
    if report["weights"] != model.fingerprint():
        raise InputError(
            f"{file} is of weights {report['weights']}, these are {model.fingerprint()}; run 'minivdit evaluate "
            f"--out {file}' with these"
        )
    return report


def _own_figures(file, model):
    """The lines of a table for an evaluation beside clips of a folder."""
    report = _of_these(file, read_own(file), model)
    lines = [f"{report['clips']} clips with the captions of held-out ones, seed {report['seed']}:", ""]
    lines += ["| measure | drawn | held-out clips | what it is |", "|---|---|---|---|"]
    for name, meaning in OWN_MEASURES.items():
        drawn, real = (Estimate.read(report["columns"][column][name]) for column in ("drawn", "held out"))
        lines.append(f"| {name} | {drawn.text('.3f')} | {real.text('.3f')} | {meaning} |")
    return lines


def _digits(source):
    """What to call a source of digits."""
    return DIGITS.get(str(source), "digits that are not written down")


def _number(figures, interval=False):
    """An estimate of an evaluation as text, perhaps with half the width of its interval."""
    return (figures and Estimate.read(figures).text(interval=interval)) or "none"
