"""What ranks will send each other, predicted from a preset before any of them is started, and how long that takes.

    print(training_traffic(presets.get("full"), 2).told([Network(gigabits=10, microseconds=20)]))

There are two ways to share out work: a batch's shards (data parallel) or a clip's frames (sequence parallel).

Bytes are exactly those that base.ranks counts, of arrays. What ranks tell each other when they meet (losses, squares of
gradients, whether one was asked to stop) is a few KB and left out, but not the time that it takes to meet.

Time is that of the usual model, in which a message takes latency + bytes / bandwidth (Thakur, Rabenseifner and Gropp
2005, "Optimization of Collective Communication Operations in MPICH"). Each rank has a link of its own, which sends and
receives at once; nothing is sent while a rank computes, which is how training/loop.py does it.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from ...autograd.collectives import MESSAGE
from ...base import machine
from ...base.errors import InputError
from ...base.ranks import Ranks
from ...models import VideoDiT, costs
from ...models.over_ranks import SharedClip
from ...models.patterns import labels
from ...training.spread import Spread, require_shards
from ...training.stages import tokenizer_of
from .forecast import token_grid

MEETINGS = 3  # of a training step: losses, squares of gradients, whether to stop
COLLECTIVES = 3  # of a meeting: a barrier, then how long each message is, then the messages


class Network(NamedTuple):
    """gigabits: that a link carries in a second, each way. microseconds: before a message's first byte arrives."""

    gigabits: float = 10.0
    microseconds: float = 20.0

    def seconds(self, messages, size):
        """How long so many messages take, one after the other, that have `size` bytes together."""
        return messages * self.microseconds / 1e6 + 8 * size / (self.gigabits * 1e9)

    def __str__(self):
        return f"{self.gigabits:.3g} Gbit/s, {self.microseconds:.3g} us"


class OnPaper(Ranks):
    """One of several ranks, none of which is there."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Arrays go from ranks to others, straight.

    sent, received: bytes of each rank, without what it keeps. messages: one after the other.
    """

    name: str
    sent: tuple
    received: tuple
    messages: int

    @classmethod
    def between(cls, name, ranks, size, messages=None):
        """size(a, b): bytes from rank a to rank b. messages: one to each other rank unless given."""
        sizes = [[size(a, b) * (a != b) for b in range(ranks)] for a in range(ranks)]
        messages = ranks - 1 if messages is None else messages
        return cls(name, tuple(map(sum, sizes)), tuple(map(sum, zip(*sizes))), messages)

    def __add__(self, other):
        """Both, one after the other."""
        sent = tuple(map(sum, zip(self.sent, other.sent)))
        received = tuple(map(sum, zip(self.received, other.received)))
        return Exchange(self.name, sent, received, self.messages + other.messages)

    def seconds(self, network):
        """Until the last rank has sent and got all of it."""
        return network.seconds(self.messages, max(*self.sent, *self.received))


@dataclasses.dataclass(frozen=True)
class Traffic:
    """All exchanges of a piece of work by so many ranks. meetings: how often they meet besides."""

    title: str
    ranks: int
    exchanges: tuple
    meetings: int = 0

    @property
    def sent(self):
        """Bytes that each rank sends, a list."""
        return [sum(exchange.sent[rank] for exchange in self.exchanges) for rank in range(self.ranks)]

    def seconds(self, network):
        """How long all of it takes."""
        return self.seconds_of_meetings(network) + sum(exchange.seconds(network) for exchange in self.exchanges)

    def seconds_of_meetings(self, network):
        rounds = math.ceil(math.log2(self.ranks))  # until all have heard from all
        return network.seconds(COLLECTIVES * self.meetings * rounds, 0)

    def told(self, networks):
        """A table, as text: bytes that a rank sends in the mean, that the busiest one sends, and times."""

        def row(name, sent, seconds):
            sizes = [machine.amount(sum(sent) / len(sent)), machine.amount(max(sent))] if sent else ["", ""]
            times = "".join(f"{1e3 * seconds(network):>19,.4g} ms" for network in networks)
            return f"{name:32}{sizes[0]:>12}{sizes[1]:>12}{times}"

        links = "".join(f"{network!s:>22}" for network in networks)
        lines = [self.title, f"{'':32}{'a rank sends':>12}{'busiest':>12}{links}"]
        lines += [row(exchange.name, exchange.sent, exchange.seconds) for exchange in self.exchanges]
        if self.meetings:
            lines.append(row(f"{self.meetings} meetings", [], self.seconds_of_meetings))
        return "\n".join([*lines, row("together", self.sent, self.seconds)])


