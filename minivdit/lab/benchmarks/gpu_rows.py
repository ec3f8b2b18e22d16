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
from .kernel_fused_check import KERNELS, calls, in_heads, shapes_of, stored_as

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
            for name in KERNELS:
                sets = functools.cache(functools.partial(_sets, name, shape, dtype))
                for place, direction in enumerate(("forward", "backward")):
                    about = {"who": name, "direction": direction, "dtype": dtype, "shape": shape_name}
                    make = functools.partial(_make, sets, place, about)
                    yield Cell(" ".join(about.values()), Side(name, make).measure)
                sets.cache_clear()
    yield Cell("adamw_ema", Side("adamw_ema", _adamw_ema).measure)


def _make(sets, place, about):
    work, takes, _ = calls(about["who"], runner=launcher(), dtype=about["dtype"])[place]
    inputs = [[in_heads(given[field]) for field in takes] for given in sets()]
    moved = sum(array.nbytes for array in (*inputs[0], *work(*inputs[0])))
    return work, inputs, {**about, "bytes": moved}


def _sets(name, shape, dtype):
    """Sets of all that a kernel takes, {array: ...} each, as many as pass the cache."""
    groups, rows, width = shape
    heads = width // HEAD_WIDTH if name == "norm_and_rotary" else 1
    shapes = shapes_of(name, groups, rows, width // heads, heads)
    kinds = {field: (shape, stored_as(field, dtype)) for field, shape in shapes.items()}
    count = sets_past_the_cache(sum(bytes_of(*kind) for kind in kinds.values()))
    return [
        {field: normal(*kind, len(kinds) * i + j) for j, (field, kind) in enumerate(kinds.items())}
        for i in range(count)
    ]


def _adamw_ema():
    count = 1 << (10 if gpu_timing.short() else 26)
    state = [normal((count,), "float32", seed) for seed in range(5)]
    state[3] = abs(state[3])  # the mean of squares
    segments = [(math.floor(share * count), rate, decay) for share, rate, decay in SEGMENTS]
    options = {"runner": launcher(), "segments": segments, "step": 100, "share": 0.01}
    about = {"who": "adamw_ema", "direction": "forward", "dtype": "float32", "shape": "1024 wide"}
    return functools.partial(fused.adamw_ema, **options), [state], {**about, "bytes": 9 * state[0].nbytes}
