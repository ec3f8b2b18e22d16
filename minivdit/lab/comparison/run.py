"""`minivdit compare`: from a configuration to a report; stopped at any point, the same command goes on."""

import contextlib
import dataclasses
import datetime
import json
import re
from pathlib import Path

import numpy as np

from ...base import config
from ...base.errors import InputError, shorten
from ...base.files import write_file
from ...base.locking import locked
from ...base.machine import processor
from ...generation import TextToVideo
from ...models.patterns import average_attention_distance
from ...models.schemes import SCHEMES
from ...nn import fingerprint
from ..pipeline.forecast import token_grid, transformer_cost
from ..pipeline.train import trained_with, with_known_digits
from . import page, plots
from .drawing import draw
from .findings import answer
from .measures import figure, references
from .prompts import KINDS, choose_prompts, emptied_patches, speed_in_pixels
from .study import BUDGETS, predict, training_log, with_pattern
from .tables import CEILING, Result, build_report, pair

BETWEEN = "more than one seed is needed for intervals: here they are left empty, and no difference is called"


def compare(study, budgets=BUDGETS, report_only=False, progress=True, show=print):
    """Train all that a Study asks for, draw, judge, and write the report into its folder: returned as a dict.

    budgets: 'steps', 'flops' or both, in this order. The report is written after each of them. report_only: neither
    train nor draw; only what is there already is reported, of the budgets with two patterns or more. Raises InputError
    if there is no such budget.
    """
    with contextlib.nullcontext() if report_only else locked(study.out):
        return _compare(study, budgets, report_only, progress, show)


def _compare(study, budgets, report_only, progress, show):
    prompts = choose_prompts(study.preset.data, study.prompts, study.data)
    results, notes, report = {}, [], None
    if not report_only:
        show(predict(study, budgets, len(prompts.captions)))
        study.keep()
    spoilt = references(prompts)
    known = {}  # the same model may belong to both budgets
    for budget in budgets:
        seed = earlier = None
        trials = study.trials(budget)
        for trial in trials:
            if trial.folder not in known:
                if not report_only and trial.seed != seed:
                    seed, earlier = trial.seed, study.earlier_stages(trial.seed, progress=progress)
                    study.check_fairness(*earlier, seed)
                known[trial.folder] = _result(study, trial, prompts, earlier, report_only, progress, show)
        found = [known[trial.folder] for trial in trials if known[trial.folder] is not None]
        if len({result.name for result in found}) < 2:
            continue
        results[budget] = found
        if len(found) < len(trials):
            notes.append(f"{len(trials) - len(found)} of {len(trials)} trainings of equal {budget} are missing")
        about = _about(study.preset, results, prompts, notes, True, study.data)
        prices = {name: _prices(with_pattern(study.preset, name)) for name in study.names}
        report = _write(study.out, build_report(results, prompts, spoilt, prices, about), results, prompts)
    if report is None:
        raise InputError(f"fewer than two patterns have been trained and drawn in {study.out}; leave --report-only out")
    _tell(report, study.out, show)
    return report


def compare_weights(files, out, prompts=48, data=None, digits=None, report_only=False, show=print):
    """The same for weights that are trained already: files is a list of (name, path); the same name twice: two runs.

    digits: source of the real clips; the one that the weights were trained on unless given.
    Raises InputError where they differ in more than their pattern, where the first files of all names (or the second,
    and so on) have different autoencoders, or where a name of SCHEMES isn't a file's pattern.
    """
    for name, _ in files:
        if not re.fullmatch(r"\w[\w.-]{0,63}", name):  # it becomes a part of a file's name
            raise InputError(
                f"{shorten(name)} can't be a name in --weights NAME=FILE; give letters, digits, '.', '-' and '_' only"
            )
    out, models = Path(out), [(name, path, TextToVideo.load(path)) for name, path in files]
    presets_of = [trained_with(model, path) for _, path, model in models]
    for (name, path, model), preset in zip(models, presets_of):
        _check_alike(models[0], presets_of[0], name, path, model, preset)
    seeds = [sum(other == name for other, *_ in models[:place]) for place, (name, *_) in enumerate(models)]
    _check_autoencoders(models, seeds)
    if len({name for name, *_ in models}) < 2:
        raise InputError("a comparison needs weights of two names or more; give --weights NAME=FILE for each")
    known = presets_of[0].data
    chosen = dataclasses.replace(presets_of[0], data=dataclasses.replace(known, digits=digits or known.digits))
    shared = with_known_digits(chosen, data)
    asked = choose_prompts(shared.data, prompts, data)
    spoilt, results, prices = references(asked), {"given": []}, {}
    for (name, _, model), seed, preset in zip(models, seeds, presets_of):
        show(f"{name} ({model.fingerprint()}): drawing {len(asked.captions)} clips")
        drawn = draw(model, asked, out / f"{name}{seed}.safetensors", data, not report_only)
        if drawn is None:
            raise InputError(f"clips of {name} have not been drawn in {out} yet; leave --report-only out")
        minutes = model.notes.get("minutes")
        steps = model.notes.get("steps", 0)
        results["given"].append(Result(name, seed, steps, drawn, asked.scorer(drawn.video), minutes))
        prices[name] = _prices(preset)
    about = _about(shared, results, asked, [], False, data)
    about["models"] = [f"{name} {model.fingerprint()}" for name, _, model in models]
    report = _write(out, build_report(results, asked, spoilt, prices, about), results, asked)
    _tell(report, out, show)
    return report