class _Shape(NamedTuple):
    """As much of a Parameter as it takes to share it out."""

    shape: tuple

    @property
    def size(self):
        return math.prod(self.shape)


def parameter_shapes(preset):
    """The parameters of a preset's transformer by name, each with its shape and size; only one block is made."""
    config, words = preset.transformer, len(tokenizer_of(preset))
    shallow = dataclasses.replace(config, depth=1)
    needed = 4 * costs.FLOAT * costs.clip_cost(shallow, token_grid(preset), vocabulary=words).parameters
    if needed > (machine.available_memory() or math.inf):
        raise InputError(f"a block of width {config.width} is too large to be made here; choose a smaller one")
    found = {}
    for name, parameter in VideoDiT(shallow, words, np.random.default_rng(0)).parameters().items():
        blocks = range(config.depth) if name.startswith("blocks.0.") else [0]
        found |= {name.replace("blocks.0.", f"blocks.{block}."): _Shape(parameter.shape) for block in blocks}
    return found


def training_traffic(preset, ranks, shards=None, parameters=None):
    """The Traffic of a training step of the preset's transformer, data parallel; see training/spread.py.

    shards: of a batch, the preset's unless given. parameters: see parameter_shapes. InputError where there are more
    ranks than shards.
    """
    shards, parameters = shards or preset.training.shards, parameters or parameter_shapes(preset)
    require_shards(OnPaper(0, ranks), shards, ["training.shards"])
    names = Spread(parameters, OnPaper(0, ranks)).names
    own = [costs.FLOAT * sum(parameters[name].size for name in some) for some in names]
    worked, whole = _parts(shards, ranks), sum(own)
    given = tuple(count * (whole - mine) for count, mine in zip(worked, own))
    taken = tuple(mine * (shards - count) for count, mine in zip(worked, own))
    gradients = Exchange("gradients to their owners", given, taken, ranks - 1)
    given, taken = tuple(mine * (ranks - 1) for mine in own), tuple(whole - mine for mine in own)
    weights = Exchange("weights to all", given, taken, ranks - 1)
    title = f"a training step: {shards} shard{'s' * (shards > 1)} on {ranks} rank{'s' * (ranks > 1)}"
    return Traffic(title, ranks, (gradients, weights), MEETINGS if ranks > 1 else 0)


def drawing_traffic(config, grid, ranks, clips=1, words=costs.WORDS):
    """The Traffic of a call of the transformer without gradients, sequence parallel; see models/over_ranks.py.

    config: a VideoDiTConfig. grid: (T, H, W) tokens of a clip, whose frames the ranks share out. words: of a caption.
    InputError where there are fewer frames than ranks.
    """
    if math.prod(grid) > costs.MOST_TOKENS:
        raise InputError(f"a clip of {math.prod(grid):,} patches is too large; choose fewer frames or a smaller size")
    SharedClip(grid, OnPaper(0, ranks))
    found = {}
    for pattern, occurrence in config.block_patterns():
        exchange = _of_attention(config, pattern, occurrence, grid, ranks, clips)
        if config.text == "sequence":
            exchange += _of_words(config, exchange.name, ranks, clips * words)
        name = f"{pattern}, {exchange.name}"
        found[name] = found[name] + exchange if name in found else exchange
    exchanges = [dataclasses.replace(exchange, name=name) for name, exchange in found.items()]
    frames, area = _parts(grid[0], ranks), math.prod(grid[1:])
    row = costs.FLOAT * clips * area * math.prod(config.patch_size) * config.latent_channels
    exchanges.append(Exchange.between("prediction to all", ranks, lambda a, b: row * frames[a]))
    shape = " x ".join(map(str, grid))
    several = f"{clips} clip{'s' * (clips > 1)} of {shape} tokens"
    return Traffic(f"a call of the network: {several} on {ranks} rank{'s' * (ranks > 1)}", ranks, tuple(exchanges))


