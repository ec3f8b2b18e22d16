"""Clips of one's own as training data: a folder of any clips, brought to one size, length and rate.

    folder = open_folder("clips", ClipSettings(size=(32, 32), channels=3))
    batch = folder.clips("train").batch(generator, 16)  # batch.video (16, 8, 32, 32, 3), batch.captions

data/folder.py says what may lie in the folder, data/clip_cache.py how it becomes fast.
"""

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np

from ..base.errors import InputError
from .clip_cache import Decoding, decoded
from .fitting import MODES
from .folder import Entry, check_caption, list_clips
from .free_text import count_words, read_words

FITS = {**MODES, "random": "as crop, but at a random place"}
MOMENTS = {
    "random": "a stretch of the clip, anywhere in it",
    "start": "its beginning",
    "whole": "frames at equal steps from the first to the last",
}
SHORT = {
    "hold": "the last frame is held",
    "loop": "it begins again",
    "refuse": "it can't be used",
}
SPLITS = ("train", "test", "all")


@dataclasses.dataclass(frozen=True)
class ClipSettings:
    """What a network sees of clips of any kind.

    size: (height, width) in pixels; fit: how a clip is brought to it, one of FITS. channels: 1 for grey, 3 for colour.
    num_frames: of these, `frames_per_second` times a second of a clip that says how fast it is; 0 takes every frame as
    it comes. moment: which part of a longer clip, one of MOMENTS. short: what becomes of a shorter one, one of SHORT.
    rare: words in fewer captions than this are left out of captions. held_out: share of the clips that training doesn't
    see; about, since each clip's name decides, so that it stays where it is when others come.
    """

    size: tuple[int, int] = (32, 32)
    num_frames: int = 8
    channels: int = 3
    frames_per_second: float = 8.0
    fit: str = "crop"
    moment: str = "random"
    short: str = "hold"
    rare: int = 1
    held_out: float = 0.1

    def __post_init__(self):
        if len(self.size) != 2 or min(self.size) < 1 or self.num_frames < 1:
            raise InputError(f"clips of {self.num_frames} frames of {self.size} pixels can't be made; give 1 at least")
        if self.channels not in (1, 3):
            raise InputError(f"channels is 1 for grey or 3 for colour, not {self.channels}")
        if not 0 <= self.frames_per_second <= 1000:
            raise InputError(
                f"frames_per_second lies between 0, for all frames, and 1000, not {self.frames_per_second}"
            )
        for name, known in (("fit", FITS), ("moment", MOMENTS), ("short", SHORT)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r:.60}; choose {', '.join(known)}")
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is a share from 0 to below 1, not {self.held_out}")
        if self.rare < 1:
            raise InputError(f"rare is a number of captions from 1 upwards, not {self.rare}")

    @property
    def decoding(self):
        """What clips are decoded to. It leaves open what a batch decides: when, where and how long."""
        fit = "crop" if self.fit == "random" else self.fit
        return Decoding(self.size, self.channels, self.frames_per_second, fit)

    def open(self, folder):
        """The ClipFolder of a folder; of one that is open already, itself. InputError where none is given."""
        if folder is None:
            raise InputError("these clips lie in a folder; say in which: --clips FOLDER (in Python data=FOLDER)")
        if isinstance(folder, ClipFolder):
            return folder if folder.settings == self else ClipFolder(folder.folder, self)
        return open_folder(folder, self)

    def clips(self, split="train", folder=None, **changes):
        """OwnClips of a split of a folder, by its name or as a ClipFolder; see `ClipFolder.clips`."""
        return self.open(folder).clips(split, **changes)


class OwnBatch(NamedTuple):
    """Clips: float32 (B, T, H, W, C) in [0, 1], and B captions, in words that a Tokenizer of all of them knows.

    frame_step: 1, since a training tells frame rates apart by it, and these clips have been brought to one.
    """

    video: np.ndarray
    captions: list
    frame_step: int = 1


class Cut(NamedTuple):
    """What a batch takes of a clip: the clip's place in OwnClips.names, its frames (T,), and the upper left corner."""

    clip: int
    frames: np.ndarray
    top: int
    left: int


def open_folder(folder, settings=ClipSettings(), *, skip=False, cache=None, show=True):
    """A ClipFolder: the clips of a folder, decoded, or read from where they were kept when they were.

    skip: go on without the clips that can't be used, and lines that say nothing; otherwise they are an InputError.
    cache, show: see clip_cache.decoded.
    """
    found = ClipFolder(folder, settings, cache, show)
    if found.problems and not skip:
        found.refuse()
    return found


