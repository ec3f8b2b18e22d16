"""The report's pictures: plots of its tables, and clips of all patterns side by side. Each is the bytes of a file.

The colours are those of Okabe and Ito, which people who confuse red and green can tell apart. Each pattern has a marker
of its own, too.
"""

import io
import tempfile
from pathlib import Path

import numpy as np

from .. import display
from .findings import patterns, table
from .tables import CEILING, FLOOR

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")


def styles(report):
    """{pattern: matplotlib's colour and marker}, the same in every plot."""
    names = patterns(report)
    return {
        name: {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]} for k, name in enumerate(names)
    }


def pictures(report):
    """[(title, meaning, PNG bytes)]: all plots of a report."""
    return [
        ("Measures", "Dots: means; lines: 95% intervals over seeds.", measures_plot(report, report["tables"][0]["id"])),
        ("Speed", "Right of the grey line a digit leaves its patch from one frame to the next.", speeds_plot(report)),
        ("Does a digit stay alike?", "Correlation with its first picture; 0 where it is lost.", likeness_plot(report)),
        ("Validation loss", "Below 1: a smaller error than the pattern it is divided by.", validation_plot(report)),
    ]


def measures_plot(report, key):
    """The shares of a table of measures: a dot and its interval for each pattern, from floor to ceiling."""
    rows = [row for row in table(report, key)["rows"] if row["share"]]
    figure, axes = _figure(7, 0.62 * len(rows) + 1)
    chosen = styles(report)
    for place, row in enumerate(reversed(rows)):
        for end, mark in ((FLOOR, ":"), (CEILING, "-")):
            value = row["cells"][end]["mean"]
            if value is not None:
                label = None if place else end
                axes.vlines(value, place - 0.4, place + 0.4, color="0.35", linestyles=mark, linewidth=1.5, label=label)
        for k, (name, style) in enumerate(chosen.items()):
            offset = 0.3 - 0.6 * k / max(1, len(chosen) - 1)
            _dot(axes, row["cells"][name], place + offset, style, None if place else name)
    axes.set_yticks(range(len(rows)), [row["label"] for row in reversed(rows)], fontsize=8)
    axes.set(ylim=(-0.6, len(rows) - 0.4), xlim=(-0.03, 1.03))
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.3, 1.0), frameon=False)
    return _png(figure)


def speeds_plot(report):
    """The measures of one digit over the distance that it goes between two frames, in patches."""
    rows = [row for row in table(report, "speeds")["rows"] if row["better"]]
    keys = list(dict.fromkeys(row["key"] for row in rows))
    columns = min(3, len(keys))
    lines = -(-len(keys) // columns)
    figure, grid = _figure(3.1 * columns, 2.5 * lines + 0.4, lines, columns)
    reach = report["about"]["patches_per_frame"]
    for axes, key in zip(grid.flat, keys):
        own = [row for row in rows if row["key"] == key]
        x = [reach[row["speed"]] for row in own]
        for k, (name, style) in enumerate(styles(report).items()):
            _line(axes, np.array(x) + 0.012 * k, _ends(own, name), style, name)
        if own[0]["share"]:
            axes.set_ylim(-0.05, 1.05)
        for end, mark in ((CEILING, "-"), (FLOOR, ":")):
            axes.plot(x, _ends(own, end)[0], mark, color="0.35", linewidth=1, label=end)
        axes.axvline(1, color="0.7", linewidth=0.8)
        axes.set_title(display.plain(own[0]["label"].rpartition(":")[0]), fontsize=8, wrap=True)
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=7)
        axes.set_xlabel("patches a frame", fontsize=7)
    for axes in list(grid.flat)[len(keys) :]:
        axes.set_axis_off()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, ncols=4, loc="outside lower center", frameon=False)
    return _png(figure)


def validation_plot(report):
    """The validation loss by noise level, as a share of the first pattern's of the pair."""
    rows = [row for row in table(report, "validation")["rows"] if row["label"].startswith("noise")]
    base = "joint" if "joint" in patterns(report) else patterns(report)[0]
    figure, axes = _figure(7, 3.4)
    x = (np.arange(len(rows)) + 0.5) / len(rows)
    for name, style in styles(report).items():
        _line(axes, x, _ends(rows, name) / _ends(rows, base)[0], style, name)
    axes.set(xlabel="noise level", ylabel=f"validation loss / that of {display.plain(base)}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _png(figure)


def likeness_plot(report):
    """How like its first picture a digit stays, frame by frame."""
    figure, axes = _figure(7, 3.2)
    chosen = {**styles(report), CEILING: {"color": "0.35", "marker": ""}}
    for name, style in chosen.items():
        axes.plot(
            np.array(report["likeness"][name], float), linewidth=1.5, markersize=5, label=display.plain(name), **style
        )
    axes.set(xlabel="frame", ylabel="correlation with its first picture")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return _png(figure)


def clips(videos, rows, captions, columns=None):
    """A GIF for each of some prompts: real clip and all models side by side, from the same prompt and noise.

    videos: {label: (B, T, H, W, 1)}. rows: which of the B. Returns [(caption, bytes)].
    """
    made = []
    for row in rows:
        parts = np.concatenate([display.to_uint8(video[row : row + 1]) for video in videos.values()])
        factor = max(1, round(112 / min(parts.shape[2:4])))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.gif"
            columns = columns or len(videos)
            display.write_grid(path, parts, captions=videos, columns=columns, frames_per_second=5, factor=factor)
            made.append((captions[row], path.read_bytes()))
    return made


def _dot(axes, cell, place, style, label):
    if cell["mean"] is None:
        return
    if cell["low"] is not None:
        axes.hlines(place, cell["low"], cell["high"], color=style["color"], linewidth=1.5)
    axes.plot(
        cell["mean"], place, style["marker"], color=style["color"], markersize=6, label=label and display.plain(label)
    )


def _ends(rows, name):
    """Mean, low and high of a column, (3, rows); NaN where there is none."""
    return np.array([[row["cells"][name][end] for row in rows] for end in ("mean", "low", "high")], float)


def _line(axes, x, ends, style, label):
    mean, low, high = ends
    lengths = np.nan_to_num([mean - low, high - mean])
    axes.errorbar(x, mean, lengths, linewidth=1.5, markersize=5, capsize=2, label=display.plain(label), **style)


def _figure(width, height, *grid):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(*grid, squeeze=False) if grid else figure.subplots()


def _png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return buffer.getvalue()
