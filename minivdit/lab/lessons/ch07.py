"""Checks of chapter 7: the pullback of a norm, modulation folded away, a branch that is dropped, and weights."""

from ...autograd import Tensor, gated_residual, gradients, layer_norm
from ...models import VideoDiTConfig
from ...models.video_dit import Block
from .exercise import agree, agree_all, agree_gradients, different, exercise


def _stream(generator):
    """(B, T, S, D), rows of very different sizes and means."""
    shape = different(generator, 4, 3)  # a norm of two numbers forgets all but their order
    return 3 * generator.standard_normal(shape) * generator.random((*shape[:-1], 1)) + generator.standard_normal(1)


@exercise("norm_pullback")
def ch07_norm(answer, generator):
    faint = 1e-3 * generator.standard_normal((4, 7))  # so small that eps counts
    for what, x in (("the gradient", _stream(generator)), ("the gradient for very small numbers", faint)):
        grad = generator.standard_normal(x.shape)
        leaf = Tensor(x, requires_grad=True)
        expected = gradients(layer_norm(leaf), [leaf], grad)[0]
        agree(what, answer(x, grad), expected)


@exercise("fold")
def ch07_fold(answer, generator):
    width, columns = different(generator, 2)
    weight, (shift, scale) = generator.standard_normal((width, columns)), generator.standard_normal((2, width))
    expected = {"the weight": weight + scale[:, None] * weight, "the bias": weight.T @ shift}
    agree_all("return two arrays: the weight and the bias", answer(shift, scale, weight), expected)


@exercise("gate_pullback")
def ch07_gate(answer, generator):
    x = _stream(generator)
    branch, grad = generator.standard_normal((2, *x.shape))
    gate = generator.standard_normal((*x.shape[:2], 1, x.shape[3]))
    keep, rate = (generator.random(len(x)) < 0.6).astype(float), float(generator.uniform(0.3, 0.9))
    keep[0] = 1
    inputs = {"x": x, "the gate": gate, "the branch": branch}
    strength = (keep / rate)[:, None, None, None]
    got = answer(x, gate, branch, keep, rate, grad)
    agree_gradients(got, lambda x, gate, branch: gated_residual(x, gate * strength, branch), inputs, grad)


@exercise("matrix_parameters")
def ch07_parameters(answer, generator):
    width, ratio, depth = (
        2 * int(generator.integers(2, 20)),
        int(generator.integers(1, 6)),
        int(generator.integers(2, 9)),
    )
    block = Block(VideoDiTConfig(width=width, heads=1, mlp_ratio=ratio), generator)
    matrices = {name: weight.size for name, weight in block.parameters().items() if weight.data.ndim == 2}
    one = matrices["modulation.weight"]
    each = depth * sum(matrices.values())
    expected = {"with one in each block": each, "with one for all": each - (depth - 1) * one}
    request = "return two numbers: with a modulation in each block, and with one for all"
    agree_all(request, answer(width, ratio, depth), expected)
