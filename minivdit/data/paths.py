"""Paths that digits are to follow: way points, places in all frames, and the maps by which a network is told.

A map has a soft spot where a digit's box is to have its centre, in each latent frame, and one channel for each digit in
the caption's order. A drawn trajectory as a condition is an idea of DragNUWA (Yin et al. 2023) and Tora (Zhang et al.
2024); Kling and Luma offer such a control, and don't say how theirs works.
"""

import numpy as np

from ..base.errors import InputError
from .grammar import MAX_DIGITS

WIDTH = 0.7  # standard deviation of a spot, in latent cells


def along(points, num_frames):
    """Places (num_frames, 2) at equal steps along the straight lines from way point to way point.

    points: (y, x) in pixels, two or more. InputError for what is no path.
    """
    try:
        points = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.ndim != 2 or len(points) < 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError("a path is two or more way points (y, x) in pixels, such as [(8, 8), (40, 24)]")
    lengths = np.concatenate([[0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    if lengths[-1] == 0:
        return points[:1].repeat(num_frames, axis=0)
    wanted = np.linspace(0, lengths[-1], num_frames)
    return np.stack([np.interp(wanted, lengths, axis) for axis in points.T], axis=-1)


def tracks_of(path, clips, num_frames):
    """Tracks (clips, MAX_DIGITS, num_frames, 2) of way points; NaN for a digit without a path.

    path: a list of way points (y, x) for all clips, a list of two such lists for two digits, or a list of one or the
    other for each clip (which is meant where there are two clips). InputError for what is none of them.
    """
    depth = _depth(path)
    each = [path] * clips if depth == 2 or (depth == 3 and clips != len(path)) else path
    if depth not in (2, 3, 4) or len(each) != clips:
        raise InputError(f"{clips} clips need one path for all or one each: a list of way points (y, x) in pixels")
    tracks = np.full((clips, MAX_DIGITS, num_frames, 2), np.nan)
    for track, one in zip(tracks, each):
        digits = [one] if _depth(one) == 2 else one
        if not 1 <= len(digits) <= MAX_DIGITS:
            raise InputError(f"a clip has paths for 1 or {MAX_DIGITS} digits, not {len(digits)}")
        for digit, points in enumerate(digits):
            track[digit] = along(points, num_frames)
    return tracks


def _depth(nested):
    """How many lists are in each other, as far as the first of each tells."""
    depth = 0
    while isinstance(nested, list | tuple | np.ndarray) and len(nested):
        nested, depth = nested[0], depth + 1
    return depth


def path_maps(tracks, frames, size, factor, time_factor=1):
    """Maps float32 (B, T', h, w, MAX_DIGITS) of tracks (B, digits, T, 2): centres (y, x) in pixels, NaN for no digit.

    frames: T', of latents. size: (height, width) in pixels. factor, time_factor: see AutoencoderConfig. A latent frame
    shows the place in the last of its frames.
    """
    batch, digits = tracks.shape[:2]
    height, width = (side // factor for side in size)
    places = (tracks[:, :, ::time_factor] + 0.5) / factor - 0.5  # in cells, cell (0, 0) having its centre at (0, 0)
    down, across = (
        np.exp(-((np.arange(length) - places[..., axis, None]) ** 2) / (2 * WIDTH**2))
        for axis, length in enumerate((height, width))
    )
    spots = np.nan_to_num(down[..., :, None] * across[..., None, :])  # (B, digits, T', h, w)
    maps = np.zeros((batch, frames, height, width, MAX_DIGITS), np.float32)
    maps[..., :digits] = np.moveaxis(spots, 1, -1)
    return maps
