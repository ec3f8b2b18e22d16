"""Attention twice: the few lines that say what it is, and the tiled form that never holds all scores.

Both compute, for each query, the average of the values weighted by softmax(scale * q . k).
The simple twin keeps an N x N array of scores; the fast twin (after Milakov and Gimelshein 2018, Rabe
and Staats 2021, and FlashAttention, Dao et al. 2022) goes over the keys in tiles and keeps for each
query only a running maximum, a running sum and a running output: memory O(N) instead of O(N^2).

The fast twin can also do what usually stands before attention, QK-norm and rotary positions.

Who may look at whom is one rule for every case: key j is visible to query i if
key_time[j] <= query_time[i]. Times are frame numbers for a causal mask; a key with time NEVER is
padding. Both are constants that broadcast against q.shape[:-1] and k.shape[:-1].
"""

import math

import numpy as np

from ..base.backend import array_module, blas_threads
from .engine import differentiable, is_recording, with_twins
from .fused import rms_norm, row_dot

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
    scores = (q * scale) @ k.swapaxes(-1, -2)  # (..., Nq, Nk)
    if query_time is not None:
        xp.copyto(scores, -np.inf, where=key_time[..., None, :] > query_time[..., :, None])
    # Softmax. A row of nothing but -inf, a query that sees no key, becomes a row of zeros instead of NaN.
    weights = xp.exp(scores - xp.maximum(scores.max(axis=-1, keepdims=True), LOWEST))
    total = weights.sum(axis=-1, keepdims=True)
    weights /= xp.where(total == 0, 1, total)

    def pullback(grad):
        weights_grad = grad @ v.swapaxes(-1, -2)
        scores_grad = weights * (weights_grad - (weights_grad * weights).sum(axis=-1, keepdims=True))
        return (
            scores_grad @ k * scale,
            scores_grad.swapaxes(-1, -2) @ q * scale,
            weights.swapaxes(-1, -2) @ grad,
        )

    return weights @ v, pullback


