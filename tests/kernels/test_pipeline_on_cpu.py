"""kernels/pipeline_on_cpu.h: producers and consumers wait for each other as PTX says, and bugs in that are caught."""

import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.kernels import inline_headers
from minivdit.kernels.compile import compile_file, compilers
from minivdit.kernels.describe import Function, KernelFile, address
from minivdit.kernels.emulate import Emulation, EmulationError

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
needs_compiler = pytest.mark.skipif(not compilers(), reason="neither nvcc nor NVRTC (pip install 'minivdit[cuda13]')")
SEEDS = (0, 1, 2)
TEXT = (Path(__file__).parent / "pipeline.cu").read_text()


class Arguments(ctypes.Structure):
    _fields_ = [
        *[(name, ctypes.c_void_p) for name in ("a", "b", "c", "turns", "sums")],
        ("count", ctypes.c_int),
    ]


def file(name, threads, shared_bytes, instances):
    function = Function(name, threads, lambda a, instance: 1, lambda instance: shared_bytes)
    return KernelFile("pipeline", (function,), Arguments, "Arguments", tuple(range(instances)), 90, (), "90a")


PIPELINE, FORBIDDEN = file("pipeline", 384, 43008, 1), file("forbidden", 128, 16, 11)


def planted(replace):
    """The text with each (old, new) in it."""
    text = inline_headers(TEXT, "pipeline.cu")
    for old, new in replace:
        assert text.count(old) == 1, f"{old!r} isn't there once"
        text = text.replace(old, new)
    return text


def run(kernel, instance, arguments, replace=(), **options):
    Emulation(sources={"pipeline": planted(replace)}, **options).run(
        kernel, kernel.functions[0], instance, 1, arguments
    )


