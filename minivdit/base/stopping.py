"""Being stopped by Ctrl-C, a time limit or a terminal that closes: a step is finished and saved first."""

import contextlib
import signal
import threading

STOPS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal, after everything was saved. The message says how to go on.

    code: with which a program ends that this signal stopped, such as 130 for Ctrl-C and 143 for SIGTERM.
    """

    def __init__(self, message, number=signal.SIGINT):
        super().__init__(message)
        self.code = 128 + number


@contextlib.contextmanager
def told_of_signals():
    """Inside, what would end the program without a word (SIGTERM, a terminal that closes) raises Interrupted."""

    def handler(number, frame):
        raise Interrupted("", number)

    with _handled(handler, lambda before: before is signal.SIG_DFL):
        yield


@contextlib.contextmanager
def listening():
    """Yield a function that says which signal asked to stop, or None. The second one raises Interrupted at once.

    What was ignored before (as nohup has it) stays so.
    """
    asked = []

    def handler(number, frame):
        if asked:
            raise Interrupted("stopped at once; the same command goes on from the last checkpoint", number)
        asked.append(number)

    with _handled(handler, lambda before: before not in (signal.SIG_IGN, None)):
        yield lambda: asked[0] if asked else None


@contextlib.contextmanager
def _handled(handler, replaces):
    """Inside, `handler` is called for those STOPS of whose handler before replaces(before) is true.

    Only the main thread may set handlers: in others nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: old for number in STOPS if main and replaces(old := signal.getsignal(number))}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
