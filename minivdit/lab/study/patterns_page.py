"""The report on patterns as a page: curves of learning, clips side by side, a table of tests."""

import numpy as np

from ..display import html, plain
from ..evaluation.statistics import p_text
from .paired import interval, share, verdict

# Colours of Okabe and Ito, which people who confuse red and green can tell apart; each pattern has a marker besides.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v")
LOOKS = HALFWAY, END = 2, 3  # of four, those that are shown
EQUAL = {"steps": "equal steps", "flops": "equal FLOPs"}
QUESTION = "Does joint attention keep what moves consistent, where frame-wise attention doesn't?"
RULE = (
    "Tested is the mean over the four looks, one pattern minus the other within each seed, by Student's t. A "
    "difference is called one where p is below 0.05 after Holm's correction for all tests of this page. Intervals hold "
    "95%, each for itself."
)


def answer(report):
    """What was found, in sentences that are computed."""
    one, other = report["patterns"][:2]
    rows = [(world, row) for world in report["worlds"] for row in world["rows"]]
    if all(world["seeds"] < 2 for world in report["worlds"]):
        yield "Each pattern was trained once, so nothing is called a difference: give --seeds 2 or more."
        return
    for leaves, where in (
        (True, "Where what moves leaves its patch from one frame to the next"),
        (False, "Where it stays in its patch"),
    ):
        ahead = {1: [], -1: [], 0: []}
        for world, row in rows:
            if row["leaves"] == leaves:
                ahead[verdict(row["tests"]["steps"])].append(f"{row['measure'].replace('_', ' ')} ({world['name']})")
        told = {1: f"{one} attention is ahead in", -1: f"{other} attention is ahead in", 0: "no difference is shown in"}
        found = [f"{told[who]} {', '.join(names)}" for who, names in ahead.items() if names]
        yield f"{where}, {'; '.join(found)}."
    for world, row in rows:
        if row["measure"] == world["rows"][0]["measure"]:
            yield _figures(one, other, world, row)


def _figures(one, other, world, row):
    halfway, end = (
        [np.mean([curve[k] for curve in row["curves"]["steps"][name]]) for name in (one, other)] for k in LOOKS
    )
    test = row["tests"]["steps"]
    told = {1: f"{one} is better", -1: f"{other} is better", 0: "not shown to differ"}[verdict(test)]
    return (
        f"{world['name'].capitalize()}, {row['pace']}, {row['meaning']}: halfway {one} {halfway[0]:.2f} and {other} "
        f"{halfway[1]:.2f}, at the end {end[0]:.2f} and {end[1]:.2f} (mean difference on the way {test['mean']:+.2f}, "
        f"{interval(test)}): {told}."
    )


def files(report, clips):
    """{name: bytes} of the report. clips: {world: [(caption, GIF bytes)]}."""
    parts, tables = [], [(world["title"], *_rows(report, world)) for world in report["worlds"]]
    for place, (world, (_, head, rows)) in enumerate(zip(report["worlds"], tables)):
        parts += [html.text("h2", world["title"])] * (place > 0)
        parts += [_plot(report, world), html.clips(clips[world["name"]]), html.table(head, rows, report["rule"])]
    return html.report_files("minivdit study", report, parts, tables, _method(report))


