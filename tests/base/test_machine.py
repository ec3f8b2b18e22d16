"""The machine: amounts as text, free memory, the speed of products, and which kernels BLAS runs."""

import math
import subprocess
import sys

import pytest

from minivdit.base import backend, machine
from minivdit.base.machine import forced_kernels


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.7, "1.00 KB"),
        (1_234_567, "1.23 MB"),
        (99_960, "100 KB"),
        (45_670_000_000, "45.7 GB"),
    ],
)
def test_amounts_have_three_digits(number, text):
    assert machine.amount(number) == text


@pytest.mark.parametrize("memory", [1, 9, 10, 11, 1234, 10_000])
def test_the_largest_that_fits(memory):
    assert machine.largest_that_fits(memory, lambda n: 10 * n) == memory // 10
    assert machine.largest_that_fits(memory, lambda n: n**2 + 7) == math.isqrt(max(0, memory - 7))


def test_this_machine_has_some_memory_and_some_speed():
    available = machine.available_memory()
    assert available is None or 1e6 < available < 1e15
    assert 1e7 < machine.matmul_speed(size=64, seconds=0.01) < 1e16


def test_memory_is_what_the_container_leaves(monkeypatch):
    whole = machine.available_memory()
    monkeypatch.setattr(backend, "memory_quota", lambda: 12345)
    assert machine.available_memory() == 12345
    monkeypatch.setattr(backend, "memory_quota", lambda: -5)  # more is used than is allowed
    assert machine.available_memory() == 0
    monkeypatch.setattr(backend, "memory_quota", lambda: math.inf)
    assert whole is None or machine.available_memory() > 1e6


def test_on_a_gpu_what_cupys_pool_can_reuse_is_free(stand_in, monkeypatch):
    stand_in.install(monkeypatch, memory=8 << 30, pooled=6 << 30)
    backend.use("gpu")
    assert machine.available_memory() == 8 << 30


def test_the_speed_of_all_cores_is_that_of_one_times_their_number(monkeypatch):
    monkeypatch.setattr(machine, "matmul_speed", lambda: 5.0 if backend._blas_limit.count == 1 else 7.0)
    monkeypatch.setattr(backend, "thread_count", lambda: 3)
    assert machine.cores_speed() == 15.0


def test_a_label_of_figures_names_processor_libraries_and_kernels(monkeypatch):
    pools = [
        {"user_api": "openmp", "architecture": "a mistake"},
        {"user_api": "blas", "architecture": "Zen"},
        {"user_api": "blas", "architecture": "Haswell"},
        {"user_api": "blas"},
    ]
    monkeypatch.setattr(machine.threadpoolctl, "threadpool_info", lambda: pools)
    assert machine.description().endswith("BLAS kernels for Haswell and Zen")
    assert machine.description().startswith(f"{machine.processor()}, numpy 2")
    monkeypatch.setattr(machine.threadpoolctl, "threadpool_info", list)
    assert machine.description().endswith("BLAS kernels unknown")
    assert machine.versions("numpy", "no-such-package-at-all") == machine.versions("numpy")


SKYLAKE = "fpu sse sse2 avx fma avx2 avx512f avx512bw avx512dq avx512vl"


@pytest.mark.parametrize(
    ("flags", "vectors"),
    [
        (SKYLAKE, "AVX-512"),
        (SKYLAKE.replace("avx512vl", ""), "AVX2"),  # Knights Landing, which OpenBLAS treats as a Haswell
        ("fpu sse sse2 avx fma avx2", "AVX2"),
        ("fpu sse sse2 avx", "AVX"),
        ("fpu sse2", "SSE"),
        ("fp asimd", None),  # an ARM
        ("", None),
    ],
)
def test_the_widest_vectors_of_a_processor(flags, vectors, monkeypatch):
    monkeypatch.setattr(machine, "_cpuinfo", lambda field: flags)
    monkeypatch.setattr(machine.sys, "platform", "linux")
    assert machine.processor_vectors() == vectors


def test_a_mac_is_asked_for_its_vectors_by_sysctl(monkeypatch):
    told = subprocess.CompletedProcess([], 0, "FPU SSE2 AVX1.0 FMA\nAVX2 BMI2\n")
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    monkeypatch.setattr(machine.subprocess, "run", lambda *command, **options: told)
    assert machine.processor_vectors() == "AVX2"
    told.stdout = ""  # one with Apple's own processor
    assert machine.processor_vectors() is None


@pytest.mark.parametrize(
    ("forced", "kernels", "own", "told"),
    [
        ("Haswell", "Haswell", "AVX-512", True),
        ("Nehalem", "Nehalem", "AVX2", True),
        ("SkylakeX", "SkylakeX", "AVX-512", False),
        (None, "Haswell", "AVX-512", False),  # OpenBLAS's own choice
        ("Haswell", "Haswell", None, False),
        ("NEOVERSEN1", "neoversen1", None, False),
        ("Haswell", "", "AVX-512", False),
    ],
)
def test_older_kernels_that_a_variable_forces_are_told_with_loss_and_cure(forced, kernels, own, told, monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    if forced:
        monkeypatch.setenv("OPENBLAS_CORETYPE", forced)
    monkeypatch.setattr(machine, "blas_kernels", lambda: kernels)
    monkeypatch.setattr(machine, "processor_vectors", lambda: own)
    monkeypatch.setattr(machine, "cores_speed", lambda: 275e9)
    monkeypatch.setattr(machine, "_cores_speed_without", lambda variable: 457e9)
    text = forced_kernels()
    assert (text is not None) == told
    if told:
        assert text.startswith(f"OPENBLAS_CORETYPE={forced} makes OpenBLAS use ") and f"has {own}" in text
        assert "275 GFLOP/s instead of 457 GFLOP/s" in text and "'unset OPENBLAS_CORETYPE'" in text


def test_the_speed_of_a_process_without_a_variable_is_measured(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "no number")
    assert 1e7 < machine._cores_speed_without("OPENBLAS_NUM_THREADS") < 1e16


def test_the_kernels_are_those_of_the_variable():
    """Where the processor isn't one of Intel's or AMD's, or BLAS isn't OpenBLAS, the variable changes nothing."""
    program = "from minivdit.base import machine; print(machine.blas_kernels())"
    environment = {**machine.os.environ, "OPENBLAS_CORETYPE": "Nehalem"}
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert found in ("Nehalem", machine.blas_kernels())
