"""Files in: what was written comes back, and what can't be trusted is one clear line."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from minivdit.base.errors import InputError
from minivdit.data import reading
from minivdit.data.reading import open_clip, read_clip, read_mask
from minivdit.lab.display import write_clip


def frames(count, height=16, width=24):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 1), dtype=np.uint8)


def test_a_clip_comes_back_as_it_was_written(tmp_path):
    clip = frames(5)
    write_clip(tmp_path / "clip.gif", clip)
    again = read_clip(tmp_path / "clip.gif")
    assert again.shape == clip.shape and again.dtype == np.float32
    np.testing.assert_array_equal(np.rint(again * 255), clip)
    assert again.min() >= 0 and again.max() <= 1


# Of any depth, with transparency, turned ------------------------------------------------------------------------------


RAMP = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)  # light where rows are low
BYTES = np.rint(RAMP * 255).astype(np.uint8)


def grey(tmp_path, image, ending="png", **options):
    image.save(tmp_path / f"picture.{ending}", **options)
    clip = open_clip(tmp_path / f"picture.{ending}")
    assert clip.video.shape[0] == 1 and clip.video.dtype == np.float32 and not clip.own
    return clip.video[0, ..., 0]


def test_sixteen_bits_are_scaled_by_their_depth(tmp_path):
    deep = np.rint(RAMP * 65535).astype(np.uint16)
    np.testing.assert_allclose(grey(tmp_path, Image.fromarray(deep)), RAMP, atol=1e-5)
    for values in (deep.astype(np.int32), RAMP):  # modes I, which PNGs of older Pillows have, and F
        np.testing.assert_allclose(read_clip(Image.fromarray(values))[0, ..., 0], RAMP, atol=1e-5)
    with pytest.raises(InputError, match="its values go from -1"):
        read_clip(Image.fromarray(deep.astype(np.int32) - 1))
    image = Image.fromarray(deep)
    image.info["transparency"] = int(deep[3, 4])  # as Pillow says of a PNG in which one value is transparent
    shown = read_clip(image)[0, ..., 0]
    assert shown[3, 4] == 0 and shown[3, 5] == pytest.approx(RAMP[3, 5], abs=1e-5)


@pytest.mark.parametrize(
    ("mode", "error"), [("1", 0), ("L", 0), ("P", 0), ("RGB", 0), ("CMYK", 2 / 255), ("YCbCr", 2 / 255)]
)
def test_every_mode_becomes_grey(tmp_path, mode, error):
    values = np.where(BYTES > 127, 255, 0).astype(np.uint8) if mode == "1" else BYTES
    image = Image.fromarray(values).convert("RGB" if mode in ("CMYK", "YCbCr") else "L").convert(mode)
    ending, options = ("jpg", {"quality": 100}) if mode in ("CMYK", "YCbCr") else ("png", {})
    np.testing.assert_allclose(grey(tmp_path, image, ending, **options) * 255, values, atol=255 * error + 1e-4)


def with_alpha(mode, level, alpha):
    """A picture of one grey level whose alpha is `alpha`, saved as `mode` would be."""
    image = Image.merge("LA", [Image.new("L", alpha.T.shape, level), Image.fromarray(alpha)])
    return image.convert("RGBA").quantize(256, method=Image.Quantize.FASTOCTREE) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_what_is_transparent_is_laid_on_black(tmp_path, mode):
    shown = grey(tmp_path, with_alpha(mode, 255, BYTES))
    np.testing.assert_allclose(shown, RAMP, atol=0.08 if mode == "P" else 2 / 255)
    assert grey(tmp_path, with_alpha(mode, 0, BYTES)).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_one_colour_may_be_transparent(tmp_path, mode):
    image = Image.fromarray(BYTES).convert(mode)
    assert grey(tmp_path, image, transparency=(255, 255, 255) if mode == "RGB" else 255).max() < 1


def test_a_mask_in_alpha_means_the_mask(tmp_path):
    area = np.zeros((16, 16), np.uint8)
    area[:8] = 255
    for level in (0, 255):  # whatever its colour
        with_alpha("RGBA", level, area).save(tmp_path / "mask.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), area > 0)
    with_alpha("RGBA", 255, np.full((16, 16), 255, np.uint8)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").all()  # opaque everywhere: then brightness counts
    Image.fromarray(area).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), area > 0)
    np.testing.assert_array_equal(read_mask(Image.fromarray(area)), area > 0)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_a_turned_picture_is_turned_upright(tmp_path, ending):
    upright = np.kron(np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3), np.ones((16, 16), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # held on its side: to be turned clockwise
    held = Image.fromarray(np.rot90(upright).copy())
    shown = grey(tmp_path, held, ending, exif=exif, quality=95)
    assert shown.shape == upright.shape
    np.testing.assert_allclose(shown[8::16, 8::16] * 255, upright[8::16, 8::16], atol=8)


@pytest.mark.parametrize(("share", "expected"), [(0, False), (0.005, False), (0.5, True)])
def test_colours_are_noticed(tmp_path, share, expected):
    picture = np.zeros((20, 20, 3), np.uint8)
    picture.reshape(-1, 3)[: int(share * 400)] = (255, 0, 0)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    assert open_clip(tmp_path / "picture.png").coloured == expected


# Time ----------------------------------------------------------------------------------------------------------------


def film(path, milliseconds, **options):
    """A GIF that Pillow wrote: it merges equal neighbours, as many programs do."""
    shades = [Image.fromarray(np.full((8, 8), 10 * number, np.uint8)) for number in range(len(milliseconds))]
    shades[0].save(path, save_all=True, append_images=shades[1:], duration=milliseconds, loop=0, **options)


@pytest.mark.parametrize(
    ("milliseconds", "levels", "rate"),
    [
        ([50, 50, 50], [0, 10, 20], 20),
        ([40, 120, 40], [0, 10, 10, 10, 20], 25),
        ([120, 130, 120, 130], [0, 10, 20, 30], 8),
        ([0, 0], [0, 10], 10),  # players show what has no duration for a tenth of a second
        ([100, 250], [0, 10, 10], 3 / 0.35),
    ],
)
@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_durations_become_frames(tmp_path, milliseconds, levels, rate, ending):
    film(tmp_path / f"film.{ending}", milliseconds, **({"lossless": True} if ending == "webp" else {}))
    clip = open_clip(tmp_path / f"film.{ending}")
    np.testing.assert_array_equal(np.rint(clip.video[:, 0, 0, 0] * 255), levels)
    assert clip.frames_per_second == pytest.approx(rate)
    assert bool(clip.notes) == (len(levels) > len(milliseconds))


def test_frames_that_another_program_merged_come_back(tmp_path):
    pictures = [Image.fromarray(frame[..., 0]) for frame in frames(3)]
    eight = [pictures[index] for index in (0, 0, 0, 0, 1, 1, 2, 2)]
    eight[0].save(tmp_path / "film.gif", save_all=True, append_images=eight[1:], duration=50)
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 3
    clip = open_clip(tmp_path / "film.gif")
    assert len(clip.video) == 4 and clip.frames_per_second == pytest.approx(10)  # 0.4 s, as it was


def test_a_picture_has_no_rate(tmp_path):
    Image.fromarray(BYTES).save(tmp_path / "picture.png")
    assert open_clip(tmp_path / "picture.png").frames_per_second is None
    image = Image.fromarray(BYTES)
    np.testing.assert_array_equal(read_clip(image)[0, ..., 0], BYTES * np.float32(1 / 255))


# Files of another origin, and damaged ones ----------------------------------------------------------------------------


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
    with pytest.raises(InputError, match="is a folder; give a picture"):
        read_clip(tmp_path)


# In colour, as arrays, as folders ------------------------------------------------------------------------------------


def test_colours_stay_where_they_are_asked_for(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    clip = open_clip(tmp_path / "a.png", channels=3)
    np.testing.assert_array_equal(np.rint(clip.video[0] * 255), colours)
    assert clip.coloured and open_clip(tmp_path / "a.png").video.shape == (1, 16, 16, 1)
    Image.fromarray(BYTES).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_clip(tmp_path / "grey.png"), open_clip(tmp_path / "grey.png", 3).video[..., :1])
    np.save(tmp_path / "a.npy", colours[None])
    np.testing.assert_allclose(read_clip(tmp_path / "a.npy"), read_clip(tmp_path / "a.png"), atol=1.5 / 255)
    assert open_clip(tmp_path / "a.npy").coloured


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((5, 16, 24), (5, 16, 24, 1)),
        ((5, 16, 24, 1), (5, 16, 24, 1)),
        ((5, 16, 24, 2), (5, 16, 24, 1)),
        ((5, 16, 24, 3), (5, 16, 24, 3)),
        ((5, 16, 24, 4), (5, 16, 24, 3)),
        ((16, 24), (1, 16, 24, 1)),
        ((16, 24, 3), (1, 16, 24, 3)),
    ],
)
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_an_array_is_a_clip(tmp_path, shape, seen, ending):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (np.save if ending == "npy" else np.savez)(tmp_path / f"a.{ending}", values)
    clip = open_clip(tmp_path / f"a.{ending}", channels=seen[-1])
    assert clip.video.shape == seen and clip.frames_per_second is None
    pixels = values.reshape(seen[0], 16, 24, -1) / 255
    if pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1] * pixels[..., -1:]
    np.testing.assert_allclose(clip.video, pixels, atol=1e-6)


def test_an_archive_that_claims_to_be_huge_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", np.zeros((64, 64, 64), np.uint8))
    monkeypatch.setattr(reading, "MOST_PIXELS", 1 << 14)
    with pytest.raises(InputError, match=r"holds more than 65,536 bytes; save the frames as \.npy"):
        read_clip(tmp_path / "a.npz")


def test_a_folder_of_pictures_is_a_clip(tmp_path):
    for number, frame in enumerate(frames(12)):
        Image.fromarray(frame[..., 0]).save(tmp_path / f"frame{number}.png")
    np.testing.assert_array_equal(np.rint(read_clip(tmp_path) * 255), frames(12))
    film(tmp_path / "frame3.webp", [50, 50])
    with pytest.raises(InputError, match=r"frame3\.webp moves, but a folder of pictures holds frames"):
        read_clip(tmp_path)
