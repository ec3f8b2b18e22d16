"""kernels/warpgroup_on_cpu.h: multiplies as the PTX manual says, whatever the layout, and catches what it forbids."""

import ctypes
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from minivdit.kernels import inline_headers
from minivdit.kernels.compile import compile_file, compilers
from minivdit.kernels.describe import Function, KernelFile, address
from minivdit.kernels.emulate import Emulation, EmulationError
from minivdit.kernels.formats import to_float32, to_format

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
SEEDS = (0, 1, 2)
TEXT = (Path(__file__).parent / "warpgroup.cu").read_text()


class Arguments(ctypes.Structure):
    _fields_ = [
        *[(name, ctypes.c_void_p) for name in ("a", "b", "c")],
        *[(name, ctypes.c_ulonglong) for name in ("left", "right")],
        *[(name, ctypes.c_int) for name in ("count", "add")],
    ]


def file(name, shared_bytes, instances, threads=128):
    function = Function(name, threads, lambda a, instance: 1, lambda instance: shared_bytes)
    return KernelFile("warpgroup", (function,), Arguments, "Arguments", tuple(range(instances)), 90, (), "90a")


MULTIPLY, PIPELINE, FORBIDDEN = file("multiply", 65536, 24), file("pipeline", 24576, 1), file("forbidden", 65536, 15)


def run(kernel, instance, arguments, replace=(), **options):
    """Run one kernel of warpgroup.cu, with each (old, new) in `replace` planted in its text."""
    text = inline_headers(TEXT, "warpgroup.cu")
    for old, new in replace:
        assert text.count(old) == 1, f"{old!r} isn't there once"
        text = text.replace(old, new)
    (function,) = kernel.functions
    Emulation(sources={"warpgroup": text}, **options).run(kernel, function, instance, 1, arguments)


