"""Attention twice: the few lines that say what it is, and the tiled form that never holds all scores.

Both compute, for each query, the average of the values weighted by softmax(scale * q . k).
The simple twin keeps an N x N array of scores. The fast twin goes over the keys in tiles and keeps for each query
only a running maximum, a running sum and a running output: memory O(N) instead of O(N^2). (Milakov and Gimelshein
2018; Rabe and Staats 2021; FlashAttention, Dao et al. 2022.) The fast twin can also apply QK-norm and rotary
positions first; `composed_attention` does that with the simple twin.

One rule says which keys a query sees: key j is visible to query i if key_time[j] <= query_time[i]. Times are
frame numbers for a causal mask; a key with time NEVER is padding. Both are constants that broadcast against
q.shape[:-1] and k.shape[:-1].
"""

import math

import numpy as np

from ..base.backend import array_module, blas_threads
from .arrays import blocks, rotate_pairs, row_dot, transposed
from .engine import differentiable, is_recording, with_twins
from .fused import rms_norm

NEVER = np.int32(2**30)  # the time of a key that no query sees

LOWEST = -1e30  # below every real score
NO_OVERFLOW = 30.0  # exp of scores up to this is far from overflow
EPS = 1e-6  # of QK-norm

# A few tiles of scores should stay in a core's cache: 2**17 float32 are 512 KiB. OpenBLAS has routines for products of
# up to 10**6 multiplications that are up to twice as fast as those for larger ones, at head widths such as 32.
TILE_ENTRIES = 2**17
QUICK_PRODUCT = 10**6
TILE_STEP = 16  # a vector register: tiles are multiples of it


def check_attention(q, k, v, scale, query_time, key_time):
    """Check the arguments; return the scale as a Python number, and the times for every row of q and k (or None)."""
    if q.shape[:-2] != k.shape[:-2] or q.shape[-1] != k.shape[-1] or k.shape != v.shape[:-1] + k.shape[-1:]:
        raise ValueError(
            "attention needs q (..., Nq, d), k (..., Nk, d) and v (..., Nk, dv) with equal leading axes, "
            f"not {q.shape}, {k.shape} and {v.shape}"
        )
    if k.shape[-2] == 0:
        raise ValueError(f"attention needs at least one key, not k {k.shape}")
    if (query_time is None) != (key_time is None):
        raise ValueError("attention needs query_time and key_time together, or neither")
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else float(scale)
    if query_time is None:
        return scale, None, None
    xp = array_module(q)
    times = ((query_time, q), (key_time, k))
    return scale, *(xp.broadcast_to(xp.asarray(time), rows.shape[:-1]) for time, rows in times)


@differentiable
def simple_attention(q, k, v, *, scale=None, query_time=None, key_time=None):
    """softmax(scale * q k^T) v, with all scores in memory.

    q: (..., Nq, d); k: (..., Nk, d); v: (..., Nk, dv); scale: 1/sqrt(d) unless given. Returns (..., Nq, dv).
    A query that sees no key gets zeros.
    """
    scale, query_time, key_time = check_attention(q, k, v, scale, query_time, key_time)
    xp = array_module(q)
    scores = (q * scale) @ transposed(k)  # (..., Nq, Nk)
    if query_time is not None:
        xp.copyto(scores, -np.inf, where=key_time[..., None, :] > query_time[..., :, None])
    # Softmax. A row of nothing but -inf, a query that sees no key, becomes a row of zeros instead of NaN.
    weights = xp.exp(scores - xp.maximum(scores.max(axis=-1, keepdims=True), LOWEST))
    total = weights.sum(axis=-1, keepdims=True)
    weights /= xp.where(total == 0, 1, total)

    def pullback(grad):
        weights_grad = grad @ transposed(v)
        scores_grad = weights * (weights_grad - (weights_grad * weights).sum(axis=-1, keepdims=True))
        return (
            scores_grad @ k * scale,
            transposed(scores_grad) @ q * scale,
            transposed(weights) @ grad,
        )

    return weights @ v, pullback


