"""Clips of one's own as training data: brought to size, length and rate; split; told in words; whatever lies there."""

import csv
import dataclasses
import importlib.util
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from minivdit.base import config
from minivdit.base.errors import InputError
from minivdit.data import ClipSettings, open_folder
from minivdit.data.own_clips import ClipFolder
from minivdit.lab.display import write_clip
from minivdit.models import Autoencoder, AutoencoderConfig, Tokenizer, VideoDiT, VideoDiTConfig
from minivdit.training.tasks import AutoencoderTask, TransformerTask

TINY = ClipSettings(size=(8, 8), num_frames=4, channels=1, frames_per_second=0, held_out=0)


def ramp(count, height=8, width=8, channels=1):
    """A clip whose frame t has the value 10 t in its row 0, rising by 1 to the right: every place can be told."""
    clip = 10 * np.arange(count)[:, None, None, None] + np.arange(width)[:, None]
    return np.broadcast_to(clip, (count, height, width, channels)).astype(np.uint8)


def folder_of(tmp_path, **clips):
    for name, clip in clips.items():
        np.save(tmp_path / f"{name}.npy", clip)
    return tmp_path


def as_bytes(video):
    return np.rint(video * 255).astype(int)


def opened(folder, **changes):
    return open_folder(folder, dataclasses.replace(TINY, **changes))


# Size, length, rate --------------------------------------------------------------------------------------------------


def test_a_batch_is_random_clips_of_one_shape(tmp_path):
    folder_of(tmp_path, a=ramp(6), b=ramp(9, 16, 8), c=ramp(1, 8, 16))
    clips = opened(tmp_path).clips()
    batch = clips.batch(np.random.default_rng(1), 50)
    assert batch.video.shape == (50, 4, 8, 8, 1) and batch.video.dtype == np.float32
    assert batch.video.min() >= 0 and batch.video.max() <= 1 and batch.captions == [""] * 50
    again = clips.batch(np.random.default_rng(1), 50)
    np.testing.assert_array_equal(batch.video, again.video)
    assert len({clip.tobytes() for clip in batch.video}) > 6  # clips and moments
    with pytest.raises(InputError, match="ask for at least 1"):
        clips.batch(np.random.default_rng(1), 0)


@pytest.mark.parametrize(("moment", "starts"), [("random", {0, 1, 2, 3, 4, 5}), ("start", {0}), ("whole", {0})])
def test_of_a_longer_clip_a_part_is_taken(tmp_path, moment, starts):
    clips = opened(folder_of(tmp_path, a=ramp(9)), moment=moment).clips()
    times = as_bytes(clips.batch(np.random.default_rng(0), 100).video)[:, :, 0, 0, 0] // 10
    assert set(times[:, 0]) == starts
    steps = [0, 3, 5, 8] if moment == "whole" else np.arange(4)
    np.testing.assert_array_equal(times - times[:, :1], np.broadcast_to(steps, times.shape))


