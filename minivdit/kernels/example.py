"""Attention on random numbers, by a kernel and by NumPy in float64: how far apart are they?"""

import numpy as np

from ..backend import to_numpy
from .attention import FILES, Forward, backward, forward


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


def errors(name, queries, keys, width, frames, seed, runner, batch=1, heads=2):
    """Largest error and largest size of everything that a kernel file computes, by name.

    frames: None, or how many frames the tokens lie in, none seeing a later one. runner: an Emulation or a Launcher.
    """
    generator = np.random.default_rng(seed)

    def normal(tokens):
        return generator.standard_normal((batch, tokens, heads, width), dtype=np.float32).swapaxes(1, 2)

    q, k, v, out_grad = normal(queries), normal(keys), normal(keys), normal(queries)
    times = {}
    if frames is not None:
        for field, tokens in (("query_time", queries), ("key_time", keys)):
            times[field] = (np.arange(tokens) * frames // tokens).astype(np.int32)[None, None]
    scale = width**-0.5
    out, log_sum_exp, weights = exact_forward(q, k, v, scale, **times)
    if FILES[name].arguments is Forward:
        fields, want = ("out", "log_sum_exp"), (out, log_sum_exp)
        got = forward(name, *map(runner.array, (q, k, v)), runner=runner, **times)
    else:
        fields, want = ("q_grad", "k_grad", "v_grad"), exact_backward(q, k, v, weights, out_grad, scale)
        given = (q, k, v, out.astype(np.float32), log_sum_exp.astype(np.float32), out_grad)
        got = backward(name, *map(runner.array, given), runner=runner, **times)
    return {
        field: (float(np.abs(to_numpy(array) - exact).max()), float(np.abs(exact).max()))
        for field, array, exact in zip(fields, got, want)
    }