def side_by_side(world, kept):
    """[(caption, GIF bytes)]: real clips and each pattern's, from the same noise, halfway and at the end.

    kept: {pattern: {"fast 3": clips}}.
    """
    made = []
    for pace in reversed(world.paces):
        for look, when in ((HALFWAY, "after half of the training"), (END, "after all of it")):
            videos = {name: clips[f"{pace} {look}"] for name, clips in kept.items()}
            count = len(next(iter(videos.values())))
            videos = {"real": world.real(pace)[:count], **videos}
            height, width = videos["real"].shape[2:4]
            factor = max(1, round(96 / max(height, width // 2)))
            made.append((f"{pace}, {when}", html.gif(videos, world.rate, factor)))
    return made


def _plot(report, world):
    """How each measure rises on the way: a line for each pattern, a thin one for each seed."""
    from matplotlib.figure import Figure

    paces = list(dict.fromkeys(row["pace"] for row in world["rows"]))
    measures = list(dict.fromkeys(row["measure"] for row in world["rows"]))
    figure = Figure(figsize=(4.2 * len(paces), 2.6 * len(measures) + 0.4), layout="constrained")
    grid = figure.subplots(len(measures), len(paces), squeeze=False, sharex=True, sharey=True)
    for row in world["rows"]:
        axes = grid[measures.index(row["measure"])][paces.index(row["pace"])]
        for name, colour, marker in zip(report["patterns"], COLOURS, MARKERS):
            steps, curves = world["marks"][name]["steps"], np.array(row["curves"]["steps"][name], float)
            axes.plot(steps, curves.T, color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(steps, curves.mean(0), color=colour, marker=marker, markersize=5, label=plain(name))
        for style, name in (("-", "real"), (":", "frames of other clips")):
            axes.axhline(row["references"][name] or 0, color="0.35", linestyle=style, linewidth=1, label=name)
        axes.set(ylim=(-0.04, 1.04), xscale="log")
        axes.set_xticks(steps, steps)
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.3)
        axes.set_title(f"{row['pace']}: {row['meaning']}", fontsize=8, wrap=True)
        axes.tick_params(labelsize=7)
    for axes in grid[-1]:
        axes.set_xlabel("steps of training", fontsize=8)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, ncols=5, loc="outside lower center", frameon=False)
    meaning = f"{world['title']}: thin lines are single trainings, thick ones their mean."
    return html.figure(figure, meaning)


def _rows(report, world):
    """(head, rows) of texts: each measure halfway and at the end, and the tests."""
    one, other = report["patterns"][:2]
    head = [
        "at equal steps",
        *(f"{name}: halfway, end" for name in report["patterns"]),
        "real",
        "spoilt: best of three",
    ]
    head += [f"{one} - {other}, {equal}" for equal in EQUAL.values()] + ["p, corrected", "called"]
    head.append("would be seen")
    rows = []
    for row in world["rows"]:
        cells = [f"{row['pace']}: {row['meaning']}"]
        for name in report["patterns"]:
            means = np.mean(row["curves"]["steps"][name], axis=0)
            cells.append(f"{means[HALFWAY]:.2f}, {means[END]:.2f}")
        spoilt = [value or 0 for name, value in row["references"].items() if name != "real"]
        cells += [f"{row['references']['real'] or 0:.2f}", f"{max(spoilt):.2f}"]
        cells += [f"{row['tests'][equal]['mean']:+.2f} ({interval(row['tests'][equal])})" for equal in EQUAL]
        test = row["tests"]["steps"]
        cells.append("-" if test["corrected"] is None else p_text(test["corrected"]))
        cells.append({1: f"{one} is better", -1: f"{other} is better", 0: "not shown"}[verdict(test)])
        cells.append(share(test["detectable"]))
        rows.append(cells)
    return head, rows


def _method(report):
    """How the figures came about, in sentences."""
    yield (
        "Within a seed all patterns have the same first weights, the same batches in the same order and as many "
        "weights; they differ in which patches attend to which. Rates are constant after the warmup, so each look is "
        "as fair as the last. Drawn with the running mean of the weights, from the same noise for all."
    )
    yield (
        "Would be seen: the difference that nine in ten studies like this one would call, at the deviation over seeds "
        "found here, before the correction for several tests."
    )
    for world in report["worlds"]:
        paces = "; ".join(
            f"{pace}, {way['pixels']:g} pixels or {way['patches']:.2f} patches a frame, and {way['left_behind']:.0%} "
            "of patches with ink have none one frame later"
            for pace, way in world["paces"].items()
        )
        costs = ", ".join(
            f"{name} {world['gflops'][name]:.2f} GFLOPs and {world['seconds'][name]:.2f} s"
            for name in report["patterns"]
        )
        yield (
            f"{world['title'].capitalize()}: {paces}. {world['seeds']} trainings of each pattern, {world['clips']} "
            f"clips of each pace at each look. A step: {costs}."
        )
