"""Files of clips: every frame in every player, at the right time, and each clip comes back as it was drawn."""

import errno
import tracemalloc

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image, ImageSequence

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.data.reading import open_clip
from minivdit.lab import display
from minivdit.lab.display import writing

try:
    import av
except ImportError:
    av = None
ENDINGS = ["gif", "png", *["mp4"] * (av is not None)]


@pytest.fixture
def clips():
    """Four random clips of 5 frames, 12 x 20 pixels: every frame differs, no side is square."""
    return np.random.default_rng(0).integers(0, 256, (4, 5, 12, 20, 1), dtype=np.uint8)


def bytes_of(clip):
    return np.rint(clip.video * 255).astype(np.uint8)


def gif_frames(path):
    """The delays of a GIF's frames, in hundredths of a second, and its comment: by the specification of the format."""
    data, place, delays, comment = path.read_bytes(), 13 + 3 * 256, [], b""
    assert data[:6] == b"GIF89a" and data[10] & 0x87 == 0x87

    def blocks():
        nonlocal place
        parts = []
        while data[place]:
            parts.append(data[place + 1 : place + 1 + data[place]])
            place += 1 + data[place]
        place += 1
        return b"".join(parts)

    while data[place] != 0x3B:
        kind, place = data[place], place + 1
        if kind == 0x21:
            label, place = data[place], place + 1
            content = blocks()
            if label == 0xF9:
                delays.append(int.from_bytes(content[1:3], "little"))
            comment += content if label == 0xFE else b""
        else:
            assert kind == 0x2C
            flags = data[place + 8]
            place += 9 + (3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1
            blocks()
    assert place == len(data) - 1
    return delays, comment


@pytest.mark.parametrize("ending", ENDINGS)
def test_each_clip_of_a_file_comes_back_as_it_was_drawn(tmp_path, clips, ending):
    path = tmp_path / f"clips.{ending}"
    captions = ["a 3 moving right", "", "two\nlines $$ ü", "a caption that is too long for the width of one clip"]
    display.write_grid(path, clips, 255 - clips, captions=captions, frames_per_second=7, about={"seed": 3})
    for index in range(8):
        clip = open_clip(f"{path}#{index}")
        drawn = (clips, 255 - clips)[index % 2][index // 2]
        np.testing.assert_array_equal(bytes_of(clip), drawn)
        assert clip.own and not clip.notes and clip.about == {"seed": 3}
        assert clip.caption == captions[index // 2] and clip.frames_per_second == 7
    with pytest.raises(InputError, match=r"holds 8 clips; choose one of .*#0 to .*#7"):
        open_clip(path)
    with pytest.raises(InputError, match="holds no clip #8; the last is #7"):
        open_clip(f"{path}#8")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 8, 8, 1), (1, 40, 16, 16, 1), (1, 4, 9, 7, 1), (1, 16, 64, 64, 1), (1, 3, 8, 8, 3)]
)
def test_a_single_clip_needs_no_number(tmp_path, ending, shape):
    video = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    display.write_grid(tmp_path / f"clip.{ending}", video, captions=["a 3"])
    for name in (f"clip.{ending}", f"clip.{ending}#0"):
        np.testing.assert_array_equal(bytes_of(open_clip(tmp_path / name)), video[0])
    if ending != "png":
        display.write_clip(tmp_path / f"plain.{ending}", video[0], caption="a 3")
        clip = open_clip(tmp_path / f"plain.{ending}")
        np.testing.assert_array_equal(bytes_of(clip), video[0])
        assert clip.caption == "a 3"


