"""Operations by the hand-written kernels of kernels/: each a value and its pullback, as everywhere.

Each is the twin of the operation that has the same name, whose docstring says what it computes. The engine calls it
for CuPy's arrays, unless plain CuPy was asked for (`--kernels off`). Nothing falls back to plain CuPy by itself: an
array that a kernel can't read is copied so that it can, or refused with the cure.
"""

import math

from ..base.backend import array_module
from ..base.errors import InputError
from ..kernels import attention as attention_kernels
from ..kernels import fused
from ..kernels.describe import whole_rows
from ..kernels.launch import launcher
from .arrays import sum_rows
from .attend import check_attention, normalise_and_rotate
from .engine import twin
from .fused import check_mlp, check_rows

WIDTHS = (32, 64, 128)  # of heads for which there are attention kernels; others are filled up with zeros


def _whole(x):
    """x contiguous in memory: itself if it is already."""
    return x if x.flags.c_contiguous else x.copy()


def _vectors(x):
    """x (..., 1, D), copied unless its vectors lie at equal distances in memory, as parts of one array do."""
    return x.reshape(-1, x.shape[-1]).reshape(x.shape)


# ---- Beside attention ---------------------------------------------------------------------------------------


@twin("gpu")
def normalise_and_modulate(x, shift, scale, *, eps=1e-6):
    runner, x, shift, scale = launcher(), _whole(x), _vectors(shift), _vectors(scale)

    def pullback(grad):
        return fused.normalise_and_modulate_backward(x, scale, _whole(grad), runner=runner, eps=eps)

    return fused.normalise_and_modulate(x, shift, scale, runner=runner, eps=eps), pullback


@twin("gpu")
def layer_norm(x, weight=None, bias=None, *, eps=1e-6):
    check_rows("layer_norm", x, weight, bias)
    runner, x = launcher(), _whole(x)
    standardised = fused.normalise_and_modulate(x, runner=runner, eps=eps)
    value = standardised if weight is None else standardised * weight
    value = value if bias is None else value + bias

    def pullback(grad):
        own = _whole(grad) if weight is None else grad * weight
        x_grad, *_ = fused.normalise_and_modulate_backward(x, None, own, runner=runner, eps=eps)
        weight_grad = None if weight is None else sum_rows(grad * standardised)
        return x_grad, weight_grad, None if bias is None else sum_rows(grad)

    return value, pullback


@twin("gpu")
def rms_norm(x, weight=None, *, eps=1e-6):
    factors = array_module(x).ones(x.shape[-1:], x.dtype) if weight is None else weight
    value, pullback = _norm_and_rotary(_whole(x).reshape(1, 1, -1, x.shape[-1]), factors, None, None, eps)

    def pullback_of_all(grad):
        x_grad, weight_grad = pullback(_whole(grad).reshape(value.shape))
        return x_grad.reshape(x.shape), None if weight is None else weight_grad

    return value.reshape(x.shape), pullback_of_all


@twin("gpu")
def gated_residual(x, gate, branch):
    runner, gate, branch = launcher(), _vectors(gate), _whole(branch)

    def pullback(grad):
        return grad, *fused.gated_residual_backward(gate, branch, _whole(grad), runner=runner)

    return fused.gated_residual(_whole(x), gate, branch, runner=runner), pullback


@twin("gpu")
def mlp(x, up_weight, up_bias, down_weight, down_bias):
    check_mlp(x, up_weight, up_bias, down_weight, down_bias)
    runner, shape = launcher(), x.shape
    rows = x.reshape(-1, shape[-1])
    before = rows @ up_weight
    activated = fused.bias_gelu(before, up_bias, runner=runner)
    value = activated @ down_weight
    value += down_bias

    def pullback(grad):
        grad = grad.reshape(value.shape)
        before_grad, up_bias_grad = fused.bias_gelu_backward(before, up_bias, grad @ down_weight.T, runner=runner)
        x_grad = (before_grad @ up_weight.T).reshape(shape)
        return x_grad, rows.T @ before_grad, up_bias_grad, activated.T @ grad, sum_rows(grad)

    return value.reshape(*shape[:-1], down_weight.shape[1]), pullback


