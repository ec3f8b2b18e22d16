"""kernels/cuda_on_cpu.h: does what CUDA and PTX say, and catches what they forbid."""

import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest

from minivdit.kernels import inline_headers
from minivdit.kernels.describe import Function, KernelFile, address
from minivdit.kernels.emulate import Emulation, EmulationError

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
SEEDS = (0, 1, 2)


class Arguments(ctypes.Structure):
    _fields_ = [*[(name, ctypes.c_void_p) for name in ("a", "b", "c", "again")], ("count", ctypes.c_int)]


SHARED = {"multiply": 1024, "pipeline": 6144, "reduce": 256, "forbidden": 256}
THREADS = {"multiply": 32, "pipeline": 64, "exchange": 32, "round_trip": 32, "reduce": 64, "forbidden": 64}
FUNCTIONS = {
    name: Function(name, threads, lambda a, instance: a.count, lambda instance, name=name: SHARED.get(name, 0))
    for name, threads in THREADS.items()
}
FILE = KernelFile("instructions", tuple(FUNCTIONS.values()), Arguments, "Arguments", instances=tuple(range(10)))
TEXT = (Path(__file__).parent / "instructions.cu").read_text()


def run(name, a, b=None, c=None, again=None, count=1, instance=0, blocks=1, replace=(), **options):
    """Run one kernel of instructions.cu, with each (old, new) in `replace` planted in its text."""
    text = inline_headers(TEXT, "instructions.cu")
    for old, new in replace:
        assert text.count(old) == 1, f"{old!r} isn't there once"
        text = text.replace(old, new)
    arguments = Arguments(*[None if array is None else address(array) for array in (a, b, c, again)], count)
    emulation = Emulation(sources={"instructions": text}, **options)
    emulation.run(FILE, FUNCTIONS[name], instance, blocks, arguments)


