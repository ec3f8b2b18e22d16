"""The video diffusion transformer: noisy latents + noise levels + caption -> what the noise was.

Every latent frame has its own noise level (B, T), so text-to-video, given first frames, keyframes and
extension are the same network with another matrix of levels. Blocks follow DiT (Peebles and Xie 2023):
adaLN-Zero, here with one modulation per frame; attention within the groups of a pattern; cross-attention to
the caption; MLP. A fresh block is the identity and a fresh model outputs exactly 0.
"""

import dataclasses

import numpy as np

from .. import autograd as ag
from ..autograd.attend import NEVER
from ..base.backend import array_module
from ..base.errors import InputError
from ..base.ranks import ALONE
from ..data.grammar import MAX_DIGITS
from ..data.velocities import CHANNELS
from ..nn import Linear, Module
from .blocks import MLP, CrossAttention, SelfAttention
from .over_ranks import SharedClip
from .patches import patch_grid, patchify, rotary_angles, sincos_positions, unpatchify, wave_features
from .patterns import parse_pattern, with_occurrences
from .text import PAD, TextEncoder, key_times

LEVEL_FEATURES = 64  # waves that describe a noise level
MOST_BLOCKS = 1000
TEXT = ("cross", "sequence")


@dataclasses.dataclass(frozen=True)
class VideoDiTConfig:
    """Everything that shapes the transformer.

    patterns: one name for each block, or a shorter tuple that is repeated, such as ("joint",) or
    ("frame", "time"). positions: 'rotary', 'sincos' or 'both'. text_positions: 'rotary', or 'sincos', with
    which a caption becomes a bag of words. text: how the caption enters the blocks. 'cross': tokens attend to its
    words. 'sequence': words and tokens are one sequence, in which all attend to all (Esser et al. 2024, "MM-DiT").
    expert_modulation: then words have modulations of their own (Yang et al. 2024, "CogVideoX").
    control: the network can be shown paths to follow, as more channels of its input; see data.path_maps.
    velocities: and a camera's pan or a motion brush; see data.velocity_fields.
    """

    latent_channels: int = 4
    patch_size: tuple[int, int, int] = (1, 2, 2)
    width: int = 128
    depth: int = 6
    heads: int = 4
    mlp_ratio: int = 4
    text_depth: int = 2
    patterns: tuple[str, ...] = ("joint",)
    positions: str = "rotary"
    text_positions: str = "rotary"
    qk_norm: bool = True
    causal: bool = False
    text: str = "cross"
    expert_modulation: bool = False
    control: bool = False
    velocities: bool = False

    def __post_init__(self):
        if self.text not in TEXT:
            raise InputError(f"text must be {' or '.join(TEXT)}, not {self.text!r}")
        if self.expert_modulation and self.text != "sequence":
            raise InputError("expert_modulation is for words that stand in the sequence; set text to sequence")
        if isinstance(self.patterns, str):
            raise InputError(f"patterns is a tuple of names, one for each block; write ({self.patterns!r},)")
        sizes = (self.width, self.heads, self.mlp_ratio, self.depth, self.latent_channels, *self.patch_size)
        if min(sizes) < 1 or self.text_depth < 0 or len(self.patch_size) != 3 or not self.patterns:
            raise InputError(
                "width, heads, mlp_ratio, depth, latent_channels, the three sides of patch_size and the number of "
                "patterns must all be at least 1, and text_depth at least 0"
            )
        if max(self.depth, self.text_depth) > MOST_BLOCKS:
            raise InputError(f"depth {self.depth} and text_depth {self.text_depth} must be at most {MOST_BLOCKS:,}")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise InputError(f"width {self.width} must split into {self.heads} heads of even width; change heads")
        if self.positions not in ("rotary", "sincos", "both"):
            raise InputError(f"positions must be rotary, sincos or both, not {self.positions!r}")
        if self.text_positions not in ("rotary", "sincos"):
            raise InputError(f"text_positions must be rotary or sincos, not {self.text_positions!r}")
        for pattern in self.patterns:
            parse_pattern(pattern)

    @property
    def control_channels(self):
        """Of the maps by which motion is told: those of paths, then those of velocities."""
        return MAX_DIGITS * self.control + CHANNELS * self.velocities

    @property
    def input_channels(self):
        """Of the latents, and of the maps by which motion is told if there are any."""
        return self.latent_channels + self.control_channels

    def block_patterns(self, patterns=None):
        """The pattern of each block, (name, occurrence); see `with_occurrences`. patterns: others than the config's."""
        patterns = patterns or self.patterns
        return with_occurrences(patterns[block % len(patterns)] for block in range(self.depth))


