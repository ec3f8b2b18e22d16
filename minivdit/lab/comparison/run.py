"""`minivdit compare`: from a configuration to a report; stopped at any point, the same command goes on."""

import collections
import contextlib
import dataclasses
import datetime
import json
from pathlib import Path

import numpy as np

from ...base import config
from ...base.errors import InputError
from ...base.files import write_file
from ...base.locking import locked
from ...base.machine import description
from ...models.patterns import average_attention_distance
from ..pipeline.forecast import token_grid, transformer_cost
from ..pipeline.train import with_known_digits
from . import page, plots
from .drawing import draw
from .findings import answer
from .given_weights import load_alike
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
    spoilt, prices = references(prompts), {name: _prices(with_pattern(study.preset, name)) for name in study.names}
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
        report = _write(study.out, build_report(results, prompts, spoilt, prices, about), results, prompts)
    if report is None:
        raise InputError(f"fewer than two patterns have been trained and drawn in {study.out}; leave --report-only out")
    return _told(report, study.out, show)


def compare_weights(files, out, prompts=48, data=None, digits=None, report_only=False, show=print):
    """The same for weights that are trained already: files is a list of (name, path); the same name twice: two runs.

    digits: source of the real clips; the one that the weights were trained on unless given.
    Raises InputError where they differ in more than their pattern, where the first files of all names (or the second,
    and so on) have different autoencoders, or where a name of SCHEMES isn't a file's pattern.
    """
    out, given = Path(out), load_alike(files)
    preset = given[0].preset
    chosen = dataclasses.replace(preset, data=dataclasses.replace(preset.data, digits=digits or preset.data.digits))
    shared = with_known_digits(chosen, data)
    asked = choose_prompts(shared.data, prompts, data)
    spoilt, results = references(asked), []
    for name, seed, _, model, _ in given:
        show(f"{name} ({model.fingerprint()}): drawing {len(asked.captions)} clips")
        drawn = draw(model, asked, out / f"{name}{seed}.safetensors", data, not report_only)
        if drawn is None:
            raise InputError(f"clips of {name} have not been drawn in {out} yet; leave --report-only out")
        steps, minutes = model.notes.get("steps", 0), model.notes.get("minutes")
        results.append(Result(name, seed, steps, drawn, asked.scorer(drawn.video), minutes))
    results, prices = {"given": results}, {weights.name: _prices(weights.preset) for weights in given}
    about = _about(shared, results, asked, [], False, data)
    about["models"] = [f"{weights.name} {weights.model.fingerprint()}" for weights in given]
    return _told(_write(out, build_report(results, asked, spoilt, prices, about), results, asked), out, show)


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
    runs = collections.Counter()
    for found in results.values():
        runs |= collections.Counter(result.name for result in found)  # the larger number of each
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
        "runs": dict(runs),
        "patch": patch,
        "patches_per_frame": {speed: round(length, 4) for speed, length in reach.items()},
        "left_behind": {speed: round(share, 4) for speed, share in left.items()},
        "clips": len(prompts.captions),
        "kinds": {KINDS[kind]: int((prompts.kind == kind).sum()) for kind in KINDS if (prompts.kind == kind).any()},
        "pair_speeds": [speed for speed in data.speeds if ((prompts.kind == "two") & (prompts.speed == speed)).any()],
        "machine": description(),
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
    side_by_side = plots.clips(front, first, prompts.captions)
    more = plots.clips(every, rows, prompts.captions, columns=3)
    files = {
        "report.json": json.dumps(report, indent=1).encode(),
        "report.md": page.markdown(report).encode(),
        "report.html": page.html(report, side_by_side, more, plots.pictures(report)).encode(),
        **{f"clips-{number}.gif": gif for number, (_, gif) in enumerate(side_by_side, 1)},
    }
    for name, content in files.items():
        write_file(Path(out) / name, content)
    return report


def _told(report, out, show):
    """Show the conclusion and where the report is; the report."""
    for sentence in (*answer(report), str(Path(out) / "report.html")):
        show(sentence)
    return report


def _examples(prompts):
    """Which prompts are shown: a few for the first screen, fast ones too, and more for further down."""
    slow_to_fast = [np.flatnonzero(prompts.rows([kind], speed)) for kind in KINDS for speed in prompts.data.speeds]
    order = [rows[k] for k in range(3) for rows in slow_to_fast if len(rows) > k]
    one = [row for row in order if prompts.kind[row] != "two" and prompts.speed[row] == prompts.data.speeds[-1]]
    two = [row for row in order if prompts.kind[row] == "two"]
    first = [*one[:1], *two[-1:], *[row for row in order if row not in one[:1] + two[-1:]]][:3]
    return first, [row for row in order if row not in first][:8]
