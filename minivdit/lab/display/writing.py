"""Clips are written to files: GIF, MP4, or PNG (all frames in rows). They can be read again as they were drawn.

    write_grid("clips.gif", real, generated, captions=prompts)
    again = read_clip("clips.gif#1")  # (T, H, W, C): the first that was generated

The picture is for people: enlarged, captioned, tiled. The file keeps beside it where each clip lies: data/labels.py.
"""

import importlib.util
import math
import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...base.errors import InputError
from ...base.files import atomic_write, check_target
from ...base.machine import require_memory
from ...data.labels import MOST_PIXELS, NAME, Label, Place, pack
from .layout import (
    BACKGROUND,
    beside,
    corner,
    enlargement,
    grid_columns,
    grid_size,
    tile,
    to_uint8,
    upscale,
    with_captions,
)

IN_A_ROW = 16  # frames of a strip
COPIES = 3  # of an enlarged picture in memory: clips, clips with captions, the grid
AT_ONCE = 2**23  # numbers of the enlarged pictures that are made at a time, or a single picture
STRIP_WIDTH = 1200  # pixels, the most that a strip is enlarged to
# Frames a second, and pixels of a side, that can be written. A GIF counts hundredths of a second, and players slow down
# what is shown for less than two of them.
RATES = {".gif": (0.002, 50), ".mp4": (0.001, 1000)}
SIDES = {".gif": 65_535, ".mp4": 16_384}


def write_grid(path, *videos, captions=None, columns=None, frames_per_second=8, factor=None, about=None):
    """Write batches of clips (B, T, H, W, C), C = 1 or 3, as one GIF, MP4 or PNG, the batches side by side.

    `write_grid("clips.gif", real, generated, captions=prompts)` shows each real clip beside the generated one, with the
    caption beneath: a list of B, or one text if B is 1. Each pixel becomes factor x factor
    (`layout.enlargement` unless given). about: a dict to keep in the file, such as {"seed": 1}. A PNG has a strip for
    each clip. Raises InputError where `check_writable` does.
    """
    videos = [_checked(video, "BTHWC") for video in videos]
    if len({len(video) for video in videos}) != 1:
        raise InputError(f"give one or more batches, each of as many clips, not {[len(video) for video in videos]}")
    captions = _one_each(captions, len(videos[0]))
    clips = [video[index] for index in range(len(videos[0])) for video in videos]
    texts = [caption for caption in captions for _ in videos]
    if Path(path).suffix.lower() == ".png":
        picture, places = _strips(clips, texts)
    else:
        picture = _Grid(videos, captions, columns, factor)
        places = picture.places
    _write(path, picture, frames_per_second, clips, places, texts, about)


def grid_bytes(*videos, **how):
    """The bytes of the GIF that `write_grid` would write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clips.gif"
        write_grid(path, *videos, **how)
        return path.read_bytes()


def write_clip(path, clip, frames_per_second=8, caption="", about=None):
    """Write one clip (T, H, W, C), C = 1 or 3, as it is: nothing enlarged, nothing beside it."""
    clip = _checked(clip, "THWC")
    if Path(path).suffix.lower() == ".png" and len(clip) > 1:
        raise InputError(f"a .png holds one frame, not {len(clip)}; use write_strips, or a name that ends in .gif")
    _write(path, clip, frames_per_second, [clip], [Place(0, 0, *clip.shape)], [caption], about)


def write_strips(path, videos, captions=None, frames_per_second=8, about=None):
    """Write a PNG with all frames of each clip in rows, its caption beneath.

    videos: (B, T, H, W, C) or a list of clips (T, H, W, C), of any sizes. captions: one each, or None. The rate is kept
    for whoever reads the clips again.
    """
    clips = [_checked(video, "THWC") for video in videos]
    texts = _one_each(captions, len(clips))
    picture, places = _strips(clips, texts)
    _write(path, picture, frames_per_second, clips, places, texts, about)


def _checked(video, axes):
    """Clips as bytes, or an InputError unless they have these axes, 'BTHWC' or 'THWC', and a picture's channels."""
    video = to_uint8(video)
    if video.ndim != len(axes) or video.shape[-1] not in (1, 3) or 0 in video.shape:
        what = "a batch of clips" if len(axes) == 5 else "one clip"
        raise InputError(
            f"{what} is an array ({', '.join(axes)}), C = 1 or 3, and not empty; this has the shape {video.shape}"
        )
    return video


