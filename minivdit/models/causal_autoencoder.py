"""A causal autoencoder in space and time: 1 + 4k frames to 1 + k latent frames and back.

Kling, Open-Sora-Plan and CogVideoX (Yang et al. 2024, section 2.1) compress time as well as space; the causal form is
that of MAGVIT-v2 (Yu et al. 2023). Convolutions go over time too, and none sees a later frame. So the first frame can
be coded by itself, which makes a picture a clip of one frame, and a long clip can be coded as it comes: each
convolution remembers the few frames that it needs of what came before.
"""

import functools

from .. import autograd as ag
from ..base.backend import array_module
from ..base.errors import InputError
from ..nn import Conv
from .autoencoder import Autoencoder, ResidualBlock

TIME = 3  # frames that a convolution sees: this one and two before it


class CausalConv(Conv):
    """Convolution of clips (B, T, H, W, inputs) in which no frame sees a later one. Before the first stand zeros.

    kernel: in height and width, where zeros stand around the clip. stride, upsampling: of (time, height, width).
    """

    def __init__(self, inputs, outputs, generator, *, kernel=3, stride=(1, 1, 1), zero=False):
        super().__init__(inputs, outputs, generator, kernel=(TIME, kernel, kernel), stride=stride, zero=zero)
        self.space = (kernel - 1) // 2

    def forward(self, x, *, upsampling=(1, 1, 1), past=None):
        """past: for a clip that comes in pieces, a dict in which each layer keeps what it needs of those before.

        Enlarged in time, a clip of 1 + n frames becomes one of 1 + 2n: its first frame stays alone.
        """
        begins, zeros = past is None or self not in past, TIME - 1
        if past is not None:
            before = zeros // upsampling[0]
            x = ag.concatenate(self._nothing(x, before) if begins else past[self], x, axis=1)
            past[self] = x.data[:, x.shape[1] - before - 1 + self.stride[0] :]
            zeros = 0
        padding = ((zeros, 0), self.space, self.space)
        options = {"stride": self.stride, "padding": padding, "upsampling": upsampling}
        y = ag.conv(x, self.weight, self.bias, **options)
        return y[:, 1:] if begins and upsampling[0] > 1 else y

    @staticmethod
    def _nothing(x, frames):
        array = x.data if isinstance(x, ag.Tensor) else x
        return array_module(array).zeros((len(array), frames, *array.shape[2:]), array.dtype)


class CausalAutoencoder(Autoencoder):
    """encode: video (B, 1 + f*k, H, W, C) in [0, 1] -> normalised latents (B, 1 + k, h, w, c); decode: back.

    No latent frame depends on frames after those that it stands for, and no decoded frame on later latent frames.
    f is the time_factor. `encode_pieces` and `decode_pieces` take a clip as it comes, in constant memory. `encode` and
    `decode` go in the same steps, so they give the same bits.
    """

    def __init__(self, config, generator):
        self.config = config
        first, last, latent = config.channels[0], config.channels[-1], config.latent_channels
        levels, in_time = len(config.channels), config.time_factor.bit_length() - 1
        # Time is halved last and doubled first: there the clip has few pixels, and the layers between see further.
        halvings = [1 + (level >= levels - in_time) for level in range(levels)]
        inputs = (config.image_channels, *config.channels[:-1])
        make = functools.partial(CausalConv, generator=generator)
        self.down = [make(a, b, kernel=4, stride=(time, 2, 2)) for a, b, time in zip(inputs, config.channels, halvings)]
        self.encoder_middle = ResidualBlock(last, generator, CausalConv)
        self.to_latent = Conv(last, 2 * latent, generator, kernel=(1, 1, 1))
        self.from_latent = make(latent, last)
        self.decoder_middle = ResidualBlock(last, generator, CausalConv)
        self.up = [make(b, a) for a, b in zip(config.channels, config.channels[1:])][::-1]
        *self.doublings, self.last_doubling = halvings[::-1]
        # The last doubling is a few numbers for each position, spread over its pixels: cheap at full size.
        self.to_pixels = make(first, 4 * self.last_doubling * config.image_channels)
        self._start_buffers()

    def pieces(self, video):
        """A video as what `distribution` takes: itself."""
        return video

    def features(self, video, past=None):
        """What the encoder makes of a video before latents: (B, 1 + k, h, w, channels[-1])."""
        self._check(video)
        if past is None:
            self.config.latent_frames(video.shape[1])
        x = video * 2 - 1
        for conv in self.down:
            x = ag.silu(conv(x, past=past))
        return self.encoder_middle(x, past=past)

    def distribution(self, video, past=None):
        """Video (B, 1 + f*k, H, W, C) in [0, 1] -> mean and log-variance, each (B, 1 + k, h, w, latent_channels)."""
        return ag.split(self.to_latent(self.features(video, past)), parts=2)

    def reconstruct(self, latents, past=None):
        """Raw latents (B, 1 + k, h, w, latent_channels) -> video (B, 1 + f*k, H, W, C), near [0, 1], not clipped."""
        begins = past is None or not past
        x = ag.silu(self.decoder_middle(self.from_latent(latents, past=past), past=past))
        for conv, doubling in zip(self.up, self.doublings):
            x = ag.silu(conv(x, upsampling=(doubling, 2, 2), past=past))
        x = self.to_pixels(x, past=past)
        (n, t, h, w, _), channels, doubling = x.shape, self.config.image_channels, self.last_doubling
        x = x.reshape(n, t, h, w, doubling, 2, 2, channels).transpose(0, 1, 4, 2, 5, 3, 6, 7)
        x = x.reshape(n, doubling * t, 2 * h, 2 * w, channels)
        if begins and doubling > 1:  # the first frame stays alone
            x = x[:, 1:]
        return x * 0.5 + 0.5

    def encode_pieces(self, videos):
        """Parts of a clip in order, (B, T, H, W, C), to normalised latents of each part, as they come; no gradients.

        The first part has 1 + f*k frames and the others f*k; k may differ from part to part.
        """
        past = {}
        for video in videos:
            yield self._normalised(self._mean(video, past))

    def decode_pieces(self, latents):
        """Parts of a clip's latents in order, (B, T, h, w, c), to frames of each part, as they come; no gradients."""
        past = {}
        for part in latents:
            yield self._rebuilt(self._raw(part), past).clip(0, 1)

    def _mean(self, video, past=None):
        past = {} if past is None else past
        steps = _steps(video, self.config.time_factor, not past)
        with ag.no_grad():
            means = [self.distribution(step, past)[0].data for step in steps]
        return array_module(video).concatenate(means, axis=1)

    def _rebuilt(self, raw, past=None):
        past = {} if past is None else past
        with ag.no_grad():
            frames = [self.reconstruct(step, past).data for step in _steps(raw, 1, not past)]
        return array_module(raw).concatenate(frames, axis=1)


def make_autoencoder(config, generator):
    """The autoencoder of a config: an Autoencoder, or a CausalAutoencoder if it makes few frames of many."""
    return (Autoencoder if config.time_factor == 1 else CausalAutoencoder)(config, generator)


def _steps(clip, length, begins):
    """A clip (B, T, ...) in the steps in which it is coded: its first frame if it begins, then `length` at a time."""
    frames, first = clip.shape[1], int(begins)
    if frames < 1 or (frames - first) % length:
        wanted = f"{'1 and ' * begins}a multiple of {length}"
        raise InputError(f"{'a clip' if begins else 'a later part of a clip'} has {wanted} frames, not {frames}")
    starts = [0] * first + [*range(first, frames, length)]
    return [clip[:, start:stop] for start, stop in zip(starts, [*starts[1:], frames])]
