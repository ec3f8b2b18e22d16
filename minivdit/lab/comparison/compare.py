"""`minivdit compare`: draw the same captions from the same noise with each of several weights, judge, and show it."""

import datetime
import json
from pathlib import Path

from ...base.errors import InputError
from ...base.files import write_file
from ...base.locking import locked
from ...base.machine import description
from ...data import PIXELS_PER_FRAME
from .. import explorer
from ..evaluation import judge_model, pairwise
from . import page
from .weights import load_alike

TOLD = ("obeys", "flawless", "one_class", "on_path")  # the measures that tell patterns apart
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
            "weights": {label: f"{model.name} ({model.fingerprint()})" for label, model in models.items()},
            "prompts": prompts,
            "seed": seed,
            "kinds": {kind: {label: parts[label][kind] for label in models} for kind in kinds},
            "pair": [one, other],
            "tests": pairwise.plain(pairwise.against(parts[one], parts[other], TOLD)),
            "about": {"machine": description(), "date": datetime.date.today().isoformat()},
        }
        caption = clips[next(iter(kinds))]["captions"][0]
        show(f"the explorer: {caption}")
        try:
            explorer.explore(caption, list(models.values()), seed=seed).save(out / "explorer.html")
        except InputError as error:  # such as weights with different patches; the comparison stands without it
            show(f"no explorer: {error}")
        for name, content in page.files(report, clips, caption).items():
            write_file(out / name, content)
    for line in (*page.answer(report), str(out / "report.html")):
        show(line)
    return report


def kinds_of(model):
    """{kind of captions: (digits in a clip, speeds or None for all)}, as far as the weights were trained on them.

    The fastest digits come by themselves, too: there, links between frames have most to do.
    """
    learnt = model.notes.get("preset", {}).get("data", {})
    speeds, pixels = learnt.get("speeds", []), learnt.get("pixels_per_frame", PIXELS_PER_FRAME)
    kinds = {"one digit": (1, None)}
    if len(speeds) > 1:
        fastest = speeds[max(range(len(speeds)), key=lambda place: pixels[place])]
        kinds[f"one digit, {fastest}"] = (1, (fastest,))
    if 2 in learnt.get("num_digits", [1]):
        kinds["two digits"] = (2, None)
    return kinds if 1 in learnt.get("num_digits", [1]) else {"two digits": (2, None)}
