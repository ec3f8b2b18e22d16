"""Attention by kernel: which files there are, and each of them as a function of arrays.

What is computed is what autograd/attend.py computes, which is the reference here too. A `runner` does the last step:
emulate.Emulation runs the kernel on the CPU on NumPy arrays, launch.Launcher on the GPU on CuPy arrays; everything
before it is the same.
"""

import ctypes
import math

import numpy as np

from ..base.backend import array_module
from ..base.errors import InputError
from .describe import Function, KernelFile, Rows, address, check_library, empty_rows, rows, run
from .formats import STORED_AS, format_of


class Forward(ctypes.Structure):
    """Forward<T> of kernels/attention.cuh."""

    _fields_ = [
        *[(name, Rows) for name in ("q", "k", "v", "out", "log_sum_exp", "query_time", "key_time")],
        *[(name, ctypes.c_void_p) for name in ("query_ranges", "key_ranges")],
        ("scores", ctypes.c_void_p),
        *[(name, ctypes.c_int) for name in ("batch", "heads", "queries", "keys")],
        ("scale", ctypes.c_float),
    ]


class Backward(ctypes.Structure):
    """Backward<T> of kernels/attention.cuh."""

    _fields_ = [
        *[(name, Rows) for name in ("q", "k", "v", "out", "out_grad", "log_sum_exp", "row_sums")],
        *[(name, Rows) for name in ("q_grad", "k_grad", "v_grad", "query_time", "key_time")],
        *[(name, ctypes.c_void_p) for name in ("query_ranges", "key_ranges")],
        *[(name, ctypes.c_int) for name in ("batch", "heads", "queries", "keys")],
        ("scale", ctypes.c_float),
    ]


# What a block works on, by width: its own rows, and how many of the other side it looks at in one go. The kernels have
# the same numbers; the emulation refuses a launch whose shared memory isn't exactly what the kernel uses.
ONLINE_TILES = {32: (64, 64), 64: (64, 32), 128: (64, 16)}
FORWARD_TILES = {32: (64, 64), 64: (64, 64), 128: (64, 32)}
BACKWARD_TILES = {32: (64, 64), 64: (64, 32), 128: (32, 16)}
SPLIT_TILES = {32: (64, 64), 64: (64, 64), 128: (64, 32)}
HALVES_TILES = {32: (64, 64), 64: (64, 64), 128: (64, 64)}
TRIMMED_TILES = {32: (128, 64), 64: (128, 64), 128: (128, 32)}
WARPGROUP_TILES = {32: (128, 64), 64: (128, 64), 128: (128, 128)}
SPECIALISED_TILES = {32: (192, 128), 64: (192, 128), 128: (128, 128)}
BACKWARD_HALVES_TILES = {32: (64, 64), 64: (64, 32), 128: (64, 16)}
BACKWARD_ASYNC_TILES = {32: (128, 32), 64: (128, 32), 128: (64, 32)}
WARPGROUP_KEYS_TILES = {32: (128, 128), 64: (128, 128), 128: (128, 64)}
WARPGROUP_QUERIES_TILES = {32: (128, 64), 64: (128, 64), 128: (128, 128)}
IN_RANGE = 16  # tokens of which attention keeps the smallest and the largest time, to pass over what a mask hides whole
HALVES = ("float16", "bfloat16")
LARGEST_SCALE = 1e8  # times LOWEST of kernels/attention.cuh it is still a float32
MOST_NUMBERS = 2**31 - 128  # of a head, in the naive rung: rounded up to whole blocks they must fit into an int


def _online_bytes(width):
    own, others = ONLINE_TILES[width]
    return 4 * (width * own + 2 * others * width + others)


def _forward_bytes(width):
    own, others = FORWARD_TILES[width]
    return 4 * ((own + others) * (width + 4) + own * _weights_apart(others) + others)


def _backward_bytes(width):
    own, others = BACKWARD_TILES[width]
    return 4 * (2 * (own + others) * (width + 4) + own * _weights_apart(others) + 3 * others)


def _weights_apart(columns):
    return columns + 16 if columns % 32 == 0 else columns


