"""From the figures of single runs to a report: tables of means over seeds with their intervals, as plain JSON.

A table is {"id", "title", "note", "columns", "rows"}.
A row is {"key", "label", "better", "share", "format", "speed", "cells"}, of clips of all speeds if its speed is None.
A cell is {"mean", "low", "high", "n", "values"}, perhaps with a "format" of its own. low, high: the 95% interval (None
for a single run; of shares, the part of it in [0, 1]). n: runs. values: the number of clips behind one run's figure, of
several runs the fewest. Pages and sentences are made from this and nothing else.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..evaluation import Estimate
from ..evaluation.controls import OTHER_CAPTIONS, SPOILT
from ..evaluation.scores import Scores
from ..evaluation.statistics import holm, student_p, student_t
from .drawing import LEVEL_BINS, Drawn
from .measures import COMPARED, figure, likeness

CEILING = "real clips"
FLOOR = "floor"
QUESTION = (
    "Attention within frames and then over time, or all tokens of a clip jointly: what does it change in what is drawn?"
)
TITLES = {"steps": "Equal steps", "flops": "Equal FLOPs", "given": "Weights as they are"}
P_VALUE, CORRECTED, P_FORMAT = "p", "p, corrected", {"format": ".3f"}  # columns of a paired table
RULE = (
    "A difference is called only where one minus the other within each seed, tested by Student's t, has a p below 0.05 "
    "after Holm's correction for all paired rows of this report. Where intervals are said to lie apart, these are 95% "
    "intervals, each for itself: Student's t over the seeds, with the same prompts and noise for all, and for shares "
    "also Wilson's over all clips. Of several dozen figures a few lie apart by chance, so that shows no difference."
)


@dataclass(frozen=True)
class Result:
    """One model: its label, seed and steps, what it drew, its Scores, minutes of training and seconds of a step.

    minutes, step_seconds: None where nothing tells them.
    """

    name: str
    seed: int
    steps: int
    drawn: Drawn
    scores: Scores
    minutes: float | None = None
    step_seconds: float | None = None


def build_report(results, prompts, references, prices, about):
    """The report as plain JSON: tables of {budget: [Result]}, of two patterns each or more, and `about`: what they are.

    references: Scores of real clips and of the CONTROLS (measures.references). prices: {name: (FLOPs of a training
    step, bytes of it, FLOPs to draw a clip, average attention distance)}.
    """
    tables, first = [], next(iter(results.values()))
    for budget, found in results.items():
        tables.append(measures_table(budget, found, prompts, references))
    tables.append(speed_table(first, prompts, references))
    tables.append(validation_table(first, prompts))
    tables.append(cost_table(results, prices))
    tables.append(controls_table(prompts, references))
    names = _names(first)
    for budget, found in results.items() if about["trained"] else ():
        if min(_runs(found, name) for name in pair(names)) > 1:
            tables.append(paired_table(budget, found, prompts, *pair(names)))
    correct(tables)
    curves = {name: [likeness(r.scores, prompts) for r in first if r.name == name] for name in names}
    curves[CEILING] = [likeness(references["real"], prompts)]
    curves = {name: _rounded(np.mean(several, axis=0)) for name, several in curves.items()}
    return {"question": QUESTION, "rule": RULE, "about": about, "tables": tables, "likeness": curves}


def pair(names):
    """The two that the first sentence is about: joint and framewise where both are there, else the first two."""
    return ("joint", "framewise") if {"joint", "framewise"} <= set(names) else tuple(names[:2])


def measures_table(budget, results, prompts, references):
    """Every measure for every pattern, of one budget."""
    names = [name for name in COMPARED if not np.isnan(figure(references["real"], name, prompts)[0])]
    rows = [_measured(name, results, prompts, references) for name in names]
    note = (
        f"Floor: {OTHER_CAPTIONS}, or real clips spoilt in the way that the measure is about (shuffled, recombined, "
        f"frozen). Runs: {', '.join(f'{name} {_runs(results, name)}' for name in _names(results))}. Clips: those of a "
        "run of which the measure says something; of several runs the fewest."
    )
    return _table(f"measures-{budget}", TITLES[budget], note, [*_names(results), CEILING, FLOOR], rows)


def speed_table(results, prompts, references):
    """The measures of one digit, speed by speed."""
    rows = [
        _measured(name, results, prompts, references, speed)
        for name, measure in COMPARED.items()
        if measure.unit != "distance" and measure.kinds != ("two",)
        for speed in prompts.data.speeds
        if not np.isnan(figure(references["real"], name, prompts, speed)[0])
    ]
    note = "How far a digit goes in a frame, in patches, stands above: from 1 on it has left its patch."
    return _table("speeds", "By speed", note, [*_names(results), CEILING, FLOOR], rows)


def validation_table(results, prompts):
    """The error on fixed clips by noise level and by speed, beside that of a network that answers nothing."""
    every = slice(None)
    rows = [_loss("all", (every, every), results)]
    for k in range(LEVEL_BINS):
        rows.append(_loss(f"noise {k / LEVEL_BINS:.3g} to {(k + 1) / LEVEL_BINS:.3g}", (every, k), results))
    for k, speed in enumerate(prompts.data.speeds):
        rows.append(_loss(f"all noise, {speed}", (k, every), results, speed))
    note = (
        "Mean squared error of the velocity on fixed clips of digits that training didn't see, one noise level for all "
        "frames. No ceiling is known: clips can't be told from noise for certain."
    )
    return _table("validation", "Validation loss by noise level", note, [*_names(results), "answering 0"], rows)


def _loss(label, part, results, speed=None):
    """The row of a part of the validation errors (speeds, LEVEL_BINS)."""
    cells = _by_name(results, lambda r: r.drawn.errors[part].mean())
    cells["answering 0"] = _cell([r.drawn.answer_nothing[part].mean() for r in results])
    return _row("validation", label, cells, ".4f", better=-1, speed=speed)


def cost_table(results, prices):
    """What each pattern costs, predicted and measured."""
    first = next(iter(results.values()))
    names = _names(first)

    def price(index, scale=1):
        return {name: _cell([prices[name][index] / scale]) for name in names}

    rows = [
        _row("cost", "FLOPs of a training step, 10^9", price(0, 1e9), ".3g"),
        _row("cost", "FLOPs to draw a clip, 10^9", price(2, 1e9), ".3g"),
        _row("cost", "memory of a training step, MB (predicted)", price(1, 1e6), ".0f"),
        _row("cost", "average attention distance", price(3), ".2f"),
        _row("cost", "seconds of a training step (median, measured)", _by_name(first, lambda r: r.step_seconds), ".3f"),
        _row("cost", "seconds to draw a clip (measured)", _by_name(first, lambda r: r.drawn.seconds), ".2f"),
    ]
    for budget, found in results.items():
        suffix = "" if budget == "given" else f", equal {budget}"
        steps = {name: _cell([next(r.steps for r in found if r.name == name)]) for name in _names(found)}
        rows.append(_row("cost", f"steps{suffix}", steps, ",.0f"))
        rows.append(_row("cost", f"minutes of training{suffix}", _by_name(found, lambda r: r.minutes), ".1f"))
    note = (
        "Attention distance: how many attentions it takes from one token to another, on average; none where there is "
        "no way. Times are of this machine, whatever else it did."
    )
    return _table("cost", "Cost", note, names, rows)


def controls_table(prompts, references):
    """Frechet distances of real clips and of spoilt ones: what the distance notices and what it doesn't."""
    columns, count = {CEILING: "real", **{name: name for name in SPOILT}}, len(prompts.captions)
    rows = []
    for name in ("frechet_frames", "frechet_clips"):
        distances = {column: references[scores].distances[name] for column, scores in columns.items()}
        rows.append(_row_of(name, {column: _cell([distance], count) for column, distance in distances.items()}))
    note = (
        f"To a second set of real clips of the same {count} captions ({prompts.real.shape[1]} frames "
        "each): what two sets of real clips are apart is the least that can be expected at this number. Shuffled and "
        "recombined clips have the same frames, so only the distance of clips may rise."
    )
    return _table("controls", "Controls of the Frechet distances", note, list(columns), rows)


