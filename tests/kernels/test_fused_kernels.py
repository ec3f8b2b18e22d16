"""Every kernel beside attention, emulated on the CPU from its own source, against the engine in float64."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.autograd.attend import prepare
from minivdit.base.backend import gpu_problem
from minivdit.base.errors import InputError
from minivdit.kernels import fused, launch, whole_source
from minivdit.kernels.emulate import Emulation, EmulationError, sanitized_environment
from minivdit.kernels.fused import FILES
from minivdit.lab.benchmarks.kernel_fused_check import errors
from minivdit.nn import optim

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
IN_16_BITS = [name for name, file in FILES.items() if "float16" in file.types]
# rows, width: fewer numbers than lanes; widths that 4 and 8 do and don't divide, on both sides of every instance's
# end; several tiles of rows, and rows that no tile or team divides
SHAPES = ((1, 2), (3, 32), (70, 102), (33, 128), (65, 132), (5, 258), (35, 384), (3, 512), (2, 1000), (5, 1024))


def is_close(result):
    """To the last bits of float32, or twice what rounding to 16 bits costs."""
    return all(error.largest <= max(2 * error.plain, 3e-6 * max(1, error.size)) for error in result.values())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FILES)
def test_equals_the_engine_in_float64(name, shape, seed):
    result = errors(name, *shape, seed, Emulation(seed=seed))
    assert is_close(result), result


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(70, 102), (33, 128), (2, 1000)], ids=str)
@pytest.mark.parametrize("name", IN_16_BITS)
def test_equals_the_engine_in_16_bits(name, shape, dtype):
    result = errors(name, *shape, 0, Emulation(), dtype)
    assert is_close(result), result


@pytest.mark.skipif(gpu_problem() is not None, reason="no usable GPU")
@pytest.mark.parametrize("shape", [*SHAPES, (3000, 96)], ids=str)
@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name in FILES for dtype in FILES[name].types or [None]])
def test_on_a_gpu_equals_the_engine(name, dtype, shape):
    runner = launch.Launcher()
    if dtype == "bfloat16" and runner.architecture == "75":
        pytest.skip("not for this GPU")
    result = errors(name, *shape, 0, runner, dtype)
    assert is_close(result), result


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def test_odd_widths_too():
    """Of all but heads: their pairs need an even one."""
    for name in ("normalise_and_modulate", "bias_gelu", "adamw_ema"):
        result = errors(name, 37, 33, 0, Emulation())
        assert is_close(result), result


def test_more_rows_than_there_are_tiles_of_32():
    rows = fused.TILES * fused.ROWS_OF_A_TILE + 1
    x, bias, out_grad = numbers(rows, 3), numbers(3), numbers(rows, 3, seed=1)
    x_grad, bias_grad = fused.bias_gelu_backward(x, bias, out_grad, runner=Emulation())
    assert not np.isnan(x_grad).any()
    np.testing.assert_allclose(bias_grad, x_grad.sum(0, dtype=np.float64), rtol=1e-5, atol=1e-4)


def all_gradients(runner):
    x, scale, out_grad = numbers(2, 70, 36), numbers(2, 1, 36, seed=1), numbers(2, 70, 36, seed=2)
    yield from fused.normalise_and_modulate_backward(x, scale, out_grad, runner=runner)
    yield from fused.gated_residual_backward(scale, x, out_grad, runner=runner)
    yield from fused.bias_gelu_backward(x, scale[0, 0], out_grad, runner=runner)
    by_heads = [array.reshape(2, 70, 3, 12).swapaxes(1, 2) for array in (x, out_grad)]
    yield from fused.norm_and_rotary_backward(by_heads[0], numbers(12), by_heads[1], runner=runner)


def test_gradients_are_bitwise_the_same_whatever_the_order():
    for first, second in zip(all_gradients(Emulation(seed=3)), all_gradients(Emulation(seed=4)), strict=True):
        np.testing.assert_array_equal(first.view(np.int32), second.view(np.int32))


def test_arrays_at_any_address_give_the_same():
    """Numbers that don't begin at a multiple of 16 bytes are read one by one."""

    def moved(array, by):
        room = np.empty(array.size + 8, np.float32)
        start = -room.ctypes.data // 4 % 4 + by
        room[start : start + array.size] = array.reshape(-1)
        return room[start : start + array.size].reshape(array.shape)

    x, shift, scale = numbers(2, 5, 36), numbers(2, 1, 36), numbers(2, 1, 36)
    aligned, not_aligned = (
        fused.normalise_and_modulate(moved(x, by), moved(shift, 0), moved(scale, 0), runner=Emulation())
        for by in (0, 1)
    )
    np.testing.assert_array_equal(aligned, not_aligned)
    state = numbers(5, 70)
    state[3] **= 2
    options = {"segments": [(70, 1, 0)], "step": 1, "share": 1, "runner": Emulation()}
    aligned, not_aligned = (fused.adamw_ema(*(moved(array, by) for array in state), **options) for by in (0, 1))
    np.testing.assert_array_equal(aligned, not_aligned)


