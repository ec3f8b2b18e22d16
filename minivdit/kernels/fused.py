"""Operations other than attention, by kernel: normalise and modulate, gated residual, bias + GELU, and others.

They compute what autograd/fused.py, autograd/elementwise.py, autograd/attend.py and nn/optim.py compute. One file holds
the value and the pullback of an operation. The pullback computes again what it needs, so that nothing but the
arguments is kept between the two. Runners, dtypes and errors are as in attention.py.
"""

import ctypes
import math

import numpy as np

from ..base.backend import array_module
from ..base.errors import InputError
from .describe import Function, KernelFile, Rows, address, check_library, contiguous, empty_rows, rows, run, vectors
from .formats import STORED_AS, format_of

THREADS = 128  # a block
TYPES = ("float32", "float16", "bfloat16")
ROWS_OF_A_TILE = 32  # at least so many rows a block,
TILES = 1024  # and so many more that there are at most so many blocks whose sums the next kernel has to add up
COLUMNS_OF_SUMS = 32  # that a block of the second kernel takes
COLUMNS = 128  # that a warp takes where rows can be cut anywhere:
OF_ANY_WIDTH = ("gated_residual", "bias_gelu")
SEGMENTS = 8
FORWARD, BACKWARD, WITHOUT_SUMS = slice(1), slice(1, None), slice(1, 2)  # of a file's functions
ELSE = "use --kernels off (plain CuPy) or --device cpu"


def _structure(name, pointers, integers, floats=(), rows=()):
    """A ctypes.Structure with the fields in that order."""
    fields = [(field, Rows) for field in rows] + [(field, ctypes.c_void_p) for field in pointers]
    fields += [(field, ctypes.c_int) for field in integers] + [(field, ctypes.c_float) for field in floats]
    return type(name, (ctypes.Structure,), {"_fields_": fields, "__doc__": f"{name} of kernels/."})


Modulate = _structure(
    "Modulate",
    ("x", "out_grad", "out", "x_grad", "shift_grad", "scale_grad", "shift_sums", "scale_sums"),
    ("groups", "rows", "width", "tiles", "rows_of_a_tile", "aligned"),
    ("eps",),
    rows=("shift", "scale"),
)
GatedResidual = _structure(
    "GatedResidual",
    ("x", "branch", "out_grad", "out", "branch_grad", "gate_grad", "sums"),
    ("groups", "rows", "width", "tiles", "rows_of_a_tile", "aligned"),
    rows=("gate",),
)
BiasGelu = _structure(
    "BiasGelu",
    ("x", "out_grad", "bias", "out", "x_grad", "bias_grad", "sums"),
    ("rows", "width", "tiles", "rows_of_a_tile", "aligned"),
)
NormAndRotary = _structure(
    "NormAndRotary",
    ("weight", "weight_grad", "sums"),
    ("batch", "heads", "tokens", "width", "tiles", "rows_of_a_tile", "aligned"),
    ("factor", "eps"),
    rows=("x", "out_grad", "out", "x_grad", "cos", "sin"),
)


class AdamWEMA(ctypes.Structure):
    """AdamWEMA of kernels/adamw_ema.cu."""

    _fields_ = [
        *[(name, ctypes.c_void_p) for name in ("weights", "average", "mean", "square", "gradient", "gradient_factor")],
        *[(name, ctypes.c_longlong) for name in ("count", "updated")],
        ("end", ctypes.c_longlong * SEGMENTS),
        *[(name, ctypes.c_float * SEGMENTS) for name in ("step_size", "kept")],
        *[(name, ctypes.c_float) for name in ("beta1", "one_minus_beta1", "beta2", "one_minus_beta2")],
        *[(name, ctypes.c_float) for name in ("square_bias", "eps", "share")],
        ("aligned", ctypes.c_int),
    ]