def test_strips_hold_clips_of_several_sizes(tmp_path):
    generator = np.random.default_rng(0)
    shapes = [(3, 8, 8, 1), (21, 8, 12, 1), (1, 30, 5, 1)]
    clips = [generator.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    display.write_strips(tmp_path / "strips.png", clips, ["one", "", "three"])
    for number, clip in enumerate(clips):
        np.testing.assert_array_equal(bytes_of(open_clip(tmp_path / f"strips.png#{number}")), clip)
    assert imageio.imread(tmp_path / "strips.png").shape[1] <= 1200


def test_equal_frames_are_all_written(tmp_path):
    """Pillow, imageio and the format's own specification all see each frame, though each equals the one before."""
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (3, 16, 24, 1), dtype=np.uint8)
    for order in ([0] * 8, [0, 0, 0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2]):
        clip = pictures[order]
        display.write_clip(tmp_path / "clip.gif", clip)
        with Image.open(tmp_path / "clip.gif") as image:
            seen = np.stack([np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(image)])
        np.testing.assert_array_equal(seen, clip[..., 0])
        read = imageio.imread(tmp_path / "clip.gif", plugin="pillow", mode="L")
        np.testing.assert_array_equal(read, clip[..., 0])
        assert len(gif_frames(tmp_path / "clip.gif")[0]) == len(order)
        assert imageio.immeta(tmp_path / "clip.gif", plugin="pillow")["loop"] == 0  # for ever


@pytest.mark.parametrize("rate", [8, 10, 12.5, 30, 50, 3.7, 0.01])
def test_the_delays_of_a_gif_add_up_to_its_time(tmp_path, clips, rate):
    display.write_clip(tmp_path / "clip.gif", np.concatenate(clips), rate)
    delays, _ = gif_frames(tmp_path / "clip.gif")
    assert len(delays) == 20 and abs(sum(delays) - 100 * 20 / rate) <= 0.5
    assert max(delays) - min(delays) <= 1 and min(delays) >= 2


def test_the_caption_and_how_it_was_drawn_can_be_read_by_anyone(tmp_path, clips):
    about = {"seed": 3, "steps": np.int64(5), "weights": "joint"}
    display.write_grid(tmp_path / "clip.gif", clips[:1], captions=["a 3 moving right"], about=about)
    comment = gif_frames(tmp_path / "clip.gif")[1].decode("ascii")
    assert '"caption":"a 3 moving right"' in comment and '"seed":3' in comment and "joint" in comment
    display.write_grid(tmp_path / "clip.png", clips[:1], captions=["a 3 moving right"], about=about)
    assert Image.open(tmp_path / "clip.png").info["minivdit"].startswith('{"minivdit":')


def test_colours_of_a_gif_are_seen_and_kept(tmp_path):
    clip = np.zeros((2, 6, 8, 3), np.uint8)
    clip[0, ..., 0], clip[1, ..., 2] = 200, 100
    display.write_clip(tmp_path / "clip.gif", clip)
    read = imageio.imread(tmp_path / "clip.gif", plugin="pillow", mode="RGB")
    np.testing.assert_allclose(read.astype(int), clip, atol=8)


@pytest.mark.skipif(av is None, reason="PyAV is not installed")
def test_a_film_is_seen_as_it_is_kept(tmp_path, clips):
    display.write_grid(
        tmp_path / "clip.mp4", clips[:1, :, :11, :19], captions=["a 3"], frames_per_second=29.97, factor=5
    )
    read = imageio.imread(tmp_path / "clip.mp4", plugin="pyav")
    assert len(read) == 5 and read.shape[1] % 2 == 0 and read.shape[2] % 2 == 0  # odd sides are padded
    with av.open(str(tmp_path / "clip.mp4")) as film:
        stream = film.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(29.97) and film.metadata["title"] == "a 3"
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"  # all players show it
    (place,) = writing._Grid([clips[:1, :, :11, :19]], ["a 3"], factor=5).places
    seen = np.stack([place.cut(frame[..., 0], time).mean(axis=(2, 3)) for time, frame in enumerate(read)])
    assert np.abs(seen - clips[0, :, :11, :19, 0]).mean() < 4


