"""The report on compute as a page: loss against FLOPs with the law, the same clips at every size, a table."""

import numpy as np

from ...base.machine import amount
from ..display import html
from ..evaluation.measures import MEASURES
from .paired import share

FITTED, HELD = "#0072B2", "#D55E00"  # of Okabe and Ito
RULE = (
    "The law is a straight line through logarithms of loss and FLOPs, by least squares; the last size has no part in "
    "it. The interval of a prediction is where 95% of single trainings would end, by Student's t, if the law holds."
)


def answer(report):
    """What was found, in sentences that are computed."""
    *fitted, held = report["sizes"]
    exponent, seen = report["law"]["exponent"], held["predicted"]
    if exponent > 0:
        yield (
            f"Loss falls with FLOPs to the power of {-exponent:.3f}: four times the compute brings it to "
            f"{4**-exponent:.3f} of what it was."
        )
    else:
        yield f"Loss doesn't fall with compute here: the fitted exponent is {-exponent:+.3f}."
    loss, last = np.mean(held["losses"]), np.mean(fitted[-1]["losses"])
    off, idle = seen["loss"] / loss - 1, last / loss - 1
    inside = _interval(seen) or "no interval"
    if _interval(seen):
        inside += ", and it is " + ("inside" if seen["low"] <= loss <= seen["high"] else "outside")
    yield (
        f"The law of {_names(fitted)} predicts {seen['loss']:.4f} at {held['factor']}x. The training, which had no "
        f"part in the fit, came to {loss:.4f}. The prediction is off by {off:+.1%} (interval: {inside}). The loss at "
        f"{fitted[-1]['factor']}x, taken as a guess, is off by {idle:+.1%}: the law is "
        f"{'nearer' if abs(off) < abs(idle) else 'no nearer'}."
    )
    ahead = report["next"]
    told = f" ({_interval(ahead)})" if _interval(ahead) else ""
    yield f"At {ahead['factor']}x it predicts {ahead['loss']:.4f}{told}. Nobody has trained that here."
    shares = ", ".join(f"{size['factor']}x {size['scores']['obeys'] or 0:.2f}" for size in report["sizes"])
    yield f"Clips that obey their caption: {shares}; real clips {report['real']['obeys'] or 0:.2f}."


def _interval(predicted):
    """'0.1234 to 0.2345' of what a law predicts, '' where it has no interval."""
    return "" if predicted["low"] is None else f"{predicted['low']:.4f} to {predicted['high']:.4f}"


def _names(sizes):
    return ", ".join(f"{size['factor']}x" for size in sizes)


def files(report, clips, captions):
    """{name: bytes} of the report. clips: {size: (B, T, H, W, 1)}, real ones among them, of these captions."""
    head, rows = _rows(report)
    parts = [html.clips(html.gifs(clips, captions)), _plot(report), html.table(head, rows, report["rule"])]
    return html.report_files("minivdit scaling", report, parts, [("Sizes", head, rows)], _method(report))


def _rows(report):
    """(head, rows) of texts."""
    head = ["compute", "width", "weights", "steps", "FLOPs", "minutes", "loss", "by the law", "interval"]
    head += [MEASURES[name].title for name in report["real"]]
    rows = []
    for size in report["sizes"]:
        law = size["predicted"]
        row = [f"{size['factor']}x" + " (held out)" * (not size["fitted"])]
        row += [str(size["width"]), f"{size['weights']:,}", f"{size['steps']:,}", amount(size["flops"], "FLOPs")]
        row += [f"{size['minutes']:.1f}", ", ".join(f"{loss:.4f}" for loss in size["losses"]), f"{law['loss']:.4f}"]
        rows.append([*row, _interval(law) or "-", *map(share, size["scores"].values())])
    rows.append(["real", *["-"] * 8, *map(share, report["real"].values())])
    return head, rows


def _plot(report):
    """Loss against FLOPs, both as logarithms: trainings in the fit, the line, its interval, and the one held out."""
    from matplotlib.figure import Figure

    sizes, ahead = report["sizes"], report["next"]
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    line = [size["predicted"] for size in sizes] + [ahead]
    flops = [point["flops"] for point in line]
    axes.plot(flops, [point["loss"] for point in line], color=FITTED, linewidth=1, label="the law")
    if ahead["low"] is not None:
        edges = ([point[name] for point in line] for name in ("low", "high"))
        axes.fill_between(flops, *edges, color=FITTED, alpha=0.15, linewidth=0, label="95% of trainings")
    for fitted, colour, marker, label in ((True, FITTED, "o", "fitted"), (False, HELD, "D", "held out")):
        points = [(size["flops"], loss) for size in sizes if size["fitted"] == fitted for loss in size["losses"]]
        axes.plot(*zip(*points), marker, color=colour, label=label)
    axes.set(xscale="log", yscale="log", xlabel="FLOPs of the training", ylabel="loss on test clips")
    axes.set_xticks(flops, [f"{size['factor']}x" for size in sizes] + [f"{ahead['factor']}x"])
    axes.set_xticks([], minor=True)
    for each in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        each("{x:.3f}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    meaning = "Loss against the FLOPs of the training, at each multiple of the base's compute."
    return html.figure(figure, meaning)


def _method(report):
    """How the figures came about, in sentences."""
    base, times = report["sizes"][0], f"{report['seeds']} training{'s' * (report['seeds'] > 1)}"
    yield (
        f"The base is a network of width {base['width']}, trained for {base['steps']:,} steps. With the compute, "
        "weights and clips seen grow alike, each with its square root. All sizes have the same depth, data, "
        "autoencoder, noise schedule and learning rates, which were chosen for one of the larger ones. Text encoder "
        "and transformer are trained anew; their FLOPs are the compute."
    )
    yield (
        f"{times} of each size. The loss is that of test clips, with the same clips, noise and levels for all. "
        f"{report['prompts']} clips are drawn of each training, from the same noise at all sizes. The first are shown, "
        "of seed 0."
    )