def _sums_bytes(columns):
    """Shared memory of a block whose teams hold so many columns each: Sums of kernels/rows.cuh."""
    lanes = min(32, columns // 4)
    return 4 * THREADS // lanes * columns


def _file(name, arguments, instances, columns=lambda instance: instance):
    """A file with a forward function, a backward one, and one that adds up the sums of the backward one's blocks.

    columns(instance): how many a team holds.
    """

    def groups(a):
        return getattr(a, "groups", 1)

    def of_tiles(a, instance):
        across = -(-a.width // instance) if name in OF_ANY_WIDTH else 1
        return groups(a) * a.tiles * across

    def of_sums(a, instance):
        return groups(a) * -(-a.width // COLUMNS_OF_SUMS)

    functions = (
        Function(f"{name}_forward", THREADS, of_tiles),
        Function(f"{name}_backward", THREADS, of_tiles, lambda n: _sums_bytes(columns(n))),
        Function(f"{name}_sums", THREADS, of_sums, lambda n: _sums_bytes(COLUMNS_OF_SUMS)),
    )
    return KernelFile(name, functions, arguments, f"{arguments.__name__}<{{type}}>", instances, types=TYPES)


_ADAMW_EMA = Function("adamw_ema", THREADS, lambda a, instance: -(-a.count // (THREADS // 32 * instance)))
FILES = {
    file.name: file
    for file in (
        _file("normalise_and_modulate", Modulate, (128, 256, 512, 1024)),
        _file("gated_residual", GatedResidual, (COLUMNS,)),
        _file("bias_gelu", BiasGelu, (COLUMNS,)),
        _file("norm_and_rotary", NormAndRotary, (32, 64, 128, 256, 1024), columns=lambda width: width // 2),
        KernelFile("adamw_ema", (_ADAMW_EMA,), AdamWEMA, "AdamWEMA", (COLUMNS,)),
    )
}


def normalise_and_modulate(x, shift=None, scale=None, *, runner, eps=1e-6, dtype=None):
    """layer_norm(x) * (1 + scale) + shift, as autograd's `normalise_and_modulate`; without both, layer_norm(x).

    x: (..., S, D), contiguous, D at most 1024; shift, scale: (..., 1, D), which may be parts of the columns of one
    array; all of one dtype: float32, float16 or (with dtype="bfloat16") uint16. Returns an array like x. Raises
    InputError.
    """
    if (shift is None) != (scale is None):
        raise InputError("normalise_and_modulate needs shift and scale together, or neither")
    arguments, dtype = _modulate(x, scale, runner, eps, dtype)
    if shift is not None:
        check_library(runner, shift)
        arguments.shift = vectors("shift", shift, scale.shape, STORED_AS[dtype])
    (out,) = _new(arguments, runner, dtype, out=x.shape)
    _run("normalise_and_modulate", arguments, runner, dtype)
    return out


def normalise_and_modulate_backward(x, scale, out_grad, *, runner, eps=1e-6, dtype=None):
    """The gradients of x, shift and scale, given that of `normalise_and_modulate`'s result; bitwise the same each time.

    Arrays as there; out_grad is like x. Returns x_grad, shift_grad and scale_grad, the last two None without a scale.
    Raises InputError.
    """
    arguments, dtype = _modulate(x, scale, runner, eps, dtype, backward=True)
    check_library(runner, out_grad)
    arguments.out_grad = contiguous("out_grad", out_grad, x.shape, STORED_AS[dtype])
    (x_grad,) = _new(arguments, runner, dtype, x_grad=x.shape)
    if scale is None:
        _run("normalise_and_modulate", arguments, runner, dtype, WITHOUT_SUMS)
        return x_grad, None, None
    shift_grad, scale_grad = _new(arguments, runner, dtype, shift_grad=scale.shape, scale_grad=scale.shape)
    shape = (arguments.groups, arguments.tiles, arguments.width)
    _sums = _new(arguments, runner, shift_sums=shape, scale_sums=shape)
    _run("normalise_and_modulate", arguments, runner, dtype, BACKWARD)
    return x_grad, shift_grad, scale_grad


def _modulate(x, scale, runner, eps, dtype, backward=False):
    check_library(runner, x, *[] if scale is None else [scale])
    dtype = _checked("normalise_and_modulate", x, dtype, axes=2)
    *leading, length, width = x.shape
    if scale is None:
        leading, length = [], x.size // width
    arguments = Modulate(groups=math.prod(leading), rows=length, width=width, eps=eps)
    arguments.x = contiguous("x", x, x.shape, STORED_AS[dtype])
    if scale is not None:
        arguments.scale = vectors("scale", scale, (*leading, 1, width), STORED_AS[dtype])
    _cut(arguments, length, arguments.groups, backward=backward)
    return arguments, dtype


def gated_residual(x, gate, branch, *, runner, dtype=None):
    """x + gate * branch, as autograd's `gated_residual`.

    x, branch: (..., S, D), contiguous; gate: (..., 1, D), which may be a part of the columns of an array; all of one
    dtype: float32, float16 or (with dtype="bfloat16") uint16. Returns an array like x. Raises InputError.
    """
    arguments, dtype = _gated_residual(gate, branch, runner, dtype)
    check_library(runner, x)
    arguments.x = contiguous("x", x, branch.shape, STORED_AS[dtype])
    (out,) = _new(arguments, runner, dtype, out=x.shape)
    _run("gated_residual", arguments, runner, dtype)
    return out


def gated_residual_backward(gate, branch, out_grad, *, runner, dtype=None):
    """The gradients of gate and branch, given that of `gated_residual`'s result, which is also that of x.

    Arrays as there; out_grad is like x. Bitwise the same each time. Raises InputError.
    """
    arguments, dtype = _gated_residual(gate, branch, runner, dtype, backward=True)
    check_library(runner, out_grad)
    arguments.out_grad = contiguous("out_grad", out_grad, branch.shape, STORED_AS[dtype])
    gate_grad, branch_grad = _new(arguments, runner, dtype, gate_grad=gate.shape, branch_grad=branch.shape)
    _sums = _new(arguments, runner, sums=(arguments.groups, arguments.tiles, arguments.width))
    _run("gated_residual", arguments, runner, dtype, BACKWARD)
    return gate_grad, branch_grad


def _gated_residual(gate, branch, runner, dtype, backward=False):
    check_library(runner, gate, branch)
    dtype = _checked("gated_residual", branch, dtype, axes=2)
    *leading, length, width = branch.shape
    arguments = GatedResidual(groups=math.prod(leading), rows=length, width=width)
    arguments.branch = contiguous("branch", branch, branch.shape, STORED_AS[dtype])
    arguments.gate = vectors("gate", gate, (*leading, 1, width), STORED_AS[dtype])
    _cut(arguments, length, arguments.groups, backward=backward)
    return arguments, dtype


def bias_gelu(x, bias, *, runner, dtype=None):
    """gelu(x + bias), as autograd's `gelu`.

    x: (..., D), contiguous, of float32, float16 or (with dtype="bfloat16") uint16; bias: (D,), float32.
    Returns an array like x. Raises InputError.
    """
    check_library(runner, x, bias)
    arguments, dtype = _bias_gelu(x, bias, dtype)
    (out,) = _new(arguments, runner, dtype, out=x.shape)
    _run("bias_gelu", arguments, runner, dtype)
    return out


def bias_gelu_backward(x, bias, out_grad, *, runner, dtype=None):
    """The gradients of x (like x) and of bias (float32), given that of `bias_gelu`'s result, which is like x.

    Bitwise the same each time. Raises InputError.
    """
    check_library(runner, x, bias, out_grad)
    arguments, dtype = _bias_gelu(x, bias, dtype, backward=True)
    arguments.out_grad = contiguous("out_grad", out_grad, x.shape, STORED_AS[dtype])
    (x_grad,) = _new(arguments, runner, dtype, x_grad=x.shape)
    bias_grad, _sums = _new(arguments, runner, bias_grad=bias.shape, sums=(arguments.tiles, arguments.width))
    _run("bias_gelu", arguments, runner, dtype, BACKWARD)
    return x_grad, bias_grad


def _bias_gelu(x, bias, dtype, backward=False):
    dtype = _checked("bias_gelu", x, dtype, axes=1)
    width = x.shape[-1]
    arguments = BiasGelu(rows=x.size // width, width=width)
    arguments.x = contiguous("x", x, x.shape, STORED_AS[dtype])
    arguments.bias = contiguous("bias", bias, (width,), np.float32)
    _cut(arguments, arguments.rows, backward=backward)
    return arguments, dtype


def norm_and_rotary(x, weight, cos=None, sin=None, *, runner, factor=1.0, eps=1e-6, dtype=None):
    """factor * rms_norm(x, weight), its pairs (x[i], x[i + width/2]) rotated: what autograd's `attention` does first.

    x: (batch, heads, tokens, width), width even and at most 1024, a view with any strides that leave rows whole, of
    float32, float16 or (with dtype="bfloat16") uint16. weight: (width,), float32. cos, sin: (tokens, width/2), or
    with leading axes that broadcast against x's, float32; without them nothing is rotated.
    Returns out, shaped as x and in memory as (batch, tokens, heads, width). Raises InputError.
    """
    arguments, dtype = _norm_and_rotary(x, weight, cos, sin, runner, factor, eps, dtype)
    out = empty_rows(runner, x.shape, dtype)
    arguments.out = rows("out", out, x.shape, STORED_AS[dtype], aligned=False)
    _run("norm_and_rotary", arguments, runner, dtype)
    return out


def norm_and_rotary_backward(
    x, weight, out_grad, cos=None, sin=None, *, runner, factor=1.0, eps=1e-6, dtype=None
):  # fmt: skip
    """The gradients of x (like `norm_and_rotary`'s result) and weight (float32), given that of its result.

    out_grad: of x's shape and dtype, with any strides that leave rows whole. Bitwise the same each time.
    Raises InputError.
    """
    arguments, dtype = _norm_and_rotary(x, weight, cos, sin, runner, factor, eps, dtype, backward=True)
    check_library(runner, out_grad)
    arguments.out_grad = rows("out_grad", out_grad, x.shape, STORED_AS[dtype], aligned=False)
    x_grad = empty_rows(runner, x.shape, dtype)
    arguments.x_grad = rows("x_grad", x_grad, x.shape, STORED_AS[dtype], aligned=False)
    weight_grad, _sums = _new(arguments, runner, weight_grad=weight.shape, sums=(arguments.tiles, arguments.width))
    _run("norm_and_rotary", arguments, runner, dtype, BACKWARD)
    return x_grad, weight_grad


def _norm_and_rotary(x, weight, cos, sin, runner, factor, eps, dtype, backward=False):
    check_library(runner, x, weight, *[] if cos is None or sin is None else [cos, sin])
    dtype = _checked("norm_and_rotary", x, dtype, axes=4)
    batch, heads, tokens, width = x.shape
    if x.ndim != 4 or width % 2:
        raise InputError(f"norm_and_rotary needs x as (batch, heads, tokens, an even width), not {x.shape}; {ELSE}")
    if (cos is None) != (sin is None):
        raise InputError("norm_and_rotary needs cos and sin together, or neither")
    arguments = NormAndRotary(batch=batch, heads=heads, tokens=tokens, width=width, factor=factor, eps=eps)
    arguments.x = rows("x", x, x.shape, STORED_AS[dtype], aligned=False)
    arguments.weight = contiguous("weight", weight, (width,), np.float32)
    if cos is not None:
        shape = (batch, heads, tokens, width // 2)
        for field, table in (("cos", cos), ("sin", sin)):
            try:
                table = array_module(x).broadcast_to(table, shape)
            except ValueError:
                message = f"norm_and_rotary of {x.shape} needs {field} as {shape}, or so that it broadcasts to it"
                raise InputError(f"{message}, not {table.shape}") from None
            setattr(arguments, field, rows(field, table, shape, np.float32, aligned=False))
    _cut(arguments, batch * heads * tokens, backward=backward)
    return arguments, dtype


def adamw_ema(
    weights, gradient, mean, square, average, *, runner, segments, step, share,
    betas=(0.9, 0.99), eps=1e-8, gradient_factor=None,
):  # fmt: skip
    """One update by optim's AdamW, then one of its EMA, for all parameters at once and in place.

    weights, average: (count,); gradient, mean, square: (updated,), at most as many; float32, contiguous. Weights behind
    the first `updated` have another optimiser, which was here before, and only get their average. segments: at most 8
    of (how many numbers, learning rate, weight decay), `updated` in all, in the order in which they lie there.
    step: the how manyth update this is, from 1 on. share: 1 - decay of the average for this update. gradient_factor: an
    array () or (1,) of float32 by which all gradients are multiplied, such as min(1, limit / norm); on a GPU nobody
    waits for it.
    Returns weights, mean, square and average. Raises InputError.
    """
    check_library(runner, weights, gradient, mean, square, average)
    count, updated = weights.size, mean.size
    numbers, rates, decays = zip(*segments) if segments else ((), (), ())
    if len(segments) > SEGMENTS or sum(numbers) != updated or any(number < 1 for number in numbers):
        raise InputError(
            f"adamw_ema needs at most {SEGMENTS} segments of at least one number, {updated} in all, not {list(numbers)}"
        )
    if updated > count:
        raise InputError(f"adamw_ema can't update {updated} numbers of {count}")
    if step < 1:
        raise InputError(f"adamw_ema counts steps from 1, not from {step}")
    arguments = AdamWEMA(count=count, updated=updated, eps=eps, share=share)
    for name, array, size in (
        *(("weights", weights, count), ("average", average, count)),
        *(("gradient", gradient, updated), ("mean", mean, updated), ("square", square, updated)),
    ):
        setattr(arguments, name, contiguous(name, array, (size,), np.float32))
    if gradient_factor is not None:
        check_library(runner, gradient_factor)
        shape = gradient_factor.shape if gradient_factor.size == 1 else ()
        arguments.gradient_factor = contiguous("gradient_factor", gradient_factor, shape, np.float32)
    bias, arguments.square_bias = 1 - betas[0] ** step, math.sqrt(1 - betas[1] ** step)
    arguments.beta1, arguments.one_minus_beta1, arguments.beta2, arguments.one_minus_beta2 = (
        number for beta in betas for number in (beta, 1 - beta)
    )
    rest = SEGMENTS - len(segments)
    arguments.end[:] = [*np.cumsum(numbers, dtype=int).tolist(), *[updated] * rest]
    arguments.step_size[:] = [*[rate / bias for rate in rates], *[0] * rest]
    arguments.kept[:] = [*[1 - rate * decay for rate, decay in zip(rates, decays)], *[1] * rest]
    _run("adamw_ema", arguments, runner)
    return weights, mean, square, average


def _checked(name, x, dtype, axes):
    """The name of x's dtype, where x itself is what the file `name` can take."""
    widest = max(FILES[name].instances)
    if x.ndim < axes or x.size == 0:
        raise InputError(f"{name} needs at least {axes} axes and one number, not {x.shape}")
    if name not in OF_ANY_WIDTH and x.shape[-1] > widest:
        raise InputError(f"the kernel {name} exists for widths up to {widest}, not {x.shape[-1]}; {ELSE}")
    if x.size // x.shape[-1] >= 2**30:
        raise InputError(f"{name} counts rows in 30 bits, and {x.shape} has more; split the batch")
    return format_of(x, dtype, TYPES, name)


def _cut(arguments, rows, groups=1, backward=False):
    """Cut each group of so many rows into tiles, by shape alone: then sums have the same order each time."""
    arguments.rows_of_a_tile = max(ROWS_OF_A_TILE, -(-rows * groups // TILES) if backward else 0)
    arguments.tiles = -(-rows // arguments.rows_of_a_tile)


def _new(arguments, runner, dtype="float32", **shapes):
    """New arrays for the fields that are named, whose addresses are set."""
    arrays = [runner.empty(shape, STORED_AS[dtype]) for shape in shapes.values()]
    for field, array in zip(shapes, arrays):
        setattr(arguments, field, address(array))
    return arrays


def _run(name, arguments, runner, dtype=None, part=FORWARD):
    """A part of a file's functions, for the narrowest instance that holds a row."""
    file = FILES[name]
    width = getattr(arguments, "width", 0)
    addresses, steps = [], [width // 2 if name == "norm_and_rotary" else width]
    for field, kind in arguments._fields_:
        value = getattr(arguments, field)
        if kind is ctypes.c_void_p:
            addresses.append(value or 0)
        elif kind is Rows:
            addresses.append(value.data or 0)
            steps += value.batch, value.head, value.token
    arguments.aligned = all(place % 16 == 0 for place in addresses) and all(step % 4 == 0 for step in steps)
    instance = next((instance for instance in file.instances if instance >= width), file.instances[-1])
    run(file, file.functions[part], instance, arguments, runner, dtype)