def paired_table(budget, results, prompts, one, other):
    """one - other within each seed, in every measure and in the validation loss, also speed by speed."""

    def cells(value):
        mine, theirs = ({r.seed: value(r) for r in results if r.name == which} for which in (one, other))
        cell = _cell([mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())])
        return {f"{one} - {other}": cell, P_VALUE: _cell([p_value(cell)]) | P_FORMAT}

    def loss(label, part, speed=None):
        return _row("validation", label, cells(lambda r: r.drawn.errors[part].mean()), ".4f", better=-1, speed=speed)

    rows = [_row_of(name, cells(lambda r, name=name: figure(r.scores, name, prompts)[0])) for name in COMPARED]
    rows.append(loss("validation loss", slice(None)))
    for k, speed in enumerate(prompts.data.speeds):
        rows.append(loss(f"validation loss, {speed}", k, speed))
    rows = [row for row in rows if row["cells"][f"{one} - {other}"]["mean"] is not None]
    note = (
        "Seed by seed: the two had the same autoencoder, first weights and batches, so what seeds share is taken out. "
        "p: Student's t; then corrected by Holm for all paired rows of this report. Below 0.05 it is a difference."
    )
    title = f"{one.capitalize()} minus {other}, paired, {TITLES[budget].replace('E', 'e', 1)}"
    return _table(f"paired-{budget}", title, note, [f"{one} - {other}", P_VALUE, CORRECTED], rows)


