"""Measurements that can't take each other down, each kept as soon as it is made.

A Cell is one measurement. A Job makes cells one after the other, in a process of its own: a kernel that goes wrong
takes with it only what its process holds on the GPU. A Section is jobs, and the seconds that they may take. Whatever
goes wrong (an exception, a process that ends or hangs, a deadline) is a note in the cell that was being measured, and
the rest goes on. After every cell gpu.json is written anew, and beside it gpu.md, the same as a page.
"""

import contextlib
import dataclasses
import datetime
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from ...base.files import write_file
from . import gpu_report

WORKER = "minivdit.lab.benchmarks.gpu_worker"
LATE, STUCK = "its time was over", "nothing came of it in {:.0f} s"
BEGINNING = 60  # seconds that a process may take at least before its first cell: libraries are read and inputs made


@dataclasses.dataclass(frozen=True)
class Cell:
    """A measurement, by name. measure(): a dict that JSON can hold; a text under "note" says what is wrong with it.

    A job may make several cells of one name: the later ones add to what the first one measured, or replace it.
    """

    name: str
    measure: Callable[[], dict]


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
        self._lock = threading.Lock()

    def add(self, section, cell, record):
        """Take up what a cell measured, and write all of it."""
        with self._lock:
            cells = self.sections.setdefault(section, {})
            cells[cell] = {**cells.get(cell, {}), **record}
            if self.path:
                write_file(self.path, json.dumps(self.everything(), indent=1))
                write_file(self.path.with_suffix(".md"), gpu_report.safely(gpu_report.page, self.everything()))

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
        self.results, self.show = results, show
        self._lock, self._running, self._stopped = threading.Lock(), set(), False

    def run(self, sections):
        """Returns the seconds that are left over in the end. A stop (Ctrl-C) ends all processes and is passed on."""
        began = time.monotonic()
        for section, end in zip(sections, itertools.accumulate(section.seconds for section in sections)):
            deadline = began + end
            self.show(f"{section.title}: {max(0, deadline - time.monotonic()):.0f} s at most")
            with ThreadPoolExecutor(section.at_once) as pool:
                try:
                    pending = {pool.submit(self._job, section.title, job, deadline) for job in section.jobs}
                    while pending:  # not all at once: a signal that another thread received is noticed in between
                        done, pending = wait(pending, timeout=0.2)
                        for future in done:
                            future.result()
                except BaseException:
                    self._stop()
                    raise
        return deadline - time.monotonic()

    def _stop(self):
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def _job(self, section, job, deadline):
        """Run a job; where its process ends before its time, again without the cells that it has made or died of."""
        done = set()
        while True:
            known, left = len(done), deadline - time.monotonic()
            problem, cell = (LATE, None) if left <= 0 else self._process(section, job, done, left)
            if problem is None or self._stopped:
                return
            self._add(section, cell or job.title, {"note": problem})
            if problem == LATE or (cell is None and len(done) == known):
                return
            done |= {cell} - {None}

    def _process(self, section, job, done, seconds):
        """Run a job's process to its end, or for so long: (None or what went wrong, the cell at which it did)."""
        command = [sys.executable, "-m", WORKER, job.function, json.dumps(job.arguments), json.dumps(sorted(done))]
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            with self._lock:
                if self._stopped:
                    return "stopped", None
                process = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
                )
                self._running.add(process)
            watch, cell = Watch(process, seconds, job.patience), None
            try:
                for line in process.stdout:
                    watch.calm()
                    told = json.loads(line)
                    cell = told["cell"]
                    if "record" in told:
                        self._add(section, cell, told["record"])
                        done.add(cell)
                        cell = None
                code = process.wait()
            finally:
                watch.end()
                with self._lock:
                    self._running.discard(process)
                    _kill(process)  # and what it has started
                process.wait()
                process.stdout.close()
            errors.seek(0)
            last = ([line for line in errors.read().splitlines() if line.strip()] or [""])[-1]
        problem = None if code == 0 else f"its process ended ({_named(code)}): {last:.300}"
        return watch.problem or problem, cell

    def _add(self, section, cell, record):
        self.results.add(section, cell, record)
        self.show(gpu_report.safely(gpu_report.line, cell, record))


class Watch:
    """Ends a process after so many seconds, or when nothing was heard of it for as long as patience lasts."""

    def __init__(self, process, seconds, patience):
        self.process, self.patience, self.problem = process, patience, None
        self._timers = {}
        self._start(LATE, seconds)
        self._start(STUCK.format(patience), max(patience, BEGINNING))

    def _start(self, problem, seconds):
        def end():
            self.problem = self.problem or problem
            _kill(self.process)

        self._timers[problem] = threading.Timer(seconds, end)
        self._timers[problem].start()

    def calm(self):
        """Something was heard of the process."""
        stuck = STUCK.format(self.patience)
        self._timers[stuck].cancel()
        self._start(stuck, self.patience)

    def end(self):
        for timer in self._timers.values():
            timer.cancel()


def _kill(process):
    """End a process, and all that it has started, at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _named(code):
    """An exit code, or the name of the signal that it stands for."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
