"""Attention on a GPU: by the hand-written kernels of kernels/, or by plain CuPy where that was asked for.

Which kernels: minivdit/kernels/attention.py, `best`. Without them (`--kernels off`) it is `simple_attention`, with all
scores in memory; nothing falls back to that by itself.
"""

import math

from ..backend import array_module, with_kernels
from ..errors import InputError
from ..kernels import attention as kernels
from ..kernels.describe import whole_rows
from ..kernels.launch import launcher
from .attend import _check, simple_attention
from .fused import rms_norm

WIDTHS = (32, 64, 128)  # of heads that there are kernels for; others get zeros up to the next


def attention_on_gpu(q, k, v, q_weight, k_weight, cos, sin, scale, query_time, key_time):
    """The value and the pullback of attend.attention, whose arguments these are."""
    q_ready, q_pullback = _prepare(q, q_weight, cos, sin)
    k_ready, k_pullback = _prepare(k, k_weight, cos, sin)
    attend = attention_by_kernels if with_kernels() else simple_attention.function
    output, pullback = attend(q_ready, k_ready, v, scale=scale, query_time=query_time, key_time=key_time)

    def pullback_of_all(grad):
        q_grad, k_grad, v_grad = pullback(grad)
        q_grad, q_weight_grad = q_pullback(q_grad)
        k_grad, k_weight_grad = k_pullback(k_grad)
        return q_grad, k_grad, v_grad, q_weight_grad, k_weight_grad, None, None

    return output, pullback_of_all


def _prepare(x, weight, cos, sin):
    """Rows x (..., N, d) normalised and turned where asked for; and the pullback, to x and to the weight (or None)."""
    normalised, norm_pullback = (x, lambda grad: (grad, None)) if weight is None else rms_norm.function(x, weight)
    if cos is None:
        return normalised, norm_pullback
    return _turn(normalised, cos, sin), lambda grad: norm_pullback(_turn(grad, cos, -sin))


def _turn(x, cos, sin):
    """The pairs (x[i], x[i + d/2]) of x (..., N, d) turned by angles with these cosines and sines, (..., N, d/2)."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    turned = [first * cos - second * sin, second * cos + first * sin]
    return array_module(x).concatenate(turned, axis=-1)


def attention_by_kernels(q, k, v, *, scale=None, query_time=None, key_time=None):
    """The value and the pullback of attend.simple_attention, whose arguments these are, by the best kernels there are.

    Rows are copied where they don't lie as kernels read them: in one piece, of 32, 64 or 128 numbers.
    """
    scale, *times = _check(q, k, v, scale, query_time, key_time)
    widest = max(q.shape[-1], v.shape[-1])
    width = next((width for width in WIDTHS if width >= widest), None)
    if width is None:
        raise InputError(
            f"there are attention kernels for heads of up to {WIDTHS[-1]} numbers, not {widest}; use more heads, "
            "--kernels off (plain CuPy) or --device cpu"
        )
    runner = launcher()
    wanted = q.dtype.name, width, runner.architecture, runner.shared_bytes
    forward, backward = (kernels.best(kind, *wanted) for kind in (kernels.Forward, kernels.Backward))
    arrays = [_as_rows(x, width) for x in (q, k, v)]
    query_time, key_time = (time if time is None else _with_four_axes(time[..., None])[..., 0] for time in times)
    options = {"runner": runner, "scale": scale, "query_time": query_time, "key_time": key_time}
    out, log_sum_exp = kernels.forward(forward, *arrays, **options)

    def pullback(grad):
        grads = kernels.backward(backward, *arrays, out, log_sum_exp, _as_rows(grad, width), **options)
        return tuple(found[..., : x.shape[-1]].reshape(x.shape) for found, x in zip(grads, (q, k, v)))

    return out[..., : v.shape[-1]].reshape(*q.shape[:-1], v.shape[-1]), pullback


def _with_four_axes(x):
    """(..., heads, N, d) as (batch, heads, N, d): clips and groups, of which kernels know nothing, in one axis."""
    *groups, heads = (1, *x.shape[:-2])
    return x.reshape(math.prod(groups), heads, *x.shape[-2:])


def _as_rows(x, width):
    """x as `_with_four_axes` gives it, in rows of `width` numbers that kernels can read."""
    x = _with_four_axes(x)
    if x.shape[3] == width:
        return whole_rows(x)
    wider = array_module(x).zeros((*x.shape[:3], width), x.dtype)
    wider[..., : x.shape[3]] = x
    return wider
