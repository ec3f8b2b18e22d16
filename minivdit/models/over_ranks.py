"""Sequence parallel: the tokens of one clip spread over ranks, so that each needs memory for a part of them only.

Each rank has the tokens of some frames. All parts of the network but attention look at one token at a time, or at a
frame's modulation, and need nothing from other ranks. Attention happens in groups, and where a group's tokens lie says
what must be exchanged:

    no group has tokens on several ranks    nothing: always so for `frame`
    as many heads as ranks, or more         tokens for heads, and back
    fewer                                   keys and values go round

exchange.py and autograd/ring.py say how. What all ranks need alike is computed by each: the caption, its words beside
the tokens, and noise levels.

On P ranks, each holds a P-th of all tokens. It needs a little more than a P-th of the memory. What doesn't shrink are
the noisy clip and the prediction, the tables of rotary angles, copies of one head's queries and keys while it attends,
and the few rows at a time on which the MLP works. tests/generation/test_drawing_on_ranks.py measures it.

Every rank is given the whole input and gets the whole prediction. Gradients of weights are those of the rank's own
part: their sum over ranks is the gradient of the sum of all ranks' losses.
"""

import dataclasses

import numpy as np

from .. import autograd as ag
from ..base.backend import cached_on_device, to_device
from ..base.errors import InputError
from ..base.ranks import ALONE
from .exchange import ForHeads, InGroups
from .patterns import labels, partition


class SharedClip:
    """The tokens of a clip, a grid (T, H, W), of which each of the ranks has those of some frames.

    frames: this rank's, a range. InputError where there are fewer frames than ranks.
    """

    def __init__(self, grid, ranks=ALONE):
        if grid[0] < ranks.size:
            frames = f"{grid[0]} frame{'s' * (grid[0] > 1)} of patches"
            raise InputError(
                f"a clip of {frames} can't be shared out over {ranks.size} ranks; start fewer, or draw more frames"
            )
        self.grid, self.ranks, self.frames = grid, ranks, ranks.part(grid[0])

    def cut(self, x, each=1):
        """Of x, which has `each` entries a frame along axis 1, those of this rank's frames."""
        if self.ranks.size == 1:
            return x
        own = np.s_[:, self.frames.start * each : self.frames.stop * each]
        return ag.getitem(x, key=own) if isinstance(x, ag.Tensor) else x[own]

    def whole(self, x):
        """From the rows (B, n, D) that all ranks have for their tokens those for all tokens (B, N, D), on each rank."""
        if self.ranks.size == 1:
            return x
        by_frame = x.reshape(len(x), len(self.frames), -1)
        found = ag.all_gather(by_frame, ranks=self.ranks, axis=1, length=self.grid[0])
        return found.reshape(len(x), -1, x.shape[-1])

    def captions(self, text, visible, batch):
        """text (B F, L, D) and visible (B F, 1, L) of F captions for each clip: one for each of this rank's frames.

        They stay as they are where a clip has one caption, or a rank has all frames.
        """
        count = len(text) // batch
        if self.ranks.size == 1 or count == 1:
            return text, visible
        which = np.array(self.frames) * count // self.grid[0] + count * np.arange(batch)[:, None]
        which = to_device(which.reshape(-1))
        return ag.getitem(text, key=which), visible[which]

    def partition(self, pattern, occurrence, heads):
        """The Partition of the tokens with which this rank attends."""
        if self.ranks.size == 1:
            return partition(pattern, self.grid, occurrence)
        part, alone = _in_groups(pattern, self.grid, occurrence, self.ranks)
        if alone or heads < self.ranks.size:
            return part
        return _for_heads(pattern, self.grid, occurrence, self.ranks)


@cached_on_device
def _for_heads(pattern, grid, occurrence, ranks):
    """The Partition of all tokens, of which each rank has some heads."""
    return dataclasses.replace(partition(pattern, grid, occurrence), exchange=ForHeads(ranks, grid[0]))


@cached_on_device
def _in_groups(pattern, grid, occurrence, ranks):
    """The Partition of this rank's tokens, and whether no group has tokens on several ranks."""
    group = labels(pattern, grid, occurrence).reshape(grid[0], -1)
    frames = [ranks.part(grid[0], rank) for rank in range(ranks.size)]
    names = [np.unique(group[some.start : some.stop]) for some in frames]  # as a Partition has them in order
    all_names, on_ranks = np.unique(np.concatenate(names), return_counts=True)
    own, parts = names[ranks.rank], [partition(pattern, grid, occurrence, some) for some in frames]
    share = 1 / (on_ranks[np.searchsorted(all_names, own)] * len(all_names))
    alone = bool((on_ranks == 1).all())
    ring = None
    if not alone:
        both = [np.intersect1d(own, other, return_indices=True)[1:] for other in names]
        times = [part.time[to_device(theirs)] for part, (_, theirs) in zip(parts, both)]
        rows = [slice(None) if len(ours) == len(own) else to_device(ours) for ours, _ in both]
        ring = ag.Ring(ranks, tuple(rows), tuple(times))
    exchange = InGroups(ranks, to_device(share), ring)
    return dataclasses.replace(parts[ranks.rank], exchange=exchange), alone
