"""Every attention kernel, emulated on the CPU from its own source, against NumPy in float64."""

import mmap
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from minivdit.autograd import Tensor, gradients
from minivdit.autograd.attend import simple_attention
from minivdit.base import backend
from minivdit.base.errors import InputError
from minivdit.kernels import attention, whole_source
from minivdit.kernels.attention import FILES, LARGEST_SCALE, Forward, backward, forward
from minivdit.kernels.emulate import Emulation, EmulationError, sanitized_environment
from minivdit.kernels.formats import to_float32, to_format
from minivdit.lab.benchmarks import kernel_attention_check
from minivdit.lab.benchmarks.kernel_attention_check import errors, reference

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
FORWARD = [name for name, file in FILES.items() if file.arguments is Forward]
BACKWARD = [name for name in FILES if name not in FORWARD]
SPECIALISED = "attention_forward_9_specialised"
IN_FLOAT32 = [name for name, file in FILES.items() if not file.types]
IN_16_BITS = [name for name in FILES if name not in IN_FLOAT32]
# queries, keys, width, frames: on both sides of every tile's end, longer than one tile, and each length once alone
SHAPES = (
    (1, 1, 32, None),
    (17, 257, 32, None),
    (63, 64, 64, None),
    (64, 17, 128, 3),
    (65, 63, 64, 4),
    (257, 65, 32, 5),
    (33, 65, 128, None),
)


# The same for warps that own 16 or 32 rows; both formats at every width, between them
SHAPES_IN_16_BITS = (
    ("float16", 1, 1, 32, None),
    ("bfloat16", 17, 257, 32, None),
    ("float16", 63, 64, 64, 3),
    ("bfloat16", 64, 17, 128, 3),
    ("bfloat16", 65, 130, 64, None),
    ("float16", 257, 65, 128, 5),
    ("bfloat16", 129, 257, 128, None),
    ("bfloat16", 258, 127, 32, 4),
    ("float16", 257, 129, 64, 5),
)


# float32 but for the last bits, as their heads say
SPLIT = ("attention_forward_4b_split_floats", "attention_backward_3b_split_floats")


