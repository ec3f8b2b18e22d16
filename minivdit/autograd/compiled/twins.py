"""The compiled twins of operations. Each has the arguments of the operation whose name it has, and its docstring."""

import math

import numpy as np

from ..arrays import row_count, sum_rows
from ..attend import EPS, check_attention, check_rotation
from ..elementwise import BLOCK
from ..engine import is_recording, twin
from ..fused import check_gated_residual, check_mlp, check_modulation, check_rows
from ..products import linear as numpy_linear
from . import attention_loops, elementwise_loops, mlp_loops, row_loops
from .compiler import in_parallel, rows_whole, whole

MLP_ROWS = 256
QUICK = 4  # loops of a single pass are quick: a second thread pays from 4 times as many entries on
PARTS, PART = 4, 512  # a lonely head has its queries cut into so many parts for threads, at least so long
NORM_ROWS = 64  # whose gradients of the weight are summed at a time


@twin("compiled")
def attention(q, k, v, q_weight=None, k_weight=None, cos=None, sin=None, *, scale=None, query_time=None, key_time=None):
    scale, query_time, key_time = check_attention(q, k, v, scale, query_time, key_time)
    check_rotation(q, k, cos, sin)
    number, leading = q.dtype.type, q.shape[:-2]
    heads = leading[-1] if leading else 1
    items = math.prod(leading[:-1])

    def four(x):  # (..., h, N, d) as (items, h, N, d), with entries of a row side by side
        return rows_whole(x.reshape(items, heads, *x.shape[-2:]))

    def table(x, tail, dtype):  # rows for each matrix of q, and which of them each item and head takes
        if x is None:
            return np.zeros((1, *(0,) * tail), dtype), np.zeros((items, heads), np.int64)
        x = x[tuple(slice(1) if step == 0 else slice(None) for step in x.strides[:-tail])]  # what is all alike: once
        rows = whole(x.astype(dtype, copy=False)).reshape(-1, *x.shape[-tail:])
        numbers = np.arange(len(rows)).reshape(x.shape[:-tail])
        return rows, np.broadcast_to(numbers, leading).reshape(items, heads).copy()

    arrays = tuple(four(x) for x in (q, k, v))
    weights = tuple(np.zeros(0, number) if w is None else whole(w) for w in (q_weight, k_weight))
    (cos_rows, numbers), (sin_rows, _) = (table(x, 2, number) for x in (cos, sin))
    times = *table(query_time, 1, np.int64), *table(key_time, 1, np.int64)
    most = max(1, min(PARTS // max(1, items * heads), q.shape[-2] // PART))
    parts = next(count for count in range(most, 0, -1) if q.shape[-2] % count == 0)
    given = parts, arrays, weights, (cos_rows, sin_rows, numbers), times, number(scale), number(EPS)
    value = np.empty_like(arrays[0], shape=(*arrays[0].shape[:-1], v.shape[-1]))
    tops, sums = (np.empty((items, heads, q.shape[-2]), number) for _ in range(2))
    work = q.size * k.shape[-2] // max(1, q.shape[-1])
    in_parallel(attention_loops.attention_forward, items * heads * parts, work, *given, value, tops, sums)

    def pullback(grad):
        if q.shape == k.shape == v.shape:  # likely they are parts of one array: `split` needn't join these then
            whole_grad = np.empty((items, q.shape[-2], 3, heads, q.shape[-1]), number)
            grads = tuple(whole_grad.transpose(2, 0, 3, 1, 4))
        else:
            grads = tuple(np.empty_like(x) for x in arrays)
        if parts > 1:  # each has its own gradients of the keys and values
            grads = grads[0], *(np.empty((items * parts, *x.shape[1:]), number) for x in arrays[1:])
        weight_grads = tuple(np.zeros((items * parts, heads, w.size), number) for w in weights)
        arguments = *given, value, tops, sums, four(grad), grads, weight_grads
        in_parallel(attention_loops.attention_backward, items * heads * parts, 3 * work, *arguments)
        by_weight = (None if w is None else g.sum(axis=(0, 1)) for w, g in zip((q_weight, k_weight), weight_grads))
        if parts > 1:
            grads = grads[0], *(g.reshape(items, parts, *g.shape[1:]).sum(axis=1) for g in grads[1:])
        q_grad, k_grad, v_grad = (g.reshape(x.shape) for g, x in zip(grads, (q, k, v)))
        return q_grad, k_grad, v_grad, *by_weight, None, None

    return value.reshape(*q.shape[:-1], v.shape[-1]), pullback


@twin("compiled")
def mlp(x, up_weight, up_bias, down_weight, down_bias):
    check_mlp(x, up_weight, up_bias, down_weight, down_bias)
    shape, hidden, n = x.shape, up_weight.shape[1], row_count(x.shape)
    rows = whole(x.reshape(n, shape[-1]))
    weights = [whole(w) for w in (up_weight, up_bias, down_weight, down_bias)]
    before = np.empty((n if is_recording() else 0, hidden), x.dtype)
    value = np.empty((n, down_weight.shape[1]), x.dtype)
    blocks = -(-n // MLP_ROWS)
    in_parallel(mlp_loops.mlp_forward, blocks, n * hidden, MLP_ROWS, rows, *weights, before, value)

    def pullback(grad):
        grad = whole(grad.reshape(value.shape))
        x_grad = np.empty_like(rows)
        up_grad, up_bias_grad, down_grad = (np.zeros_like(w) for w in weights[:3])
        arguments = rows, before, grad, weights[0], weights[2], x_grad, up_grad, up_bias_grad, down_grad
        mlp_loops.mlp_backward(0, blocks, MLP_ROWS, *arguments)
        return x_grad.reshape(shape), up_grad, up_bias_grad, down_grad, sum_rows(grad)

    return value.reshape(*shape[:-1], value.shape[1]), pullback


@twin("compiled")
def linear(x, weight, bias=None, *, transposed=False):
    """NumPy's product is as fast as any loop; but the result isn't transposed, since compiled attention reads rows."""
    return numpy_linear.function.__wrapped__(x, weight, bias)


def _normalise(x, scale, shift, step, centred, eps):
    """The value (n, D) of `normalise_forward` for x (..., D), and a pullback that gives the three gradients in rows."""
    rows = whole(x.reshape(row_count(x.shape), x.shape[-1]))
    scale, shift = rows_whole(scale), rows_whole(shift)
    mean, inverse_deviation = np.empty((2, len(rows)), x.dtype)
    value = np.empty_like(rows)
    arguments = step, centred, rows, scale, shift, x.dtype.type(eps), mean, inverse_deviation, value
    in_parallel(row_loops.normalise_forward, len(scale), x.size // QUICK, *arguments)

    def pullback(grad):
        grad = whole(grad.reshape(rows.shape))
        x_grad, scale_grad, shift_grad = (
            np.empty_like(rows),
            np.empty(scale.shape, x.dtype),
            np.empty(scale.shape, x.dtype),
        )
        arguments = step, centred, rows, scale, mean, inverse_deviation, grad, x_grad, scale_grad, shift_grad
        in_parallel(row_loops.normalise_backward, len(scale), x.size // QUICK, *arguments)
        return x_grad.reshape(x.shape), scale_grad, shift_grad

    return value.reshape(x.shape), pullback


def _norm(x, weight, bias, centred, eps):
    """The value of layer_norm or rms_norm, and a pullback that gives the gradients of x, weight and bias."""
    groups, like = -(-row_count(x.shape) // NORM_ROWS), (x.shape[-1],)
    scale = np.broadcast_to(np.ones(like, x.dtype) if weight is None else weight, (groups, *like))
    shift = np.broadcast_to(np.zeros(like, x.dtype) if bias is None else bias, (groups, *like))
    value, pullback_of_rows = _normalise(x, scale, shift, NORM_ROWS, centred, eps)

    def pullback(grad):
        x_grad, weight_grad, bias_grad = pullback_of_rows(grad)
        return x_grad, None if weight is None else sum_rows(weight_grad), None if bias is None else sum_rows(bias_grad)

    return value, pullback


@twin("compiled")
def layer_norm(x, weight=None, bias=None, *, eps=1e-6):
    check_rows("layer_norm", x, weight, bias)
    return _norm(x, weight, bias, True, eps)


@twin("compiled")
def rms_norm(x, weight=None, *, eps=1e-6):
    check_rows("rms_norm", x, weight)
    value, pullback = _norm(x, weight, None, False, eps)
    return value, lambda grad: pullback(grad)[:2]


@twin("compiled")
def normalise_and_modulate(x, shift, scale, *, eps=1e-6):
    check_modulation(x, shift, scale)
    like, width = shift.shape, x.shape[-1]
    scale, shift = (scale + 1).reshape(-1, width), shift.reshape(-1, width)
    value, pullback_of_rows = _normalise(x, scale, shift, x.shape[-2], True, eps)

    def pullback(grad):
        x_grad, scale_grad, shift_grad = pullback_of_rows(grad)
        return x_grad, shift_grad.reshape(like), scale_grad.reshape(like)

    return value, pullback


@twin("compiled")
def gated_residual(x, gate, branch):
    check_gated_residual(x, gate, branch)
    step, width = x.shape[-2:]
    rows, branch_rows = (whole(array).reshape(-1, width) for array in (x, branch))
    gates = rows_whole(gate.reshape(-1, width))
    value = np.empty_like(rows)
    in_parallel(row_loops.gated_residual_forward, len(gates), x.size // QUICK, step, rows, gates, branch_rows, value)

    def pullback(grad):
        grad_rows = whole(grad).reshape(-1, width)
        gate_grad, branch_grad = np.empty(gates.shape, x.dtype), np.empty_like(rows)
        arguments = step, gates, branch_rows, grad_rows, gate_grad, branch_grad
        in_parallel(row_loops.gated_residual_backward, len(gates), x.size // QUICK, *arguments)
        return grad, gate_grad.reshape(gate.shape), branch_grad.reshape(x.shape)

    return value.reshape(x.shape), pullback


def _entry_by_entry(forward, backward, x):
    """The value and the pullback of an operation with these loops in elementwise_loops.py."""
    flat = whole(x).reshape(-1)
    value, count = np.empty_like(flat), -(-x.size // BLOCK)
    in_parallel(forward, count, x.size // QUICK, BLOCK, flat, value)

    def pullback(grad):
        x_grad = np.empty_like(flat)
        in_parallel(backward, count, x.size // QUICK, BLOCK, flat, whole(grad).reshape(-1), x_grad)
        return x_grad.reshape(x.shape)

    return value.reshape(x.shape), pullback


@twin("compiled")
def gelu(x):
    return _entry_by_entry(elementwise_loops.gelu_forward, elementwise_loops.gelu_backward, x)


@twin("compiled")
def silu(x):
    return _entry_by_entry(elementwise_loops.silu_forward, elementwise_loops.silu_backward, x)
