"""Where the CUDA sources are, in a checkout and in an installed wheel, and their text."""

import re
from pathlib import Path

from ..base.errors import InputError

INCLUDE = re.compile(r'^#include "([\w.]+)"$')


def folder():
    """The folder that holds the *.cu files.

    In a checkout they stand at the top, `kernels/`, where readers look for them; a wheel carries them
    inside the package as `kernel_sources/` (pyproject.toml puts them there).
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "kernel_sources", package.parent / "kernels"):
        if candidate.is_dir():
            return candidate
    raise InputError("the CUDA sources are missing from this installation; pip install minivdit again")


def names():
    """The kernels that exist, by the names of their files, in order."""
    return sorted(path.stem for path in folder().glob("*.cu"))


def source(name):
    """The text of one kernel file."""
    if name not in names():
        raise InputError(f"{name!r} is not a kernel; there are {', '.join(names())}")
    return (folder() / f"{name}.cu").read_text(encoding="utf-8")


def whole_source(name):
    """The text of one kernel file with the headers of this folder in place of their #include lines.

    One text that holds everything: a cache keyed by it notices every change, of headers too. #line directives keep the
    names and line numbers that a compiler's messages show.
    """
    return inline_headers(source(name), f"{name}.cu")


def inline_headers(text, filename, seen=None):
    """`text` with each #include of a header of this folder replaced by it, the first time, and dropped later."""
    seen = set() if seen is None else seen
    lines = [f'#line 1 "{filename}"']
    for number, line in enumerate(text.splitlines(), start=1):
        include = INCLUDE.match(line)
        if include is None:
            lines.append("" if line == "#pragma once" else line)  # a main file can't have it, and each is here once
            continue
        header = include.group(1)
        if header not in seen:
            seen.add(header)
            lines.append(inline_headers((folder() / header).read_text(encoding="utf-8"), header, seen))
        lines.append(f'#line {number + 1} "{filename}"')
    return "\n".join(lines)