def _norm_and_rotary(x, weight, cos, sin, eps=1e-6):
    """`normalise_and_rotate` of x (batch, heads, tokens, width) with a weight; cos and sin broadcast to x."""
    runner = launcher()

    def pullback(grad):
        return fused.norm_and_rotary_backward(x, weight, grad, cos, sin, runner=runner, eps=eps)

    return fused.norm_and_rotary(x, weight, cos, sin, runner=runner, eps=eps), pullback


# ---- Attention ----------------------------------------------------------------------------------------------


@twin("gpu")
def attention(q, k, v, q_weight=None, k_weight=None, cos=None, sin=None, *, scale=None, query_time=None, key_time=None):
    """By the best kernels for this GPU (`best` in minivdit/kernels/attention.py).

    Kernels read contiguous rows of 32, 64 or 128 numbers. Other rows are copied.
    """
    scale, *times = check_attention(q, k, v, scale, query_time, key_time)
    widest = max(q.shape[-1], v.shape[-1])
    width = next((width for width in WIDTHS if width >= widest), None)
    if width is None:
        raise InputError(
            f"there are attention kernels for heads of up to {WIDTHS[-1]} numbers, not {widest}; use more heads, "
            f"or {fused.ELSE}"
        )
    query_time, key_time = (time if time is None else _with_four_axes(time[..., None])[..., 0] for time in times)
    tables = [
        table
        if table is None
        else _with_four_axes(array_module(q).broadcast_to(table, (*q.shape[:-3], 1, *table.shape[-2:])))
        for table in (cos, sin)
    ]
    (q_ready, q_pullback), (k_ready, k_pullback) = (
        _prepare(_with_four_axes(x), weight, *tables) for x, weight in ((q, q_weight), (k, k_weight))
    )
    runner = launcher()
    wanted = q.dtype.name, width, runner.architecture, runner.shared_bytes, runner.compiles
    forward, backward = (
        attention_kernels.best(kind, *wanted) for kind in (attention_kernels.Forward, attention_kernels.Backward)
    )
    arrays = [_as_rows(x, width) for x in (q_ready, k_ready, _with_four_axes(v))]
    options = {"runner": runner, "scale": scale, "query_time": query_time, "key_time": key_time}
    out, log_sum_exp = attention_kernels.forward(forward, *arrays, **options)

    def pullback(grad):
        grad = _as_rows(_with_four_axes(grad), width)
        grads = attention_kernels.backward(backward, *arrays, out, log_sum_exp, grad, **options)
        q_grad, k_grad, v_grad = (found[..., : x.shape[-1]] for found, x in zip(grads, (q, k, v)))
        q_grad, q_weight_grad = q_pullback(q_grad)
        k_grad, k_weight_grad = k_pullback(k_grad)
        found = (found.reshape(x.shape) for found, x in ((q_grad, q), (k_grad, k), (v_grad, v)))
        return *found, q_weight_grad, k_weight_grad, None, None

    return out[..., : v.shape[-1]].reshape(*q.shape[:-1], v.shape[-1]), pullback


def _prepare(x, weight, cos, sin):
    """Rows x (batch, heads, N, d) as `normalise_and_rotate` makes them, and the pullback."""
    if weight is None:  # no kernel rotates without normalising
        return normalise_and_rotate(x, weight, cos, sin)
    in_one_piece = x.shape[-1] == 1 or x.strides[-1] == x.dtype.itemsize
    return _norm_and_rotary(x if in_one_piece else x.copy(), weight, cos, sin)


def _with_four_axes(x):
    """(..., heads, N, d) as (batch, heads, N, d): kernels take clips and groups as one axis."""
    *groups, heads = (1, *x.shape[:-2])
    return x.reshape(math.prod(groups), heads, *x.shape[-2:])


def _as_rows(x, width):
    """x (batch, heads, N, d) in rows of `width` numbers that kernels can read."""
    if x.shape[3] == width:
        return whole_rows(x)
    wider = array_module(x).zeros((*x.shape[:3], width), x.dtype)
    wider[..., : x.shape[3]] = x
    return wider