def is_right(seed=0, copies_land_late=True, replace=()):
    """Whether the product, the turns and the numbers that came along are what they should be."""
    generator = np.random.default_rng(seed)
    count = 5
    a = generator.standard_normal((128, count * 64)).astype(np.float16)
    b = generator.standard_normal((count * 64, 32)).astype(np.float16)
    c = np.full((128, 32), np.nan, np.float32)
    turns, sums = np.full(2 * count, -1, np.int32), np.full(256, -1, np.int32)
    arguments = Arguments(*map(address, (a, b, c, turns, sums)), count)
    run(PIPELINE, 0, arguments, replace, seed=seed, copies_land_late=copies_land_late)
    return (
        np.abs(c - a.astype(np.float64) @ b.astype(np.float64)).max() < 1e-4
        and np.array_equal(turns, np.arange(2 * count) % 2)
        and np.array_equal(sums, 1000 * count * (count - 1) // 2 + count * (np.arange(256) % 128))
    )


@needs_gxx
@pytest.mark.parametrize("copies_land_late", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_warpgroup_copies_and_two_take_turns_at_multiplying(seed, copies_land_late):
    assert is_right(seed, copies_land_late)


ARRIVE_EMPTY = "if (threadIdx.x % 32 == 0)\n            mbarrier_arrive(shared.empty[stage]);"
PLANTED = {
    "nobody says that a stage is full": [("mbarrier_arrive(shared.full[stage]);", "")],
    "one warp doesn't say that a stage is full": [
        ("mbarrier_arrive(shared.full[stage]);", "if (thread < 96)\n mbarrier_arrive(shared.full[stage]);")
    ],
    "one warp says for all that a stage is full": [
        ("mbarrier_arrive(shared.full[stage]);", "if (thread < 32)\n mbarrier_arrive(shared.full[stage]);"),
        ("mbarrier_init(shared.full[stage], 128)", "mbarrier_init(shared.full[stage], 32)"),
    ],
    "nobody says that a stage is empty": [(ARRIVE_EMPTY, "")],
    "one warpgroup says for both that a stage is empty": [
        (ARRIVE_EMPTY, ARRIVE_EMPTY.replace("(threadIdx.x % 32", "(group == 0 && threadIdx.x % 32")),
        ("mbarrier_init(shared.empty[stage], 4 * GROUPS)", "mbarrier_init(shared.empty[stage], 4)"),
    ],
    "consumers wait for the wrong phase": [
        ("shared.full[stage], round.parity)", "shared.full[stage], round.parity ^ 1)")
    ],
    "producers wait for the wrong phase": [
        ("shared.empty[stage], round.parity ^ 1)", "shared.empty[stage], round.parity)")
    ],
    "a parity that never changes": [("stage = 0, parity ^= 1", "stage = 0")],
    "consumers don't wait": [("mbarrier_wait(shared.full[stage], round.parity);", "")],
    "producers don't wait": [("mbarrier_wait(shared.empty[stage], round.parity ^ 1);", "")],
    "a stage is given back before it is read": [
        ("        warpgroup_wait<0>(sum);\n", ""),
        (ARRIVE_EMPTY, ARRIVE_EMPTY + "\n warpgroup_wait<0>(sum);"),
    ],
    "a lane gives back what its neighbours haven't read": [("__syncwarp(); // all lanes have read theirs", "")],
    "no fence between copies and products": [("async_proxy_fence(); // wgmma may read it", "")],
    "a fence before the copies have landed": [
        ("copy_async_wait<0>();\n", ""),
        ("async_proxy_fence(); // wgmma may read it", "async_proxy_fence(); copy_async_wait<0>();"),
    ],
    "copies that haven't landed": [("copy_async_wait<0>();", "")],
    "nobody waits for a turn": [("named_barrier_wait<256>(1 + group); // my turn", "")],
    "nobody gets the first turn": [("named_barrier_arrive<256>(1); // the first turn", ";")],
    "a turn that isn't passed on": [("named_barrier_arrive<256>(1 + (group ^ 1));", ";")],
    "a turn passed on to oneself": [
        ("named_barrier_arrive<256>(1 + (group ^ 1));", "named_barrier_arrive<256>(1 + group);")
    ],
    "barriers used before they are ready": [("__syncthreads(); // the barriers are ready", "")],
    "registers for three warps of a warpgroup": [
        ("take_registers<232>();", "if (threadIdx.x % 128 < 96)\n take_registers<232>();")
    ],
}


@needs_gxx
@pytest.mark.parametrize("bug", PLANTED)
def test_a_bug_in_a_pipeline_is_caught_under_some_seed(bug):
    def caught(seed, late):
        try:
            return not is_right(seed, late, PLANTED[bug])
        except EmulationError:
            return True

    assert any(caught(seed, late) for seed in SEEDS for late in (True, False))


@needs_gxx
def test_a_deadlock_says_who_waits_where():
    def line(text):
        return 1 + TEXT[: TEXT.index(text)].count("\n")

    consumer = line("mbarrier_wait(shared.full[stage]")
    with pytest.raises(EmulationError) as caught:
        is_right(replace=PLANTED["nobody says that a stage is full"])
    assert f"threads 0 to 255 waiting at mbarrier_wait(..., 0), pipeline.cu line {consumer}" in str(caught.value)
    producer = line("mbarrier_wait(shared.empty[stage]")
    assert f"threads 256 to 383 waiting at mbarrier_wait(..., 0), pipeline.cu line {producer}" in str(caught.value)


RULES = (
    "an mbarrier that nobody has initialised",
    "an mbarrier for 0 arrivals",
    "an mbarrier outside shared memory",
    "a parity of 2",
    "named barrier 0: there are 1 to 15, and 0 is __syncthreads's",
    "named barrier 1 for 48 threads, which aren't whole warps of the block",
    r"named barrier 1 for \d+ threads, when others are there for \d+",
    "this thread arrives at named barrier 2 again, before the others have",
    "didn't do the same as others of its warpgroup",
    r"threads 0 to 127 waiting at mbarrier_wait\(..., 0\)",
    "threads 0 to 95 waiting at named_barrier_wait, pipeline.cu line .*; threads 96 to 127 returned",
)


@needs_gxx
@pytest.mark.parametrize("rule", range(len(RULES)))
def test_what_is_forbidden_or_never_ends_is_an_error(rule):
    with pytest.raises(EmulationError, match=RULES[rule]):
        run(FORBIDDEN, rule, Arguments())


@needs_compiler
def test_every_instruction_of_the_header_is_accepted():
    (report,) = compile_file(PIPELINE, ("90a",), text=planted(()))
    assert report.spilled_bytes == 0 and report.registers == 168  # of a block's 384 threads, before they change hands


@needs_compiler
def test_instructions_that_the_assembler_leaves_out_are_an_error():
    without_blocks = [("__launch_bounds__(384, 1)", "__launch_bounds__(384)")]
    with pytest.raises(InputError, match=r"pipeline for sm_90a: .*'setmaxnreg' ignored"):
        compile_file(PIPELINE, ("90a",), text=planted(without_blocks))
