"""A folder of clips with captions: which clips it holds, and what is said of each. No clip is opened here.

    clips/
      ball.gif  walk.mp4  still.png      each file is a clip; films need PyAV
      dance/  1.png 2.png ... 10.png     a folder of pictures is a clip: its frames, in the order of their numbers
      more/   rain.webm                  any other folder is looked through
      metadata.jsonl or metadata.csv     {"file_name": "ball.gif", "text": "a ball bounces"}, one a line
      walk.txt                           a caption beside its clip

Metadata is as Hugging Face's folders of pictures and videos have it: names are relative to the folder it lies in. What
can't be used is a problem, and what is left aside is noted, each in one line.
"""

import csv
import dataclasses
import hashlib
import json
import os
from pathlib import Path

from ..base.errors import InputError, shorten
from .free_text import LONGEST_WORD, read_words
from .reading import CLIPS, PICTURES, natural, pictures_in

METADATA = ("metadata.jsonl", "metadata.csv")
LONGEST_TEXT = 1 << 16  # bytes of a text beside a clip


@dataclasses.dataclass(frozen=True)
class Entry:
    """A clip in a folder.

    name: of the file, relative to the folder, with slashes. caption: None where nothing is said. size: bytes. state:
    differs when the file has changed.
    """

    name: str
    path: Path
    caption: str | None
    size: int
    state: str


@dataclasses.dataclass
class Listing:
    """What a folder holds: clips (list of Entry) in the order of their names; problems and notes, a line each."""

    folder: Path
    clips: list
    problems: list
    notes: list


def list_clips(folder):
    """The Listing of a folder. Raises InputError where there is no folder, or no clip in it."""
    if not Path(folder).is_dir():
        raise InputError(f"there is no folder {folder}; give a folder in which clips lie, such as .gif or .mp4")
    found = _Found(Path(os.path.abspath(folder)))
    found.look_through(found.folder)
    return found.listing()


