"""Which library, which device: chosen once, and a GPU that doesn't work is one clear line."""

import math
import sys
import threading
import types

import numpy as np
import pytest
import threadpoolctl

from minivdit.base import backend, machine
from minivdit.base.errors import InputError


@pytest.fixture(autouse=True)
def on_the_cpu_afterwards():
    yield
    backend.use("cpu")


def check_refused(*fragments):
    """--device gpu is refused in one line that holds the fragments; auto falls back to the CPU."""
    with pytest.raises(InputError) as caught:
        backend.use("gpu")
    message = str(caught.value)
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message
    assert backend.device_name() == "cpu"  # a refused choice changes nothing
    backend.use("auto")
    assert backend.xp() is np


def test_the_cpu_is_the_default_and_always_there():
    backend.use("cpu")
    assert backend.xp() is np
    assert backend.device_name() == "cpu"
    assert backend.array_module(np.zeros(2), None, 1.0) is np


def test_importing_the_package_does_not_import_cupy():
    import subprocess

    code = "import sys, minivdit.autograd, minivdit.base.backend; sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_unknown_device_is_refused():
    with pytest.raises(InputError, match="'cuda' is not a device; choose cpu, gpu or auto"):
        backend.use("cuda")


def test_cupy_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # makes the import fail
    check_refused("CuPy can't be imported", "pip install 'minivdit[cuda12]'", "cuda13")


