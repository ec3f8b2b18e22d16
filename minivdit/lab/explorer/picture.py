"""One choice of the explorer as a still picture, for pages that run no scripts."""

import numpy as np

from ..display import plain, to_uint8
from ..display.html import png
from .page import brightest


def draw(recordings, prompt, patch=None, step=None):
    """PNG bytes: a row of frames for each recording, coloured by how much the marked patch looks there."""
    from matplotlib.figure import Figure

    first = recordings[0]
    times, rows, columns = first.grid
    token = brightest(first) if patch is None else int(np.ravel_multi_index(patch, first.grid))
    steps = list(first.steps)
    step = steps[len(steps) // 2] if step is None else step
    figure = Figure(figsize=(min(1.1 * times, 16), 1.5 * len(recordings) + 0.6), layout="constrained")
    for line, recording in zip(figure.subplots(len(recordings), times, squeeze=False), recordings):
        seen = recording.mean(token, step).reshape(recording.grid)
        for time, axes in enumerate(line):
            _draw_frame(axes, recording.video[time * recording.patch_frames], seen[time], np.nanmax(seen))
            axes.set_xlabel("-" if np.isnan(seen[time]).all() else f"{np.nansum(seen[time]):.1%}", fontsize=7)
        line[0].set_ylabel(plain(recording.name), fontsize=9)
        time, place = divmod(token, rows * columns)
        y, x = divmod(place, columns)
        line[time].add_patch(_box(x / columns, y / rows, 1 / columns, 1 / rows, edgecolor="#d55e00", linewidth=2.5))
    figure.suptitle(
        f"'{plain(prompt)}': where the marked patch looks (bright: much; hatched: forbidden), "
        f"mean of all blocks and heads, step {step + 1} of {first.total}",
        fontsize=9,
    )
    return png(figure, 100)


def _draw_frame(axes, frame, seen, most):
    """A frame (H, W, C) over its patches (rows, columns), which are coloured, or hatched where NaN."""
    rows, columns = seen.shape
    everything = {"extent": (0, 1, 1, 0), "aspect": frame.shape[0] / frame.shape[1], "interpolation": "nearest"}
    axes.set_facecolor("0.45")
    axes.imshow(np.sqrt(seen / most), cmap="viridis", vmin=0, vmax=1, **everything)
    for y, x in np.argwhere(np.isnan(seen)):
        axes.add_patch(_box(x / columns, y / rows, 1 / columns, 1 / rows, edgecolor="0.8", linewidth=0, hatch="////"))
    bright = np.kron(np.nan_to_num(seen) > 0.3 * most, np.ones((frame.shape[0] // rows, frame.shape[1] // columns)))
    axes.imshow(ink(frame, bright[..., None]), **everything)
    axes.set(xticks=[], yticks=[])


def ink(frame, bright):
    """A frame (H, W, C) as what is laid over patches, RGBA (H, W, 4): as opaque as it is bright.

    On dark patches ink is white, or as bright as its hue can be; on bright ones (H, W, 1) black, or a dark tone of it.
    """
    frame = to_uint8(frame) / 255
    opaque = frame.max(axis=-1, keepdims=True)
    light = np.where(opaque, frame / np.maximum(opaque, 1e-3), 1)
    dark = (light - light.min(axis=-1, keepdims=True)) / 2
    colour = np.broadcast_to(np.where(bright, dark, light), (*frame.shape[:2], 3))
    return np.concatenate([colour, 0.9 * opaque], axis=-1)


def _box(x, y, width, height, **style):
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, fill=False, **style)
