"""Kernels compiled for GPUs that needn't be there: by nvcc where it is installed, else by NVRTC from CuPy's wheels.

What comes back is what ptxas says of each kernel: registers a thread, and how much of what should be in registers
went to memory ("spills"), which is slow and here an error.
"""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..base.errors import InputError
from .emulate import first_error
from .sources import whole_source

ARCHITECTURES = ("75", "80", "86", "89", "90", "90a")
# Of nvcc and of NVRTC: numbers below 1.2e-38 count as 0, which saves a few instructions for every exponential and root.
OPTIONS = ("-std=c++17", "-ftz=true")
CURE = "install the CUDA toolkit, or pip install 'minivdit[cuda13]' (or cuda12)"

# What each architecture can give to one block, in bytes (CUDA C++ Programming Guide, "Technical Specifications").
SHARED_BYTES = {"75": 65536, "80": 166912, "86": 101376, "89": 101376, "90": 232448, "90a": 232448}


class Report(NamedTuple):
    """One instance of one function on one architecture; shared memory and spills in bytes."""

    expression: str
    architecture: str
    registers: int
    shared_bytes: int
    spilled_bytes: int


def compilers():
    """Those of 'nvcc' and 'nvrtc' that can be used here."""
    return [name for name, there in (("nvcc", shutil.which("nvcc")), ("nvrtc", _nvrtc())) if there]


def compile_file(file, architectures=ARCHITECTURES, compiler=None, text=None):
    """Compile all instances of a KernelFile; a list of Reports, in the order of architectures.

    compiler: 'nvcc' or 'nvrtc'; the first that is there unless given. text: compiled instead of the file's own.
    Raises InputError when there is no compiler, and when the source doesn't compile: with file, line, architecture
    and the first error. So it does when the assembler says that it leaves instructions out, or can't overlap products.
    """
    compiler = compiler or next(iter(compilers()), None)
    if compiler not in compilers():
        raise InputError(f"{compiler or 'nvcc or NVRTC'} isn't installed; {CURE}")
    text = text or whole_source(file.name)
    wanted = [architecture for architecture in architectures if file.compiles_for(architecture)]
    together = {}  # architectures that have the same kernels
    for architecture in wanted:
        together.setdefault(tuple(file.kernels(architecture)), []).append(architecture)
    if compiler == "nvcc":
        log = "".join(_with_nvcc(file, group, text) for group in together.values())
    else:
        log = "\n".join(with_nvrtc(file, architecture, text)[1] for architecture in wanted)
    if loss := re.search("Potential Performance Loss: (.*)", log):  # instructions left out, or one after the other
        raise InputError(f"{compiler} doesn't do all of {file.name} for {_named(wanted)}: {loss[1]}")
    reports = {(report.expression, report.architecture): report for report in _read(file, log)}
    return [
        reports[expression, architecture] for architecture in wanted for expression in file.expressions(architecture)
    ]


def _with_nvcc(file, architectures, text):
    """Compile for all architectures in one go; the log."""
    kernels = file.kernels(architectures[0]).items()
    text += "".join(f"\ntemplate __global__ void {name}({argument_type});" for name, argument_type in kernels) + "\n"
    together = {}  # what is the same to the sources is translated to PTX once, and only assembled for each
    for name in architectures:
        together.setdefault(_told_to_sources(name), []).append(f"sm_{name}")
    targets = [f"-gencode=arch=compute_{told},code=[{','.join(names)}]" for told, names in together.items()]
    with tempfile.TemporaryDirectory() as build:
        source = Path(build) / f"{file.name}.cu"
        source.write_text(text, encoding="utf-8")
        command = ["nvcc", *OPTIONS, "-fatbin", *targets, "-Xptxas=-v", "-Werror=all-warnings", "--threads=0"]
        done = subprocess.run([*command, "-o", "out", source.name], cwd=build, capture_output=True, text=True)
    log = done.stdout + done.stderr
    if done.returncode:
        raise InputError(f"nvcc can't compile {file.name} for {_named(architectures)}: {first_error(log)}")
    return log


