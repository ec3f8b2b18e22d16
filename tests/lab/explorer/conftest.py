"""Small random models, and what they look at."""

import numpy as np
import pytest

from minivdit.base.backend import to_device
from minivdit.generation import GenerationSettings, TextToVideo
from minivdit.models import Autoencoder, AutoencoderConfig, Tokenizer, VideoDiT, VideoDiTConfig

PROMPT = "a 3 moving right"
STEPS = 3


@pytest.fixture(scope="session")
def make_model():
    return _make_model


def _make_model(*patterns, size=(24, 32), num_frames=5, patch_size=(1, 2, 2), depth=3, name="random", **more):
    """Nothing left at zero, so that attention is far from even. 5 frames of 3 x 4 patches unless told otherwise."""
    generator, tokenizer = np.random.default_rng(0), Tokenizer()
    config = VideoDiTConfig(
        latent_channels=2,
        patch_size=patch_size,
        width=24,
        depth=depth,
        heads=2,
        text_depth=1,
        patterns=patterns,
        **more,
    )
    transformer = VideoDiT(config, len(tokenizer), generator)
    for parameter in transformer.parameters().values():
        parameter.data += to_device(0.3 * generator.standard_normal(parameter.shape, dtype=np.float32))
    autoencoder = Autoencoder(AutoencoderConfig(latent_channels=2, channels=(4, 4)), generator)
    settings = GenerationSettings(size=size, num_frames=num_frames, digit_size=8, steps=STEPS)
    return TextToVideo(transformer, autoencoder, tokenizer, settings, {"steps": 1000}, name)
