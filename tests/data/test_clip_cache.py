"""Decoded clips in one file: whole or not there, made anew when the folder has changed, and only what has."""

import numpy as np
import pytest
from PIL import Image

from minivdit.data import clip_cache, reading
from minivdit.data.clip_cache import Decoding, decoded
from minivdit.data.folder import list_clips
from minivdit.lab.display import write_clip

AS_IS = Decoding((8, 12), 1, 0, "crop")


def frames(count, seed=0, size=(8, 12), channels=1):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, channels), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two clips and one that can't be read."""
    write_clip(tmp_path / "clips" / "a.gif", frames(3), caption="a ball")
    np.save(tmp_path / "clips" / "b.npy", frames(5, 1))
    (tmp_path / "clips" / "c.gif").write_bytes(b"GIF89a")
    return tmp_path / "clips"


@pytest.fixture
def opened(monkeypatch):
    """The names of the clips that were decoded so far."""
    names, decode = [], clip_cache._decode

    def watched(entry, how, file):
        names.append(entry.name)
        return decode(entry, how, file)

    monkeypatch.setattr(clip_cache, "_decode", watched)
    return names


def test_clips_are_decoded_once(folder, tmp_path, opened):
    for _ in range(2):
        kept = decoded(list_clips(folder), AS_IS, tmp_path / "kept")
        np.testing.assert_array_equal(kept.frames("a.gif"), frames(3))
        np.testing.assert_array_equal(kept.frames("b.npy"), frames(5, 1))
        assert isinstance(kept.pixels.base, np.memmap) and not kept.pixels.flags.writeable
        assert kept.clips["a.gif"].caption == "a ball" and kept.clips["b.npy"].caption == ""
        assert kept.clips["c.gif"].problem.startswith("c.gif can't be read") and kept.frames("c.gif").size == 0
        assert opened == ["a.gif", "b.npy", "c.gif"]  # nor was the broken one tried again
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "kept"]


def test_only_what_has_changed_is_decoded_again(folder, tmp_path, opened):
    decoded(list_clips(folder), AS_IS, tmp_path / "kept")
    opened.clear()
    write_clip(folder / "c.gif", frames(2, 3))
    write_clip(folder / "d.gif", frames(4, 4))
    (folder / "a.gif").unlink()
    kept = decoded(list_clips(folder), AS_IS, tmp_path / "kept")
    assert opened == ["c.gif", "d.gif"] and list(kept.clips) == ["b.npy", "c.gif", "d.gif"]
    for name, expected in (("b.npy", frames(5, 1)), ("c.gif", frames(2, 3)), ("d.gif", frames(4, 4))):
        np.testing.assert_array_equal(kept.frames(name), expected)


@pytest.mark.parametrize("damage", ["cut", "other", "empty", "index", "format"])
def test_a_file_that_is_damaged_is_made_anew(folder, tmp_path, opened, damage):
    path = tmp_path / "kept"
    whole = decoded(list_clips(folder), AS_IS, path) and path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[:-3],
            "other": b"not a cache " * 10,
            "empty": b"",
            "index": whole.replace(b'"shape"', b'"shake"'),
            "format": whole[10:],
        }[damage]
    )
    opened.clear()
    kept = decoded(list_clips(folder), AS_IS, path)
    assert len(opened) == 3 and path.read_bytes() == whole
    np.testing.assert_array_equal(kept.frames("b.npy"), frames(5, 1))


def test_what_stops_half_way_leaves_the_earlier_file(folder, tmp_path, monkeypatch):
    path = tmp_path / "kept"
    before = decoded(list_clips(folder), AS_IS, path) and path.read_bytes()
    write_clip(folder / "d.gif", frames(4, 4))

    def stop(*arguments):
        raise MemoryError

    monkeypatch.setattr(clip_cache, "_decode", stop)
    with pytest.raises(MemoryError):
        decoded(list_clips(folder), AS_IS, path)
    assert path.read_bytes() == before and sorted(file.name for file in tmp_path.iterdir()) == ["clips", "kept"]