def _result(study, trial, prompts, earlier, report_only, progress, show):
    """The Result of a trial, trained and drawn if it isn't; None if it isn't and only a report is wanted."""
    model = study.trained(trial)
    if model is None:
        if report_only:
            return None
        model = study.train(trial, *earlier, progress=progress)
    drawn = draw(model, prompts, trial.folder / "drawn.safetensors", study.data, not report_only)
    if drawn is None:
        return None
    minutes, step_seconds = training_log(trial.folder)
    result = Result(trial.name, trial.seed, trial.steps, drawn, prompts.scorer(drawn.video), minutes, step_seconds)
    told = {key: figure(result.scores, key, prompts)[0] for key in ("obeys", "bound", "flawless")}
    figures = ", ".join(f"{key} {share:.2f}" for key, share in told.items() if not np.isnan(share))
    show(f"{trial.name}, seed {trial.seed}, {trial.steps} steps ({model.fingerprint()}): {figures}")
    return result


def _prices(preset):
    """What tables.build_report wants to know of a pattern's cost."""
    training, one = transformer_cost(preset), transformer_cost(preset, 1)
    drawing = one.sampling_flops(preset.sampling.steps, preset.sampling.guidance_scale != 1)
    patterns = [pattern for pattern, _ in preset.transformer.block_patterns()]
    distance = average_attention_distance(patterns, token_grid(preset))
    return training.training_flops, training.training_memory, drawing, distance


def _about(preset, results, prompts, notes, trained, directory):
    """What was compared: everything that the report says besides figures."""
    data = preset.data
    patch = [side * preset.autoencoder.factor for side in preset.transformer.patch_size[1:]]
    runs = {}
    for found in results.values():
        for result in found:
            runs[result.name] = max(runs.get(result.name, 0), sum(r.name == result.name for r in found))
    if min(runs.values()) < 2:
        notes = [*notes, BETWEEN]
    reach = {speed: speed_in_pixels(data, speed) / min(patch) for speed in data.speeds}
    left = emptied_patches(data, patch, directory)
    digits = " or ".join({1: "one", 2: "two"}[count] for count in data.num_digits)
    digits += " digit" + "s" * (max(data.num_digits) > 1)
    return {
        "preset": config.plain(preset),
        "trained": trained,
        "notes": notes,
        "data": f"Preset {preset.name}: clips of {data.num_frames} frames of {data.size[0]}x{data.size[1]} with "
        f"{digits} ({data.digits}) of {data.digit_size} pixels",
        "runs": runs,
        "patch": patch,
        "patches_per_frame": {speed: round(length, 4) for speed, length in reach.items()},
        "left_behind": {speed: round(share, 4) for speed, share in left.items()},
        "clips": len(prompts.captions),
        "kinds": {KINDS[kind]: int((prompts.kind == kind).sum()) for kind in KINDS if (prompts.kind == kind).any()},
        "pair_speeds": [speed for speed in data.speeds if ((prompts.kind == "two") & (prompts.speed == speed)).any()],
        "machine": processor(),
        "date": datetime.date.today().isoformat(),
        "models": [f"{r.name}, seed {r.seed}, {r.steps} steps" for found in results.values() for r in found],
    }