def _function(name, threads, rows, rows_of_a_block, shared_bytes=lambda width: 0):
    """A function whose blocks take so many rows each, where rows(arguments, width) is their number in a head."""

    def blocks(arguments, width):
        own = rows_of_a_block(width) if callable(rows_of_a_block) else rows_of_a_block
        return -(-rows(arguments, width) // own) * arguments.batch * arguments.heads

    return Function(name, threads, blocks, shared_bytes)


def _queries(arguments, width):
    return arguments.queries


def _keys(arguments, width):
    return arguments.keys


def _own(tiles):
    return lambda width: tiles[width][0]


def _tile_bytes(tiles, own_tiles, others_tiles, of_own, of_others, padding=0, aligned=4, beside=0):
    """Shared memory of so many tiles of 16-bit numbers of either side, and so many numbers of 4 bytes for each row.

    beside: bytes of what else there is; aligned: what the size in bytes of all this is a multiple of.
    """

    def shared_bytes(width):
        own, others = tiles[width]
        in_tiles = (own_tiles * own + others_tiles * others) * (width + padding)
        size = 2 * in_tiles + 4 * (of_own * own + of_others * others) + beside
        return -(-size // aligned) * aligned

    return shared_bytes


def _ranges_function(name):
    """What runs before all else if there are times: one thread for each range of either side."""

    def ranges(arguments, width):
        return -(-arguments.queries // IN_RANGE) - (-arguments.keys // IN_RANGE) if arguments.query_time.data else 0

    return _function(f"{name}_ranges", 128, ranges, 128)


def _file(name, arguments, functions, types=(), architecture=75, only=None):
    argument_type = f"{arguments.__name__}<{'{type}' if types else 'float'}>"
    return KernelFile(name, functions, arguments, argument_type, (32, 64, 128), architecture, types, only)


def _forward_file(name, tiles, shared_bytes, threads=128, skips=True, **options):
    """A file of one function, whose blocks take a tile of queries each, and of what it needs to skip hidden tiles."""
    before = (_ranges_function(name),) if skips else ()
    functions = (*before, _function(name, threads, _queries, _own(tiles), shared_bytes))
    return _file(name, Forward, functions, **options)


def _backward_file(
    name, rows_of_a_block, shared_bytes=lambda width: 0, bytes_for_queries=None, threads=128, skips=True, **options
):
    """A file of three functions: a warp for each row's sum, then blocks of keys, then blocks of queries.

    bytes_for_queries: of shared memory for the last, where it isn't `shared_bytes` as for the keys; skips: with what it
    needs to skip hidden tiles, before all else.
    """
    functions = (
        *((_ranges_function(name),) if skips else ()),
        _function(f"{name}_row_sums", 128, _queries, 4),
        _function(f"{name}_keys", threads, _keys, rows_of_a_block, shared_bytes),
        _function(f"{name}_queries", threads, _queries, rows_of_a_block, bytes_for_queries or shared_bytes),
    )
    return _file(name, Backward, functions, **options)


def _backward_tiles_file(name, tiles, *parts, **options):
    return _backward_file(name, _own(tiles), _tile_bytes(tiles, *parts), **options)


_NAIVE = (
    _function("attention_forward_1_naive_scores", 128, lambda a, width: a.queries * a.keys, 128),
    _function("attention_forward_1_naive_softmax", 128, _queries, 128),
    _function("attention_forward_1_naive_output", 128, lambda a, width: a.queries * width, 128),
)
_ON_80 = {"types": HALVES, "architecture": 80}
_ON_90A = {"types": HALVES, "architecture": 90, "only": "90a"}
FILES = {
    file.name: file
    for file in (
        _file("attention_forward_1_naive", Forward, _NAIVE),
        _forward_file("attention_forward_2_online", ONLINE_TILES, _online_bytes, threads=64, skips=False),
        _forward_file("attention_forward_3_tiles", FORWARD_TILES, _forward_bytes),
        _forward_file(
            "attention_forward_4_tensor_cores",
            HALVES_TILES,
            _tile_bytes(HALVES_TILES, 1, 2, 0, 1, padding=8),
            skips=False,
            types=HALVES,
        ),
        _forward_file(
            "attention_forward_4b_split_floats", SPLIT_TILES, _tile_bytes(SPLIT_TILES, 2, 4, 0, 1), architecture=80
        ),
        _forward_file(
            "attention_forward_5_swizzled", HALVES_TILES, _tile_bytes(HALVES_TILES, 1, 2, 0, 1), types=HALVES
        ),
        _forward_file("attention_forward_6_async", HALVES_TILES, _tile_bytes(HALVES_TILES, 1, 4, 0, 2), **_ON_80),
        _forward_file(
            "attention_forward_7_trimmed", TRIMMED_TILES, _tile_bytes(TRIMMED_TILES, 1, 4, 1, 2), skips=False, **_ON_80
        ),
        _forward_file(
            "attention_forward_8_wgmma",
            WARPGROUP_TILES,
            _tile_bytes(WARPGROUP_TILES, 1, 4, 1, 2, aligned=1024),
            threads=256,
            **_ON_90A,
        ),
        _forward_file(
            "attention_forward_9_specialised",
            SPECIALISED_TILES,
            _tile_bytes(SPECIALISED_TILES, 1, 4, 1, 2, aligned=1024, beside=64),
            threads=512,
            skips=False,
            **_ON_90A,
        ),
        _backward_file("attention_backward_1_warps", 4, skips=False),
        _backward_file("attention_backward_2_tiles", _own(BACKWARD_TILES), _backward_bytes),
        _backward_tiles_file("attention_backward_3_tensor_cores", BACKWARD_HALVES_TILES, 2, 2, 0, 3, types=HALVES),
        _backward_tiles_file("attention_backward_3b_split_floats", BACKWARD_HALVES_TILES, 4, 4, 0, 3, architecture=80),
        _backward_tiles_file("attention_backward_4_async", BACKWARD_ASYNC_TILES, 2, 4, 0, 6, **_ON_80),
        _backward_file(
            "attention_backward_5_wgmma",
            _own(WARPGROUP_KEYS_TILES),  # as many as of queries
            _tile_bytes(WARPGROUP_KEYS_TILES, 2, 4, 0, 6, aligned=1024),
            _tile_bytes(WARPGROUP_QUERIES_TILES, 2, 4, 0, 6, aligned=1024),
            threads=256,
            skips=False,
            **_ON_90A,
        ),
    )
}


# The files by direction, best first: `best` takes the first that runs. On an sm_80 or newer, float32 is multiplied by
# tensor cores as pairs of bfloat16 (see rung 3b), on older GPUs as it is. For 16 bits rung 8 comes first (its head has
# the sums). Chosen by arithmetic alone: nobody has measured. Rung 9 should be faster where there are many queries, but
# its blocks of 192 fit few lengths and fill a multiprocessor alone: it stays out until a GPU has compared the two.
# Backward rung 5 should be faster, too, and stays out until a GPU has run it: a training notices wrong gradients late.
BEST = {
    Forward: (
        "attention_forward_8_wgmma",
        "attention_forward_7_trimmed",
        "attention_forward_6_async",
        "attention_forward_5_swizzled",
        "attention_forward_4b_split_floats",
        "attention_forward_3_tiles",
    ),
    Backward: (
        "attention_backward_4_async",
        "attention_backward_3_tensor_cores",
        "attention_backward_3b_split_floats",
        "attention_backward_2_tiles",
    ),
}


def best(kind, dtype, width, architecture, shared_bytes, compiles=lambda file: True):
    """The name of the best file of a kind, Forward or Backward, for numbers of this dtype and heads of this width.

    architecture: of the GPU, '90' for sm_90; shared_bytes: what it has for a block; compiles(file): whether that can be
    compiled, asked of the best last. Raises InputError if none will do.
    """
    for name in BEST[kind]:
        if FILES[name].runs(dtype, width, architecture, shared_bytes) and compiles(FILES[name]):
            return name
    raise InputError(
        f"no attention kernel reads {dtype} in heads of {width} numbers on this GPU (sm_{architecture}, {shared_bytes} "
        "bytes of shared memory a block); use float32 arrays, --kernels off (plain CuPy) or --device cpu"
    )


def forward(name, q, k, v, *, runner, scale=None, query_time=None, key_time=None, dtype=None):
    """Attention by the kernel file `name`, an attention_forward_... of FILES.

    q: (batch, heads, queries, width); k, v: (batch, heads, keys, width), of a dtype that the file reads, width 32, 64
    or 128; views with any strides that leave rows whole. scale: above 0, to 1e8; 1/sqrt(width) unless given.
    query_time, key_time: int32, broadcast against (batch, heads, queries) and (batch, heads, keys); key j is visible to
    query i if key_time[j] <= query_time[i], and times lie between -2**31 + 1 and 2**31 - 1, both excluded. dtype:
    "bfloat16" if the arrays are uint16 and hold the bits of such numbers (formats.to_format makes them).
    Returns out, shaped as q and in memory as (batch, queries, heads, width), of the same dtype; and log_sum_exp,
    float32 (batch, heads, queries). A query that sees nothing gets zeros and -infinity. Raises InputError.
    """
    file, arguments, dtype = _prepare(name, Forward, q, k, v, scale, query_time, key_time, runner, dtype)
    naive = name == "attention_forward_1_naive"
    if naive and q.shape[2] * max(k.shape[2], q.shape[3]) > MOST_NUMBERS:
        raise InputError(f"{name} counts a head's scores in 31 bits; {q.shape[2]} x {k.shape[2]} are too many")
    out, log_sum_exp = empty_rows(runner, q.shape, dtype), runner.empty(q.shape[:3])
    arguments.out = rows("out", out, q.shape, STORED_AS[dtype])
    arguments.log_sum_exp = rows("log_sum_exp", log_sum_exp, q.shape[:3], np.float32)
    if naive:
        scores = runner.empty((*q.shape[:3], k.shape[2]))
        arguments.scores = address(scores)
    run(file, file.functions, q.shape[3], arguments, runner, dtype)
    return out, log_sum_exp


def backward(
    name, q, k, v, out, log_sum_exp, out_grad, *, runner, scale=None, query_time=None, key_time=None, dtype=None
):
    """The gradients of q, k and v by the kernel file `name`, an attention_backward_... of FILES.

    out and log_sum_exp: as `forward` returned them for these arguments; out_grad: as out, of the same dtype.
    Returns q_grad, k_grad and v_grad, shaped as q, k and v; bitwise the same each time. Raises InputError.
    """
    file, arguments, dtype = _prepare(name, Backward, q, k, v, scale, query_time, key_time, runner, dtype)
    check_library(runner, out, log_sum_exp, out_grad)
    arguments.out = rows("out", out, q.shape, STORED_AS[dtype])
    arguments.out_grad = rows("out_grad", out_grad, q.shape, STORED_AS[dtype])
    arguments.log_sum_exp = rows("log_sum_exp", log_sum_exp, q.shape[:3], np.float32)
    row_sums = runner.empty(q.shape[:3])
    arguments.row_sums = rows("row_sums", row_sums, q.shape[:3], np.float32)
    grads = {f"{name}_grad": empty_rows(runner, array.shape, dtype) for name, array in (("q", q), ("k", k), ("v", v))}
    for field, grad in grads.items():
        setattr(arguments, field, rows(field, grad, grad.shape, STORED_AS[dtype]))
    run(file, file.functions, q.shape[3], arguments, runner, dtype)
    return tuple(grads.values())


def _prepare(name, kind, q, k, v, scale, query_time, key_time, runner, dtype):
    """The file, those of its arguments that both directions have, and the name of the dtype, all checked."""
    file = FILES.get(name)
    if file is None or file.arguments is not kind:
        possible = [file.name for file in FILES.values() if file.arguments is kind]
        raise InputError(f"{name!r} is not a {kind.__name__.lower()} kernel of attention; there are {possible}")
    check_library(runner, q, k, v)
    if q.ndim != 4 or k.ndim != 4 or 0 in q.shape or 0 in k.shape:
        raise InputError(f"attention needs q and k as (batch, heads, tokens, width), not {q.shape} and {k.shape}")
    if q.shape[3] not in file.instances:
        raise InputError(f"{name} exists for head widths {', '.join(map(str, file.instances))}, not {q.shape[3]}")
    dtype = format_of(q, dtype, file.dtypes(), name)
    if scale is not None and not 0 < scale <= LARGEST_SCALE:
        raise InputError(f"attention needs a scale above 0 and up to {LARGEST_SCALE:.0e}, not {scale}")
    if (query_time is None) != (key_time is None):
        raise InputError("attention needs query_time and key_time together, or neither")
    batch, heads, queries, width = q.shape
    keys = k.shape[2]
    arguments = kind(batch=batch, heads=heads, queries=queries, keys=keys)
    arguments.scale = 1 / math.sqrt(width) if scale is None else float(scale)
    for field, array, length in (("q", q, queries), ("k", k, keys), ("v", v, keys)):
        setattr(arguments, field, rows(field, array, (batch, heads, length, width), STORED_AS[dtype]))
    if query_time is not None:
        xp = array_module(q)
        for field, time, length in (("query_time", query_time, queries), ("key_time", key_time, keys)):
            times = xp.broadcast_to(xp.asarray(time), (batch, heads, length))
            setattr(arguments, field, rows(field, times, times.shape, np.int32))
            ranges = runner.empty((batch, heads, -(-length // IN_RANGE)), np.int64)  # each a pair of int32
            setattr(arguments, field.replace("time", "ranges"), address(ranges))
            setattr(arguments, f"keep_{field}", (times, ranges))  # pointers alone wouldn't keep the arrays alive
    return file, arguments, dtype
