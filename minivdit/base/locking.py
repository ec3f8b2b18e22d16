"""One training at a time in a folder: the second one is told who is at work there."""

import contextlib
import datetime
import json
import os
import socket
from pathlib import Path

from .errors import InputError

if os.name == "nt":
    import msvcrt
else:
    import fcntl

NAME = ".lock"
BEYOND = 1 << 20  # the byte that is locked on Windows, where nobody else can read what is locked


@contextlib.contextmanager
def locked(folder):
    """Keep others that call this out of a folder, which is made if it isn't there. InputError if one is inside.

    The system lets go of the lock when the process ends, however it ends. Where a file system knows no locks, nobody
    is kept out. A folder that was made and is still empty at the end is removed.
    """
    folder = Path(folder)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _opened(folder)
    except OSError as error:
        raise InputError(f"could not write in {folder}: {error.strerror}; choose another folder (--out)") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            os.unlink(folder / NAME)
        file.close()
        with contextlib.suppress(OSError):
            os.unlink(folder / NAME)
        with contextlib.suppress(OSError):
            if made:
                folder.rmdir()


def _opened(folder):
    """The lock's file, open, locked, and with the name of this process in it."""
    while True:
        file = open(folder / NAME, "a+", encoding="utf-8")  # noqa: SIM115 (it is closed at the end of the training)
        try:
            _lock(file)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / NAME)):
                break
        except BlockingIOError:
            holder = _holder(file)
            file.close()
            raise InputError(
                f"a training is at work in {folder} ({holder}); wait for its end, or choose another folder (--out)"
            ) from None
        except FileNotFoundError:
            pass
        file.close()  # its holder removed it in between
    file.truncate(0)
    now = datetime.datetime.now().astimezone().isoformat(" ", "minutes")
    file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": now}))
    file.flush()
    return file


def _lock(file):
    """Lock an open file; BlockingIOError if another process has. A file system without locks is taken as it is."""
    try:
        if os.name == "nt":
            file.seek(BEYOND)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if os.name == "nt":
            raise BlockingIOError from error


def _holder(file):
    """Who has locked a file, in words."""
    try:
        file.seek(0)
        told = json.loads(file.read(1000))
        return f"process {int(told['process'])} on {told['host']!r:.60}, since {told['since']!r:.40}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "its process is unknown"
