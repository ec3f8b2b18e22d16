"""What passes between the process that grades and the one that runs a student's code: calls, and nothing but values.

    process that grades                      process of the student
    check.ch01_sine(remote)
      remote(x)            --- call --->     sine(x)
      expected, compared   <-- value ---     (value, pullback)

A function isn't copied: the other side gets a Remote, which calls it back where it lives. So the numbers that are
expected, and the verdict, exist only in the process that grades. Messages are JSON, with the bytes of arrays in it.
They are never pickled: to unpickle what a student's process sends could run any code.
"""

import base64
import json
import re
from collections.abc import Sequence

import numpy as np

MOST = 1 << 28  # bytes of one message


class Gone(BaseException):
    """The other process has ended, or sends what can't be read. No check takes it for an answer's own mistake."""


class Remote:
    """A function that lives in the other process."""

    def __init__(self, line, number):
        self.line, self.number = line, number

    def __call__(self, *inputs, **named):
        return self.line.ask(self.number, *inputs, **named)


class Other:
    """Stands for a thing that isn't sent; kind: the name of its type."""

    def __init__(self, kind):
        self.kind = kind

    def __repr__(self):
        return self.kind


class Line:
    """One end of the line between two processes: it asks, and answers what it is asked meanwhile.

    source, sink: raw streams of bytes. functions: those of this side that may be called, by their numbers; those that
    are handed over come to them.
    """

    def __init__(self, source, sink, functions=()):
        self.source, self.sink, self.functions = source, sink, list(functions)
        self.dumps, self.loads = as_json, from_json  # kept, since a student's code may change this module

    def ask(self, number, *inputs, **named):
        """What the other side's function returns for these inputs; an error of the same name if it raises one."""
        self.send("call", number, inputs, named)
        return self.serve()

    def serve(self):
        """Answer calls until a value arrives, and return that."""
        while True:
            kind, *rest = self.receive()
            if kind == "value":
                return rest[0]
            if kind == "raised":
                name, words = rest
                raise type(re.sub(r"\W", "", name, flags=re.ASCII)[:60], (Exception,), {})(words[:300])
            number, inputs, named = rest
            try:
                self.send("value", self.functions[number](*inputs, **named))
            except Gone:
                raise
            except BaseException as error:  # sys.exit in an answer, too
                self.send("raised", type(error).__name__, str(error)[:300])

    def send(self, *message):
        content = self.dumps(message, self.functions)
        content = len(content).to_bytes(8, "little") + content
        try:
            while content:
                content = content[self.sink.write(content) :]
        except (OSError, ValueError):  # ValueError: it was closed meanwhile
            raise Gone from None

    def receive(self):
        length = int.from_bytes(self._read(8), "little")
        if length > MOST:
            raise Gone
        content = self._read(length)
        try:
            kind, *rest = message = self.loads(content, self)
            fits = {"value": (object,), "raised": (str, str), "call": (int, tuple, dict)}[kind]
            if len(rest) == len(fits) and all(map(isinstance, rest, fits)):
                return message
        except Exception:
            raise Gone from None
        raise Gone

    def _read(self, count):
        content = bytearray()
        while len(content) < count:
            try:
                piece = self.source.read(min(count - len(content), 1 << 20))
            except (OSError, ValueError):
                raise Gone from None
            if not piece:
                raise Gone
            content += piece
        return bytes(content)


def as_json(message, functions):
    """A message as bytes. functions: a list, to which those in the message are added."""

    def plain(thing):
        if thing is None or type(thing) in (bool, int, float, str):
            return thing
        if isinstance(thing, tuple):
            return {"tuple": [plain(one) for one in thing]}
        if isinstance(thing, dict):
            return {"dict": [[plain(key), plain(value)] for key, value in thing.items()]}
        if isinstance(thing, Sequence) and not isinstance(thing, str | bytes):
            return {"list": [plain(one) for one in thing]}
        if hasattr(thing, "__array__") and not isinstance(thing, type):
            array = np.asarray(thing)
            if array.dtype.kind in "biufc":
                content = base64.b64encode(array.tobytes()).decode()
                return {"array": [array.dtype.str, list(array.shape), content]}
        if isinstance(thing, np.random.Generator):  # a new one, lest the other side's draws change nothing here
            return {"generator": int(thing.integers(1 << 62))}
        if callable(thing):
            functions.append(thing)
            return {"function": len(functions) - 1}
        return {"ellipsis" if thing is ... else "other": type(thing).__name__}

    return json.dumps(plain(message)).encode()


def from_json(content, line):
    """The message again. line: by which its functions are called."""

    def full(thing):
        if thing is None or isinstance(thing, bool | int | float | str):
            return thing
        ((kind, held),) = thing.items()
        if kind == "array":
            dtype, shape, content = held
            dtype = np.dtype(dtype)
            if dtype.kind not in "biufc":
                raise ValueError(dtype)
            return np.frombuffer(base64.b64decode(content), dtype).reshape(shape).copy()[()]  # no axes: a number
        if kind in ("tuple", "list"):
            return {"tuple": tuple, "list": list}[kind](map(full, held))
        if kind == "dict":
            return {full(key): full(value) for key, value in held}
        if kind == "generator":
            return np.random.default_rng(held)
        return Remote(line, held) if kind == "function" else ... if kind == "ellipsis" else Other(held)

    return full(json.loads(content))
