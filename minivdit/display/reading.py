"""Pictures and films from files: what is given to a model."""

import importlib.util
from pathlib import Path

import numpy as np

from ..errors import InputError

MOST_PIXELS = 1 << 26  # of all frames of a file together, so that a hostile one can't fill the memory
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")


def read_clip(path):
    """The frames of a picture or film file in grey: float32 (T, H, W, 1) in [0, 1]; a picture has one frame.

    PNG, JPEG, GIF, BMP and WebP, and where PyAV is installed MP4. Raises InputError for a file that is missing,
    damaged, of another kind, or larger than MOST_PIXELS.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}; give a picture or a clip, such as a .png, .gif or .mp4")
    read = _read_film if path.suffix.lower() == ".mp4" else _read_pictures
    frames, pixels = [], 0
    try:
        for frame in read(path):
            pixels += frame.size
            if pixels > MOST_PIXELS or frame.shape != (frames or [frame])[0].shape:
                raise InputError(
                    f"{path} has more than {MOST_PIXELS} pixels or frames of several sizes; give a smaller one"
                )
            frames.append(frame)
    except InputError:
        raise
    except Exception as error:  # decoders raise whatever comes to their mind
        raise InputError(
            f"{path} can't be read as a picture or a clip ({type(error).__name__}: {error}); "
            f"give a whole file of one of the kinds {', '.join(FORMATS)}, MP4"
        ) from error
    if not frames:
        raise InputError(f"there are no frames in {path}; give another file")
    return np.stack(frames)[..., None] * np.float32(1 / 255)


def _read_pictures(path):
    """The frames of a file that Pillow reads, bytes (H, W), one at a time."""
    from PIL import Image, ImageSequence

    with Image.open(path, formats=FORMATS) as image:  # reads no more than the size yet
        if image.width * image.height > MOST_PIXELS:
            raise InputError(f"{path} has {image.width}x{image.height} pixels; give a smaller picture")
        for frame in ImageSequence.Iterator(image):
            yield np.asarray(frame.convert("L"))


def _read_film(path):
    """The frames of a film that PyAV reads, bytes (H, W), one at a time."""
    if importlib.util.find_spec("av") is None:
        raise InputError("reading MP4 needs PyAV: pip install 'minivdit[mp4]', or give a .gif")
    import imageio.v3 as imageio

    with imageio.imopen(path, "r", plugin="pyav") as film:
        yield from film.iter(format="gray")
