"""What attention needs from other ranks, where the frames of a clip are spread over them: one class for each way.

    Exchange   nothing, since this rank has all tokens
    ForHeads   tokens are exchanged for heads, and back: meanwhile each rank has all tokens of some heads
               (DeepSpeed-Ulysses, Jacobs et al. 2023)
    InGroups   each rank keeps its tokens; keys and values go round where a group has tokens on several ranks (Ring
               Attention, Liu et al. 2023), and where none has, nothing needs to

over_ranks.py chooses. SelfAttention is the same for all of them. B clips, N tokens, L words, width D, h heads.
"""

import numpy as np

from .. import autograd as ag


class Exchange:
    """All tokens are here. The other classes have the same methods."""

    def attend(self, q, k, v, *others, **times):
        """Attention in the groups that are here: arguments are those of autograd.attention."""
        return ag.attention(q, k, v, *others, **times)

    def heads(self, count):
        """Of so many heads those that this rank works on: a range."""
        return range(count)

    def project(self, layer, x, heads, transposed=False):
        """From x (B, ..., D) of this rank's tokens yield q, k and v of those with which it attends.

        They come together, (B, N, 3 D), or one by one, (B, N, D). layer: the Linear that makes them; transposed: see
        there.
        """
        qkv = layer(x, transposed=transposed)
        yield qkv.reshape(len(x), -1, qkv.shape[-1])

    def of_words(self, qkv, heads):
        """The same for q, k and v (B, L, 3 D) of words, which all ranks have."""
        return qkv

    def after(self, found, heads):
        """From what attention finds for tokens here to (B, N, D) for this rank's tokens."""
        return found

    def average(self, told, heads):
        """From what words find in each group here, (B, G, L, D), to the mean over all groups, (B, L, D)."""
        return ag.mean(told, axis=1)


HERE = Exchange()


class ForHeads(Exchange):
    """frames: how many the whole clip has. There are at least as many heads as ranks."""

    def __init__(self, ranks, frames):
        self.ranks, self.frames = ranks, frames

    def heads(self, count):
        return self.ranks.part(count)

    def project(self, layer, x, heads, transposed=False):
        own = len(self.ranks.part(self.frames))
        for weight in ag.split(layer.weight, parts=3):  # one after the other: only one of the three is there twice
            split = ag.linear(x, weight).reshape(len(x), own, -1, heads, weight.shape[1] // heads)
            split = ag.all_to_all(split, ranks=self.ranks, cut=3, join=1, length=self.frames)
            yield split.reshape(len(x), -1, split.shape[3] * split.shape[4])

    def of_words(self, qkv, heads):
        batch, words, width = qkv.shape
        own = self.heads(heads)
        split = qkv.reshape(batch, words, 3, heads, width // (3 * heads))
        return ag.getitem(split, key=np.s_[..., own.start : own.stop, :]).reshape(batch, words, -1)

    def after(self, found, heads):
        batch, tokens, width = found.shape
        own, area = len(self.heads(heads)), tokens // self.frames
        split = found.reshape(batch, self.frames, area, own, width // own)
        found = ag.all_to_all(split, ranks=self.ranks, cut=1, join=3, length=heads)  # (B, own frames, area, h, d)
        return found.reshape(batch, -1, heads * (width // own))

    def average(self, told, heads):
        batch, _, words, width = told.shape
        own = len(self.heads(heads))
        mean = ag.mean(told, axis=1).reshape(batch, words, own, width // own)
        return ag.all_gather(mean, ranks=self.ranks, axis=2, length=heads).reshape(batch, words, -1)


class InGroups(Exchange):
    """share: for each group of this rank its part in the mean over all groups and ranks. ring: a Ring, or None."""

    def __init__(self, ranks, share, ring=None):
        self.ranks, self.share, self.ring = ranks, share, ring

    def attend(self, q, k, v, *others, **times):
        if self.ring is None:
            return super().attend(q, k, v, *others, **times)
        return ag.ring_attention(q, k, v, *others, ring=self.ring, **times)

    def average(self, told, heads):
        share = self.share.astype(told.dtype)[:, None, None]
        return ag.all_reduce(ag.sum(told * share, axis=1), ranks=self.ranks)
