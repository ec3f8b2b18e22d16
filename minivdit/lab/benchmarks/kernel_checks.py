"""Is a kernel file right? Cases for either runner: an Emulation at small shapes, a Launcher at any.

`cases(name, runner)` gives all that a file should be tried on: every dtype and width, lengths that nothing divides,
masks, several clips, views; `many_numbers(name, runner)` is arrays of more numbers than 31 bits count. A case returns
what it found, or raises WrongResult. Beside the errors against float64, each is held to:
  outputs, and whatever else a function gets as new memory, are NaN at first, so a number that nobody writes shows;
  nothing is written just before or behind them;
  a second run, on new arrays, gives the same bits.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np

from ...base.backend import array_module
from ...kernels import attention, fused
from ...kernels.catalogue import FILES
from ...kernels.formats import to_format
from . import kernel_attention_check, kernel_fused_check
from .kernel_fused_check import SHARED, calls, in_heads, shapes_of, stored_as

MARGIN = 512  # bytes on either side of an array
PAST_31_BITS = 2**31

# queries, keys: one, more and fewer than any tile holds, none of them divided by any
LENGTHS, SMALL_LENGTHS = ((1, 1), (65, 63), (257, 130), (1000, 1537)), ((1, 1), (33, 67))
# rows, width: read one by one and four at a time
ROWS, SMALL_ROWS = ((1, 2), (70, 102), (33, 128), (2, 1000), (5000, 384)), ((1, 2), (35, 134), (33, 136))
MASKS = (None, 3, "any")
TOLD = {None: "", 3: ", masked by 3 frames", "any": ", masked anyhow, views"}


class WrongResult(AssertionError):
    """What is wrong with a kernel's results, in one line."""


class Case(NamedTuple):
    """One thing to try. check() returns a dict of Errors by result, or raises WrongResult."""

    label: str
    check: object


