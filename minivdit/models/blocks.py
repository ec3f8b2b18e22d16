"""The parts of a transformer block: self-attention in groups, cross-attention to the text, MLP."""

import numpy as np

from .. import autograd as ag
from ..autograd.attend import NEVER, composed_attention
from ..base.backend import array_module, to_device
from ..nn import Linear, Module, RMSNorm
from .exchange import HERE
from .patterns import regroup, ungroup


class MLP(Module):
    """Each token by itself: a wider layer, GELU, and back. (..., width) -> (..., width)."""

    def __init__(self, width, hidden, generator):
        self.up = Linear(width, hidden, generator)
        self.down = Linear(hidden, width, generator)

    def forward(self, x):
        return ag.mlp(x, self.up.weight, self.up.bias, self.down.weight, self.down.bias)


class SelfAttention(Module):
    """Tokens attend to each other, within the groups of a Partition if one is given.

    Queries and keys are normalised for each head (QK-norm, Dehghani et al. 2023), so that the scores can't grow
    without bound. Rotary positions then rotate them.
    """

    def __init__(self, width, heads, generator, qk_norm=True):
        if width % heads:
            raise ValueError(f"width {width} can't be split into {heads} heads")
        self.heads = heads
        self.qkv = Linear(width, 3 * width, generator, bias=False)
        self.q_norm = RMSNorm(width // heads) if qk_norm else None
        self.k_norm = RMSNorm(width // heads) if qk_norm else None
        self.out = Linear(width, width, generator)

    def forward(self, x, *, rotation=None, part=None, causal=False, key_time=None, words=None):
        """x: (B, ..., width), tokens along any number of axes. rotation: (cos, sin) of `rotary_angles`.

        part: a Partition. causal: tokens attend to no later frame.
        key_time: (B, 1, N) times that hide padding; only without a partition.
        words: None, or (words (B, L, width), their times (B, 1, L)); only with a partition. They belong to every group:
        tokens and words attend to each other, and what a word finds in several groups is averaged. A word's time is
        a frame, or NEVER for padding; it counts as a token's does. Words have no rotary positions. Then the result is a
        pair, for tokens and for words.
        """
        q, k, v, preparation, times = self._project(x, rotation, part, causal, key_time, words)
        exchange = HERE if part is None else part.exchange
        found = join_heads(exchange.attend(q, k, v, *preparation, query_time=times[0], key_time=times[1]))
        if words is not None:
            count = words[0].shape[1]
            told, found = ag.getitem(found, key=np.s_[:, :, :count]), ag.getitem(found, key=np.s_[:, :, count:])
        found = found if part is None else exchange.after(ungroup(found, part=part), self.heads)
        found = self.out(found).reshape(x.shape)
        return found if words is None else (found, self.out(exchange.average(told, self.heads)))

    def weights(self, x, *, rotation=None, part=None, causal=False, key_time=None, words=None):
        """The attention weights, which `forward` never holds all at once; to look at, without gradients.

        Arguments as for `forward`. Returns an array (B, h, N, N), with a partition (B, G, h, S, S). Rows are queries
        and add up to 1, except those of padding; with words, which aren't returned, to 1 with what goes to them.
        """
        with ag.no_grad():
            q, k, _, (q_weight, k_weight, *tables), times = self._project(x, rotation, part, causal, key_time, words)
        arrays = [tensor if tensor is None else tensor.data for tensor in (q, k, q_weight, k_weight)]
        # Attention averages values by its weights. The average of the rows of the identity is the weights themselves.
        identity = to_device(np.eye(k.shape[-2], dtype=k.dtype))
        values = array_module(identity).broadcast_to(identity, (*k.shape[:-1], k.shape[-2]))
        found = composed_attention(*arrays[:2], values, *arrays[2:], *tables, None, *times)[0]
        return found if words is None else found[..., words[0].shape[1] :, words[0].shape[1] :]

    def _project(self, x, rotation, part, causal, key_time, words):
        """The inputs of attention: q, k, v, (q_weight, k_weight, cos, sin), (query_time, key_time)."""
        exchange = HERE if part is None else part.exchange
        found = exchange.project(self.qkv, x, self.heads, transposed=part is None or part.in_order)
        query_time, heads = None, len(exchange.heads(self.heads))
        if part is not None:
            found = [regroup(array, part=part) for array in found]  # (B, G, S, 3 D), or three (B, G, S, D)
            if rotation is not None:
                rotation = [part.slots(table) for table in rotation]  # (G, S, 1, d/2)
            if causal or part.padding is not None:
                # A query sees keys up to its own time. Padding has the time NEVER, later than any token, so no token
                # sees it. `ungroup` drops what padded queries see.
                key_time = part.time[:, None, :]  # (G, 1, S): the same for every clip and head
                query_time = key_time if causal else key_time * 0 + NEVER - 1
            if words is not None:
                found, rotation, query_time, key_time = self._beside_words(found, words, rotation, part, causal)
        elif key_time is not None:
            query_time = array_module(x.data).zeros_like(key_time)
        found = [*found]
        q, k, v = (split_heads(a, heads) for array in found for a in ag.split(array, parts=3 // len(found)))
        weights = (self.q_norm.weight, self.k_norm.weight) if self.q_norm is not None else (None, None)
        tables = [table.swapaxes(-2, -3) for table in rotation] if rotation is not None else (None, None)
        return q, k, v, (*weights, *tables), (query_time, key_time)

    def _beside_words(self, found, words, rotation, part, causal):
        """What is found for tokens with that for words before each group; its rotation, query_time and key_time."""
        words, time = words
        xp, groups, (batch, count, _) = array_module(time), len(part.index), words.shape
        own = part.exchange.of_words(self.qkv(words), self.heads)
        own = own[:, None] + xp.zeros((1, groups, 1, 1), np.float32)  # (B, G, L, 3 D)
        beside = zip(ag.split(own, parts=len(found)), found)
        if rotation is not None:  # by the angle 0
            (cos, sin), shape = rotation, (groups, count, *rotation[0].shape[2:])
            ones, zeros = xp.ones(shape, cos.dtype), xp.zeros(shape, sin.dtype)
            rotation = xp.concatenate([ones, cos], axis=1), xp.concatenate([zeros, sin], axis=1)
        times = (xp.broadcast_to(t, (batch, groups, 1, t.shape[-1])) for t in (time[:, None], part.time[:, None]))
        key_time = xp.concatenate([*times], axis=-1)  # (B, G, 1, L + S)
        query_time = xp.minimum(key_time, NEVER - 1) if causal else xp.full_like(key_time, NEVER - 1)
        return [ag.concatenate(*pair, axis=2) for pair in beside], rotation, query_time, key_time


class CrossAttention(Module):
    """Tokens (B, ..., width) attend to the words (B, L, text_width) of the caption."""

    def __init__(self, width, text_width, heads, generator):
        self.heads = heads
        self.q = Linear(width, width, generator, bias=False)
        self.kv = Linear(text_width, 2 * width, generator, bias=False)
        self.q_norm = RMSNorm(width // heads)
        self.k_norm = RMSNorm(width // heads)
        # Zero, so that a fresh block is the identity (its other two branches are gated shut).
        self.out = Linear(width, width, generator, zero=True)

    def forward(self, x, text, key_time):
        """key_time: (B, 1, L) times that hide padded words; see `key_times`.

        With F captions for each clip, text is (B F, L, text_width): each F-th part of the tokens attends to its own.
        """
        q = self.q(x, transposed=True)
        q = split_heads(q.reshape(len(text), -1, q.shape[-1]), self.heads)
        k, v = (split_heads(a, self.heads) for a in ag.split(self.kv(text, transposed=True), parts=2))
        query_time = array_module(x.data).zeros((1, 1, 1), dtype=key_time.dtype)
        weights = self.q_norm.weight, self.k_norm.weight
        heads = join_heads(ag.attention(q, k, v, *weights, query_time=query_time, key_time=key_time))
        return self.out(heads).reshape(x.shape)


def split_heads(x, heads):
    """(..., N, D) -> (..., h, N, d), a view."""
    *leading, tokens, width = x.shape
    return x.reshape(*leading, tokens, heads, width // heads).transpose(*range(len(leading)), -2, -3, -1)


def join_heads(x):
    """(..., h, N, d) -> (..., N, D): the inverse of `split_heads`."""
    *leading, heads, tokens, head_width = x.shape
    return x.transpose(*range(len(leading)), -2, -3, -1).reshape(*leading, tokens, heads * head_width)