def test_what_cannot_be_written_is_said_in_one_line(tmp_path, clips, monkeypatch):
    with pytest.raises(InputError, match=r"ends in \.gif"):
        display.write_clip(tmp_path / "clip.avi", clips[0])
    for rate in (51, 60, 1e308, 0.001, 1e-300):
        with pytest.raises(InputError, match=r"from 0.002 to 50 frames a second.*\.mp4 is exact"):
            display.check_writable(tmp_path / "clip.gif", rate)
    with pytest.raises(ValueError, match="one clip"):
        display.write_clip(tmp_path / "clip.gif", clips)
    monkeypatch.setattr(writing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="PyAV"):
        display.check_writable(tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


def test_clips_and_captions_of_other_shapes_are_refused(tmp_path, clips):
    path = tmp_path / "clip.gif"
    for video in (clips[0, 0, ..., 0], clips[0], clips[..., :0], np.zeros((1, 2, 8, 8, 2), np.uint8)):
        with pytest.raises(InputError, match=r"a batch of clips is an array \(B, T, H, W, C\), C = 1 or 3"):
            display.write_grid(path, video)
    with pytest.raises(InputError, match=r"one clip is an array \(T, H, W, C\)"):
        display.write_strips(tmp_path / "strips.png", clips[0])
    for batches in ([], [clips, clips[:1]]):
        with pytest.raises(InputError, match="one or more batches, each of as many clips"):
            display.write_grid(path, *batches)
    for captions in ("a 3", ["a 3"]):
        with pytest.raises(InputError, match=f"captions is one text for each of {len(clips)} clips, not 1"):
            display.write_grid(path, clips, captions=captions)
    assert list(tmp_path.iterdir()) == []
    display.write_grid(path, clips[:1], captions="a 3")
    assert open_clip(path).caption == "a 3"


def test_sides_are_looked_at_before_anything_is_drawn(tmp_path):
    with pytest.raises(InputError, match="a side has at most 65535; write fewer clips"):
        display.check_writable(tmp_path / "clip.gif", shape=(300_000, 16, 64, 64, 1))
    with pytest.raises(InputError, match="a side has at most 65535"):
        display.write_clip(tmp_path / "clip.gif", np.zeros((1, 1, 65_536, 1), np.uint8))
    display.check_writable(tmp_path / "clip.gif", shape=(100, 16, 64, 64, 1), captions=["a 3"] * 100)
    assert list(tmp_path.iterdir()) == []


def test_a_long_film_is_made_a_few_frames_at_a_time(tmp_path, monkeypatch):
    films, peaks = [], []
    clip = np.random.default_rng(0).random((1, 90, 15, 8, 1), np.float32)
    for at_once in (2**30, 2**18, 1):
        monkeypatch.setattr(writing, "AT_ONCE", at_once)
        tracemalloc.start()
        display.write_grid(tmp_path / "clip.gif", clip, clip, captions=["a 3 moving right"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        films.append((tmp_path / "clip.gif").read_bytes())
    assert films[0] == films[1] == films[2]
    assert peaks[1] < peaks[0] / 5, peaks


def test_length_is_looked_at_before_anything_is_drawn(tmp_path, monkeypatch):
    path = tmp_path / "clip.gif"
    with pytest.raises(InputError, match="1,000,000 frames, but no clip of more than 16,384 can be read again"):
        display.check_writable(path, shape=(1, 10**6, 64, 64, 1))
    monkeypatch.setattr(machine, "available_memory", lambda: 10**6)
    display.check_writable(path, shape=(1, 10_000, 64, 64, 1))  # enlarged, all of them at once would take 700 MB
    with pytest.raises(InputError, match="frames 1 needs about"):
        display.check_writable(path, shape=(100, 10_000, 64, 64, 1))
    with pytest.raises(InputError, match=r"a \.png holds one frame, not 2; use write_strips"):
        display.write_clip(tmp_path / "clip.png", np.zeros((2, 8, 8, 1), np.uint8))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_gets_full_on_the_way_keeps_the_earlier_file(tmp_path, clips, monkeypatch, ending):
    path = tmp_path / f"clip.{ending}"
    display.write_grid(path, clips[:1])
    before = path.read_bytes()

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    if ending == "gif":
        from PIL import GifImagePlugin

        monkeypatch.setattr(GifImagePlugin, "getdata", full)
    elif ending == "png":
        monkeypatch.setattr(Image.Image, "save", full)
    else:
        monkeypatch.setattr(av.VideoFrame, "from_ndarray", full)
    with pytest.raises(InputError, match="No space left"):
        display.write_grid(path, clips[1:2])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
