"""The GPU's ceilings, and the kernels beside attention in gigabytes a second, as shares of a plain copy's.

A kernel's bytes are those of its arguments and results, each array counted once: adamw_ema reads five and writes four.
"""

import functools
import math

import numpy as np

from ...base import backend
from ...kernels import fused
from ...kernels.formats import to_float32
from ...kernels.launch import launcher
from . import gpu_timing
from .gpu_session import Cell
from .gpu_timing import Side, bytes_of, normal, noted, sets_past_the_cache

# Rows of two widths: of a small model and of a large one, (groups, rows, width), in heads of 64.
SHAPES = {"128 wide": (64, 8192, 128), "1024 wide": (8, 8192, 1024)}
DTYPES = ("bfloat16", "float32")
HEAD_WIDTH = 64
SEGMENTS = ((0.5, 1e-3, 0.1), (0.5, 1e-3, 0.0))  # of adamw_ema: share of all numbers, learning rate, weight decay


def ceilings():
    """Cells: how fast this GPU multiplies and copies."""
    backend.use("gpu")
    for name, make in (("cuBLAS bfloat16", _cublas), ("cuBLAS float32", _float32_products), ("copy", _copy)):
        yield Cell(name, Side(name, make).measure)


def _cublas():
    """Products of bfloat16, sums in float32, on random numbers."""
    from cupy_backends.cuda.libs import cublas

    size = 64 if gpu_timing.short() else 8192
    cupy, bfloat16, factors = backend.xp(), 14, np.array([1, 0], np.float32)  # 14: CUDA_R_16BF
    handle = cupy.cuda.Device().cublas_handle
    a, b = (normal((size, size), "bfloat16", seed) for seed in range(2))
    c = cupy.empty_like(a)

    def work():
        one, zero = (factors.ctypes.data + 4 * i for i in range(2))  # taken here: so long the array is kept
        sides = (a.data.ptr, bfloat16, size, b.data.ptr, bfloat16, size)
        result = (c.data.ptr, bfloat16, size, cublas.CUBLAS_COMPUTE_32F, -1)  # -1: cuBLAS chooses how
        cublas.gemmEx(handle, 0, 0, size, size, size, one, *sides, zero, *result)

    work()
    few = slice(0, 8)  # of what cuBLAS takes for columns: the product is that of b and a
    exact = to_float32(b[few], "bfloat16").astype(np.float64) @ to_float32(a[:, few], "bfloat16").astype(np.float64)
    apart = float(abs(to_float32(c[few, few], "bfloat16") - exact).max() / abs(exact).max())
    wrong = not apart <= 2**-8  # twice what rounding to bfloat16 makes of it
    return work, [()], {"flops": 2 * size**3, **noted(f"mismatch: the product is {apart:.1e} off" if wrong else "")}


def _float32_products():
    size = 8 if gpu_timing.short() else 8192
    a, b = (normal((size, size), "float32", seed) for seed in range(2))
    c = backend.xp().empty_like(a)
    return (lambda: backend.xp().matmul(a, b, out=c)), [()], {"flops": 2 * size**3}


def _copy():
    size = 1 << (10 if gpu_timing.short() else 28)
    a = normal((size,), "float32", 0)
    b = backend.xp().empty_like(a)
    return (lambda: backend.xp().copyto(b, a)), [()], {"bytes": 2 * a.nbytes}


def cells():
    """Cells 'bias_gelu forward 1024 wide bfloat16', of every kernel, both directions, shapes and dtypes."""
    backend.use("gpu")
    few = 1 if gpu_timing.short() else None
    for shape_name, shape in list(SHAPES.items())[:few]:
        shape = (2, 16, 128) if few else shape
        for dtype in DTYPES[:few]:
            for name, prepare in _KERNELS.items():
                prepared = functools.cache(functools.partial(prepare, shape, dtype))
                for i, direction in enumerate(("forward", "backward")):
                    about = {"who": name, "direction": direction, "dtype": dtype, "shape": shape_name}
                    make = functools.partial(_make, prepared, i, about)
                    yield Cell(" ".join(about.values()), Side(name, make).measure)
                prepared.cache_clear()
    yield Cell("adamw_ema", Side("adamw_ema", _adamw_ema).measure)


