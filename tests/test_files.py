"""Files are whole or not there; weights come back exactly; a bad file is one clear line."""

import errno
import json
import os
import struct

import numpy as np
import pytest

from minivdit import files
from minivdit.errors import InputError
from minivdit.files import atomic_write, load_tensors, save_tensors


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
    if os.name == "posix":
        assert target.stat().st_mode & 0o777 == 0o644


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
