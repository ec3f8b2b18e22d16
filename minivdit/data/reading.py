"""Pictures and films from files: what is given to a model, and what it is trained on."""

import contextlib
import dataclasses
import functools
import importlib.util
import math
import re
import zipfile
from pathlib import Path

import numpy as np

from ..base.errors import InputError
from .labels import MOST_PIXELS, NAME, Label, unpack
from .pixels import LUMA, in_channels, see, see_array

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
FILMS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")
ARRAYS = (".npy", ".npz")
CLIPS = (".gif", ".apng", *PICTURES, *FILMS, *ARRAYS)  # what may be read
MOST_SEEN = 16 * MOST_PIXELS  # pixels of all pictures that are looked through for a clip
CHANGED = "another program has changed it since"
SHORTEST, USUAL = 0.02, 0.1  # seconds: a frame that lasts for less than the first, players show for the second
# How far into the time of a frame of another rate it is asked what is to be seen: not at its edges, since GIFs round
# times to hundredths, nor at a half, a third or a quarter, where frames of films begin.
PHASE = 0.3


@dataclasses.dataclass(frozen=True)
class Clip:
    """What was read: video float32 (T, H, W, C) in [0, 1]; a picture has one frame.

    name: of the file. frames_per_second: None for a picture. own: minivdit wrote it; then it has a caption, and `about`
    says how it was drawn. coloured: it had colours, even if it was read in grey. negative: light on dark, where a
    picture of another origin is dark on light. notes: what a user should be told.
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

    def in_channels(self, channels):
        """The same in grey, 1 channel, or in colour, 3."""
        negative = None if self.negative is None else in_channels(self.negative, channels)
        return dataclasses.replace(self, video=in_channels(self.video, channels), negative=negative)


def read_clip(path):
    """The frames of a clip or picture in a file, float32 (T, H, W, C) in [0, 1]; `open_clip` says more about it."""
    return open_clip(path).video


def open_clip(source, channels=1):
    """A Clip from a file (PNG, JPEG, GIF, BMP, WebP, .npy, .npz; films where PyAV is installed), from a folder
    of pictures, which are its frames in the order of their numbers, or from a Pillow image.

    A clip that minivdit wrote comes back as it was drawn, without caption and enlargement. Of several in one file
    clip.gif, 'clip.gif#0' is the first. Anything else is read as it is seen, in grey (or in colour, if channels is 3),
    on black, upright; where some frames last longer than others, they are repeated. Raises InputError for a file that
    is missing, damaged, of another kind, larger than MOST_PIXELS, or that holds several clips.
    """
    source, number, name = _find(source)
    with _one_line_errors(name):
        own, notes = _own(source, number, name)
        if own:
            return own
        with _opened(source) as (_, pictures):
            return _foreign(pictures, name, notes, channels)


def watch(path, channels=1, frames_per_second=0, notes=None):
    """The frames of a clip one by one, float32 (H, W, channels), so that a film needn't fit into the memory.

    frames_per_second: how often to look; a frame comes as often as it is to be seen then, and the first at least once.
    With 0, and where a clip has no times (a folder of pictures, an array), each comes once. notes: a list to which is
    added what a user should be told. Errors as `open_clip`.
    """
    notes = [] if notes is None else notes
    path, number, name = _find(path)
    with _one_line_errors(name), contextlib.ExitStack() as stack:
        own, told = _own(path, number, name)
        notes += told
        if own:
            pictures = ((functools.partial(see_array, frame), 1 / own.frames_per_second) for frame in own.video)
        else:
            _, pictures = stack.enter_context(_opened(path))
        end, count, shape = 0.0, 0, None
        for look, seconds in pictures:
            if not frames_per_second or seconds is None:
                times = 1
            else:
                end += seconds
                times = max(count == 0, math.ceil(end * frames_per_second - PHASE) - count)
            pixels = look(channels).pixels if times else None
            for _ in range(times):
                if pixels.shape != (shape or pixels.shape):
                    raise InputError(
                        f"{name} has frames of several sizes, {shape[:2]} and {pixels.shape[:2]}; make them one"
                    )
                shape = pixels.shape
                yield pixels
            count += times
        if not count:
            raise InputError(f"there are no frames in {name}; give another file")
        told, found = _length_of(path) or 0, end if frames_per_second else math.inf
        if found < 0.9 * told:  # PyAV reads some films that were cut off without an error
            notes.append(f"{name} says that it lasts {told:.1f} seconds, but holds {found:.1f}; was it cut off?")


def label_of(path):
    """The Label that minivdit wrote into a file, or None, also where it is damaged. Errors as `open_clip`."""
    with _one_line_errors(str(path)), _opened(Path(path)) as (text, _), contextlib.suppress(ValueError):
        return Label.loads(text)


def _length_of(path):
    """How many seconds a film says that it lasts, or None for one that doesn't say, and for what is no film."""
    if not is_film(path):
        return None
    import av

    with av.open(str(path), metadata_errors="replace") as film:
        return film.duration and film.duration / av.time_base


