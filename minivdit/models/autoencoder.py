"""Convolutional autoencoders: video to a small latent grid and back.

One goes frame by frame (Rombach et al. 2022); see causal_autoencoder for one that also makes few frames of many. Both
are variational, so that nearby latents decode to nearby pictures; latents are then normalised per channel, so that
noise of variance 1 means the same in each.
"""

import dataclasses
import functools

import numpy as np

from .. import autograd as ag
from ..base.errors import InputError
from ..nn import Buffer, Conv, Module, RMSNorm


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
    """channels: one entry for each halving of height and width, so the factor is 2 ** len(channels).

    time_factor: by how much the number of frames shrinks. 1: not at all; each frame is coded by itself. Else a power of
    two, at most the factor: the first frame makes a latent frame by itself, and then each `time_factor` frames make
    one, see CausalAutoencoder.
    """

    image_channels: int = 1
    latent_channels: int = 8
    channels: tuple[int, ...] = (16, 32, 64)
    time_factor: int = 1

    def __post_init__(self):
        if not self.channels or min(*self.channels, self.latent_channels, self.image_channels) < 1:
            raise InputError(
                "an autoencoder has at least one level, and image_channels, latent_channels and all channels are 1 or "
                f"more, not {self.image_channels}, {self.latent_channels} and {self.channels}"
            )
        halvings = self.time_factor.bit_length() - 1
        if not 0 <= halvings <= len(self.channels) or self.time_factor != 2**halvings:
            raise InputError(
                f"time_factor is 1, 2, 4, ..., with a halving at most at each of the {len(self.channels)} levels, not "
                f"{self.time_factor}"
            )

    @property
    def factor(self):
        """By how much height and width shrink."""
        return 2 ** len(self.channels)

    def latent_frames(self, num_frames):
        """How many latent frames so many frames make; InputError, with the nearest numbers that work, if none."""
        count, over = divmod(num_frames - 1, self.time_factor)
        if over:
            nearest = f"{self.frames(1 + count)} or {self.frames(2 + count)}"
            raise InputError(
                f"num_frames {num_frames} must be 1 and a multiple of {self.time_factor}, such as {nearest}, since the "
                f"first frame is coded by itself and then {self.time_factor} at a time"
            )
        return 1 + count

    def frames(self, latent_frames):
        """How many frames so many latent frames stand for."""
        return 1 + self.time_factor * (latent_frames - 1)


def latent_shape(config, shape):
    """The shape of the latents of an autoencoder for clips of `shape` (B, T, H, W, C) or frames (n, H, W, C)."""
    *clips, height, width, _ = shape
    if len(clips) == 2:
        clips = clips[0], config.latent_frames(clips[1])
    return (*clips, height // config.factor, width // config.factor, config.latent_channels)


_same_size = functools.partial(Conv, padding=1)


class ResidualBlock(Module):
    """x + conv(silu(conv(silu(norm(x))))): starts as the identity. make: what makes a convolution, such as Conv."""

    def __init__(self, channels, generator, make=_same_size):
        self.norm = RMSNorm(channels)
        self.conv1 = make(channels, channels, generator)
        self.conv2 = make(channels, channels, generator, zero=True)

    def forward(self, x, **options):
        return x + self.conv2(ag.silu(self.conv1(ag.silu(self.norm(x)), **options)), **options)


class Autoencoder(Module):
    """encode: video (B, T, H, W, C) in [0, 1] -> normalised latents (B, T, H/f, W/f, latent_channels); decode: back.

    Each frame is coded by itself.
    """

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
        self._start_buffers()

    def _start_buffers(self):
        self.latent_mean = Buffer(np.zeros(self.config.latent_channels))
        self.latent_deviation = Buffer(np.ones(self.config.latent_channels))

    def pieces(self, video):
        """A video (B, T, H, W, C) as what `distribution` takes: its frames (B*T, H, W, C)."""
        return video.reshape(video.shape[0] * video.shape[1], *video.shape[2:])

    def features(self, frames):
        """What the encoder makes of frames (n, H, W, C) in [0, 1] before latents: (n, H/f, W/f, channels[-1])."""
        self._check(frames)
        x = frames * 2 - 1
        for conv in self.down:
            x = ag.silu(conv(x))
        return self.encoder_middle(x)

    def distribution(self, frames):
        """Frames (n, H, W, C) in [0, 1] -> mean and log-variance, each (n, H/f, W/f, latent_channels)."""
        return ag.split(self.to_latent(self.features(frames)), parts=2)

    def _check(self, frames):
        """Raise InputError unless frames (..., H, W, C) can be shrunk."""
        factor = self.config.factor
        height, width, channels = frames.shape[-3:]
        if channels != self.config.image_channels:
            raise InputError(f"frames have {channels} channels; this autoencoder takes {self.config.image_channels}")
        if height % factor or width % factor or not height or not width:
            nearest = "x".join(str(max(1, round(size / factor)) * factor) for size in (height, width))
            raise InputError(
                f"frames of {height}x{width} can't be shrunk {factor} times; use a height and width "
                f"that are multiples of {factor}, such as {nearest}"
            )

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
        return self._normalised(self._mean(video))

    def decode(self, latents):
        """Array of normalised latents (B, T, h, w, c) -> array (B, T, H, W, C), clipped to [0, 1]; no gradients."""
        return self._rebuilt(self._raw(latents)).clip(0, 1)

    def _normalised(self, raw):
        return (raw - self.latent_mean.data) / self.latent_deviation.data

    def _raw(self, latents):
        return latents * self.latent_deviation.data + self.latent_mean.data

    def _mean(self, video):
        with ag.no_grad():
            mean, _ = self.distribution(self.pieces(video))
        return mean.data.reshape(*video.shape[:2], *mean.shape[1:])

    def _rebuilt(self, raw):
        with ag.no_grad():
            frames = self.reconstruct(self.pieces(raw)).data
        return frames.reshape(*raw.shape[:2], *frames.shape[1:])