def _one_each(captions, clips):
    """A list of as many captions as clips; None means empty ones."""
    texts = [captions] if isinstance(captions, str) else [""] * clips if captions is None else list(captions)
    if len(texts) != clips:
        raise InputError(f"captions is one text for each of {clips} clips, not {len(texts)}")
    return texts


def check_writable(path, frames_per_second=8, shape=None, captions=None):
    """Raise InputError unless clips (shape: B, T, H, W, C) can be written there; to be asked before they are drawn."""
    ending = Path(path).suffix.lower()
    if ending not in (".gif", ".mp4", ".png"):
        raise InputError(f"can't write a clip to {str(path)!r}; choose a name that ends in .gif, .png or .mp4")
    if ending == ".mp4" and importlib.util.find_spec("av") is None:
        raise InputError("writing MP4 needs PyAV: pip install 'minivdit[mp4]', or choose a name that ends in .gif")
    check_target(path)
    slowest, fastest = RATES.get(ending, (0, 1e9))
    if not slowest <= frames_per_second <= fastest:
        exact = "; .mp4 is exact up to 1000" if ending == ".gif" else ""
        raise InputError(
            f"a {ending} shows from {slowest:g} to {fastest:g} frames a second, not {frames_per_second:g}{exact}"
        )
    if shape is not None and shape[-1] not in (1, 3):
        raise InputError(
            f"clips of {shape[-1]} channels can't be written, only grey (1) and colour (3); take other weights"
        )
    if shape is not None and ending in SIDES:
        count, frames, *frame = shape
        captions = list(dict.fromkeys(captions or [""]))
        cells = upscale(np.zeros((len(captions), 0, *frame), np.uint8), enlargement(count, *frame[:2]))  # of no frames
        cells = with_captions(cells, captions) if any(captions) else cells
        height, width = grid_size(count, grid_columns(count), *cells.shape[2:4])
        _check_sides(path, height, width)
        most = MOST_PIXELS // math.prod(frame)
        if frames > most:
            told = f"{path} would have {frames:,} frames"
            raise InputError(f"{told}, but no clip of more than {most:,} can be read again")
        require_memory(lambda frames: COPIES * frames * height * width * shape[-1], 1, "frames")


def _check_sides(path, height, width):
    most = SIDES.get(Path(path).suffix.lower(), 1 << 24)
    if max(height, width) > most:
        raise InputError(
            f"{path} would have {height}x{width} pixels, but a side has at most {most}; write fewer clips into one file"
        )


