"""What transformer blocks are made of: self-attention in groups, cross-attention to the text, MLP."""

from .. import autograd as ag
from ..autograd.attend import NEVER
from ..backend import array_module
from ..nn import Linear, Module, RMSNorm
from .patterns import regroup, ungroup


class MLP(Module):
    """Each token by itself: widen, bend, narrow. (..., width) -> (..., width)."""

    def __init__(self, width, hidden, generator):
        self.up = Linear(width, hidden, generator)
        self.down = Linear(hidden, width, generator)

    def forward(self, x):
        return self.down(ag.gelu(self.up(x)))


class SelfAttention(Module):
    """Tokens (B, N, width) look at each other, within the groups of a Partition if one is given.

    Queries and keys are normalised for each head (QK-norm, Dehghani et al. 2023), so that the logits
    can't grow without bound; rotary positions turn them afterwards.
    """

    def __init__(self, width, heads, generator, qk_norm=True):
        if width % heads:
            raise ValueError(f"width {width} can't be split into {heads} heads")
        self.heads = heads
        self.qkv = Linear(width, 3 * width, generator, bias=False)
        self.q_norm = RMSNorm(width // heads) if qk_norm else None
        self.k_norm = RMSNorm(width // heads) if qk_norm else None
        self.out = Linear(width, width, generator)

    def forward(self, x, *, rotation=None, part=None, causal=False, key_time=None):
        """rotation: (cos, sin) of `rotary_angles`. part: a Partition. causal: tokens see no later frame.

        key_time: (B, 1, N) times that hide padding; only without a partition.
        """
        batch, tokens, width = x.shape
        by_head = (batch, tokens, self.heads, width // self.heads)
        q, k, v = (ag.reshape(a, shape=by_head) for a in ag.split(self.qkv(x), parts=3))  # (B, N, h, d)
        if self.q_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if rotation is not None:
            q, k = ag.rotary(q, *rotation), ag.rotary(k, *rotation)
        if part is None:
            # (B, h, N, d)
            q, k, v = (ag.transpose(a, axes=(0, 2, 1, 3)) for a in (q, k, v))
            query_time = None if key_time is None else array_module(x.data).zeros_like(key_time)
            seen = ag.attention(q, k, v, query_time=query_time, key_time=key_time)
            seen = ag.transpose(seen, axes=(0, 2, 1, 3))
        else:
            # (B, N, h, d) -> (B, G, S, h, d) -> (B, G, h, S, d)
            q, k, v = (ag.transpose(regroup(a, part=part), axes=(0, 1, 3, 2, 4)) for a in (q, k, v))
            query_time = key_time = None
            if causal or part.padding is not None:
                # A key is seen from its own time on. Padding has the time NEVER, later than any token, so no token
                # sees it; what a padded query sees is dropped by `ungroup`.
                key_time = part.time[:, None, :]  # (G, 1, S): the same for every clip and head
                query_time = key_time if causal else key_time * 0 + NEVER - 1
            seen = ag.attention(q, k, v, query_time=query_time, key_time=key_time)
            seen = ungroup(ag.transpose(seen, axes=(0, 1, 3, 2, 4)), part=part)
        return self.out(ag.reshape(seen, shape=(batch, tokens, width)))


class CrossAttention(Module):
    """Tokens (B, N, width) look at the words (B, L, text_width) of the caption."""

    def __init__(self, width, text_width, heads, generator):
        self.heads = heads
        self.q = Linear(width, width, generator, bias=False)
        self.kv = Linear(text_width, 2 * width, generator, bias=False)
        self.q_norm = RMSNorm(width // heads)
        self.k_norm = RMSNorm(width // heads)
        # Zero, so that a fresh block is the identity (its other two branches are gated shut).
        self.out = Linear(width, width, generator, zero=True)

    def forward(self, x, text, key_time):
        """key_time: (B, 1, L) times that hide padded words; see `key_times`."""
        batch, tokens, width = x.shape
        head_width = width // self.heads
        q = self.q_norm(ag.reshape(self.q(x), shape=(batch, tokens, self.heads, head_width)))
        by_head = (batch, text.shape[1], self.heads, head_width)
        k, v = (ag.reshape(a, shape=by_head) for a in ag.split(self.kv(text), parts=2))
        q, k, v = (ag.transpose(a, axes=(0, 2, 1, 3)) for a in (q, self.k_norm(k), v))  # (B, h, N or L, d)
        query_time = array_module(x.data).zeros((1, 1, 1), dtype=key_time.dtype)
        seen = ag.attention(q, k, v, query_time=query_time, key_time=key_time)
        return self.out(ag.reshape(ag.transpose(seen, axes=(0, 2, 1, 3)), shape=(batch, tokens, width)))