class Layout:
    """Where the numbers of a factor lie in shared memory: a canonical layout of the PTX manual, chosen by chance.

    pieces: of 16 bytes in a row that is swizzled (8, 4 or 2), or 1. Offsets count numbers of 2 bytes.
    """

    MODE = {1: 0, 8: 1, 4: 2, 2: 3}

    def __init__(self, generator, across, pieces, count, first):
        atom = 8 * 8 * pieces  # eight rows
        groups = -(-count // (8 * pieces if across else 8)), 2  # along the rows or columns, and along the depth
        apart = atom * (1 + generator.integers(2) * (count < 128))
        if generator.integers(2) and (across or pieces == 1):
            strides = apart * groups[1], apart
        else:
            strides = apart, apart * groups[0]
        start = first + generator.integers(3) * atom
        if not across and pieces > 1:
            start += 16 * generator.integers(pieces // 2)  # another 16 numbers of the same rows
        n, k = np.arange(count)[:, None], np.arange(16)
        if across:  # ((8, pieces, m), (8, 2)) : ((1, 8, strides[0]), (8 pieces, strides[1]))
            offset = n % (8 * pieces) + n // (8 * pieces) * strides[0] + k % 8 * 8 * pieces + k // 8 * strides[1]
            leading, stride = strides if pieces > 1 else strides[::-1]
        elif pieces > 1:  # ((8, m), 16) : ((8 pieces, strides[0]), 1)
            offset = n % 8 * 8 * pieces + n // 8 * strides[0] + k
            leading, stride = generator.integers(100) * 8, strides[0]  # the first isn't looked at
        else:  # ((8, m), (8, 2)) : ((8, strides[0]), (1, strides[1]))
            offset = n % 8 * 8 + n // 8 * strides[0] + k % 8 + k // 8 * strides[1]
            leading, stride = strides[::-1]
        place = 2 * (start + offset)
        self.place = (place ^ (place >> 7 & pieces - 1) << 4) // 2
        assert np.unique(self.place).size == self.place.size
        fields = ((int(start), 0), (int(leading), 16), (int(stride), 32))
        self.descriptor = sum((2 * number >> 4) << bit for number, bit in fields) | self.MODE[pieces] << 62


@needs_gxx
@pytest.mark.parametrize("case", range(24))
def test_products_of_factors_in_any_canonical_layout(case):
    across, from_registers = case // 3 % 2, case // 6 % 2
    columns, dtype = 32 << case % 3, "bfloat16" if case // 12 else "float16"
    for seed, (pieces_of_left, pieces) in enumerate(itertools.product((1, 2, 4, 8), repeat=2)):
        if from_registers and pieces_of_left > 1:
            continue
        generator = np.random.default_rng(seed)
        a, b = (to_format(generator.standard_normal((n, 16), np.float32), dtype) for n in (64, columns))
        left, right = Layout(generator, False, pieces_of_left, 64, 0), Layout(generator, across, pieces, columns, 16384)
        memory = np.full(32768, 0xFFFF, np.uint16)  # NaN
        memory[left.place], memory[right.place] = a.view(np.uint16), b.view(np.uint16)
        c = generator.standard_normal((64, columns), np.float32)
        add = seed % 3 > 0
        want = add * c + to_float32(a, dtype).astype(np.float64) @ to_float32(b, dtype).T
        arguments = Arguments(*map(address, (a, memory, c)), left.descriptor, right.descriptor, 1, add)
        run(MULTIPLY, case, arguments, seed=seed, copies_land_late=seed % 2 == 0)
        np.testing.assert_allclose(c, want, rtol=1e-6, atol=2e-6)


def pipeline(seed=0, copies_land_late=True, replace=()):
    """Largest error of the double-buffered product."""
    generator = np.random.default_rng(seed)
    a = generator.standard_normal((64, 4 * 64)).astype(np.float16)
    b = generator.standard_normal((4 * 64, 32)).astype(np.float16)
    c = np.full((64, 32), np.nan, np.float32)
    arguments = Arguments(*map(address, (a, b, c)), 0, 0, 4, 0)
    run(PIPELINE, 0, arguments, replace, seed=seed, copies_land_late=copies_land_late)
    return np.abs(c - a.astype(np.float64) @ b.astype(np.float64)).max()


@needs_gxx
@pytest.mark.parametrize("copies_land_late", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_products_and_copies_in_turn(seed, copies_land_late):
    assert pipeline(seed, copies_land_late) < 1e-4


WAIT = "        warpgroup_wait<0>(sum);\n    }"
PLANTED = {
    "no fence between copies and products": [("        async_proxy_fence();\n        __syncthreads(); // this", "//")],
    "no barrier": [("__syncthreads(); // this step is there, and the one before has been read", "")],
    "copies that haven't landed": [("        copy_async_wait<0>();\n        async", "        async")],
    "a buffer overwritten while it is read": [
        (WAIT, "        if (step + 1 == arguments.count)\n    " + WAIT),
        ("        warpgroup_fence(sum);\n        Desc", "        if (step == 0)\n warpgroup_fence(sum);\n        Desc"),
    ],
    "a sum read too early": [(WAIT, "        if (step + 1 == arguments.count)\n break;\n" + WAIT)],
    "no fence for the registers": [("        warpgroup_fence(sum);\n        Desc", "        Desc")],
    "no wait": [(WAIT, "    }")],
    "a short wait": [(WAIT, WAIT.replace("<0>", "<1>"))],
    "no commit": [("        warpgroup_commit();\n" + WAIT, WAIT)],
    "another swizzle": [("COLUMNS == 64 ? SWIZZLE_128_BYTES", "COLUMNS == 64 ? SWIZZLE_64_BYTES")],
    "no swizzle where it is written": [("8 * (piece % PLACES ^ turn)", "8 * (piece % PLACES)")],
    "a wrong stride": [
        ("return matrix_descriptor(numbers, PANEL_BYTES, 8", "return matrix_descriptor(numbers, 16, 16")
    ],
    "a wrong step": [("moved(across, 16 * step * ROW_BYTES)", "moved(across, 8 * step * ROW_BYTES)")],
    "across the depth instead of along it": [("wgmma<true>(float16()", "wgmma<false>(float16()")],
}


@needs_gxx
@pytest.mark.parametrize("bug", PLANTED)
def test_a_bug_in_a_pipeline_is_caught_under_some_seed(bug):
    def caught(seed, late):
        try:
            return not pipeline(seed, late, PLANTED[bug]) < 1e-2  # NaN is wrong, too
        except EmulationError:
            return True

    assert any(caught(seed, late) for seed in SEEDS for late in (True, False))


NO_FENCE = "registers that no warpgroup_fence names since a wait, or since they were written"
RULES = (
    NO_FENCE,
    NO_FENCE,
    NO_FENCE,
    "pattern of 8 rows of 128 bytes doesn't begin at a multiple of 1024",
    r"reads \d+ bytes past the end of shared memory",
    "bits set that mean nothing",
    "didn't do the same as others of its warpgroup",
    "didn't do the same as others of its warpgroup",
    "registers of a sum were written while the product of line {product} was under way",
    "registers of a left factor were written while the product of line {product} was under way",
    "warpgroup_fence names registers that the product of line {product}, still under way, uses",
    "warpgroup_wait names registers that the product of line {product}, still under way, uses",
    "a thread returned while a product of its warpgroup was under way",
    "warpgroup_wait names registers that the product of line {product}, still under way, uses",
    NO_FENCE,
)


@needs_gxx
@pytest.mark.parametrize("rule", range(len(RULES)))
def test_what_ptx_forbids_is_an_error(rule):
    product = 1 + TEXT[: TEXT.index("// the product")].count("\n")
    c = np.zeros(128, np.float32)
    with pytest.raises(EmulationError, match=RULES[rule].format(product=product)):
        run(FORBIDDEN, rule, Arguments(None, None, address(c)))


@needs_gxx
def test_a_block_that_is_not_made_of_whole_warpgroups_is_an_error():
    c = np.zeros(128, np.float32)
    with pytest.raises(EmulationError, match="a block of 96 threads isn't made of whole warpgroups"):
        run(file("forbidden", 65536, 15, threads=96), 14, Arguments(None, None, address(c)))


@pytest.mark.skipif(not compilers(), reason="neither nvcc nor NVRTC (pip install 'minivdit[cuda13]')")
def test_every_instruction_of_the_header_is_accepted():
    (*_, report) = compile_file(MULTIPLY, ("90", "90a"), text=inline_headers(TEXT, "warpgroup.cu"))
    assert report.architecture == "90a"
