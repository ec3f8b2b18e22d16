"""What a model costs, predicted from plain numbers before anything runs: parameters, FLOPs, bytes, memory.

    print(clip_cost(VideoDiTConfig(), grid=(8, 8, 8), batch=32))

A network is a list of Pieces, each with its parameters, the FLOPs of its matrix products, the bytes it moves
and the bytes that training must keep until the backward pass; every figure is a sum over that list.
The backbone of it all, for N tokens of width d in a block: 24 N d^2 + 4 P d FLOPs, where P is the number of
pairs (query, key) that attention scores: N^2 for `joint`, less for other patterns (Kaplan et al. 2020).

Conventions: a multiply-add is 2 FLOPs (papers on DiT count it once and call it a FLOP); elementwise work is
left out of the FLOPs (a few percent) but not of the bytes; numbers are float32; K, M, G are powers of 1000.
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
from ..data.grammar import MAX_WORDS, VOCABULARY
from .patterns import labels
from .video_dit import LEVEL_FEATURES

FLOAT = 4  # bytes
MOST_TOKENS = 10**6  # of a clip
WORDS = MAX_WORDS + 1  # of a caption, with the one that starts it
TOKENS = len(VOCABULARY) + 2  # those that start a caption and fill it up, too


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of a network. flops: of a forward pass. moved: bytes that it reads and writes, each operation
    reading its inputs and writing its outputs once. kept: bytes that the tape holds for the backward pass."""

    name: str
    parameters: int = 0
    flops: int = 0
    moved: int = 0
    kept: int = 0

    def __add__(self, other):
        mine, others = dataclasses.astuple(self)[1:], dataclasses.astuple(other)[1:]
        return Piece(self.name, *(a + b for a, b in zip(mine, others)))

    def times(self, count):
        """The same piece `count` times, each with its own parameters."""
        return Piece(self.name, *(count * value for value in dataclasses.astuple(self)[1:]))


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one batch. `print` it for a table.

    title: what was priced. pieces: the parts. working: bytes of temporaries in the hungriest operation of a
    forward pass. at_once: share of the batch that is on the tape at a time. gradient_copies: sets of
    gradients in memory (one for each shard and their sum).
    """

    title: str
    pieces: tuple
    working: int
    at_once: float = 1.0
    gradient_copies: int = 2

    @property
    def parameters(self):
        return sum(piece.parameters for piece in self.pieces)

    @property
    def forward_flops(self):
        return sum(piece.flops for piece in self.pieces)

    @property
    def training_flops(self):
        """Of a training step: the backward pass has two products for each one of the forward pass."""
        return 3 * self.forward_flops

    @property
    def forward_bytes_moved(self):
        return sum(piece.moved for piece in self.pieces)

    @property
    def training_memory(self):
        """Peak bytes of training: weights, their average, two moments, gradients, what the tape keeps."""
        states = (4 + self.gradient_copies) * self.parameters * FLOAT
        kept = sum(piece.kept for piece in self.pieces)
        return states + int(self.at_once * kept)  # the widest moment of a forward pass is on the tape by its end

    @property
    def sampling_memory(self):
        """Peak bytes of one call of the network without a tape."""
        return self.parameters * FLOAT + self.working

    def sampling_flops(self, steps, guided=True):
        """Of drawing the batch: guidance calls the network twice a step."""
        return self.forward_flops * steps * (2 if guided else 1)

    def __str__(self):
        lines = [self.title, f"{'':20}{'parameters':>12}{'forward FLOPs':>16}{'moved':>10}{'kept':>10}"]
        total = sum(self.pieces[1:], start=self.pieces[0])
        for piece in (*self.pieces, dataclasses.replace(total, name="together")):
            lines.append(
                f"{piece.name:20}{piece.parameters:>12,}{amount(piece.flops, ''):>16}"
                f"{amount(piece.moved):>10}{amount(piece.kept):>10}"
            )
        lines.append(
            f"a training step: {amount(self.training_flops, 'FLOPs')}, peak memory about {amount(self.training_memory)}"
        )
        lines.append(
            f"a call when sampling: {amount(self.forward_flops, 'FLOPs')}, peak memory about "
            f"{amount(self.sampling_memory)}"
        )
        return "\n".join(lines)


def score_pairs(pattern, grid, turn=0):
    """How many (query, key) pairs one attention of this pattern computes on a grid (T, H, W) of tokens.

    Groups are filled up to the size of the largest, and what is filled in is computed too.
    """
    sizes = np.bincount(labels(pattern, grid, turn))
    return int((sizes > 0).sum()) * int(sizes.max()) ** 2


def block_pieces(tokens, width, pairs=None, *, batch=1, mlp_ratio=4, words=0, frames=0, heads=None, qk_norm=True):
    """The Pieces of one transformer block for a batch of clips of `tokens` tokens.

    pairs: see score_pairs; tokens^2 unless given. words: length of the caption (0: no cross-attention).
    frames: how many modulations a clip needs (0: none). heads: None leaves out the normalisation of
    queries and keys; qk_norm=False leaves it out of self-attention only.
    With all of these left out it is the textbook block: 24 N d^2 + 4 N^2 d FLOPs for each clip.
    """
    rows, caption = batch * tokens, batch * words
    pairs = batch * (tokens**2 if pairs is None else pairs)
    activation = rows * width * FLOAT  # bytes of one (B, N, D) array, the unit of what follows
    norm = 0 if heads is None else 2 * (width // heads)  # scales of queries and keys
    qk_norm = qk_norm and norm > 0

    # Kept: normalised x, modulated x, q k v, q and k as they meet, heads joined, branch.
    around = Piece("", norm * qk_norm, 0, 7 * activation, 9 * activation)
    projections = _linear("projections", rows, width, 3 * width, bias=False) + _linear("", rows, width, width) + around
    attention = Piece("attention scores", flops=4 * pairs * width, moved=4 * activation)
    hidden = mlp_ratio * width
    mlp = _linear("MLP", rows, width, hidden) + _linear("", rows, hidden, width)
    # Kept: normalised x, modulated x, branch; and of the hidden layer GELU's slope and what comes out of it.
    mlp += Piece("", moved=(5 + 2 * mlp_ratio) * activation, kept=(3 + 2 * mlp_ratio) * activation)
    pieces = [projections, attention, mlp]
    if words:
        cross = _linear("caption attention", rows, width, width, bias=False) + _linear("", rows, width, width)
        cross += _linear("", caption, width, 2 * width, bias=False)
        cross += Piece("", norm, 4 * rows * words * width, 10 * activation)
        # Kept: normalised x, q, q as it meets k, heads joined; of the caption k v, and k as it meets q.
        pieces.append(cross + Piece("", kept=4 * activation + 3 * caption * width * FLOAT))
    if frames:
        modulation = _linear("modulation", batch * frames, width, 6 * width)
        pieces.append(modulation + Piece("", kept=8 * batch * frames * width * FLOAT))
    return pieces


def block_flops(tokens, width, pairs=None, **options):
    """The FLOPs of a forward pass through one block; arguments as for `block_pieces`."""
    return sum(piece.flops for piece in block_pieces(tokens, width, pairs, **options))


def clip_cost(config, grid, batch=1, *, words=WORDS, vocabulary=TOKENS, shards=1, threads=1):
    """The Cost of the transformer `config` (a VideoDiTConfig) for a batch of clips of grid (T, H, W) tokens.

    words: tokens of a caption. vocabulary: how many there are. shards, threads: how training splits the
    batch; only the shards that are being worked on are on the tape.
    """
    width, frames, tokens = config.width, grid[0], math.prod(grid)
    if tokens > MOST_TOKENS:  # counting the pairs of so many would itself take long
        raise InputError(f"a clip of {tokens:,} patches is too large; choose fewer frames or a smaller size")
    rows, caption = batch * tokens, batch * words
    patch = math.prod(config.patch_size) * config.latent_channels
    waves = LEVEL_FEATURES * config.patch_size[0]

    ends = _linear("tokens in and out", rows, patch, width) + _linear("", rows, width, patch)
    ends += _linear("", batch * frames, width, 2 * width)
    ends += Piece("", kept=(2 * rows * width + 2 * rows * patch) * FLOAT)
    levels = _linear("noise levels", batch * frames, waves, width) + _linear("", batch * frames, width, width)
    levels += Piece("", kept=6 * batch * frames * width * FLOAT)
    text = _text_piece(config, batch, words, vocabulary) + _linear("", batch, width, width)
    text += Piece("", flops=2 * caption * width)

    blocks = {}
    for pattern, turn in config.block_patterns():
        for piece in block_pieces(
            tokens,
            width,
            score_pairs(pattern, grid, turn),
            batch=batch,
            mlp_ratio=config.mlp_ratio,
            words=words,
            frames=frames,
            heads=config.heads,
            qk_norm=config.qk_norm,
        ):
            blocks[piece.name] = blocks[piece.name] + piece if piece.name in blocks else piece
    shape, patterns = " x ".join(map(str, grid)), ", ".join(dict.fromkeys(config.patterns))
    title = f"{batch} clips of {shape} = {tokens:,} tokens; width {width}, depth {config.depth}, {patterns} attention"
    working = working_memory(config, grid, batch)
    return Cost(title, (text, levels, ends, *blocks.values()), working, *_shared_out(batch, shards, threads))


def working_memory(config, grid, batch):
    """Bytes of temporaries at the widest moment of a forward pass that keeps no tape."""
    # It is in self-attention: x before and after the norm, q k v, the same in groups, what was seen, and a tile of
    # scores or two; or in the MLP, whose hidden rows come some at a time.
    activation = batch * math.prod(grid) * config.width
    return max(9 * activation + 2 * TILE_ENTRIES, 3 * activation + 2 * MLP_ENTRIES) * FLOAT


def text_cost(config, batch, *, words=WORDS, vocabulary=TOKENS, shards=1, threads=1):
    """The Cost of the text encoder of `config` (a VideoDiTConfig) on `batch` captions; see clip_cost."""
    working = max(9 * batch * words * config.width, 2 * TILE_ENTRIES) * FLOAT
    title = f"{batch} captions of {words} words; width {config.width}, depth {config.text_depth}"
    pieces = (_text_piece(config, batch, words, vocabulary),)
    return Cost(title, pieces, working, *_shared_out(batch, shards, threads))


def autoencoder_cost(config, frames, size, *, shards=1, threads=1):
    """The Cost of the autoencoder `config` (an AutoencoderConfig) on `frames` frames of (height, width) pixels.

    shards, threads: see clip_cost.
    """
    places = [frames * size[0] * size[1] // 4**level for level in range(len(config.channels) + 1)]
    widths = (config.image_channels, *config.channels)
    last, latent = config.channels[-1], config.latent_channels

    encoder = Piece("encoder", kept=places[0] * widths[0] * FLOAT)
    for level, (before, after) in enumerate(itertools.pairwise(widths), start=1):
        encoder += _conv("", places[level], 16, before, after)
    encoder += _residual(places[-1], last) + _conv("", places[-1], 1, last, 2 * latent)
    decoder = _conv("decoder", places[-1], 9, latent, last) + _residual(places[-1], last)
    for level in range(len(config.channels) - 1, 0, -1):
        decoder += _conv("", places[level], 9, widths[level + 1], widths[level])
        decoder += Piece("", kept=places[level] * widths[level + 1] * FLOAT)  # enlarged, before the convolution
    decoder += _conv("", places[1], 9, widths[1], 4 * config.image_channels)
    # The widest moment: a clip, the same enlarged four times, what a convolution makes of it and SiLU of that.
    enlarged = (*config.channels[1:], 0)
    widest = max(n * (5 * before // 4 + 2 * after) for n, before, after in zip(places[1:], enlarged, config.channels))
    working = (widest + 3 * block_entries()) * FLOAT  # and the windows that are being gathered
    title = f"{frames} frames of {size[0]} x {size[1]} pixels; {config.factor} times smaller, {latent} channels"
    return Cost(title, (encoder, decoder), working, *_shared_out(frames, shards, threads))


def _shared_out(batch, shards, threads):
    """A Cost's at_once and gradient_copies for a batch in so many shards, worked on by so many threads."""
    return min(1.0, math.ceil(batch / shards) * min(threads, shards) / batch), shards + 1


