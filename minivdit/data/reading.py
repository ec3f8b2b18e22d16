"""Pictures and films from files: what is given to a model."""

import contextlib
import dataclasses
import importlib.util
import re
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from .grey import to_grey
from .labels import MOST_PIXELS, NAME, Label, unpack

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
FILMS = (".mp4", ".m4v", ".mov", ".webm")
MOST_SEEN = 16 * MOST_PIXELS  # pixels of all pictures that are looked through for a clip
CHANGED = "another program has changed it since"
SHORTEST, USUAL = 0.02, 0.1  # seconds: a frame that lasts for less than the first, players show for the second


@dataclasses.dataclass(frozen=True)
class Clip:
    """What was read: video float32 (T, H, W, C) in [0, 1]; a picture has one frame.

    name: of the file. frames_per_second: None for a picture. own: minivdit wrote it; then it has a caption, and `about`
    says how it was drawn. coloured: it had colours, which are grey now. negative: light on dark, where a picture of
    another origin is dark on light. notes: what a user should be told.
    """

    video: np.ndarray
    name: str
    frames_per_second: float | None = None
    own: bool = False
    caption: str = ""
    about: dict = dataclasses.field(default_factory=dict)
    coloured: bool = False
    negative: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def read_clip(path):
    """The frames of a clip or picture in a file, float32 (T, H, W, C) in [0, 1]; `open_clip` says more about it."""
    return open_clip(path).video


def open_clip(source):
    """A Clip from a file (PNG, JPEG, GIF, BMP, WebP; MP4 where PyAV is installed) or from a Pillow image.

    A clip that minivdit wrote comes back as it was drawn, without caption and enlargement. Of several in one file
    clip.gif, 'clip.gif#0' is the first. Anything else is read as it is seen, in grey, on black, upright; where some
    frames last longer than others, they are repeated. Raises InputError for a file that is missing, damaged, of another
    kind, larger than MOST_PIXELS, or that holds several clips.
    """
    source, number, name = _find(source)
    notes = ()
    with _one_line_errors(name):
        with _opened(source) as (text, pictures):
            try:
                if label := Label.loads(text):
                    return _own(label, pictures, name, number)
            except InputError:
                raise
            except ValueError as error:
                notes = (f"what {name} says about the clips in it can't be used ({error}); it is read as it is seen",)
        if number is not None:
            raise InputError(f"{name} doesn't say that it holds several clips; leave out #{number}")
        with _opened(source) as (_, pictures):
            return _foreign(pictures, name, notes)


def read_mask(source):
    """Where a picture (a file or a Pillow image) is bright, boolean (H, W); or opaque, if parts are transparent."""
    found, _, name = _find(source)
    with _one_line_errors(name), _opened(found) as (_, pictures):
        seen, _ = next(iter(pictures))
    if seen.alpha is not None and seen.alpha.min() <= 0.5:
        return seen.alpha > 0.5
    return open_clip(source).video[0].mean(axis=-1) > 0.5


def _find(source):
    """(path or image, number of the clip in it or None, what to call it)."""
    if not isinstance(source, str | Path):
        return source, None, "the picture"
    path, number = Path(source), None
    numbered = re.fullmatch(r"(.+)#(\d{1,9})", str(source))
    if numbered and not path.exists():
        path, number = Path(numbered[1]), int(numbered[2])
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a picture or a clip, such as a .png, .gif or .mp4")
    if not path.is_file():
        raise InputError(f"there is no file {path}; give a picture or a clip, such as a .png, .gif or .mp4")
    return path, number, str(path)


