"""Measurements that can't take each other down, each kept as soon as it is made.

A Cell is one measurement. A Job makes cells one after the other, in a process of its own: a kernel that goes wrong
takes with it only what its process holds on the GPU. A Section is jobs, and the seconds that they may take. Whatever
goes wrong (an exception, a process that ends or hangs, a deadline) is a note in the cell that was being measured, and
the rest goes on. gpu.json is written anew within a second of every cell, and beside it gpu.md, the same as a page.
"""

import contextlib
import dataclasses
import datetime
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from ...base.console import note
from ...base.files import write_file
from . import gpu_report

WORKER = "minivdit.lab.benchmarks.gpu_worker"
LATE, STUCK, STOPPED = "its time was over", "nothing came of it in {:.0f} s", "stopped"
BEGINNING = 60  # seconds that a process may take at least before its first cell: libraries are read and inputs made
GRACE = 5  # seconds in which a process ends by itself, or when asked to: a training saves what it has
EVERY = 1  # seconds between two writings of the results: two synced files take tens of milliseconds


@dataclasses.dataclass(frozen=True)
class Cell:
    """A measurement, by name. measure(): a dict that JSON can hold; a text under "note" says what is wrong with it.

    A job may make several cells of one name: the later ones add to what the first one measured, or replace it.
    patience: seconds, where it isn't the job's. part: what is measured; after one cell that hangs, its job leaves out
    all others of that part.
    """

    name: str
    measure: Callable[[], dict]
    patience: float | None = None
    part: str | None = None


@dataclasses.dataclass(frozen=True)
class Job:
    """function: 'module:function', which yields Cells when called with the arguments (of JSON's types).

    patience: seconds that a cell may take before its process is ended: a kernel that waits for ever mustn't take the
    time of those behind it.
    """

    title: str
    function: str
    arguments: tuple = ()
    patience: float = 60


@dataclasses.dataclass(frozen=True)
class Section:
    """Jobs, so many of them at once. seconds: what a section leaves over is the next ones' in addition."""

    title: str
    seconds: float
    jobs: tuple
    at_once: int = 1


class Results:
    """What was measured so far: .sections[section][cell] is a dict.

    path: of the JSON file (None: nothing is written); the page is beside it.
    """

    def __init__(self, path=None):
        self.path, self.sections = path and Path(path), {}
        self.began = datetime.datetime.now().astimezone()
        self._lock, self._new, self._written, self._failed = threading.Lock(), False, -EVERY, False

    def add(self, section, cell, record):
        """Take up what a cell measured."""
        with self._lock:
            cells = self.sections.setdefault(section, {})
            cells[cell] = {**cells.get(cell, {}), **record}
            self._new = True

    def write(self, after=0):
        """Write all of it, if there is anything new and the last time is so many seconds ago.

        Where it can't be written, as on a full disk, a note says so once: another time it may work.
        """
        if not self.path or not self._new or time.monotonic() - self._written < after:
            return
        with self._lock:
            everything, self._new = json.dumps(self.everything(), indent=1), False
            page = gpu_report.safely(gpu_report.page, self.everything())
        try:
            write_file(self.path, everything)
            write_file(self.path.with_suffix(".md"), page)
        except BaseException as error:
            self._new = True
            if not isinstance(error, OSError):
                raise
            if not self._failed:
                note(f"{self.path} can't be written now ({error.strerror or error}); measuring goes on")
            self._failed = True
        self._written = time.monotonic()

    def everything(self):
        """What the JSON file holds."""
        now = datetime.datetime.now().astimezone()
        return {
            "date": self.began.date().isoformat(),
            "began": self.began.isoformat(timespec="seconds"),
            "seconds": round((now - self.began).total_seconds(), 1),
            "sections": self.sections,
        }