class _Grid:
    """The pictures of a grid of clips, which are made as they are asked for: an enlarged film would take much memory.

    shape: (T, H, W, C), of all pictures. places: a Place for each clip of each video.
    """

    def __init__(self, videos, captions, columns=None, factor=None):
        self.clips, self.captions = beside(*videos), captions
        count, frames, height, width, channels = self.clips.shape
        self.factor, self.columns = factor or enlargement(count, height, width), grid_columns(count, columns)
        cells = self._cells(slice(0, 1)).shape[2:4]
        self.shape, self.places = (frames, *grid_size(count, self.columns, *cells), channels), []
        for index in range(count):
            top, left = corner(index, self.columns, *cells)
            for video in videos:
                self.places.append(Place(top, left, frames, height, video.shape[3], channels, self.factor))
                left += (video.shape[3] + 1) * self.factor

    def __iter__(self):
        at_once = max(1, AT_ONCE // math.prod(self.shape[1:]))
        for start in range(0, self.shape[0], at_once):
            yield from tile(self._cells(slice(start, start + at_once)), self.columns)

    def _cells(self, frames):
        cells = upscale(self.clips[:, frames], self.factor)
        return with_captions(cells, self.captions) if any(self.captions) else cells


def _strips(clips, captions):
    """The picture of strips (1, H, W, C), one beneath the other, and a Place for each clip."""
    rows, places, top = [], [], 0
    for clip, caption in zip(clips, captions, strict=True):
        frames, height, width, channels = clip.shape
        columns = min(frames, IN_A_ROW)
        factor = max(1, min(enlargement(1, height, width), STRIP_WIDTH // (columns * (width + 1))))
        row = tile(upscale(clip[:, None], factor), columns, gap=1)
        rows.append(with_captions(row[None], [caption])[0] if caption else row)
        places.append(Place(top + 1, 1, frames, height, width, channels, factor, columns, gap=1))
        top += rows[-1].shape[1]
    width, channels = (max(row.shape[axis] for row in rows) for axis in (2, 3))
    picture = np.full((1, top, width, channels), BACKGROUND, np.uint8)
    for row, place in zip(rows, places):
        picture[:, place.top - 1 :][:, : row.shape[1], : row.shape[2]] = row
    return picture, places


def _write(path, picture, frames_per_second, clips, places, captions, about):
    """Write a picture (T, H, W, C), an array or a _Grid, and what is to be kept of the clips in it."""
    check_writable(path, frames_per_second)
    size, rate, ending = picture.shape[1:3], float(frames_per_second), Path(path).suffix.lower()
    _check_sides(path, *size)
    if ending == ".mp4":
        size = tuple(side + side % 2 for side in size)  # H.264 wants even ones
    if ending == ".mp4" or picture.shape[-1] == 3:
        packed = tuple(pack(clip) for clip in clips)  # H.264, and a GIF's 256 colours, lose some of it
    else:
        packed = ("",) * len(clips)
    label = Label(size, picture.shape[0], rate, tuple(places), tuple(captions), packed, about or {}).dumps()
    with atomic_write(path) as temporary:
        {".gif": _gif, ".mp4": _mp4, ".png": _png}[ending](temporary, picture, rate, label, captions)


def _gif(path, picture, rate, label, captions):
    """Every frame is written, if only the part that changed. (Image.save leaves out a frame like the one before.)"""
    from PIL import GifImagePlugin, Image, ImageChops

    colours = picture.shape[-1] == 3
    # Rounded so, the delays add up to the time.
    times = [round(100 * time / rate) for time in range(picture.shape[0] + 1)]
    about = {"loop": 0, "comment": label.encode("ascii")}  # 0: repeat without end
    header, _ = GifImagePlugin.getheader(Image.new("L", picture.shape[2:0:-1]), info=about)
    before = None
    with open(path, "wb") as file:
        file.writelines(header)
        for frame, (start, end) in zip(picture, pairwise(times)):
            image = Image.fromarray(frame if colours else frame[..., 0])
            box = ImageChops.difference(image, before).getbbox() or (0, 0, 1, 1) if before else (0, 0, *image.size)
            part = image.crop(box).quantize(256) if colours else image.crop(box)
            shown = {"duration": 10 * (end - start), "disposal": 1}  # 1: the next is drawn over it
            file.writelines(GifImagePlugin.getdata(part, box[:2], include_color_table=colours, **shown))
            before = image
        file.write(b";")


def _mp4(path, picture, rate, label, captions):
    import av

    with av.open(str(path), "w", format="mp4") as film:
        film.metadata["title"] = "; ".join(filter(None, dict.fromkeys(captions))).encode(errors="replace").decode()
        film.metadata["comment"] = label
        stream = film.add_stream("libx264", rate=Fraction(rate).limit_denominator(100_000), options={"crf": "18"})
        stream.height, stream.width = (side + side % 2 for side in picture.shape[1:3])
        stream.pix_fmt = "yuv420p"
        for frame in picture:
            colours = np.broadcast_to(frame, (*frame.shape[:2], 3))
            colours = np.pad(colours, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            film.mux(stream.encode(av.VideoFrame.from_ndarray(colours, format="rgb24")))
        film.mux(stream.encode())


def _png(path, picture, rate, label, captions):
    from PIL import Image, PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text(NAME, label)
    Image.fromarray(picture[0, ..., 0] if picture.shape[-1] == 1 else picture[0]).save(path, "PNG", pnginfo=text)