def _linear(name, rows, size_in, size_out, bias=True):
    """A linear layer on `rows` rows. What it keeps, its input, is left to the caller: several may share one."""
    weights = size_in * size_out + (size_out if bias else 0)
    return Piece(name, weights, 2 * rows * size_in * size_out, (rows * (size_in + size_out) + weights) * FLOAT)


def _conv(name, places, taps, size_in, size_out):
    """A convolution to `places` positions followed by SiLU: its slope and its output are kept."""
    weights = taps * size_in * size_out + size_out
    moved = (places * (size_in + 3 * size_out) + weights) * FLOAT
    return Piece(name, weights, 2 * places * taps * size_in * size_out, moved, 2 * places * size_out * FLOAT)


def _residual(places, channels):
    two = _conv("", places, 9, channels, channels).times(2)
    return two + Piece("", channels, moved=8 * places * channels * FLOAT, kept=2 * places * channels * FLOAT)


def _text_piece(config, batch, words, vocabulary):
    """The text encoder: word embedding, its blocks (always with QK-norm and an MLP 4 times as wide), last norm."""
    width = config.width
    block = sum(block_pieces(words, width, batch=batch, heads=config.heads), start=Piece("text"))
    block += Piece("", 2 * width)  # scales of two norms
    return block.times(config.text_depth) + Piece(
        "", vocabulary * width + width, kept=(2 * width * words * batch) * FLOAT
    )
