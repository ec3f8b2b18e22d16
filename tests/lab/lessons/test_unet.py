"""The U-Net of chapter 11: shapes, gradients, what it may see, and what it costs."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.lab.lessons.unet import VideoUNet

SHAPE = (2, 3, 4, 8, 2)  # B, T, H, W, C


def network(channels=(4, 6, 8), seed=0, filled=True):
    """With random numbers wherever a fresh network has zeros."""
    generator = np.random.default_rng(seed)
    model = VideoUNet(SHAPE[-1], channels, 5, generator)
    for parameter in model.parameters().values():
        if filled and not parameter.data.any():
            parameter.data[...] = 0.3 * generator.standard_normal(parameter.shape)
    return model


def inputs(seed=1, shape=SHAPE):
    generator = np.random.default_rng(seed)
    words = generator.integers(1, 5, (shape[0], 2)).astype(np.int32)
    return generator.standard_normal(shape, dtype=np.float32), generator.random(shape[:2], dtype=np.float32), words


def test_it_takes_and_gives_what_the_transformer_does_and_starts_at_zero():
    assert not network(filled=False)(*inputs()).data.any()
    for shape in (SHAPE, (1, 1, 4, 4, 2), (1, 7, 8, 12, 2)):
        output = network()(*inputs(shape=shape))
        assert output.shape == shape and output.data.dtype == np.float32 and output.data.std() > 0.01


def test_its_gradients_are_those_of_finite_differences():
    model, (latents, level, words) = network(), inputs()
    cotangent = np.random.default_rng(2).standard_normal(SHAPE, dtype=np.float32)
    weights = model.parameters()
    leaf = ag.Tensor(latents, requires_grad=True)
    gradients = ag.gradients(model(leaf, level, words), [leaf, *weights.values()], cotangent)

    def value():
        return float((model(latents, level, words).data.astype(np.float64) * cotangent).sum())

    generator, step = np.random.default_rng(3), 1e-2
    for name, array, gradient in zip(["x", *weights], [latents, *(w.data for w in weights.values())], gradients):
        direction = generator.standard_normal(array.shape).astype(np.float32)
        direction /= np.sqrt((direction**2).sum())
        kept = array.copy()
        array[...] = kept + step * direction
        above = value()
        array[...] = kept - step * direction
        slope = (above - value()) / (2 * step)
        array[...] = kept
        expected = float((gradient * direction).sum())
        assert abs(slope - expected) < 0.02 * np.sqrt((gradient**2).sum()) + 1e-3, name


def test_level_and_caption_reach_the_output_and_a_frames_level_only_neighbours_at_first():
    model, (latents, level, words) = network((4,)), inputs(shape=(1, 9, 4, 4, 2))
    before = model(latents, level, words).data
    level[0, 0] = 1 - level[0, 0]
    changed = np.abs(model(latents, level, words).data - before).max(axis=(0, 2, 3, 4)) > 0
    assert changed.tolist() == [True] * 4 + [False] * 5  # conv1 and conv2 of the block and conv_out: one frame each
    assert np.abs(model(latents, level, words % 4 + 1).data - before).max() > 0


def test_flops_are_two_for_each_multiplication_of_its_convolutions(monkeypatch):
    model, counted = network(), []
    conv, linear = ag.conv, ag.linear

    def counting_conv(x, weight, *rest, **options):
        y = conv(x, weight, *rest, **options)
        counted.append(2 * np.prod(weight.shape) * np.prod(y.shape[:-1]))
        return y

    def counting_linear(x, weight, *rest, **options):
        y = linear(x, weight, *rest, **options)
        if len(y.shape) == 5:  # at every place; the condition's are at every frame
            counted.append(2 * np.prod(weight.shape) * np.prod(y.shape[:-1]))
        return y

    monkeypatch.setattr(ag, "conv", counting_conv)
    monkeypatch.setattr(ag, "linear", counting_linear)
    model(*inputs())
    assert model.flops(SHAPE[1:4]) * SHAPE[0] == sum(counted)


def test_a_size_that_cant_be_halved_is_refused():
    with pytest.raises(InputError, match="multiples of 4"):
        network()(*inputs(shape=(1, 3, 6, 8, 2)))
