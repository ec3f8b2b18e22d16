"""Tiny networks with nothing left at zero, and a way to run them in float64."""

import numpy as np
import pytest

from minivdit.models import VideoDiT, VideoDiTConfig

WORDS = 12


@pytest.fixture
def tiny():
    return _tiny


@pytest.fixture
def inputs():
    return _inputs


@pytest.fixture
def randomise():
    return _randomise


@pytest.fixture
def in_double():
    return _in_double


def _tiny(fresh=False, seed=0, **options):
    """A VideoDiT of width 12; unless `fresh`, also the weights that start at zero are random."""
    config = VideoDiTConfig(**{"latent_channels": 2, "width": 12, "heads": 1, "depth": 2, "text_depth": 1, **options})
    model = VideoDiT(config, WORDS, np.random.default_rng(seed))
    return model if fresh else _randomise(model)


def _inputs(model, shape, clips=1, seed=1):
    """latents (clips, *shape, C), noise_level (clips, T), tokens (clips, 5)."""
    generator = np.random.default_rng(seed)
    latents = generator.standard_normal((clips, *shape, model.config.latent_channels), dtype=np.float32)
    tokens = generator.integers(1, WORDS, (clips, 5)).astype(np.int32)
    tokens[:, 3:] = 0
    return latents, generator.random((clips, shape[0]), dtype=np.float32), tokens


def _randomise(model, size=0.3, seed=5):
    generator = np.random.default_rng(seed)
    for parameter in model.parameters().values():
        parameter.data += size * generator.standard_normal(parameter.shape, dtype=np.float32)
    return model


def _in_double(model):
    """The same model computing in float64: then rounding can't be mistaken for an influence or a wrong gradient."""
    for _, tensor in model.named_tensors():
        tensor.data = tensor.data.astype(np.float64)
    return model
