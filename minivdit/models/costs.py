"""What a model costs, predicted from plain numbers before anything runs: parameters, FLOPs, bytes, memory.

    print(clip_cost(VideoDiTConfig(), grid=(8, 8, 8), batch=32))

A network is a list of LayerCosts: parameters, FLOPs of the matrix products, bytes moved, and bytes that training
must keep until the backward pass. Every figure is a sum over that list.
Most of it is this, for N tokens of width d in a block: 24 N d^2 + 4 P d FLOPs, where P is the number of
pairs (query, key) that attention scores: N^2 for `joint`, less for other patterns (Kaplan et al. 2020).

Conventions: a multiply-add is 2 FLOPs (papers on DiT count it once and call it a FLOP); elementwise work is
left out of the FLOPs (a few percent) but not of the bytes; numbers are float32; K, M, G are powers of 1000. Memory is
that of NumPy's operations. Compiled ones keep less.
"""

import dataclasses
import itertools
import math

import numpy as np

from ..autograd.attend import TILE_ENTRIES
from ..autograd.fused import MLP_ENTRIES
from ..autograd.products import block_entries
from ..base.errors import InputError
from ..base.machine import amount
from ..data import grammar
from .causal_autoencoder import TIME
from .patterns import labels
from .video_dit import LEVEL_FEATURES