class _Found:
    """What has been found so far. Paths are absolute, names are relative to the folder."""

    def __init__(self, folder):
        self.folder, self.problems, self.notes = folder, [], []
        self.clips, self.texts, self.said = [], set(), {}  # paths; of text files; {path: (caption, where it stands)}

    def look_through(self, here):
        """Find the clips in a folder, and in those within it."""
        folders, files = [], []
        for path in sorted(here.iterdir(), key=lambda path: natural(path.name)):
            if path.name.startswith("."):
                continue
            if not (path.is_dir() or path.is_file()):
                self.problems.append(f"{self.name(path)} is a link that leads nowhere, or no file at all; remove it")
                continue
            (folders if path.is_dir() else files).append(path)
        metadata = [path for path in files if path.name in METADATA]
        for path in metadata:
            self.read_metadata(path)
        if here != self.folder and not metadata and not folders and self.is_a_clip(here, files):
            self.clips.append(here)
            return
        for path in files:
            if path.suffix.lower() == ".txt":
                self.texts.add(path)
            elif path.suffix.lower() in CLIPS:
                self.clips.append(path)
            elif path not in metadata:
                self.notes.append(f"{self.name(path)} is no clip, and is left aside; clips are {', '.join(CLIPS)}")
        for path in folders:
            if path.is_symlink():
                self.notes.append(f"{self.name(path)} links to a folder, and is left aside; move its files here")
                continue
            if path in self.said and not pictures_in(path):
                self.problems.append(f"{self.said.pop(path)[1]}, names {self.name(path)}, which holds no pictures")
            self.look_through(path)

    def is_a_clip(self, here, files):
        """Whether a folder is a clip itself: it holds nothing but pictures, and metadata names none of them."""
        return bool(files) and all(path.suffix.lower() in PICTURES and path not in self.said for path in files)

    def read_metadata(self, path):
        """Take up what a metadata file says of clips."""
        try:
            for line, entry in _rows(path):
                self.take_line(path.parent, f"{self.name(path)}, line {line}", entry)
        except InputError as error:
            self.problems.append(f"{self.name(path)}{error}")
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            self.problems.append(f"{self.name(path)} can't be read ({error}); write it as UTF-8")

    def take_line(self, base, where, entry):
        """Take up a line: a dict, or a text that says why it is none."""
        name, text = (entry.get("file_name"), entry.get("text")) if isinstance(entry, dict) else (None, None)
        if not isinstance(entry, dict):
            self.problems.append(f"{where}, {entry}")
        elif not isinstance(name, str) or not name:
            self.problems.append(f"{where}, has no file_name; write the name of a clip there")
        elif text is not None and not isinstance(text, str):
            self.problems.append(f"{where}, has a text that is {text!r:.60}; write the caption in quotes")
        elif "text" not in entry:
            others = ", ".join(shorten(key) for key in entry if key != "file_name") or "nothing else"
            self.problems.append(f"{where}, has no text for {shorten(name)} (it has {others}); call the caption 'text'")
        else:
            path = Path(os.path.normpath(base / name))
            if not path.is_relative_to(self.folder):
                self.problems.append(f"{where}, names {shorten(name)}, which lies outside of the folder; move it there")
            elif not (path.is_dir() or (path.is_file() and path.suffix.lower() in CLIPS)):
                kind = "is no clip" if path.exists() else "isn't there"
                self.problems.append(f"{where}, names {shorten(name)}, which {kind}; correct the line or add the clip")
            elif path not in self.said:
                self.said[path] = text, where
            elif self.said[path][0] != text:
                self.problems.append(
                    f"{where}, names {shorten(name)} again, and {self.said[path][1]}, says otherwise; leave one of them"
                )
                self.said[path] = _Doubled, where
            else:
                self.notes.append(f"{where}, says of {shorten(name)} what {self.said[path][1]}, says")

    def listing(self):
        """All of it as a Listing, with the captions that lie in text files."""
        entries = []
        for path in self.clips:
            caption = self.said.pop(path, (None, ""))[0]
            beside = path.with_suffix(".txt") if path.is_file() else path.with_name(f"{path.name}.txt")
            try:
                if beside in self.texts and caption is None:
                    caption = self.read_text(beside)
                if caption is not _Doubled:
                    check_caption(caption)
                    entries.append(Entry(self.name(path), path, caption, *_state(path)))
            except InputError as error:
                self.problems.append(f"{self.name(path)}: {error}")
            except OSError as error:
                self.problems.append(f"{self.name(path)} can't be read: {error.strerror}; mend or remove it")
        beside = {path.with_suffix(".txt") for path in self.clips} | {Path(f"{path}.txt") for path in self.clips}
        self.notes += [f"{self.name(path)} stands beside no clip, and is left aside" for path in self.texts - beside]
        for path, (caption, where) in self.said.items():
            if caption is not _Doubled:
                why = "is hidden, or a folder in which there is more than pictures; name files, or move it"
                self.problems.append(f"{where}, names {self.name(path)}, which {why}")
        if len(self.clips) > 1 and all(path.is_file() and path.suffix.lower() in PICTURES for path in self.clips):
            self.notes.append(
                "each picture is a clip; if they are the frames of one, put them into a folder of their own"
            )
        if not entries and not self.problems:
            raise InputError(
                f"there are no clips in {self.folder}; clips are {', '.join(CLIPS)}, or folders of pictures"
            )
        entries.sort(key=lambda entry: natural(entry.name))
        return Listing(self.folder, entries, self.problems, self.notes)

    def read_text(self, path):
        """The caption in a text file."""
        if path.stat().st_size > LONGEST_TEXT:
            raise InputError(f"{self.name(path)} is too long for a caption; shorten it")
        try:
            return path.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.name(path)} is no text in UTF-8; save it anew") from error

    def name(self, path):
        return path.relative_to(self.folder).as_posix()


class _Doubled:
    """Stands for a caption where two lines differ."""


def check_caption(caption):
    """Raise InputError for a caption that no tokenizer takes: too long, or with a word that is."""
    words = read_words(caption or "")
    read_words(" ".join(words))  # signs that had no spaces between them have some now
    longest = max(words, key=len, default="")
    if len(longest) > LONGEST_WORD:
        raise InputError(f"its caption has a word of {len(longest)} letters; at most {LONGEST_WORD} fit, so shorten it")


def _rows(path):
    """(number, dict) of each line of a metadata file; or, for a line that is none, (number, why)."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".jsonl":
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _object(line)
            return
        rows = csv.DictReader(file)
        missing = [name for name in ("file_name", "text") if name not in (rows.fieldnames or ())]
        if missing:
            raise InputError(
                f" has no column {missing[0]!r}; its first line must be file_name,text, with commas between columns"
            )
        for row in rows:
            more = "has more columns than the first line; put a text that holds commas in quotes"
            yield rows.line_num, more if None in row else row


def _object(line):
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else 'is no JSON object such as {"file_name": "a.gif", "text": "a ball"}'


def _state(path):
    """(bytes, text that differs when it has changed) of a file, or of a folder with pictures."""
    files = pictures_in(path) if path.is_dir() else [path]
    states = [(file.name, found.st_size, found.st_mtime_ns) for file in files for found in [file.stat()]]
    digest = hashlib.sha256(repr(states).encode("utf-8", "surrogateescape")).hexdigest()
    return sum(size for _, size, _ in states), digest[:16]
