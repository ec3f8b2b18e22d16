"""A tiny model with random weights, for everything that needs one."""

import numpy as np
import pytest

from minivdit.generation import GenerationSettings, TextToVideo
from minivdit.models import Autoencoder, AutoencoderConfig, Tokenizer, VideoDiT, VideoDiTConfig


@pytest.fixture(scope="session")
def make_model():
    """A function that makes one; its arguments are GenerationSettings."""
    return _make_model


def _make_model(**settings):
    generator = np.random.default_rng(0)
    tokenizer = Tokenizer()
    config = VideoDiTConfig(latent_channels=2, patch_size=(2, 2, 2), width=24, depth=2, heads=2, text_depth=1)
    transformer = VideoDiT(config, len(tokenizer), generator)
    for parameter in transformer.parameters().values():  # a fresh model predicts 0 whatever the caption is
        parameter.data += 0.2 * generator.standard_normal(parameter.shape, dtype=np.float32)
    autoencoder = Autoencoder(AutoencoderConfig(latent_channels=2, channels=(4, 4)), generator)
    autoencoder.latent_mean.data[...] = [0.3, -0.2]
    autoencoder.latent_deviation.data[...] = [2.0, 0.5]
    given = {"size": (16, 24), "num_frames": 4, "digit_size": 8, "steps": 3, **settings}
    return TextToVideo(transformer, autoencoder, tokenizer, GenerationSettings(**given), {"seed": 0}, "test")
