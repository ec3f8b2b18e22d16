"""The label inside a file of clips: where each clip lies in the picture, and how it was drawn.

A clip is written as a picture for people: enlarged, with a caption, beside others. So that it can be read again as it
was drawn, the file's own metadata (a GIF's comment, an MP4's, a PNG's text) holds this, as JSON. Where the format
can't hold the pixels exactly (H.264, a GIF of colours) they are kept there too.

What is read is not trusted: all values are checked before they are used.
"""

import base64
import dataclasses
import json
import math
import zlib

import numpy as np

from .. import __version__

FORMAT = 1
NAME = "minivdit"  # of the PNG's text, and of the version in the JSON
MOST_CLIPS = 10_000
MOST_PIXELS = 1 << 26  # of all frames of a clip together, so that a hostile file can't fill the memory


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one clip (frames, height, width, channels) lies; all lengths in pixels.

    Its frame 0 begins at (top, left), and each of its pixels is a square of factor x factor. columns: 0 in a film,
    whose picture t holds frame t; in a strip, which is one picture, so many frames stand in a row, `gap` apart.
    """

    top: int
    left: int
    frames: int
    height: int
    width: int
    channels: int = 1
    factor: int = 1
    columns: int = 0
    gap: int = 0

    def corner(self, time):
        """(top, left) of a frame."""
        row, column = divmod(time, self.columns) if self.columns else (0, 0)
        return (
            self.top + row * (self.height * self.factor + self.gap),
            self.left + column * (self.width * self.factor + self.gap),
        )

    def end(self):
        """(bottom, right) of the area that all frames take."""
        rows = (self.frames - 1) // self.columns if self.columns else 0
        columns = min(self.frames, self.columns) - 1 if self.columns else 0
        top, left = self.corner(rows * self.columns + columns)
        return top + self.height * self.factor, left + self.width * self.factor

    def cut(self, picture, time):
        """A frame out of its picture (H, W): (height, width, factor, factor), each pixel with its square."""
        top, left = self.corner(time)
        frame = picture[top : top + self.height * self.factor, left : left + self.width * self.factor]
        return frame.reshape(self.height, self.factor, self.width, self.factor).swapaxes(1, 2)


@dataclasses.dataclass(frozen=True)
class Label:
    """All that a file says about its clips.

    size: (height, width) of its pictures, pictures: how many there are; both tell whether another program changed it.
    clips: a Place each, captions: a text each, pixels: what `pack` made of each, or "" where the picture holds them.
    about: how they were drawn: seed, steps, weights and the like, under names of one's own.
    """

    size: tuple[int, int]
    pictures: int
    frames_per_second: float
    clips: tuple[Place, ...]
    captions: tuple[str, ...]
    pixels: tuple[str, ...]
    about: dict

    def dumps(self):
        """One line of ASCII."""
        clips = [
            dataclasses.asdict(place) | {"caption": caption, "pixels": pixels}
            for place, caption, pixels in zip(self.clips, self.captions, self.pixels)
        ]
        return json.dumps(
            {
                NAME: __version__,
                "format": FORMAT,
                "size": self.size,
                "pictures": self.pictures,
                "frames_per_second": self.frames_per_second,
                "about": self.about,
                "clips": clips,
            },
            separators=(",", ":"),
            default=str,
        )

    @classmethod
    def loads(cls, text):
        """What `dumps` wrote, or None for a text of another origin. Raises ValueError where it is damaged."""
        if not text.startswith(f'{{"{NAME}":'):
            return None
        try:
            entry = json.loads(text)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        if entry.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        size = tuple(_whole(side, 1) for side in _list(entry.get("size"), 2, 2))
        pictures, rate, about = _whole(entry.get("pictures"), 1), entry.get("frames_per_second"), entry.get("about")
        if type(rate) not in (int, float) or not 0 < rate < math.inf or not isinstance(about, dict):
            raise ValueError("its rate of frames or how it was drawn is not given")
        entries = _list(entry.get("clips"), 1, MOST_CLIPS)
        clips = tuple(_place(clip, size, pictures) for clip in entries)
        captions, pixels = (tuple(_text(clip.get(name)) for clip in entries) for name in ("caption", "pixels"))
        return cls(size, pictures, rate, clips, captions, pixels, about)


def pack(pixels):
    """Bytes (T, H, W, C) as a text."""
    return base64.b64encode(zlib.compress(pixels.tobytes())).decode()


def unpack(text, place):
    """The bytes (T, H, W, C) that `pack` made a text of. ValueError if they aren't as many as the place promises."""
    shape = (place.frames, place.height, place.width, place.channels)
    unpacker, wanted = zlib.decompressobj(), math.prod(shape)
    try:
        pixels = unpacker.decompress(base64.b64decode(text, validate=True), wanted + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(pixels) != wanted or not unpacker.eof:
        raise ValueError("pixels are missing or too many")
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _whole(value, least, most=MOST_PIXELS):
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r:.40} is not a whole number from {least} to {most}")
    return value


def _list(value, least, most):
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise ValueError(f"{value!r:.40} is not a list of {least} to {most}")
    return value


def _text(value):
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is not a text")
    return value


def _place(clip, size, pictures):
    """A Place that lies inside the picture."""
    if not isinstance(clip, dict):
        raise ValueError(f"{clip!r:.40} is not a clip")
    zero = ("top", "left", "columns", "gap")  # the others are at least 1
    names = [field.name for field in dataclasses.fields(Place)]
    place = Place(**{name: _whole(clip.get(name), 0 if name in zero else 1) for name in names})
    outside = any(end > side for end, side in zip(place.end(), size))
    if outside or place.channels not in (1, 3) or pictures != (1 if place.columns else place.frames):
        raise ValueError("a clip lies outside the picture")
    if place.frames * place.height * place.width * place.channels > MOST_PIXELS:
        raise ValueError(f"a clip has more than {MOST_PIXELS} pixels")
    return place