class VideoDiT(Module):
    """See the module's docstring. `vocabulary` is the number of tokens the caption may use."""

    def __init__(self, config, vocabulary, generator):
        self.config = config
        width, cells = config.width, int(np.prod(config.patch_size))
        self.patch_in = Linear(cells * config.input_channels, width, generator)
        self.text = TextEncoder(vocabulary, width, config.text_depth, config.heads, generator, config.text_positions)
        # A token may span several latent frames; the network sees the level of each of them.
        self.level_in = Linear(LEVEL_FEATURES * config.patch_size[0], width, generator)
        self.level_out = Linear(width, width, generator)
        self.text_pooled = Linear(width, width, generator)
        block = Block if config.text == "cross" else SequenceBlock
        self.blocks = [block(config, generator) for _ in range(config.depth)]
        self.final_modulation = Linear(width, 2 * width, generator, zero=True)
        self.patch_out = Linear(width, cells * config.latent_channels, generator, zero=True)

    def forward(self, latents, noise_level, tokens, *, patterns=None, control=None, frame_step=1, ranks=ALONE):
        """latents (B, T, H, W, C), noise_level (B, T) in [0, 1], tokens (B, L) of the Tokenizer.

        tokens (B, F, L) are F captions for each clip, one for each F-th part of its frames, in order.
        patterns: others than the config's; they have no weights, so any will do. control: maps that tell motion,
        (B, T, H, W, control_channels), zeros for none; see data.path_maps and data.field_maps. frame_step: the time
        from frame to frame. ranks: those over which the frames of each clip are spread; all of them call this with the
        same arguments, see over_ranks.py.
        Returns the prediction, of the shape of latents. H and W may be any multiples of the patch, and T any
        multiple of its length, whatever the sizes in training were.
        """
        config = self.config
        self._check(latents, noise_level, tokens)
        grid = patch_grid(latents.shape[1:4], config.patch_size)
        batch, width = len(latents), config.width
        clip = SharedClip(grid, ranks)

        if config.control_channels:
            if control is None:
                control = array_module(latents).zeros((*latents.shape[:4], config.control_channels), latents.dtype)
            latents = ag.concatenate(latents, control, axis=4)
        x = self.patch_in(patchify(clip.cut(latents, config.patch_size[0]), config.patch_size))  # (B, N, D)
        if config.positions != "rotary":
            x = x + sincos_positions(grid, width, frame_step, clip.frames)
        x = x.reshape(batch, len(clip.frames), grid[1] * grid[2], width)  # by frames: each has a noise level
        rotation = None if config.positions == "sincos" else rotary_angles(grid, width // config.heads, frame_step)

        tokens = tokens.reshape(-1, tokens.shape[-1])  # (B F, L), F = 1 unless captions change on the way
        text, text_mean = self.text(tokens)  # (B F, L, D), (B F, D)
        visible = key_times(tokens != PAD)
        of_all = self._condition(noise_level, text_mean, grid[0])  # (B, T', 1, D)
        condition = clip.cut(of_all)
        if config.text == "sequence":
            text, visible = self._in_sequence(text, visible, grid, batch, frame_step)
        else:
            text, visible = clip.captions(text, visible, batch)

        for block, (pattern, occurrence) in zip(self.blocks, config.block_patterns(patterns)):
            part = clip.partition(pattern, occurrence, config.heads)
            if config.text == "cross":
                x = block(x, condition, text, visible, rotation, part)
            else:
                x, text = block(x, condition, text, visible, rotation, part, of_all)

        shift, scale = ag.split(self.final_modulation(condition), parts=2)
        x = ag.normalise_and_modulate(x, shift, scale)
        return unpatchify(clip.whole(self.patch_out(x.reshape(batch, -1, width))), grid, config.patch_size)

    def _in_sequence(self, text, visible, grid, batch, frame_step):
        """The words (B F, L, D) as tokens beside the clip's, (B, F, L, D), and their times (B, 1, F L).

        Of F captions that follow each other, each gets the mean of the positions of its part of the frames. It belongs
        to the first of them, so that under a causal mask no frame knows a later caption.
        """
        words = text.reshape(batch, -1, *text.shape[1:])
        captions = words.shape[1]
        if self.config.positions != "rotary" or captions > 1:
            places = sincos_positions(grid, self.config.width, frame_step)
            words = words + places.reshape(captions, -1, places.shape[-1]).mean(axis=1)[:, None]
        xp, visible = array_module(visible), visible.reshape(batch, captions, -1)
        first = xp.arange(0, grid[0], grid[0] // captions, dtype=np.int32)[:, None]
        return words, xp.where(visible == NEVER, NEVER, first).reshape(batch, 1, -1)

    def _condition(self, noise_level, text_mean, frames):
        """The input of all modulations: each frame's noise level + its caption's mean, (B, T', 1, D)."""
        batch, captions, width = len(noise_level), len(text_mean), self.config.width
        on_cpu = array_module(noise_level) is np  # a GPU would have to finish all its work before it could answer
        # A few rounding errors past the end are harmless.
        if on_cpu and not ((noise_level >= -1e-4) & (noise_level <= 1.0001)).all():
            raise InputError(
                "noise levels lie between 0 (clean) and 1 (pure noise); divide step numbers by their count"
            )
        # Times 1000, so that the fastest wave has many periods between 0 and 1, and close levels differ.
        waves = wave_features(1000 * noise_level, LEVEL_FEATURES)  # (B, T, F)
        level = self.level_out(ag.silu(self.level_in(waves.reshape(batch, frames, -1))))
        pooled = self.text_pooled(text_mean).reshape(captions, 1, width)
        return ag.silu(level.reshape(captions, -1, width) + pooled).reshape(batch, frames, 1, width)

    def _check(self, latents, noise_level, tokens):
        if len(latents.shape) != 5:
            raise InputError(f"latents must be (batch, frames, height, width, channels), not {latents.shape}")
        batch, frames, *_, channels = latents.shape
        if channels != self.config.latent_channels:
            raise InputError(f"latents have {channels} channels; this model takes {self.config.latent_channels}")
        if noise_level.shape != (batch, frames):
            raise InputError(
                f"noise_level must be (batch, frames) = {(batch, frames)}, one for each latent frame, "
                f"not {noise_level.shape}"
            )
        if tokens.ndim not in (2, 3) or len(tokens) != batch:
            raise InputError(f"tokens must be (batch, words) with batch = {batch}, not {tokens.shape}")
        if tokens.ndim == 3 and (frames // self.config.patch_size[0]) % tokens.shape[1]:
            raise InputError(
                f"{tokens.shape[1]} captions can't share {frames} latent frames in patches of "
                f"{self.config.patch_size[0]}; give a number that divides {frames // self.config.patch_size[0]}"
            )


class Block(Module):
    """One transformer block: modulate -> grouped self-attention -> cross-attention -> modulate -> MLP."""

    def __init__(self, config, generator):
        width = config.width
        self.causal = config.causal
        self.modulation = Linear(width, 6 * width, generator, zero=True)
        self.attention = SelfAttention(width, config.heads, generator, config.qk_norm)
        self.cross_attention = CrossAttention(width, width, config.heads, generator)
        self.mlp = MLP(width, config.mlp_ratio * width, generator)

    def forward(self, x, condition, text, visible, rotation, part):
        """x (B, T', S, D): S tokens in each of T' frames, which have a modulation each.

        condition (B, T', 1, D) makes the modulation; text (B, L, D) and visible (its key_times) are for
        cross-attention; rotation and part: see SelfAttention.
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = ag.split(self.modulation(condition), parts=6)  # (B, T', 1, D)
        y = self.attention(
            ag.normalise_and_modulate(x, shift1, scale1), rotation=rotation, part=part, causal=self.causal
        )
        x = ag.gated_residual(x, gate1, y)
        x = x + self.cross_attention(ag.layer_norm(x), text, visible)
        y = self.mlp(ag.normalise_and_modulate(x, shift2, scale2))
        return ag.gated_residual(x, gate2, y)


class SequenceBlock(Module):
    """A block in which the caption's words are tokens: modulate -> grouped self-attention -> modulate -> MLP, for both.

    All weights are shared but, with expert_modulation, those of the modulations.
    """

    def __init__(self, config, generator):
        width = config.width
        self.causal = config.causal
        self.modulation = Linear(width, 6 * width, generator, zero=True)
        if config.expert_modulation:
            self.word_modulation = Linear(width, 6 * width, generator, zero=True)
        self.attention = SelfAttention(width, config.heads, generator, config.qk_norm)
        self.mlp = MLP(width, config.mlp_ratio * width, generator)

    def forward(self, x, condition, words, visible, rotation, part, of_all=None):
        """x (B, T', S, D), condition (B, T', 1, D), rotation and part: see Block. words (B, F, L, D): F captions.

        visible: times of all words, (B, 1, F L). of_all: the condition of all frames, where x has some of them.
        Returns x and words.
        """
        batch, captions, _, width = words.shape
        # Words have the noise level of the frames that they speak of: their mean, or the first where none sees a later.
        spoken = (condition if of_all is None else of_all).reshape(batch, captions, -1, width)
        spoken = spoken[:, :, :1] if self.causal else ag.mean(spoken, axis=2, keepdims=True)  # (B, F, 1, D)
        of_words = getattr(self, "word_modulation", self.modulation)(spoken)
        shift1, scale1, gate1, shift2, scale2, gate2 = ag.split(self.modulation(condition), parts=6)
        w_shift1, w_scale1, w_gate1, w_shift2, w_scale2, w_gate2 = ag.split(of_words, parts=6)
        tokens = ag.normalise_and_modulate(words, w_shift1, w_scale1).reshape(batch, -1, width)
        y, told = self.attention(
            ag.normalise_and_modulate(x, shift1, scale1),
            rotation=rotation,
            part=part,
            causal=self.causal,
            words=(tokens, visible),
        )
        x, words = ag.gated_residual(x, gate1, y), ag.gated_residual(words, w_gate1, told.reshape(words.shape))
        y = self.mlp(ag.normalise_and_modulate(x, shift2, scale2))
        told = self.mlp(ag.normalise_and_modulate(words, w_shift2, w_scale2))
        return ag.gated_residual(x, gate2, y), ag.gated_residual(words, w_gate2, told)
