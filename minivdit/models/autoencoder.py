"""A per-frame convolutional autoencoder: video to a small latent grid and back (Rombach et al. 2022).

Variational, so that nearby latents decode to nearby pictures; latents are then normalised per channel, so that
noise of variance 1 means the same in each.
"""

import dataclasses

import numpy as np

from .. import autograd as ag
from ..base.errors import InputError
from ..nn import Buffer, Conv, Module, RMSNorm


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
    """channels: one entry for each halving of height and width, so the factor is 2 ** len(channels)."""

    image_channels: int = 1
    latent_channels: int = 8
    channels: tuple[int, ...] = (16, 32, 64)

    def __post_init__(self):
        if not self.channels or min(*self.channels, self.latent_channels, self.image_channels) < 1:
            raise InputError(
                "an autoencoder has at least one level, and image_channels, latent_channels and all channels are 1 or "
                f"more, not {self.image_channels}, {self.latent_channels} and {self.channels}"
            )

    @property
    def factor(self):
        """By how much height and width shrink."""
        return 2 ** len(self.channels)


def latent_shape(config, shape):
    """The shape of the latents of an autoencoder for frames or clips of `shape` (..., H, W, C)."""
    *leading, height, width, _ = shape
    return (*leading, height // config.factor, width // config.factor, config.latent_channels)


class ResidualBlock(Module):
    """x + conv(silu(conv(silu(norm(x))))): starts as the identity."""

    def __init__(self, channels, generator):
        self.norm = RMSNorm(channels)
        self.conv1 = Conv(channels, channels, generator, padding=1)
        self.conv2 = Conv(channels, channels, generator, padding=1, zero=True)

    def forward(self, x):
        return x + self.conv2(ag.silu(self.conv1(ag.silu(self.norm(x)))))


class Autoencoder(Module):
    """encode: video (B, T, H, W, C) in [0, 1] -> normalised latents (B, T, H/f, W/f, latent_channels); decode: back."""

    def __init__(self, config, generator):
        self.config = config
        first, last = config.channels[0], config.channels[-1]
        inputs = (config.image_channels, *config.channels[:-1])
        self.down = [Conv(a, b, generator, kernel=(4, 4), stride=2, padding=1) for a, b in zip(inputs, config.channels)]
        self.encoder_middle = ResidualBlock(last, generator)
        # mean and logarithm of the variance of each latent
        self.to_latent = Conv(last, 2 * config.latent_channels, generator, kernel=(1, 1))
        self.from_latent = Conv(config.latent_channels, last, generator, kernel=(3, 3), padding=1)
        self.decoder_middle = ResidualBlock(last, generator)
        self.up = [Conv(b, a, generator, padding=1) for a, b in zip(config.channels, config.channels[1:])][::-1]
        # The last doubling is four numbers for each position, spread over 2 x 2 pixels: cheap at full size.
        self.to_pixels = Conv(first, 4 * config.image_channels, generator, padding=1)
        self.latent_mean = Buffer(np.zeros(config.latent_channels))
        self.latent_deviation = Buffer(np.ones(config.latent_channels))

    def distribution(self, frames):
        """Frames (n, H, W, C) in [0, 1] -> mean and log-variance, each (n, H/f, W/f, latent_channels)."""
        factor = self.config.factor
        height, width, channels = frames.shape[1:]
        if channels != self.config.image_channels:
            raise InputError(f"frames have {channels} channels; this autoencoder takes {self.config.image_channels}")
        if height % factor or width % factor or not height or not width:
            nearest = "x".join(str(max(1, round(size / factor)) * factor) for size in (height, width))
            raise InputError(
                f"frames of {height}x{width} can't be shrunk {factor} times; use a height and width "
                f"that are multiples of {factor}, such as {nearest}"
            )
        x = frames * 2 - 1
        for conv in self.down:
            x = ag.silu(conv(x))
        return ag.split(self.to_latent(self.encoder_middle(x)), parts=2)

    def reconstruct(self, latents):
        """Raw latents (n, h, w, latent_channels) -> frames (n, H, W, C), about [0, 1] but not clipped."""
        x = ag.silu(self.decoder_middle(self.from_latent(latents)))
        for conv in self.up:
            x = ag.silu(conv(x, upsampling=2))
        x = self.to_pixels(x)
        (n, h, w, _), channels = x.shape, self.config.image_channels
        x = x.reshape(n, h, w, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, channels)
        return x * 0.5 + 0.5

    def encode(self, video):
        """Array (B, T, H, W, C) in [0, 1] -> array of normalised latents (B, T, h, w, c), the means; no gradients."""
        if video.ndim != 5 or video.dtype.kind != "f":
            raise InputError(
                "a video to encode is a float32 array (batch, frames, height, width, channels) in [0, 1], "
                f"not {video.dtype} {video.shape}"
            )
        frames = video.reshape(video.shape[0] * video.shape[1], *video.shape[2:])
        with ag.no_grad():
            mean, _ = self.distribution(frames)
        latents = (mean.data - self.latent_mean.data) / self.latent_deviation.data
        return latents.reshape(*video.shape[:2], *latents.shape[1:])

    def decode(self, latents):
        """Array of normalised latents (B, T, h, w, c) -> array (B, T, H, W, C), clipped to [0, 1]; no gradients."""
        raw = latents * self.latent_deviation.data + self.latent_mean.data
        with ag.no_grad():
            frames = self.reconstruct(raw.reshape(-1, *raw.shape[2:])).data
        return frames.reshape(*latents.shape[:2], *frames.shape[1:]).clip(0, 1)
