"""Every attention kernel, emulated on the CPU from its own source, against NumPy in float64."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from minivdit.autograd import Tensor, gradients
from minivdit.autograd.attend import simple_attention
from minivdit.errors import InputError
from minivdit.kernels import whole_source
from minivdit.kernels.attention import FILES, Forward, backward, forward
from minivdit.kernels.emulate import Emulation, EmulationError, sanitized_environment
from minivdit.kernels.example import errors, exact_backward, exact_forward

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
FORWARD = [name for name, file in FILES.items() if file.arguments is Forward]
BACKWARD = [name for name in FILES if name not in FORWARD]
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


def is_close(result):
    return all(error <= 3e-6 * max(1, size) for error, size in result.values())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FILES)
def test_equals_the_definition(name, shape, seed):
    if "warps" in name and shape[0] * shape[1] > 4300:
        shape = (*[min(n, 70) for n in shape[:2]], *shape[2:])  # ten shuffles a pair take their time here
    result = errors(name, *shape, seed, Emulation(seed=seed, copies_land_late=seed == 0))
    assert is_close(result), result


def numbers(queries, keys, width=32, batch=1, heads=1, seed=0):
    generator = np.random.default_rng(seed)
    q, out_grad = generator.standard_normal((2, batch, heads, queries, width), dtype=np.float32)
    k, v = generator.standard_normal((2, batch, heads, keys, width), dtype=np.float32)
    return q, k, v, out_grad


def test_float64_definition_equals_the_engine():
    q, k, v, out_grad = (array.astype(np.float64) for array in numbers(5, 7))
    times = {"query_time": np.array([[[0, 1, 2, 0, -1]]]), "key_time": np.array([[[0, 0, 1, 1, 2, 2, 3]]])}
    tensors = [Tensor(array, requires_grad=True) for array in (q, k, v)]
    out = simple_attention(*tensors, scale=0.3, **times)
    want = gradients((out * out_grad).sum(), tensors)
    exact, _, weights = exact_forward(q, k, v, 0.3, **times)
    np.testing.assert_allclose(exact, out.data, atol=1e-12)
    for a, b in zip(exact_backward(q, k, v, weights, out_grad, 0.3), want):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("name", FILES)
def test_a_query_that_sees_nothing_gets_zeros_and_changes_nothing(name):
    q, k, v, out_grad = numbers(70, 66)
    query_time, key_time = np.zeros((1, 1, 70), np.int32), np.zeros((1, 1, 66), np.int32)
    query_time[..., [3, 69]], key_time[..., 60:] = -1, 1  # two queries before all keys; keys that nobody sees
    times = {"query_time": query_time, "key_time": key_time}
    out, log_sum_exp, weights = exact_forward(q, k, v, 32**-0.5, **times)
    if name in FORWARD:
        got, got_sums = forward(name, q, k, v, runner=Emulation(), **times)
        assert (got[0, 0, [3, 69]] == 0).all() and (got_sums[0, 0, [3, 69]] == -np.inf).all()
        np.testing.assert_allclose(got, out, atol=2e-6)
        np.testing.assert_allclose(got_sums, log_sum_exp, atol=2e-6)
    else:
        given = q, k, v, out.astype(np.float32), log_sum_exp.astype(np.float32), out_grad
        q_grad, k_grad, v_grad = backward(name, *given, runner=Emulation(), **times)
        assert (q_grad[0, 0, [3, 69]] == 0).all() and (k_grad[0, 0, 60:] == 0).all() and (v_grad[0, 0, 60:] == 0).all()
        for a, b in zip((q_grad, k_grad, v_grad), exact_backward(q, k, v, weights, out_grad, 32**-0.5)):
            np.testing.assert_allclose(a, b, atol=5e-6)


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("sign", [1, -1])
def test_equal_rows_and_huge_logits(name, sign):
    q, k, v, _ = numbers(65, 66)
    out, log_sum_exp = forward(name, q, np.ones_like(k), v, runner=Emulation())
    np.testing.assert_allclose(out, np.broadcast_to(v.mean(2, keepdims=True), out.shape), atol=1e-6)
    # One key of logit +-10,000 among zeros: all weight on it, or none.
    q[:], k[:], k[0, 0, 40, 0] = 1, 0, sign * 1e4
    out, log_sum_exp = forward(name, q, k, v, scale=1, runner=Emulation())
    want = v[:, :, 40:41] if sign > 0 else np.delete(v, 40, 2).mean(2, keepdims=True)
    np.testing.assert_allclose(out, np.broadcast_to(want, out.shape), atol=1e-6)
    np.testing.assert_allclose(log_sum_exp, 1e4 if sign > 0 else np.log(65), rtol=1e-6)


@pytest.mark.parametrize("name", BACKWARD)
@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_of_huge_logits(name, sign):
    q, k, v, out_grad = numbers(65, 66)
    q[:], k[:], k[0, 0, 40, 0] = 1, 0, sign * 1e4
    out, log_sum_exp, weights = exact_forward(q, k, v, 1)
    given = q, k, v, out.astype(np.float32), log_sum_exp.astype(np.float32), out_grad
    got = backward(name, *given, scale=1, runner=Emulation())
    # A score's gradient is a difference of two sums, right to about 1e-6; q_grad multiplies it by keys of 10,000.
    for a, b, size in zip(got, exact_backward(q, k, v, weights, out_grad, 1), (1e4, 1, 1)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * size)


@pytest.mark.parametrize("name", BACKWARD)
def test_backward_is_bitwise_the_same_whatever_the_order(name):
    q, k, v, out_grad = numbers(66, 34, heads=2)
    out, log_sum_exp, _ = exact_forward(q, k, v, 32**-0.5)
    given = q, k, v, out.astype(np.float32), log_sum_exp.astype(np.float32), out_grad
    first, second = (backward(name, *given, runner=Emulation(seed=seed)) for seed in (3, 4))
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a.view(np.int32), b.view(np.int32))


@pytest.mark.parametrize("name", FILES)
def test_views_of_one_array_are_read_without_a_copy(name):
    batch, tokens, heads, width = 2, 19, 3, 32
    together = np.random.default_rng(0).standard_normal((batch, tokens, 4, heads, width), dtype=np.float32)
    views = [together[:, :, i].swapaxes(1, 2) for i in range(4)]  # (B, h, N, d), as a model's projection leaves them
    q, k, v, out_grad = views
    out, log_sum_exp, weights = exact_forward(q, k, v, width**-0.5)
    if name in FORWARD:
        got, _ = forward(name, q, k, v, runner=Emulation())
        assert got.swapaxes(1, 2).flags.c_contiguous  # ready for the projection that follows
        np.testing.assert_allclose(got, out, atol=2e-6)
    else:
        given = q, k, v, out.astype(np.float32), log_sum_exp.astype(np.float32), out_grad
        for a, b in zip(
            backward(name, *given, runner=Emulation()), exact_backward(q, k, v, weights, out_grad, width**-0.5)
        ):
            np.testing.assert_allclose(a, b, atol=5e-6)


def of_width(width):
    return {name: np.zeros((1, 1, 4, width), np.float32) for name in "qkv"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_width(48), "head widths 32, 64, 128, not 48"),
        ({"q": np.zeros((1, 1, 4, 32))}, "q as <class 'numpy.float32'> .*, not float64"),
        ({"k": np.zeros((1, 1, 4, 64), np.float32)}, r"k as .* \(1, 1, 4, 32\), not float32 \(1, 1, 4, 64\)"),
        ({"v": np.zeros((1, 1, 4, 64), np.float32)[..., ::2]}, "each row of v in one piece, .* 8 bytes apart"),
        ({"q": np.zeros((1, 1, 4, 33), np.float32)[..., 1:]}, "rows of q that begin at multiples of 16 bytes"),
        ({"q": np.zeros((1, 4, 32), np.float32)}, r"\(batch, heads, tokens, width\), not \(1, 4, 32\)"),
        ({"k": np.zeros((1, 1, 0, 32), np.float32)}, "attention needs q and k"),
        ({"query_time": np.zeros(4, np.int32)}, "query_time and key_time together"),
        ({"query_time": np.zeros(4), "key_time": np.zeros(4)}, "query_time as .*int32.*, not float64"),
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
]


@pytest.mark.parametrize("bug", range(len(PLANTED)), ids=lambda i: f"{i}-{PLANTED[i][0]}")
def test_a_planted_bug_is_caught(bug, monkeypatch):
    name, old, new = PLANTED[bug]
    monkeypatch.setitem(FILES, name, replace(FILES[name], instances=(32,)))  # one instance is compiled sooner
    text = whole_source(name)
    assert text.count(old) == 1, "the line to break isn't there once"
    caught = []
    for seed in (0, 1, 2):
        runner = Emulation(seed=seed, sources={name: text.replace(old, new)})
        try:
            caught.append(not is_close(errors(name, 70, 150, 32, 4, seed, runner)))
        except EmulationError:
            caught.append(True)
    assert any(caught)


# ---- Accesses out of bounds, found by AddressSanitizer in a process of its own ----------------------------------

SANITIZED = """
import sys
from dataclasses import replace
from minivdit.kernels import whole_source
from minivdit.kernels.attention import FILES
from minivdit.kernels.emulate import Emulation
from minivdit.kernels.example import errors

name, old, new = sys.argv[1:]
text = whole_source(name)
assert old in text
FILES[name] = replace(FILES[name], instances=(32,))
runner = Emulation(sources={name: text.replace(old, new)}, sanitize=True)
queries, keys = (17, 19) if "warps" in name else (65, 67)  # lengths that nothing divides
result = errors(name, queries, keys, 32, None, 0, runner, heads=1)
assert all(error < 1e-4 for error, size in result.values()), result
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
    ],
)
def test_an_access_out_of_bounds_is_caught_with_its_line(name, old, new):
    report = sanitized(name, old, new)
    assert "ERROR: AddressSanitizer: heap-buffer-overflow" in report, report
    assert f"{name}.cu:" in report