def read_mask(source):
    """Where a picture (a file or a Pillow image) is bright, boolean (H, W); or opaque, if parts are transparent."""
    found, _, name = _find(source)
    with _one_line_errors(name), _opened(found) as (_, pictures):
        seen = next(iter(pictures))[0]()
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
    if path.is_dir() and not pictures_in(path):
        raise InputError(
            f"{path} is a folder; give a picture or a clip, such as a .png, .gif or .mp4, or pictures in it"
        )
    if not path.is_file() and not path.is_dir():
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
            f"give a whole file of one of the kinds {', '.join(FORMATS)}, MP4, WebM, MKV, AVI, .npy, .npz"
        ) from error


@contextlib.contextmanager
def _opened(source):
    """(the file's comment, its pictures one by one).

    Pairs: a function that gives the picture as Seen, with so many channels, while it is the last one that came; and
    how many seconds it lasts, or None.
    """
    from PIL import Image

    if not isinstance(source, Path):
        yield _comment(source.info), _frames(source)
    elif source.is_dir():
        yield "", _pictures(source)
    elif source.suffix.lower() in ARRAYS:
        yield "", ((functools.partial(see_array, frame), None) for frame in _array(source))
    elif not is_film(source):
        with Image.open(source, formats=FORMATS) as image:  # reads no more than the size yet
            if image.width * image.height > MOST_PIXELS:
                raise InputError(f"{source} has {image.width}x{image.height} pixels; give a smaller picture")
            yield _comment(image.info), _frames(image)
    else:
        if not films_can_be_read():
            raise InputError(f"reading {source} needs PyAV: pip install 'minivdit[mp4]', or give a .gif")
        import av

        with av.open(str(source), metadata_errors="replace") as film:
            yield film.metadata.get("comment", ""), _film_frames(film, source)


def is_film(path):
    """Whether a path is a film, by its name; a folder of pictures may be called like one."""
    return path.suffix.lower() in FILMS and not path.is_dir()


def films_can_be_read():
    """Whether PyAV is there, which reads films."""
    return importlib.util.find_spec("av") is not None


def _comment(info):
    """The text that may be a Label: a PNG's own field, or a GIF's comment."""
    text = info.get(NAME, info.get("comment", ""))
    return text.decode("latin-1") if isinstance(text, bytes) else str(text)


def _frames(image):
    from PIL import ImageSequence

    moves = getattr(image, "is_animated", False)
    for frame in ImageSequence.Iterator(image):
        frame.load()  # of a WebP, the duration is known only then
        yield functools.partial(see, frame), _shown(frame.info.get("duration", 0) / 1000) if moves else None


def _shown(seconds):
    """How long players show what is to last for so many seconds."""
    return seconds if seconds >= SHORTEST else USUAL


def _film_frames(film, path):
    if not film.streams.video:
        raise ValueError("it holds no pictures")
    stream = film.streams.video[0]
    if stream.width * stream.height > MOST_PIXELS:
        raise InputError(f"{path} has {stream.width}x{stream.height} pixels; give a smaller film")
    seconds = _shown(float(1 / stream.average_rate) if stream.average_rate else 0)
    for frame in film.decode(stream):

        def look(channels=1, frame=frame):
            # A telephone that was held upright films on its side, and says so. PyAV tells it from version 14 on.
            return see(frame.to_image().rotate(getattr(frame, "rotation", 0), expand=True), channels)

        yield look, seconds


def pictures_in(folder):
    """The pictures of a folder in the order of their numbers: frame 2 before frame 10."""
    names = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    return sorted(names, key=lambda path: natural(path.name))


