"""Checks of chapter 7: the pieces of a transformer block, and its weights."""

from ...autograd import gated_residual, normalise_and_modulate
from ...autograd import layer_norm as reference_norm
from ...models import VideoDiTConfig
from ...models.video_dit import Block
from .exercise import agree, agree_gradients, different, exercise


def _stream(generator):
    """(B, T, S, D), rows of very different sizes and means."""
    shape = different(generator, 4)
    return 3 * generator.standard_normal(shape) * generator.random((*shape[:-1], 1)) + generator.standard_normal(1)


@exercise
def ch07_layer_norm(answer, generator):
    x = _stream(generator)
    agree("the output", answer(x.copy()), reference_norm(x).data)
    faint = 1e-3 * generator.standard_normal((4, 7))  # so small that eps counts
    agree("the output for very small numbers", answer(faint.copy()), reference_norm(faint).data)


@exercise
def ch07_modulate(answer, generator):
    x = _stream(generator)
    shift, scale = generator.standard_normal((2, *x.shape[:2], x.shape[3]))
    expected = normalise_and_modulate(x, shift[:, :, None], scale[:, :, None]).data
    agree("the output", answer(x.copy(), shift, scale), expected)


@exercise
def ch07_gate(answer, generator):
    x = _stream(generator)
    branch, grad = generator.standard_normal((2, *x.shape))
    gate = generator.standard_normal((*x.shape[:2], 1, x.shape[3]))
    inputs = {"x": x, "the gate": gate, "the branch": branch}
    agree_gradients(answer(x, gate, branch, grad), gated_residual, inputs, grad)


@exercise
def ch07_parameters(answer, generator):
    width, ratio = 2 * int(generator.integers(2, 20)), int(generator.integers(1, 6))
    block = Block(VideoDiTConfig(width=width, heads=1, mlp_ratio=ratio), generator)
    matrices = [parameter.size for parameter in block.parameters().values() if parameter.data.ndim == 2]
    agree("the number of parameters", answer(width, ratio), sum(matrices))
