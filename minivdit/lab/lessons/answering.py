"""The process in which a student's code runs: `python -m minivdit.lab.lessons.answering`, started by `grading`.

It runs the cells of a notebook, and then calls the functions that they define, as often as it is asked to. Nothing that
it says about itself counts: see `grading`.
"""

import contextlib
import linecache
import os
import re
import signal
import sys
import types

from . import check
from .crossing import Gone, Line

MEMORY, FILE = 4 << 30, 1 << 30  # bytes: address space of a process; one file
MAGIC = re.compile(r"^(\s*)[%!].*$", flags=re.M)


class TooLong(BaseException):
    """Raised inside a cell that has had its time."""


def main():
    source, sink = (os.fdopen(os.dup(number), mode, buffering=0) for number, mode in ((0, "rb"), (1, "wb")))
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY)):  # what the code reads or prints is not for the line
        os.dup2(os.open(os.devnull, flags), number)
    with contextlib.suppress(Gone):
        OnlyHere(source, sink, [limit, run_cells]).serve()
    os._exit(0)  # whatever the code left running


class OnlyHere(Line):
    """The Line of this process, and of no copy that the code makes of it by a fork."""

    def __init__(self, *given):
        super().__init__(*given)
        self.mine = os.getpid()

    def send(self, *message):
        if os.getpid() != self.mine:
            os._exit(0)
        super().send(*message)


def limit(seconds):
    """Let this process have no more than this processor time, MEMORY and a FILE, where the system can say so."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for name, most in {"AS": MEMORY, "FSIZE": FILE, "CORE": 0, "CPU": int(seconds)}.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def run_cells(cells, stubs, seconds):
    """Run cells from the first to the last, whatever they raise. Returns {exercise: answer} for those of `stubs`.

    cells: sources. stubs: {exercise: name of its function}. seconds: for one cell. An exercise's answer is what was
    last handed to its check; where nothing was, what has the name of its stub. The checks only take note of it here.
    """
    handed, mine = {}, os.getpid()
    for name in [name for name in vars(check) if re.match(r"ch\d\d_", name)]:
        setattr(check, name, lambda answer, name=name: handed.update({name: answer}) or True)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    for number, cell in enumerate(cells):
        name, cell = f"<cell {number}>", without_magics(cell)
        linecache.cache[name] = len(cell), None, cell.splitlines(True), name  # for inspect.getsource
        with contextlib.suppress(BaseException), _at_most(seconds):
            exec(compile(cell, name, "exec"), vars(module))
        if os.getpid() != mine:
            os._exit(0)
        if "matplotlib.pyplot" in sys.modules:
            with contextlib.suppress(BaseException):
                sys.modules["matplotlib.pyplot"].close("all")
    named = {name: vars(module)[stub] for name, stub in stubs.items() if stub in vars(module)}
    return {name: answer for name, answer in (named | handed).items() if name in stubs}


def without_magics(cell):
    """A cell as Python: lines for IPython or a shell do nothing; %%time and its like run what they time."""
    first = cell.lstrip().partition("\n")[0]
    if first.startswith("%%") and first.split()[0] not in ("%%time", "%%timeit", "%%capture", "%%prun"):
        return ""
    return MAGIC.sub(r"\1pass", cell)


@contextlib.contextmanager
def _at_most(seconds):
    """Raise TooLong inside after so long, and every second from then on, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number, frame):
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
