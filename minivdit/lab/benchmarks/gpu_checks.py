"""What is done before anything is timed: what the GPU is, do all kernels compile, and are their results right?"""

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
from . import gpu_timing, kernel_attention_check, kernel_checks, kernel_fused_check
from .gpu_session import Cell
from .gpu_timing import noted

ASKED = (  # of nvidia-smi
    *("name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "power.draw"),
    *("power.limit", "temperature.gpu", "memory.used", "memory.total", "utilization.gpu"),
)
PROJECT = Path(__file__).parents[3]  # where a checkout has its tests
GPU_TESTS = ("tests/kernels/test_launch.py", "tests/kernels/test_fused_kernels.py", "tests/test_stand_in.py")
RUN_PATIENCE = 30  # seconds for a file's first run: CuPy compiles its own kernels then
SANITIZERS = ("memcheck", "racecheck", "synccheck")


def about_machine():
    """Cells: what is known at once, clocks among it; then the GPU, since CuPy may take long to begin."""
    yield Cell("machine", _host)
    yield from clocks("at the beginning")
    yield Cell("machine", _machine)


def _host(*versions):
    """The processor and versions. versions: those that stand first."""
    return {
        "processor": f"{backend.cpu_count()} cores of {machine.processor()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions, *machine.versions("numpy", "torch")]),
    }


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
        **_host(f"CuPy {cupy.__version__}"),
    }


def clocks(when):
    """A cell with what nvidia-smi says of clocks, power and temperature."""

    def measure():
        if shutil.which("nvidia-smi") is None:
            return {"note": "nvidia-smi isn't there"}
        command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        if done.returncode:
            return {"note": f"nvidia-smi: {(done.stdout + done.stderr).strip():.200}"}
        values = done.stdout.splitlines()[0].split(",")
        return {"told": ", ".join(f"{name} {value.strip()}" for name, value in zip(ASKED, values))}

    yield Cell(f"clocks {when}", measure)


def compiles(name):
    """Cells: the seconds until a file is compiled, which is then kept for all processes; and until it has run once."""

    def measure(work):
        backend.use("gpu")
        architecture, started = launch.launcher().architecture, time.perf_counter()
        if FILES[name].target(architecture) is None:
            return {"told": f"not for an sm_{architecture}"}
        work(architecture)
        return {"seconds": time.perf_counter() - started}

    yield Cell(f"compile {name}", lambda: measure(lambda architecture: launch.compiled(FILES[name], architecture)))
    run = gpu_timing.patience(RUN_PATIENCE)
    yield Cell(f"run {name}", lambda: measure(lambda architecture: run_once(name)), run)


# --- results -------------------------------------------------------------------------------------------------


def correct(name):
    """Cells 'attention_forward_7_trimmed bfloat16 65 x 63 x 64': all that a file is to be tried on."""
    backend.use("gpu")
    short = gpu_timing.short()
    cases = kernel_checks.cases(name, launch.launcher(), small=short)
    for case in itertools.islice(cases, 1 if short else None):
        yield _cell(case)


def many_numbers(names):
    """Cells: files with arrays of more numbers than 31 bits count, one after the other, since memory must do."""
    backend.use("gpu")
    runner = launch.launcher()
    for name in names:
        file, few = FILES[name], {"numbers": 1000} if gpu_timing.short() else {}
        if file.target(runner.architecture) is not None:
            dtype = file.dtypes(runner.architecture)[-1]
            yield _cell(kernel_checks.many_numbers(name, runner, dtype, **few))


def _cell(case):
    def measure():
        gpu_timing.free_memory()
        found = case.check()
        return {"told": ", ".join(f"{field} {error.largest:.1e}" for field, error in found.items()) or "the same bits"}

    return Cell(case.label, measure)


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
        told = (lines or ["nothing"])[-1].strip("= ")
        passed = done.returncode == 0 and (" passed" in told or gpu_timing.short())  # not if all were skipped
        return {"told": told, **noted("" if passed else "; ".join(failed)[:2000] or f"nothing has passed: {told}")}

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