FLOAT = 4  # bytes
MOST_TOKENS = 10**6  # of a clip
IN_ORDER = ("joint", "frame")  # patterns whose groups follow each other in memory, so that nothing is copied
WORDS = grammar.MAX_WORDS + 1  # of a caption, with the one that starts it
TOKENS = len(grammar.vocabulary()) + 2  # those that start a caption and fill it up, too


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """The cost of a layer, or of several together.

    flops: of a forward pass. moved: bytes that it reads and writes, where each operation reads its inputs and writes
    its outputs once. kept: bytes that are kept for the backward pass.
    """

    name: str
    parameters: int = 0
    flops: int = 0
    moved: int = 0
    kept: int = 0

    def __add__(self, other):
        return LayerCost(self.name, *map(sum, zip(dataclasses.astuple(self)[1:], dataclasses.astuple(other)[1:])))

    def times(self, count):
        """`count` such layers, each with its own parameters."""
        return LayerCost(self.name, *(count * value for value in dataclasses.astuple(self)[1:]))


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one batch. `print` it for a table.

    title: what it is the cost of. layers: tuple of LayerCosts. working: bytes of temporary arrays at the moment of a
    forward pass that has most of them. at_once: share of the batch that training works on at a time.
    gradient_copies: sets of gradients in memory (one for each shard and their sum).
    """

    title: str
    layers: tuple
    working: int
    at_once: float = 1.0
    gradient_copies: int = 2

    @property
    def together(self):
        """All layers as one LayerCost."""
        return sum(self.layers, start=LayerCost("together"))

    @property
    def parameters(self):
        return self.together.parameters

    @property
    def forward_flops(self):
        return self.together.flops

    @property
    def training_flops(self):
        """FLOPs of a training step: the backward pass has two products for each one of the forward pass."""
        return 3 * self.forward_flops

    @property
    def training_memory(self):
        """Peak bytes of training: weights, their average, two moments, gradients, and what the pullbacks keep."""
        states = (4 + self.gradient_copies) * self.parameters * FLOAT
        return states + int(self.at_once * self.together.kept)  # `working` is part of what is kept

    @property
    def sampling_memory(self):
        """Peak bytes of one call of the network without gradients."""
        return self.parameters * FLOAT + self.working

    def sampling_flops(self, steps, guided=True):
        """FLOPs of drawing the batch; guidance calls the network twice a step."""
        return self.forward_flops * steps * (2 if guided else 1)

    def __str__(self):
        lines = [self.title, f"{'':20}{'parameters':>12}{'forward FLOPs':>16}{'moved':>10}{'kept':>10}"]
        for layer in (*self.layers, self.together):
            lines.append(
                f"{layer.name:20}{layer.parameters:>12,}{amount(layer.flops, ''):>16}"
                f"{amount(layer.moved):>10}{amount(layer.kept):>10}"
            )
        for call, flops, memory in (
            ("a training step", self.training_flops, self.training_memory),
            ("a call when sampling", self.forward_flops, self.sampling_memory),
        ):
            lines.append(f"{call}: {amount(flops, 'FLOPs')}, peak memory about {amount(memory)}")
        return "\n".join(lines)


def score_pairs(pattern, grid, occurrence=0, words=0):
    """How many (query, key) pairs one attention of this pattern computes on a grid (T, H, W) of tokens.

    Groups are filled up to the size of the largest, and what is filled in is computed too. words: how many words belong
    to every group.
    """
    groups, size = _groups(pattern, grid, occurrence)
    return groups * (size + words) ** 2


def _groups(pattern, grid, occurrence):
    """(number of groups, tokens of the largest)."""
    sizes = np.bincount(labels(pattern, grid, occurrence))
    return int((sizes > 0).sum()), int(sizes.max())


def block_layers(tokens, width, pairs=None, *, batch=1, mlp_ratio=4, words=0, frames=0, heads=None, qk_norm=True):
    """The LayerCosts of one transformer block for a batch of clips of `tokens` tokens.

    pairs: see score_pairs; tokens^2 unless given. words: length of the caption (0: no cross-attention).
    frames: how many modulations a clip needs (0: none). heads: None leaves out the normalisation of
    queries and keys; qk_norm=False leaves it out of self-attention only.
    With all of these left out it is the textbook block: 24 N d^2 + 4 N^2 d FLOPs for each clip.
    """
    rows, caption, hidden = batch * tokens, batch * words, mlp_ratio * width
    pairs = batch * (tokens**2 if pairs is None else pairs)
    activation = rows * width * FLOAT  # bytes of one (B, N, D) array, the unit of what follows
    norm = 0 if heads is None else 2 * (width // heads)  # scales of queries and keys

    projections = _linear("projections", rows, width, 3 * width, bias=False) + _linear("", rows, width, width)
    # Kept: normalised x, modulated x, q k v, q and k as they meet, heads joined, branch.
    projections += LayerCost("", norm * qk_norm, moved=7 * activation, kept=9 * activation)
    attention = LayerCost("attention scores", flops=4 * pairs * width, moved=4 * activation)
    mlp = _linear("MLP", rows, width, hidden) + _linear("", rows, hidden, width)
    # Kept: normalised x, modulated x, branch; and of the hidden layer GELU's slope and its output.
    mlp += LayerCost("", moved=(5 + 2 * mlp_ratio) * activation, kept=(3 + 2 * mlp_ratio) * activation)
    layers = [projections, attention, mlp]
    if words:
        cross = _linear("caption attention", rows, width, width, bias=False) + _linear("", rows, width, width)
        cross += _linear("", caption, width, 2 * width, bias=False)
        # Kept: normalised x, q, q as it meets k, heads joined; of the caption k v, and k as it meets q.
        kept = 4 * activation + 3 * caption * width * FLOAT
        layers.append(cross + LayerCost("", norm, 4 * rows * words * width, 10 * activation, kept))
    if frames:
        modulation = _linear("modulation", batch * frames, width, 6 * width)
        layers.append(modulation + LayerCost("", kept=8 * batch * frames * width * FLOAT))
    return layers


def block_flops(tokens, width, pairs=None, **options):
    """The FLOPs of a forward pass through one block; arguments as for `block_layers`."""
    return sum(layer.flops for layer in block_layers(tokens, width, pairs, **options))


def clip_cost(config, grid, batch=1, *, words=WORDS, vocabulary=TOKENS, shards=1, threads=1):
    """The Cost of the transformer `config` (a VideoDiTConfig) for a batch of clips of grid (T, H, W) tokens.

    words: tokens of a caption. vocabulary: how many different ones there are. shards, threads: how training splits
    the batch; it works on as many shards at a time as there are threads.
    """
    width, frames, tokens = config.width, grid[0], math.prod(grid)
    if tokens > MOST_TOKENS:  # counting the pairs of so many would itself take long
        raise InputError(f"a clip of {tokens:,} patches is too large; choose fewer frames or a smaller size")
    rows, caption = batch * tokens, batch * words
    cells = math.prod(config.patch_size)
    patch, shown = cells * config.latent_channels, cells * config.input_channels
    waves = LEVEL_FEATURES * config.patch_size[0]

    ends = _linear("tokens in and out", rows, shown, width) + _linear("", rows, width, patch)
    ends += _linear("", batch * frames, width, 2 * width)
    ends += LayerCost("", kept=(2 * rows * width + rows * (patch + shown)) * FLOAT)
    levels = _linear("noise levels", batch * frames, waves, width) + _linear("", batch * frames, width, width)
    levels += LayerCost("", kept=6 * batch * frames * width * FLOAT)
    text = _text_layer(config, batch, words, vocabulary) + _linear("", batch, width, width)
    text += LayerCost("", flops=2 * caption * width)

    usual = {"batch": batch, "mlp_ratio": config.mlp_ratio, "heads": config.heads, "qk_norm": config.qk_norm}
    # Words may be tokens that belong to every group, with a modulation beside those of the frames.
    beside = words if config.text == "sequence" else 0
    usual |= {"frames": frames + 1} if beside else {"frames": frames, "words": words}
    blocks, going_back = {}, 0
    for pattern, occurrence in config.block_patterns():
        groups, size = _groups(pattern, grid, occurrence)
        slots = groups * (size + beside)
        layers = block_layers(tokens + beside, width, slots * (size + beside), **usual)
        if beside or pattern not in IN_ORDER:
            layers.append(_regrouped(batch * (tokens + beside), width, batch * slots))
        if beside:
            layers.append(LayerCost("modulation", (width + 1) * 6 * width * config.expert_modulation))
        # On the way back come the gradients of q k v, apart and joined, and of what was found, when what follows
        # attention in its block isn't kept any more. What later blocks had kept is free, too.
        later = sum(layer.kept for layer in layers if layer.name in ("MLP", "caption attention"))
        kept = sum(layer.kept for layer in layers)
        going_back = max(0, going_back - kept, 7 * batch * slots * width * FLOAT - later)
        for layer in layers:
            blocks[layer.name] = blocks[layer.name] + layer if layer.name in blocks else layer
    blocks["attention scores"] += LayerCost("", kept=going_back)
    shape, patterns = " x ".join(map(str, grid)), ", ".join(dict.fromkeys(config.patterns))
    title = f"{batch} clips of {shape} = {tokens:,} tokens; width {width}, depth {config.depth}, {patterns} attention"
    working = working_memory(config, grid, batch, words)
    return Cost(title, (text, levels, ends, *blocks.values()), working, *_sharing(batch, shards, threads))


def _regrouped(rows, width, slots):
    """What attention costs beyond its scores, where a block copies its rows into the slots of groups and back.

    There are more slots than rows where words belong to every group, and where small groups are filled up.
    """
    # Moved: q k v and what is found, as they are copied, and in more slots by attention itself. Kept for each slot
    # more: q k v, q and k as they meet, what is found. And once more what is found, back in its rows.
    row = width * FLOAT
    return LayerCost("attention scores", moved=8 * slots * row, kept=(6 * (slots - rows) + rows) * row)


def working_memory(config, grid, batch, words=WORDS):
    """Bytes of temporary arrays at the moment of a forward pass without gradients that has most of them."""
    # It is in self-attention: x before and after the norm, q k v, two of them or all in groups, the output, and a tile
    # of scores or two; or in the MLP, which computes some hidden rows at a time.
    activation, beside = batch * math.prod(grid) * config.width, words if config.text == "sequence" else 0
    in_groups = 0
    for pattern, occurrence in config.block_patterns():
        slots, arrays = math.prod(grid), 5 if pattern in IN_ORDER and not beside else 6
        if beside or pattern.startswith("window"):  # groups are counted one by one, so only where they are filled up
            groups, size = _groups(pattern, grid, occurrence)
            slots = groups * (size + beside)
        in_groups = max(in_groups, arrays * batch * slots * config.width)
    attention = 3 * activation + in_groups + 2 * TILE_ENTRIES
    return max(attention, 3 * activation + 2 * MLP_ENTRIES) * FLOAT


def text_cost(config, batch, *, words=WORDS, vocabulary=TOKENS, shards=1, threads=1):
    """The Cost of the text encoder of `config` (a VideoDiTConfig) on `batch` captions; see clip_cost."""
    working = max(9 * batch * words * config.width, 2 * TILE_ENTRIES) * FLOAT
    title = f"{batch} captions of {words} words; width {config.width}, depth {config.text_depth}"
    layers = (_text_layer(config, batch, words, vocabulary),)
    return Cost(title, layers, working, *_sharing(batch, shards, threads))


def autoencoder_cost(config, frames, size, *, clips=1, shards=1, threads=1):
    """The Cost of the autoencoder `config` (an AutoencoderConfig) on `clips` clips of (height, width) pixels.

    shards, threads: see clip_cost.
    """
    levels, halvings = len(config.channels), config.time_factor.bit_length() - 1
    widths, time = (config.image_channels, *config.channels), TIME if halvings else 1  # frames that a convolution sees
    last, latent = config.channels[-1], config.latent_channels
    area = [clips * size[0] * size[1] // 4**level for level in range(levels + 1)]
    # Time is halved at the last levels, where the first frame stays alone.
    halved = [level > levels - halvings for level in range(levels + 1)]
    lengths = [1 + (frames - 1) // 2 ** sum(halved[: level + 1]) for level in range(levels + 1)]
    places = [length * here for length, here in zip(lengths, area)]

    encoder = LayerCost("encoder", kept=places[0] * widths[0] * FLOAT)
    for level, (before, after) in enumerate(itertools.pairwise(widths), start=1):
        encoder += _conv("", places[level], 16 * time, before, after)
    encoder += _residual(places[-1], last, 9 * time) + _conv("", places[-1], 1, last, 2 * latent)
    decoder = _conv("decoder", places[-1], 9 * time, latent, last) + _residual(places[-1], last, 9 * time)
    for level in range(levels - 1, 0, -1):
        enlarged = area[level] * lengths[level + 1] * (1 + halved[level + 1])
        decoder += _conv("", enlarged, 9 * time, widths[level + 1], widths[level])
        decoder += LayerCost("", kept=enlarged * widths[level + 1] * FLOAT)  # enlarged, before the convolution
    decoder += _conv("", places[1], 9 * time, widths[1], 4 * (1 + halved[1]) * config.image_channels)
    # The moment with most arrays: a clip, the same enlarged four times, a convolution's output and SiLU of that.
    enlarged = (*config.channels[1:], 0)
    widest = max(n * (5 * before // 4 + 2 * after) for n, before, after in zip(places[1:], enlarged, config.channels))
    working = (widest + 3 * block_entries()) * FLOAT  # and the windows that are being gathered
    fewer = f", {config.time_factor} times fewer" if halvings else ""
    title = f"{clips * frames} frames of {size[0]} x {size[1]} pixels; {config.factor} times smaller{fewer}, "
    items = clips if halvings else clips * frames
    return Cost(f"{title}{latent} channels", (encoder, decoder), working, *_sharing(items, shards, threads))


def _sharing(batch, shards, threads):
    """A Cost's at_once and gradient_copies for a batch in `shards` shards that `threads` threads work on."""
    return min(1.0, math.ceil(batch / shards) * min(threads, shards) / batch), shards + 1