@contextlib.contextmanager
def _one_line_errors(name):
    """A decoder may raise anything: whatever it is becomes an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{name} can't be read as a picture or a clip ({type(error).__name__}: {error}); "
            f"give a whole file of one of the kinds {', '.join(FORMATS)}, MP4"
        ) from error


@contextlib.contextmanager
def _opened(source):
    """(the file's comment, its pictures one by one: pairs of Seen and how many seconds it lasts, or None)."""
    from PIL import Image

    if not isinstance(source, Path):
        yield _comment(source.info), _frames(source)
    elif source.suffix.lower() not in FILMS:
        with Image.open(source, formats=FORMATS) as image:  # reads no more than the size yet
            if image.width * image.height > MOST_PIXELS:
                raise InputError(f"{source} has {image.width}x{image.height} pixels; give a smaller picture")
            yield _comment(image.info), _frames(image)
    elif importlib.util.find_spec("av") is None:
        raise InputError("reading MP4 needs PyAV: pip install 'minivdit[mp4]', or give a .gif")
    else:
        import av

        with av.open(str(source), metadata_errors="replace") as film:
            yield film.metadata.get("comment", ""), _film_frames(film, source)


def _comment(info):
    """The text that may be a Label: a PNG's own field, or a GIF's comment."""
    text = info.get(NAME, info.get("comment", ""))
    return text.decode("latin-1") if isinstance(text, bytes) else str(text)


def _frames(image):
    from PIL import ImageSequence

    for frame in ImageSequence.Iterator(image):
        frame.load()  # of a WebP, the duration is known only then
        milliseconds = frame.info.get("duration")
        yield to_grey(frame), milliseconds and milliseconds / 1000


def _film_frames(film, path):
    stream = film.streams.video[0]
    if stream.width * stream.height > MOST_PIXELS:
        raise InputError(f"{path} has {stream.width}x{stream.height} pixels; give a smaller film")
    for frame in film.decode(stream):
        yield to_grey(frame.to_image()), stream.average_rate and float(1 / stream.average_rate)


def _own(label, pictures, name, number):
    """A clip as it was drawn. Raises ValueError if the pictures aren't those that were written."""
    count = len(label.clips)
    if number is None and count > 1:
        raise InputError(f"{name} holds {count} clips; choose one of {name}#0 to {name}#{count - 1}")
    chosen = number or 0
    if chosen >= count:
        raise InputError(f"{name} holds no clip #{chosen}; the last is #{count - 1}, counted from 0")
    place, packed = label.clips[chosen], label.pixels[chosen]
    if label.pictures * label.size[0] * label.size[1] > MOST_SEEN:
        raise ValueError("too many pictures")
    cut, changed, count = [], False, 0
    for seen, _ in pictures:
        if count == label.pictures or seen.grey.shape != label.size:
            raise ValueError(CHANGED)
        times = range(place.frames) if place.columns else [count]
        squares = np.stack([place.cut(seen.grey, time) for time in times])
        changed |= not packed and bool((squares != squares[..., :1, :1]).any())
        cut.append(squares.mean(axis=(3, 4)) if packed else squares[..., 0, 0])
        count += 1
    if changed or count != label.pictures:
        raise ValueError(CHANGED)
    video = np.concatenate(cut)[..., None]
    if packed:
        seen, video = video[..., 0], unpack(packed, place) * np.float32(1 / 255)
        weights = np.float32([0.299, 0.587, 0.114] if place.channels == 3 else [1])  # from colours to grey
        if np.abs(seen - video @ weights).mean() > 0.06:  # more than H.264 or 256 colours lose
            raise ValueError(CHANGED)
    return Clip(video, name, label.frames_per_second, True, label.captions[chosen], label.about)


def _foreign(pictures, name, notes):
    """A clip as it is seen, its longer frames repeated."""
    frames, negatives, lengths, coloured, dark = [], [], [], False, 0
    for seen, seconds in pictures:
        frames.append(seen.grey)
        negatives.append(seen.negative())
        dark += seen.dark_on_light()
        lengths.append(seconds if seconds and seconds >= SHORTEST else USUAL)
        coloured |= seen.coloured
        _check_amount(len(frames), frames, name)
    if not frames:
        raise InputError(f"there are no frames in {name}; give another file")
    repeats = [max(1, round(length / min(lengths))) for length in lengths]
    total = sum(repeats)
    _check_amount(total, frames, name)
    if total > len(frames):
        notes += (f"some frames of {name} last longer than others; with these repeated, it has {total} frames",)
    video, negative = (np.repeat(part, repeats, axis=0)[..., None] for part in (frames, negatives))
    rate = total / sum(lengths) if len(frames) > 1 else None
    return Clip(
        video, name, rate, coloured=coloured, negative=negative if 2 * dark > len(frames) else None, notes=notes
    )


def _check_amount(count, frames, name):
    if count * frames[0].size > MOST_PIXELS or frames[-1].shape != frames[0].shape:
        raise InputError(f"{name} has more than {MOST_PIXELS} pixels or frames of several sizes; give a smaller one")