@pytest.mark.parametrize(("short", "times"), [("hold", [0, 1, 2, 2]), ("loop", [0, 1, 2, 0])])
@pytest.mark.parametrize("moment", ["random", "start", "whole"])
def test_a_shorter_clip_is_held_or_begins_again(tmp_path, short, times, moment):
    clips = opened(folder_of(tmp_path, a=ramp(3)), short=short, moment=moment).clips()
    video = as_bytes(clips.batch(np.random.default_rng(0), 5).video)
    np.testing.assert_array_equal(video[:, :, 0, 0, 0] // 10, [times] * 5)


def test_a_shorter_clip_may_be_refused(tmp_path):
    folder_of(tmp_path, a=ramp(3), b=ramp(4))
    with pytest.raises(InputError, match=r"a\.npy has 3 frames, fewer than 4; set short to hold.*--skip"):
        opened(tmp_path, short="refuse")
    assert open_folder(tmp_path, dataclasses.replace(TINY, short="refuse"), skip=True).clips().names == ["b.npy"]


@pytest.mark.parametrize(("fit", "lefts"), [("crop", {4}), ("random", set(range(9)))])
def test_what_stands_over_is_cut_off_in_the_middle_or_anywhere(tmp_path, fit, lefts):
    clips = opened(folder_of(tmp_path, a=ramp(4, 8, 16)), fit=fit).clips()
    columns = as_bytes(clips.batch(np.random.default_rng(0), 200).video)[:, 0, 0, :, 0]
    assert set(columns[:, 0]) == lefts
    np.testing.assert_array_equal(columns - columns[:, :1], np.broadcast_to(np.arange(8), columns.shape))


def test_a_portrait_is_cut_above_and_below_or_shown_whole(tmp_path):
    portrait = np.zeros((4, 32, 16, 1), np.uint8)
    portrait[:, :, 8:] = 200
    portrait[:, :8] = portrait[:, -8:] = 100
    folder_of(tmp_path, a=portrait)
    cut = as_bytes(opened(tmp_path).clips().batch(np.random.default_rng(0), 1).video)[0, 0, ..., 0]
    assert (cut[1:-1, :3] == 0).all() and (cut[1:-1, 5:] == 200).all()
    whole = as_bytes(opened(tmp_path, fit="scale").clips().batch(np.random.default_rng(0), 1).video)[0, 0, ..., 0]
    assert (whole[:, :2] == 0).all() and (whole[:, 6:] == 0).all() and whole[0, 4] == whole[-1, 4] == 100


@pytest.mark.parametrize(
    ("rate", "wanted", "times"),
    [
        (8, 8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (8, 4, [0, 2, 4, 6]),
        (8, 16, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]),
        (24, 8, [0, 3, 6]),
        (30, 8, [0, 4]),
        (8, 0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (50, 1, [0]),  # shorter than a frame, and still one
    ],
)
def test_frames_are_taken_at_the_rate_that_is_wanted(tmp_path, rate, wanted, times):
    write_clip(tmp_path / "a.gif", ramp(8), frames_per_second=rate)
    found = opened(tmp_path, frames_per_second=wanted)
    levels = found.cache.frames("a.gif")[:, 0, 0, 0] // 10
    np.testing.assert_array_equal(levels, times)
    foreign = tmp_path / "foreign"
    pictures = [Image.fromarray(np.full((8, 8), 10 * time, np.uint8)) for time in range(8)]
    foreign.mkdir()
    step = 1000 / rate
    lengths = [round((t + 1) * step, -1) - round(t * step, -1) for t in range(8)]  # GIFs round to hundredths
    pictures[0].save(foreign / "a.gif", save_all=True, append_images=pictures[1:], duration=lengths)
    again = opened(foreign, frames_per_second=wanted).cache.frames("a.gif")[:, 0, 0, 0] // 10
    assert len(again) == len(times) and np.abs(again.astype(int) - times).max() <= (rate == 30)


def test_what_has_no_times_gives_every_frame(tmp_path):
    (tmp_path / "walk").mkdir()
    for number, frame in enumerate(ramp(12)):
        Image.fromarray(frame[..., 0]).save(tmp_path / "walk" / f"{number}.png")  # 10.png comes after 9.png
    folder_of(tmp_path, a=ramp(12))
    found = opened(tmp_path, frames_per_second=2)
    for name in ("walk", "a.npy"):
        np.testing.assert_array_equal(found.cache.frames(name), ramp(12))


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (0, 8)},
        {"size": (8,)},
        {"num_frames": 0},
        {"channels": 2},
        {"frames_per_second": -1},
        {"frames_per_second": float("nan")},
        {"fit": "stretch"},
        {"moment": "end"},
        {"short": "drop"},
        {"held_out": 1},
        {"rare": 0},
    ],
)
def test_settings_that_make_no_clip_are_refused(changes):
    with pytest.raises(InputError):
        ClipSettings(**changes)


# Every kind of file, hostile ones too --------------------------------------------------------------------------------


def deep_png(colours):
    """A PNG of 16 bits a channel, which Pillow reads but doesn't write. colours: uint8 (H, W, 3)."""
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).astype(">u2").tobytes() for row in colours)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", *colours.shape[1::-1], 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    parts = [struct.pack(">I", len(data)) + name + data for name, data in [*chunks, (b"IEND", b"")]]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part + struct.pack(">I", zlib.crc32(part[4:])) for part in parts)


