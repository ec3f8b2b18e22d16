"""Clips laid out as pictures: enlarged, side by side, captioned, tiled. Each step is one function on uint8 arrays.

clips = beside(real, generated)                # (B, T, H, W', C)
clips = with_captions(upscale(clips), captions)
picture = tile(clips, columns=4)               # (T, H', W'', C)
"""

import functools
import math
from pathlib import Path

import numpy as np

from ...base.backend import to_numpy
from ...base.console import note

GAP = 4  # pixels between neighbours, before enlarging a clip
BACKGROUND, TEXT = 40, 230  # grey levels: the frame around a black clip stays visible


def to_uint8(video):
    """Floats in [0, 1] (NumPy or CuPy) as bytes 0 to 255, rounded; bytes come back as they are.

    Raises ValueError for values outside [0, 1] or NaN: a picture of them would hide the mistake.
    """
    video = to_numpy(video)
    if video.dtype == np.uint8:
        return video
    if video.size and not (video.min() >= -1e-6 and video.max() <= 1 + 1e-6):  # written so that NaN fails
        raise ValueError(f"a video has values in [0, 1]; this one goes from {video.min():g} to {video.max():g}")
    return np.rint(np.clip(video, 0, 1) * 255).astype(np.uint8)


def enlargement(clips, height, width):
    """The whole factor that makes pixels visible squares, as far as no side gets longer than 4096.

    A single clip gets at least 256 pixels wide, of several the shorter side about 128.
    """
    factor = max(round(128 / min(height, width)), math.ceil(256 / width) if clips == 1 else 1)
    return max(1, min(factor, 4096 // max(height, width)))


def upscale(video, factor=None):
    """Repeat every pixel `factor` times in height and width, so that pixels stay visible squares.

    video: (B, T, H, W, C). Without a factor: see `enlargement`.
    """
    factor = factor or enlargement(len(video), *video.shape[2:4])
    return video.repeat(factor, axis=2).repeat(factor, axis=3)


def beside(*videos, gap=1):
    """Clip i of every batch next to each other: k batches (B, T, H, W, C) become (B, T, H, k W + gaps, C)."""
    videos = [to_uint8(video) for video in videos]
    if len({video.shape[:3] + video.shape[4:] for video in videos}) != 1:
        raise ValueError(f"clips side by side need equal B, T, H and C, not {[v.shape for v in videos]}")
    parts = []
    for video in videos:
        parts += [np.full((*video.shape[:3], gap, video.shape[4]), BACKGROUND * 3, np.uint8), video]
    return np.concatenate(parts[1:], axis=3)


def with_captions(video, captions, size=13):
    """A band of text beneath every clip, wrapped to the clip's width: (B, T, H, W, C) to (B, T, H + band, W, C)."""
    video = to_uint8(video)
    if len(captions) != len(video):
        raise ValueError(f"{len(video)} clips need as many captions, not {len(captions)}")
    width, channels = video.shape[3], video.shape[4]
    texts = {caption: _wrap(caption, width - 4, size) for caption in captions}  # each once: there may be many alike
    height = (size + 4) * max(text.count("\n") + 1 for text in texts.values()) + 4
    drawn = {caption: _draw_text(text, height, width, size) for caption, text in texts.items()}
    bands = np.stack([drawn[caption] for caption in captions])  # (B, height, W)
    bands = np.broadcast_to(bands[:, None, :, :, None], (len(video), video.shape[1], height, width, channels))
    return np.concatenate([video, bands], axis=2)


def grid_columns(count, columns=None):
    """How many cells of a grid stand in a row: as asked for, or as many as make it about square."""
    return min(columns or math.ceil(math.sqrt(count)), count)


def corner(index, columns, height, width, gap=GAP):
    """(top, left) of a cell of a grid."""
    row, column = divmod(index, columns)
    return gap + row * (height + gap), gap + column * (width + gap)


def grid_size(count, columns, height, width, gap=GAP):
    """(height, width) of a grid of so many cells."""
    rows = math.ceil(count / columns)
    return gap + rows * (height + gap), gap + columns * (width + gap)


def tile(video, columns=None, gap=GAP):
    """Lay a batch (B, T, H, W, C) out as a grid: one clip (T, rows * (H + gap) + gap, columns * (W + gap) + gap, C)."""
    video = to_uint8(video)
    count, frames, height, width, channels = video.shape
    columns = grid_columns(count, columns)
    canvas = np.full((frames, *grid_size(count, columns, height, width, gap), channels), BACKGROUND, np.uint8)
    for index in range(count):
        top, left = corner(index, columns, height, width, gap)
        canvas[:, top : top + height, left : left + width] = video[index]
    return canvas


def _font(text, size):
    """Pillow's own font, or one that has the letters of a text beyond ASCII."""
    from PIL import ImageFont

    return ImageFont.load_default(size) if text.isascii() else ImageFont.truetype(_font_file(frozenset(text)), size)


@functools.lru_cache
def _font_file(letters):
    """DejaVu Sans, which comes with Matplotlib, or the font on this machine that lacks fewest of the letters."""
    import matplotlib
    from matplotlib import font_manager

    chosen = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    if _lacking(chosen, letters):
        found = sorted(font_manager.findSystemFonts(), key=lambda file: ("Regular" not in file, file))
        # The font LastResort of macOS has a box for every letter there is.
        fonts = [chosen, *(file for file in found if "LastResort" not in file)]
        chosen = min(fonts, key=lambda file: _lacking(file, letters))
        if _lacking(chosen, letters):
            _tell_of_boxes()
    return chosen


def _lacking(file, letters):
    """How many of the letters a font lacks; more than there are, if it can't be used."""
    from matplotlib.ft2font import FT2Font
    from PIL import ImageFont

    try:
        ImageFont.truetype(file)
        font = FT2Font(file)
    except (OSError, RuntimeError):  # fonts of emoji in colour hold pictures of one size
        return len(letters) + 1
    return sum(not font.get_char_index(ord(letter)) for letter in letters if not letter.isspace())


@functools.cache  # once
def _tell_of_boxes():
    note(
        "no font on this machine has all letters of a caption, so pictures show boxes for some; install one that has "
        "them, such as Noto Sans CJK for Chinese (the caption that the file holds is right)"
    )


def _wrap(text, width, size):
    """Break a text into lines no wider than `width` pixels; a longer single word keeps a line of its own."""
    text = text.encode(errors="replace").decode()
    font, lines = _font(text, size), []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def _draw_text(text, height, width, size):
    """Light text on the background, centred: uint8 (height, width)."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (width, height), BACKGROUND)
    ImageDraw.Draw(image).multiline_text(
        (width / 2, 2), text, fill=TEXT, font=_font(text, size), anchor="ma", align="center", spacing=2
    )
    return np.asarray(image)
