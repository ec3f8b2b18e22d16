"""What a notebook asks of its surroundings: may it take its time, which packages are there, and is MPI?"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

SETTING = "MINIVDIT_LESSONS"


def size(full, short):
    """`full`; or `short` where the environment variable MINIVDIT_LESSONS is 'short', as it is in the tests.

    Chapters call it for numbers that only say how much is computed: steps, tokens, repetitions.
    """
    return short if os.environ.get(SETTING) == "short" else full


def installed(*packages, extra="bridge"):
    """Whether all these packages are there. Where one is missing, it prints that the cell is skipped, and the cure."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        _skipped(f"{' and '.join(missing)} isn't installed", extra)
    return not missing


def mpiexec(ranks):
    """The words that start Python on so many ranks. None where that can't be: then it prints so, and the cure."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    starter = shutil.which("mpiexec", path=os.pathsep.join(folders))
    if not installed("mpi4py", extra="mpi"):
        return None
    if starter is None:
        return _skipped("there is no mpiexec", "mpi")
    told = subprocess.run([starter, "--version"], capture_output=True, text=True).stdout
    more = ["--oversubscribe"] if "Open MPI" in told or "OpenRTE" in told else []  # more ranks than cores
    return [starter, *more, "-n", str(ranks), sys.executable]


def _skipped(why, extra):
    print(f"Skipped, because {why}: pip install 'minivdit[{extra}]'.")