def hostile(folder):
    """A folder with a clip of each kind, whole and not. Every good one is red on the left, in colour or as grey."""
    red = np.zeros((4, 8, 8, 3), np.uint8)
    red[:, :, :4, 0] = 255
    grey = red[..., :1]
    glass = np.concatenate([np.full((4, 8, 8, 3), 255, np.uint8), grey], axis=-1)  # white, clear on the right
    images = [Image.fromarray(frame) for frame in red]
    still = images[0].copy()
    images[3].putpixel((7, 7), (0, 0, 1))  # or Pillow merges all frames
    for name, options in (("anim.gif", {}), ("anim.webp", {"lossless": True}), ("anim.png", {})):
        images[0].save(folder / name, save_all=True, append_images=images[1:], duration=125, **options)
    (folder / "anim.apng").write_bytes((folder / "anim.png").read_bytes())
    still.save(folder / "one_frame.gif")
    still.save(folder / "still.png")
    np.save(folder / "bytes.npy", grey[..., 0])
    np.save(folder / "deep.npy", grey.astype(np.uint16) * 257)
    np.save(folder / "floats.npy", red / np.float32(255))
    np.save(folder / "truth.npy", grey > 0)
    np.save(folder / "glass.npy", glass)
    np.save(folder / "shades.npy", np.concatenate([np.full_like(grey, 255), grey], axis=-1))
    np.savez(folder / "packed.npz", red)
    Image.fromarray(glass[0]).save(folder / "glass.png")
    Image.fromarray(grey[0, ..., 0].astype(np.uint16) * 257).save(folder / "sixteen.png")
    (folder / "deep_colour.png").write_bytes(deep_png(red[0]))
    still.convert("CMYK").save(folder / "print.jpg", quality=100)
    write_clip(folder / "own.gif", red, caption="it says so itself")
    (folder / "frames").mkdir()
    for number in range(4):
        still.save(folder / "frames" / f"frame{number}.bmp")
    return red


BROKEN = {
    "empty.gif": (b"", "can't be read"),
    "empty.mp4": (b"", "can't be read"),
    "empty.npy": (b"", "can't be read"),
    "cut.gif": (b"GIF89a\x08\x00\x08\x00", "can't be read"),
    "text.webm": (b"no film at all", "can't be read"),
    "text.npz": (b"no archive", "can't be read"),
    "batch.npy": (np.zeros((2, 4, 8, 8, 3), np.uint8), "array of shape (2, 4, 8, 8, 3)"),
    "none.npy": (np.zeros((0, 8, 8), np.uint8), "array of shape (0, 8, 8)"),
    "many.npy": (np.zeros((2, 8, 8, 5), np.uint8), "array of shape (2, 8, 8, 5)"),
    "words.npy": (np.array(["a ball"]), "array of shape (1,)"),
    "pickled.npy": (np.array([{}], object), "can't be read"),
    "loud.npy": (np.full((4, 8, 8), 255.0), "values go from 255 to 255, not from 0 to 1"),
    "nan.npy": (np.full((4, 8, 8), np.nan), "not from 0 to 1"),
    "signed.npy": (np.zeros((4, 8, 8), np.int32), "signed.npy holds int32; save uint8, uint16"),
    "narrow.npy": (np.zeros((2, 1, 1 << 21), np.uint8), "narrow.npy is too narrow"),
}


def test_every_clip_is_the_right_one_or_one_clear_line(tmp_path):
    red = hostile(tmp_path)
    good = {path.name for path in tmp_path.iterdir()}
    films = importlib.util.find_spec("av") is not None
    broken = {name: told for name, told in BROKEN.items() if films or not name.endswith((".mp4", ".webm"))}
    for name, (content, _) in broken.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            np.save(tmp_path / name, content, allow_pickle=True)
    np.savez(tmp_path / "two.npz", red, red)
    for channels in (1, 3):
        settings = dataclasses.replace(TINY, channels=channels, frames_per_second=8)
        found = open_folder(tmp_path, settings, skip=True)
        expected = red if channels == 3 else np.rint(red @ np.float32([0.299, 0.587, 0.114]))[..., None]
        assert {entry.name for entry in found.entries} == good
        for name in good:
            seen = found.cache.frames(name).astype(int)
            white = name.partition(".")[0] in ("bytes", "deep", "truth", "glass", "shades", "sixteen")
            wanted = red[:, :, :, [0] * channels] if white else expected
            alone = name in ("one_frame.gif", "still.png", "glass.png", "sixteen.png", "print.jpg", "deep_colour.png")
            assert len(seen) == (1 if alone else 4), name
            assert np.abs(seen - wanted[: len(seen)]).max() <= 8, name
        assert len(found.problems) == len(broken) + 1
        told = {problem.split()[0]: problem for problem in found.problems}
        assert told.keys() == {*broken, "two.npz"} and "holds 2 arrays" in told["two.npz"]
        for name, (_, line) in broken.items():
            assert line in told[name] and "\n" not in told[name], told[name]
        captions = dict(zip((entry.name for entry in found.entries), found.captions))
        assert captions.pop("own.gif") == "it says so itself" and set(captions.values()) == {""}
    with pytest.raises(InputError, match=rf"and {len(broken)} more: 'minivdit data' names all\); or go on without"):
        open_folder(tmp_path, TINY)


