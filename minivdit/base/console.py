"""What a person at a terminal sees: printing that can't fail, notes, and progress bars."""

import contextlib
import io
import os
import re
import sys

# A terminal obeys control characters, and text from a file may hold them; the last ones change the reading direction.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Stream(io.TextIOBase):
    """Takes every text and never fails. It wraps stdout or stderr, or None where a program has no such stream.

    Control characters and what the encoding lacks are shown as \\x1b or \\u2713. When nobody reads any more (| head),
    or the disk is full, the rest is dropped, and `error` keeps the reason: what is being computed must not be lost.
    """

    def __init__(self, stream):
        self.stream, self.error = stream, None

    def __eq__(self, other):  # tqdm asks whether it writes to sys.stderr
        return other is self or other is self.stream

    __hash__ = io.TextIOBase.__hash__

    @property
    def encoding(self):
        return getattr(self.stream, "encoding", None) or "utf-8"

    def isatty(self):
        return self._attempt(lambda: self.stream.isatty()) or False

    def fileno(self):
        if self.stream is None:
            raise io.UnsupportedOperation("there is no such stream")
        return self.stream.fileno()

    def write(self, text):
        back = text.startswith("\r")  # so a progress bar goes back to the beginning of its line
        shown = "\r" * back + CONTROL.sub(lambda found: repr(found[0])[1:-1], text[back:])
        self._attempt(lambda: self.stream.write(shown.encode(self.encoding, "backslashreplace").decode(self.encoding)))
        return len(text)

    def flush(self):
        self._attempt(lambda: self.stream.flush())

    def _attempt(self, action):
        if self.stream is None or self.error:
            return None
        try:
            return action()
        except (OSError, ValueError) as error:  # ValueError: somebody closed it
            self.error = error
            with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self.stream.fileno())  # Python flushes it once more when it ends


@contextlib.contextmanager
def streams_that_never_fail(show=True):
    """Inside, sys.stdout and sys.stderr are Streams: yields the first. show: False drops all that is written."""
    for number in range(3):  # a file opened later must not take the place of a stream that was closed (2>&-)
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    out, err = (Stream(stream if show else None) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield out
        finally:
            out.flush()
            err.flush()


def complain(text, stream=None):
    """Print an error as one line on stderr, or on another stream, whatever the text holds."""
    print("minivdit: " + " ".join(text.split()), file=Stream(stream or sys.stderr), flush=True)


def note(text, show=True):
    """Say on stderr, beside a progress bar, what a person should know about something that is done all the same."""
    if show:
        print_beside_bars("minivdit: note: " + " ".join(text.split()), sys.stderr)


def progress_bar(title, total, *, done=0, unit="step", show=True, **options):
    """A tqdm bar on stderr that never fails. Where stderr is no terminal it writes a line every 30 seconds."""
    from tqdm import tqdm  # here, so that help comes at once

    stream = Stream(sys.stderr)
    pace = {"mininterval": 0.2, "dynamic_ncols": True} if stream.isatty() else {"mininterval": 30}
    return tqdm(desc=title, total=total, initial=done, unit=unit, disable=not show, file=stream, **pace, **options)


def print_beside_bars(text, stream):
    """Print a line to sys.stdout or sys.stderr, while a progress bar may be shown."""
    from tqdm import tqdm

    tqdm.write(text, file=Stream(stream))
