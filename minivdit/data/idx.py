"""Reader of IDX files, the format of MNIST: a big-endian header, then the bytes of one array.

    magic (4 bytes) | length of each axis (4 bytes each) | one byte an element

The magic number says what follows: 0, 0, 8 for "unsigned bytes", and the number of axes.
"""

import contextlib
import gzip
import hashlib
import math
import zlib

import numpy as np

from ..base.errors import InputError

MAGIC = {"images": 2051, "labels": 2049}  # 0x0803: three axes; 0x0801: one
MAX_BYTES = 1 << 30  # twice the largest data set of this family; a header that asks for more is not believed
_CHUNK = 1 << 20
_REPAIR = "'minivdit data download' replaces it (with the same --data), or point MINIVDIT_DATA to another folder"


def read_idx(path, kind, md5=None):
    """Read an IDX file, plain or gzipped (told apart by content, not by name).

    kind: "images" gives uint8 (n, height, width), "labels" gives uint8 (n,).
    md5: when given, checked against the *unpacked* content (gz files of the same data differ).
    Raises InputError for a missing, truncated, oversized, mislabelled or altered file. A header is
    never trusted: at most one byte more than it declares is unpacked, and never over MAX_BYTES.
    """
    try:
        with open(path, "rb") as file:
            return parse_idx(file, path, kind, md5)
    except FileNotFoundError as error:
        raise InputError(f"no file {path}; check the path, or set MINIVDIT_DATA to the MNIST files' folder") from error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror or error}); {_REPAIR}") from error
    except InputError as error:
        raise InputError(f"{error}; {_REPAIR}") from error


def parse_idx(file, path, kind, md5=None):
    """As read_idx, from a file opened for reading bytes that can seek; path: what to call it in errors."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    try:
        with gzip.open(file) if packed else contextlib.nullcontext(file) as unpacked:
            header, shape = _read_header(unpacked, path, kind)
            size = math.prod(shape)
            if size > MAX_BYTES:
                raise InputError(f"{path} declares {size:,} bytes, over the limit of {MAX_BYTES:,}")
            content = _read_at_most(unpacked, size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} can't be read ({error})") from error
    if len(content) != size:
        fault = "is truncated" if len(content) < size else "is longer than it says"
        found = f"{len(content):,}" if len(content) < size else "more"
        raise InputError(f"{path} {fault}: {size:,} bytes of {kind} declared, {found} found")
    if md5 is not None:
        digest = hashlib.md5(header + content, usedforsecurity=False).hexdigest()
        if digest != md5:
            raise InputError(f"{path} is not the expected file: md5 of its content is {digest}, not {md5}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_header(file, path, kind):
    """The header's bytes and the array's shape; InputError unless it announces this kind."""
    axes = MAGIC[kind] & 0xFF
    header = file.read(4 * (1 + axes))
    magic = int.from_bytes(header[:4], "big")
    if len(header) >= 4 and magic != MAGIC[kind]:
        raise InputError(f"{path} starts with magic number {magic}, but IDX {kind} start with {MAGIC[kind]}")
    if len(header) < 4 * (1 + axes):
        raise InputError(f"{path} is truncated: its header has {len(header)} of {4 * (1 + axes)} bytes")
    return header, tuple(np.frombuffer(header, ">u4")[1:].tolist())


def _read_at_most(file, limit):
    """Read up to `limit` bytes piece by piece, so that memory follows what is there, not what was promised."""
    content = bytearray()
    while len(content) < limit:
        piece = file.read(min(_CHUNK, limit - len(content)))
        if not piece:
            break
        content += piece
    return bytes(content)