def _write(out, report, results, prompts):
    """Write report.json, .md and .html, which are made of the JSON, and the first screen's GIFs into `out`."""
    report = json.loads(json.dumps(report, allow_nan=False))
    found = next(iter(results.values()))
    videos = {CEILING: prompts.real} | {result.name: result.drawn.video for result in reversed(found)}
    names = [CEILING, *dict.fromkeys(result.name for result in found)]
    first, rows = _examples(prompts)
    front = {name: videos[name] for name in (CEILING, *reversed(pair(names[1:])))}
    every = {name: videos[name] for name in names}
    pictures = [
        (
            "Measures",
            "Dots: means; lines: 95% intervals over seeds.",
            plots.measures_plot(report, report["tables"][0]["id"]),
        ),
        (
            "Speed",
            "Right of the grey line a digit leaves its patch from one frame to the next.",
            plots.speeds_plot(report),
        ),
        (
            "Does a digit stay like its first picture?",
            "Correlation with its first picture; 0 where it is lost.",
            plots.likeness_plot(report),
        ),
        (
            "Validation loss",
            "Below 1: a smaller error than the pattern it is divided by.",
            plots.validation_plot(report),
        ),
    ]
    side_by_side = plots.clips(front, first, prompts.captions)
    more = plots.clips(every, rows, prompts.captions, columns=3)
    files = {
        "report.json": json.dumps(report, indent=1).encode(),
        "report.md": page.markdown(report).encode(),
        "report.html": page.html(report, side_by_side, more, pictures).encode(),
        **{f"clips-{number}.gif": gif for number, (_, gif) in enumerate(side_by_side, 1)},
    }
    for name, content in files.items():
        write_file(Path(out) / name, content)
    return report


def _tell(report, out, show):
    """Show the conclusion and where the report is."""
    for sentence in answer(report):
        show(sentence)
    show(str(Path(out) / "report.html"))


def _examples(prompts):
    """Which prompts are shown: a few for the first screen, fast ones too, and more for further down."""
    slow_to_fast = [np.flatnonzero(prompts.rows([kind], speed)) for kind in KINDS for speed in prompts.data.speeds]
    order = [rows[k] for k in range(3) for rows in slow_to_fast if len(rows) > k]
    one = [row for row in order if prompts.kind[row] != "two" and prompts.speed[row] == prompts.data.speeds[-1]]
    two = [row for row in order if prompts.kind[row] == "two"]
    first = [*one[:1], *two[-1:], *[row for row in order if row not in one[:1] + two[-1:]]][:3]
    return first, [row for row in order if row not in first][:8]


def _check_alike(first, first_preset, name, path, model, preset):
    """Raise InputError where weights differ from the first in more than the pattern, or aren't what they are called."""
    transformer = preset.transformer
    asked = dataclasses.replace(transformer, patterns=SCHEMES.get(name, transformer.patterns))
    if transformer.block_patterns() != asked.block_patterns():
        raise InputError(
            f"{path} has the pattern {', '.join(transformer.patterns)}, which isn't {name} "
            f"({', '.join(SCHEMES[name])}); give it another name"
        )

    def fixed(preset, model):
        network = config.plain(preset.transformer) | {"patterns": None}
        parts = {"autoencoder": model.autoencoder.config, "transformer": network}
        return {"data": preset.data, **parts, "diffusion": preset.diffusion, "settings": model.settings}

    found = config.differences(*(config.plain(fixed(*of)) for of in ((first_preset, first[2]), (preset, model))))
    if found:
        raise InputError(
            f"{path} can't be compared with {first[1]}: {'; '.join(found)}; give weights that differ in their pattern "
            "alone"
        )


def _check_autoencoders(models, seeds):
    """Raise InputError unless the weights of one seed, in the order given, share their autoencoder."""
    first = {}  # seed: (path, fingerprint)
    for (_, path, model), seed in zip(models, seeds):
        own = fingerprint(model.autoencoder)
        other, theirs = first.setdefault(seed, (path, own))
        if own != theirs:
            raise InputError(
                f"{path} has another autoencoder ({own}) than {other} ({theirs}), so more than the pattern differs; "
                "give weights trained with one autoencoder, and those of several seeds in the same order for each name"
            )
