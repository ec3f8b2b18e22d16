"""The label inside a file of clips: where each clip lies in the picture, and how it was drawn.

A clip is written as a picture for people: enlarged, with a caption, beside others. The label lets it be read again as
it was drawn. It is JSON in the file's own metadata (the comment of a GIF or an MP4, the text of a PNG). Where the
format can't hold the pixels exactly (H.264, a GIF of colours) the label holds them too.

A label that is read is not trusted: all values are checked before they are used.
"""

import base64
import dataclasses
import json
import math
import zlib

import numpy as np

from .. import __version__
from ..base.files import require_shape

FORMAT = 1
NAME = "minivdit"  # of the PNG's text, and of the version in the JSON
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

    @property
    def shape(self):
        """(T, H, W, C) of the clip."""
        return self.frames, self.height, self.width, self.channels

    def check(self, size, pictures):
        """Raise ValueError unless this lies inside so many pictures of this size (height, width)."""
        least = min(self.top, self.left, self.columns, self.gap, self.frames - self.columns)
        if least < 0 or min(*self.shape, self.factor) < 1:
            raise ValueError("a clip has a length that none can have")
        if any(end > side for end, side in zip(self.end(), size)) or pictures != (1 if self.columns else self.frames):
            raise ValueError("a clip lies outside the picture")
        if self.channels not in (1, 3) or math.prod(self.shape) > MOST_PIXELS:
            raise ValueError(f"a clip has {self.channels} channels, or more than {MOST_PIXELS} pixels")

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
        own = {name: getattr(self, name) for name in ("size", "pictures", "frames_per_second", "about")}
        told = {NAME: __version__, "format": FORMAT, **own, "clips": clips}
        return json.dumps(told, separators=(",", ":"), default=str)

    @classmethod
    def loads(cls, text):
        """What `dumps` wrote, or None for a text of another origin. Raises ValueError where it is damaged."""
        if not text.startswith(f'{{"{NAME}":'):
            return None
        try:
            entry = json.loads(text)
            require_shape(entry, _SHAPE)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        size, pictures, rate = tuple(entry["size"]), entry["pictures"], entry["frames_per_second"]
        if entry["format"] != FORMAT:
            raise ValueError(f"its format is {entry['format']!r:.40}, not {FORMAT}")
        if len(size) != 2 or not entry["clips"] or not 0 < rate < math.inf:
            raise ValueError("its size, its clips or its rate of frames is not given")
        places = tuple(Place(**{name: clip[name] for name in _LENGTHS}) for clip in entry["clips"])
        for place in places:
            place.check(size, pictures)
        captions, pixels = (tuple(clip[name] for clip in entry["clips"]) for name in ("caption", "pixels"))
        return cls(size, pictures, rate, places, captions, pixels, entry["about"])


_LENGTHS = [field.name for field in dataclasses.fields(Place)]
_SHAPE = {
    "format": int,
    "size": [int],
    "pictures": int,
    "frames_per_second": (int, float),
    "about": dict,
    "clips": [dict.fromkeys(_LENGTHS, int) | {"caption": str, "pixels": str}],
}


def pack(pixels):
    """Bytes (T, H, W, C) as a text."""
    return base64.b64encode(zlib.compress(pixels.tobytes())).decode()


def unpack(text, place):
    """The bytes (T, H, W, C) that `pack` made a text of. ValueError if they aren't as many as the place promises."""
    unpacker, wanted = zlib.decompressobj(), math.prod(place.shape)
    try:
        pixels = unpacker.decompress(base64.b64decode(text, validate=True), wanted + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(pixels) != wanted or not unpacker.eof:
        raise ValueError("pixels are missing or too many")
    return np.frombuffer(pixels, np.uint8).reshape(place.shape)
