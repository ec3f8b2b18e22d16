"""The report on recipes as a page: what is gained and what it costs in one table, and the same clips of each."""

from ...base.machine import amount
from ..display import html
from .kinds import TITLES
from .paired import interval, share, verdict

RULE = (
    "Figures are shares, and in brackets the difference from the base, seed by seed, with a 95% interval by Student's "
    "t, which allows for the rounding to whole clips. Each interval stands for itself, so about one in twenty leaves "
    "out 0 by chance. A star: it is a difference after Holm's correction for all of them, too. A dash: it can't be "
    "drawn so."
)


def answer(report):
    """What was found, in sentences that are computed."""
    base, *others = report["rows"]
    if report["seeds"] < 2:
        yield "Each was trained once, so nothing is called a difference: give --seeds 3 or more."
    else:
        tests = [(row["label"], name, test) for row in others for name, test in row["tests"].items() if test]
        apart = [test for *_, test in tests if _side(test)]
        called = [f"{label}, {TITLES[name]} ({test['mean']:+.2f})" for label, name, test in tests if verdict(test)]
        yield (
            f"Of {len(tests)} intervals {len(apart)} leave out 0; chance alone would give about {len(tests) / 20:.0f}. "
            f"After correction for all of them, these are differences: {'; '.join(called) or 'none'}."
        )
    for row in others:
        yield f"{_begun(row['label'])} ({', '.join(row['recipes'])}). {_gains(row)} {_costs(row, base)}"
    for label in report["needless"]:
        yield f"{_begun(label)}: the base has it, so there is nothing to compare."


def _begun(label):
    """A label as the beginning of a sentence; names in it stay as they are."""
    return label[0].upper() + label[1:]


def _side(test):
    """1 or -1 where an interval lies above or below 0, else 0."""
    if test["low"] is None or test["low"] <= 0 <= test["high"]:
        return 0
    return 1 if test["low"] > 0 else -1


def _gains(row):
    found = {1: [], -1: [], 0: [], None: []}
    for name, test in row["tests"].items():
        found[_side(test) if test else None].append(TITLES[name])
    told = [f"{word} in: {'; '.join(found[side])}." for side, word in ((1, "Better"), (-1, "Worse")) if found[side]]
    if told and found[0]:
        told.append(f"Not shown to differ in the other {len(found[0])}.")
    if found[None]:
        told.append(f"It can't draw: {'; '.join(found[None])}.")
    return " ".join(told if found[1] or found[-1] else ["Nothing is shown to be gained or lost.", *told])


def _costs(row, base):
    step, drawing = (row[name] / base[name] for name in ("step_flops", "draw_flops"))
    return (
        f"A step costs {step:.2f} of the base's, so it has {row['steps']:,} steps for {base['steps']:,}; a clip costs "
        f"{drawing:.2f} of the base's to draw."
    )


def files(report, clips, captions):
    """{name: bytes} of the report. clips: {what is switched on, or real: (B, T, H, W, 1)}, of these captions."""
    moving, asked = [], "; ".join(captions)
    for recipe in report["recipes"]:
        own = [row["label"] for row in report["rows"] if recipe in row["recipes"]]
        videos = {name: clips[name] for name in ("real", report["rows"][0]["label"], *own)}
        moving.append((f"{recipe}: {asked}", html.gif(videos, 5)))
    head, rows = _rows(report)
    parts = [html.table(head, rows, report["rule"]), html.clips(moving)]
    return html.report_files("minivdit study --recipes", report, parts, [("Scoreboard", head, rows)], _method(report))


def _rows(report):
    """(head, rows) of texts: real clips, the base, and each idea."""
    costs = ["steps", "FLOPs a step", "FLOPs of the training", "minutes", "weights", "FLOPs to draw a clip"]
    head = ["", "recipes", *TITLES.values(), *costs]
    rows = [["real clips", "", *(share(report["real"][name]) for name in TITLES), *["-"] * len(costs)]]
    for row in report["rows"]:
        cells = [_cell(row["scores"][name], row["tests"].get(name)) for name in TITLES]
        spent = [f"{row['steps']:,}", *(amount(row[name], "") for name in ("step_flops", "flops"))]
        spent += [f"{row['minutes']:.1f}", f"{row['weights']:,}", amount(row["draw_flops"], "")]
        rows.append([row["label"], ", ".join(row["recipes"]), *cells, *spent])
    return head, rows


def _cell(score, test):
    if score is None or not test:
        return share(score)
    return f"{score:.2f} ({test['mean']:+.2f}, {interval(test)}){'*' * bool(verdict(test))}"


def _method(report):
    """How the figures came about, in sentences."""
    base = report["rows"][0]
    yield (
        f"The base is the preset quick with {base['steps']:,} steps of its transformer. Each idea is its settings on "
        "top of the base, and nothing else. All stages count: autoencoder, text encoder, transformer, finetuning. An "
        "idea whose steps cost more has fewer of them, so that each training has "
        f"{amount(base['flops'], 'FLOPs')}, up to a step."
    )
    yield (
        f"{report['seeds']} training{'s' * (report['seeds'] > 1)} of each. A seed decides first weights, batches and "
        f"noise, as far as networks and clips are alike. {report['prompts']} clips of each kind are drawn, of the same "
        "captions and seeds. Where a network learnt four times as many frames, every fourth is judged. A network that "
        "can't be told of a path or a pan draws without it. The first clips of seed 0 are shown."
    )