def bits_of_bfloat16(x):
    """Bits of float32 numbers rounded to bfloat16: to nearest, ties to even."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def as_float(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded_to_tf32(x):
    return ((x.view(np.uint32) + 0x1000) & np.uint32(0xFFFFE000)).view(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("instance", "depth"), [(0, 16), (1, 16), (2, 8), (3, 8)])
def test_mma_and_ldmatrix_make_a_matrix_product(instance, depth, seed):
    generator = np.random.default_rng(seed)
    a, b = (generator.standard_normal(shape).astype(np.float32) for shape in ((16, depth), (depth, 8)))
    if instance == 3:
        given, exact = (a, b), (rounded_to_tf32(a), rounded_to_tf32(b))
    elif instance == 1:
        given = bits_of_bfloat16(a), bits_of_bfloat16(b)
        exact = as_float(given[0]), as_float(given[1])
    else:
        given = exact = a.astype(np.float16), b.astype(np.float16)
    start = generator.standard_normal((16, 8)).astype(np.float32)
    c, again = start.copy(), np.full((16, 8), np.nan, np.float32)
    run("multiply", *given, c, again, instance=instance, seed=seed)
    want = start + exact[0].astype(np.float64) @ exact[1].astype(np.float64)
    np.testing.assert_allclose(c, want, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(again, c)


def pipeline(seed=0, copies_land_late=True, replace=()):
    """Largest error of the double-buffered product."""
    generator = np.random.default_rng(seed)
    a = generator.standard_normal((16, 4 * 64)).astype(np.float16)
    b = generator.standard_normal((4 * 64, 8)).astype(np.float16)
    c, again = np.full((2, 16, 8), np.nan, np.float32)
    run("pipeline", a, b, c, again, count=4, seed=seed, copies_land_late=copies_land_late, replace=replace)
    return np.abs(c + again - a.astype(np.float64) @ b.astype(np.float64)).max()


@pytest.mark.parametrize("copies_land_late", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_asynchronous_copies_and_swizzles_make_a_matrix_product(seed, copies_land_late):
    assert pipeline(seed, copies_land_late) < 1e-4


PLANTED = {
    "a wait that leaves the copies under way": ("copy_async_wait<1>();", "copy_async_wait<2>();"),
    "a commit forgotten": ("    copy_async_commit();\n}", "}"),
    "no barrier after the copies landed": ("__syncthreads(); // this step is there", ""),
    "no barrier before a buffer is used again": ("__syncthreads(); // this step has been read", ""),
    "a swizzle that the reader doesn't know": ("swizzled(row, depth / 8 + lane / 16)", "depth + lane / 16 * 8"),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_bug_in_a_pipeline_is_caught_under_some_seed(bug):
    wrong = [
        not pipeline(seed, late, replace=[PLANTED[bug]]) < 1e-2  # NaN is wrong, too
        for seed in SEEDS
        for late in (True, False)
    ]
    assert any(wrong)


def test_copies_that_land_at_once_hide_a_short_wait_and_late_ones_show_it():
    bug = [PLANTED["a wait that leaves the copies under way"]]
    assert pipeline(copies_land_late=False, replace=bug) < 1e-4
    assert not pipeline(copies_land_late=True, replace=bug) < 1e-2


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffles_and_votes(seed):
    a = np.random.default_rng(seed).standard_normal(32).astype(np.float32)
    c = np.full(192, np.nan, np.float32)
    run("exchange", a, c=c, seed=seed)
    lane = np.arange(32)
    np.testing.assert_array_equal(c[:32], a[(lane + 5) % 32])
    np.testing.assert_array_equal(c[32:64], a[lane ^ 9])
    np.testing.assert_array_equal(c[64:96], np.where(lane + 3 < 32, a[np.minimum(lane + 3, 31)], a))
    np.testing.assert_array_equal(c[96:128], np.where(lane >= 7, a[lane - 7], a))
    np.testing.assert_array_equal(c[128:160], a > 0)
    np.testing.assert_array_equal(c[160:176], a[:16][lane[:16] ^ 1])
    assert np.isnan(c[176:]).all()


def test_numbers_are_rounded_to_16_bits_as_numpy_does():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)].astype(np.float32)
    between = np.nextafter(every, np.inf, dtype=np.float32)
    halfway = ((every[:-1].astype(np.float64) + every[1:]) / 2).astype(np.float32)  # ties
    wild = np.random.default_rng(0).standard_normal(4096).astype(np.float32) * 10.0 ** np.arange(-32, 32).repeat(64)
    special = [np.inf, -np.inf, 65519.9, 65520.0, -0.0, 3.4e38, 1e-45]
    a = np.concatenate([every, between, halfway, wild, special]).astype(np.float32)
    c, again = np.full((2, a.size), np.nan, np.float32)
    run("round_trip", a, c=c, again=again, count=a.size)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(c, a.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(again, as_float(bits_of_bfloat16(a)))
    a, c, again = np.full((3, 1), np.nan, np.float32)
    c[:] = again[:] = 0
    run("round_trip", a, c=c, again=again)
    assert np.isnan(c[0]) and np.isnan(again[0])


def reduce(**options):
    a = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    c = np.full(3, np.nan, np.float32)
    run("reduce", a, c=c, blocks=3, **options)
    return np.abs(c - a.sum(1)).max()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sum_in_shared_memory(seed):
    assert reduce(seed=seed) < 1e-5


def test_a_missing_barrier_is_caught():
    assert not reduce(replace=[("__syncthreads(); // the numbers are there", "")]) < 1e-2


RULES = (
    r"threads 0 to 31 waiting at __syncthreads, .*; threads 32 to 63 returned",
    r"threads 0 to 4 waiting at __syncthreads.* thread 5 returned; threads 6 to 63 waiting",
    r"not all threads of the block meet: threads 0 to 31 waiting .*; threads 32 to 63 waiting",
    r"thread 0 returned; thread 1 waiting at __syncwarp",
    r"__syncwarp with mask 0x55555555, in which this thread itself is missing",
    r"__shfl_xor_sync from lane \d+, which isn't in mask 0xffff",
    r"an asynchronous copy of 16 bytes from or to an address that isn't a multiple of 16",
    r"an asynchronous copy to an address outside shared memory",
    r"a store of 16 bytes to an address that isn't a multiple of 16",
    r"a store of 8 bytes to an address that isn't a multiple of 8",
)


@pytest.mark.parametrize("rule", range(len(RULES)))
def test_what_cuda_forbids_is_an_error_with_thread_and_line(rule):
    line = 1 + TEXT[: TEXT.index(f"// rule {rule}:")].count("\n")
    a, c = np.zeros((2, 64), np.float32)
    with pytest.raises(EmulationError, match=RULES[rule]) as caught:
        run("forbidden", a, c=c, instance=rule)
    assert f"instructions.cu line {line}" in str(caught.value) and "block 0: " in str(caught.value)


def test_a_launch_with_another_size_of_shared_memory_is_an_error(monkeypatch):
    monkeypatch.setitem(SHARED, "reduce", 128)
    with pytest.raises(EmulationError, match="the kernel uses 256 bytes of shared memory, the launch gives it 128"):
        reduce()


def test_arguments_of_another_size_are_an_error():
    class Longer(Arguments):
        _fields_ = [("more", ctypes.c_int)]

    with pytest.raises(EmulationError, match="another size in Python"):
        text = inline_headers(TEXT, "instructions.cu")
        Emulation(sources={"instructions": text}).run(FILE, FUNCTIONS["reduce"], 0, 1, Longer())
