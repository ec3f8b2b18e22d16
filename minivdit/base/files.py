"""Files that are either whole or not there: write to a temporary name, sync, rename.

Weights are safetensors, never pickle: reading a file can't run code.
"""

import contextlib
import errno
import functools
import json
import os
import secrets
import stat
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .backend import to_numpy
from .console import note
from .errors import InputError

POSIX = os.name == "posix"  # files have an owner and a mode
LARGEST_JSON = 64 * 2**20  # bytes
DEEPEST_JSON = 100
JSON_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def expand(path):
    """A Path whose leading ~ is a home folder; InputError where its user is unknown or has none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{str(path)!r} can't be found: that user has no home folder, nor is HOME set") from error


def cache_folder():
    """minivdit's folder for what can be fetched or made again, where this platform keeps such things.

    Raises InputError where this user has no home folder, as in some containers.
    """
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        cache = "~/Library/Caches"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expand(cache) / "minivdit"


@functools.cache
def private_folder(name):
    """A folder for code that will be run: of this user alone, so that nobody else can put other code there.

    It is `name` in the cache folder. Where that can't be had, a note says so, and a temporary folder takes its place,
    which goes when Python ends.
    """
    try:
        folder = Path(os.path.realpath(cache_folder())) / name
        for part in reversed((folder, *folder.parents)):
            part.mkdir(mode=0o700, exist_ok=True)
            found = part.lstat()
            open_to_all = found.st_mode & 0o1002 == 0o002  # in a sticky one, such as /tmp, each keeps to his own
            if POSIX and (open_to_all or not (_is_mine(part) or found.st_uid == 0)):
                raise InputError(f"others can change {part}")
        if not (stat.S_ISDIR(folder.lstat().st_mode) and _is_mine(folder)):
            raise InputError(f"{folder} is another user's, or a link")
        folder.chmod(0o700)
        return folder
    except InputError as error:
        reason = str(error)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
    note(f"what is compiled goes when this ends: {reason}; to keep it, set XDG_CACHE_HOME to a folder of your own")
    _temporary.append(tempfile.TemporaryDirectory(prefix="minivdit-"))  # of mode 0700
    return Path(_temporary[-1].name)


_temporary = []  # each is removed when Python ends


def is_private_file(path):
    """Whether `path` is a file, not a link, that this user made and that nobody else can write to."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISREG(mode) and (not POSIX or (_is_mine(path) and mode & 0o022 == 0))


def _is_mine(path):
    return not POSIX or path.lstat().st_uid == os.geteuid()


def check_target(path, folder=False):
    """Raise InputError unless a file (or a folder) can be written at `path`: to be asked before a long computation.

    A device, a pipe, a socket or a folder is no place for a file, and must not be replaced by one.
    """
    written, path = str(path), Path(path)
    try:
        is_folder = written.endswith(("/", os.sep)) or path.is_dir()
        is_stream = written.startswith(("/dev/std", "/dev/fd/", "/proc/"))
        is_stream |= path.exists() and not (path.is_file() or path.is_dir())
        is_other = path.is_file() if folder else is_folder
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        parent = target if folder else target.parent
        while not parent.exists():
            parent = parent.parent
    except (OSError, ValueError) as error:  # a name too long or with a zero byte, links in a circle
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"could not write {written!r:.300}: {reason}; choose another name") from error
    if is_other or is_stream:
        wanted, other = ("folder", "file") if folder else ("file", "folder")
        kind = "a device or a pipe" if is_stream else f"a {other}"
        raise InputError(f"could not write {written!r:.300}: it is {kind}; give the name of a {wanted}")
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"could not write {written!r:.300}: {parent} is no folder to write in; choose another place")


