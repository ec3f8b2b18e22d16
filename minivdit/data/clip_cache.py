"""Clips decoded once: their frames, small and at one rate, in one file that is mapped into memory.

A batch reads only the frames that it needs, whatever the folder's size. The file is whole or not there, and is made
anew when the folder has changed; what hasn't changed in it is copied and not decoded again.

    frames of all clips, uint8, one clip after the other | index, JSON | bytes of the index, 8 | MAGIC, 8
"""

import dataclasses
import hashlib
import json
import math
import os

import numpy as np

from ..base import console
from ..base.config import plain
from ..base.errors import InputError
from ..base.files import atomic_write, cache_folder, require_shape
from .fitting import to_scale, to_size
from .labels import MOST_PIXELS
from .reading import films_can_be_read, is_film, label_of, watch

MAGIC = b"minivdit"
FORMAT = 1
_SHAPE = {"format": int, "how": dict, "clips": [{"name": str, "state": str, "shape": [int], "size": [int]}]}


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How clips are kept: all frames at this rate (0: as they are), with 1 or 3 channels, brought to a size.

    fit: one of fitting.MODES; with 'crop' what stands over is kept, to be cut off where a batch wants to.
    """

    size: tuple[int, int]
    channels: int
    frames_per_second: float
    fit: str


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A clip that was decoded. shape: (T, H, W, C) of its frames. size: (height, width) that it had before.

    caption: what the file itself says, if minivdit wrote it. notes: what a user should be told. problem: None, or the
    line that says why it can't be read; it has no frames then.
    """

    name: str
    state: str
    shape: tuple = (0, 0, 0, 0)
    size: tuple = (0, 0)
    caption: str = ""
    notes: tuple = ()
    problem: str | None = None


class ClipCache:
    """The decoded clips of a folder. clips: {name: Decoded}. frames(name): its frames, uint8 (T, H, W, C), mapped."""

    def __init__(self, path, how):
        """Raises ValueError or OSError unless `path` is a whole cache of clips that were decoded so."""
        with open(path, "rb") as file:
            end = file.seek(-16, os.SEEK_END)
            length, magic = int.from_bytes(file.read(8), "little"), file.read(8)
            if magic != MAGIC or length > end:
                raise ValueError("it has no end")
            file.seek(end - length)
            index = json.loads(file.read(length))
        require_shape(index, _SHAPE)
        if index["format"] != FORMAT or index["how"] != plain(how):
            raise ValueError("it holds clips that were decoded otherwise")
        self.clips, self.starts, total = {}, {}, 0
        for entry in index["clips"]:
            clip = Decoded(**{name: tuple(part) if type(part) is list else part for name, part in entry.items()})
            self.clips[clip.name], self.starts[clip.name] = clip, total
            total += math.prod(clip.shape)
        if total != end - length:
            raise ValueError("its frames aren't those of its index")
        self.pixels = np.asarray(np.memmap(path, np.uint8, "r", shape=(total,))) if total else np.zeros(0, np.uint8)

    def frames(self, name):
        shape, start = self.clips[name].shape, self.starts[name]
        return self.pixels[start : start + math.prod(shape)].reshape(shape)


def decoded(listing, how, path=None, show=True):
    """The ClipCache of a Listing's clips, read if it is there and nothing has changed, made otherwise.

    how: a Decoding. path: of the file, by default one for each folder and Decoding in minivdit's cache folder. show: a
    progress bar, where it takes long; what was decoded before Ctrl-C is kept. A clip that can't be decoded has a
    problem; so has a film where PyAV is missing. InputError where the file can't be written.
    """
    wanted = {entry.name: _states(entry) for entry in listing.clips}
    if path is None:
        digest = hashlib.sha256(f"{listing.folder}{plain(how)}".encode("utf-8", "surrogateescape")).hexdigest()
        path = cache_folder() / "clips" / f"{digest[:32]}.clips"
    old = _there(path, how)
    before = {} if old is None else old.clips
    known = {name: clip for name, clip in before.items() if clip.state in wanted.get(name, ())}
    if old is not None and before.keys() == known.keys() == wanted.keys():
        return old
    bar = console.progress_bar("decoding", len(wanted), unit="clip", show=show, delay=2, leave=False)
    clips, stop = [], None
    with atomic_write(path) as temporary, open(temporary, "wb") as file, bar:
        try:
            for entry in listing.clips:
                if entry.name in known:
                    file.write(old.frames(entry.name))
                    clips.append(known[entry.name])
                else:
                    clips.append(_decode(entry, how, file))
                bar.update()
        except KeyboardInterrupt as error:  # what has been decoded is kept: it may have taken hours
            stop = error
            file.seek(sum(math.prod(clip.shape) for clip in clips))
            file.truncate()
        old = None  # Windows replaces no file that is mapped
        index = json.dumps({"format": FORMAT, "how": plain(how), "clips": plain(clips)}).encode()
        file.write(index + len(index).to_bytes(8, "little") + MAGIC)
    if stop is not None:
        raise stop
    return ClipCache(path, how)


def _there(path, how):
    """The ClipCache in a file, or None where there is none that can be used."""
    try:
        return ClipCache(path, how)
    except (OSError, ValueError, TypeError):
        return None


def _states(entry):
    """The states of a clip in the cache that needn't be decoded again; the last is that of one decoded now.

    A film that couldn't be read for want of PyAV has a state of its own, so that it is read once PyAV is there.
    """
    missed = is_film(entry.path) and not films_can_be_read()
    return (entry.state, f"{entry.state} without PyAV") if missed else (entry.state,)


def _decode(entry, how, file):
    """Append a clip's frames to a file, and return what is to be known of it: a Decoded."""
    begin, state = file.tell(), _states(entry)[-1]
    try:
        label = label_of(entry.path) if entry.path.is_file() else None
        if label and len(label.clips) > 1:
            raise InputError(f"{entry.name} holds {len(label.clips)} clips; in a folder each needs a file of its own")
        count, notes = 0, []
        for frame in watch(entry.path, how.channels, how.frames_per_second, notes):
            fitted = _fitted(frame[None], how, entry.name)
            count += 1
            if count * fitted.size > how.channels * MOST_PIXELS:
                most = MOST_PIXELS // fitted[..., 0].size
                raise InputError(f"{entry.name} has more than {most:,} frames; cut it into several clips")
            file.write(np.rint(fitted * 255).astype(np.uint8, order="C"))
        shape, size, caption = (count, *fitted.shape[1:]), frame.shape[:2], label.captions[0] if label else ""
        return Decoded(entry.name, state, shape, size, caption, tuple(_named(note, entry) for note in notes))
    except InputError as error:
        file.seek(begin)
        file.truncate()
        return Decoded(entry.name, state, problem=_named(error, entry))


def _named(text, entry):
    """What is told of a file, with the name that it has in its folder."""
    return str(text).replace(str(entry.path), entry.name)


def _fitted(frame, how, name):
    """A frame (1, H, W, C) brought to size; with 'crop' so that it covers the size, and nothing is cut off."""
    if how.fit == "crop":
        return to_scale(frame, how.size, "crop", name)
    return to_size(frame, how.size, how.fit, name)