def _make(prepared, which, about):
    function, sets = prepared()[which]
    results = function(*sets[0])
    moved = sum(array.nbytes for array in (*sets[0], *(results if isinstance(results, tuple) else (results,))))
    return function, sets, {**about, "bytes": moved}


def _sets(shapes, dtypes):
    """Sets of arrays of these shapes and dtypes, as many as pass the cache."""
    count = sets_past_the_cache(sum(map(bytes_of, shapes, dtypes)))
    return [
        [normal(shape, dtype, len(shapes) * i + j) for j, (shape, dtype) in enumerate(zip(shapes, dtypes))]
        for i in range(count)
    ]


def _modulate(shape, dtype):
    options = {"runner": launcher(), "dtype": dtype}
    vector = (shape[0], 1, shape[2])
    sets = _sets([shape, vector, vector, shape], [dtype] * 4)
    return (
        (functools.partial(fused.normalise_and_modulate, **options), [given[:3] for given in sets]),
        (
            functools.partial(fused.normalise_and_modulate_backward, **options),
            [(x, scale, out_grad) for x, _, scale, out_grad in sets],
        ),
    )


def _gated_residual(shape, dtype):
    options = {"runner": launcher(), "dtype": dtype}
    sets = _sets([shape, (shape[0], 1, shape[2]), shape, shape], [dtype] * 4)
    return (
        (functools.partial(fused.gated_residual, **options), [given[:3] for given in sets]),
        (functools.partial(fused.gated_residual_backward, **options), [given[1:] for given in sets]),
    )


def _bias_gelu(shape, dtype):
    options = {"runner": launcher(), "dtype": dtype}
    sets = _sets([shape, shape[2:], shape], [dtype, "float32", dtype])
    return (
        (functools.partial(fused.bias_gelu, **options), [given[:2] for given in sets]),
        (functools.partial(fused.bias_gelu_backward, **options), sets),
    )


def _norm_and_rotary(shape, dtype):
    groups, rows, width = shape
    options = {"runner": launcher(), "dtype": dtype}
    heads = (groups, rows, width // HEAD_WIDTH, HEAD_WIDTH)
    table = (rows, HEAD_WIDTH // 2)
    sets = _sets([heads, heads[3:], heads, table, table], [dtype, "float32", dtype, "float32", "float32"])
    for given in sets:  # (batch, heads, tokens, width), as it lies after a product
        given[0], given[2] = given[0].swapaxes(1, 2), given[2].swapaxes(1, 2)
    return (
        (
            functools.partial(fused.norm_and_rotary, **options),
            [(x, weight, cos, sin) for x, weight, _, cos, sin in sets],
        ),
        (functools.partial(fused.norm_and_rotary_backward, **options), sets),
    )


_KERNELS = {
    "normalise_and_modulate": _modulate,
    "gated_residual": _gated_residual,
    "bias_gelu": _bias_gelu,
    "norm_and_rotary": _norm_and_rotary,
}


def _adamw_ema():
    count = 1 << (10 if gpu_timing.short() else 26)
    state = [normal((count,), "float32", seed) for seed in range(5)]
    state[3] = abs(state[3])  # the mean of squares
    segments = [(math.floor(share * count), rate, decay) for share, rate, decay in SEGMENTS]
    options = {"runner": launcher(), "segments": segments, "step": 100, "share": 0.01}
    about = {"who": "adamw_ema", "direction": "forward", "dtype": "float32", "shape": "1024 wide"}
    return functools.partial(fused.adamw_ema, **options), [state], {**about, "bytes": 9 * state[0].nbytes}