def _linear(name, rows, size_in, size_out, bias=True):
    """A linear layer on `rows` rows. What it keeps, its input, is left to the caller: several may share one."""
    weights = size_in * size_out + (size_out if bias else 0)
    return LayerCost(name, weights, 2 * rows * size_in * size_out, (rows * (size_in + size_out) + weights) * FLOAT)


def _conv(name, places, taps, size_in, size_out):
    """A convolution to `places` positions followed by SiLU: its slope and its output are kept."""
    weights = taps * size_in * size_out + size_out
    moved = (places * (size_in + 3 * size_out) + weights) * FLOAT
    return LayerCost(name, weights, 2 * places * taps * size_in * size_out, moved, 2 * places * size_out * FLOAT)


def _residual(places, channels, taps):
    two = _conv("", places, taps, channels, channels).times(2)
    return two + LayerCost("", channels, moved=8 * places * channels * FLOAT, kept=2 * places * channels * FLOAT)


def _text_layer(config, batch, words, vocabulary):
    """The text encoder: word embedding, its blocks (always with QK-norm and an MLP 4 times as wide), last norm."""
    width = config.width
    block = sum(block_layers(words, width, batch=batch, heads=config.heads), start=LayerCost("text"))
    block += LayerCost("", 2 * width)  # scales of two norms
    return block.times(config.text_depth) + LayerCost(
        "", vocabulary * width + width, kept=(2 * width * words * batch) * FLOAT
    )