def test_a_file_that_is_huge_is_one_line(tmp_path):
    folder_of(tmp_path, a=ramp(4))
    np.lib.format.open_memmap(tmp_path / "huge.npy", "w+", np.uint8, (2, 40_000, 40_000)).flush()
    found = open_folder(tmp_path, TINY, skip=True)
    assert found.problems == ["huge.npy has 40000x40000 pixels; give smaller frames"]
    with open(tmp_path / "liar.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000)}
        )
    assert any("liar.npy can't be read" in line for line in open_folder(tmp_path, TINY, skip=True).problems)


def test_a_long_film_is_never_in_memory_as_a_whole(tmp_path):
    """A second of 50 times as many pixels as a model sees; what is kept of it is small."""
    np.save(tmp_path / "film.npy", np.zeros((64, 512, 512), np.uint8))
    found = opened(tmp_path)
    assert found.cache.frames("film.npy").nbytes == 64 * 64


def test_a_clip_of_ours_that_another_program_has_changed_is_noted(tmp_path):
    write_clip(tmp_path / "a.gif", ramp(4), caption="a ball")
    whole = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(whole.replace(b'"pictures":4', b'"pictures":5'))
    (note,) = opened(tmp_path).notes
    assert note.startswith("what a.gif says about the clips in it can't be used")


def test_several_clips_in_a_file_are_named(tmp_path):
    from minivdit.lab.display import write_grid

    write_grid(tmp_path / "grid.gif", np.zeros((3, 4, 8, 8, 1), np.uint8))
    folder_of(tmp_path, a=ramp(4))
    found = open_folder(tmp_path, TINY, skip=True)
    assert found.problems == ["grid.gif holds 3 clips; in a folder each needs a file of its own"]


def test_films_of_any_rate_and_held_upright(tmp_path):
    pytest.importorskip("av")
    clip = np.zeros((24, 32, 48, 3), np.uint8)
    clip[:, :, :, 2] = 20 + 8 * np.arange(24)[:, None, None]
    clip[:, :8, :8, 0] = 250  # a red corner, above left
    write_clip(tmp_path / "source.mp4", clip, frames_per_second=24)
    film = (tmp_path / "source.mp4").read_bytes()
    (tmp_path / "clips").mkdir()
    plain = film.replace(b'{"minivdit"', b'{"minivdot"')  # as another program would write it
    (tmp_path / "clips" / "lying.mp4").write_bytes(plain)
    one, nothing = (65536).to_bytes(4, "big"), bytes(4)
    identity = one + nothing * 3 + one + nothing * 3 + (1 << 30).to_bytes(4, "big")
    turned = nothing + one + nothing + (-65536 & 0xFFFFFFFF).to_bytes(4, "big") + nothing * 4 + identity[-4:]
    place = plain.index(identity, plain.index(b"tkhd"))  # of the track, which says how it was held: clockwise
    (tmp_path / "clips" / "held.mp4").write_bytes(plain[:place] + turned + plain[place + len(identity) :])
    settings = dataclasses.replace(TINY, size=(32, 48), channels=3, frames_per_second=8, fit="scale")
    found = open_folder(tmp_path / "clips", settings)
    for name in ("lying.mp4", "held.mp4"):
        assert found.cache.clips[name].shape == (8, 32, 48, 3)
    lying = found.cache.frames("lying.mp4").astype(int)
    assert np.abs(lying[:, 20, 20, 2] - (20 + 24 * np.arange(8))).max() < 10
    assert lying[0, 4, 4, 0] > 200 > lying[0, 4, 44, 0]
    assert found.cache.clips["held.mp4"].size == (48, 32)
    held = found.cache.frames("held.mp4").astype(int)[0, ..., 0]
    rows, columns = np.nonzero(held > 150)
    assert rows.mean() < 8 and columns.mean() > 24  # above right: turned clockwise