def _told_to_sources(architecture):
    """The oldest architecture that sources take for this one: they ask whether it is sm_80 or newer, and no more."""
    return architecture if architecture.endswith("a") else "80" if int(architecture) >= 80 else "75"


def with_nvrtc(file, architecture, text):
    """Compile for one architecture: the machine code, the log, and a dict of expression -> the function's name there.

    Several threads can do that at the same time. Raises InputError.
    """
    nvrtc, expressions = _nvrtc(), file.expressions(architecture)
    if nvrtc is None:
        raise InputError(f"NVRTC isn't installed; {CURE}")
    program = nvrtc.createProgram(text, f"{file.name}.cu", (), ())
    for expression in expressions:
        nvrtc.addNameExpression(program, expression)
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"-arch=sm_{architecture}", "--ptxas-options=-v"))
        names = {expression: nvrtc.getLoweredName(program, expression) for expression in expressions}
        # CuPy takes the last byte for the end of a text and cuts it off. It is a zero, and a whole file needs it.
        return nvrtc.getCUBIN(program) + b"\0", nvrtc.getProgramLog(program), names
    except nvrtc.NVRTCError as error:
        log = nvrtc.getProgramLog(program) or str(error)
        message = f"NVRTC can't compile {file.name} for {_named([architecture])}: {first_error(log)}"
        raise InputError(message) from None
    finally:
        nvrtc.destroyProgram(program)


def nvrtc_version():
    """Such as '12.9'. Raises InputError where there is none."""
    nvrtc = _nvrtc()
    if nvrtc is None:
        raise InputError(f"NVRTC isn't installed; {CURE}")
    return ".".join(map(str, nvrtc.getVersion()))


def _nvrtc():
    """CuPy's module of that name, or None where CuPy or the library behind it is missing."""
    if importlib.util.find_spec("cupy_backends") is None:
        return None
    try:
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()  # loads the library
    except Exception:  # a broken installation may raise anything
        return None
    return nvrtc


def _named(architectures):
    return ", ".join(f"sm_{name}" for name in architectures)


def _read(file, log):
    """Reports from what ptxas -v prints."""
    entries = re.split(r"Compiling entry function ", log)[1:]
    for entry in entries:
        mangled, architecture = re.match(r"'(\w+)' for 'sm_(\w+)'", entry).groups()
        name, number_type, instance = re.match(r"_Z\d+(\w+?)I(f|\d+\w+?)?Li(\d+)E", mangled).groups()
        number_type = number_type and ("float32" if number_type == "f" else number_type.lstrip("0123456789"))
        function = next(function for function in file.functions if function.name == name)
        stores, loads = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", entry).groups()
        (registers,) = re.search(r"Used (\d+) registers", entry).groups()
        yield Report(
            file.expression(function, int(instance), number_type),
            architecture,
            int(registers),
            function.shared_bytes(int(instance)),
            int(stores) + int(loads),
        )


def table(reports):
    """Reports as lines of text, a function a line and an architecture a column: registers, and spills if any."""
    architectures = list(dict.fromkeys(report.architecture for report in reports))
    cells = {(report.expression, report.architecture): report for report in reports}
    yield f"{'registers a thread':48} {'shared':>8} " + " ".join(f"{'sm_' + name:>7}" for name in architectures)
    for expression in dict.fromkeys(report.expression for report in reports):
        row = [cells.get((expression, name)) for name in architectures]
        numbers = ["-" if cell is None else f"{cell.registers}{'!' * (cell.spilled_bytes > 0)}" for cell in row]
        shared = next(cell.shared_bytes for cell in row if cell)
        yield f"{expression:48} {shared:8} " + " ".join(f"{number:>7}" for number in numbers)
    spilled = [report for report in reports if report.spilled_bytes]
    for report in spilled:
        yield f"! {report.expression} on sm_{report.architecture}: {report.spilled_bytes} bytes of registers spilled"
