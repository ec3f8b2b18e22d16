"""Latents of one's own clips: each frame is encoded once, into a file that is mapped into memory.

Digits are made anew for each batch, and encoded in each step. A folder's clips stay as they are, and so do their
latents as long as the autoencoder does, which has been trained by then.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from ..base import console
from ..base.backend import blas_threads, to_device, to_numpy
from ..base.files import atomic_write
from ..data.own_clips import OwnClips
from ..models.autoencoder import latent_shape
from ..nn import fingerprint

AT_ONCE = 256  # frames that are encoded together


class LatentBatch(NamedTuple):
    """As data.own_clips.OwnBatch, but latents, float32 (B, T, h, w, c), in the place of the video."""

    latents: np.ndarray
    captions: list
    frame_step: int = 1


class LatentClips(OwnClips):
    """OwnClips that are encoded already: the same clips, captions and frames for the same random numbers.

    latents: for each clip an array (T, h, w, c) of all of its frames.
    """

    def __init__(self, clips, latents):
        vars(self).update(vars(clips), latents=latents)

    def cut(self, cuts):
        """These Cuts, as LatentBatch."""
        latents = np.stack([self.latents[cut.clip][cut.frames] for cut in cuts])
        return LatentBatch(latents, [self.captions[cut.clip] for cut in cuts])


def encoded(clips, autoencoder, folder, show=True):
    """LatentClips of some OwnClips, from a file in `folder`, which is made where it isn't there yet.

    The clips themselves come back where latents can't be kept: they are cropped anew each time, or the autoencoder
    codes several frames together, so that a frame's latents depend on where a batch begins. show: a progress bar, where
    it takes long. InputError where the file can't be written.
    """
    if clips.settings.fit == "random" or autoencoder.config.time_factor > 1:
        return clips
    told = repr([fingerprint(autoencoder), clips.describe(), clips.states])
    path = folder / f"latents-{hashlib.sha256(told.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.npy"
    lengths = [len(frames) for frames in clips.frames]
    shape = latent_shape(autoencoder.config, (sum(lengths), *clips.size, clips.settings.channels))
    if (latents := _kept(path, shape)) is None:
        for older in folder.glob("latents-*.npy"):  # of other clips, or of an autoencoder that was trained otherwise
            older.unlink()
        with atomic_write(path) as temporary:
            latents = np.lib.format.open_memmap(temporary, "w+", np.float32, shape)
            _encode(clips, autoencoder, np.split(latents, np.cumsum(lengths)[:-1]), show)
            latents.flush()
        latents = _kept(path, shape)
    return LatentClips(clips, np.split(latents, np.cumsum(lengths)[:-1]))


def _kept(path, shape):
    """The latents in a file, mapped; None where there is no whole file of such latents."""
    try:
        latents = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return None
    return np.asarray(latents) if (latents.shape, latents.dtype) == (shape, np.float32) else None


def _encode(clips, autoencoder, latents, show):
    """Fill the latents (T, h, w, c) of each clip."""
    height, width = clips.size
    bar = console.progress_bar("encoding", len(latents), unit="clip", show=show, delay=2, leave=False)
    with bar, blas_threads(1):
        for (clip, _, top, left), filled in zip(clips.each(), latents):
            for start in range(0, len(filled), AT_ONCE):
                frames = clips.frames[clip][start : start + AT_ONCE, top : top + height, left : left + width]
                video = to_device(frames[None] * np.float32(1 / 255))
                filled[start : start + AT_ONCE] = to_numpy(autoencoder.encode(video))[0]
            bar.update()