def is_close(result, near=3e-6):
    """float32: to the last bits. 16 bits: at most twice as far off as plain arithmetic, log_sum_exp within 1e-4."""
    return all(
        error.largest
        <= (max(1e-4, near) if field == "log_sum_exp" else max(2 * error.plain, near * max(1, error.size)))
        for field, error in result.items()
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", IN_FLOAT32)
def test_equals_the_definition(name, shape, seed):
    if "warps" in name and shape[0] * shape[1] > 4300:
        shape = (*[min(n, 70) for n in shape[:2]], *shape[2:])  # ten shuffles a pair take their time here
    result = errors(name, *shape, seed, Emulation(seed=seed, copies_land_late=seed == 0))
    assert is_close(result, 4e-5 if name in SPLIT else 3e-6), result


@pytest.mark.parametrize("name", FORWARD)
def test_scores_that_rise_from_tile_to_tile(name):
    result = errors(name, 33, 150, 32, None, 0, Emulation(), steepness=30)
    assert is_close(result, 4e-4 if name in SPLIT else 2e-5), result  # scores of some hundreds, right to 1e-6


@pytest.mark.parametrize("shape", SHAPES_IN_16_BITS, ids=str)
@pytest.mark.parametrize("name", IN_16_BITS)
def test_equals_the_definition_in_16_bits(name, shape):
    for seed in (0, 1):
        dtype, *sizes = shape
        runner = Emulation(seed=seed, copies_land_late=seed == 0)
        result = errors(name, *sizes, seed, runner, heads=1 + seed, dtype=dtype)
        assert is_close(result), result


@pytest.mark.parametrize("copies_land_late", [False, True])
@pytest.mark.parametrize(
    ("dtype", "queries", "keys", "width", "frames"),
    [
        ("bfloat16", 191, 640, 32, None),
        ("float16", 193, 513, 64, 5),
        ("bfloat16", 192, 383, 64, None),
        ("float16", 128, 769, 128, None),
    ],
)
def test_tiles_go_around_through_the_stages(dtype, queries, keys, width, frames, copies_land_late):
    for seed in (0, 1):
        runner = Emulation(seed=seed, copies_land_late=copies_land_late)
        result = errors(SPECIALISED, queries, keys, width, frames, seed, runner, heads=1, dtype=dtype)
        assert is_close(result), result


@pytest.mark.parametrize("name", [name for name in IN_16_BITS if FILES[name].architecture == 75])
def test_products_of_half_the_depth_serve_an_old_gpu(name):
    text = "#define MMA_OF_SM_75\n" + whole_source(name)
    result = errors(name, 33, 70, 32, None, 0, Emulation(sources={name: text}), dtype="float16")
    assert is_close(result), result


def dtype_of(name):
    return "bfloat16" if name in IN_16_BITS else "float32"


def tolerance(name):
    """Of numbers around 1: 8 bits of a bfloat16, or the last bits of float32."""
    return 4e-3 if name in IN_16_BITS else 4e-5 if name in SPLIT else 2e-6


def held(name, *arrays):
    """The arrays as the kernel can hold them, in float32 for NumPy."""
    return [to_float32(to_format(array.astype(np.float32), dtype_of(name)), dtype_of(name)) for array in arrays]


def by_kernel(name, q, k, v, *more, **options):
    """`forward`, or `backward` given out, log_sum_exp and out_grad, of float32 numbers and back to float32."""
    dtype, options = dtype_of(name), {"runner": Emulation(), **options}
    given = [to_format(array, dtype) for array in (q, k, v)]
    if not more:
        out, log_sum_exp = forward(name, *given, dtype=dtype, **options)
        return to_float32(out, dtype), log_sum_exp
    out, log_sum_exp, out_grad = more
    given += to_format(out.astype(np.float32), dtype), log_sum_exp.astype(np.float32), to_format(out_grad, dtype)
    return [to_float32(grad, dtype) for grad in backward(name, *given, dtype=dtype, **options)]


def test_bfloat16_is_rounded_to_the_nearest_and_back_exactly():
    numbers = np.array([0, -0.0, 1, 1.00390625, 1.01171875, -3.4e38, 1e-45, np.inf, np.nan], np.float32)
    bits = to_format(numbers, "bfloat16")
    assert bits.dtype == np.uint16 and bits[3] == 0x3F80 and bits[4] == 0x3F82  # ties go to the even one
    back = to_float32(bits, "bfloat16")
    np.testing.assert_array_equal(to_format(back, "bfloat16"), bits)
    np.testing.assert_allclose(back[:5], numbers[:5], rtol=2**-8)
    assert np.isinf(back[7]) and np.isnan(back[8])
    with pytest.raises(InputError, match="'int8' is not a format of numbers here; there are float32, float16"):
        to_format(numbers, "int8")


def numbers(queries, keys, width=32, batch=1, heads=1, seed=0):
    generator = np.random.default_rng(seed)
    q, out_grad = generator.standard_normal((2, batch, heads, queries, width), dtype=np.float32)
    k, v = generator.standard_normal((2, batch, heads, keys, width), dtype=np.float32)
    return q, k, v, out_grad


def test_float64_definition_equals_the_engine(monkeypatch):
    q, k, v, out_grad = (array.astype(np.float64) for array in numbers(5, 7))
    times = {"query_time": np.array([[[0, 1, 2, 0, -1]]]), "key_time": np.array([[[0, 0, 1, 1, 2, 2, 3]]])}
    tensors = [Tensor(array, requires_grad=True) for array in (q, k, v)]
    out = simple_attention(*tensors, scale=0.3, **times)
    want = gradients((out * out_grad).sum(), tensors)
    for rows in (2, 5, 1024):  # whatever it is cut into
        monkeypatch.setattr(kernel_attention_check, "ROWS_AT_A_TIME", rows)
        found = reference(q, k, v, out_grad, scale=0.3, **times)
        assert {array.dtype for array in found.values()} == {np.dtype(np.float64)}
        np.testing.assert_allclose(found["out"], out.data, atol=1e-12)
        for name, expected in zip("qkv", want):
            np.testing.assert_allclose(found[f"{name}_grad"], expected, atol=1e-12)


@pytest.mark.parametrize("name", FILES)
def test_a_query_that_sees_nothing_gets_zeros_and_changes_nothing(name):
    q, k, v, out_grad = held(name, *numbers(70, 66))
    query_time, key_time = np.zeros((1, 1, 70), np.int32), np.zeros((1, 1, 66), np.int32)
    query_time[..., [3, 69]], key_time[..., 60:] = -1, 1  # two queries before all keys; keys that nobody sees
    times = {"query_time": query_time, "key_time": key_time}
    out, log_sum_exp, *grads = reference(q, k, v, out_grad, **times).values()
    if name in FORWARD:
        got, got_sums = by_kernel(name, q, k, v, **times)
        assert (got[0, 0, [3, 69]] == 0).all() and (got_sums[0, 0, [3, 69]] == -np.inf).all()
        np.testing.assert_allclose(got, out, atol=tolerance(name), rtol=tolerance(name))
        np.testing.assert_allclose(got_sums, log_sum_exp, atol=tolerance(name) if name in SPLIT else 2e-6)
    else:
        q_grad, k_grad, v_grad = by_kernel(name, q, k, v, out, log_sum_exp, out_grad, **times)
        assert (q_grad[0, 0, [3, 69]] == 0).all() and (k_grad[0, 0, 60:] == 0).all() and (v_grad[0, 0, 60:] == 0).all()
        for a, b in zip((q_grad, k_grad, v_grad), grads):
            np.testing.assert_allclose(a, b, atol=2.5 * tolerance(name), rtol=tolerance(name))


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("sign", [1, -1])
def test_equal_rows_and_huge_logits(name, sign):
    q, k, v, _ = held(name, *numbers(65, 66))
    out, log_sum_exp = by_kernel(name, q, np.ones_like(k), v)
    np.testing.assert_allclose(out, np.broadcast_to(v.mean(2, keepdims=True), out.shape), atol=tolerance(name) / 2)
    # One key of logit +-10,000 among zeros: all weight on it, or none.
    q[:], k[:], k[0, 0, 40, 0] = 1, 0, sign * 9984  # which bfloat16 can hold
    out, log_sum_exp = by_kernel(name, q, k, v, scale=1)
    want = v[:, :, 40:41] if sign > 0 else np.delete(v, 40, 2).mean(2, keepdims=True)
    np.testing.assert_allclose(out, np.broadcast_to(want, out.shape), atol=tolerance(name) / 2, rtol=tolerance(name))
    np.testing.assert_allclose(log_sum_exp, 9984 if sign > 0 else np.log(65), rtol=1e-6)


@pytest.mark.parametrize("name", BACKWARD)
@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_of_huge_logits(name, sign):
    q, k, v, out_grad = held(name, *numbers(65, 66))
    q[:], k[:], k[0, 0, 40, 0] = 1, 0, sign * 9984
    out, log_sum_exp, *grads = reference(q, k, v, out_grad, scale=1).values()
    got = by_kernel(name, q, k, v, out, log_sum_exp, out_grad, scale=1)
    # A score's gradient is a difference of two sums, right to about 1e-6 or, where out has 16 bits, to about 1e-2;
    # q_grad multiplies it by keys of 10,000.
    near = 2e-2 if name in IN_16_BITS else 1e-4 if name in SPLIT else 1e-5
    for a, b, size in zip(got, grads, (1e4, 1, 1)):
        np.testing.assert_allclose(a, b, rtol=near, atol=near * size)


@pytest.mark.parametrize("name", BACKWARD)
def test_backward_is_bitwise_the_same_whatever_the_order(name):
    sizes = (66, 34) if "warps" in name else (300, 150)
    q, k, v, out_grad = held(name, *numbers(*sizes, heads=2))
    out, log_sum_exp, *_ = reference(q, k, v, out_grad).values()
    given = q, k, v, out, log_sum_exp, out_grad
    runners = (Emulation(seed=seed, copies_land_late=seed == 3) for seed in (3, 4))
    first, second = (by_kernel(name, *given, runner=runner) for runner in runners)
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a.view(np.int32), b.view(np.int32))