@differentiable
@with_twins
@blas_threads(1)  # its products are too small to be shared among threads
def attention(q, k, v, q_weight=None, k_weight=None, cos=None, sin=None, *, scale=None, query_time=None, key_time=None):
    """The same as `simple_attention`, tile by tile: memory grows with N, not with N^2.

    q_weight, k_weight: (d,) or None. If given, each query and key first goes through rms_norm with it (QK-norm,
    Dehghani et al. 2023). cos, sin: None, or constants (N, d/2), or with leading axes that broadcast against those of
    q (1 for the heads). If given, `rotate_pairs` then rotates each query and key by these angles.

    The forward pass keeps each query's maximum and sum; the pullback computes the weights again from them
    (one product more, no stored scores). Each step does to a tile what `simple_attention` does to everything:
    softmax stays the same when any number is subtracted from all scores of a query, so tiles that subtracted
    different maxima can be brought to a common one later.

    Inside, matrices are transposed, (d, N) and (keys, queries): whatever is summed or broadcast over d or over keys
    then runs along all queries, and NumPy is fast along long axes. An input that lies in memory like that, as by
    `linear` with transposed=True, needs no copy.

    That is NumPy on a CPU; compiled/attention_loops.py has the same as loops over one head. A GPU computes
    attention by a kernel, or by `composed_attention` in plain CuPy.
    """
    if array_module(q) is not np:
        return composed_attention(q, k, v, q_weight, k_weight, cos, sin, scale, query_time, key_time)
    scale, query_time, key_time = check_attention(q, k, v, scale, query_time, key_time)
    (*leading, queries, width), keys = q.shape, k.shape[-2]
    rotation = _rotation(q, k, cos, sin)
    output = np.empty_like(q, shape=(*q.shape[:-1], v.shape[-1]))  # laid out in memory as q is
    total = np.empty((*leading, 1, queries), q.dtype)
    # Each query's maximum is subtracted from its scores so that exp can't overflow. Where no score can be large
    # (always so after QK-norm), that costs two passes over all scores and changes nothing: skip it.
    small = _largest_score(q, k, q_weight, k_weight, scale) < NO_OVERFLOW
    highest = None if small else np.empty_like(total)
    query_tiles, key_tiles = _tiles(queries, keys, width)
    chunks = _chunks(leading, query_tiles[0], key_tiles[0]) if queries else []
    recording, kept = is_recording(), []

    def prepared(chunk):  # q and k of a chunk, transposed, normalised, rotated and scaled, each with its pullback
        tables = None if rotation is None else [table[chunk] for table in rotation]
        return prepare(q[chunk], q_weight, tables, scale), prepare(k[chunk], k_weight, tables, 1.0)

    def scores_of(q_ready, k_ready, chunk, rows, columns):
        scores = transposed(k_ready[..., columns]) @ q_ready[..., rows]  # (..., keys, queries)
        if query_time is not None:
            hidden = key_time[chunk][..., columns, None] > query_time[chunk][..., None, rows]
            np.copyto(scores, -np.inf, where=hidden)
        return scores

    for chunk in chunks:
        ready = (q_ready, _), (k_ready, _) = prepared(chunk)
        if recording:
            kept.append(ready)
        v_chunk = transposed(v[chunk])
        for rows in query_tiles:
            out, summed, top = 0, 0, LOWEST
            for columns in key_tiles:
                scores = scores_of(q_ready, k_ready, chunk, rows, columns)
                if not small:  # online softmax: what was summed so far is rescaled to the new maximum
                    higher = np.maximum(top, scores.max(axis=-2, keepdims=True))
                    shrink = np.exp(top - higher)
                    out, summed, top = out * shrink, summed * shrink, higher
                    scores -= top
                np.exp(scores, out=scores)
                summed = summed + np.ones((1, scores.shape[-2]), q.dtype) @ scores  # a product sums faster than .sum
                out = out + v_chunk[..., columns] @ scores
            if query_time is not None:
                summed[summed == 0] = 1  # a query that sees no key
            total[chunk][..., rows] = summed
            if not small:
                highest[chunk][..., rows] = top
            np.divide(out, summed, out=transposed(output[chunk])[..., rows])

    @blas_threads(1)
    def pullback(grad):
        fresh = np.empty_like if queries else np.zeros_like
        q_grad, k_grad, v_grad = fresh(q), fresh(k), fresh(v)
        q_weight_grad, k_weight_grad = (0 if w is None else np.zeros_like(w) for w in (q_weight, k_weight))
        kept.reverse()
        for chunk in chunks:
            (q_ready, q_pullback), (k_ready, k_pullback) = kept.pop()
            q_sum, k_sum, v_sum = fresh(q_ready), fresh(k_ready), transposed(v_grad[chunk])
            # weights = exp(scores - highest) / total; the division is done once, on the gradient. The gradient of a
            # score is its weight times (v . grad - along): one product, with one row more.
            v_and_one, grad_and_along = (
                np.empty((*a.shape[:-2], a.shape[-1] + 1, a.shape[-2]), a.dtype) for a in (v[chunk], grad[chunk])
            )
            v_and_one[..., :-1, :], v_and_one[..., -1, :] = transposed(v[chunk]), 1
            out_grad = np.divide(transposed(grad[chunk]), total[chunk], out=grad_and_along[..., :-1, :])
            along = (out_grad * transposed(output[chunk])).sum(axis=-2)
            np.negative(along, out=grad_and_along[..., -1, :])
            # Products of tiles take up to half as long again with a tile of a whole matrix's transpose: copy it.
            q_rows, grad_rows = (np.ascontiguousarray(transposed(a)) for a in (q_ready, out_grad))
            for rows in query_tiles:
                q_tile, grad_tile = (transposed(a[..., rows, :]) for a in (q_rows, grad_rows))
                for columns in key_tiles:
                    weights = scores_of(q_ready, k_ready, chunk, rows, columns)
                    if not small:
                        weights -= highest[chunk][..., rows]
                    np.exp(weights, out=weights)
                    scores_grad = transposed(v_and_one[..., columns]) @ grad_and_along[..., rows]
                    scores_grad *= weights
                    first_row, first_column = rows.start == 0, columns.start == 0
                    _add_product(v_sum[..., columns], grad_tile, transposed(weights), first_row)
                    _add_product(k_sum[..., columns], q_tile, transposed(scores_grad), first_row)
                    _add_product(q_sum[..., rows], k_ready[..., columns], scores_grad, first_column)
            transposed(q_grad[chunk])[...], by_weight = q_pullback(q_sum)
            q_weight_grad = q_weight_grad + by_weight
            transposed(k_grad[chunk])[...], by_weight = k_pullback(k_sum)
            k_weight_grad = k_weight_grad + by_weight
        return (
            *(q_grad, k_grad, v_grad),
            None if q_weight is None else q_weight_grad,
            None if k_weight is None else k_weight_grad,
            *(None, None),
        )

    return output, pullback


