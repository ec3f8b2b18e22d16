"""Clips to GIF (or MP4): enlarge, put side by side, caption, tile, write. Each step is one function on uint8 arrays.

    clips = beside(real, generated)                # (B, T, H, W', C)
    clips = with_captions(upscale(clips), captions)
    write_clip("clips.gif", tile(clips, columns=4))

`write_grid` is these lines in one call.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np

from ..backend import to_numpy
from ..errors import InputError
from ..files import atomic_write

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


def upscale(video, factor=None):
    """Repeat every pixel `factor` times in height and width, so that pixels stay visible squares.

    video: (B, T, H, W, C). Without a factor the shorter side grows to about 128 pixels.
    """
    factor = factor or max(1, round(128 / min(video.shape[2:4])))
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
    texts = [_wrap(caption, width - 4, size) for caption in captions]
    height = (size + 4) * max(text.count("\n") + 1 for text in texts) + 4
    bands = np.stack([_draw_text(text, height, width, size) for text in texts])  # (B, height, W)
    bands = np.broadcast_to(bands[:, None, :, :, None], (len(video), video.shape[1], height, width, channels))
    return np.concatenate([video, bands], axis=2)


def tile(video, columns=None, gap=GAP):
    """Lay a batch (B, T, H, W, C) out as a grid: one clip (T, rows * (H + gap) + gap, columns * (W + gap) + gap, C)."""
    video = to_uint8(video)
    count, frames, height, width, channels = video.shape
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = math.ceil(count / columns)
    shape = (frames, rows * (height + gap) + gap, columns * (width + gap) + gap, channels)
    canvas = np.full(shape, BACKGROUND, np.uint8)
    for index in range(count):
        row, column = divmod(index, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        canvas[:, top : top + height, left : left + width] = video[index]
    return canvas


def write_grid(path, *videos, captions=None, columns=None, frames_per_second=8, factor=None):
    """Write batches of clips (B, T, H, W, C) as one GIF or MP4, the batches side by side, captions beneath.

    `write_grid("clips.gif", real, generated, captions=prompts)` shows each real clip beside the generated one.
    """
    clips = upscale(beside(*videos), factor)
    if captions is not None:
        clips = with_captions(clips, captions)
    write_clip(path, tile(clips, columns), frames_per_second)


def write_clip(path, clip, frames_per_second=8):
    """Write one clip (T, H, W, C), C = 1 or 3, as an endless GIF, or as MP4 where PyAV is installed.

    Raises InputError for another ending, for MP4 without PyAV, and when the disk is full.
    """
    path, clip = Path(path), to_uint8(clip)
    check_writable(path)
    if clip.ndim != 4 or clip.shape[-1] not in (1, 3) or 0 in clip.shape:
        raise ValueError(f"one clip is (T, H, W, 1 or 3) and not empty, not {clip.shape}")
    import imageio.v3 as imageio

    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".gif":
            frames = clip[..., 0] if clip.shape[-1] == 1 else clip
            imageio.imwrite(temporary, frames, plugin="pillow", duration=1000 / frames_per_second, loop=0)
        else:
            # H.264 wants colour and even sides.
            frames = np.pad(clip, ((0, 0), (0, clip.shape[1] % 2), (0, clip.shape[2] % 2), (0, 0)), mode="edge")
            frames = np.ascontiguousarray(np.broadcast_to(frames, (*frames.shape[:3], 3)))
            imageio.imwrite(temporary, frames, plugin="pyav", codec="libx264", fps=frames_per_second)


def check_writable(path):
    """Raise InputError if `write_clip` can't write files with this ending; to be asked before a long computation."""
    ending = Path(path).suffix.lower()
    if ending not in (".gif", ".mp4"):
        raise InputError(f"can't write a clip to {str(path)!r}; choose a name that ends in .gif (or .mp4 with PyAV)")
    if ending == ".mp4" and importlib.util.find_spec("av") is None:
        raise InputError("writing MP4 needs PyAV: pip install 'minivdit[mp4]', or choose a name that ends in .gif")


def _font(size):
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _wrap(text, width, size):
    """Break a text into lines no wider than `width` pixels; a longer single word keeps a line of its own."""
    font, lines = _font(size), []
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
        (width / 2, 2), text, fill=TEXT, font=_font(size), anchor="ma", align="center", spacing=2
    )
    return np.asarray(image)
