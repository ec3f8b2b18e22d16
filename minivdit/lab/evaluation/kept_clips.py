"""Clips drawn once and kept in a file, so that they can be judged again, by other measures or after a stop."""

import dataclasses

import numpy as np

from ...base import config
from ...base.errors import InputError
from ...base.files import load_tensors, save_tensors

FORMAT = "minivdit clips 1"
NAMED = 3  # differences that a message names


def drawn_clips(model, captions, path=None, progress=None, *, seed=0, batch=32, **drawing):
    """One clip for each caption, float32 (B, T, H, W, C) in [0, 1], in the 256 steps of grey that a file holds.

    With a `path` they are kept there as safetensors; if that file is there already, they are read from it instead.
    batch: clips drawn at a time. progress, drawing: see TextToVideo.generate.
    Raises InputError if the file holds clips of other weights, captions or settings, or if a clip isn't finite.
    """
    asked = _request(model, captions, seed, batch, drawing)
    if path is not None and path.exists():
        return as_floats(_read(path, asked))
    video = draw_in_batches(model, captions, seed, batch, progress=progress, **drawing)
    if path is not None:
        save_tensors(path, {"video": video}, {"format": FORMAT, "asked": asked})
    return as_floats(video)


def draw_in_batches(model, captions, seed=0, batch=32, progress=None, **drawing):
    """One clip for each caption, uint8 (B, T, H, W, C). Those from clip k on have the seed `seed` + k."""
    parts, batches = [], range(0, len(captions), batch)
    for number, first in enumerate(batches):
        how = {"seed": seed + first, "progress": progress, "part": (number, len(batches)), **drawing}
        parts.append(as_bytes(model.generate(captions[first : first + batch], **how)))
    return np.concatenate(parts)


def as_bytes(video):
    """Clips in [0, 1] as uint8, as a file of pictures holds them; InputError unless all are finite."""
    broken = int((~np.isfinite(video)).any(axis=tuple(range(1, video.ndim))).sum())
    if broken:
        raise InputError(
            f"{broken} of {len(video)} clips drawn aren't finite numbers; lower --guidance, or use other weights"
        )
    return np.rint(video * 255).astype(np.uint8)


def as_floats(video):
    """uint8 clips as float32 in [0, 1]."""
    return video * np.float32(1 / 255)


def _request(model, captions, seed, batch, drawing):
    """All that says which clips are drawn, as plain JSON."""
    request = {"weights": model.fingerprint(), "seed": seed, "batch": batch, **dataclasses.asdict(model.settings)}
    request |= {name: value for name, value in drawing.items() if value is not None}
    return config.plain({**request, "caption": dict(enumerate(captions))})


def _read(path, asked):
    """The video of a file of kept clips that holds exactly what is asked for."""
    tensors, about = load_tensors(path)
    video = tensors.get("video")
    if not isinstance(about, dict) or about.get("format") != FORMAT or video is None:
        raise InputError(f"{path} holds no clips that were kept; name another file, or remove it to draw anew")
    found = config.differences(about.get("asked"), asked)
    if found:
        more = f"; and {len(found) - NAMED} more differences" if len(found) > NAMED else ""
        raise InputError(
            f"{path} holds other clips: {'; '.join(found[:NAMED])}{more}; ask for the same, name another file, or "
            "remove it to draw anew"
        )
    shape = (len(asked["caption"]), asked["num_frames"], *asked["size"])
    if video.dtype != np.uint8 or video.ndim != 5 or video.shape[:4] != shape:
        raise InputError(f"{path} is damaged: its clips have shape {video.shape}; remove it to draw anew")
    return video
