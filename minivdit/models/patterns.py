"""Attention patterns: each is a partition of the tokens of a clip, and attention happens inside its groups.

A clip is a grid of T x H x W tokens. A pattern is a *labelling*: tokens with equal labels form a group.

    frame          label = t                       one frame (each frame by itself)
    time           label = (y, x)                  one position through all frames
    joint          label = 0                       everything
    window:TxHxW   label = number of the box       boxes, shifted by half a box every other block
    skip:K         label = i mod K, i // K mod K   every K-th token; then every K-th run of K (Skiparse)

In the last two lines "window" alone means window:2x2x2 and "skip" skip:2; i is the token's place in the order t, y, x.

A model's attention is a tuple of pattern names, one for each block. Two models that differ only in it have weights of
the same shapes, the same depth and the same text path. One function regroups tokens, one attention runs, one function
puts them back.
"""

import dataclasses
import math

import numpy as np

from ..autograd import differentiable
from ..autograd.attend import NEVER
from ..base.backend import cached_on_device, to_device
from ..base.errors import InputError
from .exchange import HERE, Exchange

PATTERNS = ("frame", "time", "joint", "window", "skip")
DEFAULT_WINDOW = (2, 2, 2)
DEFAULT_SKIP = 2


def labels(pattern, grid, occurrence=0):
    """The group that each token belongs to: integers (N,), tokens ordered t, y, x.

    pattern: a name with an optional argument, such as 'joint', 'window:4x2x2' or 'skip:4'.
    grid: (T, H, W) tokens. occurrence: how many earlier blocks have the same pattern; windows and skips alternate
    between two partitions, so that information can pass between groups.
    """
    name, argument = parse_pattern(pattern)
    t, y, x = np.indices(grid).reshape(3, -1)
    number = np.arange(t.size)
    if name == "frame":
        return t
    if name == "time":
        return y * grid[2] + x
    if name == "joint":
        return np.zeros_like(t)
    if name == "window":
        box = []  # along each axis, which box a token is in
        for axis, side, length in zip((t, y, x), argument, grid):
            side = min(side, length)
            # A box that covers the whole axis stays where it is: shifting would only cut it.
            shift = side // 2 if occurrence % 2 and side < length else 0
            box.append((axis + shift) // side)
        return np.unique(np.stack(box), axis=1, return_inverse=True)[1].reshape(-1)
    step = min(argument, number.size)
    return number % step if occurrence % 2 == 0 else number // step % step


def parse_pattern(pattern):
    """('window', (2, 2, 2)) from 'window:2x2x2'. Raises InputError for an unknown pattern or argument."""
    name, _, argument = pattern.partition(":")
    if name not in PATTERNS:
        raise InputError(f"{pattern!r} is not an attention pattern; choose from {', '.join(PATTERNS)}")
    try:
        if name == "window":
            sides = tuple(int(side) for side in argument.split("x")) if argument else DEFAULT_WINDOW
            if len(sides) == 3 and min(sides) > 0:
                return name, sides
        elif name == "skip":
            step = int(argument) if argument else DEFAULT_SKIP
            if step > 0:
                return name, step
        elif not argument:
            return name, None
    except ValueError:
        pass
    raise InputError(f"{pattern!r} has a bad argument; write 'window:2x4x4', 'skip:4', or a bare name")


@dataclasses.dataclass(frozen=True, eq=False)
class Partition:
    """Tokens in groups of equal size; smaller groups are filled up with padding.

    index: (G, S) the token in each slot. place: (N,) the slot g*S + s of each token.
    padding: (G, S) True where a slot holds no token, or None when all groups are full.
    time: (G, S) the frame of each slot, NEVER for padding.
    in_order: the tokens stand group by group already, so that regrouping is only a reshape.
    first: the number in the whole clip of the first token; not 0 where the partition is one of later frames only.
    exchange: what attention needs from other ranks.
    """

    index: np.ndarray
    place: np.ndarray
    padding: np.ndarray | None
    time: np.ndarray
    in_order: bool
    first: int
    exchange: Exchange = HERE

    def slots(self, table):
        """Of what a table has for each token of the whole clip, (N, ...), that for each slot: (G, S, ...)."""
        own = table[self.first : self.first + self.place.size]
        return own.reshape(*self.index.shape, *table.shape[1:]) if self.in_order else own[self.index]


@cached_on_device
def partition(pattern, grid, occurrence=0, frames=None):
    """The Partition of a pattern on a grid (T, H, W), on the device; see `labels`.

    frames: a range, for the tokens of these frames only.
    """
    first, area = frames.start if frames else 0, grid[1] * grid[2]
    group = labels(pattern, grid, occurrence)
    if frames is not None:
        group = group[first * area : frames.stop * area]
    order = np.argsort(group, kind="stable")  # tokens of a group keep their order
    sizes = np.bincount(group)
    sizes = sizes[sizes > 0]
    widest = int(sizes.max())
    slot = np.concatenate([g * widest + np.arange(size) for g, size in enumerate(sizes)])
    index = np.zeros(len(sizes) * widest, dtype=np.int64)
    filled = np.zeros(index.shape, dtype=bool)
    index[slot], filled[slot] = order, True
    place = np.empty(order.size, dtype=np.int64)
    place[order] = slot
    time = np.where(filled, index // area + first, NEVER).astype(np.int32)
    shape = (len(sizes), widest)
    padding = None if filled.all() else to_device(~filled.reshape(shape))
    in_order = padding is None and np.array_equal(place, np.arange(place.size))
    index, time = to_device(index.reshape(shape)), to_device(time.reshape(shape))
    return Partition(index, to_device(place), padding, time, in_order, first * area)


def _gather(x, part):
    """(B, N, ...) -> (B, G, S, ...), zeros in padding slots."""
    if part.in_order:
        return x.reshape(x.shape[0], *part.index.shape, *x.shape[2:])
    grouped = x[:, part.index]
    if part.padding is not None:
        grouped[:, part.padding] = 0
    return grouped


def _scatter(x, part):
    """(B, G, S, ...) -> (B, N, ...)."""
    tokens = x.reshape(x.shape[0], part.index.size, *x.shape[3:])
    return tokens if part.in_order else tokens[:, part.place]


@differentiable
def regroup(x, *, part):
    """Tokens (B, N, ...) into the groups of a Partition: (B, G, S, ...), zeros in padding slots."""
    if x.shape[1] != part.place.size:
        raise ValueError(f"regroup: x {x.shape} must have {part.place.size} tokens")
    return _gather(x, part), lambda grad: _scatter(grad, part)


@differentiable
def ungroup(x, *, part):
    """Groups (B, G, S, ...) back into tokens (B, N, ...): the inverse of `regroup`."""
    if x.shape[1:3] != part.index.shape:
        raise ValueError(f"ungroup: x {x.shape} must have {part.index.shape} as its groups and slots")
    return _scatter(x, part), lambda grad: _gather(grad, part)


def with_occurrences(patterns):
    """[(pattern, occurrence)] for each block: how many earlier blocks have the same pattern."""
    patterns = list(patterns)
    return [(pattern, patterns[:block].count(pattern)) for block, pattern in enumerate(patterns)]


def links(patterns, grid, causal=False):
    """For each block a boolean (N, N): entry [i, j] says whether token i attends to token j. For small grids."""
    frame = labels("frame", grid)
    allowed = frame[None, :] <= frame[:, None] if causal else True
    groups = [labels(pattern, grid, occurrence) for pattern, occurrence in with_occurrences(patterns)]
    return [(group[:, None] == group[None, :]) & allowed for group in groups]


def most_links(patterns, grid, causal=False):
    """The largest number of True entries in one of the `links`, counted without making them."""
    frame = labels("frame", grid)
    most = 0
    for pattern, parity in {(pattern, count % 2) for pattern, count in with_occurrences(patterns)}:
        group = labels(pattern, grid, parity)
        sizes = np.zeros((int(group.max()) + 1, grid[0]), np.int64)  # of each group, how many of its tokens a frame has
        np.add.at(sizes, (group, frame), 1)
        seen = sizes.cumsum(axis=1) if causal else sizes.sum(axis=1, keepdims=True)
        most = max(most, int((sizes * seen).sum()))
    return most


def reachable(patterns, grid, causal=False):
    """Boolean (N, N): entry [i, j] says whether what goes in at token j can change what comes out at token i.

    patterns: one for each block, first block first.
    """
    total = np.eye(math.prod(grid), dtype=bool)
    for link in links(patterns, grid, causal):
        total = _follow(link, total)
    return total


def average_attention_distance(patterns, grid):
    """Mean over all pairs of tokens of how many attentions it takes to get from one to the other, in any order.

    A token is at distance 0 from itself. `joint`: 1 - 1/N; `frame` and `time` together: 2 - (1/T + 1/(H W));
    infinite where no path exists, as between frames under `frame` alone.
    Source: Open-Sora Plan's report of version 1.3 ("average attention distance").
    """
    step = np.logical_or.reduce(links(patterns, grid))
    reached = np.eye(len(step), dtype=bool)
    total, distance = 0, 0
    while not reached.all():
        distance += 1
        wider = _follow(step, reached)
        new = int(wider.sum()) - int(reached.sum())
        if new == 0:
            return math.inf
        total += distance * new
        reached = wider
    return total / reached.size


def _follow(link, reached):
    """What one more attention reaches: the boolean matrix product (in float32, for which BLAS is fast)."""
    return link.astype(np.float32) @ reached.astype(np.float32) > 0
