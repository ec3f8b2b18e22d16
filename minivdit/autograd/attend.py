"""Attention twice: the few lines that say what it is, and the tiled form that never holds all scores.

Both compute, for each query, the average of the values weighted by softmax(scale * q . k).
The simple twin keeps an N x N array of scores; the fast twin (after Milakov and Gimelshein 2018, Rabe
and Staats 2021, and FlashAttention, Dao et al. 2022) goes over the keys in tiles and keeps for each
query only a running maximum, a running sum and a running output: memory O(N) instead of O(N^2).

Who may look at whom is one rule for every case: key j is visible to query i if
key_time[j] <= query_time[i]. Times are frame numbers for a causal mask; a key with time NEVER is
padding. Both are constants that broadcast against q.shape[:-1] and k.shape[:-1].
"""

import math

import numpy as np

from ..backend import array_module
from .engine import differentiable
from .fused import row_dot

NEVER = np.int32(2**30)  # the time of a key that no query sees

LOWEST = -1e30  # below every real score

# A few tiles of scores should stay in a core's cache: 2**16 float32 are 256 KiB.
TILE = 512
TILE_ENTRIES = 2**16


def _prepare(q, k, v, scale, query_time, key_time):
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


def _hide(scores, query_time, key_time):
    """Set scores of invisible keys to minus infinity, in place."""
    if query_time is not None:
        array_module(scores).copyto(scores, -np.inf, where=key_time[..., None, :] > query_time[..., :, None])


@differentiable
def simple_attention(q, k, v, *, scale=None, query_time=None, key_time=None):
    """softmax(scale * q k^T) v, with all scores in memory.

    q: (..., Nq, d); k: (..., Nk, d); v: (..., Nk, dv); scale: 1/sqrt(d) unless given. Returns (..., Nq, dv).
    A query that sees no key gets zeros.
    """
    scale, query_time, key_time = _prepare(q, k, v, scale, query_time, key_time)
    xp = array_module(q)
    scores = (q * scale) @ k.swapaxes(-1, -2)  # (..., Nq, Nk)
    _hide(scores, query_time, key_time)
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
def attention(q, k, v, *, scale=None, query_time=None, key_time=None):
    """The same as `simple_attention`, tile by tile: memory grows with N, not with N^2.

    The forward pass keeps each query's maximum and sum; the pullback computes the weights again from them
    (one product more, no stored scores). Each step does to a tile what `simple_attention` does to everything:
    softmax is unchanged when all scores and their sum are taken relative to any number, so tiles that used
    different maxima can be brought to a common one later.
    """
    scale, query_time, key_time = _prepare(q, k, v, scale, query_time, key_time)
    xp = array_module(q)
    leading, queries, keys = q.shape[:-2], q.shape[-2], k.shape[-2]
    output = xp.empty_like(q, shape=(*q.shape[:-1], v.shape[-1]))  # laid out in memory as q is
    total = xp.zeros((*q.shape[:-1], 1), q.dtype)
    # Scores are subtracted their row's maximum so that exp can't overflow. When |q| |k| says that none can
    # be large (always so after QK-norm), that costs two passes over all scores and changes nothing: skip it.
    highest = None if _are_small(q, k, scale) else xp.full(total.shape, LOWEST, q.dtype)

    def tile_scores(q_tile, k_across, which, rows, columns):
        scores = q_tile @ k_across[..., columns]
        if query_time is not None:
            _hide(scores, query_time[which][..., rows], key_time[which][..., columns])
        return scores

    for which in _chunks(leading, queries, keys):
        k_across, values = _across(k[which]), v[which]
        for rows in _tiles(queries):
            q_tile = q[which][..., rows, :] * scale
            out, row_total = 0, total[which][..., rows, :]
            for columns in _tiles(keys):
                scores = tile_scores(q_tile, k_across, which, rows, columns)
                if highest is not None:  # online softmax: what was summed so far is rescaled to the new maximum
                    row_highest = highest[which][..., rows, :]
                    higher = xp.maximum(row_highest, scores.max(axis=-1, keepdims=True))
                    shrink = xp.exp(row_highest - higher)
                    row_highest[...] = higher
                    row_total *= shrink
                    out = out * shrink
                    scores -= higher
                xp.exp(scores, out=scores)
                row_total += scores @ xp.ones((scores.shape[-1], 1), q.dtype)  # a product sums rows faster than .sum
                out = out + scores @ values[..., columns, :]
            row_total[row_total == 0] = 1  # a query that sees no key
            xp.divide(out, row_total, out=output[which][..., rows, :])

    def pullback(grad):
        q_grad, k_grad, v_grad = xp.zeros_like(q), xp.zeros_like(k), xp.zeros_like(v)
        for which in _chunks(leading, queries, keys):
            k_across, k_scaled, v_across = _across(k[which]), k[which] * scale, _across(v[which], ones=True)
            for rows in _tiles(queries):
                q_tile = q[which][..., rows, :] * scale
                # weights = exp(scores - highest) / total; the division is done once, on the gradient. A last
                # column, minus what softmax takes off a row of gradients, will meet the ones below the values.
                grad_tile = xp.empty((*q_tile.shape[:-1], v.shape[-1] + 1), q.dtype)
                grad_values = grad_tile[..., :-1]
                xp.divide(grad[which][..., rows, :], total[which][..., rows, :], out=grad_values)
                xp.negative(row_dot(grad_values, output[which][..., rows, :]), out=grad_tile[..., -1:])
                for columns in _tiles(keys):
                    weights = tile_scores(q_tile, k_across, which, rows, columns)
                    if highest is not None:
                        weights -= highest[which][..., rows, :]
                    xp.exp(weights, out=weights)
                    scores_grad = grad_tile @ v_across[..., columns]
                    scores_grad *= weights
                    v_sum, k_sum = v_grad[which][..., columns, :], k_grad[which][..., columns, :]
                    _add_product(v_sum, weights.swapaxes(-1, -2), grad_values, first=rows.start == 0)
                    _add_product(k_sum, scores_grad.swapaxes(-1, -2), q_tile, first=rows.start == 0)
                    q_sum, k_tile = q_grad[which][..., rows, :], k_scaled[..., columns, :]
                    _add_product(q_sum, scores_grad, k_tile, first=columns.start == 0)
        return q_grad, k_grad, v_grad

    return output, pullback


