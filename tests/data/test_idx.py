"""IDX files: what is right is read, and nothing else gets through."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import idx

IMAGES = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
CONTENT = struct.pack(">4I", 2051, 2, 3, 5) + IMAGES.tobytes()


def written(tmp_path, content, name="images"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gz"])
def test_images_and_labels_are_read_raw_or_gzipped_whatever_the_name(tmp_path, pack):
    images = idx.read_idx(written(tmp_path, pack(CONTENT)), "images", md5=hashlib.md5(CONTENT).hexdigest())
    np.testing.assert_array_equal(images, IMAGES)
    labels = idx.read_idx(written(tmp_path, pack(struct.pack(">2I", 2049, 3) + b"\x07\x00\x09")), "labels")
    assert labels.tolist() == [7, 0, 9] and labels.dtype == np.uint8


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gz"])
@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "header has 0 of 16"),
        (CONTENT[:10], "header has 10 of 16"),
        (CONTENT[:-1], "truncated: 30 bytes of images declared, 29 found"),
        (CONTENT + b"\x00", "longer than it says"),
        (struct.pack(">2I", 2049, 3) + b"\x00\x01\x02", "magic number 2049"),
        (b"<html>not found</html>", "magic number"),
        (struct.pack(">4I", 2051, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), "over the limit"),
        (struct.pack(">4I", 2051, 1 << 20, 28, 28) + b"\x00", "truncated"),
    ],
)
def test_damaged_files_are_named_in_one_line(tmp_path, pack, content, message):
    with pytest.raises(InputError, match=message) as caught:
        idx.read_idx(written(tmp_path, pack(content)), "images")
    assert "\n" not in str(caught.value) and "'minivdit data download' replaces it" in str(caught.value)


def test_a_cut_or_corrupt_gz_is_an_input_error(tmp_path):
    packed = gzip.compress(struct.pack(">4I", 2051, 10, 20, 20) + np.random.default_rng(0).bytes(4000))
    damaged = bytearray(gzip.compress(CONTENT))
    damaged[-6] ^= 0xFF  # in its checksum
    for content in (packed[:-900], packed[:-4], bytes(damaged), b"\x1f\x8b"):
        with pytest.raises(InputError, match=r"can't be read|truncated"):
            idx.read_idx(written(tmp_path, content), "images")


def test_a_gz_bomb_is_unpacked_only_one_byte_past_its_declared_size(tmp_path, monkeypatch):
    taken = []
    read = idx._read_at_most
    monkeypatch.setattr(idx, "_read_at_most", lambda file, limit: taken.append(out := read(file, limit)) or out)
    bomb = gzip.compress(CONTENT + bytes(50_000_000))
    with pytest.raises(InputError, match="longer than it says: 30 bytes"):
        idx.read_idx(written(tmp_path, bomb), "images")
    assert len(taken[0]) == 31


def test_another_content_fails_its_checksum(tmp_path):
    with pytest.raises(InputError, match="md5 of its content is"):
        idx.read_idx(written(tmp_path, CONTENT), "images", md5="0" * 32)


def test_a_missing_file_and_a_folder_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="no file"):
        idx.read_idx(tmp_path / "nothing", "images")
    with pytest.raises(InputError, match="can't be read"):
        idx.read_idx(tmp_path, "images")
