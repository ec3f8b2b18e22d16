"""A small U-Net behind the transformer's interface (chapter 11): what denoised clips before transformers did.

Convolutions over frames, rows and columns look at neighbours only. Far places meet because the picture shrinks on the
way down; on the way up, what was kept at each size is put beside it. Ronneberger et al. 2015, in three axes as in Ho,
Salimans et al. 2022, but without their attention.
"""

import itertools
import math

from ... import autograd as ag
from ...base.errors import InputError
from ...models.patches import wave_features
from ...nn import Conv, Embedding, Linear, Module

LEVEL_FEATURES = 64  # waves that describe a noise level, as many as the transformer has
HALVE, KEEP = (1, 2, 2), (1, 1, 1)  # strides over frames, rows and columns: time is never shortened


class VideoUNet(Module):
    """(latents (B, T, H, W, C), noise_level (B, T), tokens (B, L)) -> prediction, shaped like latents, as VideoDiT.

    channels: of each size, the full one first; each further size has half the height and width. A caption is the mean
    of its words' vectors. A fresh network outputs exactly 0.
    """

    def __init__(self, latent_channels, channels, vocabulary, generator):
        self.channels, width = channels, channels[-1]
        self.embedding = Embedding(vocabulary, width, generator)
        self.level_in = Linear(LEVEL_FEATURES, width, generator)
        self.level_out = Linear(width, width, generator)
        self.conv_in = cube(latent_channels, channels[0], generator)
        pairs = list(itertools.pairwise(channels))
        self.before = [ConvBlock(here, width, generator) for here, _ in pairs]
        self.down = [cube(here, below, generator, stride=HALVE) for here, below in pairs]
        self.middle = ConvBlock(width, width, generator)
        self.up = [cube(below, here, generator) for here, below in pairs]
        self.merge = [Linear(2 * here, here, generator) for here, _ in pairs]
        self.after = [ConvBlock(here, width, generator) for here, _ in pairs]
        self.conv_out = cube(channels[0], latent_channels, generator, zero=True)

    def forward(self, latents, noise_level, tokens):
        self._check(latents.shape)
        waves = wave_features(1000 * noise_level, LEVEL_FEATURES)  # (B, T, F)
        level = self.level_out(ag.silu(self.level_in(waves)))
        caption = ag.mean(self.embedding(tokens), axis=1, keepdims=True)  # (B, 1, D)
        condition = ag.silu(level + caption)  # (B, T, D)

        x, kept = self.conv_in(latents), []
        for block, down in zip(self.before, self.down):
            x = block(x, condition)
            kept.append(x)
            x = down(x)
        x = self.middle(x, condition)
        for up, merge, block, beside in reversed(list(zip(self.up, self.merge, self.after, kept))):
            x = merge(ag.concatenate(up(x, upsampling=HALVE), beside, axis=-1))
            x = block(x, condition)
        return self.conv_out(ag.silu(x))

    def flops(self, shape):
        """Of a forward pass on one clip of shape (T, H, W): two for each weight of a convolution and place it acts on.

        What the condition costs is left out: it is computed once for a frame, not for a place.
        """
        places = [math.prod(shape) // 4**size for size in range(len(self.channels))]
        total = places[0] * (count(self.conv_in) + count(self.conv_out)) + places[-1] * self.middle.weights
        sizes = zip(places, self.before, self.up, self.merge, self.after)
        total += sum(
            here * (before.weights + count(up) + count(merge) + after.weights)
            for here, before, up, merge, after in sizes
        )
        total += sum(below * count(down) for below, down in zip(places[1:], self.down))
        return 2 * total

    def _check(self, shape):
        step = 2 ** (len(self.channels) - 1)
        if len(shape) != 5 or shape[2] % step or shape[3] % step:
            raise InputError(
                f"latents must be (batch, frames, height, width, channels) with a height and width that are multiples "
                f"of {step}, not {shape}"
            )


class ConvBlock(Module):
    """x + two convolutions, each after a norm and SiLU; the first norm is modulated by the condition (B, T, D)."""

    def __init__(self, channels, width, generator):
        self.modulation = Linear(width, 2 * channels, generator, zero=True)
        self.conv1 = cube(channels, channels, generator)
        self.conv2 = cube(channels, channels, generator, zero=True)  # a fresh block is the identity
        self.weights = count(self.conv1) + count(self.conv2)

    def forward(self, x, condition):
        batch, frames, *_, channels = x.shape
        shift, scale = ag.split(self.modulation(condition).reshape(batch, frames, 1, -1), parts=2)
        y = ag.normalise_and_modulate(x.reshape(batch, frames, -1, channels), shift, scale)  # (B, T, H W, C)
        y = self.conv1(ag.silu(y).reshape(*x.shape))
        return x + self.conv2(ag.silu(ag.layer_norm(y)))


def cube(inputs, outputs, generator, stride=KEEP, zero=False):
    """A convolution of 3 x 3 x 3: frames, rows, columns."""
    return Conv(inputs, outputs, generator, kernel=(3, 3, 3), stride=stride, padding=1, zero=zero)


def count(layer):
    """The weights of a layer without its bias."""
    return math.prod(layer.weight.shape)
