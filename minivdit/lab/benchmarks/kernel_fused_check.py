"""The kernels beside attention on random numbers, and the engine's own operations in float64: how far apart?"""

import numpy as np

from ... import autograd as ag
from ...base.backend import to_numpy
from ...base.errors import InputError
from ...kernels import fused
from ...kernels.formats import to_float32, to_format
from ...nn import optim
from .kernel_attention_check import Error

HEADS, GROUPS, STEPS = 3, 2, 3
SEGMENTS = ((0.5, 1e-2, 0.1), (0.3, 3e-3, 0.0))  # share of all numbers, learning rate, weight decay; others are kept


def errors(name, rows, width, seed, runner, dtype=None):
    """An Error for everything that a kernel file computes, forward and backward, by name.

    rows: of a group, tokens, or of a matrix, and width: of each, or of a head. For adamw_ema, rows * width is the
    number of parameters. The error of plain arithmetic is here that of rounding exact results to `dtype`, once.
    """
    generator = np.random.default_rng(seed)
    if name == "adamw_ema":
        if dtype not in (None, "float32"):
            raise InputError(f"adamw_ema reads float32, not {dtype}")
        return _adamw_ema(generator, rows * width, runner)
    return _OPERATIONS[name](generator, rows, width, runner, dtype or "float32")


def _modulate(generator, rows, width, runner, dtype):
    x, out_grad = (_normal(generator, (GROUPS, rows, width), dtype) for _ in range(2))
    x = to_float32(to_format(x + 3, dtype), dtype)
    shift, scale = (_normal(generator, (GROUPS, 1, width), dtype) for _ in range(2))
    exact = _exact(ag.normalise_and_modulate, out_grad, x, shift, scale)
    x, shift, scale, out_grad = (runner.array(to_format(array, dtype)) for array in (x, shift, scale, out_grad))
    out = fused.normalise_and_modulate(x, shift, scale, runner=runner, dtype=dtype)
    grads = fused.normalise_and_modulate_backward(x, scale, out_grad, runner=runner, dtype=dtype)
    return _compare(("out", "x_grad", "shift_grad", "scale_grad"), (out, *grads), exact, [dtype] * 4)


def _gated_residual(generator, rows, width, runner, dtype):
    x, branch, out_grad = (_normal(generator, (GROUPS, rows, width), dtype) for _ in range(3))
    gate = _normal(generator, (GROUPS, 1, width), dtype)
    out, _, *grads = _exact(ag.gated_residual, out_grad, x, gate, branch)
    x, gate, branch, out_grad = (runner.array(to_format(array, dtype)) for array in (x, gate, branch, out_grad))
    made = fused.gated_residual(x, gate, branch, runner=runner, dtype=dtype)
    made_grads = fused.gated_residual_backward(gate, branch, out_grad, runner=runner, dtype=dtype)
    return _compare(("out", "gate_grad", "branch_grad"), (made, *made_grads), (out, *grads), [dtype] * 3)


def _bias_gelu(generator, rows, width, runner, dtype):
    x, out_grad = (2 * _normal(generator, (rows, width), dtype) for _ in range(2))
    bias = _normal(generator, width)
    exact = _exact(lambda x, bias: ag.gelu(x + bias), out_grad, x, bias)
    x, out_grad, bias = *(runner.array(to_format(array, dtype)) for array in (x, out_grad)), runner.array(bias)
    out = fused.bias_gelu(x, bias, runner=runner, dtype=dtype)
    grads = fused.bias_gelu_backward(x, bias, out_grad, runner=runner, dtype=dtype)
    return _compare(("out", "x_grad", "bias_grad"), (out, *grads), exact, (dtype, dtype, "float32"))


