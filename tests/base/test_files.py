"""Files are whole or not there; weights come back exactly; a bad file is one clear line."""

import errno
import json
import os
import struct

import numpy as np
import pytest

from minivdit.base import files
from minivdit.base.errors import InputError
from minivdit.base.files import atomic_write, check_target, load_tensors, save_tensors, write_file


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_appears_under_its_name(tmp_path):
    target = tmp_path / "new" / "folder" / "clip.gif"
    with atomic_write(target) as temporary:
        assert temporary.suffix == ".gif"  # writers choose the format by it
        assert temporary.parent == target.parent
        temporary.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert names(target.parent) == ["clip.gif"]


def test_text_is_written_as_utf_8_and_bytes_as_they_are(tmp_path):
    for content, expected in (("±\n", b"\xc2\xb1\n"), (b"\x00\r\n", b"\x00\r\n")):
        write_file(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == expected


posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and devices as POSIX has them")


@pytest.fixture
def umask():
    """A function that sets the umask until the test's end."""
    earlier = os.umask(0o022)
    yield os.umask
    os.umask(earlier)


@posix
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_asks_for(tmp_path, umask, mask, mode):
    umask(mask)
    with atomic_write(tmp_path / "clip.gif") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "clip.gif").stat().st_mode & 0o777 == mode


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_an_earlier_file_keeps_its_mode(tmp_path, umask, mode):
    (tmp_path / "clip.gif").write_bytes(b"old")
    (tmp_path / "clip.gif").chmod(mode)
    with atomic_write(tmp_path / "clip.gif") as temporary:
        assert temporary.stat().st_mode & 0o077 == 0  # nor is it open to others while it is written
        temporary.write_bytes(b"new")
    assert (tmp_path / "clip.gif").read_bytes() == b"new"
    assert (tmp_path / "clip.gif").stat().st_mode & 0o777 == mode


@posix
def test_a_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.gif").symlink_to("folder/clip.gif")
    for content in (b"new", b"newer"):
        with atomic_write(tmp_path / "link.gif") as temporary:
            temporary.write_bytes(content)
        assert (tmp_path / "link.gif").is_symlink() and names(tmp_path / "folder") == ["clip.gif"]
        assert (tmp_path / "folder" / "clip.gif").read_bytes() == content


def test_the_longest_name_there_is(tmp_path):
    longest = tmp_path / ("a" * 251 + ".gif")
    for target in (longest, tmp_path / ("b." + "c" * 253)):
        with atomic_write(target) as temporary:
            temporary.write_bytes(b"new")
        assert target.read_bytes() == b"new"
    with pytest.raises(InputError, match="choose another name"):
        check_target(tmp_path / ("a" * 300))


@posix
def test_devices_pipes_and_folders_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.gif")
    (tmp_path / "to_null.gif").symlink_to(os.devnull)
    (tmp_path / "circle").symlink_to("circle")
    places = [tmp_path / "pipe.gif", tmp_path / "to_null.gif", tmp_path / "circle", tmp_path, f"{tmp_path}/new/"]
    places += [os.devnull, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "with a \0 byte"]
    for place in places:
        for refused in (check_target, lambda target: atomic_write(target).__enter__()):
            with pytest.raises(InputError, match="could not write") as caught:
                refused(place)
            assert "\n" not in str(caught.value)
    assert not os.path.isfile(os.devnull) and names(tmp_path) == ["circle", "pipe.gif", "to_null.gif"]


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch, where):
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    if where != "write":
        monkeypatch.setattr(files.os, where, full_disk)
    with pytest.raises(InputError) as caught, atomic_write(target) as temporary:
        temporary.write_bytes(b"ne")
        if where == "write":
            full_disk()
    monkeypatch.undo()
    assert str(target) in str(caught.value) and "No space left on device" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["weights.bin"]


def test_another_error_keeps_the_old_file_and_is_not_renamed(tmp_path):
    target = tmp_path / "clip.gif"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_write(target) as temporary:
        temporary.write_bytes(b"ne")
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), atomic_write(target):
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["clip.gif"]


@pytest.mark.parametrize("place", ["file/inside.bin", "folder"])
def test_a_place_that_cannot_hold_a_file(tmp_path, place):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="could not write"), atomic_write(tmp_path / place) as temporary:
        temporary.write_bytes(b"x")
    assert names(tmp_path) == ["file", "folder"]
    assert names(tmp_path / "folder") == []


BASE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

