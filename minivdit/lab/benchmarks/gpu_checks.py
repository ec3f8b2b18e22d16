"""What is done before anything is timed: what the GPU is, do all kernels compile, and are their results right?"""

import functools
import itertools
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from ...base import backend, machine
from ...kernels import attention, launch
from ...kernels.catalogue import FILES
from . import gpu_timing, kernel_attention_check, kernel_fused_check
from .gpu_session import Cell

ASKED = (  # of nvidia-smi
    *("name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "power.draw"),
    *("power.limit", "temperature.gpu", "memory.used", "memory.total", "utilization.gpu"),
)
PROJECT = Path(__file__).parents[3]  # where a checkout has its tests
GPU_TESTS = ("tests/kernels/test_launch.py", "tests/kernels/test_fused_kernels.py", "tests/test_stand_in.py")
SANITIZERS = ("memcheck", "racecheck", "synccheck")


def about_machine():
    """Cells: the GPU, and its clocks."""
    yield Cell("machine", _machine)
    yield from clocks("at the beginning")


def _machine():
    backend.use("gpu")
    cupy, runner = backend.xp(), launch.launcher()
    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return {
        "gpu": properties["name"].decode(),
        "architecture": runner.architecture,
        "shared_bytes": runner.shared_bytes,
        "memory": properties["totalGlobalMem"],
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "processor": f"{backend.cpu_count()} cores of {machine.processor()}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", f"CuPy {cupy.__version__}", *machine.versions("numpy", "torch")]
        ),
    }


def clocks(when):
    """A cell with what nvidia-smi says of clocks, power and temperature."""

    def measure():
        if shutil.which("nvidia-smi") is None:
            return {"note": "nvidia-smi isn't there"}
        command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if done.returncode:
            return {"note": f"nvidia-smi: {(done.stdout + done.stderr).strip():.200}"}
        values = done.stdout.splitlines()[0].split(",")
        return {"told": ", ".join(f"{name} {value.strip()}" for name, value in zip(ASKED, values))}

    yield Cell(f"clocks {when}", measure)


def compiles(name):
    """A cell: the seconds until a file is compiled, which is then kept for all processes, and has run once."""

    def measure():
        backend.use("gpu")
        runner, started = launch.launcher(), time.perf_counter()
        if FILES[name].target(runner.architecture) is None:
            return {"told": f"not for an sm_{runner.architecture}"}
        run_once(name)
        return {"seconds": time.perf_counter() - started}

    yield Cell(f"compile {name}", measure)


# --- results -------------------------------------------------------------------------------------------------


LENGTHS = ((1, 1), (65, 63), (257, 130))  # queries and keys
ROWS = ((1, 2), (70, 102), (33, 128), (2, 1000), (3000, 96))  # rows, and numbers in each


def correct(name):
    """Cells 'attention_forward_7_trimmed bfloat16 65 x 63 x 64 ...': a file's results against float64."""
    backend.use("gpu")
    runner, file = launch.launcher(), FILES[name]
    yield from itertools.islice(_cases(file, runner), 1 if gpu_timing.short() else None)


def _cases(file, runner):
    """Cells of every dtype that a file reads here, every width and some lengths, with and without a mask."""
    for dtype in file.types_on(runner.architecture) or ("float32",):
        if file.name in attention.FILES:
            for width, (queries, keys), frames in itertools.product(file.instances, LENGTHS, (None, 3)):
                if file.runs(dtype, width, runner.architecture, runner.shared_bytes):
                    given = (file.name, queries, keys, width, frames, 0, runner)
                    check = functools.partial(kernel_attention_check.errors, *given, batch=2, dtype=dtype)
                    mask = "" if frames is None else ", masked"
                    yield Cell(f"{file.name} {dtype} {queries} x {keys} x {width}{mask}", _judged(check, file.name))
        else:
            for rows, width in ROWS:
                check = functools.partial(kernel_fused_check.errors, file.name, rows, width, 0, runner, dtype)
                yield Cell(f"{file.name} {dtype} {rows} x {width}", _judged(check, file.name))


def _judged(check, name):
    """A measurement that says how far off a check's results are, with a note where that is too far."""
    near = 5e-5 if "split" in name else 1e-5

    def measure():
        wrong, errors = [], check()
        for field, error in errors.items():
            allowed = 1e-4 if field == "log_sum_exp" else max(2 * error.plain, near * max(1, error.size))
            if not error.largest <= allowed:
                wrong.append(f"{field} is off by {error.largest:.1e}, allowed {allowed:.1e}")
        told = ", ".join(f"{field} {error.largest:.1e}" for field, error in errors.items())
        return {"told": told, **gpu_timing.noted(", ".join(wrong))}

    return measure


def tests(path):
    """A cell: those tests in a file that need a GPU."""

    def measure():
        if not (PROJECT / path).exists():
            return {"note": f"{path} isn't there: this is no checkout"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "on_a_gpu or cupy_has", path]
        command += ["--collect-only"] * gpu_timing.short()
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        told = {"told": (lines or ["nothing"])[-1].strip("= ")}
        return told if done.returncode == 0 else {**told, "note": "; ".join(failed)[:2000] or told["told"]}

    yield Cell(path, measure)


def sanitized(tool, name):
    """A cell: what NVIDIA's compute-sanitizer finds in a file's kernels at a tiny shape."""

    def measure():
        if shutil.which("compute-sanitizer") is None:
            return {"note": "compute-sanitizer isn't there"}
        program = f"from minivdit.lab.benchmarks.gpu_checks import run_once; run_once({name!r})"
        command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = [line.strip("= ") for line in done.stdout.splitlines() if line.startswith("====")]
        told = {"told": (lines or ["nothing"])[-1]}
        return told if done.returncode == 0 else {"note": "; ".join([*lines[1:4], *told.values()])[:1000]}

    yield Cell(f"{tool} {name}", measure)


def run_once(name):
    """A file's kernels at a tiny shape."""
    backend.use("gpu")
    if name in attention.FILES:
        kernel_attention_check.errors(name, 70, 130, 64, 3, 0, launch.launcher())
    else:
        kernel_fused_check.errors(name, 70, 102, 0, launch.launcher())
    backend.wait()
