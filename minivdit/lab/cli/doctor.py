"""`minivdit doctor`: what this machine has, what is missing, and the cure.

A check returns a Finding: OK; FAIL, with what to do about it; or OPTIONAL for something that needn't be there. Or it
raises an error, which is told as a FAIL.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import NamedTuple

from ... import __version__
from ...base.errors import InputError

OK, FAIL, OPTIONAL = "[OK]", "[FAIL]", "[--]"
PACKAGES = ("numpy", "safetensors", "pillow", "matplotlib", "tqdm", "threadpoolctl")
MEMORY_WANTED, DISK_WANTED = 2 << 30, 1 << 30  # bytes: the quick preset with room to spare; a run with checkpoints


def add_doctor(commands):
    text = """Check this machine: what is there, what is missing, the cure.

    examples:
      minivdit doctor
    """
    commands.add(doctor, text).set_defaults(on_ranks=True)


def doctor(options):
    return report()


class Finding(NamedTuple):
    """One line of the report. state: OK, FAIL or OPTIONAL."""

    state: str
    text: str


def check_python():  # pip has refused a Python that is too old
    where = f"{platform.system()} {platform.machine()}"
    return Finding(OK, f"minivdit {__version__}, Python {platform.python_version()} on {where}")


def check_packages():
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(FAIL, f"{', '.join(missing)} not installed; pip install {' '.join(missing)}")
    if int(importlib.metadata.version("numpy").split(".")[0]) < 2:
        return Finding(FAIL, f"{found[0]} is too old; pip install 'numpy>=2'")
    return Finding(OK, ", ".join(found))


def check_blas():
    import threadpoolctl

    from ...base.backend import cpu_count
    from ...base.machine import blas_kernels, cores_speed, forced_kernels

    if problem := forced_kernels():
        return Finding(FAIL, problem)
    speed = cores_speed() / 1e9
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    cores = cpu_count()
    text = f"matrix products: {speed:.0f} GFLOP/s, {cores} core{'s' * (cores > 1)}"
    if not pools:  # threadpoolctl doesn't see some, such as Apple's Accelerate
        return Finding(OK, f"{text}, threads of the BLAS library unknown")
    pool = max(pools, key=lambda pool: pool["num_threads"])
    text += f", {pool['internal_api']} with {pool['num_threads']} thread{'s' * (pool['num_threads'] > 1)}"
    text += f", kernels for {blas_kernels()}" * bool(blas_kernels())
    if pool["num_threads"] > cores:
        return Finding(FAIL, f"{text}: more threads than cores are slow; set OMP_NUM_THREADS={cores}")
    return Finding(OK, text)


def check_compiled():
    from ...autograd import engine
    from ...base import backend

    if problem := backend.numba_problem():
        return Finding(OPTIONAL, f"operations are NumPy's; compiled ones take about 0.7 of the time: {problem}")
    if not engine.twins("compiled"):
        return Finding(FAIL, backend.numba_problem())
    from ...autograd.compiled import compiler

    for loop in compiler.loops:
        loop.compile()
    versions = " and ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numba", "scipy"))
    return Finding(OK, f"{len(compiler.loops)} operations compiled by {versions}, kept in {compiler.folder()}")


def check_allocator():
    from ...base.backend import tune_allocator

    if tune_allocator():
        return Finding(OK, "memory allocator tuned: freed arrays are kept for the next step")
    return Finding(OPTIONAL, "the memory allocator can't be tuned here (Linux with glibc only): a bit slower")


def check_memory():
    from ...base.machine import available_memory

    free = available_memory()
    if free is None:
        return Finding(OPTIONAL, f"free memory unknown on this system; training wants about {_size(MEMORY_WANTED)}")
    if free < MEMORY_WANTED:
        return Finding(
            FAIL, f"{_size(free)} of memory free, {_size(MEMORY_WANTED)} wanted; close programs or train less"
        )
    return Finding(OK, f"{_size(free)} of memory free")


def check_disk():
    free = shutil.disk_usage(Path.cwd()).free
    if free < DISK_WANTED:
        return Finding(FAIL, f"{_size(free)} free on this disk, {_size(DISK_WANTED)} wanted; make room or pass --out")
    if not os.access(Path.cwd(), os.W_OK):
        return Finding(FAIL, "this folder can't be written to; go to another, or pass --out")
    return Finding(OK, f"{_size(free)} free on this disk")


def check_mnist():
    from ...data.mnist import FILES, data_directory, data_problem, find_mnist

    there = sum(len(find_mnist(split)) for split in ("train", "test"))
    if there == len(FILES):
        return Finding(OK, f"MNIST in {data_directory()}")
    if problem := data_problem():
        text = f"MNIST can't be kept: {problem}; set MINIVDIT_DATA to a folder of your own"
    else:
        text = f"MNIST: {there} of {len(FILES)} files in {data_directory()}; 'minivdit data download' fetches it"
    return Finding(OPTIONAL, f"{text}, or the built-in digits serve")


def check_weights():
    from ...generation import TextToVideo

    TextToVideo.load()
    return Finding(OK, "the weights that come with minivdit load")


def check_kernels():
    from ... import kernels

    count = len(kernels.names())
    return Finding(OK, f"CUDA sources in {kernels.folder()} ({count} file{'s' * (count != 1)})")


def check_gpu():
    if importlib.util.find_spec("cupy") is None:
        cure = "with a GPU, pip install 'minivdit[cuda13]' (or cuda12)"
        return Finding(OPTIONAL, f"CuPy not installed: all runs on the CPU; {cure}")
    from ...base.backend import gpu_problem

    if problem := gpu_problem():
        return Finding(FAIL, problem)
    import cupy

    from ...kernels.attention import Backward, Forward, best
    from ...kernels.launch import launcher

    name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())["name"].decode()
    runner, free = launcher(), cupy.cuda.runtime.memGetInfo()[0]
    chosen = [best(kind, "float32", 64, runner.architecture, runner.shared_bytes) for kind in (Forward, Backward)]
    text = f"CuPy {cupy.__version__} on {name} (sm_{runner.architecture}), {_size(free)} of its memory free"
    return Finding(OK, f"{text}; attention by {' and '.join(chosen)}")


def check_mp4():
    if importlib.util.find_spec("av") is None:
        return Finding(OPTIONAL, "PyAV not installed: no films, clips are GIFs; for MP4, pip install 'minivdit[mp4]'")
    return Finding(OK, "PyAV: clips can be written as MP4, and films read")


def check_studio():
    if importlib.util.find_spec("gradio") is None:
        return Finding(OPTIONAL, "Gradio not installed: no studio; for the page, pip install 'minivdit[studio]'")
    return Finding(OK, f"Gradio {importlib.metadata.version('gradio')}: 'minivdit studio' opens a page")


def check_mpi():
    if importlib.util.find_spec("mpi4py") is None:
        cure = "to train on several machines, pip install 'minivdit[mpi]'"
        return Finding(OPTIONAL, f"mpi4py not installed: a training stays on one machine; {cure}")
    from ...base.ranks import here

    us, text = here(), f"mpi4py {importlib.metadata.version('mpi4py')}"
    if us.size > 1:
        return Finding(OK, f"{text}: {us.size} ranks on {us.machines} machine{'s' * (us.machines > 1)} find each other")
    starter = shutil.which("mpiexec") or shutil.which("srun")
    if starter is None:
        return Finding(OPTIONAL, f"{text}, but no mpiexec on PATH to start ranks with; pip install mpich")
    return Finding(OK, f"{text}, and {starter} starts ranks; 'mpiexec -n 2 minivdit doctor' tries it")


CHECKS = (check_python, check_packages, check_blas, check_compiled, check_allocator, check_memory, check_disk)
CHECKS += (check_mnist, check_weights, check_kernels, check_gpu, check_mp4, check_studio, check_mpi)


def examine(checks=CHECKS):
    """Yield a Finding for each check. What a check raises is a finding, too."""
    for check in checks:
        try:
            yield check()
        except (InputError, OSError) as error:  # the machine is ill, such as by a folder that is gone, not the package
            yield Finding(FAIL, f"{check.__name__.removeprefix('check_')}: {error}")
        except Exception as error:  # the doctor has to survive every illness
            told = f"{type(error).__name__}: {error}; pip install minivdit again"
            yield Finding(FAIL, f"{check.__name__.removeprefix('check_')}: {told}")


def report(checks=CHECKS):
    """Print the findings, one a line. Returns 0, or 1 if something failed."""
    findings = []
    for finding in examine(checks):
        print(f"{finding.state:6} {' '.join(finding.text.split())}", flush=True)
        findings.append(finding)
    failed = sum(finding.state == FAIL for finding in findings)
    print(f"{failed} to mend" if failed else "ready")
    return int(failed > 0)


def _size(count):
    return f"{count / 2**30:.1f} GB"
