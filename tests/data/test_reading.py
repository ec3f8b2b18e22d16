"""Files in: what was written comes back, and what can't be trusted is one clear line."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from minivdit.data import reading
from minivdit.data.reading import read_clip
from minivdit.display import write_clip
from minivdit.errors import InputError


def frames(count, height=16, width=24):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 1), dtype=np.uint8)


def test_a_clip_comes_back_as_it_was_written(tmp_path):
    clip = frames(5)
    write_clip(tmp_path / "clip.gif", clip)
    again = read_clip(tmp_path / "clip.gif")
    assert again.shape == clip.shape and again.dtype == np.float32
    np.testing.assert_array_equal(np.rint(again * 255), clip)
    assert again.min() >= 0 and again.max() <= 1


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "webp"])
def test_a_picture_is_a_clip_of_one_frame(tmp_path, ending):
    picture = frames(1)[0, ..., 0]
    Image.fromarray(picture).save(tmp_path / f"picture.{ending}", lossless=True)
    np.testing.assert_allclose(read_clip(tmp_path / f"picture.{ending}")[0, ..., 0] * 255, picture, atol=1)


def test_colours_become_grey(tmp_path):
    Image.fromarray(np.full((8, 8, 3), [255, 0, 0], np.uint8)).save(tmp_path / "red.png")
    assert read_clip(tmp_path / "red.png") == pytest.approx(0.299, abs=0.01)


def test_films(tmp_path):
    pytest.importorskip("av")
    clip = np.repeat(np.linspace(0, 255, 6).astype(np.uint8)[:, None, None, None], 32, 1).repeat(32, 2)
    write_clip(tmp_path / "film.mp4", clip)
    np.testing.assert_allclose(read_clip(tmp_path / "film.mp4") * 255, clip, atol=6)


def png(width, height):
    """The beginning of a picture that claims to be very large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize("name", ["file.png", "file.gif", "file.mp4"])
@pytest.mark.parametrize(
    "content",
    [b"", b"not a picture", png(100_000, 100_000), png(20_000, 5_000), b"GIF89a\xff\xff\xff\xff\x00\x00\x00"],
    ids=["empty", "text", "bomb", "large", "gif"],
)
def test_hostile_files_are_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as refusal:
        read_clip(tmp_path / name)
    assert "\n" not in str(refusal.value)


def test_truncated_files_are_refused(tmp_path):
    write_clip(tmp_path / "clip.gif", frames(1, 64, 64))
    whole = (tmp_path / "clip.gif").read_bytes()
    (tmp_path / "clip.gif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="can't be read as a picture or a clip"):
        read_clip(tmp_path / "clip.gif")


def test_too_many_frames_and_no_file(tmp_path, monkeypatch):
    first, *others = (Image.fromarray(frame[..., 0]) for frame in frames(5))
    first.save(tmp_path / "clip.gif", save_all=True, append_images=others)
    monkeypatch.setattr(reading, "MOST_PIXELS", 4 * 16 * 24)
    with pytest.raises(InputError, match="more than 1536 pixels"):
        read_clip(tmp_path / "clip.gif")
    with pytest.raises(InputError, match="there is no file"):
        read_clip(tmp_path / "nothing.gif")
    with pytest.raises(InputError, match="there is no file"):
        read_clip(tmp_path)
