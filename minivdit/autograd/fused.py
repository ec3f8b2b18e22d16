"""Operations that would be slow as chains of small ones: softmax, normalisations, rotary positions, losses.

Each is still a value and its pullback side by side, only with a longer body. Where that is hard to read, a simple twin
stands before it, which the tests hold equal. Rows are the last axis. Attention, the longest of them, is in attend.py.
"""

import numpy as np

from ..base.backend import array_module
from .arrays import blocks, rotate_pairs, row_count, row_dot, row_mean, sum_rows
from .elementwise import BLOCK, gelu, write_gelu
from .engine import differentiable, is_recording, with_twins
from .products import linear

MLP_ENTRIES = 1 << 18  # hidden entries that `mlp` works on at a time: 1 MiB of float32


@differentiable
def softmax(x):
    """exp(x) / sum(exp(x)) over the last axis; the largest entry is subtracted first, so nothing overflows."""
    xp = array_module(x)
    value = x - x.max(axis=-1, keepdims=True)
    xp.exp(value, out=value)
    value /= value.sum(axis=-1, keepdims=True)

    def pullback(grad):
        return value * (grad - row_dot(grad, value))

    return value, pullback


@differentiable
def log_softmax(x):
    """Logarithm of softmax over the last axis."""
    xp = array_module(x)
    shifted = x - x.max(axis=-1, keepdims=True)
    value = shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))

    def pullback(grad):
        return grad - xp.exp(value) * grad.sum(axis=-1, keepdims=True)

    return value, pullback


def standardise(x, eps, out=None):
    """(x - mean) / sqrt(variance + eps) over the last axis, and that 1 / sqrt as an array (..., 1)."""
    xp = array_module(x)
    centred = xp.subtract(x, row_mean(x), out=out)
    inverse_deviation = 1 / xp.sqrt(row_dot(centred, centred) / x.shape[-1] + eps)
    centred *= inverse_deviation
    return centred, inverse_deviation


def standardise_pullback(grad, standardised, inverse_deviation):
    """Gradient through `standardise`. Overwrites `grad`, which must be the caller's own array."""
    along = row_dot(grad, standardised) / grad.shape[-1]
    grad -= row_mean(grad)
    grad -= standardised * along
    grad *= inverse_deviation
    return grad


def check_rows(name, x, *vectors):
    for vector in vectors:
        if vector is not None and vector.shape != x.shape[-1:]:
            raise ValueError(f"{name}: weight and bias must have shape {x.shape[-1:]}, not {vector.shape}")


@differentiable
@with_twins
def layer_norm(x, weight=None, bias=None, *, eps=1e-6):
    """Standardise each row, then scale and shift it (Ba et al. 2016).

    x: (..., D). weight, bias: (D,) or None.
    """
    check_rows("layer_norm", x, weight, bias)
    standardised, inverse_deviation = standardise(x, eps)
    value = standardised if weight is None else standardised * weight
    value = value if bias is None else value + bias

    def pullback(grad):
        weight_grad = None if weight is None else sum_rows(grad * standardised)
        bias_grad = None if bias is None else sum_rows(grad)
        own = grad.copy() if weight is None else grad * weight
        return standardise_pullback(own, standardised, inverse_deviation), weight_grad, bias_grad

    return value, pullback


@differentiable
@with_twins
def rms_norm(x, weight=None, *, eps=1e-6):
    """Divide each row by its root mean square, then scale it (Zhang and Sennrich 2019).

    x: (..., D). weight: (D,) or None.
    """
    check_rows("rms_norm", x, weight)
    xp = array_module(x)
    width = x.shape[-1]
    inverse_rms = 1 / xp.sqrt(row_dot(x, x) / width + eps)
    normalised = x * inverse_rms

    def pullback(grad):
        shares = grad * normalised  # summed over a row: its gradient's part along it; over all rows: the weight's
        summed = shares @ (xp.ones((width, 1), grad.dtype) if weight is None else weight[:, None])
        own = grad.copy() if weight is None else grad * weight
        own -= normalised * (summed / width)
        own *= inverse_rms
        return own, None if weight is None else sum_rows(shares)

    return normalised if weight is None else normalised * weight, pullback


def simple_normalise_and_modulate(x, shift, scale, *, eps=1e-6):
    """What `normalise_and_modulate` computes, by the operations that it is made of."""
    return layer_norm(x, eps=eps) * (scale + 1) + shift