def test_a_film_that_was_cut_off_is_refused_or_noted(tmp_path):
    av = pytest.importorskip("av")
    for name, codec, options in (("a.mp4", "libx264", {"movflags": "faststart"}), ("b.webm", "libvpx-vp9", {})):
        with av.open(str(tmp_path / name), "w", options=options) as film:
            stream = film.add_stream(codec, rate=24)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for picture in np.random.default_rng(0).integers(0, 256, (48, 64, 64, 3), dtype=np.uint8):
                film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            film.mux(stream.encode())
    settings = dataclasses.replace(TINY, frames_per_second=8)
    whole = open_folder(tmp_path, settings)
    assert whole.cache.clips["a.mp4"].shape[0] == whole.cache.clips["b.webm"].shape[0] == 16 and not whole.notes
    for path in (tmp_path / "a.mp4", tmp_path / "b.webm"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = open_folder(tmp_path, settings, skip=True)
    assert [problem.split()[0] for problem in cut.problems] == ["a.mp4"]
    assert cut.notes[0].startswith("b.webm says that it lasts 2.0 seconds, but holds ") and len(cut.notes) == 1


# Words and splits ----------------------------------------------------------------------------------------------------


def write_metadata(folder, captions):
    with open(folder / "metadata.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file_name", "text"), *((f"{name}.npy", text) for name, text in captions.items())])


def test_captions_become_words_that_a_tokenizer_knows(tmp_path):
    said = {"a": "A red Ball 🔴 falls!", "b": "a ball; 3 times", "c": "", "d": "A ball: then it rolls left"}
    folder_of(tmp_path, **dict.fromkeys(said, ramp(4)))
    write_metadata(tmp_path, said)
    found = opened(tmp_path)
    assert found.captions == ["a red ball 🔴 falls", "a ball 3 times", "", "a ball then it rolls left"]
    assert found.words == ["3", "a", "ball", "falls", "it", "left", "red", "rolls", "then", "times", "🔴"]
    assert found.longest == 6 and found.counts["ball"] == 3
    tokenizer = Tokenizer(found.words, found.longest)
    assert (
        tokenizer.words == Tokenizer.of(found.captions).words
        and tokenizer.length == Tokenizer.of(found.captions).length
    )
    tokens = tokenizer.encode(found.captions)
    assert [tokenizer.decode(row) for row in tokens] == found.captions
    assert tokenizer.decode(tokenizer.encode(["A BALL 🔴"])[0]) == "a ball 🔴"
    np.testing.assert_array_equal(tokenizer.encode_over_time(found.captions, 4), tokens)  # "then" is a word like others
    with pytest.raises(InputError, match="'bal' is not a word this model knows"):
        tokenizer.encode(["a red bal"])
    with pytest.raises(InputError, match=r"'rols' is not a word this model knows; nearest: rolls"):
        tokenizer.encode(["it rols"])


def test_words_that_are_rare_may_be_left_out(tmp_path):
    said = {"a": "a ball", "b": "a ball and a wombat", "c": "a wombat"}
    folder_of(tmp_path, **dict.fromkeys(said, ramp(4)))
    write_metadata(tmp_path, said)
    found = opened(tmp_path, rare=2)
    assert found.captions == ["a ball", "a ball a wombat", "a wombat"] and found.left_out == {"and": 1}
    assert opened(tmp_path, rare=3).captions == ["a", "a a", "a"]


def test_words_are_those_of_training(tmp_path):
    names = [f"clip{number}" for number in range(30)]
    folder_of(tmp_path, **dict.fromkeys(names, ramp(4)))
    write_metadata(tmp_path, {name: f"a ball of {name}" for name in names})
    found = opened(tmp_path, held_out=0.3)
    train, test = found.clips("train"), found.clips("test")
    assert sorted(train.names + test.names) == sorted(found.clips("all").names) and train.names and test.names
    assert set(test.captions) == {"a ball of"}  # what training never reads is no word
    assert all(caption == f"a ball of {name[:-4]}" for name, caption in zip(train.names, train.captions))
    assert set(found.left_out) == {name[:-4] for name in test.names}
    Tokenizer(found.words, found.longest).encode(test.captions)


