"""Sentences computed from a report's tables: where patterns differ, where they don't, and what can't be told.

No sentence is written beforehand: each states figures, whether intervals lie apart, and what a test makes of it.
"""

from ..evaluation.statistics import CALLED, wilson
from .tables import CEILING, CORRECTED, FLOOR, P_VALUE, pair

NOT_PATTERNS = (CEILING, FLOOR, "answering 0")


def verdict(row, one, other):
    """On which side of `other` the interval of `one` lies in a row: "better", "worse", "alike" (they overlap), or None.

    None: there is no interval, or neither more nor less is better. That is no test; see tables.RULE.
    """
    a, b = row["cells"][one], row["cells"][other]
    if not row["better"] or None in (a["low"], b["low"]):
        return None
    pairs = [((a["low"], a["high"]), (b["low"], b["high"]))]
    if row["share"]:
        pairs.append([wilson(cell["mean"], max(1, cell["n"] * cell["values"])) for cell in (a, b)])
    apart = all(mine[0] > theirs[1] or theirs[0] > mine[1] for mine, theirs in pairs)
    return ("better" if (a["mean"] - b["mean"]) * row["better"] > 0 else "worse") if apart else "alike"


def table(report, key):
    """The table of this id, or None."""
    return next((table for table in report["tables"] if table["id"] == key), None)


def patterns(report):
    """The labels that are compared."""
    return [name for name in report["tables"][0]["columns"] if name not in NOT_PATTERNS]


def answer(report):
    """Two sentences for the first screen: the pair in all measures; and by speed."""
    one, other = pair(patterns(report))
    return [_overall(report, report["tables"][0], one, other), _by_speed(report, one, other)]


def findings(report):
    """More sentences: the pair seed by seed; every pattern beside the best mean, measure by measure; equal FLOPs;
    validation loss; cost."""
    one, other = pair(patterns(report))
    sentences = [_paired(of, one, other) for of in report["tables"] if of["id"].startswith("paired")]
    sentences += [_beside_the_best(row, patterns(report)) for row in report["tables"][0]["rows"] if row["better"]]
    flops = table(report, "measures-flops")
    if flops and flops is not report["tables"][0] and {one, other} <= set(flops["columns"]):
        sentences.append(_overall(report, flops, one, other))
    return [*sentences, _validation(report, one, other), *_cost(report, one, other)]


def cell_text(cell, form):
    """'0.91 (0.85 to 0.97)': the mean and its interval, without the latter where there is none."""
    if cell is None or cell["mean"] is None:
        return "-"
    form = cell.get("format", form)
    mean = format(cell["mean"], form)
    return mean if cell["low"] is None else f"{mean} ({format(cell['low'], form)} to {format(cell['high'], form)})"


def _sides(rows, one, other):
    """The rows that have a verdict, by it: {"better": rows, "worse": rows, "alike": rows}."""
    sides = {"better": [], "worse": [], "alike": []}
    for row in rows:
        if told := verdict(row, one, other):
            sides[told].append(row)
    return sides


def _gains(rows, one, other):
    """By how much one's mean is the better one, for each row that has both means."""
    pairs = [(row["better"], row["cells"][one]["mean"], row["cells"][other]["mean"]) for row in rows]
    return [better * (a - b) for better, a, b in pairs if None not in (a, b)]


def _overall(report, of, one, other):
    rows = [row for row in of["rows"] if row["better"]]
    better, worse, alike = _sides(rows, one, other).values()
    told = [*better, *worse, *alike]
    if not told:
        gains = _gains(rows, one, other)
        return (
            f"{of['title']}: {one} has the better figure in {sum(gain > 0 for gain in gains)} of {len(gains)} measures "
            f"and {other} in {sum(gain < 0 for gain in gains)}, but with one run of each there are no intervals, so no "
            "difference is called."
        )

    def figures(rows):
        return _listed([f"{row['label']} {_figure(row, one)} against {_figure(row, other)}" for row in rows])

    runs = min(row["cells"][name]["n"] for row in told for name in (one, other))
    return (
        f"{of['title']}, {runs} seeds: the interval of {one} lies on the better side of that of {other} in "
        f"{len(better)} of {len(told)} measures{figures(better)}, on the worse side in {len(worse)}{figures(worse)}; "
        f"in {len(alike)} they overlap. {_tested(report)}"
    )


def _tested(report):
    """What the paired tests say after their correction, of all paired tables together."""
    tables = [of for of in report["tables"] if of["id"].startswith("paired")]
    tests = [(of, row) for of in tables for row in of["rows"] if _corrected(row) is not None]
    if not tests:
        return "Nothing is paired seed by seed here, so no difference is called."
    called = [f"{row['label']} ({of['title'].rpartition(', ')[2]})" for of, row in tests if _corrected(row) < CALLED]
    if not called:
        return f"Of {len(tests)} paired rows none is a difference after Holm's correction."
    return f"Of {len(tests)} paired rows {len(called)} are differences after Holm's correction{_listed(called)}."