class Session:
    """Runs sections one after the other. show: takes a line of text for each cell."""

    def __init__(self, results, show=print):
        self.results, self.show, self._stopped = results, show, False

    def run(self, sections, spare=0):
        """Returns the seconds that are left over in the end. A stop (Ctrl-C) ends all processes and is passed on.

        spare: seconds that the first section has in addition.
        """
        began = time.monotonic() + spare
        for section, end in zip(sections, itertools.accumulate(section.seconds for section in sections)):
            deadline = began + end
            self.show(f"{section.title}: {max(0, deadline - time.monotonic()):.0f} s at most")
            try:
                with ThreadPoolExecutor(section.at_once) as pool:
                    try:
                        pending = {pool.submit(self._job, section.title, job, deadline) for job in section.jobs}
                        while pending:  # not all at once: a signal that another thread received is noticed in between
                            done, pending = wait(pending, timeout=0.2)
                            self.results.write(after=EVERY)
                            for future in done:
                                future.result()
                    except BaseException:
                        self._stopped = True  # which all jobs look at, and end their processes
                        raise
            finally:
                self.results.write()
        return deadline - time.monotonic()

    def _job(self, section, job, deadline):
        """Run a job; where its process ends before its time, again without the cells that it has made or died of."""
        done = set()
        while True:
            known, late = len(done), time.monotonic() >= deadline
            problem, cell = (LATE, None) if late else self._process(section, job, done, deadline)
            if problem is None or self._stopped:
                return
            self._add(section, cell or job.title, {"note": problem})
            if problem == LATE or (cell is None and len(done) == known):
                return
            done |= {cell} - {None}

    def _process(self, section, job, done, deadline):
        """Run a job's process to its end, or until the deadline: (None or what went wrong, the cell at which it did).

        done: names of cells, and parts, that are left out; those that are made are added to it.
        """
        command = [sys.executable, "-m", WORKER, job.function, json.dumps(job.arguments), json.dumps(sorted(done))]
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
            lines, cell, finished = queue.SimpleQueue(), None, False
            threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
            try:
                line, problem = self._next(lines, deadline, max(job.patience, BEGINNING))
                while line is not None:
                    try:
                        told = json.loads(line)
                    except ValueError:  # the process ended in the middle of a line
                        break
                    cell = told["cell"]
                    if finished := cell is None:  # all is told: how the process ends says nothing
                        break
                    if "record" in told:
                        self._add(section, cell, told["record"])
                        done.add(cell)
                        cell = None
                    line, problem = self._next(lines, deadline, told.get("patience") or job.patience)
                if problem is None:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(GRACE)
                elif cell is not None and problem != LATE:
                    done |= {told["part"]} - {None}
            finally:
                _end(process)  # and what it has started
            errors.seek(0)
            last = ([line for line in errors.read().splitlines() if line.strip()] or [""])[-1]
        if problem is None and not finished:
            problem = f"its process ended ({_named(process.poll())}): {last:.300}"
        return problem, cell

    def _next(self, lines, deadline, patience):
        """(the next line of a process, None), (None, why none is waited for), or (None, None) at its end."""
        until = time.monotonic() + patience
        while not self._stopped:
            now = time.monotonic()
            if now >= min(deadline, until):
                return None, LATE if now >= deadline else STUCK.format(patience)
            with contextlib.suppress(queue.Empty):
                return lines.get(timeout=min(deadline, until, now + 0.2) - now), None
        return None, STOPPED

    def _add(self, section, cell, record):
        self.results.add(section, cell, record)
        self.show(gpu_report.safely(gpu_report.line, cell, record))


def _read(stream, lines):
    """Put a stream's lines into a queue, None at its end: who reads that may give up, whatever the stream does."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _end(process):
    """End a process, and all that it has started: asked first, and then at once. What can't be ended is left alone."""
    if not hasattr(os, "killpg"):
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # there are none any more
        for number in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(process.pid, number)
            until = time.monotonic() + GRACE
            while time.monotonic() < until:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(0.02)


def _named(code):
    """An exit code, or the name of the signal that it stands for; None is that of a process that doesn't end."""
    if code is None:
        return "in vain: it is still there"
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
