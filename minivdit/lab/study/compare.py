"""`minivdit compare`: draw the same captions from the same noise with each of several weights, judge, and show it."""

import json
from pathlib import Path

from ...base import config
from ...base.errors import InputError
from ...base.locking import locked
from ...data import PIXELS_PER_FRAME
from ...nn import fingerprint
from .. import explorer
from ..display import html
from ..evaluation import judge_model, pairwise
from ..explorer.collect import pattern_name
from ..pipeline.train import trained_with
from . import compare_page

TOLD = ("obeys", "flawless", "one_class", "on_path", "colour", "hue_drift")  # the measures that tell patterns apart
SHOWN = 2  # captions of each kind


def compare_weights(
    weights=None, out="runs/compare", prompts=24, *, seed=0, data=None, digits=None, progress=None, show=print
):
    """Write a page into the folder `out` that puts weights beside each other; returns its report, a dict.

    weights: names or files; those that ship with a pattern as their name unless given. prompts: how many captions of
    each kind (see `kinds_of`). data, digits, progress: see evaluation.judge_model. Drawn clips are kept in `out`: the
    same command draws only what is missing. Raises InputError where weights differ in more than their pattern.
    """
    models, out = load_alike(weights), Path(out)
    with locked(out):
        first = next(iter(models.values()))
        kinds, parts, clips = kinds_of(first), {label: {} for label in models}, {}
        for kind, (count, speeds) in kinds.items():
            for label, model in models.items():
                show(f"{label} ({model.fingerprint()}): {prompts} clips, {kind}")
                keep = out / f"{label}-{kind}.safetensors".replace(" ", "_").replace(",", "")
                asked = {"num_digits": count, "speeds": speeds, "seed": seed, "data": data, "digits": digits}
                report, drawn, real, captions = judge_model(model, prompts, keep=keep, progress=progress, **asked)
                parts[label][kind] = json.loads(report.to_json())
                clips.setdefault(kind, {"captions": captions[:SHOWN], "real": real[:SHOWN]})[label] = drawn[:SHOWN]
        one, other = list(models)[:2]
        report = {
            "question": compare_page.QUESTION,
            "rule": compare_page.RULE,
            "weights": {label: f"{model.name} ({model.fingerprint()})" for label, model in models.items()},
            "prompts": prompts,
            "seed": seed,
            "kinds": {kind: {label: parts[label][kind] for label in models} for kind in kinds},
            "pair": [one, other],
            "tests": pairwise.plain(pairwise.against(parts[one], parts[other], TOLD)),
            "about": html.where_and_when(),
        }
        report["answer"] = [*compare_page.answer(report)]
        caption = clips[next(iter(kinds))]["captions"][0]
        show(f"the explorer: {caption}")
        try:
            explorer.explore(caption, list(models.values()), seed=seed).save(out / "explorer.html")
        except InputError as error:  # such as weights with different patches; the comparison stands without it
            show(f"no explorer: {error}")
        html.write_report(out, report, compare_page.files(report, clips, caption), show)
    return report


def kinds_of(model):
    """{kind of captions: (digits in a clip, speeds or None for all)}, as far as the weights were trained on them.

    The fastest digits come by themselves, too: there, links between frames have most to do.
    """
    learnt = model.learnt
    speeds, pixels = learnt.get("speeds", []), learnt.get("pixels_per_frame", PIXELS_PER_FRAME)
    kinds = {"one digit": (1, None)}
    if len(speeds) > 1:
        fastest = speeds[max(range(len(speeds)), key=lambda place: pixels[place])]
        kinds[f"one digit, {fastest}"] = (1, (fastest,))
    if 2 in learnt.get("num_digits", [1]):
        kinds["two digits"] = (2, None)
    return kinds if 1 in learnt.get("num_digits", [1]) else {"two digits": (2, None)}


def load_alike(weights=None):
    """{label: TextToVideo} of names or files of weights; the label is the pattern, numbered where it comes again.

    weights: those that ship with a pattern as their name unless given. InputError unless there are two or more, with
    the same data, network, noise levels and autoencoder. Steps and batches aren't checked.
    """
    models, labelled = explorer.load(weights), {}
    if len(models) < 2:
        raise InputError("a comparison needs two weights or more; give --weights again for each")
    for model in models:
        name = pattern_name(model.transformer.config)
        again = sum(label.split()[0] == name for label in labelled)
        labelled[f"{name} {again + 1}" if again else name] = model
    first, *others = models
    for other in others:
        found = config.differences(_fixed(first), _fixed(other))
        if found:
            raise InputError(
                f"{other.name} can't be compared with {first.name}: {'; '.join(found)}; give weights that differ in "
                "their pattern alone"
            )
    return labelled


def _fixed(model):
    """What must be the same for all."""
    preset = trained_with(model, model.name)
    network = config.plain(preset.transformer) | {"patterns": None}
    parts = {"transformer": network, "autoencoder": model.autoencoder.config, "settings": model.settings}
    same = {
        "data": preset.data,
        "diffusion": preset.diffusion,
        "weights of the autoencoder": fingerprint(model.autoencoder),
    }
    return config.plain({**parts, **same})
