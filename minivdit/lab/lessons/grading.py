"""A student's code graded without trusting it: it runs in one process, and it is checked in another.

A notebook's outputs aren't read. Its cells run from the first to the last in a process of their own (`answering`), in
short form, with a home and a working folder that are made for it and removed. A cell that raises is passed over. Then
the checks of this process, which the student's code never touches, call the functions over there: only inputs and
results cross (`crossing`). So a notebook that prints "Right", redefines `check`, patches Verdict, returns an array that
lies when compared, or looks for the expected numbers on the stack gains nothing. A process that hangs or ends costs
the exercise at hand; the others are tried in a new one.

What it doesn't do. It is a teacher's aid, not a sandbox. The code runs as the user who grades: it can read and delete
that user's files, change an installed package, reach the network, and leave processes behind that hide from their
group. Memory, the size of a file and processor time are limited where the system can (Linux; partly macOS; not
Windows), the number of files and processes isn't. To grade people whom you don't know, use a container. And a verdict
is about what a function returns: who calls the library instead of writing the loop, or writes down the numbers of the
few random cases, passes.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import minivdit

from . import check
from .crossing import Gone, Line
from .exercise import Verdict
from .notebook import SETTING

CELL, EXERCISE = 0.25, 0.1  # of a notebook's time, at most, for one of its cells and for one exercise
# What a process is told of the environment. The rest may be somebody's secret.
KEPT = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "SYSTEMDRIVE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class TooLong(Exception):
    """The time for something is over."""


def grade(cells, stubs, seconds):
    """{exercise: Verdict, or None where there is no answer} for the exercises of `stubs`.

    cells: the sources of a notebook's code cells. stubs: {exercise: name of its function}. seconds: for all of it; of
    those a cell may take a quarter and an exercise a tenth.
    """
    verdicts, ends = {}, time.monotonic() + seconds
    while left := {name: stub for name, stub in stubs.items() if name not in verdicts}:
        with _process(seconds) as line:
            try:
                answers = within(ends - time.monotonic(), line.ask, 1, cells, left, seconds * CELL)
                if not isinstance(answers, dict):
                    raise Gone
            except (Exception, Gone) as error:
                why = f"take longer than {seconds:g} seconds" if isinstance(error, TooLong) else "end the process"
                return verdicts | dict.fromkeys(left, Verdict(False, f"the cells of the notebook {why}"))
            for name in left:
                try:
                    verdicts[name] = None
                    if name in answers:
                        most = min(seconds * EXERCISE, ends - time.monotonic())
                        verdicts[name] = within(most, getattr(check, name), answers[name])
                except TooLong:
                    verdicts[name] = Verdict(False, f"it takes longer than {most:.3g} seconds")
                    break
                except Gone:
                    verdicts[name] = Verdict(False, "it ends the process, or sends what can't be read")
                    break
    return verdicts


def within(seconds, function, *inputs):
    """function(*inputs), or TooLong. It goes on in a thread that nobody waits for: end what it waits for."""
    outcome = []

    def work():
        try:
            outcome.append((function(*inputs), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(max(0, seconds))
    if not outcome:
        raise TooLong
    result, error = outcome[0]
    if error:
        raise error
    return result


@contextlib.contextmanager
def _process(seconds):
    """A new process of `answering` in a folder of its own; inside, the Line to it. Afterwards both are gone."""
    with tempfile.TemporaryDirectory(prefix="minivdit-lessons-", ignore_cleanup_errors=True) as folder:
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), folder)
        environment |= {"PYTHONPATH": str(Path(minivdit.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
        # Compiled operations are kept in the home, and this one is empty: compiling takes longer than the cells.
        environment |= {"NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", SETTING: "short"}
        process = subprocess.Popen(
            [sys.executable, "-m", "minivdit.lab.lessons.answering"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        try:
            line = Line(process.stdout, process.stdin)
            with contextlib.suppress(Gone):  # which the next request tells
                line.ask(0, seconds)
            yield line
        finally:
            _end(process)


def _end(process):
    """Kill a process and what it started, unless that has left its group."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        stream.close()