class Guarded:
    """A runner whose new arrays hold NaN, with NaN on either side, of which `check` says whether it is still there."""

    def __init__(self, runner):
        self.runner, self.arrays, self.margins = runner, [], []

    def __getattr__(self, name):
        return getattr(self.runner, name)

    def array(self, array):
        """A NumPy array as an array of the runner's library, which remembers it: AdamW writes into what it is given."""
        self.arrays.append(self.runner.array(array))
        return self.arrays[-1]

    def empty(self, shape, dtype=np.float32):
        """A new array."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        whole = self.runner.empty(size + 2 * MARGIN, np.uint8)
        whole[...] = 0xFF  # NaN in every format, bfloat16's bits included
        self.margins += whole[:MARGIN], whole[MARGIN + size :]
        self.arrays.append(whole[MARGIN : MARGIN + size].view(np.dtype(dtype)).reshape(shape))
        return self.arrays[-1]

    def check(self):
        """Raises WrongResult where something was written beside an array."""
        if not all(bool((margin == 0xFF).all()) for margin in self.margins):
            raise WrongResult("something was written just before or behind an array")


def cases(name, runner, small=None, again=None):
    """Cases of a kernel file for the runner's GPU (an Emulation has every dtype).

    small: at shapes for an emulation, as is usual there. again: the runner of second runs, unless it is the same.
    """
    file, emulated = FILES[name], runner.library == "numpy"
    architecture = getattr(runner, "architecture", "90a")
    small = emulated if small is None else small
    for dtype in file.dtypes(architecture):
        if name not in attention.FILES:
            for rows, width in SMALL_ROWS if small else ROWS:
                check = functools.partial(check_rows, name, runner, rows, width, dtype, again)
                yield Case(f"{name} {dtype} {rows} x {width}", check)
            continue
        lengths = SMALL_LENGTHS if small else LENGTHS
        for width, (queries, keys), mask in itertools.product(file.instances, lengths, MASKS):
            if not emulated and not file.runs(dtype, width, architecture, runner.shared_bytes):
                continue
            apart = mask == "any"  # views and masks in one go
            shape = 2, 3, queries, keys, width
            check = functools.partial(check_attention, name, runner, shape, dtype, mask, apart, again)
            yield Case(f"{name} {dtype} {queries} x {keys} x {width}{TOLD[mask]}", check)


def check_attention(name, runner, shape, dtype=None, mask=None, apart=False, again=None):
    """Try an attention file at one shape: (batch, heads, queries, keys, width). A dict of Errors by result.

    mask: None, a number of frames, or "any"; apart: arrays are views, between whose rows is NaN: see
    kernel_attention_check.errors. again: the runner of the second run, unless it is the same. Raises WrongResult.
    """
    batch, heads, queries, keys, width = shape

    def errors(runner):
        return kernel_attention_check.errors(
            name, queries, keys, width, mask, 0, runner, batch=batch, heads=heads, dtype=dtype, apart=apart
        )

    return _twice(errors, runner, again or runner, 5e-5 if "split" in name else 1e-5)


def check_rows(name, runner, rows, width, dtype=None, again=None):
    """Try a file beside attention, forward and backward: see kernel_fused_check.errors. Raises WrongResult."""

    def errors(runner):
        return kernel_fused_check.errors(name, rows, width, 0, runner, dtype)

    return _twice(errors, runner, again or runner, 3e-6)


def _twice(errors, runner, again, near):
    """The Errors of a run, if they are small enough and a second run makes the same bits."""
    first, second = Guarded(runner), Guarded(again)
    found = errors(first)
    first.check()
    for field, error in found.items():
        allowed = 1e-4 if field == "log_sum_exp" else max(2 * error.plain, near * max(1, error.size))
        if not error.largest <= allowed:  # NaN isn't
            raise WrongResult(f"{field} is off by {error.largest:.1e}, allowed {allowed:.1e}")
    errors(second)
    if not all(same_bits(a, b) for a, b in zip(first.arrays, second.arrays, strict=True)):
        raise WrongResult("a second run gave other bits")
    return found


def same_bits(a, b):
    """Whether two arrays hold the same bits, NaN included."""
    xp = array_module(a)
    return bool((xp.ascontiguousarray(a).view(np.uint8) == xp.ascontiguousarray(b).view(np.uint8)).all())


# --- more numbers than 31 bits count -------------------------------------------------------------------------------


def many_numbers(name, runner, dtype=None, numbers=PAST_31_BITS):
    """A Case: arrays of more than so many numbers, 3 to 8 of them at a time (of 2**31 bfloat16, 4 GiB each).

    They hold the same 3 clips over and over, and so must the results, to the bit. (Sums over all rows, the gradients of
    biases and weights, are left out.)
    """
    dtype = dtype or FILES[name].dtypes()[-1]
    return Case(f"{name} {dtype}, over {numbers:,} numbers", lambda: _check_many(name, Guarded(runner), dtype, numbers))


CLIPS = 3


def _check_many(name, runner, dtype, numbers):
    few = {field: runner.array(array) for field, array in _few(name, dtype).items()}
    repeats = numbers // next(iter(few.values())).size + 1
    many = {field: array if field in SHARED else _repeated(array, repeats) for field, array in few.items()}
    small, large = (_results(name, runner, arrays, dtype) for arrays in (few, many))  # AdamW changes what it is given
    for i, (made, expected) in enumerate(zip(large, small, strict=True)):
        for clip in range(CLIPS):
            of_clip = made[clip::CLIPS]
            if not bool((_bits(of_clip) == _bits(expected[clip : clip + 1])).all()):
                raise WrongResult(f"result {i} is another one for some of {repeats * CLIPS} clips")
    runner.check()
    return {}


def _bits(array):
    return array.view(np.dtype(f"uint{8 * array.dtype.itemsize}"))


def _repeated(array, times):
    xp = array_module(array)
    return xp.broadcast_to(array, (times, *array.shape)).reshape(times * array.shape[0], *array.shape[1:])


def _few(name, dtype):
    """Arrays by name that hold 3 clips each; all that is needed of them is that their numbers differ."""
    generator = np.random.default_rng(0)
    if name in attention.FILES:
        shapes = dict.fromkeys(("q", "k", "v", "out_grad"), (CLIPS, 2, 65, 32))
    elif name == "adamw_ema":
        shapes = dict.fromkeys(("weights", "gradient", "mean", "square", "average"), (CLIPS, 4096))
    else:
        shapes = shapes_of(name, CLIPS, 33, 64 if name == "norm_and_rotary" else 512, 2)
    drawn = {field: generator.standard_normal(shape, dtype=np.float32) for field, shape in shapes.items()}
    if name == "adamw_ema":
        drawn["square"] = abs(drawn["square"])
    return {field: to_format(array, stored_as(field, dtype)) for field, array in drawn.items()}


def _results(name, runner, arrays, dtype):
    """All that a file makes, but for sums over all clips: each with the clips as its first axis."""
    options = {"runner": runner, "dtype": dtype}
    if name in attention.FILES:
        q, k, v, out_grad = arrays.values()
        if FILES[name].arguments is attention.Forward:
            return attention.forward(name, q, k, v, **options)
        log_sum_exp = runner.empty(q.shape[:3])
        log_sum_exp[...] = 8  # more than any: weights are small, and no gradient is NaN
        return attention.backward(name, q, k, v, q, log_sum_exp, out_grad, **options)
    if name == "adamw_ema":
        state = [array.reshape(-1) for array in arrays.values()]
        segments = [(state[0].size, 1e-3, 0.1)]
        made = fused.adamw_ema(*state, runner=runner, segments=segments, step=1, share=0.5)
        return [array.reshape(arrays["weights"].shape) for array in made]
    found = []
    for function, takes, makes in calls(name, **options):
        made = zip(makes, function(*(in_heads(arrays[field]) for field in takes)), strict=True)
        found += [array for field, array in made if field.removesuffix("_grad") not in SHARED]
    return found