@differentiable
@with_twins
@blas_threads(1)  # its products are too small to be shared out
def attention(q, k, v, q_weight=None, k_weight=None, cos=None, sin=None, *, scale=None, query_time=None, key_time=None):
    """The same as `simple_attention`, tile by tile: memory grows with N, not with N^2.

    q_weight, k_weight: (d,); given, each query and key first goes through rms_norm with it (QK-norm, Dehghani et
    al. 2023). cos, sin: (N, d/2), or with leading axes that broadcast against those of q, 1 for the heads; given, the
    pairs (x[i], x[i + d/2]) of each query and key are then turned by these angles, as by `rotary`. Constants.

    The forward pass keeps each query's maximum and sum; the pullback computes the weights again from them
    (one product more, no stored scores). Each step does to a tile what `simple_attention` does to everything:
    softmax is unchanged when all scores and their sum are taken relative to any number, so tiles that used
    different maxima can be brought to a common one later.

    Inside, matrices lie across, (d, N) and (keys, queries): then whatever is summed or broadcast over d or over
    keys runs along all queries, and NumPy is fast along long axes. Arrays come in and go out without being transposed
    if they are laid out in memory like that, as by `linear` with across=True.

    On a GPU none of this happens: attention there is by kernel, or `step_by_step` in plain CuPy.
    """
    if array_module(q) is not np:
        return step_by_step(q, k, v, q_weight, k_weight, cos, sin, scale, query_time, key_time)
    scale, query_time, key_time = check_attention(q, k, v, scale, query_time, key_time)
    xp = array_module(q)
    (*leading, queries, width), keys = q.shape, k.shape[-2]
    rotation = _rotation(q, k, cos, sin)
    output = xp.empty_like(q, shape=(*q.shape[:-1], v.shape[-1]))  # laid out in memory as q is
    total = xp.empty((*leading, 1, queries), q.dtype)
    # Scores are subtracted their query's maximum so that exp can't overflow. Where none can be large (always so
    # after QK-norm), that costs two passes over all scores and changes nothing: skip it.
    small = _largest_score(q, k, q_weight, k_weight, scale) < NO_OVERFLOW
    highest = None if small else xp.empty_like(total)
    query_tiles, key_tiles = _tiles(queries, keys, width)
    chunks = _chunks(leading, query_tiles[0], key_tiles[0]) if queries else []
    recording, kept = is_recording(), []

    def prepared(which):  # q and k of a chunk as they meet, each with its pullback
        turn = None if rotation is None else [table[which] for table in rotation]
        return _prepare(q[which], q_weight, turn, scale), _prepare(k[which], k_weight, turn, 1.0)

    def scores_of(q_across, k_across, which, rows, columns):
        scores = _turn(k_across[..., columns]) @ q_across[..., rows]  # (..., keys, queries)
        if query_time is not None:
            hidden = key_time[which][..., columns, None] > query_time[which][..., None, rows]
            xp.copyto(scores, -np.inf, where=hidden)
        return scores

    for which in chunks:
        ready = (q_across, _), (k_across, _) = prepared(which)
        if recording:
            kept.append(ready)
        v_across = _turn(v[which])
        for rows in query_tiles:
            out, summed, top = 0, 0, LOWEST
            for columns in key_tiles:
                scores = scores_of(q_across, k_across, which, rows, columns)
                if not small:  # online softmax: what was summed so far is rescaled to the new maximum
                    higher = xp.maximum(top, scores.max(axis=-2, keepdims=True))
                    shrink = xp.exp(top - higher)
                    out, summed, top = out * shrink, summed * shrink, higher
                    scores -= top
                xp.exp(scores, out=scores)
                summed = summed + xp.ones((1, scores.shape[-2]), q.dtype) @ scores  # a product sums faster than .sum
                out = out + v_across[..., columns] @ scores
            if query_time is not None:
                summed[summed == 0] = 1  # a query that sees no key
            total[which][..., rows] = summed
            if not small:
                highest[which][..., rows] = top
            xp.divide(out, summed, out=_turn(output[which])[..., rows])

    @blas_threads(1)
    def pullback(grad):
        fresh = xp.empty_like if queries else xp.zeros_like
        q_grad, k_grad, v_grad = fresh(q), fresh(k), fresh(v)
        q_weight_grad, k_weight_grad = (0 if w is None else xp.zeros_like(w) for w in (q_weight, k_weight))
        kept.reverse()
        for which in chunks:
            (q_across, q_pullback), (k_across, k_pullback) = kept.pop()
            q_sum, k_sum, v_sum = fresh(q_across), fresh(k_across), _turn(v_grad[which])
            # weights = exp(scores - highest) / total; the division is done once, on the gradient. The gradient of a
            # score is its weight times (v . grad - along): one product, with one row more.
            v_and_one, grad_and_along = (
                xp.empty((*a.shape[:-2], a.shape[-1] + 1, a.shape[-2]), a.dtype) for a in (v[which], grad[which])
            )
            v_and_one[..., :-1, :], v_and_one[..., -1, :] = _turn(v[which]), 1
            out_grad = xp.divide(_turn(grad[which]), total[which], out=grad_and_along[..., :-1, :])
            along = (out_grad * _turn(output[which])).sum(axis=-2)
            xp.negative(along, out=grad_and_along[..., -1, :])
            # Products of tiles take up to half as long again where one lies as a whole matrix's transpose does.
            q_rows, grad_rows = (xp.ascontiguousarray(_turn(a)) for a in (q_across, out_grad))
            for rows in query_tiles:
                for columns in key_tiles:
                    weights = scores_of(q_across, k_across, which, rows, columns)
                    if not small:
                        weights -= highest[which][..., rows]
                    xp.exp(weights, out=weights)
                    scores_grad = _turn(v_and_one[..., columns]) @ grad_and_along[..., rows]
                    scores_grad *= weights
                    first_row, first_column = rows.start == 0, columns.start == 0
                    _add_product(v_sum[..., columns], _turn(grad_rows[..., rows, :]), _turn(weights), first_row)
                    _add_product(k_sum[..., columns], _turn(q_rows[..., rows, :]), _turn(scores_grad), first_row)
                    _add_product(q_sum[..., rows], k_across[..., columns], scores_grad, first_column)
            _turn(q_grad[which])[...], by_weight = q_pullback(q_sum)
            q_weight_grad = q_weight_grad + by_weight
            _turn(k_grad[which])[...], by_weight = k_pullback(k_sum)
            k_weight_grad = k_weight_grad + by_weight
        return (
            *(q_grad, k_grad, v_grad),
            None if q_weight is None else q_weight_grad,
            None if k_weight is None else k_weight_grad,
            *(None, None),
        )

    return output, pullback


def step_by_step(q, k, v, q_weight, k_weight, cos, sin, scale, query_time, key_time):
    """The value and the pullback of `attention`, whose arguments these are, by `simple_attention`."""
    q_ready, q_pullback = normalise_and_turn(q, q_weight, cos, sin)
    k_ready, k_pullback = normalise_and_turn(k, k_weight, cos, sin)
    times = {"query_time": query_time, "key_time": key_time}
    output, pullback = simple_attention.function(q_ready, k_ready, v, scale=scale, **times)

    def pullback_of_all(grad):
        q_grad, k_grad, v_grad = pullback(grad)
        q_grad, q_weight_grad = q_pullback(q_grad)
        k_grad, k_weight_grad = k_pullback(k_grad)
        return q_grad, k_grad, v_grad, q_weight_grad, k_weight_grad, None, None

    return output, pullback_of_all