def _norm_and_rotary(generator, rows, width, runner, dtype):
    x, out_grad = (_normal(generator, (GROUPS, rows, HEADS, width), dtype) for _ in range(2))
    weight, angles, factor = _normal(generator, width), _normal(generator, (rows, width // 2)), 0.3
    cos, sin = np.cos(angles), np.sin(angles)

    def operation(x, weight):
        return factor * ag.rotary(ag.rms_norm(x, weight), cos[:, None].astype(float), sin[:, None].astype(float))

    exact = _exact(operation, out_grad, x, weight)
    x, out_grad = (runner.array(to_format(array, dtype)).swapaxes(1, 2) for array in (x, out_grad))
    weight, cos, sin = map(runner.array, (weight, cos, sin))
    options = {"runner": runner, "dtype": dtype, "factor": factor}
    out = fused.norm_and_rotary(x, weight, cos, sin, **options)
    x_grad, weight_grad = fused.norm_and_rotary_backward(x, weight, out_grad, cos, sin, **options)
    got = out.swapaxes(1, 2), x_grad.swapaxes(1, 2), weight_grad
    return _compare(("out", "x_grad", "weight_grad"), got, exact, (dtype, dtype, "float32"))


_OPERATIONS = {
    "normalise_and_modulate": _modulate,
    "gated_residual": _gated_residual,
    "bias_gelu": _bias_gelu,
    "norm_and_rotary": _norm_and_rotary,
}


def _adamw_ema(generator, count, runner):
    """Some steps by kernel, and by optim's AdamW (one for each segment) and EMA in float64."""
    ends = [0, *np.ceil(count * np.cumsum([part for part, *_ in SEGMENTS])).astype(int)]
    sizes = np.diff(np.minimum(ends, count))
    segments = [(int(size), rate, decay) for size, (_, rate, decay) in zip(sizes, SEGMENTS) if size]
    ends = np.cumsum([size for size, *_ in segments])
    updated = int(ends[-1])
    weights, factor = _normal(generator, count), np.float32(0.7)
    parameters = [ag.Tensor(piece.astype(np.float64)) for piece in np.split(weights, ends)]
    optimisers = [
        optim.AdamW({"piece": parameter}, rate, weight_decay=decay)
        for parameter, (_, rate, decay) in zip(parameters, segments)
    ]
    average = optim.EMA({str(i): parameter for i, parameter in enumerate(parameters)})
    zeros = np.zeros_like(weights)
    state = [runner.array(array.copy()) for array in (weights, zeros[:updated], zeros[:updated], weights)]
    for step in range(1, STEPS + 1):
        gradient = _normal(generator, updated)
        pieces = np.split(gradient * np.float64(factor), ends[:-1])
        for optimiser, piece in zip(optimisers, pieces):
            optimiser.step({"piece": piece})
        share = 1 - min(average.decay, (1 + average.steps) / (10 + average.steps))
        average.update()
        state = fused.adamw_ema(
            state[0],
            runner.array(gradient),
            *state[1:],
            runner=runner,
            segments=segments,
            step=step,
            share=share,
            gradient_factor=runner.array(np.asarray(factor)),
        )
    exact = (
        [parameter.data for parameter in parameters],
        *([optimiser.slots[slot]["piece"] for optimiser in optimisers] for slot in ("mean", "square")),
        average.average.values(),
    )
    exact = [np.concatenate(list(pieces)) for pieces in exact]
    return _compare(("weights", "mean", "square", "average"), state, exact, ["float32"] * 4)


def _normal(generator, shape, dtype="float32"):
    """Random numbers that `dtype` holds exactly, in float32."""
    return to_float32(to_format(generator.standard_normal(shape, dtype=np.float32), dtype), dtype)


def _exact(operation, out_grad, *inputs):
    """The engine's value and gradients in float64."""
    tensors = [ag.Tensor(array.astype(np.float64), requires_grad=True) for array in inputs]
    out = operation(*tensors)
    return out.data, *ag.gradients((out * out_grad.astype(np.float64)).sum(), tensors)


def _compare(fields, got, exact, dtypes):
    def error(array, want, dtype):
        rounded = to_float32(to_format(want.astype(np.float32), dtype), dtype)
        largest = np.abs(to_float32(to_numpy(array), dtype) - want).max()
        return Error(float(largest), float(np.abs(want).max()), float(np.abs(rounded - want).max()))

    return {field: error(*of_field) for field, *of_field in zip(fields, got, exact, dtypes)}