def check_modulation(x, shift, scale):
    """Raise ValueError unless the shapes are those that `normalise_and_modulate` takes."""
    expected = (*x.shape[:-2], 1, x.shape[-1])
    if shift.shape != expected or scale.shape != expected:
        raise ValueError(
            f"normalise_and_modulate: x {x.shape} needs shift and scale {expected}, not {shift.shape} and {scale.shape}"
        )


@differentiable
@with_twins
def normalise_and_modulate(x, shift, scale, *, eps=1e-6):
    """layer_norm(x) * (1 + scale) + shift: the "adaLN" of diffusion transformers (Peebles and Xie 2023).

    x: (..., S, D); shift and scale: (..., 1, D), one for each group of S rows (a frame of a clip).
    """
    check_modulation(x, shift, scale)
    xp, shape, like_shift = array_module(x), x.shape, shift.shape
    x = x.reshape(-1, *shape[-2:])  # (groups, S, D)
    shift, factor = shift.reshape(-1, 1, shape[-1]), (scale + 1).reshape(-1, 1, shape[-1])
    standardised, value = xp.empty_like(x, order="C"), xp.empty_like(x, order="C")
    inverse_deviation = xp.empty((*x.shape[:-1], 1), x.dtype)
    few_groups = blocks(x.shape[:1], BLOCK // max(1, x[:1].size), like=x)  # they go through all steps before the next
    for block in few_groups:
        _, inverse_deviation[block] = standardise(x[block], eps, out=standardised[block])
        xp.multiply(standardised[block], factor[block], out=value[block])
        value[block] += shift[block]

    def pullback(grad):
        grad = grad.reshape(standardised.shape)
        x_grad, shift_grad, scale_grad = xp.empty_like(standardised), xp.empty_like(factor), xp.empty_like(factor)
        for block in few_groups:
            xp.sum(grad[block], axis=-2, keepdims=True, out=shift_grad[block])
            xp.sum(grad[block] * standardised[block], axis=-2, keepdims=True, out=scale_grad[block])
            xp.multiply(grad[block], factor[block], out=x_grad[block])
            standardise_pullback(x_grad[block], standardised[block], inverse_deviation[block])
        return x_grad.reshape(shape), shift_grad.reshape(like_shift), scale_grad.reshape(like_shift)

    return value.reshape(shape), pullback


def check_gated_residual(x, gate, branch):
    """Raise ValueError unless the shapes are those that `gated_residual` takes."""
    if x.shape != branch.shape or gate.shape != (*x.shape[:-2], 1, x.shape[-1]):
        raise ValueError(
            f"gated_residual: x {x.shape} and branch {branch.shape} must be alike, and gate "
            f"{(*x.shape[:-2], 1, x.shape[-1])}, not {gate.shape}"
        )


@differentiable
@with_twins
def gated_residual(x, gate, branch):
    """x + gate * branch: how a block adds what it found; with gate 0 the block does nothing.

    x, branch: (..., S, D); gate: (..., 1, D).
    """
    check_gated_residual(x, gate, branch)
    value = gate * branch
    value += x

    def pullback(grad):
        gate_grad = array_module(grad).einsum("...sd,...sd->...d", grad, branch)[..., None, :]
        return grad, gate_grad, grad * gate

    return value, pullback


def check_mlp(x, up_weight, up_bias, down_weight, down_bias):
    """Raise ValueError unless the shapes are those that `mlp` takes."""
    size_in, hidden = up_weight.shape
    if x.shape[-1] != size_in or down_weight.shape[0] != hidden or up_bias.shape != (hidden,):
        raise ValueError(
            f"mlp of {x.shape} takes weights (in, hidden) and (hidden, out) and a bias for each, "
            f"not {up_weight.shape}, {up_bias.shape}, {down_weight.shape} and {down_bias.shape}"
        )
    if down_bias.shape != down_weight.shape[1:]:
        raise ValueError(f"mlp: {down_weight.shape} takes a bias ({down_weight.shape[1]},), not {down_bias.shape}")


def simple_mlp(x, up_weight, up_bias, down_weight, down_bias):
    """What `mlp` computes, by the operations that it is made of."""
    return linear(gelu(linear(x, up_weight, up_bias)), down_weight, down_bias)


@differentiable
@with_twins
def mlp(x, up_weight, up_bias, down_weight, down_bias):
    """Two linear layers with GELU between them, some rows at a time; see `simple_mlp`.

    x: (..., D), up_weight: (D, hidden), up_bias: (hidden,), down_weight: (hidden, D'), down_bias: (D',) -> (..., D').
    GELU's input and its gradient never leave the cache. Only GELU's output and its slope are kept.
    """
    check_mlp(x, up_weight, up_bias, down_weight, down_bias)
    size_in, hidden = up_weight.shape
    xp, shape, n = array_module(x), x.shape, row_count(x.shape)
    rows = x.reshape(n, size_in)
    some_rows = blocks((n,), MLP_ENTRIES // hidden, like=x)
    value = xp.empty((n, down_weight.shape[1]), x.dtype)
    recording = is_recording()
    activated, slope = (xp.empty((n, hidden), x.dtype) if recording else None for _ in range(2))
    for block in some_rows:
        before = rows[block] @ up_weight
        before += up_bias
        after = activated[block] if recording else before
        write_gelu(before, after, slope[block] if recording else None)
        xp.matmul(after, down_weight, out=value[block])
    value += down_bias

    def pullback(grad):
        grad = grad.reshape(value.shape)
        x_grad = xp.empty_like(rows, order="C")
        up_weight_grad, up_bias_grad = xp.zeros_like(up_weight), xp.zeros_like(up_bias)
        for block in some_rows:
            before_grad = grad[block] @ down_weight.T
            before_grad *= slope[block]
            up_weight_grad += rows[block].T @ before_grad
            up_bias_grad += sum_rows(before_grad)
            xp.matmul(before_grad, up_weight.T, out=x_grad[block])
        return x_grad.reshape(shape), up_weight_grad, up_bias_grad, activated.T @ grad, sum_rows(grad)

    return value.reshape(*shape[:-1], down_weight.shape[1]), pullback


@differentiable
def rotary(x, cos, sin):
    """Rotate each pair (x[i], x[i + d/2]) by an angle that grows with the token's position (Su et al. 2021).

    x: (..., N, h, d); cos, sin: (N, 1, d/2), constants. The product q . k of two tokens then depends only on how far
    apart they are.
    """
    half = x.shape[-1] // 2
    if x.shape[-1] % 2 or cos.shape != (x.shape[-3], 1, half) or sin.shape != cos.shape:
        raise ValueError(
            f"rotary: x {x.shape} needs an even width and cos and sin {(x.shape[-3], 1, half)}, "
            f"not {cos.shape} and {sin.shape}"
        )
    return rotate_pairs(x, cos, sin), lambda grad: (rotate_pairs(grad, cos, -sin), None, None)


@differentiable(as_is=(1,))
def cross_entropy(logits, labels):
    """Mean of -log softmax(logits)[label]. logits: (..., K); labels: integers (...) in [0, K)."""
    xp = array_module(logits)
    classes = logits.shape[-1]
    if labels.shape != logits.shape[:-1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"cross_entropy: logits {logits.shape} need integer labels {logits.shape[:-1]}, "
            f"not {labels.dtype} {labels.shape}"
        )
    # Only the CPU's are looked at: a GPU would have to finish all its work before it could answer.
    if labels.size and xp is np and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise ValueError(f"cross_entropy: labels must lie in [0, {classes}), not [{labels.min()}, {labels.max()}]")
    rows = logits.reshape(-1, classes)
    picked = (xp.arange(len(rows)), labels.reshape(-1))
    shifted = rows - rows.max(axis=-1, keepdims=True)
    probabilities = xp.exp(shifted)
    total = probabilities.sum(axis=-1, keepdims=True)
    value = (xp.log(total[:, 0]) - shifted[picked]).mean()
    probabilities /= total

    def pullback(grad):
        slope = probabilities.copy()
        slope[picked] -= 1
        slope *= grad / len(rows)
        return slope.reshape(logits.shape), None

    return xp.asarray(value), pullback


@differentiable
def mean_squared_error(prediction, target, weight=None):
    """Mean of weight * (prediction - target)^2 over all entries; weight broadcasts against them and is a constant."""
    if prediction.shape != target.shape:
        raise ValueError(f"mean_squared_error: prediction {prediction.shape} and target {target.shape} must be alike")
    xp = array_module(prediction)
    difference = prediction - target
    weighted = difference if weight is None else difference * weight
    value = xp.vdot(weighted, difference) / difference.size

    def pullback(grad):
        slope = weighted * (2 * grad / difference.size)
        return slope, -slope, None

    return xp.asarray(value, dtype=prediction.dtype), pullback
