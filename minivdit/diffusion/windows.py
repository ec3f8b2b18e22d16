"""Long clips in windows: the network sees overlapping windows in time, and at every step their predictions are blended.

MultiDiffusion (Bar-Tal et al. 2023) does so in space, for wide pictures, and Gen-L-Video (Wang et al. 2023) in time. So
a network draws clips that are longer than those in training, in the memory that a window takes.
"""

import numpy as np

from ..base.backend import array_module


def window_starts(frames, window, overlap):
    """Where windows of so many frames begin that cover a clip: a list. Neighbours share `overlap` frames or more."""
    if frames <= window:
        return [0]
    return [*range(0, frames - window, window - overlap), frames - window]


def blended(predict, x, window, overlap):
    """The prediction for x (B, T, H, W, C), made of those for its windows.

    predict(part): the network's prediction for the frames of x in the slice `part`. The nearer a frame is to the middle
    of a window, the more that window's prediction counts. A clip that fits in one window is predicted as it is.
    """
    frames = x.shape[1]
    starts = window_starts(frames, window, overlap)
    if len(starts) == 1:
        return predict(slice(0, frames))
    xp, place = array_module(x), np.arange(window)
    weight = np.minimum(place + 1, window - place).astype(np.float32)
    total, weights = xp.zeros_like(x), np.zeros(frames, np.float32)
    for start in starts:
        part = slice(start, start + window)
        total[:, part] += xp.asarray(weight)[:, None, None, None] * predict(part)
        weights[part] += weight
    return total / xp.asarray(weights)[:, None, None, None]
