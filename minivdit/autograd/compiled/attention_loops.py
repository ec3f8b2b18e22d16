"""Attention of one head after another, in tiles of scores that stay in a core's cache.

See `attention` in attend.py for what it computes. A loop's item is one head of one clip or group, or one of several
parts of its queries; the gradients of keys from all parts are added up in the end.

A tile of scores has a row for each key and a column for each query, so that what is done to each query's scores runs
along all queries. Products of small contiguous matrices are fast, so a head's rows are first copied into matrices of
its own, normalised and rotated on the way. Some are also kept as tiles: a few rows at a time, transposed.
"""

import math

import numba
import numpy as np

from .compiler import OPTIONS, compiled
from .products import add_product
from .scalars import exp, in_one_piece, larger, quick_exp

TILE = 1 << 14  # entries of a tile of scores, at most: 64 KiB of float32
QUICK_PRODUCT = 10**6  # multiplications, up to which BLAS has routines for small products
HIDDEN = -3e38  # the score of a key that a query doesn't see
LOWEST = -1e30  # below every other score
NO_OVERFLOW = 30  # exp of scores up to this is far from overflow
NONE, SOME, ALL = 0, 1, 2  # of a tile's keys that its queries see


@numba.njit(**OPTIONS)
def tile_side(length, width):
    """How many queries or keys a tile has, of so many in all: a multiple of 16, such that tiles are nearly equal."""
    most = int(math.sqrt(min(TILE, QUICK_PRODUCT // width))) // 16 * 16
    count = max(1, -(-length // most))
    return max(16, -(-length // (16 * count)) * 16)


@numba.njit(**OPTIONS)
def prepare(x, weight, cos, sin, factor, eps, out, inverse_rms):
    """Write rows x (N, d) to `out`: normalised if there is a weight, rotated if there are angles, times a factor.

    Returns the largest sum of a row's squares, or a number that is larger.
    """
    number, width, half = x.dtype.type, x.shape[1], cos.shape[1]
    largest = number(0)
    for j in range(len(weight)):
        largest = larger(largest, number(width) * (weight[j] * weight[j]))
    copy_rows(x, out)  # memory is read faster when little else is done meanwhile
    for i in range(len(x)):
        row, squares = out[i], number(0)
        for j in range(width):
            squares += row[j] * row[j]
        if weight.size:
            inverse = number(1) / np.sqrt(squares / number(width) + eps)
            inverse_rms[i] = inverse
            inverse *= factor
            for j in range(width):
                row[j] *= weight[j] * inverse
        else:
            largest = larger(largest, squares)
            for j in range(width):
                row[j] *= factor
        for j in range(half):
            first, second = row[j], row[j + half]
            row[j] = first * cos[i, j] - second * sin[i, j]
            row[j + half] = second * cos[i, j] + first * sin[i, j]
    return largest * factor * factor


@numba.njit(**OPTIONS)
def prepare_backward(grad, x, weight, cos, sin, factor, inverse_rms, x_grad, weight_grad):
    """Write the gradient of x in `prepare` from that of its result, which is overwritten; add to the weight's."""
    number, width, half = x.dtype.type, x.shape[1], cos.shape[1]
    for i in range(len(x)):
        row, above, out = in_one_piece(x[i]), grad[i], in_one_piece(x_grad[i])
        for j in range(half):
            first, second = above[j], above[j + half]
            above[j] = first * cos[i, j] + second * sin[i, j]
            above[j + half] = second * cos[i, j] - first * sin[i, j]
        if weight.size:
            inverse = inverse_rms[i]
            along = number(0)
            for j in range(width):
                along += above[j] * row[j] * weight[j]
            along *= inverse * inverse / number(width)
            inverse *= factor
            for j in range(width):
                weight_grad[j] += above[j] * row[j] * inverse
            for j in range(width):
                out[j] = (above[j] * weight[j] - row[j] * along) * inverse
        else:
            for j in range(width):
                out[j] = above[j] * factor


@numba.njit(**OPTIONS)
def copy_rows(x, out):
    """Copy x (N, d), whose rows may lie apart, to a contiguous matrix."""
    for i in range(len(x)):
        row = in_one_piece(x[i])
        for j in range(len(row)):
            out[i, j] = row[j]


@numba.njit(**OPTIONS)
def transpose_tiles(x, rows, out):
    """Write a contiguous x (N, d) to out (N d), each tile of so many rows transposed."""
    tokens, width = x.shape
    for top in range(0, tokens, rows):
        bottom = min(top + rows, tokens)
        tile = tile_at(out, top, bottom, width)
        whole = (bottom - top) // 8 * 8
        for i in range(0, whole, 8):
            for j in range(width):
                for step in range(8):  # so many at once are one instruction's to write
                    tile[j, i + step] = x[top + i + step, j]
        for i in range(whole, bottom - top):
            for j in range(width):
                tile[j, i] = x[top + i, j]


@numba.njit(**OPTIONS)
def tile_at(tiles, top, bottom, width):
    """The tile (width, rows) of rows from `top` to before `bottom`."""
    return tiles[top * width : bottom * width].reshape(width, bottom - top)


@numba.njit(**OPTIONS)
def visible(query_time, key_time):
    """How many of these keys these queries see, NONE, SOME or ALL: those whose time isn't later than theirs."""
    if key_time.size == 0:
        return ALL
    first_query = last_query = query_time[0]
    for time in query_time:
        first_query, last_query = min(first_query, time), max(last_query, time)
    first_key = last_key = key_time[0]
    for time in key_time:
        first_key, last_key = min(first_key, time), max(last_key, time)
    if first_key > last_query:
        return NONE
    return ALL if last_key <= first_query else SOME


@numba.njit(**OPTIONS)
def hide(scores, query_time, key_time):
    """Set the scores of keys that queries don't see, which are those with a later time."""
    number = scores.dtype.type
    for j in range(len(scores)):
        row, time = scores[j], key_time[j]
        for i in range(len(row)):
            row[i] = number(HIDDEN) if time > query_time[i] else row[i]


@numba.njit(**OPTIONS)
def raise_tops(scores, tops, sums, total):
    """Raise each query's maximum by its new scores. What was summed before had an older one subtracted: shrink it."""
    old = tops.copy()
    for j in range(len(scores)):
        row = scores[j]
        for i in range(len(row)):
            tops[i] = larger(tops[i], row[i])
    for i in range(len(tops)):
        shrink = exp(old[i] - tops[i])
        sums[i] *= shrink
        row = total[i]
        for j in range(len(row)):
            row[j] *= shrink


@numba.njit(**OPTIONS)
def exponentiate(scores, tops, sums):
    """Replace scores by exp(score - top), and add them to each query's sum."""
    for j in range(len(scores)):
        row = scores[j]
        for i in range(len(row)):
            row[i] = quick_exp(row[i] - tops[i])
            sums[i] += row[i]


@numba.njit(**OPTIONS)
def exponentiate_backward(scores, weights_grad, tops, along):
    """Replace scores by exp(score - top), and the gradient of the weights by that of the scores."""
    for j in range(len(scores)):
        row, grad = scores[j], weights_grad[j]
        for i in range(len(row)):
            row[i] = quick_exp(row[i] - tops[i])
            grad[i] = row[i] * (grad[i] - along[i])


@numba.njit(**OPTIONS)
def average(total, sums, value):
    """Write each query's average of the values, total / sum."""
    number = total.dtype.type
    for i in range(len(total)):
        if sums[i] == 0:  # a query that sees no key
            sums[i] = 1
        inverse = number(1) / sums[i]
        row, out = total[i], in_one_piece(value[i])
        for j in range(len(row)):
            out[j] = row[j] * inverse


@numba.njit(**OPTIONS)
def average_backward(grad, sums, value, total_grad, along):
    """Write the gradient of the totals, and for each query how much of it the value has: their dot product."""
    number = grad.dtype.type
    copy_rows(grad, total_grad)
    for i in range(len(grad)):
        row, mean, inverse, share = total_grad[i], in_one_piece(value[i]), number(1) / sums[i], number(0)
        for j in range(len(row)):
            row[j] *= inverse
            share += row[j] * mean[j]
        along[i] = share


# How many parts each head's queries are cut into; q (items, heads, Nq, d), k and v like it; the weights of QK-norm, of
# length 0 without; cos, sin (tables, N, d/2), with d = 0 without rotation, and the number of each head's table (items,
# heads); times of queries (tables, N), with N = 0 without, and the number of each head's; those of keys; the factor of
# scores; QK-norm's eps.
GIVEN = (
    "i8, UniTuple(f4[:,:,:,:], 3), UniTuple(f4[::1], 2), Tuple((f4[:,:,::1], f4[:,:,::1], i8[:,::1])), "
    "UniTuple(i8[:,::1], 4), f4, f4"
)


@compiled(f"{GIVEN}, f4[:,:,:,:], f4[:,:,::1], f4[:,:,::1]")
def attention_forward(start, stop, parts, arrays, weights, angles, times, scale, eps, value, all_tops, all_sums):
    """Write value, and for each query what was subtracted from its scores and the sum of their exponentials."""
    (q, k, v), (cos, sin, table) = arrays, angles
    heads, queries, width = q.shape[1], q.shape[2] // parts, q.shape[3]
    keys, value_width = v.shape[2:]
    number, widest = q.dtype.type, max(width, value_width)
    rows, columns = tile_side(queries, widest), tile_side(keys, widest)
    q_ready, q_tiles = np.empty((queries, width), q.dtype), np.empty(queries * width, q.dtype)
    k_ready, v_rows = np.empty((keys, width), q.dtype), np.empty((keys, value_width), q.dtype)
    inverse_rms = np.empty(max(queries, keys), q.dtype)
    room, totals = np.empty(rows * columns, q.dtype), np.empty((rows, value_width), q.dtype)
    for index in range(start, stop):
        item, head, part = index // parts // heads, index // parts % heads, index % parts
        first, last = part * queries, (part + 1) * queries
        turn = cos[table[item, head]], sin[table[item, head]]
        my_q, my_turn = q[item, head, first:last], (turn[0][first:last], turn[1][first:last])
        squares = prepare(my_q, weights[0], my_turn[0], my_turn[1], scale, eps, q_ready, inverse_rms)
        squares *= prepare(k[item, head], weights[1], turn[0], turn[1], number(1), eps, k_ready, inverse_rms)
        transpose_tiles(q_ready, rows, q_tiles)
        copy_rows(v[item, head], v_rows)
        query_time, key_time = times[0][times[1][item, head], first:last], times[2][times[3][item, head]]
        # A score is at most the product of its vectors' lengths. Where none can be large, nothing is subtracted.
        small = squares < number(NO_OVERFLOW * NO_OVERFLOW)
        for top in range(0, queries, rows):
            bottom = min(top + rows, queries)
            n, mine = bottom - top, slice(first + top, first + bottom)
            total, tops, sums = totals[:n], all_tops[item, head, mine], all_sums[item, head, mine]
            total[:] = 0
            sums[:] = 0
            tops[:] = 0 if small else LOWEST
            for left in range(0, keys, columns):
                right = min(left + columns, keys)
                seen = visible(query_time[top:bottom], key_time[left:right])
                if seen == NONE:
                    continue
                scores = room[: (right - left) * n].reshape(right - left, n)
                np.dot(k_ready[left:right], tile_at(q_tiles, top, bottom, width), scores)
                if seen == SOME:
                    hide(scores, query_time[top:bottom], key_time[left:right])
                if not small:
                    raise_tops(scores, tops, sums, total)
                exponentiate(scores, tops, sums)
                add_product(scores.T, v_rows[left:right], total)
            average(total, sums, value[item, head, mine])


@compiled(
    f"{GIVEN}, f4[:,:,:,:], f4[:,:,::1], f4[:,:,::1], f4[:,:,:,:], UniTuple(f4[:,:,:,:], 3), UniTuple(f4[:,:,::1], 2)"
)
def attention_backward(
    start, stop, parts, arrays, weights, angles, times, scale, eps, value, tops, sums, grad, grads, weight_grads
):
    """Write the gradients of q (items, heads, Nq, d), of k and v (items * parts, heads, Nk, d), and of the weights.

    With the weights P = exp(score - top) / sum, the gradient of a score is P (v . grad - value . grad).
    """
    (q, k, v), (cos, sin, table) = arrays, angles
    heads, queries, width = q.shape[1], q.shape[2] // parts, q.shape[3]
    keys, value_width = v.shape[2:]
    number, widest = q.dtype.type, max(width, value_width)
    rows, columns = tile_side(queries, widest), tile_side(keys, widest)
    q_ready, k_ready = np.empty((queries, width), q.dtype), np.empty((keys, width), q.dtype)
    q_tiles, grad_tiles = np.empty(queries * width, q.dtype), np.empty(queries * value_width, q.dtype)
    v_rows, grad_rows = np.empty((keys, value_width), q.dtype), np.empty((queries, value_width), q.dtype)
    q_inverse, k_inverse, along = np.empty(queries, q.dtype), np.empty(keys, q.dtype), np.empty(queries, q.dtype)
    q_sum, k_sum, v_sum = np.empty_like(q_ready), np.empty_like(k_ready), np.empty_like(v_rows)
    room, second_room = np.empty(rows * columns, q.dtype), np.empty(rows * columns, q.dtype)
    for index in range(start, stop):
        item, head, part = index // parts // heads, index // parts % heads, index % parts
        mine, out = slice(part * queries, (part + 1) * queries), item * parts + part
        turn = cos[table[item, head]], sin[table[item, head]]
        my_q, my_turn, my_tops = q[item, head, mine], (turn[0][mine], turn[1][mine]), tops[item, head, mine]
        prepare(my_q, weights[0], my_turn[0], my_turn[1], scale, eps, q_ready, q_inverse)
        prepare(k[item, head], weights[1], turn[0], turn[1], number(1), eps, k_ready, k_inverse)
        copy_rows(v[item, head], v_rows)
        average_backward(grad[item, head, mine], sums[item, head, mine], value[item, head, mine], grad_rows, along)
        transpose_tiles(q_ready, rows, q_tiles)
        transpose_tiles(grad_rows, rows, grad_tiles)
        query_time, key_time = times[0][times[1][item, head], mine], times[2][times[3][item, head]]
        for total in (q_sum, k_sum, v_sum):
            total[:] = 0
        for top in range(0, queries, rows):
            bottom = min(top + rows, queries)
            for left in range(0, keys, columns):
                right = min(left + columns, keys)
                seen = visible(query_time[top:bottom], key_time[left:right])
                if seen == NONE:
                    continue
                n, m = bottom - top, right - left
                scores, scores_grad = room[: m * n].reshape(m, n), second_room[: m * n].reshape(m, n)
                np.dot(k_ready[left:right], tile_at(q_tiles, top, bottom, width), scores)
                if seen == SOME:
                    hide(scores, query_time[top:bottom], key_time[left:right])
                np.dot(v_rows[left:right], tile_at(grad_tiles, top, bottom, value_width), scores_grad)
                exponentiate_backward(scores, scores_grad, my_tops[top:bottom], along[top:bottom])
                add_product(scores, grad_rows[top:bottom], v_sum[left:right])
                add_product(scores_grad, q_ready[top:bottom], k_sum[left:right])
                add_product(scores_grad.T, k_ready[left:right], q_sum[top:bottom])
        q_grad, k_grad = grads[0][item, head, mine], grads[1][out, head]
        q_weight_grad, k_weight_grad = weight_grads[0][out, head], weight_grads[1][out, head]
        prepare_backward(q_sum, my_q, weights[0], my_turn[0], my_turn[1], scale, q_inverse, q_grad, q_weight_grad)
        prepare_backward(
            k_sum, k[item, head], weights[1], turn[0], turn[1], number(1), k_inverse, k_grad, k_weight_grad
        )
        copy_rows(v_sum, grads[2][out, head])