def normalise_and_turn(x, weight, cos, sin):
    """Rows x (..., N, d) normalised and turned where asked for; and the pullback, to x and to the weight (or None)."""
    normalised, norm_pullback = (x, lambda grad: (grad, None)) if weight is None else rms_norm.function(x, weight)
    if cos is None:
        return normalised, norm_pullback
    return _turn_pairs(normalised, cos, sin), lambda grad: norm_pullback(_turn_pairs(grad, cos, -sin))


def _turn_pairs(x, cos, sin):
    """The pairs (x[i], x[i + d/2]) of x (..., N, d) turned by angles with these cosines and sines, (..., N, d/2)."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    return array_module(x).concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def _turn(x):
    """A view of matrices lying across: their last two axes exchanged."""
    return x.swapaxes(-1, -2)


def _prepare(x, weight, rotation, by):
    """Rows x (..., N, d) lying across, (..., d, N), normalised and turned where asked for, times `by`; its pullback.

    The pullback takes a gradient (..., d, N), which it may overwrite, and returns those of x, lying across too, and of
    the weight (d,). All arrays are laid out in memory as x is.
    """
    xp, across, width = array_module(x), _turn(x), x.shape[-1]
    if weight is None:
        ready = across * by
    else:
        inverse_rms = (across * across).sum(axis=-2, keepdims=True)
        inverse_rms /= width
        inverse_rms += EPS
        inverse_rms = 1 / xp.sqrt(inverse_rms)
        column = (weight * by)[:, None]
        ready = across * inverse_rms
        ready *= column
    if rotation is not None:
        cos, sin = rotation
        ready = _rotate(ready, cos, sin)

    def pullback(grad):
        if rotation is not None:
            grad = _rotate(grad, cos, -sin)
        if weight is None:
            grad *= by
            return grad, 0
        shares = grad * across  # summed over d: the gradient's part along its row; over all rows: the weight's
        weight_grad = (shares @ _turn(inverse_rms)).sum(axis=(*range(shares.ndim - 2), -1)) * by
        along = column.T @ shares
        along *= inverse_rms * inverse_rms / width
        grad *= column
        grad -= xp.multiply(across, along, out=shares)
        grad *= inverse_rms
        return grad, weight_grad

    return ready, pullback


def _rotation(q, k, cos, sin):
    """cos and sin lying across, one for each matrix of q: two arrays (..., d/2, N). None if there is no rotation."""
    if cos is None and sin is None:
        return None
    half = q.shape[-1] // 2
    if q.shape != k.shape or q.shape[-1] % 2 or cos is None or sin is None:
        raise ValueError(
            f"attention turns as many keys as queries, of even width, by cos and sin; not q {q.shape}, k {k.shape}"
        )
    if cos.shape != sin.shape or cos.shape[-2:] != (q.shape[-2], half):
        raise ValueError(
            f"attention: q {q.shape} needs cos and sin {(q.shape[-2], half)}, not {cos.shape}, {sin.shape}"
        )
    # A table for each clip, though all are alike: what a chunk, one head of many clips, multiplies has long rows then.
    xp, (*leading, tokens, _) = array_module(q), q.shape
    alike = (*leading[:-1], *(1,) * bool(leading), tokens, half)
    tables = (xp.ascontiguousarray(xp.moveaxis(xp.broadcast_to(table, alike), -1, 0)) for table in (cos, sin))
    return [xp.broadcast_to(xp.moveaxis(table, 0, -2), (*leading, half, tokens)) for table in tables]


def _rotate(x, cos, sin):
    """Turn each pair (x[i], x[i + d/2]) of x (..., d, N): see `rotary`."""
    half = x.shape[-2] // 2
    first, second = x[..., :half, :], x[..., half:, :]
    xp = array_module(x)
    turned = xp.empty_like(x)
    turned_first, turned_second = turned[..., :half, :], turned[..., half:, :]
    xp.multiply(first, cos, out=turned_first)
    turned_first -= second * sin
    xp.multiply(second, cos, out=turned_second)
    turned_second += first * sin
    return turned


def _add_product(total, a, b, first):
    """total += a @ b; the first time straight into its place."""
    if first:
        array_module(total).matmul(a, b, out=total)
    else:
        total += a @ b


def _largest_score(q, k, q_weight, k_weight, scale):
    """What no score exceeds in size, by |q . k| <= |q| |k|; after normalisation |q| <= sqrt(d) max |weight|."""
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
        return [slice(start, min(start + step, length)) for start in range(0, length, step)]

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
    return [(*piece, head) for piece in _pieces(groups, room) for head in range(heads)]


def _pieces(shape, room):
    """Indices that cut an array of this shape into pieces of at most `room` entries (but at least 1)."""
    if not shape:
        return [()]
    below = math.prod(shape[1:])
    if below <= room or len(shape) == 1:
        step = max(1, room // max(1, below))
        rest = (slice(None),) * (len(shape) - 1)
        return [(slice(start, start + step), *rest) for start in range(0, shape[0], step)]
    return [(index, *rest) for index in range(shape[0]) for rest in _pieces(shape[1:], room)]