def test_shift_and_scale_may_be_parts_of_one_array():
    x, out_grad = numbers(2, 3, 5, 36), numbers(2, 3, 5, 36, seed=1)
    parts = np.split(numbers(2, 3, 1, 6 * 36), 6, axis=-1)  # as a block's modulation is
    views, copies = parts[1:3], [part.copy() for part in parts[1:3]]
    got, want = (fused.normalise_and_modulate(x, *given, runner=Emulation()) for given in (views, copies))
    np.testing.assert_array_equal(got, want)
    got, want = (
        fused.normalise_and_modulate_backward(x, scale, out_grad, runner=Emulation()) for _, scale in (views, copies)
    )
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_shift_and_scale_it_is_layer_norm_over_any_groups():
    x, out_grad = 3 + numbers(2, 3, 5, 36), numbers(2, 3, 5, 36, seed=1)
    leaf = ag.Tensor(x.astype(float), requires_grad=True)
    want = ag.layer_norm(leaf)
    (want_grad,) = ag.gradients(want, [leaf], out_grad.astype(float))
    runner = Emulation()
    got_grad, *others = fused.normalise_and_modulate_backward(x, None, out_grad, runner=runner)
    np.testing.assert_allclose(fused.normalise_and_modulate(x, runner=runner), want.data, atol=3e-6)
    np.testing.assert_allclose(got_grad, want_grad, atol=3e-6)
    assert others == [None, None]


def test_gelu_far_out_is_the_number_or_nothing():
    x = np.float32([[-1e4, -90, -12, 0, 12, 90, 1e4]])
    out = fused.bias_gelu(x, np.zeros(7, np.float32), runner=Emulation())
    np.testing.assert_allclose(out, np.maximum(x, 0), atol=1e-12)
    x_grad, _ = fused.bias_gelu_backward(x, np.zeros(7, np.float32), np.ones_like(x), runner=Emulation())
    np.testing.assert_allclose(x_grad, [[0, 0, 0, 0.5, 1, 1, 1]], atol=1e-12)


def test_equal_numbers_in_a_row_become_the_shift():
    x, shift, scale = np.full((1, 4, 36), 7, np.float32), numbers(1, 1, 36), numbers(1, 1, 36, seed=1)
    out = fused.normalise_and_modulate(x, shift, scale, runner=Emulation())
    np.testing.assert_array_equal(out, np.broadcast_to(shift, x.shape))


# ---- Queries and keys as they come out of a projection ---------------------------------------------------------