KEPT, HEADS, RING = "all on one rank", "tokens for heads", "keys go round"  # what attention exchanges


def _of_attention(config, pattern, occurrence, grid, ranks, clips):
    """The Exchange of a block's tokens, called KEPT, HEADS or RING."""
    frames, heads = _parts(grid[0], ranks), _parts(config.heads, ranks)
    a_head = costs.FLOAT * clips * config.width // config.heads  # bytes of one token's query, or key, or value
    group = labels(pattern, grid, occurrence).reshape(grid[0], -1)
    parts = [
        group[some.start : some.stop].reshape(-1) for some in (OnPaper(r, ranks).part(grid[0]) for r in range(ranks))
    ]
    names, widest = [set(part.tolist()) for part in parts], [int(np.bincount(part).max()) for part in parts]
    if sum(map(len, names)) == len(set().union(*names)):
        return Exchange.between(KEPT, ranks, lambda a, b: 0, 0)
    if config.heads < ranks:
        a_key = 2 * config.heads * a_head  # and its value
        return Exchange.between(RING, ranks, lambda a, b: a_key * len(names[a] & names[b]) * widest[a])
    area = math.prod(grid[1:])

    def messages(numbers):  # they are of limited size
        return (ranks - 1) * (1 + numbers // (ranks**2 * MESSAGE))

    count = messages(clips * math.prod(grid) * config.width)  # for q, for k, for v, and for what is found
    there = Exchange.between(HEADS, ranks, lambda a, b: 3 * a_head * area * frames[a] * heads[b], 3 * count)
    return there + Exchange.between(HEADS, ranks, lambda a, b: a_head * area * frames[b] * heads[a], count)


def _of_words(config, name, ranks, words):
    """The Exchange of so many words beside a block's tokens: each rank has a part of what they find."""
    row = costs.FLOAT * words
    if name == HEADS:
        heads = _parts(config.heads, ranks)
        return Exchange.between(name, ranks, lambda a, b: row * heads[a] * (config.width // config.heads))
    width = _parts(config.width, ranks)
    return Exchange.between(name, ranks, lambda a, b: row * (width[a] + width[b]), 2 * (ranks - 1))


def _parts(count, ranks):
    """How many of so many things each rank has."""
    return [len(OnPaper(rank, ranks).part(count)) for rank in range(ranks)]


def clips_of_a_shard(preset):
    """How many clips the largest shard of a batch has."""
    return math.ceil(preset.training.batch / preset.training.shards)


def weak_scaling(preset, counts, networks, speed):
    """A table in Markdown: what becomes of a training step where each further rank brings a shard of its own.

    A shard has as many clips as the preset's, so the batch grows. counts: of ranks. networks: a list. speed: FLOP/s of
    a rank. The mean is also what each rank would send if parameters were cut into equal slices. A column for each
    network: seconds of a step, and the share of it in which a rank computes.
    """
    parameters, clips = parameter_shapes(preset), clips_of_a_shard(preset)
    words = len(tokenizer_of(preset))
    computing = costs.clip_cost(preset.transformer, token_grid(preset), clips, vocabulary=words).training_flops / speed
    count = sum(parameter.size for parameter in parameters.values())
    head = [f"ranks, {machine.amount(count, '')} parameters", "batch", "a rank sends, mean", "the busiest"]
    head += map(str, networks)
    rows = [head, ["---"] * len(head)]
    for ranks in counts:
        step = training_traffic(preset, ranks, ranks, parameters)
        sizes = (sum(step.sent) / ranks, max(step.sent))
        times = [computing + step.seconds(network) for network in networks]
        told = [f"{time:,.3g} s, {computing / time:.0%}" for time in times]
        rows.append([f"{ranks:,}", f"{ranks * clips:,}", *map(machine.amount, sizes), *told])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