@pytest.mark.parametrize("name", FILES)
def test_views_of_one_array_are_read_without_a_copy(name):
    batch, tokens, heads, width = 2, 19, 3, 32
    dtype, near = dtype_of(name), tolerance(name)
    together = np.random.default_rng(0).standard_normal((batch, tokens, 4, heads, width), dtype=np.float32)
    together = to_format(together, dtype)
    views = [together[:, :, i].swapaxes(1, 2) for i in range(4)]  # (B, h, N, d), as a model's projection leaves them
    q, k, v, out_grad = (to_float32(view, dtype) for view in views)
    out, log_sum_exp, *grads = reference(q, k, v, out_grad).values()
    if name in FORWARD:
        got, _ = forward(name, *views[:3], runner=Emulation(), dtype=dtype)
        assert got.swapaxes(1, 2).flags.c_contiguous  # ready for the projection that follows
        np.testing.assert_allclose(to_float32(got, dtype), out, atol=near, rtol=near)
    else:
        sums = log_sum_exp.astype(np.float32)
        given = *views[:3], to_format(out.astype(np.float32), dtype), sums, views[3]
        got = backward(name, *given, runner=Emulation(), dtype=dtype)
        for a, b in zip(got, grads):
            np.testing.assert_allclose(to_float32(a, dtype), b, atol=2.5 * near, rtol=near)


def of_width(width, dtype=np.float32):
    return {name: np.zeros((1, 1, 4, width), dtype) for name in "qkv"}


@pytest.mark.parametrize("name", FORWARD)
def test_the_largest_scale_hides_what_is_masked(name):
    q, k, v, _ = held(name, *numbers(5, 70))
    times = {"query_time": np.full((1, 1, 5), -1, np.int32), "key_time": np.zeros((1, 1, 70), np.int32)}
    times["query_time"][..., 3:] = 0
    out, log_sum_exp = by_kernel(name, q, k, v, scale=LARGEST_SCALE, **times)
    assert (out[0, 0, :3] == 0).all() and (log_sum_exp[0, 0, :3] == -np.inf).all()