AWKWARD = {
    "transposed": BASE.transpose(2, 0, 1),
    "strided": BASE[:, ::2, 1::2],
    "reversed": BASE[::-1, :, ::-1],
    "fortran": np.asfortranarray(BASE),
    "broadcast": np.broadcast_to(BASE[0, 0], (5, 4)),
    "zero_dimensional": np.array(3.5, np.float32),
    "numpy_scalar": np.float32(2.5),
    "empty": np.zeros((0, 3), np.float32),
    "half": BASE.astype(np.float16)[..., 1],
    "double": BASE.astype(np.float64).T,
    "big_endian": BASE.astype(">f4"),
    "integers": np.arange(5)[::-1],
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3).T,
    "truths": (BASE > 3).T,
}


@pytest.mark.parametrize("name", AWKWARD)
def test_arrays_come_back_whatever_their_layout(tmp_path, name):
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {name: AWKWARD[name], "other": BASE})
    loaded, _ = load_tensors(path)
    assert set(loaded) == {name, "other"}
    assert loaded[name].shape == AWKWARD[name].shape
    assert loaded[name].dtype == AWKWARD[name].dtype.newbyteorder("=")
    np.testing.assert_array_equal(loaded[name], AWKWARD[name])
    np.testing.assert_array_equal(loaded["other"], BASE)


def test_all_of_them_in_one_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_tensors(path, AWKWARD)
    for name, array in load_tensors(path)[0].items():
        np.testing.assert_array_equal(array, AWKWARD[name])
    assert names(tmp_path) == ["weights.safetensors"]


@pytest.mark.parametrize("metadata", [None, {}, {"steps": 3, "ü": [1.5, None, "\n"]}, [], "text", 0])
def test_metadata_comes_back(tmp_path, metadata):
    save_tensors(tmp_path / "w", {"a": BASE}, metadata)
    assert load_tensors(tmp_path / "w")[1] == metadata


def test_a_reserved_name_is_refused(tmp_path):
    with pytest.raises(InputError, match="can't be named '__metadata__'"):
        save_tensors(tmp_path / "w", {"__metadata__": BASE})
    assert names(tmp_path) == []


def test_a_full_disk_while_saving_weights(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {"a": BASE}, "old")
    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "write_bytes", full_disk)
        with pytest.raises(InputError, match=r"No space left.*free some space"):
            save_tensors(path, {"a": BASE + 1}, "new")
    loaded, metadata = load_tensors(path)
    assert metadata == "old"
    np.testing.assert_array_equal(loaded["a"], BASE)
    assert names(tmp_path) == ["weights.safetensors"]


def check_refused(path):
    with pytest.raises(InputError) as caught:
        load_tensors(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_weights(tmp_path):
    assert "no weights at" in check_refused(tmp_path / "none.safetensors")
    assert "no weights at" in check_refused(tmp_path)


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "w"
    save_tensors(path, {"a": BASE, "b": BASE[0]}, {"steps": 1})
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert "not a whole safetensors file" in check_refused(path)
    path.write_bytes(whole + b"x")
    check_refused(path)


def one(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE_HEADERS = {
    "not json": b"{{{{",
    "not unicode": b"\xff" * 10,
    "a list": b"[]",
    "deeply nested": b"[" * 100_000,
    "overlapping": {"a": one(), "b": one()},
    "a hole": {"a": one(offsets=(4, 8))},
    "past the end": {"a": one(shape=(100,), offsets=(0, 400))},
    "shape against offsets": {"a": one(shape=(2,))},
    "negative": {"a": one(shape=(-1,))},
    "overflowing": {"a": one(shape=(2**40, 2**40))},
    "backwards": {"a": one(offsets=(4, 0))},
    "unknown dtype": {"a": one(dtype="PICKLE")},
    "a dtype numpy lacks": {"a": one(dtype="BF16", shape=(2,))},
    "another dtype numpy lacks": {"a": one(dtype="F8_E4M3", shape=(4,))},
    "metadata of numbers": {"__metadata__": {"minivdit": 5}},
    "metadata that is not json": {"__metadata__": {"minivdit": "{"}},
    "metadata nested deeply": {"__metadata__": {"minivdit": "[" * 100_000}},
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_hostile_headers_are_refused(tmp_path, name):
    header = HOSTILE_HEADERS[name]
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = b"" if "metadata" in name else b"1234"
    path = tmp_path / "hostile"
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    check_refused(path)


@pytest.mark.parametrize("start", [struct.pack("<Q", 2**63), struct.pack("<Q", 2**40), b"PK\x03\x04\x00\x00\x00\x00"])
def test_absurd_header_lengths_are_refused(tmp_path, start):
    path = tmp_path / "absurd"
    path.write_bytes(start + b"{}" + bytes(100))
    check_refused(path)


def test_a_safetensors_file_of_someone_else_has_no_metadata(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": BASE}, tmp_path / "w")
    loaded, metadata = load_tensors(tmp_path / "w")
    assert metadata is None
    np.testing.assert_array_equal(loaded["a"], BASE)