def test_no_clip_changes_sides_when_others_come(tmp_path):
    names = [f"clip{number}" for number in range(40)]
    folder_of(tmp_path, **dict.fromkeys(names[:20], ramp(4)))
    before = opened(tmp_path, held_out=0.3).clips("test").names
    folder_of(tmp_path, **dict.fromkeys(names, ramp(4)))
    after = opened(tmp_path, held_out=0.3).clips("test").names
    assert before == [name for name in after if int(name[4:-4]) < 20] and len(after) > len(before) > 2
    assert set(before) <= set(opened(tmp_path, held_out=0.5).clips("test").names)
    with pytest.raises(InputError, match="no clip for the split 'test': of 40, 0 are held out; change held_out"):
        opened(tmp_path, held_out=0).clips("test")


def test_clips_are_told_by_names_and_words_and_settings(tmp_path):
    folder_of(tmp_path, a=ramp(4), b=ramp(4))
    told = opened(tmp_path).clips().describe()
    assert told == opened(tmp_path).clips().describe() and config.plain(told)["size"] == [8, 8]
    (tmp_path / "a.txt").write_text("a ball")
    captioned = opened(tmp_path).clips().describe()
    assert captioned["files"] != told["files"]
    assert config.differences(captioned, opened(tmp_path, fit="scale").clips().describe()) == [
        "fit is crop, here scale"
    ]


def test_a_split_may_have_other_lengths_and_no_other_size(tmp_path):
    found = opened(folder_of(tmp_path, a=ramp(6)))
    assert found.clips("train", num_frames=1).batch(np.random.default_rng(0), 3).video.shape == (3, 1, 8, 8, 1)
    assert found.clips("all", num_frames=6, moment="start").num_frames == 6
    for split, changes in (("train", {"size": (4, 4)}), ("train", {"held_out": 0.5}), ("validation", {})):
        with pytest.raises(InputError, match="a split is one of train, test, all, and may have another"):
            found.clips(split, **changes)


def test_each_clip_can_be_had_without_chance(tmp_path):
    clips = opened(folder_of(tmp_path, a=ramp(6), b=ramp(4, 8, 16)), fit="random").clips()
    batch = clips.cut(clips.each())
    np.testing.assert_array_equal(as_bytes(batch.video)[:, :, 0, 0, 0], [[0, 10, 20, 30], [4, 14, 24, 34]])


def test_a_batch_takes_no_longer_than_one_of_digits(tmp_path):
    from minivdit.data import CaptionedClips, digit_source

    folder_of(tmp_path, **{f"clip{number}": ramp(24, 32, 48, 3) for number in range(20)})
    own = open_folder(tmp_path, ClipSettings(held_out=0)).clips()
    made = CaptionedClips(digit_source("strokes"), (32, 32), 8, 16)

    def quickest(clips):
        times, generator = [], np.random.default_rng(0)
        for _ in range(10):
            started = time.process_time()
            clips.batch(generator, 16)
            times.append(time.process_time() - started)
        return min(times)

    assert quickest(own) < quickest(made)


def test_networks_train_on_them(tmp_path):
    """`batch` and `describe` are all that the tasks ask for."""
    said = {"a": "A ball, then a box", "b": "a box"}
    folder_of(tmp_path, **dict.fromkeys(said, ramp(4, 8, 8, 3)))
    write_metadata(tmp_path, said)
    found, generator = opened(tmp_path, channels=3), np.random.default_rng(0)
    autoencoder = Autoencoder(AutoencoderConfig(image_channels=3, latent_channels=2, channels=(4, 4)), generator)
    tokenizer = Tokenizer(found.words, found.longest)
    shape = VideoDiTConfig(latent_channels=2, patch_size=(2, 1, 1), width=24, depth=1, heads=2, text_depth=1)
    for task in (
        AutoencoderTask(autoencoder, found.clips("train", num_frames=1), 4),
        TransformerTask(VideoDiT(shape, len(tokenizer), generator), autoencoder, tokenizer, found.clips(), 4),
    ):
        loss, _ = task.loss(task.batch(np.random.default_rng(1)))
        assert np.isfinite(loss.item())
        assert config.plain(task.config)["data"]["own_clips"] == 2


def test_a_folder_can_be_looked_at_though_much_in_it_is_broken(tmp_path):
    folder_of(tmp_path, a=ramp(4))
    (tmp_path / "b.gif").write_bytes(b"")
    found = ClipFolder(tmp_path, TINY)
    assert len(found.problems) == 1 and len(found.entries) == 1
    (tmp_path / "a.npy").unlink()
    empty = open_folder(tmp_path, TINY, skip=True)
    with pytest.raises(InputError, match="no clip for the split 'train': of 0"):
        empty.clips()
