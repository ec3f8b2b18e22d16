"""Attention on random numbers, by a kernel and by NumPy in float64: how far apart are they?"""

from typing import NamedTuple

import numpy as np

from ...base.backend import array_module, to_numpy
from ...kernels.attention import FILES, Forward, backward, forward
from ...kernels.formats import to_float32, to_format

ROWS_AT_A_TIME = 1024  # queries of the reference


class Error(NamedTuple):
    """Of an array that a kernel made: its largest error, its largest number, and the error of plain arithmetic."""

    largest: float
    size: float
    plain: float


def reference(q, k, v, out_grad, *, scale=None, query_time=None, key_time=None, dtype=None):
    """The definition in float64, some queries at a time: a dict of out, log_sum_exp, q_grad, k_grad and v_grad.

    q, out_grad: (..., queries, d); k, v: (..., keys, d); times: (..., queries) and (..., keys). With a dtype it is in
    float32 instead, and each result is rounded to that: the error of such plain arithmetic is a kernel's yardstick.
    """
    xp = array_module(q)
    real = np.float64 if dtype is None else np.float32

    def rounded(array):
        return array if dtype is None else to_float32(to_format(array, dtype), dtype)

    def transposed(array):
        return array.swapaxes(-1, -2)

    scale = real(q.shape[-1] ** -0.5 if scale is None else scale)
    q, k, v, out_grad = (array.astype(real) for array in (q, k, v, out_grad))
    parts, k_grad, v_grad = [], xp.zeros_like(k), xp.zeros_like(v)
    for start in range(0, q.shape[-2], ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        queries, grad = q[..., rows, :], out_grad[..., rows, :]
        scores = rounded(rounded(queries @ transposed(k)) * scale)
        if query_time is not None:
            visible = key_time[..., None, :] <= query_time[..., rows, None]
            scores = xp.where(visible, scores, real(-np.inf))
        highest = xp.maximum(scores.max(axis=-1, keepdims=True), real(-1e30))
        weights = xp.exp(scores - highest)
        total = weights.sum(axis=-1, keepdims=True)
        weights = rounded(weights / xp.where(total == 0, real(1), total))
        with np.errstate(divide="ignore"):
            log_sum_exp = (highest + xp.log(total))[..., 0]  # -infinity for a query that sees nothing
        out, weights_grad = rounded(weights @ v), rounded(grad @ transposed(v))
        scores_grad = rounded(weights * (weights_grad - (grad * out).sum(axis=-1, keepdims=True)))
        parts.append((out, log_sum_exp[..., None], rounded(scale * (scores_grad @ k))))
        k_grad += scale * (transposed(scores_grad) @ queries)
        v_grad += transposed(weights) @ grad
    out, log_sum_exp, q_grad = (xp.concatenate(part, axis=-2) for part in zip(*parts))
    sides = {"k_grad": rounded(k_grad), "v_grad": rounded(v_grad)}
    return {"out": out, "log_sum_exp": log_sum_exp[..., 0], "q_grad": q_grad, **sides}


def errors(
    name, queries, keys, width, frames, seed, runner, batch=1, heads=2, dtype=None, steepness=1, apart=False
):  # fmt: skip
    """An Error for everything that a kernel file computes, by name. All is computed where the runner's arrays are.

    frames: None, or how many frames the tokens lie in, none seeing a later one; or "any": each clip has times in no
    order, with queries that see nothing and keys that nobody sees. runner: an Emulation or a Launcher.
    dtype: of the arrays; the first one that the file reads. steepness: how much longer the last key is than the first,
    so that scores rise from tile to tile. apart: the arrays are views, between whose rows memory holds NaN.
    """
    generator = np.random.default_rng(seed)
    dtype = dtype or FILES[name].dtypes()[0]

    def stored(array):
        return runner.array(to_format(array, dtype))

    def as_given(array):
        array = to_format(array, dtype)
        return _apart(array, runner) if apart else runner.array(array)

    def normal(tokens):
        numbers = generator.standard_normal((batch, tokens, heads, width), dtype=np.float32).swapaxes(1, 2)
        return to_float32(to_format(numbers, dtype), dtype)

    q, k, v, out_grad = normal(queries), normal(keys), normal(keys), normal(queries)
    k = to_float32(to_format(k * np.linspace(1, steepness, keys, dtype=np.float32)[:, None], dtype), dtype)
    times = {field: runner.array(time) for field, time in _times(frames, batch, queries, keys, generator).items()}
    there = [runner.array(array) for array in (q, k, v, out_grad)]
    exact = reference(*there, **times)
    in_plain = reference(*there, dtype=dtype, **times) | {"log_sum_exp": exact["log_sum_exp"]}
    if FILES[name].arguments is Forward:
        out, log_sum_exp = forward(name, *map(as_given, (q, k, v)), runner=runner, dtype=dtype, **times)
        got = {"out": to_float32(out, dtype), "log_sum_exp": log_sum_exp}
    else:
        out, log_sum_exp = (exact[field].astype(np.float32) for field in ("out", "log_sum_exp"))
        given = *map(as_given, (q, k, v)), as_given(to_numpy(out)), log_sum_exp, as_given(out_grad)
        grads = backward(name, *given, runner=runner, dtype=dtype, **times)
        got = {field: to_float32(grad, dtype) for field, grad in zip(("q_grad", "k_grad", "v_grad"), grads)}
    return {
        field: Error(_largest(array, exact[field]), _size(exact[field]), _largest(in_plain[field], exact[field]))
        for field, array in got.items()
    }


def _times(frames, batch, queries, keys, generator):
    """query_time and key_time, or nothing, as the arguments of `errors` say."""
    if frames is None:
        return {}
    if frames == "any":  # of 6 frames; those at -1 see nothing, and nobody sees those at 9
        query_time, key_time = (generator.integers(0, 6, (batch, 1, tokens), np.int32) for tokens in (queries, keys))
        query_time[:, :, ::7], key_time[:, :, ::5] = -1, 9
        return {"query_time": query_time, "key_time": key_time}
    sides = {"query_time": queries, "key_time": keys}
    return {side: (np.arange(tokens) * frames // tokens).astype(np.int32)[None, None] for side, tokens in sides.items()}


def _apart(array, runner):
    """The same array (batch, heads, tokens, width) as a part of a larger one: NaN before, behind and between rows."""
    batch, heads, tokens, width = array.shape
    room = np.empty((batch, tokens + 2, heads + 1, 2 * width), array.dtype)
    room.view(np.uint8)[...] = 0xFF
    room[:, 1:-1, :-1, width:] = array.swapaxes(1, 2)
    return runner.array(room)[:, 1:-1, :-1, width:].swapaxes(1, 2)


def _largest(array, exact):
    """The largest distance between numbers of two arrays; none between equal infinities. NaN where there is NaN."""
    with np.errstate(invalid="ignore"):
        return float(abs(array_module(array).where(array == exact, 0, array - exact)).max())


def _size(array):
    """The largest number, infinity excluded."""
    xp = array_module(array)
    return float(abs(xp.where(xp.isfinite(array), array, 0)).max())
