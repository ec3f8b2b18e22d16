"""MNIST: found in a folder, or fetched once from a mirror and verified.

LeCun, Cortes and Burges, "The MNIST database of handwritten digits" (1998).
"""

import gzip
import http.client
import io
import os
import time
import urllib.request

from ..base.console import note
from ..base.errors import InputError
from ..base.files import cache_folder, check_target, expand, write_file
from .idx import parse_idx, read_idx

# For each split and kind: file name, and md5 of the unpacked content.
FILES = {
    ("train", "images"): ("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb"),
    ("train", "labels"): ("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624"),
    ("test", "images"): ("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea"),
    ("test", "labels"): ("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637"),
}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
SUBFOLDERS = ("", "mnist", "MNIST/raw")  # the last is where torchvision keeps them
_LARGEST_DOWNLOAD = 16 << 20  # the largest gz file has 9.9 MB
_OTHERWISE = "set MINIVDIT_DATA to a folder that holds the four MNIST files"


def data_directory(directory=None):
    """The folder of data sets: the argument, else MINIVDIT_DATA, else the platform's cache folder.

    Raises InputError where it would be below the home folder of a user that has none.
    """
    chosen = directory or os.environ.get("MINIVDIT_DATA")
    try:
        return expand(chosen) if chosen else cache_folder()
    except InputError as error:
        raise InputError(f"{error}; {_OTHERWISE}") from error


def data_problem(directory=None):
    """None where files could be kept in `data_directory`, else a phrase that says why not."""
    try:
        check_target(data_directory(directory) / FILES["train", "images"][0])
    except InputError as error:
        return str(error).partition("; ")[0]  # without the cure, which is another here
    return None


def find_mnist(split, directory=None):
    """Where this split's files lie: {"images": path, "labels": path}; a file that isn't there is left out."""
    try:
        folder = data_directory(directory)
    except InputError:
        return {}
    found = {}
    for kind in ("images", "labels"):
        name, _ = FILES[split, kind]
        candidates = [folder / sub / (name + end) for sub in SUBFOLDERS for end in ("", ".gz")]
        found[kind] = next(filter(os.path.isfile, candidates), None)  # False, too, where nobody may look
    return {kind: path for kind, path in found.items() if path}


def load_mnist(split, directory=None, download=True, timeout=20.0, replace=False):
    """MNIST's images uint8 (n, 28, 28) and labels uint8 (n,); n is 60,000 for "train", 10,000 for "test".

    directory: see `data_directory`. Files may be gzipped or not, in the folder itself, in `mnist` or in
    `MNIST/raw`. Missing ones are fetched from a mirror (`timeout`: seconds without an answer) unless
    `download` is False; with `replace` damaged ones, too. The content is always checked against its md5.
    Raises InputError for a damaged file, or when a file is missing and can't be fetched.
    """
    if split not in ("train", "test"):
        raise InputError(f"{split!r} is not a split of MNIST; choose train or test")
    found = find_mnist(split, directory)
    arrays, fetched = [], False
    for kind in ("images", "labels"):
        name, md5 = FILES[split, kind]
        try:
            if kind in found:
                arrays.append(read_idx(found[kind], kind, md5))
                continue
        except InputError:
            if not (download and replace):
                raise
        if not download:
            raise InputError(f"MNIST's {name} is not in {data_directory(directory)}; {_OTHERWISE}")
        if problem := data_problem(directory):
            raise InputError(f"MNIST can't be kept: {problem}; {_OTHERWISE}")
        path = found.get(kind) or data_directory(directory) / f"{name}.gz"
        if not fetched:
            note(f"fetching MNIST ({split}) into {path.parent}")
            fetched = True
        arrays.append(_download(name, kind, md5, path, timeout))
    return tuple(arrays)


def _download(name, kind, md5, path, timeout):
    """Fetch one file from the first mirror that delivers the right content; keep it at `path` and return its array."""
    problems = []
    for mirror in MIRRORS:
        try:
            packed = _fetch(f"{mirror}{name}.gz", timeout)
            array = parse_idx(io.BytesIO(packed), "what it sent", kind, md5)
        except (OSError, ValueError, http.client.HTTPException) as error:  # InputError is a ValueError
            problems.append(f"{mirror.split('/')[2]}: {getattr(error, 'reason', None) or error}")
            continue
        write_file(path, packed if path.suffix == ".gz" else gzip.decompress(packed))
        return array
    raise InputError(
        f"{path.parent} has no sound copy of MNIST's {name} and no mirror gave it ({'; '.join(problems)}); {_OTHERWISE}"
    )


def _fetch(url, timeout):
    """The bytes at `url`; OSError for no answer in `timeout` s, a download of 15 times that, or too many bytes."""
    deadline = time.monotonic() + 15 * timeout
    content = bytearray()
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        while piece := answer.read(1 << 16):
            content += piece
            if len(content) > _LARGEST_DOWNLOAD:
                raise OSError(f"more than {_LARGEST_DOWNLOAD:,} bytes, which is no MNIST file")
            if time.monotonic() > deadline:
                raise OSError(f"too slow: {len(content):,} bytes in {15 * timeout:.0f} s")
    return bytes(content)