def composed_attention(q, k, v, q_weight, k_weight, cos, sin, scale, query_time, key_time):
    """The value and the pullback of `attention`, with the same arguments, by the operations that it is made of."""
    q_ready, q_pullback = normalise_and_rotate(q, q_weight, cos, sin)
    k_ready, k_pullback = normalise_and_rotate(k, k_weight, cos, sin)
    times = {"query_time": query_time, "key_time": key_time}
    output, pullback = simple_attention.function(q_ready, k_ready, v, scale=scale, **times)

    def pullback_of_all(grad):
        q_grad, k_grad, v_grad = pullback(grad)
        q_grad, q_weight_grad = q_pullback(q_grad)
        k_grad, k_weight_grad = k_pullback(k_grad)
        return q_grad, k_grad, v_grad, q_weight_grad, k_weight_grad, None, None

    return output, pullback_of_all


def normalise_and_rotate(x, weight, cos, sin):
    """Rows x (..., N, d) normalised with a weight (d,) and rotated by cos and sin (..., N, d/2), each unless None.

    Also returns the pullback, to the gradients of x and of the weight (or None).
    """
    normalised, norm_pullback = (x, lambda grad: (grad, None)) if weight is None else rms_norm.function(x, weight)
    if cos is None:
        return normalised, norm_pullback
    return rotate_pairs(normalised, cos, sin), lambda grad: norm_pullback(rotate_pairs(grad, cos, -sin))


