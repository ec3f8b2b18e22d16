"""The compiled twins of operations. Each has the arguments of the operation whose name it has, and its docstring."""

import math

import numpy as np

from ..arrays import row_count, sum_rows
from ..attend import EPS, check_attention, check_rotation
from ..engine import is_recording, twin
from ..fused import check_mlp
from ..products import linear as numpy_linear
from . import attention_loops, mlp_loops
from .compiler import in_parallel, rows_whole, whole

MLP_ROWS = 256


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
        rows = whole(x.astype(dtype, copy=False)).reshape(-1, *x.shape[-tail:])
        numbers = np.arange(len(rows)).reshape(x.shape[:-tail])
        return rows, np.broadcast_to(numbers, leading).reshape(items, heads).copy()

    arrays = [four(x) for x in (q, k, v)]
    weights = [np.zeros(0, number) if w is None else whole(w) for w in (q_weight, k_weight)]
    (cos_rows, angles_of), (sin_rows, _) = (table(x, 2, number) for x in (cos, sin))
    times = *table(query_time, 1, np.int64), *table(key_time, 1, np.int64)
    given = *arrays, *weights, cos_rows, sin_rows, angles_of, *times, number(scale), number(EPS)
    value = np.empty_like(arrays[0], shape=(*arrays[0].shape[:-1], v.shape[-1]))
    log_sums = np.empty((items, heads, q.shape[-2]), number)
    work = q.size * k.shape[-2] // max(1, q.shape[-1])
    in_parallel(attention_loops.attention_forward, items * heads, work, *given, value, log_sums)

    def pullback(grad):
        grads = [np.empty_like(x) for x in arrays]
        weight_grads = [np.zeros((items, heads, w.size), number) for w in weights]
        arguments = *given, value, log_sums, four(grad), *grads, *weight_grads
        in_parallel(attention_loops.attention_backward, items * heads, 3 * work, *arguments)
        q_grad, k_grad, v_grad = (g.reshape(x.shape) for g, x in zip(grads, (q, k, v)))
        q_weight_grad, k_weight_grad = (
            None if w is None else g.sum(axis=(0, 1)) for w, g in zip((q_weight, k_weight), weight_grads)
        )
        return q_grad, k_grad, v_grad, q_weight_grad, k_weight_grad, None, None

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
    return numpy_linear.function.__wrapped__(x, weight, bias)