def p_value(cell):
    """p of a cell of differences within seeds, by Student's t from its interval; None without one."""
    if cell["low"] is None:
        return None
    half = (cell["high"] - cell["low"]) / 2
    if half == 0:
        return float(cell["mean"] == 0)
    return student_p(cell["mean"] / half * student_t(cell["n"] - 1), cell["n"] - 1)


def correct(tables):
    """Add to the rows of all paired tables together what Holm's correction makes of their p."""
    rows = [row for one in tables if one["id"].startswith("paired") for row in one["rows"]]
    p_values = [row["cells"][P_VALUE]["mean"] if row["better"] else None for row in rows]
    for row, p in zip(rows, holm([math.nan if p is None else p for p in p_values])):
        row["cells"][CORRECTED] = _cell([p]) | P_FORMAT


def _table(key, title, note, columns, rows):
    return {"id": key, "title": title, "note": note, "columns": columns, "rows": rows}


def _row(key, label, cells, form, *, better=0, share=False, speed=None):
    head = {"key": key, "label": label, "better": better, "share": share, "format": form, "speed": speed}
    return {**head, "cells": cells}


def _row_of(name, cells, speed=None):
    """The row of a measure, of clips of one speed if it is given."""
    measure = COMPARED[name]
    form = ".3g" if measure.unit == "distance" else measure.form
    label = f"{measure.title}: {speed}" if speed else measure.title
    return _row(name, label, cells, form, better=measure.better, share=measure.share, speed=speed)


def _measured(name, results, prompts, references, speed=None):
    """The row of a measure with the cells of all patterns, of the ceiling and of the floor."""
    measure, cells = COMPARED[name], {}
    for pattern in _names(results):
        found = [figure(r.scores, name, prompts, speed) for r in results if r.name == pattern]
        cells[pattern] = _cell([mean for mean, _ in found], min(count for _, count in found), measure)
    for column, scores in ((CEILING, "real"), (FLOOR, measure.floor)):
        mean, count = figure(references[scores], name, prompts, speed)
        cells[column] = _cell([mean], count)
    return _row_of(name, cells, speed)


def _names(results):
    return list(dict.fromkeys(result.name for result in results))


def _runs(results, name):
    return sum(result.name == name for result in results)


def _by_name(results, value):
    """{pattern: cell} of a value of each result."""
    return {name: _cell([value(r) for r in results if r.name == name]) for name in _names(results)}


def _cell(values, count=None, measure=None):
    """A cell from one figure a run; None and what isn't finite is left out of the mean. count: clips behind each."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return (measure.over_seeds if measure else Estimate.over_runs)(known).plain() | {"values": count}


def _rounded(values):
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]