@contextlib.contextmanager
def atomic_write(path):
    """Yield a temporary path beside `path`; on success sync it and rename it to `path`.

    On any error the temporary file is removed and an earlier `path` stays as it was. A link is followed: its target is
    written. A new file gets the mode that the umask asks for, an earlier one keeps its mode. A full disk (or another
    OSError) is reported as an InputError that names the path.
    """
    check_target(path)
    path = Path(os.path.realpath(path))
    # The suffix is kept because writers choose the format by it. Not the name: it may be as long as a name can be.
    name = path.parent / f".{secrets.token_hex(8)}{path.suffix if len(path.suffix) <= 16 else ''}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        # The system applies the umask. What replaces a private file isn't open to others for a moment either.
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else 0o600))
        yield name
        with open(name, "rb+") as file:
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(name, mode)
        os.replace(name, path)
        _sync_directory(path.parent)
    except OSError as error:
        raise InputError(
            f"could not write {path}: {error.strerror or error}; free some space or choose another "
            "folder (an earlier file of that name is unchanged)"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def write_file(path, content):
    """Write a text, as UTF-8, or bytes to a file that is whole or not there; see `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _sync_directory(folder):
    """Make the rename itself durable, where the system lets a folder be opened (not on Windows)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save_tensors(path, tensors, metadata=None):
    """Write a dict of name -> array to a safetensors file, with `metadata` (any JSON value) inside.

    Arrays are brought to the CPU and made contiguous first: safetensors silently writes wrong data
    for transposed or strided ones.
    """
    # asarray(order="C") rather than ascontiguousarray, which makes 1-d arrays of 0-d ones.
    arrays = {name: np.asarray(to_numpy(array), order="C") for name, array in tensors.items()}
    if "__metadata__" in arrays:
        raise InputError("a tensor can't be named '__metadata__' in a safetensors file; rename it")
    payload = save(arrays, metadata={"minivdit": json.dumps(metadata)})
    write_file(path, payload)


def load_tensors(path):
    """Read a safetensors file: returns (dict of name -> NumPy array, metadata or None).

    Raises InputError when the file is missing, truncated or malformed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no weights at {path}; check the path, or train some with 'minivdit train'")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = (file.metadata() or {}).get("minivdit")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        about = json.loads(metadata) if metadata else None
        _require_shallow(about)
        return tensors, about
    # TypeError, AttributeError: a dtype NumPy doesn't have (bfloat16, float8). RecursionError: hostile metadata.
    except (SafetensorError, ValueError, OSError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); fetch or train it again") from error


def read_json(path, shape, kind, cure):
    """The value in a JSON file that is of a certain shape; see `require_shape`.

    kind, cure: what the file should be and how to get one, for messages. Raises InputError for a file that can't be
    read, is no regular file (a pipe may never end), larger than LARGEST_JSON, no JSON, or of another shape.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError("it is a folder, a device or a pipe" if path.exists() else "there is no such file")
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"it is larger than {LARGEST_JSON:,} bytes")
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        _require_shallow(value)
        require_shape(value, shape)
        return value
    except RecursionError as error:
        raise InputError(f"{path} is no {kind}: it is nested too deeply; {cure}") from error
    except (OSError, ValueError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} is no {kind}: {reason}; {cure}") from error


def _require_shallow(value, depth=DEEPEST_JSON):
    """Raise RecursionError where a value from JSON is nested so deeply that code which follows it might do so later."""
    if not depth:
        raise RecursionError(f"it is nested more than {DEEPEST_JSON} deep")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(item, (dict, list)):
            _require_shallow(item, depth - 1)


def require_shape(value, shape, place="it"):
    """Raise ValueError, naming the place, unless a value read from JSON is of this shape.

    shape: a type or a tuple of types; a list of one shape, for every item; a dict of shapes by name, of which all must
    be there, and of others as many as there like, unless ... stands for their shape: then all others must have it.
    """
    _require_type(value, shape if isinstance(shape, (type, tuple)) else type(shape), place)
    if isinstance(shape, dict):
        for name in shape.keys() - value.keys() - {...}:
            raise ValueError(f"{place} has no {name!r}")
        for name, part in value.items():
            if name in shape or ... in shape:
                require_shape(part, shape.get(name, shape.get(...)), f"{name!r:.40} in {place}")
    elif isinstance(shape, list):
        for item in value:
            require_shape(item, shape[0], f"an item of {place}")


def _require_type(value, types, place):
    types = types if isinstance(types, tuple) else (types,)
    if type(value) not in types:  # not isinstance: true and false are no numbers
        names = " or ".join(JSON_NAMES[kind] for kind in types)
        raise ValueError(f"{place} is {value!r:.40}, not {names}")


def _no_number(text):
    raise ValueError(f"{text} is no number")
