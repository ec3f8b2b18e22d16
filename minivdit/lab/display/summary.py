"""One picture of a run: how the loss fell, what the metrics say, what was drawn."""

from .curves import draw_losses
from .strips import draw_strip, plain, save_figure


def draw_metrics(axes, metrics):
    """Draw one line for each metric from its floor (chance) to its ceiling (real clips), with a dot for the model.

    metrics: list of (name, value, ceiling, floor), all of which lie in [0, 1]; None where one isn't known.
    """
    for row, (_, value, ceiling, floor) in enumerate(reversed(metrics)):
        ends = [end for end in (floor, ceiling) if end is not None]
        axes.plot(ends, [row] * len(ends), color="0.8", linewidth=4, solid_capstyle="butt", zorder=1)
        if floor is not None:
            axes.plot(floor, row, "|", color="0.5", markersize=14, label=None if row else "chance")
        if ceiling is not None:
            axes.plot(ceiling, row, "|", color="black", markersize=14, label=None if row else "real clips")
        if value is not None:
            axes.plot(value, row, "o", color="tab:blue", label=None if row else "generated", zorder=3)
            axes.annotate(f"{value:.2f}", (value, row), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(range(len(metrics)), [name for name, *_ in reversed(metrics)], fontsize=8)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.6, len(metrics) - 0.2))
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=3, frameon=False)


def write_summary(path, *, losses=(), metrics=(), real=None, generated=(), captions=(), title=None, most=4):
    """Write a picture with the loss curve, the metrics and strips of the first `most` clips, real above generated.

    losses: journal lines (`read_losses`). metrics: see `draw_metrics`. real, generated: (B, T, H, W, C).
    """
    from matplotlib.figure import Figure

    count = min(most, len(generated))
    charts = bool(losses) + bool(metrics)
    strips_tall = 1.35 * count * (1 if real is None else 1.75)
    figure = Figure(figsize=(11, 3.2 * bool(charts) + strips_tall + 0.4), layout="constrained")
    if title:
        figure.suptitle(plain(title), fontsize=11)
    parts = figure.subfigures(2, 1, height_ratios=(3.2, strips_tall)) if charts and count else [figure, figure]
    if charts:
        axes = list(parts[0].subplots(1, charts, squeeze=False)[0])
        if losses:
            draw_losses(axes.pop(0), losses)
        if metrics:
            draw_metrics(axes.pop(0), metrics)
    if count:
        rows = 1 if real is None else 2
        axes = parts[1].subplots(count * rows, 1, squeeze=False)[:, 0]
        for index in range(count):
            if real is not None:
                draw_strip(axes[2 * index], real[index], captions[index], "real")
                draw_strip(axes[2 * index + 1], generated[index], None, "generated")
            else:
                draw_strip(axes[index], generated[index], captions[index])
    save_figure(path, figure)
