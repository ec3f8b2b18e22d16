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

from ..base.backend import array_module
from ..base.ranks import Ranks
from .arrays import blocks, transposed
from .attend import LOWEST, NEVER, TILE_ENTRIES, check_attention, normalise_and_rotate
from .engine import differentiable, is_recording


@dataclasses.dataclass(frozen=True, eq=False)
class Ring:
    """Ranks that have the tokens of the same groups.

    rows: for each rank, which of this rank's groups it has tokens of, too: C integers, or slice(None) for all.
    times: for each rank the times of its keys in those groups, (C, S); NEVER for padding.

    Keys and values are arrays (B, G, h, K, d). Where K is more than S, the first of them are words, which all ranks
    have: they don't go round.
    """

    ranks: Ranks
    rows: tuple
    times: tuple

    def visits(self, keys, values, times):
        """From this rank's keys, values and their times those of all ranks, one after the other.

        Yields (owner, rows, keys, values, times): for this rank's groups in `rows`, those of the rank `owner`.
        """
        ranks, words = self.ranks, keys.shape[3] - self._own
        yield ranks.rank, slice(None), keys, values, times
        for step in range(1, ranks.size):
            to, owner = ((ranks.rank + way) % ranks.size for way in (step, -step))
            sent = [array[:, self.rows[to], :, words:] for array in (keys, values)]
            shape, time = self.times[owner].shape, self.times[owner][:, None]
            yield owner, self.rows[owner], *self._turn(step, sent, *shape), time

    def bring_home(self, owner, gradients, totals):
        """Send gradients of keys and values to the rank that owns these, and add what comes for one's own to totals."""
        step = owner - self.ranks.rank
        other = (self.ranks.rank - step) % self.ranks.size
        came = self._turn(step, gradients, len(self.times[other]), self._own)
        for total, part in zip(totals, came):
            total[:, self.rows[other], :, total.shape[3] - self._own :] += part

    @property
    def _own(self):
        return self.times[self.ranks.rank].shape[1]

    def _turn(self, step, arrays, groups, keys):
        """Send arrays to the rank `step` places on, and get some from the one as far back: in those groups, so long."""
        shapes = [(len(array), groups, array.shape[2], keys, array.shape[-1]) for array in arrays]
        return self.ranks.turn(step, list(arrays), shapes, arrays[0].dtype)


@differentiable
def ring_attention(
    q, k, v, q_weight=None, k_weight=None, cos=None, sin=None, *, ring, scale=None, query_time=None, key_time=None
):
    """`attention` in groups whose tokens are spread over the ranks of a Ring. All of these call it.

    Arguments are those of `attention`, for this rank's own queries and keys: (B, G, h, N, d) in its G groups.
    """
    if query_time is None:
        query_time, key_time = NEVER - 1, np.int32(0)
    scale, query_time, key_time = check_attention(q, k, v, scale, query_time, key_time)
    xp, rank, like_sums = array_module(q), ring.ranks.rank, (*q.shape[:-1], 1)
    q_ready, q_pullback = normalise_and_rotate(q, q_weight, cos, sin)
    k_ready, k_pullback = normalise_and_rotate(k, k_weight, cos, sin)
    if not is_recording():
        q_pullback = k_pullback = None  # they keep arrays

    def tiles(rows, keys):
        """For a few queries at a time, in these groups, where they stand in arrays (B, G, h, N, ...)."""
        at_once = max(1, TILE_ENTRIES // max(1, keys.size // keys.shape[-1]))
        return [(slice(None), rows, slice(None), tile) for (tile,) in blocks((q.shape[-2],), at_once)]

    def scores_of(tile, keys, time):
        scores = (q_ready[tile] * scale) @ transposed(keys)  # (B, C, h, queries, keys)
        xp.copyto(scores, -np.inf, where=time[..., None, :] > query_time[tile][..., :, None])
        return scores

    output = xp.zeros((*q.shape[:-1], v.shape[-1]), q.dtype)
    total, top = xp.zeros(like_sums, q.dtype), xp.full(like_sums, LOWEST, q.dtype)
    for _, rows, keys, values, time in ring.visits(k_ready, v, key_time):
        for tile in tiles(rows, keys):
            scores = scores_of(tile, keys, time)
            higher = xp.maximum(top[tile], scores.max(axis=-1, keepdims=True))
            shrink, weights = xp.exp(top[tile] - higher), xp.exp(scores - higher)
            output[tile] = output[tile] * shrink + weights @ values
            total[tile] = total[tile] * shrink + weights.sum(axis=-1, keepdims=True)
            top[tile] = higher
        del keys, values  # before others come
    total[total == 0] = 1  # a query that sees no key
    output /= total
    log_total = top + xp.log(total)

    def pullback(grad):
        along, q_sum = (grad * output).sum(axis=-1, keepdims=True), xp.zeros_like(q_ready)
        for owner, rows, keys, values, time in ring.visits(k_ready, v, key_time):
            keys_grad, values_grad = xp.zeros_like(keys), xp.zeros_like(values)
            for tile in tiles(rows, keys):
                weights = xp.exp(scores_of(tile, keys, time) - log_total[tile])
                scores_grad = weights * (grad[tile] @ transposed(values) - along[tile]) * scale
                q_sum[tile] += scores_grad @ keys
                keys_grad += transposed(scores_grad) @ q_ready[tile]
                values_grad += transposed(weights) @ grad[tile]
            if owner == rank:
                own = keys_grad, values_grad
            else:
                ring.bring_home(owner, (keys_grad, values_grad), own)
        q_grad, q_weight_grad = q_pullback(q_sum)
        k_grad, k_weight_grad = k_pullback(own[0])
        return q_grad, k_grad, own[1], q_weight_grad, k_weight_grad, None, None

    return output, pullback