def prepare(x, weight, rotation, factor):
    """The fast twin of `normalise_and_rotate`: rows x (..., N, d) to (..., d, N), also multiplied by `factor`.

    rotation: (cos, sin) or None. The pullback takes a gradient (..., d, N), which it may overwrite. It returns that of
    x, transposed too, and that of the weight (0 if there is none). All arrays are laid out in memory as x is.
    """
    columns, width = transposed(x), x.shape[-1]
    if weight is None:
        ready = columns * factor
    else:
        inverse_rms = (columns * columns).sum(axis=-2, keepdims=True)
        inverse_rms /= width
        inverse_rms += EPS
        inverse_rms = 1 / np.sqrt(inverse_rms)
        scaled_weight = (weight * factor)[:, None]
        ready = columns * inverse_rms
        ready *= scaled_weight
    if rotation is not None:
        cos, sin = rotation
        ready = transposed(rotate_pairs(transposed(ready), cos, sin))

    def pullback(grad):
        if rotation is not None:
            grad = transposed(rotate_pairs(transposed(grad), cos, -sin))
        if weight is None:
            grad *= factor
            return grad, 0
        shares = grad * columns  # summed over d: the gradient's part along its row; over all rows: the weight's
        weight_grad = (shares @ transposed(inverse_rms)).sum(axis=(*range(shares.ndim - 2), -1)) * factor
        along = scaled_weight.T @ shares
        along *= inverse_rms * inverse_rms / width
        grad *= scaled_weight
        grad -= np.multiply(columns, along, out=shares)
        grad *= inverse_rms
        return grad, weight_grad

    return ready, pullback


def check_rotation(q, k, cos, sin):
    """Raise ValueError unless cos and sin fit q and k; return whether there is a rotation."""
    if cos is None and sin is None:
        return False
    half = q.shape[-1] // 2
    if q.shape != k.shape or q.shape[-1] % 2 or cos is None or sin is None:
        raise ValueError(
            f"attention rotates as many keys as queries, of even width, by cos and sin; not q {q.shape}, k {k.shape}"
        )
    if cos.shape != sin.shape or cos.shape[-2:] != (q.shape[-2], half):
        raise ValueError(
            f"attention: q {q.shape} needs cos and sin {(q.shape[-2], half)}, not {cos.shape}, {sin.shape}"
        )
    return True


def _rotation(q, k, cos, sin):
    """cos and sin for each matrix of q: two arrays (..., N, d/2), transposed in memory. None without a rotation."""
    if not check_rotation(q, k, cos, sin):
        return None
    # A table for each clip, though all are alike: then what a chunk (one head of many clips) multiplies has long rows.
    *leading, tokens, _ = q.shape
    half = q.shape[-1] // 2
    alike = (*leading[:-1], *(1,) * bool(leading), tokens, half)
    tables = (np.ascontiguousarray(np.moveaxis(np.broadcast_to(table, alike), -1, 0)) for table in (cos, sin))
    return [np.broadcast_to(np.moveaxis(table, 0, -1), (*leading, tokens, half)) for table in tables]


def _add_product(total, a, b, first):
    """total += a @ b; the first time total = a @ b."""
    if first:
        np.matmul(a, b, out=total)
    else:
        total += a @ b


def _largest_score(q, k, q_weight, k_weight, scale):
    """A bound on the size of every score: |q . k| <= |q| |k|, and after normalisation |q| <= sqrt(d) max |weight|."""
    if q.size == 0:
        return 0.0
    squared = [
        row_dot(rows, rows).max() if weight is None else rows.shape[-1] * (weight * weight).max()
        for rows, weight in ((q, q_weight), (k, k_weight))
    ]
    return abs(scale) * math.sqrt(float(squared[0]) * float(squared[1]))


def _tiles(queries, keys, width):
    """Slices that cover range(queries), and slices that cover range(keys), of nearly equal lengths."""

    def at_most(other):
        return max(1, QUICK_PRODUCT // (width * other) // TILE_STEP) * TILE_STEP

    def cover(length, most):
        count = max(1, -(-length // most))
        step = max(1, -(-length // (count * TILE_STEP))) * TILE_STEP
        return [tile for (tile,) in blocks((length,), step)]

    side = math.isqrt(QUICK_PRODUCT // width)
    key_tiles = cover(keys, at_most(max(1, side)))
    return cover(queries, at_most(key_tiles[0].stop)), key_tiles


def _chunks(leading, rows, columns):
    """Indices into the leading axes, each covering as many matrices as keep their tiles of scores in cache.

    The last leading axis is that of the heads: a chunk is one head of several clips or groups.
    """
    if not leading:
        return [()]
    *groups, heads = leading
    room = TILE_ENTRIES // (rows.stop * columns.stop)
    return [(*block, head) for block in blocks(groups, room) for head in range(heads)]