def test_cupy_broken_on_import(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    (tmp_path / "cupy.py").write_text(
        "try:\n    raise OSError('libnvrtc.so.13: no such file')\n"
        "except OSError as error:\n"
        "    raise ImportError('\\n=====\\nFailed to import CuPy.\\n\\nPages of advice\\n=====') from error\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    check_refused("CuPy can't be imported", "libnvrtc.so.13: no such file", "pip install")


@pytest.mark.parametrize(
    ("devices", "fragments"),
    [
        (0, ("no GPU is present",)),
        (
            RuntimeError("\ncudaErrorInsufficientDriver: CUDA driver version is insufficient\nsecond line"),
            ("the GPU can't be used (cudaErrorInsufficientDriver", "install NVIDIA's driver or a newer one"),
        ),
        (RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected"), ("nvidia-smi",)),
        (RuntimeError("Failure finding 'libnvrtc.so'"), ("libnvrtc.so", "pip install", "bring NVRTC along")),
        (MemoryError("cudaErrorMemoryAllocation: out of memory"), ("end the programs that fill",)),
        (KeyError(), ("can't be used (KeyError)",)),
    ],
    ids=["no GPU", "driver", "no device", "NVRTC", "memory", "without words"],
)
def test_a_gpu_that_cannot_be_used_is_told_in_one_line(stand_in, monkeypatch, devices, fragments):
    stand_in.install(monkeypatch, devices=devices)
    check_refused(*fragments, "--device cpu")


def test_a_gpu_that_computes_nonsense(stand_in, monkeypatch):
    module = stand_in.install(monkeypatch)
    monkeypatch.setattr(module, "arange", lambda *sizes, dtype: module.zeros(sizes, dtype))
    check_refused("wrong results", "--device cpu")


def test_a_gpu_too_old_for_the_kernels_can_still_do_plain_cupy(stand_in, monkeypatch):
    stand_in.install(monkeypatch, architecture="61")
    check_refused("an sm_61", "need sm_75", "--kernels off", "--device cpu")
    backend.use("gpu", kernels=False)
    assert backend.device_name() == "gpu" and not backend.with_kernels()


@pytest.mark.parametrize("device", ["gpu", "auto"])
def test_a_gpu_that_works_is_chosen(stand_in, monkeypatch, device):
    module = stand_in.install(monkeypatch)
    backend.use(device)
    assert backend.xp() is module and backend.with_kernels()
    assert backend.device_name() == "gpu" and backend.thread_count() == 1
    there = backend.to_device(np.arange(3.0))
    assert backend.array_module(np.zeros(1), there) is module
    back = backend.to_numpy(there)
    assert type(back) is np.ndarray
    np.testing.assert_array_equal(back, [0, 1, 2])


def test_noise_depends_on_the_seed_only(stand_in, monkeypatch):
    on_cpu = backend.normal(np.random.default_rng(3), (2, 5))
    assert on_cpu.dtype == np.float32
    module = stand_in.install(monkeypatch)
    backend.use("gpu")
    on_gpu = backend.normal(np.random.default_rng(3), (2, 5))
    assert isinstance(on_gpu, module.ndarray)
    np.testing.assert_array_equal(backend.to_numpy(on_gpu), on_cpu)


def test_cpu_count_is_what_this_process_may_use(monkeypatch):
    assert backend.cpu_count() >= 1
    monkeypatch.setattr(backend, "cpu_quota", lambda: math.inf)
    monkeypatch.setattr(backend.os, "sched_getaffinity", lambda pid: {0, 5}, raising=False)
    assert backend.cpu_count() == 2
    for quota, cores in ((0.2, 1), (1.0, 1), (1.5, 2), (3.0, 2)):
        monkeypatch.setattr(backend, "cpu_quota", lambda quota=quota: quota)
        assert backend.cpu_count() == cores
    monkeypatch.setattr(backend, "cpu_quota", lambda: math.inf)
    monkeypatch.delattr(backend.os, "sched_getaffinity")
    monkeypatch.setattr(backend.os, "cpu_count", lambda: None)
    assert backend.cpu_count() == 1


@pytest.mark.parametrize(("sharing", "cores", "share"), [(1, 4, 1), (2, 2, 1), (4, 1, 1), (8, 1, 0.5)])
def test_ranks_share_cores_and_more_ranks_than_cores_share_each(monkeypatch, sharing, cores, share):
    """The speed that a training is promised counts no core twice."""
    monkeypatch.setattr(backend, "cpu_quota", lambda: 4)
    monkeypatch.setattr(backend.os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    monkeypatch.setitem(backend._state, "sharing_cores", sharing)
    monkeypatch.setattr(machine, "core_speed", lambda: 1e9)
    monkeypatch.setattr(backend, "thread_count", backend.cpu_count)
    assert (backend.cpu_count(), backend.core_share()) == (cores, share)
    assert machine.cores_speed() == 1e9 * cores * share


def tree(root, files):
    """A folder that holds these files, {path: text}, in place of a machine's / ."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


V1 = "12:memory:/docker/abc\n5:cpu,cpuacct:/docker/abc\n3:pids:/\n0::/\n"
CPU_LIMITS = {
    "nothing is told": ({}, math.inf),
    "none": ({"proc/self/cgroup": "0::/user.slice/a b", "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n"}, math.inf),
    "of a container": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
    "of an outer group": (
        {
            "proc/self/cgroup": "0::/a/b/c\n",
            "sys/fs/cgroup/a/b/c/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/a/cpu.max": "100000 50000\n",
            "sys/fs/cgroup/other/cpu.max": "1 100000\n",
        },
        2.0,
    ),
    "version 1": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        2.5,
    ),
    "version 1, seen from inside": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        0.5,
    ),
}


@pytest.mark.parametrize(("files", "cores"), CPU_LIMITS.values(), ids=CPU_LIMITS)
def test_a_containers_share_of_the_cores_is_found(tmp_path, files, cores):
    assert backend.cpu_quota(tree(tmp_path, files)) == cores


MEMORY_LIMITS = {
    "nothing is told": ({}, math.inf),
    "none": ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, math.inf),
    "version 2": (
        {
            "proc/self/cgroup": "0::/a/../b\n",
            "sys/fs/cgroup/a/b/memory.max": "9000\n",
            "sys/fs/cgroup/a/b/memory.current": "1000\n",
            "sys/fs/cgroup/a/b/memory.stat": "anon 800\ninactive_file 200\n",
            "sys/fs/cgroup/a/memory.max": "5000\n",
            "sys/fs/cgroup/a/memory.current": "4000\n",
            "sys/fs/cgroup/a/memory.stat": "anon 3500\ninactive_file 300\n",
        },
        1300,
    ),
    "version 1": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "7000\n",
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": "4000\n",
            "sys/fs/cgroup/memory/docker/abc/memory.stat": "inactive_file 1\ntotal_inactive_file 500\n",
        },
        3500,
    ),
}


@pytest.mark.parametrize(("files", "left"), MEMORY_LIMITS.values(), ids=MEMORY_LIMITS)
def test_what_a_container_leaves_of_the_memory_is_found(tmp_path, files, left):
    assert backend.memory_quota(tree(tmp_path, files)) == left


def test_blas_gets_no_more_threads_than_there_are_cores_to_use(monkeypatch):
    before = blas_thread_counts()
    if not before:
        pytest.skip("threadpoolctl knows no BLAS here")
    monkeypatch.setattr(backend, "cpu_count", lambda: 1)
    with backend._thread_pools().limit(limits=2):
        backend.limit_blas()
        assert set(blas_thread_counts()) == {1}
    assert blas_thread_counts() == before


def blas_thread_counts():
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


def test_blas_threads_are_limited_inside_the_block_only():
    np.ones((4, 4)) @ np.ones((4, 4))
    before = blas_thread_counts()
    if not before:
        pytest.skip("threadpoolctl knows no BLAS here")
    with backend.blas_threads(1):
        assert set(blas_thread_counts()) == {1}
    assert blas_thread_counts() == before


def test_blas_threads_stay_limited_until_the_last_thread_that_asked_has_left():
    before, begun, leave = blas_thread_counts(), threading.Event(), threading.Event()

    def other():
        with backend.blas_threads(1):
            begun.set()
            leave.wait(10)

    with backend.blas_threads(1):
        (thread := threading.Thread(target=other)).start()
        assert begun.wait(10)
    assert set(blas_thread_counts()) <= {1}
    with backend.blas_threads(2):
        assert backend._blas_limit.count == 2
    assert backend._blas_limit.count == 1
    leave.set()
    thread.join()
    assert blas_thread_counts() == before


def test_the_allocator_is_tuned_with_values_that_glibc_takes(monkeypatch):
    calls = []

    def library(answer):
        return lambda name: types.SimpleNamespace(mallopt=lambda *pair: calls.append(pair) or answer)

    monkeypatch.setattr(backend.sys, "platform", "linux")
    monkeypatch.setattr(backend.ctypes, "CDLL", library(1))
    assert backend.tune_allocator() is True
    assert sorted(option for option, _ in calls) == [-3, -2, -1]
    assert dict(calls)[-3] == 32 << 20  # a larger mmap threshold is refused
    monkeypatch.setattr(backend.ctypes, "CDLL", library(0))
    assert backend.tune_allocator() is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_the_allocator_is_really_tuned_on_glibc():
    import platform

    if platform.libc_ver()[0] != "glibc":
        pytest.skip("this Linux doesn't use glibc")
    assert backend.tune_allocator() is True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_huge_pages_are_asked_for_wherever_malloc_keeps_arrays(monkeypatch):
    calls = []
    for answer in (0, -1):
        library = types.SimpleNamespace(madvise=lambda *asked, answer=answer: calls.append(asked) or answer)
        monkeypatch.setattr(backend.ctypes, "CDLL", lambda name, library=library: library)
        assert backend._use_huge_pages() is (answer == 0)
    assert calls and {advice for _, _, advice in calls} == {14}
    assert all(start.value % 4096 == 0 and length.value > 0 for start, length, _ in calls)


def test_the_allocator_is_left_alone_elsewhere(monkeypatch):
    def missing(name):
        raise OSError("no such library")

    with monkeypatch.context() as patch:
        patch.setattr(backend.sys, "platform", "linux")
        patch.setattr(backend.ctypes, "CDLL", missing)
        assert backend.tune_allocator() is False
        patch.setattr(backend.ctypes, "CDLL", lambda name: object())  # musl: a libc without mallopt
        assert backend.tune_allocator() is False
    with monkeypatch.context() as patch:
        patch.setattr(backend.sys, "platform", "darwin")
        assert backend.tune_allocator() is False