def test_what_was_decoded_before_a_stop_is_kept(folder, tmp_path, opened, monkeypatch):
    """Also where it comes amid the frames of a clip."""
    fitted = clip_cache._fitted

    def stop(frame, how, name):
        if name == "b.npy" and np.array_equal(np.rint(255 * frame[0]), frames(5, 1)[2]):
            raise KeyboardInterrupt
        return fitted(frame, how, name)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(clip_cache, "_fitted", stop)
        decoded(list_clips(folder), AS_IS, tmp_path / "kept")
    assert opened == ["a.gif", "b.npy"]
    kept = decoded(list_clips(folder), AS_IS, tmp_path / "kept")
    assert opened == ["a.gif", "b.npy", "b.npy", "c.gif"]
    np.testing.assert_array_equal(kept.frames("a.gif"), frames(3))
    np.testing.assert_array_equal(kept.frames("b.npy"), frames(5, 1))


def test_each_folder_and_decoding_has_a_file_in_the_cache(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_cache, "cache_folder", lambda: tmp_path / "cache")
    for how in (AS_IS, AS_IS, Decoding((4, 4), 1, 0, "crop"), Decoding((8, 12), 3, 0, "crop")):
        decoded(list_clips(folder), how)
    assert len(list((tmp_path / "cache" / "clips").iterdir())) == 3


def test_frames_of_a_clip_that_fails_at_its_end_are_taken_back(tmp_path):
    for number, size in enumerate([(8, 12), (8, 12), (9, 12)]):
        (tmp_path / "clips" / "a").mkdir(parents=True, exist_ok=True)
        Image.fromarray(frames(1, number, size)[0, ..., 0]).save(tmp_path / "clips" / "a" / f"{number}.png")
    np.save(tmp_path / "clips" / "b.npy", frames(5, 1))
    kept = decoded(list_clips(tmp_path / "clips"), AS_IS, tmp_path / "kept")
    assert "a has frames of several sizes, (8, 12) and (9, 12)" in kept.clips["a"].problem
    np.testing.assert_array_equal(kept.frames("b.npy"), frames(5, 1))


def test_a_clip_without_end_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_cache, "MOST_PIXELS", 4 * 8 * 12)
    kept = decoded(list_clips(folder), AS_IS, tmp_path / "kept")
    assert kept.clips["b.npy"].problem == "b.npy has more than 4 frames; cut it into several clips"
    assert kept.clips["a.gif"].shape == (3, 8, 12, 1)


def test_a_film_without_pyav_is_named_and_read_once_pyav_is_there(folder, tmp_path, monkeypatch, opened):
    (folder / "z.mp4").write_bytes(b"no film")

    def told(installed):
        monkeypatch.setattr(reading.importlib.util, "find_spec", lambda name: "found" if installed else None)
        return decoded(list_clips(folder), AS_IS, tmp_path / "kept").clips["z.mp4"].problem

    for _ in range(2):
        assert told(False) == "reading z.mp4 needs PyAV: pip install 'minivdit[mp4]', or give a .gif"
        assert opened == ["a.gif", "b.npy", "c.gif", "z.mp4"]
    assert told(True).startswith("z.mp4 can't be read") and opened[4:] == ["z.mp4"]
    assert told(False).startswith("z.mp4 can't be read") and len(opened) == 5  # what was found out stays


def test_a_folder_of_pictures_may_be_called_like_a_film(tmp_path):
    (tmp_path / "clips" / "a.mp4").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(frames(3)[number, ..., 0]).save(tmp_path / "clips" / "a.mp4" / f"{number}.png")
    kept = decoded(list_clips(tmp_path / "clips"), AS_IS, tmp_path / "kept")
    np.testing.assert_array_equal(kept.frames("a.mp4"), frames(3))


@pytest.mark.parametrize(("fit", "shape"), [("crop", (16, 24)), ("scale", (16, 16)), ("pad", (16, 16))])
def test_clips_are_kept_so_that_a_batch_can_still_choose_where(tmp_path, fit, shape):
    side = (8, 12) if fit != "pad" else (4, 6)
    np.save(tmp_path / "a.npy", frames(2, size=side))
    kept = decoded(list_clips(tmp_path), Decoding((16, 16), 3, 0, fit), tmp_path / "kept")
    assert kept.clips["a.npy"].shape == (2, *shape, 3) and kept.clips["a.npy"].size == side