UNRESERVED = 0x4000  # MAP_NORESERVE of Linux, which Python's mmap has a name for from 3.13 on


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory that isn't there: as Linux does it")
@pytest.mark.parametrize("name", FILES)
def test_rows_may_lie_further_apart_than_31_bits_count(name):
    """Four tokens 2**30 numbers apart, in memory of which only the pages with rows are ever there."""
    dtype, apart, tokens, width = dtype_of(name), 1 << 30, 4, 32
    small = to_format(np.random.default_rng(0).standard_normal((4, tokens, width), dtype=np.float32), dtype)
    try:
        memory = mmap.mmap(
            -1, tokens * apart * small.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | UNRESERVED
        )
    except OSError:
        pytest.skip("so many addresses aren't to be had here")
    wide = np.frombuffer(memory, small.dtype)
    views = [
        np.lib.stride_tricks.as_strided(
            wide[i * width :], (1, 1, tokens, width), [apart * small.itemsize] * 3 + [small.itemsize]
        )
        for i in range(4)
    ]
    for view, array in zip(views, small):
        view[0, 0] = array
    whole = [array[None, None] for array in small]
    if name in FORWARD:
        near, far = (forward(name, *given[:3], runner=Emulation(), dtype=dtype) for given in (whole, views))
    else:
        exact, sums, *_ = reference(*(to_float32(array, dtype) for array in whole)).values()
        out, sums = to_format(exact.astype(np.float32), dtype), sums.astype(np.float32)
        near, far = (
            backward(name, *given[:3], out, sums, given[3], runner=Emulation(), dtype=dtype) for given in (whole, views)
        )
    for a, b in zip(near, far, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- Tiles that a mask hides whole ---------------------------------------------------------------------------

SKIPPING = [name for name, file in FILES.items() if file.functions[0].name.endswith("_ranges")]


TILES = {  # of which tables the numbers of rows are
    "attention_forward_3_tiles": attention.FORWARD_TILES,
    "attention_forward_4b_split_floats": attention.SPLIT_TILES,
    "attention_forward_5_swizzled": attention.HALVES_TILES,
    "attention_forward_6_async": attention.HALVES_TILES,
    "attention_forward_8_wgmma": attention.WARPGROUP_TILES,
    "attention_backward_2_tiles": attention.BACKWARD_TILES,
    "attention_backward_3_tensor_cores": attention.BACKWARD_HALVES_TILES,
    "attention_backward_3b_split_floats": attention.BACKWARD_HALVES_TILES,
    "attention_backward_4_async": attention.BACKWARD_ASYNC_TILES,
}


def masks(queries, keys):
    """Times by name, (queries) and (keys): in order and not, all or nothing hidden, and the largest there are."""
    generator = np.random.default_rng(0)
    early, late = -(2**31) + 2, 2**31 - 2
    return {
        "causal": (np.arange(queries) * 16 // queries, np.arange(keys) * 16 // keys),
        "backwards": (np.arange(queries)[::-1] * 16 // queries, np.arange(keys)[::-1] * 16 // keys),
        "unsorted": (generator.permutation(queries) % 7, generator.permutation(keys) % 9),
        "last tile hidden": (np.zeros(queries), np.arange(keys) >= keys - 1 - keys % 16),
        "one key seen": (np.zeros(queries), np.arange(keys) != 130),
        "one query sees": (np.where(np.arange(queries) == 70, 0, -1), np.zeros(keys)),
        "all hidden": (np.zeros(queries), np.ones(keys)),
        "all seen": (np.ones(queries), np.ones(keys)),
        "extremes": (np.where(np.arange(queries) % 3, early, late), np.where(np.arange(keys) < 100, late, early)),
    }


def run_with_times(name, times, text=None, queries=150, keys=170, **how):
    """All results of a kernel file under a mask; text: of the file, if not its own."""
    q, k, v, out_grad = held(name, *numbers(queries, keys, heads=2))
    given = {f"{side}_time": array.astype(np.int32) for side, array in zip(("query", "key"), times)}
    given["runner"] = runner = Emulation(sources=text and {name: text}, **how)
    if name in FORWARD:
        return by_kernel(name, q, k, v, **given), runner
    exact = reference(q, k, v, out_grad, query_time=given["query_time"], key_time=given["key_time"])
    return by_kernel(name, q, k, v, exact["out"], exact["log_sum_exp"], out_grad, **given), runner


def looks_at_all(name):
    """A file's text with nothing skipped and every tile masked."""
    text, line = whole_source(name), "if (!ranges)\n            return {first, first + THEIRS > end};"
    assert text.count(line) == 1
    return text.replace(line, "if (true)\n            return {first, true};")


@pytest.mark.parametrize("name", SKIPPING)
def test_skipping_what_is_hidden_changes_no_bit(name, monkeypatch):
    monkeypatch.setitem(FILES, name, only_one_instance(FILES[name], dtype_of(name)))
    everything = looks_at_all(name)
    for mask, times in masks(150, 170).items():
        skipped, _ = run_with_times(name, times, seed=1)
        whole, _ = run_with_times(name, times, everything)
        for a, b in zip(skipped, whole, strict=True):
            np.testing.assert_array_equal(a.view(np.int32), b.view(np.int32), err_msg=mask)


def tiles_looked_at(runner):
    """How many tiles the trace of one thread tells of, by function."""
    found, function = {}, None
    for line in runner.trace:
        if line.startswith("===="):
            function = line.split()[1].split("<")[0]
        elif re.search(r"(keys|queries) (from )?\d+ (to|on)", line):
            first = int(re.search(r"(?:keys|queries) (?:from )?(\d+)", line).group(1))
            found.setdefault(function, []).append(first)
    return {function: len(set(tiles)) for function, tiles in found.items()}


@pytest.mark.parametrize("name", SKIPPING)
def test_as_many_tiles_are_looked_at_as_a_mask_lets_see(name, monkeypatch):
    """16 frames of 20 tokens: of every block, the tiles that its trace tells of."""
    monkeypatch.setitem(FILES, name, only_one_instance(FILES[name], dtype_of(name)))
    tokens, width = 320, 32
    time = np.arange(tokens) // 20
    file = FILES[name]
    own, theirs = TILES[name][width]
    for block in range(-(-tokens // own)):
        mine = time[block * own : (block + 1) * own]
        _, runner = run_with_times(
            name, (time, time), queries=tokens, keys=tokens, traced_threads=1, traced_block=block
        )
        found = tiles_looked_at(runner)
        for function in file.functions:
            if function.name.endswith(("_ranges", "_row_sums")):
                continue
            others = [time[first : first + theirs] for first in range(0, tokens, theirs)]
            owns_keys = function.name.endswith("_keys")
            seen = sum(other.max() >= mine.min() if owns_keys else other.min() <= mine.max() for other in others)
            assert found[function.name] == seen, block


def test_arrays_of_another_library_are_refused_on_the_way_back_too(gpu):
    q, k, v, out_grad = numbers(3, 3)
    out, sums = forward("attention_forward_2_online", q, k, v, runner=Emulation())
    given = {"out": out, "log_sum_exp": sums, "out_grad": out_grad}
    for name, array in given.items():
        elsewhere = {**given, name: backend.to_device(array)}
        with pytest.raises(InputError, match="needs numpy arrays, not cupy's"):
            backward("attention_backward_2_tiles", q, k, v, **elsewhere, runner=Emulation())


def test_more_scores_than_the_naive_rung_counts_are_refused_before_memory_is_taken():
    q = np.broadcast_to(np.zeros(32, np.float32), (1, 1, (2**31 - 127) // 33 + 1, 32))
    k = np.zeros((1, 1, 33, 32), np.float32)
    with pytest.raises(InputError, match="31 bits"):
        forward("attention_forward_1_naive", q, k, k, runner=Emulation())


TENSOR_CORES = {"name": "attention_forward_4_tensor_cores"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_width(48), "head widths 32, 64, 128, not 48"),
        ({"q": np.zeros((1, 1, 4, 32))}, "q as float32 .*, not float64"),
        ({"k": np.zeros((1, 1, 4, 64), np.float32)}, r"k as .* \(1, 1, 4, 32\), not float32 \(1, 1, 4, 64\)"),
        ({"v": np.zeros((1, 1, 4, 64), np.float32)[..., ::2]}, "each row of v in one piece, .* 8 bytes apart"),
        ({"q": np.zeros((1, 1, 4, 33), np.float32)[..., 1:]}, "rows of q that begin at multiples of 16 bytes"),
        ({"q": np.zeros((1, 4, 32), np.float32)}, r"\(batch, heads, tokens, width\), not \(1, 4, 32\)"),
        ({"k": np.zeros((1, 1, 0, 32), np.float32)}, "attention needs q and k"),
        ({"query_time": np.zeros(4, np.int32)}, "query_time and key_time together"),
        ({"query_time": np.zeros(4), "key_time": np.zeros(4)}, "query_time as int32 .*, not float64"),
        ({"scale": 0}, "a scale above 0 and up to 1e.08, not 0"),
        ({"scale": 1e9}, "a scale above 0 and up to 1e.08, not 1000000000"),
        ({"dtype": "float16"}, "attention_forward_2_online reads float32, not float16"),
        (TENSOR_CORES, "q as float16 .*, not float32"),
        ({**TENSOR_CORES, **of_width(32, np.uint16)}, 'say dtype="bfloat16" if these are the bits'),
        ({**TENSOR_CORES, "dtype": "float32"}, "reads float16 or bfloat16, not float32"),
        ({"name": "attention_forward_9"}, "'attention_forward_9' is not a forward kernel"),
        ({"name": "attention_backward_1_warps"}, "is not a forward kernel"),
    ],
)
def test_unsuitable_arrays_are_refused_in_one_line(change, message):
    given = {"name": "attention_forward_2_online", **of_width(32), "runner": Emulation(), **change}
    with pytest.raises(InputError, match=message) as caught:
        forward(**given)
    assert "\n" not in str(caught.value)


# ---- Planted bugs: each must be caught ---------------------------------------------------------------------

PLANTED = [
    ("attention_forward_2_online", "__syncthreads(); // all have read the tile before", ""),
    ("attention_forward_2_online", "__syncthreads(); // all have written this one", ""),
    ("attention_forward_3_tiles", "__syncthreads(); // the keys are there (and, the first time, the queries)", ""),
    ("attention_forward_3_tiles", "__syncthreads(); // the keys have been read, the weights are there", ""),
    ("attention_forward_3_tiles", "__syncthreads(); // the values are there", ""),
    ("attention_forward_3_tiles", "__syncthreads(); // the values of the tile before have been read", ""),
    ("attention_backward_2_tiles", "__syncwarp(); // what was there has been read", ""),
    ("attention_backward_2_tiles", "__syncwarp(); // what is there now can be read", ""),
    # not barriers: a thread too early, a tail that isn't cut, a mask forgotten, a maximum that isn't shared
    (
        "attention_forward_2_online",
        "if (query < a.queries)\n        for",
        "if (query >= a.queries) return;\n        for",
    ),
    ("attention_forward_3_tiles", "visible ? a.scale * scores[i][j] : minus_infinity()", "a.scale * scores[i][j]"),
    ("attention_forward_3_tiles", "higher = highest_of_row(higher);", ""),
    ("attention_forward_3_tiles", "total[i] *= shrink;", ""),
    ("attention_backward_2_tiles", "weights[i][j] = visible ? expf", "weights[i][j] = true ? expf"),
    # tensor cores: barriers
    ("attention_forward_4_tensor_cores", "__syncthreads(); // the tile before has been read", ""),
    ("attention_forward_4_tensor_cores", "__syncthreads(); // this tile is there", ""),
    ("attention_forward_6_async", "__syncthreads();      // the queries are there", ""),
    ("attention_forward_6_async", "__syncthreads();      // this tile is there, and all have read the one before", ""),
    # waits that leave copies under way, a commit forgotten
    ("attention_forward_6_async", "copy_async_wait<0>(); // my part of this tile", "copy_async_wait<1>(); //"),
    ("attention_forward_6_async", "copy_async_wait<1>(); // my part of the queries", "copy_async_wait<2>(); //"),
    ("attention_forward_6_async", "copy_async_commit();\n    Tile tile", "Tile tile"),
    ("attention_forward_7_trimmed", "copy_async_wait<0>(); // my part of these keys", "copy_async_wait<1>(); //"),
    ("attention_forward_7_trimmed", "__syncthreads();      // they are there, and all have", "//"),
    ("attention_forward_7_trimmed", "copy_async_wait<0>(); // my part of the last values has landed", ""),
    ("attention_forward_7_trimmed", "if (moved)\n", "if (false)\n"),
    ("attention_forward_8_wgmma", "copy_async_wait<0>(); // my part of these keys", "copy_async_wait<1>(); //"),
    ("attention_forward_8_wgmma", "__syncthreads();      // they are there, and all have", "//"),
    ("attention_forward_8_wgmma", "async_proxy_fence();  // wgmma may read that", ""),
    ("attention_forward_8_wgmma", "warpgroup_fence(scores[0], out[0], weights);", ""),
    (
        "attention_forward_8_wgmma",
        "warpgroup_fence(scores[0], out[0], weights);",
        "warpgroup_fence(scores[0], out[0]);",
    ),
    ("attention_forward_8_wgmma", "warpgroup_wait<1>(scores[0]); // the scores are there", "//"),
    ("attention_forward_8_wgmma", "warpgroup_wait<0>(out[0], weights); // the output is there", ""),
    ("attention_forward_8_wgmma", "if (higher)\n", "if (false)\n"),
    # producers and consumers: a stage read or overwritten too early, a wrong phase, a missing arrival, turns
    (
        SPECIALISED,
        "mbarrier_wait(shared.values_full[values.stage], values.parity);\n        wait_for_turn();",
        "wait_for_turn();",
    ),
    (SPECIALISED, "shared.keys_full[keys.stage], keys.parity)", "shared.keys_full[keys.stage], keys.parity ^ 1)"),
    (SPECIALISED, "mbarrier_wait(shared.keys_empty[round.stage], round.parity ^ 1);", ""),
    (SPECIALISED, "mbarrier_wait(shared.values_empty[round.stage], round.parity ^ 1);", ""),
    (
        SPECIALISED,
        "shared.values_empty[round.stage], round.parity ^ 1)",
        "shared.values_empty[round.stage], round.parity)",
    ),
    (
        SPECIALISED,
        "mbarrier_init(shared.keys_empty[stage], 4 * CONSUMERS)",
        "mbarrier_init(shared.keys_empty[stage], 4)",
    ),
    (SPECIALISED, "mbarrier_arrive(*before);", ""),
    (SPECIALISED, "read(shared.values_empty[values.stage]);", ""),
    (
        SPECIALISED,
        "warpgroup_wait<0>(out[0], weights); // the output is there\n        read(shared.values_empty[values.stage]);",
        "read(shared.values_empty[values.stage]);\n        warpgroup_wait<0>(out[0], weights);",
    ),
    (
        SPECIALISED,
        "hide(scores, shared.query_time, shared.key_time[stage]);\n        read(shared.keys_empty[stage]); // keys and",
        "read(shared.keys_empty[stage]), hide(scores, shared.query_time, shared.key_time[stage]); //",
    ),
    (SPECIALISED, "async_proxy_fence(); // wgmma may read my part", ""),
    (SPECIALISED, "copy_async_wait<1>(); // the copies before these", "//"),
    (SPECIALISED, "copy_async_wait<0>(); // the last values have landed", ""),
    (SPECIALISED, "named_barrier_wait<256>(1 + group);", ""),
    (SPECIALISED, "named_barrier_arrive<256>(2 + group);", ";"),
    (SPECIALISED, "__syncthreads(); // the mbarriers are ready", ""),
    (SPECIALISED, "shared.q.along(64 * group)", "shared.q.along(0)"),
    (SPECIALISED, "if (higher)\n", "if (false)\n"),
    ("attention_backward_3_tensor_cores", "__syncthreads(); // the tile before has been read", ""),
    ("attention_backward_3_tensor_cores", "__syncthreads(); // these keys are there", ""),
    ("attention_backward_3_tensor_cores", "__syncthreads(); // this block's queries are there", ""),
    ("attention_backward_3_tensor_cores", "hide<false>(weights, key_time, shared.time);", ";"),
    ("attention_backward_3b_split_floats", "__syncthreads(); // the tile before has been read", ""),
    ("attention_backward_3b_split_floats", "__syncthreads(); // this tile is there (and", "// (and"),
    ("attention_backward_3b_split_floats", "__syncthreads(); // the keys before have been read", ""),
    ("attention_backward_3b_split_floats", "__syncthreads(); // these keys are there (and", "// (and"),
    ("attention_backward_3b_split_floats", "hide<false>(weights, key_time, shared.time);", ";"),
    (
        "attention_backward_3b_split_floats",
        "left_of_sum<bfloat16>(low, rest, 0);",
        "low[0] = low[1] = low[2] = low[3] = 0;",
    ),
    ("attention_backward_3b_split_floats", "load_left(low, own[1],", "load_left(low, own[0],"),
    ("attention_backward_4_async", "copy_async_wait<0>(); // my part of this tile", "copy_async_wait<1>(); //"),
    ("attention_backward_4_async", "__syncthreads();      // these keys are there, and all have", "//"),
    ("attention_backward_4_async", "write_mine(buffer ^ 1);", ""),
    ("attention_backward_5_wgmma", "copy_async_wait<0>(); // my part of this tile", "copy_async_wait<1>(); //"),
    ("attention_backward_5_wgmma", "copy_async_wait<0>(); // my part of these keys", "copy_async_wait<1>(); //"),
    ("attention_backward_5_wgmma", "async_proxy_fence();  // wgmma may read it", ""),
    ("attention_backward_5_wgmma", "async_proxy_fence();  // wgmma may read them", ""),
    ("attention_backward_5_wgmma", "__syncthreads();      // this tile is there, and all have", "//"),
    ("attention_backward_5_wgmma", "__syncthreads();      // these keys are there, and all have", "//"),
    (
        "attention_backward_5_wgmma",
        "a.queries) // tensor cores are at work by now\n            fetch(first + OTHERS, buffer ^ 1);",
        "a.queries)\n            fetch(first + OTHERS, buffer);",
    ),
    ("attention_backward_5_wgmma", "warpgroup_fence(weights, grads);", "warpgroup_fence(weights);"),
    ("attention_backward_5_wgmma", "warpgroup_fence(v_grad, weights_left);", "warpgroup_fence(v_grad);"),
    ("attention_backward_5_wgmma", "warpgroup_wait<1>(weights); // the scores", "warpgroup_wait<2>(); //"),
    ("attention_backward_5_wgmma", "warpgroup_wait<1>(grads); // the gradients", "warpgroup_wait<2>(); //"),
    ("attention_backward_5_wgmma", "warpgroup_wait<1>(scores); // the scores", "warpgroup_wait<2>(); //"),
    ("attention_backward_5_wgmma", "warpgroup_wait<0>(grads); // the gradients", "warpgroup_wait<1>(); //"),
    # products of a turn that go on while the next turn's copies overwrite what they read
    (
        "attention_backward_5_wgmma",
        "warpgroup_wait<0>(k_grad, grads_left); // my",
        "if (first + OTHERS >= a.queries) warpgroup_wait<0>(k_grad, grads_left); //",
    ),
    (
        "attention_backward_5_wgmma",
        "warpgroup_wait<0>(q_grad, grads_left); // my",
        "if (first + OTHERS >= a.keys) warpgroup_wait<0>(q_grad, grads_left); //",
    ),
    ("attention_backward_5_wgmma", "write_mine(buffer ^ 1);", ""),
    ("attention_backward_5_wgmma", "if (own_time[i / 2] >", "if (false && own_time[i / 2] >"),
    ("attention_backward_5_wgmma", "> own_time[i / 2])", "> own_time[0])"),
    ("attention_backward_5_wgmma", "own.along(row)", "own.along(0)"),
    ("attention_backward_5_wgmma", "others.step_across(right, step)", "others.step_along(right, step)"),
    # swizzles that only the writer, or only the reader, knows
    (
        "attention_forward_5_swizzled",
        "*static_cast<uint4 *>(tile.piece(row, piece)) =",
        "*reinterpret_cast<uint4 *>(&tile.numbers[row][8 * piece]) =",
    ),
    ("attention_forward_6_async", "copy_async(tile.piece(row, piece),", "copy_async(&tile.numbers[row][8 * piece],"),
    (
        "attention_forward_5_swizzled",
        "load_matrices<true>(r, tile.piece(16 * step + my_lane() % 16, 2 * columns + my_lane() / 16));",
        "load_matrices<true>(r, &tile.numbers[16 * step + my_lane() % 16][16 * columns + my_lane() / 16 * 8]);",
    ),
    # descriptors: the wrong rows, an offset, a stride, a swizzle
    ("attention_forward_8_wgmma", "shared.q.along(64 * group)", "shared.q.along(0)"),
    ("attention_forward_8_wgmma", "Keys::step_across(others, step)", "Keys::step_along(others, step)"),
    ("attention_forward_8_wgmma", "matrix_descriptor(numbers, 16, 8 *", "matrix_descriptor(numbers, 16, 4 *"),
    ("attention_forward_8_wgmma", "8 * (piece % PLACES ^ turn)", "8 * (piece % PLACES)"),
    # a row of a fragment, a maximum that isn't shared, sums that aren't brought to it
    ("attention_forward_4_tensor_cores", "row + my_lane() / 16 * 8 + my_lane() % 8,", "row + my_lane() % 16,"),
    ("attention_forward_4_tensor_cores", "higher = highest_of_row(higher);", ""),
    ("attention_forward_4_tensor_cores", "online.total[half] *= shrink;", ""),
]


def only_one_instance(file, dtype=None):
    return replace(file, instances=(32,), types=(dtype,) if dtype and file.types else file.types[:1])


@pytest.mark.parametrize("bug", range(len(PLANTED)), ids=lambda i: f"{i}-{PLANTED[i][0]}")
def test_a_planted_bug_is_caught(bug, monkeypatch):
    name, old, new = PLANTED[bug]
    monkeypatch.setitem(FILES, name, only_one_instance(FILES[name]))  # is compiled sooner
    text = whole_source(name)
    assert text.count(old) == 1, "the line to break isn't there once"
    # more than one round through a rung's stages
    sizes = (70, 600) if name == SPECIALISED else (300, 150) if "backward_5" in name else (70, 150)

    def is_caught(seed):
        runner = Emulation(seed=seed, sources={name: text.replace(old, new)})
        try:
            return not is_close(errors(name, *sizes, 32, 4, seed, runner, steepness=1 + 29 * (seed == 2)))
        except EmulationError:
            return True

    assert any(is_caught(seed) for seed in (0, 1, 2))


# One tile too many is skipped, one isn't masked, a range leaves somebody out.
PLANTED_IN_SKIPPING = [
    ("attention_forward_5_swizzled", "theirs.smallest <= own.largest", "theirs.smallest < own.largest"),
    ("attention_forward_5_swizzled", "OF_KEYS ? theirs.largest <= own.smallest", "OF_KEYS ? true"),
    ("attention_forward_5_swizzled", "token < min(IN_RANGE * (index + 1), end)", "token < IN_RANGE * index + 1"),
    ("attention_forward_8_wgmma", "theirs.smallest <= own.largest", "theirs.largest <= own.largest"),
    ("attention_backward_4_async", "own.smallest <= theirs.largest", "own.largest <= theirs.largest"),
    ("attention_backward_4_async", "own.largest <= theirs.smallest", "own.smallest <= theirs.largest"),
]


@pytest.mark.parametrize("bug", range(len(PLANTED_IN_SKIPPING)), ids=lambda i: f"{i}-{PLANTED_IN_SKIPPING[i][0]}")
def test_a_planted_bug_in_skipping_is_caught(bug, monkeypatch):
    name, old, new = PLANTED_IN_SKIPPING[bug]
    monkeypatch.setitem(FILES, name, only_one_instance(FILES[name], dtype_of(name)))
    text = whole_source(name)
    assert text.count(old) == 1, "the line to break isn't there once"
    everything = looks_at_all(name)

    def is_changed(times):
        broken, _ = run_with_times(name, times, text.replace(old, new))
        whole, _ = run_with_times(name, times, everything)
        return any((a.view(np.int32) != b.view(np.int32)).any() for a, b in zip(broken, whole, strict=True))

    assert any(is_changed(times) for times in masks(150, 170).values())


def test_hidden_tiles_that_are_looked_at_all_the_same_are_counted(monkeypatch):
    """No result tells of them."""
    name = "attention_forward_5_swizzled"
    monkeypatch.setitem(FILES, name, only_one_instance(FILES[name], dtype_of(name)))
    old, new = "int lane = __ffs(tiles) - 1;", "int lane = 0;"
    text, times = whole_source(name), masks(150, 170)["one key seen"]
    assert text.count(old) == 1
    for source, tiles in ((text, 1), (text.replace(old, new), 3)):
        _, runner = run_with_times(name, times, source, traced_threads=1, traced_block=0)
        assert tiles_looked_at(runner)[name] == tiles


# ---- Accesses out of bounds, found by AddressSanitizer in a process of its own ----------------------------------

SANITIZED = """
import sys
from dataclasses import replace
from minivdit.kernels import whole_source
from minivdit.kernels.attention import FILES
from minivdit.kernels.emulate import Emulation
from minivdit.lab.benchmarks.kernel_attention_check import errors

name, old, new = sys.argv[1:]
text = whole_source(name)
assert old in text
FILES[name] = replace(FILES[name], instances=(32,), types=FILES[name].types[:1])
runner = Emulation(sources={name: text.replace(old, new)}, sanitize=True)
queries, keys = (17, 19) if "warps" in name else (65, 67)  # lengths that nothing divides
result = errors(name, queries, keys, 32, None, 0, runner, heads=1)
assert all(error.largest <= max(1e-4, 2 * error.plain) for error in result.values()), result
print("no access out of bounds")
"""


def sanitized(name, old="#line", new="#line"):
    try:
        environment = sanitized_environment()
    except InputError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-c", SANITIZED, name, old, new]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_no_access_is_out_of_bounds(name):
    assert sanitized(name).strip() == "no access out of bounds"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("attention_forward_2_online", "int count = min(KEYS, a.keys - first);", "int count = KEYS;"),
        ("attention_forward_3_tiles", "bool there = first + row < end;", "bool there = first + row <= end;"),
        ("attention_backward_1_warps", "if (key >= a.keys)", "if (key > a.keys)"),
        ("attention_forward_6_async", "bool there = first + row < end;", "bool there = first + row <= end;"),
    ],
)
def test_an_access_out_of_bounds_is_caught_with_its_line(name, old, new):
    report = sanitized(name, old, new)
    assert "ERROR: AddressSanitizer: heap-buffer-overflow" in report, report
    assert f"{name}.cu:" in report