@pytest.mark.parametrize("rotation", ["none", "one table", "one for each clip"])
def test_heads_of_a_projection_are_prepared_as_attention_does_it(rotation):
    batch, tokens, heads, width, factor = 2, 19, 3, 24, 0.7
    together = numbers(batch, tokens, 3, heads, width)
    x = together[:, :, 1].swapaxes(1, 2)  # (B, h, N, d): a view, whose heads lie side by side
    weight, out_grad = numbers(width, seed=1), numbers(batch, heads, tokens, width, seed=2)
    tables, turn = (), None
    if rotation != "none":
        angles = numbers(*[batch, 1] * (rotation != "one table"), tokens, width // 2, seed=3)
        tables = np.cos(angles), np.sin(angles)
        turn = [np.broadcast_to(table.astype(float), (batch, heads, tokens, width // 2)) for table in tables]
    want, pullback = prepare(x.astype(float), weight.astype(float), turn, factor)
    want_x_grad, want_weight_grad = pullback(out_grad.swapaxes(-1, -2).astype(float))
    options = {"factor": factor, "runner": Emulation()}
    out = fused.norm_and_rotary(x, weight, *tables, **options)
    x_grad, weight_grad = fused.norm_and_rotary_backward(x, weight, out_grad, *tables, **options)
    assert out.swapaxes(1, 2).flags.c_contiguous and x_grad.swapaxes(1, 2).flags.c_contiguous
    np.testing.assert_allclose(out.swapaxes(-1, -2), want, atol=2e-6)
    np.testing.assert_allclose(x_grad.swapaxes(-1, -2), want_x_grad, atol=2e-6)
    np.testing.assert_allclose(weight_grad, want_weight_grad, atol=1e-5)


# ---- The optimiser -----------------------------------------------------------------------------------------------


def test_updates_are_those_of_the_optimiser_in_float32():
    weights, gradients = numbers(500), numbers(4, 500, seed=1)
    parameters = {"all": ag.Tensor(weights.copy())}
    optimiser, average = optim.AdamW(parameters, 1e-2, weight_decay=0.1), optim.EMA(parameters, 0.9, warmup=False)
    state = [weights.copy(), np.zeros(500, np.float32), np.zeros(500, np.float32), weights.copy()]
    for step, gradient in enumerate(gradients, 1):
        optimiser.step({"all": gradient})
        average.update()
        options = {"segments": [(500, 1e-2, 0.1)], "step": step, "share": 1 - 0.9, "runner": Emulation()}
        updated = fused.adamw_ema(state[0], gradient, *state[1:], **options)
        assert all(a is b for a, b in zip(updated, state))  # in place
    want = (
        parameters["all"].data,
        *(optimiser.slots[slot]["all"] for slot in ("mean", "square")),
        average.average["all"],
    )
    for a, b in zip(state, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("updated", [0, 11, 128, 140, 300])
def test_weights_behind_those_updated_only_get_their_average(updated):
    state = [numbers(size, seed=seed) for seed, size in enumerate((300, updated, updated, updated, 300))]
    state[3] **= 2
    weights, *_, average = before = [array.copy() for array in state]
    segments = [(updated, 1e-3, 0.5)] * bool(updated)
    fused.adamw_ema(*state, runner=Emulation(), segments=segments, step=1, share=0.25)
    np.testing.assert_array_equal(state[0][updated:], weights[updated:])
    assert (state[0][:updated] != weights[:updated]).all() and (state[1] == before[1]).all()
    np.testing.assert_allclose(state[4], average + 0.25 * (state[0] - average), rtol=1e-6)


# ---- Bad input ---------------------------------------------------------------------------------------------------

F32 = np.float32
FRAMES, FRAMES_FIRST = np.zeros((2, 3, 4, 8), F32), np.zeros((3, 2, 1, 8), F32).swapaxes(0, 1)
X, VECTORS = np.zeros((2, 4, 8), F32), np.zeros((2, 1, 8), F32)
HEADS, WEIGHT, TABLE = np.zeros((1, 2, 3, 8), F32), np.zeros(8, F32), np.zeros((3, 4), F32)
FLAT = dict.fromkeys(("weights", "gradient", "mean", "square", "average"), np.zeros(9, F32))
FLAT |= {"segments": [(9, 1e-3, 0)], "step": 1, "share": 0.1}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ((fused.normalise_and_modulate, X, VECTORS[:1], VECTORS), r"shift as float32 \(2, 1, 8\), not float32 \(1, 1,"),
        ((fused.normalise_and_modulate, X, VECTORS, VECTORS[:, 0]), r"scale as float32 \(2, 1, 8\)"),
        ((fused.normalise_and_modulate, X, VECTORS, np.zeros((2, 1, 16), F32)[..., ::2]), "each row of scale in one p"),
        ((fused.normalise_and_modulate, FRAMES, FRAMES_FIRST, FRAMES_FIRST), "vectors of scale at equal distances"),
        ((fused.normalise_and_modulate, X[..., ::2], *[VECTORS[..., ::2].copy()] * 2), "x in one piece, row by row"),
        ((fused.normalise_and_modulate, X.astype(float), VECTORS, VECTORS), "x as float32 .* not float64"),
        ((fused.normalise_and_modulate, np.zeros((1, 2, 1032), F32), VECTORS, VECTORS), "widths up to 1024, not 1032"),
        ((fused.normalise_and_modulate, WEIGHT, VECTORS, VECTORS), r"at least 2 axes and one number, not \(8,\)"),
        ((fused.normalise_and_modulate, X[:0], VECTORS, VECTORS), r"one number, not \(0, 4, 8\)"),
        ((fused.normalise_and_modulate_backward, X, VECTORS, X[:, :3]), "out_grad as float32"),
        ((fused.normalise_and_modulate, X, VECTORS), "shift and scale together, or neither"),
        ((fused.gated_residual, X[:, :3], VECTORS, X), "x as float32"),
        ((fused.gated_residual, X, VECTORS[:1], X), r"gate as float32 \(2, 1, 8\)"),
        ((fused.gated_residual_backward, VECTORS, X, X[..., ::2]), "out_grad as float32"),
        ((fused.bias_gelu, X, WEIGHT[:7]), r"bias as float32 \(8,\), not float32 \(7,\)"),
        ((fused.bias_gelu, X.astype(np.uint16), WEIGHT), 'say dtype="bfloat16"'),
        ((fused.bias_gelu_backward, X, WEIGHT, X.astype(np.float16)), "out_grad as float32"),
        ((fused.norm_and_rotary, HEADS[0], WEIGHT), "at least 4 axes"),
        ((fused.norm_and_rotary, HEADS[..., :7], WEIGHT[:7]), "an even width"),
        ((fused.norm_and_rotary, HEADS[..., ::2], WEIGHT[:4]), "each row of x in one piece"),
        ((fused.norm_and_rotary, HEADS, WEIGHT, TABLE), "cos and sin together"),
        ((fused.norm_and_rotary, HEADS, WEIGHT, TABLE, TABLE[:2]), r"sin as \(1, 2, 3, 4\), .* not \(2, 4\)"),
        ((fused.norm_and_rotary, HEADS, WEIGHT, np.zeros((2, 1, 3, 4), F32), TABLE), r"cos as \(1, 2, 3, 4\)"),
        ((fused.norm_and_rotary, HEADS, WEIGHT.astype(float)), "weight as float32"),
        ((fused.adamw_ema, {**FLAT, "segments": [(8, 1, 0)]}), r"segments .* 9 in all, not \[8\]"),
        ((fused.adamw_ema, {**FLAT, "segments": []}), r"at most 8 segments"),
        ((fused.adamw_ema, {**FLAT, "segments": [(1, 1, 0)] * 9}), "at most 8 segments"),
        ((fused.adamw_ema, {**FLAT, "weights": np.zeros(8, F32)}), "can't update 9 numbers of 8"),
        ((fused.adamw_ema, {**FLAT, "average": np.zeros(8, F32)}), "average as float32"),
        ((fused.adamw_ema, {**FLAT, "step": 0}), "counts steps from 1, not from 0"),
        ((fused.adamw_ema, {**FLAT, "square": np.zeros(8, F32)}), "square as float32"),
        ((fused.adamw_ema, {**FLAT, "gradient_factor": np.ones(2, F32)}), "gradient_factor as float32"),
    ],
)
def test_unsuitable_arrays_are_refused_in_one_line(call, message):
    function, *given = call
    keywords = given.pop() if isinstance(given[-1], dict) else {}
    with pytest.raises(InputError, match=message) as caught:
        function(*given, **keywords, runner=Emulation())
    assert "\n" not in str(caught.value)


# ---- Planted bugs: each must be caught ---------------------------------------------------------------------------

PLANTED = [
    # barriers of the sums over teams, in all three; a thread that leaves before them
    ("normalise_and_modulate", "__syncthreads(); // what was here has been read", ""),
    ("norm_and_rotary", "__syncthreads(); // what was here has been read", ""),
    *[(name, "__syncthreads(); // all teams have written", "") for name in IN_16_BITS],
    (
        "bias_gelu",
        "    add_teams<COLUMNS>(a.sums",
        "    if (threadIdx.x < width)\n    add_teams<COLUMNS>(a.sums",
    ),
    # numbers past a row's end, the end of a segment
    ("normalise_and_modulate", "Team<WIDTH>::column(n) < width ? x[n] - mean : 0", "x[n] - mean"),
    ("adamw_ema", ">= a.end[segment]", "> a.end[segment]"),
    # sums of too many lanes, of one team too few, of one block's columns only
    ("norm_and_rotary", "sum_over_lanes<Team<HALF>::LANES>(along)", "sum_over_lanes<32>(along)"),
    ("bias_gelu", "int team = 0; team <", "int team = 1; team <"),
    ("bias_gelu", "first = blockIdx.x % across * COLUMNS;", "first = 0;"),
    (
        "gated_residual",
        "sum[n] += grad[n] * branch[n];\n            grad[n] *= gate[n];",
        "grad[n] *= gate[n];\n            sum[n] += grad[n] * branch[n];",
    ),
    ("normalise_and_modulate", "(group * tiles + tile) * width", "tile * width"),
    # turning the wrong way round
    ("norm_and_rotary", "turn<HALF>(grad, a, place, -1);", "turn<HALF>(grad, a, place, 1);"),
]


def of_one_kind(file):
    """The file with the instances for the widths up to 256 and float32 only, which is compiled sooner."""
    return replace(file, instances=[n for n in file.instances if n <= 256], types=file.types[:1])


@pytest.mark.parametrize("bug", range(len(PLANTED)), ids=lambda i: f"{i}-{PLANTED[i][0]}")
def test_a_planted_bug_is_caught(bug, monkeypatch):
    name, old, new = PLANTED[bug]
    monkeypatch.setitem(FILES, name, of_one_kind(FILES[name]))
    text = whole_source(name)
    assert text.count(old) == 1, "the line to break isn't there once"

    def is_caught(seed, width):
        runner = Emulation(seed, sources={name: text.replace(old, new)})
        try:
            return not is_close(errors(name, 70, width, seed, runner))
        except EmulationError:
            return True

    assert any(is_caught(seed, width) for seed, width in enumerate((134, 34, 62)))


# ---- Accesses out of bounds, found by AddressSanitizer in a process of its own -------------------------------------

SANITIZED = """
import sys
from dataclasses import replace
from minivdit.kernels import whole_source
from minivdit.kernels.emulate import Emulation
from minivdit.kernels.fused import FILES
from minivdit.lab.benchmarks.kernel_fused_check import errors

name, old, new = sys.argv[1:]
text, file = whole_source(name), FILES[name]
assert old in text
FILES[name] = replace(file, instances=[n for n in file.instances if n <= 256], types=file.types[:2])
runner = Emulation(sources={name: text.replace(old, new)}, sanitize=True)
for rows, width in ((35, 134), (33, 136)):  # numbers one by one, and four at a time
    for dtype in FILES[name].types or (None,):
        result = errors(name, rows, width, 0, runner, dtype)
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
    ("name", "old", "new", "line"),
    [
        ("normalise_and_modulate", "min(first + rows_of_a_tile, rows)", "first + rows_of_a_tile", "rows.cuh"),
        ("bias_gelu", "row < place.tile.end;", "row <= place.tile.end;", "rows.cuh"),
        ("norm_and_rotary", "half = row < end ? a.width / 2 : 0;", "half = a.width / 2;", "rows.cuh"),
        ("adamw_ema", "a.aligned && width == COLUMNS,", "a.aligned,", "rows.cuh"),
        ("adamw_ema", "max(0ll, min(a.updated - first,", "max(0ll, min(a.count - first,", "rows.cuh"),
    ],
)
def test_an_access_out_of_bounds_is_caught_with_its_line(name, old, new, line):
    report = sanitized(name, old, new)
    # What lies beyond the end may be memory that was given back before.
    assert re.search("ERROR: AddressSanitizer: heap-(buffer-overflow|use-after-free)", report), report
    assert f"{line}:" in report and f"{name}.cu:" in report


def test_four_numbers_at_an_address_that_four_do_not_divide_are_caught():
    report = sanitized("bias_gelu", "if (aligned) {", "if (true) {")
    assert "misaligned address" in report, report
