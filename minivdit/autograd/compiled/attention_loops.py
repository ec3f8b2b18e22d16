"""Attention of one head after another, in tiles of scores that stay in a core's cache.

See `attention` in attend.py for what it computes. An item is one head of one clip or group. np.dot is fastest for
small products of contiguous matrices, so a head's rows are first copied into matrices of its own, normalised and
rotated on the way; keys and values are also transposed.
"""

import math

import numba
import numpy as np

from .compiler import OPTIONS, compiled
from .scalars import exp, in_one_piece, larger

SIDE = 128  # of a tile of scores, at most: 64 KiB of float32
HIDDEN = -3e38  # the score of a key that a query doesn't see
LOWEST = -1e30  # below every other score


@numba.njit(**OPTIONS)
def tile_side(length):
    """The side of tiles that cover `length` rows and are nearly equal: a multiple of 16, at most SIDE."""
    count = max(1, -(-length // SIDE))
    return max(16, -(-length // (16 * count)) * 16)


@numba.njit(**OPTIONS)
def prepare(x, weight, cos, sin, factor, eps, out, inverse_rms):
    """Write rows x (N, d) to `out`: normalised if there is a weight, rotated if there are angles, times a factor."""
    width, half = x.shape[1], cos.shape[1]
    for i in range(len(x)):
        row = in_one_piece(x[i])
        inverse = factor
        if weight.size:
            squares = row[0] * row[0]
            for j in range(1, width):
                squares += row[j] * row[j]
            inverse_rms[i] = 1 / math.sqrt(squares / width + eps)
            inverse = factor * inverse_rms[i]
            for j in range(width):
                out[i, j] = row[j] * weight[j] * inverse
        else:
            for j in range(width):
                out[i, j] = row[j] * factor
        for j in range(half):
            first, second = out[i, j], out[i, j + half]
            out[i, j] = first * cos[i, j] - second * sin[i, j]
            out[i, j + half] = second * cos[i, j] + first * sin[i, j]


@numba.njit(**OPTIONS)
def prepare_backward(grad, x, weight, cos, sin, factor, inverse_rms, x_grad, weight_grad):
    """Write the gradient of x in `prepare` from that of its result, which is overwritten; add to the weight's."""
    width, half = x.shape[1], cos.shape[1]
    for i in range(len(x)):
        row, out = in_one_piece(x[i]), in_one_piece(x_grad[i])
        for j in range(half):
            first, second = grad[i, j], grad[i, j + half]
            grad[i, j] = first * cos[i, j] + second * sin[i, j]
            grad[i, j + half] = second * cos[i, j] - first * sin[i, j]
        if weight.size:
            inverse = inverse_rms[i]
            along = grad[i, 0] * row[0] * weight[0]
            for j in range(1, width):
                along += grad[i, j] * row[j] * weight[j]
            along *= inverse * inverse / width
            inverse *= factor
            for j in range(width):
                weight_grad[j] += grad[i, j] * row[j] * inverse
                out[j] = (grad[i, j] * weight[j] - row[j] * along) * inverse
        else:
            for j in range(width):
                out[j] = grad[i, j] * factor


@numba.njit(**OPTIONS)
def copy_rows(x, out):
    """Copy x (N, d), whose rows may lie apart, to a contiguous matrix."""
    for i in range(len(x)):
        row = in_one_piece(x[i])
        for j in range(len(row)):
            out[i, j] = row[j]


@numba.njit(**OPTIONS)
def transpose_tiles(x, side, out):
    """Write x (N, d) to out (N d), each tile of `side` rows transposed."""
    tokens, width = x.shape
    for first in range(0, tokens, side):
        last = min(first + side, tokens)
        tile = out[first * width : last * width].reshape(width, last - first)
        for j in range(width):
            for i in range(first, last):
                tile[j, i - first] = x[i, j]


@numba.njit(**OPTIONS)
def hide(scores, query_time, key_time, first_query, first_key):
    """Set the scores of keys that queries don't see, which are those with a later time."""
    for i in range(scores.shape[0]):
        for j in range(scores.shape[1]):
            if key_time[first_key + j] > query_time[first_query + i]:
                scores[i, j] = HIDDEN


SHAPES = "f4[:,:,:,:], f4[:,:,:,:], f4[:,:,:,:], f4[::1], f4[::1], f4[:,:,::1], f4[:,:,::1], i8[:,::1]"
TIMES = "i8[:,::1], i8[:,::1], i8[:,::1], i8[:,::1], f4, f4"


@compiled(f"{SHAPES}, {TIMES}, f4[:,:,:,:], f4[:,:,::1]")
def attention_forward(
    start, stop, q, k, v, q_weight, k_weight, cos, sin, angles_of, query_time, queries_of, key_time, keys_of, scale,
    eps, value, log_sums,
):  # fmt: skip
    """Write value, and for each query the logarithm of the sum of exp(score) over all keys.

    q: (items, heads, Nq, d), k, v: like it; cos, sin: (tables, N, d/2), of which an item takes that of number
    angles_of[item, head]; d = 0 without rotation. query_time, key_time: likewise, (tables, N), N = 0 without times.
    """
    heads, queries, width = q.shape[1:]
    keys, value_width = v.shape[2:]
    number = q.dtype.type
    rows, columns = tile_side(queries), tile_side(keys)
    q_ready, k_ready = np.empty((queries, width), q.dtype), np.empty((keys, width), q.dtype)
    k_tiles, v_rows = np.empty(keys * width, q.dtype), np.empty((keys, value_width), q.dtype)
    inverse_rms = np.empty(max(queries, keys), q.dtype)
    scores_room, out_room = np.empty(rows * columns, q.dtype), np.empty((rows, value_width), q.dtype)
    sums, tops, total = np.empty(rows, q.dtype), np.empty(rows, q.dtype), np.empty((rows, value_width), q.dtype)
    for index in range(start, stop):
        item, head = index // heads, index % heads
        angles = angles_of[item, head]
        prepare(q[item, head], q_weight, cos[angles], sin[angles], scale, eps, q_ready, inverse_rms)
        prepare(k[item, head], k_weight, cos[angles], sin[angles], number(1), eps, k_ready, inverse_rms)
        transpose_tiles(k_ready, columns, k_tiles)
        copy_rows(v[item, head], v_rows)
        for top_row in range(0, queries, rows):
            n = min(rows, queries - top_row)
            sums[:] = 0
            tops[:] = LOWEST
            total[:] = 0
            for left in range(0, keys, columns):
                m = min(columns, keys - left)
                scores = scores_room[: n * m].reshape(n, m)
                out = out_room[:n]
                k_tile = k_tiles[left * width : (left + m) * width].reshape(width, m)
                np.dot(q_ready[top_row : top_row + n], k_tile, scores)
                if key_time.size:
                    times = query_time[queries_of[item, head]], key_time[keys_of[item, head]]
                    hide(scores, times[0], times[1], top_row, left)
                for i in range(n):
                    row = scores[i]
                    top = tops[i]
                    for j in range(m):
                        top = larger(top, row[j])
                    subtotal = number(0)
                    for j in range(m):
                        row[j] = exp(row[j] - top)
                        subtotal += row[j]
                    # What was summed before had an older maximum subtracted.
                    shrink = exp(tops[i] - top)
                    sums[i] = sums[i] * shrink + subtotal
                    tops[i] = top
                    for j in range(value_width):
                        total[i, j] *= shrink
                np.dot(scores, v_rows[left : left + m], out)
                for i in range(n):
                    for j in range(value_width):
                        total[i, j] += out[i, j]
            for i in range(n):
                sum_of_row = sums[i] if sums[i] > 0 else number(1)  # 0: a query that sees no key
                log_sums[item, head, top_row + i] = tops[i] + math.log(sum_of_row)
                row = in_one_piece(value[item, head, top_row + i])
                inverse = number(1) / sum_of_row
                for j in range(value_width):
                    row[j] = total[i, j] * inverse


@compiled(
    f"{SHAPES}, {TIMES}, f4[:,:,:,:], f4[:,:,::1], f4[:,:,:,:], "
    "f4[:,:,:,:], f4[:,:,:,:], f4[:,:,:,:], f4[:,:,::1], f4[:,:,::1]"
)
def attention_backward(
    start, stop, q, k, v, q_weight, k_weight, cos, sin, angles_of, query_time, queries_of, key_time, keys_of, scale,
    eps, value, log_sums, grad, q_grad, k_grad, v_grad, q_weight_grad, k_weight_grad,
):  # fmt: skip
    """Write the gradients of q, k and v, and for each item and head those of the weights; the others as above.

    With the weights P = exp(score - log_sum), the gradient of a score is P (v . grad - value . grad).
    """
    heads, queries, width = q.shape[1:]
    keys, value_width = v.shape[2:]
    number = q.dtype.type
    rows, columns = tile_side(queries), tile_side(keys)
    q_ready, k_ready = np.empty((queries, width), q.dtype), np.empty((keys, width), q.dtype)
    k_tiles, v_tiles = np.empty(keys * width, q.dtype), np.empty(keys * value_width, q.dtype)
    v_rows, grad_rows = np.empty((keys, value_width), q.dtype), np.empty((queries, value_width), q.dtype)
    q_inverse, k_inverse, along = np.empty(queries, q.dtype), np.empty(keys, q.dtype), np.empty(queries, q.dtype)
    q_sum, k_sum, v_sum = np.empty_like(q_ready), np.empty_like(k_ready), np.empty_like(v_rows)
    weights_room, scores_room = np.empty(rows * columns, q.dtype), np.empty(rows * columns, q.dtype)
    q_share = np.empty((rows, width), q.dtype)
    k_share, v_share = np.empty((columns, width), q.dtype), np.empty((columns, value_width), q.dtype)
    for index in range(start, stop):
        item, head = index // heads, index % heads
        angles = angles_of[item, head]
        prepare(q[item, head], q_weight, cos[angles], sin[angles], scale, eps, q_ready, q_inverse)
        prepare(k[item, head], k_weight, cos[angles], sin[angles], number(1), eps, k_ready, k_inverse)
        transpose_tiles(k_ready, columns, k_tiles)
        copy_rows(v[item, head], v_rows)
        transpose_tiles(v_rows, columns, v_tiles)
        copy_rows(grad[item, head], grad_rows)
        for i in range(queries):
            row = in_one_piece(value[item, head, i])
            along[i] = number(0)
            for j in range(value_width):
                along[i] += row[j] * grad_rows[i, j]
        q_sum[:] = 0
        k_sum[:] = 0
        v_sum[:] = 0
        for top_row in range(0, queries, rows):
            n = min(rows, queries - top_row)
            q_tile, grad_tile = q_ready[top_row : top_row + n], grad_rows[top_row : top_row + n]
            for left in range(0, keys, columns):
                m = min(columns, keys - left)
                weights, scores_grad = weights_room[: n * m].reshape(n, m), scores_room[: n * m].reshape(n, m)
                np.dot(q_tile, k_tiles[left * width : (left + m) * width].reshape(width, m), weights)
                if key_time.size:
                    times = query_time[queries_of[item, head]], key_time[keys_of[item, head]]
                    hide(weights, times[0], times[1], top_row, left)
                np.dot(
                    grad_tile,
                    v_tiles[left * value_width : (left + m) * value_width].reshape(value_width, m),
                    scores_grad,
                )
                for i in range(n):
                    log_sum, mean = log_sums[item, head, top_row + i], along[top_row + i]
                    for j in range(m):
                        weights[i, j] = exp(weights[i, j] - log_sum)
                        scores_grad[i, j] = weights[i, j] * (scores_grad[i, j] - mean)
                np.dot(weights.T, grad_tile, v_share[:m])
                np.dot(scores_grad.T, q_tile, k_share[:m])
                np.dot(scores_grad, k_ready[left : left + m], q_share[:n])
                v_sum[left : left + m] += v_share[:m]
                k_sum[left : left + m] += k_share[:m]
                q_sum[top_row : top_row + n] += q_share[:n]
        angles = angles_of[item, head]
        prepare_backward(
            q_sum, q[item, head], q_weight, cos[angles], sin[angles], scale, q_inverse, q_grad[item, head],
            q_weight_grad[item, head],
        )  # fmt: skip
        prepare_backward(
            k_sum, k[item, head], k_weight, cos[angles], sin[angles], number(1), k_inverse, k_grad[item, head],
            k_weight_grad[item, head],
        )  # fmt: skip
        for i in range(keys):
            row = in_one_piece(v_grad[item, head, i])
            for j in range(value_width):
                row[j] = v_sum[i, j]
