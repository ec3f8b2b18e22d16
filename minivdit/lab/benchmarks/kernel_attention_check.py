"""Attention on random numbers, by a kernel and by NumPy in float64: how far apart are they?"""

from typing import NamedTuple

import numpy as np

from ...base.backend import to_numpy
from ...kernels.attention import FILES, Forward, backward, forward
from ...kernels.formats import to_float32, to_format


class Error(NamedTuple):
    """Of an array that a kernel made: its largest error, its largest number, and the error of plain arithmetic."""

    largest: float
    size: float
    plain: float


def exact_forward(q, k, v, scale, query_time=None, key_time=None):
    """The definition in float64: out, log_sum_exp, and the weights that `exact_backward` takes.

    q: (..., queries, d); k, v: (..., keys, d); times: (..., queries) and (..., keys).
    """
    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    scores = scale * q @ k.swapaxes(-1, -2)
    if query_time is not None:
        scores = np.where(key_time[..., None, :] <= query_time[..., :, None], scores, -np.inf)
    highest = np.maximum(scores.max(-1, keepdims=True), -1e30)
    weights = np.exp(scores - highest)
    total = weights.sum(-1, keepdims=True)
    weights /= np.where(total == 0, 1, total)
    with np.errstate(divide="ignore"):
        log_sum_exp = highest + np.log(total)
    return weights @ v, np.where(total == 0, -np.inf, log_sum_exp)[..., 0], weights


def exact_backward(q, k, v, weights, out_grad, scale):
    """The gradients of q, k and v in float64."""
    q, k, v, out_grad = (array.astype(np.float64) for array in (q, k, v, out_grad))
    weights_grad = out_grad @ v.swapaxes(-1, -2)
    scores_grad = weights * (weights_grad - (weights * weights_grad).sum(-1, keepdims=True))
    return (
        scale * scores_grad @ k,
        scale * scores_grad.swapaxes(-1, -2) @ q,
        weights.swapaxes(-1, -2) @ out_grad,
    )


def plain(q, k, v, out, out_grad, scale, dtype, query_time=None, key_time=None):
    """Attention step by step, forward and backward, each result rounded to `dtype`: a kernel's measure.

    Takes float32 numbers that `dtype` holds exactly; returns out, q_grad, k_grad and v_grad in float32.
    """

    def rounded(array):
        return to_float32(to_format(array, dtype), dtype)

    def across(array):
        return array.swapaxes(-1, -2)

    scores = rounded(rounded(q @ across(k)) * np.float32(scale))
    if query_time is not None:
        scores = np.where(key_time[..., None, :] <= query_time[..., :, None], scores, np.float32(-np.inf))
    weights = np.exp(scores - np.maximum(scores.max(-1, keepdims=True), np.float32(-1e30)))
    total = weights.sum(-1, keepdims=True)
    weights = rounded(weights / np.where(total == 0, 1, total))
    weights_grad = rounded(out_grad @ across(v))
    scores_grad = rounded(weights * (weights_grad - (out_grad * out).sum(-1, keepdims=True)))
    made = weights @ v, scale * (scores_grad @ k), scale * (across(scores_grad) @ q), across(weights) @ out_grad
    return [rounded(array.astype(np.float32)) for array in made]


def errors(name, queries, keys, width, frames, seed, runner, batch=1, heads=2, dtype=None, steepness=1):
    """An Error for everything that a kernel file computes, by name.

    frames: None, or how many frames the tokens lie in, none seeing a later one. runner: an Emulation or a Launcher.
    dtype: of the arrays; the first one that the file reads. steepness: how much longer the last key is than the first,
    so that scores rise from tile to tile.
    """
    generator = np.random.default_rng(seed)
    dtype = dtype or (FILES[name].types or ("float32",))[0]

    def stored(array):
        return runner.array(to_format(array, dtype))

    def normal(tokens):
        numbers = generator.standard_normal((batch, tokens, heads, width), dtype=np.float32).swapaxes(1, 2)
        return to_float32(to_format(numbers, dtype), dtype)

    q, k, v, out_grad = normal(queries), normal(keys), normal(keys), normal(queries)
    k = to_float32(to_format(k * np.linspace(1, steepness, keys, dtype=np.float32)[:, None], dtype), dtype)
    times = {}
    if frames is not None:
        for field, tokens in (("query_time", queries), ("key_time", keys)):
            times[field] = (np.arange(tokens) * frames // tokens).astype(np.int32)[None, None]
    scale = width**-0.5
    out, log_sum_exp, weights = exact_forward(q, k, v, scale, **times)
    rounded_out = to_float32(to_format(out.astype(np.float32), dtype), dtype)
    in_plain = plain(q, k, v, rounded_out, out_grad, scale, dtype, **times)
    if FILES[name].arguments is Forward:
        fields, want = ("out", "log_sum_exp"), (out, log_sum_exp)
        got = forward(name, *map(stored, (q, k, v)), runner=runner, dtype=dtype, **times)
        got, in_plain = (to_float32(got[0], dtype), got[1]), (in_plain[0], log_sum_exp)
    else:
        fields, want = ("q_grad", "k_grad", "v_grad"), exact_backward(q, k, v, weights, out_grad, scale)
        given = *map(stored, (q, k, v, rounded_out)), runner.array(log_sum_exp.astype(np.float32)), stored(out_grad)
        got = backward(name, *given, runner=runner, dtype=dtype, **times)
        got, in_plain = [to_float32(array, dtype) for array in got], in_plain[1:]

    def largest(array):
        return float(np.abs(array).max())

    return {
        field: Error(largest(to_numpy(array) - exact), largest(exact), largest(other - exact))
        for field, array, exact, other in zip(fields, got, want, in_plain)
    }
