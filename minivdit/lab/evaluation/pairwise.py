"""Evaluations as files, and one against another: the same captions and noise, so clip by clip.

Sets of clips that were drawn for the same captions from the same noise go well or badly together. What they share drops
out of the differences within pairs, so these tell more than two intervals side by side.
"""

import json
import re
from dataclasses import asdict, dataclass

import numpy as np

from ...base import config, seeds
from ...base.errors import InputError
from ...base.files import read_json, require_shape
from .measures import EVALUATED, MEASURES
from .statistics import CALLED, UNKNOWN, Difference, holm, p_text, paired, resampled_difference

NUMBER = (int, float, type(None))
ESTIMATE = {"mean": NUMBER, "low": NUMBER, "high": NUMBER, "n": int}
SETTINGS = {"clips": int, "frames": int, "size": [int], "digit_size": int}
PART = {"settings": SETTINGS, "columns": {"clips": {...: ESTIMATE}, "real": {...: ESTIMATE}, ...: {...: ESTIMATE}}}
EVALUATION = {"weights": str, "seed": int, "held_out": bool}
SAMPLED = {"settings": {"captions": [str]}, "samples": {...: [NUMBER]}}
CURE = "write it with 'minivdit evaluate --out'"
TESTED = tuple(name for name in EVALUATED if MEASURES[name].unit != "number")
RENAMED = {"look": "likeness", "lawful": "on_path"}  # measures, in files of earlier versions


def read_evaluation(path):
    """What `minivdit evaluate --out` wrote, as a dict with today's names; `parts` gives its parts.

    Raises InputError for anything else.
    """
    report = read_json(path, EVALUATION, "evaluation", CURE)
    try:
        require_shape(parts(report), {...: PART})
    except ValueError as error:
        raise InputError(f"{path} is no evaluation: {error}; {CURE}") from error
    if not parts(report):
        raise InputError(f"{path} is no evaluation: it has no figures; {CURE}")
    for part in parts(report).values():
        for figures in (*part["columns"].values(), part.get("samples")):
            for old, new in RENAMED.items():
                if isinstance(figures, dict) and old in figures:
                    figures[new] = figures.pop(old)
    return report


def parts(report):
    """{"1 digits": ..., "2 digits": ...}: what an evaluation says of the prompts of each kind."""
    return {kind: part for kind, part in report.items() if kind.endswith(" digits")}


@dataclass(frozen=True)
class Row:
    """A measure of the clips of one kind: the Difference, and its p corrected for all rows beside it."""

    kind: str
    metric: str
    difference: Difference
    corrected: float

    @property
    def called(self):
        """Whether this is a difference."""
        return self.corrected < CALLED


def against(one, other, measures=TESTED):
    """A Row for each kind of prompts that both evaluations have and each measure: one minus other, pair by pair.

    one, other: the parts of evaluations, by kind. Holm's correction is over all rows. Raises InputError where captions,
    noise, real clips or judge are not the same.
    """
    rows = []
    for kind, part in one.items():
        if kind in other:
            pair = part, other[kind]
            _require_alike(kind, *pair)
            rows += [(kind, name, _difference(name, *pair)) for name in measures if name in part["samples"]]
    if not rows:
        raise InputError("the two evaluations have no kind of prompts in common; evaluate both with the same options")
    corrected = holm([difference.p for *_, difference in rows])
    return [Row(*row, p) for row, p in zip(rows, corrected)]


def table(rows, one, other):
    """Rows as text. one, other: what to call the two sets of clips."""
    lines = [f"{one} minus {other}, the same captions and noise, clip by clip"]
    for kind in dict.fromkeys(row.kind for row in rows):
        lines.append(f"{kind} a clip".replace("1 digits", "1 digit"))
        for row in (row for row in rows if row.kind == kind and row.difference.n):
            d, form = row.difference, "+" + MEASURES[row.metric].form
            interval = f"({format(d.low, form)} to {format(d.high, form)})"
            called = "a difference" if row.called else "not shown"
            lines.append(f"{row.metric:15} {format(d.mean, form)} {interval:22} p {p_text(row.corrected):6}  {called}")
    lines.append(
        f"In brackets: 95% intervals, each for itself. p: by McNemar's exact test where values are 0 or 1, else by "
        f"changes of sign, of distances by resampled clips; corrected by Holm for all {len(rows)} rows."
    )
    return "\n".join(lines)


def as_json(report):
    """An evaluation as JSON: indented, but a list of numbers or captions on one line."""
    return re.sub(r"\[[^][{}]*\]", lambda found: re.sub(r"\s+", " ", found[0]), json.dumps(report, indent=1))


def plain(rows):
    """Rows for JSON, without those of nothing."""
    return [asdict(row) for row in rows if row.difference.n]


def _require_alike(kind, one, other):
    """Raise InputError unless two parts are of the same captions, noise, real clips and judge, and hold samples."""
    try:
        for part in (one, other):
            require_shape(part, SAMPLED)
    except ValueError as error:
        raise InputError(f"an evaluation without samples can't be compared ({error}); {CURE} again") from error
    ours, theirs = ({**part["settings"], "captions": ", ".join(part["settings"]["captions"])} for part in (one, other))
    _require_equal(kind, theirs, ours)


def require_comparable(other, kinds, settings):
    """Raise InputError if clips of such settings can't be compared with another evaluation: to be asked before drawing.

    kinds: of prompts. settings: some of those that the parts of an evaluation have.
    """
    if not set(kinds) & parts(other).keys():
        raise InputError(f"the other evaluation has {', '.join(parts(other))}, not {', '.join(kinds)}; see --per-clip")
    for kind in set(kinds) & parts(other).keys():
        theirs = parts(other)[kind]["settings"]
        _require_equal(kind, {name: theirs.get(name) for name in settings}, settings)


def _require_equal(kind, theirs, ours):
    found = config.differences(theirs, ours)
    if found:
        raise InputError(
            f"evaluations of {kind} can't be compared clip by clip: {'; '.join(f'{text:.100}' for text in found)}; "
            "evaluate both with the same options"
        )


def _difference(metric, one, other):
    """The Difference of a measure; of 0 pairs where it isn't known."""
    ours, theirs = (np.array(part["samples"].get(metric, []), float) for part in (one, other))
    if len(ours) != len(theirs):
        raise InputError(f"an evaluation has {len(ours)} samples of {metric}, the other {len(theirs)}; {CURE} again")
    if MEASURES[metric].unit != "distance":
        return paired(ours, theirs, seeds.generator(0, seeds.RESAMPLING))
    means = [part["columns"]["clips"][metric]["mean"] for part in (one, other)]
    if None in means or not len(ours):
        return UNKNOWN
    return resampled_difference(means[0] - means[1], ours - theirs, one["settings"]["clips"])