class ClipFolder:
    """What a folder holds, and what of it can be used; see `open_folder`.

    entries: of the clips that can be used. captions: theirs, as they will be learnt: plain words. words: those, in
    alphabetical order; longest: how many the longest caption has. left_out: {rare word: in how many captions it is}.
    problems, notes: a line each.
    """

    def __init__(self, folder, settings=ClipSettings(), cache=None, show=True):
        self.settings, listing = settings, list_clips(folder)
        self.folder, self.problems, self.notes = folder, list(listing.problems), list(listing.notes)
        self.cache = decoded(listing, settings.decoding, cache, show)
        self.entries = [entry for entry in map(self._usable, listing.clips) if entry is not None]
        self._read_captions()

    def _usable(self, entry):
        """An Entry with the caption that its file holds, if nothing else says one; None with a problem if it has."""
        clip = self.cache.clips[entry.name]
        try:
            if clip.problem:
                raise InputError(clip.problem)
            self.notes += clip.notes
            if self.settings.short == "refuse" and clip.shape[0] < self.settings.num_frames:
                raise InputError(
                    f"{entry.name} has {clip.shape[0]} frames, fewer than {self.settings.num_frames}; set short to hold"
                )
            if entry.caption is None and clip.caption:
                check_caption(clip.caption)
                return dataclasses.replace(entry, caption=clip.caption)
            return entry
        except InputError as error:
            self.problems.append(str(error))
            return None

    def _read_captions(self):
        read = [read_words(entry.caption or "") for entry in self.entries]
        counts = count_words(words for words, entry in zip(read, self.entries) if not self.is_held_out(entry))
        known = {word for word, count in counts.items() if count >= self.settings.rare}
        self.counts = {word: counts[word] for word in sorted(known)}
        self.left_out = {word: counts[word] for words in read for word in words if word not in known}
        self.captions = [" ".join(word for word in words if word in known) for words in read]
        self.words, self.longest = list(self.counts), max([1, *(caption.count(" ") + 1 for caption in self.captions)])

    def is_held_out(self, entry):
        """By the clip's name alone, so that no clip changes sides when others come."""
        digest = hashlib.sha256(entry.name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") < self.settings.held_out * 2**64

    def clips(self, split="train", **changes):
        """OwnClips of one of SPLITS: those that training sees, those that are held out ("test"), or all.

        changes: num_frames or moment, where they are to be others than the folder's. InputError where a split is empty.
        """
        if split not in SPLITS or changes.keys() - {"num_frames", "moment"}:
            raise InputError(f"a split is one of {', '.join(SPLITS)}, and may have another num_frames or moment only")
        settings = dataclasses.replace(self.settings, **changes)
        chosen = [
            (entry, caption)
            for entry, caption in zip(self.entries, self.captions)
            if split == "all" or self.is_held_out(entry) == (split == "test")
        ]
        if not chosen:
            raise InputError(
                f"{self.folder} holds no clip for the split {split!r}: of {len(self.entries)}, "
                f"{sum(map(self.is_held_out, self.entries))} are held out; change held_out or add clips"
            )
        return OwnClips(self.cache, *zip(*chosen), settings)

    def refuse(self):
        """Raise an InputError that tells of the problems."""
        first, *more = self.problems
        others = f" (and {len(more)} more: 'minivdit data' names all)" if more else ""
        raise InputError(f"{first}{others}; or go on without (--skip; in Python skip=True)")


class OwnClips:
    """Makes batches of clips, each clip as likely as the others: `batch` and `describe` are what a training asks for.

    names, captions: of the clips; states: a text each, which differs when its file has changed. num_frames, size: of a
    batch's.
    """

    def __init__(self, cache, entries: tuple[Entry, ...], captions, settings):
        self.settings, self.num_frames, self.size = settings, settings.num_frames, settings.size
        self.names, self.captions = [entry.name for entry in entries], list(captions)
        self.states = [entry.state for entry in entries]
        self.frames = [cache.frames(name) for name in self.names]  # uint8 (T, H, W, C) each, of any T, H and W
        self._told = [[entry.name, entry.size, caption] for entry, caption in zip(entries, captions)]

    def batch(self, generator, count):
        """`count` random clips, as OwnBatch. All randomness comes from `generator`."""
        if count < 1:
            raise InputError(f"a batch of {count} clips can't be made; ask for at least 1")
        return self.cut(self.draw(generator, generator.integers(len(self.names), size=count)))

    def draw(self, generator, clips):
        """What a batch takes of these clips, places in `names`: a list of Cuts."""
        places = generator.random((len(clips), 3))
        return [self._cut(int(clip), *place) for clip, place in zip(clips, places.tolist())]

    def each(self):
        """A Cut of each clip, without chance: its beginning (or frames of the whole clip), the middle of its frames."""
        return [self._cut(clip, 0, 0.5, 0.5) for clip in range(len(self.names))]

    def windows(self, clip):
        """All Cuts that a batch may take of a clip; of those at random places only the one in the middle."""
        many = 1 + max(0, len(self.frames[clip]) - self.num_frames) * (self.settings.moment == "random")
        return [self._cut(clip, (start + 0.5) / many, 0.5, 0.5) for start in range(many)]

    def cut(self, cuts):
        """These Cuts, as OwnBatch."""
        height, width = self.size
        parts = [self.frames[clip][:, top:, left:][times, :height, :width] for clip, times, top, left in cuts]
        return OwnBatch(np.stack(parts) * np.float32(1 / 255), [self.captions[cut.clip] for cut in cuts])

    def _cut(self, clip, time, down, across):
        """A Cut at a place: time, down and across are numbers from 0 to below 1."""
        length, *sides, _ = self.frames[clip].shape
        spare = max(0, length - self.num_frames)
        steps = np.arange(self.num_frames)
        if self.settings.moment == "whole" and spare:
            frames = np.linspace(0, length - 1, self.num_frames).round().astype(int)
        else:
            frames = steps + int(time * (spare + 1)) * (self.settings.moment == "random")
        frames = frames % length if self.settings.short == "loop" else frames.clip(None, length - 1)
        if self.settings.fit != "random":
            down = across = 0.5
        top, left = (int(place * (side - wanted + 1)) for place, side, wanted in zip((down, across), sides, self.size))
        return Cut(clip, frames, top, left)

    def describe(self):
        """What the clips are like, for a checkpoint: a training goes on only with the same clips and captions."""
        digest = hashlib.sha256(repr(self._told).encode("utf-8", "surrogateescape")).hexdigest()
        return {"own_clips": len(self.names), "files": digest[:16], **dataclasses.asdict(self.settings)}
