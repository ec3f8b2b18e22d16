"""The process of a job of gpu_session: makes cells, and tells in lines of JSON when each begins and what came of it."""

import importlib
import json
import os
import sys

from ...base import backend

LOST = 3  # the exit code where the GPU doesn't work any more in this process


def main(function, arguments, done):
    """function: 'module:function', which yields cells. done: names and parts of those that are left out."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything else prints isn't taken for an answer

    def tell(**what):
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    module, _, name = function.partition(":")
    for cell in getattr(importlib.import_module(module), name)(*arguments):
        if cell.name in done or cell.part in done:
            continue
        tell(cell=cell.name, patience=cell.patience, part=cell.part)
        record = guarded(cell.measure)
        tell(cell=cell.name, record=record)
        if "note" in record and not gpu_works():
            print(record["note"], file=sys.stderr)
            sys.exit(LOST)
    tell(cell=None)


def guarded(measure):
    """What a measurement returns, or a note that says why it returned nothing."""
    try:
        return measure()
    except Exception as error:  # whatever it is: other cells are still worth having
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {"note": f"{type(error).__name__}: {(lines or ['no message'])[0]:.300}"}


def gpu_works():
    """Whether the GPU, if this process uses one, still computes: after an illegal access it refuses everything."""
    try:
        xp = backend.xp()
        return float(xp.arange(4).sum()) == 6
    except Exception:
        return False


if __name__ == "__main__":
    main(sys.argv[1], *map(json.loads, sys.argv[2:]))
