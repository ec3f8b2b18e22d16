"""The comparison as one HTML page, and as JSON: clips beside each other in motion, what measures say, the explorer."""

from ..display import html
from ..evaluation import MEASURES
from ..evaluation.statistics import CALLED, Estimate, p_text
from ..explorer.page import WORDS

RULE = (
    "± is half the width of a 95% interval. Differences are tested clip by clip, by McNemar's exact test, and "
    "corrected by Holm for all tests of this page."
)
QUESTION = "The same captions, the same noise: what does it change which patches see each other?"


def files(report, clips, caption):
    """{name: bytes}. clips: {kind: {"captions": [...], "real": clips, label: clips}}. caption: the explorer's."""
    parts, tables = [], []
    for kind, found in clips.items():
        videos = {name: video for name, video in found.items() if name != "captions"}
        head, rows = _rows(report, kind)
        tables.append((kind.capitalize(), head, rows))
        parts += [html.text("h2", kind.capitalize()), html.clips(html.gifs(videos, found["captions"]))]
        parts.append(html.table(head, rows, report["rule"]))
    parts.append(
        '<p><a href="explorer.html">Where does each patch look?</a> Click on a patch in the attention explorer: '
        f"{html.escape(caption)}.</p>"
    )
    return html.report_files("minivdit compare", report, parts, tables, _method(report))


def answer(report):
    """What was found, in sentences that are computed."""
    one, other = report["pair"]
    for kind, parts in report["kinds"].items():
        found = {label: part["columns"]["clips"] for label, part in parts.items()}
        found["real clips"] = next(iter(parts.values()))["columns"]["real"]
        obeys, flawless = (
            ", ".join(f"{label} {measured[name]['mean'] or 0:.2f}" for label, measured in found.items())
            for name in ("obeys", "flawless")
        )
        yield f"{kind.capitalize()}. Clips that obey: {obeys}. Flawless clips: {flawless}."
    called = [test for test in report["tests"] if test["corrected"] < CALLED]
    found = [f"{MEASURES[test['metric']].title} ({test['kind']}): {test['difference']['mean']:+.2f}" for test in called]
    if called:
        yield f"{one} minus {other}, shown clip by clip: {'; '.join(found)}."
    else:
        yield (
            f"Between {one} and {other} no difference is shown by {report['prompts']} clips a kind: so few show only "
            "large ones. More: --prompts 100."
        )


def _rows(report, kind):
    """(head, rows) of the measures of a kind of captions."""
    parts, (one, other) = report["kinds"][kind], report["pair"]
    tests = {test["metric"]: test for test in report["tests"] if test["kind"] == kind}
    head = ["", *parts, "real", "spoilt real", f"{one} - {other}", "p, corrected"]
    real, rows = next(iter(parts.values()))["columns"], []
    for name, test in tests.items():
        measure, difference = MEASURES[name], test["difference"]
        cells = [measure.title]
        cells += [Estimate.read(part["columns"]["clips"][name]).text(measure.form) or "-" for part in parts.values()]
        cells += [
            Estimate.read(real[column][name]).text(measure.form, False) or "-" for column in ("real", measure.floor)
        ]
        cells.append(f"{difference['mean']:+.2f} ({difference['low']:.2f} to {difference['high']:.2f})")
        cells.append(p_text(test["corrected"]))
        rows.append(cells)
    return head, rows


def _method(report):
    """How the figures came about, in sentences."""
    for label, name in report["weights"].items():
        yield f"{label}: weights {name}. Where a patch looks: {WORDS.get(label.split()[0], 'as its blocks say.')}"
    yield (
        f"{report['prompts']} captions of each kind, seed {report['seed']}; the first are shown. All weights draw from "
        "the same noise. They have the same data, network and autoencoder; steps and batches aren't checked."
    )
