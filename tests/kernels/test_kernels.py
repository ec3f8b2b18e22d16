"""The CUDA sources: found, described, and what their text says."""

import re

import pytest

from minivdit import kernels
from minivdit.base.errors import InputError
from minivdit.kernels import attention, fused
from minivdit.kernels.catalogue import FILES
from minivdit.kernels.describe import Rows


def test_every_file_is_described_and_holds_the_functions_named_after_it():
    assert sorted(FILES) == kernels.names()
    for file in FILES.values():
        functions = re.findall(r"__global__ void (?:__launch_bounds__\([^)]*\) )?(\w+)\(", kernels.source(file.name))
        assert functions == [function.name for function in file.functions]
        assert all(name.startswith(file.name) for name in functions)


def test_every_file_says_its_idea_its_limit_and_how_to_run_it():
    for name in kernels.names():
        text = kernels.source(name)
        head = text[: text.index("*/")]
        for word in ("Idea.", "Arithmetic intensity.", "Expected limit:", "Launch:", "Run: minivdit kernels"):
            assert word in head, (name, word)


def test_an_unknown_kernel_is_an_error_that_lists_the_known_ones():
    with pytest.raises(InputError, match="attention_forward_1_naive"):
        kernels.source("attention_forward_99")


def test_headers_are_put_in_place_once_and_keep_their_line_numbers():
    text = kernels.whole_source("attention_forward_3_tiles")
    assert not re.search(r'#include "(common|attention|tiles).cuh"', text) and "#pragma once" not in text
    assert text.count("struct Work {") == 1
    file, line = None, 0
    for row in text.splitlines():
        if mark := re.fullmatch(r'#line (\d+) "(.*)"', row):
            line, file = int(mark.group(1)) - 1, mark.group(2)
            continue
        line += 1
        original = (kernels.folder() / file).read_text().splitlines()[line - 1]
        assert row in (original, ""), f"{file} line {line}"


def test_inline_ptx_stands_in_three_headers_only_and_nothing_includes_a_standard_library():
    for path in kernels.folder().glob("*.cu*"):
        text = path.read_text()
        has_ptx = path.name in ("common.cuh", "warpgroup.cuh", "pipeline.cuh")
        assert has_ptx or "asm" not in re.findall(r"\basm\b", text), path.name
        assert not re.search(r"#include <", text), path.name


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_shared_memory_fits_the_oldest_gpu(file):
    from minivdit.kernels.compile import SHARED_BYTES

    for function in file.functions:
        for instance in file.instances:
            assert function.shared_bytes(instance) <= SHARED_BYTES[str(file.architecture)]


# Blocks that one multiprocessor of an sm_80, sm_86 (or 89) and sm_90 has shared memory for, at widths 32, 64 and 128.
# Registers are cut to two blocks where tensor cores multiply: more than two only helps rungs that need fewer. A block
# of forward rung 9 takes them all.
BLOCKS_TOGETHER = {
    "attention_forward_2_online": ((6, 3, 9), (4, 3, 6), (3, 2, 4)),
    "attention_forward_3_tiles": ((4, 2, 5), (2, 1, 4), (2, 1, 3)),
    "attention_forward_4_tensor_cores": ((10, 6, 14), (5, 3, 8), (3, 1, 4)),
    "attention_forward_4b_split_floats": ((6, 3, 9), (3, 2, 4), (2, 1, 3)),
    "attention_forward_5_swizzled": ((12, 7, 17), (6, 3, 9), (3, 2, 4)),
    "attention_forward_6_async": ((7, 4, 10), (3, 2, 5), (2, 1, 2)),
    "attention_forward_7_trimmed": ((6, 3, 8), (3, 2, 4), (2, 1, 3)),
    "attention_forward_8_wgmma": ((6, 3, 8), (3, 2, 4), (1, 0, 1)),
    "attention_forward_9_specialised": ((3, 2, 4), (1, 1, 2), (1, 0, 1)),
    "attention_backward_2_tiles": ((2, 1, 3), (2, 1, 3), (3, 1, 4)),
    "attention_backward_3_tensor_cores": ((9, 5, 12), (6, 3, 8), (3, 2, 5)),
    "attention_backward_3b_split_floats": ((4, 2, 6), (3, 2, 4), (2, 1, 2)),
    "attention_backward_4_async": ((6, 3, 8), (3, 2, 4), (2, 1, 3)),
    "attention_backward_5_wgmma": ((3, 1, 4), (1, 1, 2), (0, 0, 1)),
}


@pytest.mark.parametrize(
    "name", [name for name, file in attention.FILES.items() if file.functions[-1].shared_bytes(64)]
)
def test_so_many_blocks_share_a_multiprocessor(name):
    from minivdit.kernels.compile import SHARED_BYTES

    def together(architecture, width):
        kept = 1024  # of each block's shared memory, for the system; a multiprocessor has one block's most, and this
        largest = max(function.shared_bytes(width) for function in FILES[name].functions)
        return (SHARED_BYTES[architecture] + kept) // (-(-largest // 128) * 128 + kept)

    for width, expected in zip((32, 64, 128), BLOCKS_TOGETHER[name], strict=True):
        assert tuple(together(architecture, width) for architecture in ("80", "86", "90")) == expected, width
        assert together("89", width) == expected[1]


def test_blocks_cover_all_rows():
    for file in attention.FILES.values():
        for function in file.functions:
            for width in file.instances:
                sizes = [{"batch": 2, "heads": 3, "queries": n, "keys": n} for n in (1, 2, 3000)]
                given = [file.arguments(**size, query_time=Rows(data=1)) for size in sizes]  # as if there were times
                one, same, more = (function.blocks(arguments, width) for arguments in given)
                assert one % 6 == 0 and 6 <= one <= same < more, function.name
                without = function.blocks(file.arguments(**sizes[0]), width)
                assert without == (0 if function.name.endswith("_ranges") else one)


def test_blocks_beside_attention_cover_everything():
    forward, _, sums = fused.FILES["normalise_and_modulate"].functions
    arguments = fused.Modulate(groups=3, tiles=5, width=100)
    assert forward.blocks(arguments, 128) == 15 and sums.blocks(arguments, 128) == 3 * 4
    forward, _, sums = fused.FILES["bias_gelu"].functions
    arguments = fused.BiasGelu(tiles=5, width=129)
    assert forward.blocks(arguments, 128) == 5 * 2 and sums.blocks(arguments, 128) == 5
    (update,) = fused.FILES["adamw_ema"].functions
    assert [update.blocks(fused.AdamWEMA(count=n), 128) for n in (1, 512, 513)] == [1, 1, 2]


def test_numpy_is_enough_to_import_it():
    import subprocess
    import sys

    modules = ["sources", "describe", "attention", "fused", "catalogue", "formats", "compile", "emulate", "launch"]
    script = "import sys; " + "; ".join(f"import minivdit.kernels.{name}" for name in modules)
    script += "; print([name for name in ('cupy', 'cupy_backends') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
