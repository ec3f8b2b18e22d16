"""Where the CUDA sources are, in a checkout and in an installed wheel."""

from pathlib import Path

from .errors import InputError


def folder():
    """The folder that holds the *.cu files.

    In a checkout they stand at the top, `kernels/`, where readers look for them; a wheel carries them
    inside the package as `kernel_sources/` (pyproject.toml puts them there).
    """
    package = Path(__file__).resolve().parent
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