def _by_speed(report, one, other):
    patches = report["about"]["patches_per_frame"]
    rows = table(report, "speeds")["rows"]
    beyond = [speed for speed, length in patches.items() if length >= 1]
    if not beyond:
        fastest = max(patches, key=patches.get)
        return (
            f"No speed of these clips takes a digit out of its patch from one frame to the next (at most "
            f"{patches[fastest]:.2f} patches, {fastest}), so they can't show what a link to the same position misses "
            "there."
        )
    parts = []
    for speeds, where in (
        (beyond, "Where a digit leaves its patch from one frame to the next"),
        ([speed for speed in patches if speed not in beyond], "where it doesn't"),
    ):
        chosen = [row for row in rows if row["speed"] in speeds and row["better"]]
        better, worse, alike = (len(side) for side in _sides(chosen, one, other).values())
        gains = _gains(chosen, one, other)
        text = f"{one} has the better figure in {sum(gain > 0 for gain in gains)} of {len(gains)}, without intervals"
        if better + worse + alike:
            text = (
                f"the interval of {one} lies on the better side of that of {other} in {better} of "
                f"{better + worse + alike} figures and on the worse side in {worse}"
            )
        named = ", ".join(f"{speed}: {patches[speed]:.2f} patches" for speed in speeds)
        parts += [f"{where} ({named}), {text}"] * bool(speeds)
    return "; ".join(parts) + "."


def _paired(of, one, other):
    """Differences within seeds: those that survive the correction, and those whose own interval doesn't hold 0."""
    rows = [row for row in of["rows"] if _corrected(row) is not None]

    def told(chosen, side):
        cells = [(row, row["cells"][f"{one} - {other}"]) for row in chosen]
        found = [f"{r['label']} {cell_text(c, r['format'])}" for r, c in cells if c["mean"] * r["better"] * side > 0]
        return f"{len(found)}{_listed(found)}"

    called = [row for row in rows if _corrected(row) < CALLED]
    apart = [row for row in rows if row not in called and row["cells"][P_VALUE]["mean"] < CALLED]
    return (
        f"{of['title']}: of {len(rows)} figures, {one} is better in {told(called, 1)} and worse in {told(called, -1)} "
        f"after Holm's correction. Of the others, which show no difference, the uncorrected interval lies on the "
        f"better side of 0 in {told(apart, 1)}, on the worse side in {told(apart, -1)}."
    )


def _corrected(row):
    """The corrected p of a row of a paired table, or None."""
    return row["cells"][CORRECTED]["mean"]


def _beside_the_best(row, names):
    """A measure: the best mean, which patterns are apart from it and which aren't."""
    cells = {name: row["cells"][name] for name in names if row["cells"][name]["mean"] is not None}
    if not cells:
        return _sentence(f"{row['label']}: nothing to measure.")
    if len({_figure(row, name) for name in cells}) == 1:
        return _sentence(f"{row['label']}: the same mean for all, {_figure(row, next(iter(cells)))}.")
    best = max(cells, key=lambda name: row["better"] * cells[name]["mean"])
    text = f"{row['label']}: the best mean is that of {_named(row, best)}"
    for told, what in (("better", "intervals apart from it"), ("alike", "overlapping"), (None, "without an interval")):
        others = [_named(row, name) for name in cells if name != best and verdict(row, best, name) == told]
        text += f"; {what}: {', '.join(others)}" if others else ""
    return _sentence(text + ".")


def _validation(report, one, other):
    rows = [row for row in table(report, "validation")["rows"] if not row["speed"] and row["label"] != "all"]
    better, worse, alike = ([row["label"] for row in side] for side in _sides(rows, one, other).values())
    if not better + worse + alike:
        lower = sum(gain > 0 for gain in _gains(rows, one, other))
        return f"Validation loss: that of {one} is the lower one in {lower} of {len(rows)} bins; no intervals."
    return (
        f"Validation loss: the interval of {one} lies below that of {other} in {len(better)} of {len(rows)} noise "
        f"bins{_listed(better)}, above it in {len(worse)}{_listed(worse)}; elsewhere they overlap."
    )


def _cost(report, one, other):
    for row in table(report, "cost")["rows"]:
        a, b = (row["cells"][name]["mean"] for name in (one, other))
        if a and b and row["label"].startswith(("FLOPs of a training", "seconds of a training")):
            what = row["label"].split(",")[0].split(" (")[0]
            yield _sentence(f"{what}: {other} takes {b / a:.2f} of what {one} takes.")


def _named(row, name):
    return f"{name} {_figure(row, name)}"


def _figure(row, name):
    return format(row["cells"][name]["mean"], row["format"])


def _listed(texts):
    return f" ({'; '.join(texts)})" if texts else ""


def _sentence(text):
    return text[0].upper() + text[1:]
