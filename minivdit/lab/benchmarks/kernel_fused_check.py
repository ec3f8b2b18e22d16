"""The kernels beside attention: what each takes and makes, and how far it is from the engine in float64."""

import functools

import numpy as np

from ... import autograd as ag
from ...base.backend import to_numpy
from ...base.errors import InputError
from ...kernels import fused
from ...kernels.formats import to_float32, to_format
from ...nn import optim
from .kernel_attention_check import Error

HEADS, GROUPS, STEPS, FACTOR = 3, 2, 3, 0.3
SEGMENTS = ((0.5, 1e-2, 0.1), (0.3, 3e-3, 0.0))  # share of all numbers, learning rate, weight decay; others are kept
SHARED = ("bias", "weight", "cos", "sin")  # arrays that are float32, and the same for all groups
SPREAD, MEAN = {"bias_gelu": 2}, {"normalise_and_modulate": 3}  # of x where it is checked; else 1 and 0


def _rotated(x, weight, cos, sin):
    return FACTOR * ag.rotary(ag.rms_norm(x, weight), cos.data[:, None], sin.data[:, None])


# Of each file but adamw_ema, by the names of arrays: what it takes; what its pullback takes, and makes. Last, the
# engine's operation of what it takes.
MODULATE = "x shift scale", "x scale out_grad", "x_grad shift_grad scale_grad", ag.normalise_and_modulate
KERNELS = {
    "normalise_and_modulate": MODULATE,
    "gated_residual": ("x gate branch", "gate branch out_grad", "gate_grad branch_grad", ag.gated_residual),
    "bias_gelu": ("x bias", "x bias out_grad", "x_grad bias_grad", lambda x, bias: ag.gelu(x + bias)),
    "norm_and_rotary": ("x weight cos sin", "x weight out_grad cos sin", "x_grad weight_grad", _rotated),
}


def shapes_of(name, groups, rows, width, heads=1):
    """{array: its shape as it lies in memory} of all that a kernel takes. width: of a row, or of a head's."""
    whole = (groups, rows, heads, width) if name == "norm_and_rotary" else (groups, rows, width)
    others = dict.fromkeys(("shift", "scale", "gate"), (groups, 1, width))
    others |= {"bias": (width,), "weight": (width,), "cos": (rows, width // 2), "sin": (rows, width // 2)}
    return {field: others.get(field, whole) for field in (*KERNELS[name][0].split(), "out_grad")}


def stored_as(field, dtype):
    """The dtype of a kernel's array, or of its gradient."""
    return "float32" if field.removesuffix("_grad") in SHARED else dtype


def in_heads(array):
    """An array of four axes, which lies by tokens and then heads, by heads first, as kernels take it; and back."""
    return array.swapaxes(1, 2) if array.ndim == 4 else array


def calls(name, **options):
    """[(function, the names of what it takes, of what it makes)] of a kernel, forward and backward. options: of both.

    A function takes arrays as `in_heads` makes them, and returns a tuple of such.
    """
    takes, pulls, makes, _ = KERNELS[name]
    options |= {"factor": FACTOR} if name == "norm_and_rotary" else {}

    def call(function, *given):
        made = function(*given, **options)
        return made if isinstance(made, tuple) else (made,)

    forward, backward = (functools.partial(call, getattr(fused, f"{name}{end}")) for end in ("", "_backward"))
    return [(forward, takes.split(), ["out"]), (backward, pulls.split(), makes.split())]


def errors(name, rows, width, seed, runner, dtype=None):
    """An Error for everything that a kernel file computes, forward and backward, by name.

    rows: of a group, tokens, or of a matrix, and width: of each, or of a head. For adamw_ema, rows * width is the
    number of parameters. The error of plain arithmetic is here that of rounding exact results to `dtype`, once.
    """
    generator, dtype = np.random.default_rng(seed), dtype or "float32"
    if name == "adamw_ema":
        if dtype != "float32":
            raise InputError(f"adamw_ema reads float32, not {dtype}")
        return _adamw_ema(generator, rows * width, runner)
    drawn = {
        field: _normal(generator, shape, stored_as(field, dtype))
        for field, shape in shapes_of(name, GROUPS, rows, width, HEADS).items()
    }
    drawn["x"] = to_float32(to_format(SPREAD.get(name, 1) * drawn["x"] + MEAN.get(name, 0), dtype), dtype)
    stored = {field: runner.array(to_format(array, stored_as(field, dtype))) for field, array in drawn.items()}
    found = {}
    for function, takes, makes in calls(name, runner=runner, dtype=dtype):
        made = function(*(in_heads(stored[field]) for field in takes))
        found |= {field: in_heads(array) for field, array in zip(makes, made, strict=True)}
    tensors = {field: ag.Tensor(drawn[field].astype(float), requires_grad=True) for field in KERNELS[name][0].split()}
    out = KERNELS[name][-1](*tensors.values())
    grads = ag.gradients((out * drawn["out_grad"].astype(float)).sum(), tensors.values())
    exact = {"out": out.data, **{f"{field}_grad": grad for field, grad in zip(tensors, grads)}}
    exact, dtypes = [exact[field] for field in found], [stored_as(field, dtype) for field in found]
    return _compare(found.keys(), found.values(), exact, dtypes)


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


def _compare(fields, got, exact, dtypes):
    def error(array, want, dtype):
        rounded = to_float32(to_format(want.astype(np.float32), dtype), dtype)
        largest = np.abs(to_float32(to_numpy(array), dtype) - want).max()
        return Error(float(largest), float(np.abs(want).max()), float(np.abs(rounded - want).max()))

    return {field: error(*of_field) for field, *of_field in zip(fields, got, exact, dtypes)}