def _across(x, ones=False):
    """A copy of x (..., N, d) as (..., d, N), in which products run faster; with ones, a row of them follows."""
    *leading, n, d = x.shape
    across = array_module(x).empty((*leading, d + ones, n), x.dtype)
    across[..., :d, :] = x.swapaxes(-1, -2)
    across[..., d:, :] = 1
    return across


def _add_product(total, a, b, first):
    """total += a @ b; the first time straight into its place (total is zero then)."""
    if first:
        array_module(total).matmul(a, b, out=total)
    else:
        total += a @ b


def _are_small(q, k, scale, limit=30.0):
    """Whether no score can exceed `limit` in size, by |q . k| <= |q| |k| (exp(30) is far from overflow)."""
    xp = array_module(q)
    if q.size == 0:
        return True
    longest_q, longest_k = (row_dot(a, a).max() for a in (q, k))
    return bool(abs(scale) * xp.sqrt(longest_q * longest_k) < limit)


def _tiles(length):
    """Slices of at most TILE that cover range(length)."""
    return [slice(start, start + TILE) for start in range(0, length, TILE)]


def _chunks(leading, queries, keys):
    """Indices into the leading axes, each covering as many matrices as keep a tile of scores in cache."""
    tile = max(1, min(queries, TILE) * min(keys, TILE))
    below = math.prod(leading[1:])
    if not leading:
        return [()]
    if below * tile <= TILE_ENTRIES:
        step = max(1, TILE_ENTRIES // max(1, below * tile))
        return [(slice(start, start + step),) for start in range(0, leading[0], step)]
    return [(outer, *inner) for outer in range(leading[0]) for inner in _chunks(leading[1:], queries, keys)]
