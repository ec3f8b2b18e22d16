"""Attention over ranks: each has some of the queries, keys and values, and the keys and values go round.

A rank's queries meet the keys of one rank after the other. What they have found so far and what they find next is
joined by the online softmax: each part is a sum with its own largest score taken out of the exponent, and parts can be
brought to a common one later (Milakov and Gimelshein 2018; Dao et al. 2022). So no rank ever holds the keys of more
than two. In the pullback they go round once more, and their gradients go home (Ring Attention, Liu et al. 2023).

There, each rank sends to its neighbour what it has just got. Here keys go straight from their owner to the rank that
wants them, since with most patterns it wants those of some groups only. And there, keys travel while others are worked
on. Here a rank waits for them.
"""

import dataclasses

import numpy as np

from ..base.backend import array_module, to_device, to_numpy
from ..base.ranks import Ranks
from .arrays import blocks, transposed
from .attend import LOWEST, NEVER, TILE_ENTRIES, check_attention, normalise_and_rotate
from .engine import differentiable, is_recording


@dataclasses.dataclass(frozen=True, eq=False)
class Ring:
    """Ranks that have the tokens of the same groups.

    rows: for each rank, which of this rank's groups it has tokens of, too: C integers, or slice(None) for all.
    times: for each rank the times of its keys in those groups, (C, S); NEVER for padding.
    """

    ranks: Ranks
    rows: tuple
    times: tuple


@differentiable
def ring_attention(
    q, k, v, q_weight=None, k_weight=None, cos=None, sin=None, *, ring, scale=None, query_time=None, key_time=None
):
    """`attention` in groups whose tokens are spread over the ranks of a Ring. All of these call it.

    Arguments are those of `attention`, for this rank's own queries and keys: q (B, G, h, Q, d), k and v (B, G, h, K, d)
    in its G groups. Where it has more keys in a group than ring.times says, the first of them are words, which all
    ranks have: they don't go round.
    """
    if query_time is None:
        query_time, key_time = NEVER - 1, np.int32(0)
    scale, query_time, key_time = check_attention(q, k, v, scale, query_time, key_time)
    xp, (batch, _, heads, queries, _) = array_module(q), q.shape
    q_ready, q_pullback = normalise_and_rotate(q, q_weight, cos, sin)
    k_ready, k_pullback = normalise_and_rotate(k, k_weight, cos, sin)
    ranks, own_keys = ring.ranks, ring.times[ring.ranks.rank].shape[1]
    words = k.shape[3] - own_keys
    if not is_recording():
        q_pullback = k_pullback = None  # they keep arrays

    def turn(step, arrays, groups, keys):
        """Send arrays to the rank `step` places on, and get some from the one as far back: in those groups, so long."""
        shapes = [(batch, groups, heads, keys, array.shape[-1]) for array in arrays]
        return map(to_device, ranks.turn(step, [to_numpy(array) for array in arrays], shapes, q.dtype))

    def visits():
        """The keys that come by: (whom they belong to, this rank's groups that they are for, keys, values, times)."""
        yield ranks.rank, slice(None), k_ready, v, key_time
        for step in range(1, ranks.size):
            on, back = ((ranks.rank + way) % ranks.size for way in (step, -step))
            groups, keys = ring.times[back].shape
            came = turn(step, [a[:, ring.rows[on], :, words:] for a in (k_ready, v)], groups, keys)
            yield back, ring.rows[back], *came, ring.times[back][:, None]

    def tiles(rows, keys):
        """For a few queries at a time, in these groups, where they stand in arrays (B, G, h, Q, ...)."""
        at_once = max(1, TILE_ENTRIES // max(1, keys.size // keys.shape[-1]))
        return [(slice(None), rows, slice(None), tile) for (tile,) in blocks((queries,), at_once)]

    def scores_of(tile, keys, time):
        scores = (q_ready[tile] * scale) @ transposed(keys)  # (B, C, h, queries, keys)
        xp.copyto(scores, -np.inf, where=time[..., None, :] > query_time[tile][..., :, None])
        return scores

    output = xp.zeros((*q.shape[:-1], v.shape[-1]), q.dtype)
    total, top = xp.zeros((*q.shape[:-1], 1), q.dtype), xp.full((*q.shape[:-1], 1), LOWEST, q.dtype)
    for _, rows, keys, values, time in visits():
        for tile in tiles(rows, keys):
            scores = scores_of(tile, keys, time)
            higher = xp.maximum(top[tile], scores.max(axis=-1, keepdims=True))
            shrink, weights = xp.exp(top[tile] - higher), xp.exp(scores - higher)
            output[tile] = output[tile] * shrink + weights @ values
            total[tile] = total[tile] * shrink + weights.sum(axis=-1, keepdims=True)
            top[tile] = higher
    total[total == 0] = 1  # a query that sees no key
    output /= total
    log_total = top + xp.log(total)

    def pullback(grad):
        along = (grad * output).sum(axis=-1, keepdims=True)
        q_sum = xp.zeros_like(q_ready)
        for owner, rows, keys, values, time in visits():
            keys_grad, values_grad = xp.zeros_like(keys), xp.zeros_like(values)
            for tile in tiles(rows, keys):
                weights = xp.exp(scores_of(tile, keys, time) - log_total[tile])
                scores_grad = weights * (grad[tile] @ transposed(values) - along[tile]) * scale
                q_sum[tile] += scores_grad @ keys
                keys_grad += transposed(scores_grad) @ q_ready[tile]
                values_grad += transposed(weights) @ grad[tile]
            if owner == ranks.rank:
                k_sum, v_sum = keys_grad, values_grad
                continue
            step = owner - ranks.rank  # home
            other = (ranks.rank - step) % ranks.size
            came = turn(step, [keys_grad, values_grad], len(ring.times[other]), own_keys)
            for total_grad, part in zip((k_sum, v_sum), came):
                total_grad[:, ring.rows[other], :, words:] += part
        q_grad, q_weight_grad = q_pullback(q_sum)
        k_grad, k_weight_grad = k_pullback(k_sum)
        return q_grad, k_grad, v_sum, q_weight_grad, k_weight_grad, None, None

    return output, pullback