def natural(name):
    """A key to sort names by, in which numbers count as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _pictures(folder):
    for path in pictures_in(folder):
        with _one_line_errors(path), _opened(path) as (_, pictures):
            (look, _), *others = pictures
            if others:
                raise InputError(f"{path} moves, but a folder of pictures holds frames; put it into a folder of clips")
            yield look, None


def _array(path):
    """An array in a file as frames (T, H, W) or (T, H, W, C); a single frame (H, W) or (H, W, C) is a clip of one."""
    if path.suffix.lower() == ".npy":
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    else:
        with zipfile.ZipFile(path) as parts:
            names = parts.namelist()
            if len(names) != 1:
                raise InputError(f"{path} holds {len(names)} arrays; keep one, the frames, in a file of its own")
            if parts.getinfo(names[0]).file_size > 4 * MOST_PIXELS:
                raise InputError(f"{path} holds more than {4 * MOST_PIXELS:,} bytes; save the frames as .npy")
        with np.load(path, allow_pickle=False) as arrays:
            (frames,) = arrays.values()
    grey = frames.ndim < 4 and frames.shape[-1:] > (4,)  # what is too long for channels is a width
    if frames.ndim not in (2, 3, 4) or 0 in frames.shape or (frames.ndim == 4 and frames.shape[3] > 4):
        raise InputError(
            f"{path} holds an array of shape {frames.shape}; a clip is (frames, height, width) or (frames, height, "
            "width, channels), with 1 to 4 channels; save each clip in a file of its own"
        )
    if frames.dtype.kind not in "fb" and frames.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path} holds {frames.dtype}; save uint8, uint16, booleans, or floats from 0 to 1")
    frames = frames if frames.ndim == (3 if grey else 4) else frames[None]
    if frames[0].size > 4 * MOST_PIXELS:
        raise InputError(f"{path} has {frames.shape[1]}x{frames.shape[2]} pixels; give smaller frames")
    return frames


def _own(source, number, name):
    """(a Clip as it was drawn, or None if minivdit didn't write it or it was changed; what to tell then)."""
    notes = ()
    if not isinstance(source, Path) or source.is_file():
        with _opened(source) as (text, pictures):
            try:
                if label := Label.loads(text):
                    return _as_drawn(label, pictures, name, number), ()
            except InputError:
                raise
            except ValueError as error:
                notes = (f"what {name} says about the clips in it can't be used ({error}); it is read as it is seen",)
    if number is not None:
        raise InputError(f"{name} doesn't say that it holds several clips; leave out #{number}")
    return None, notes


def _as_drawn(label, pictures, name, number):
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
    for look, _ in pictures:
        grey = look().pixels[..., 0]
        if count == label.pictures or grey.shape != label.size:
            raise ValueError(CHANGED)
        times = range(place.frames) if place.columns else [count]
        squares = np.stack([place.cut(grey, time) for time in times])
        changed |= not packed and bool((squares != squares[..., :1, :1]).any())
        cut.append(squares.mean(axis=(3, 4)) if packed else squares[..., 0, 0])
        count += 1
    if changed or count != label.pictures:
        raise ValueError(CHANGED)
    video = np.concatenate(cut)[..., None]
    if packed:
        seen, video = video[..., 0], unpack(packed, place) * np.float32(1 / 255)
        weights = LUMA if place.channels == 3 else np.float32([1])
        if np.abs(seen - video @ weights).mean() > 0.06:  # more than H.264 or 256 colours lose
            raise ValueError(CHANGED)
    coloured = video.shape[3] == 3 and any(see_array(frame, 3).coloured for frame in video)
    return Clip(video, name, label.frames_per_second, True, label.captions[chosen], label.about, coloured)


def _foreign(pictures, name, notes, channels):
    """A clip as it is seen, its longer frames repeated."""
    frames, negatives, lengths, coloured, dark = [], [], [], False, 0
    for look, seconds in pictures:
        seen = look(channels)
        frames.append(seen.pixels)
        negatives.append(seen.negative())
        dark += seen.dark_on_light()
        lengths.append(seconds)
        coloured |= seen.coloured
        _check_amount(len(frames), frames, name)
    if not frames:
        raise InputError(f"there are no frames in {name}; give another file")
    timed = None not in lengths
    repeats = [max(1, round(length / min(lengths))) for length in lengths] if timed else [1] * len(frames)
    total = sum(repeats)
    _check_amount(total, frames, name)
    if total > len(frames):
        notes += (f"some frames of {name} last longer than others; with these repeated, it has {total} frames",)
    video, negative = (np.repeat(part, repeats, axis=0) for part in (frames, negatives))
    rate = total / sum(lengths) if timed else None
    return Clip(
        video, name, rate, coloured=coloured, negative=negative if 2 * dark > len(frames) else None, notes=notes
    )


def _check_amount(count, frames, name):
    if count * frames[0][..., 0].size > MOST_PIXELS or frames[-1].shape != frames[0].shape:
        raise InputError(f"{name} has more than {MOST_PIXELS} pixels or frames of several sizes; give a smaller one")
