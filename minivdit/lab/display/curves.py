"""Loss curves from the logs that training writes (see training/journal.py: one JSON object a line)."""

import numpy as np


def draw_losses(axes, entries):
    """Draw loss against training minutes: every line of the log faintly, a running mean over it.

    So is the error by noise-level bin, from clean (light) to pure noise (dark). These tell more than the mean: large
    shapes are learned at high noise, strokes at low noise.
    """
    from matplotlib import colormaps

    minutes = np.array([entry["minutes"] for entry in entries])
    loss = np.array([entry["loss"] for entry in entries])
    (line,) = axes.plot(minutes, running_mean(loss), linewidth=2, label="loss", zorder=3)
    axes.plot(minutes, loss, linewidth=0.7, alpha=0.3, color=line.get_color())
    bins = max(len(entry.get("levels") or ()) for entry in entries)
    for index in range(bins):
        pairs = [
            (entry["minutes"], entry["levels"][index]) for entry in entries if len(entry.get("levels") or ()) > index
        ]
        pairs = np.array([(x, y) for x, y in pairs if y is not None]).reshape(-1, 2)
        shade = colormaps["Greys"]((index + 1.5) / (bins + 1))
        name = f"noise {index / bins:.2f} to {(index + 1) / bins:.2f}"
        axes.plot(pairs[:, 0], running_mean(pairs[:, 1]), color=shade, linewidth=1, label=name)
    axes.set(xlabel="minutes of training", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7)


def running_mean(values, memory=20):
    """The mean of the last `memory` values (of all, while there are fewer)."""
    values = np.asarray(values, np.float64)
    sums = np.concatenate([[0.0], values.cumsum()])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - memory, 0)
    return (sums[last] - sums[first]) / (last - first)
