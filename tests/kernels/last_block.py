"""The last block of a kernel whose arrays hold over 2**31 numbers, by the emulation: is its result right?

Run as a program of its own, since a wrong index would end it: last_block.py FILE [OLD NEW], with OLD replaced by NEW
in the source. Of the arrays' memory only the pages that this one block touches are ever there.
"""

import math
import mmap
import sys
from dataclasses import replace

import numpy as np

from minivdit.kernels import fused, whole_source
from minivdit.kernels.emulate import Emulation

UNRESERVED = 0x4000  # MAP_NORESERVE of Linux, which Python's mmap has a name for from 3.13 on
PAST_31_BITS, ROWS, WIDTH = 2**31, 32, 1024
GROUPS = PAST_31_BITS // ROWS // WIDTH + 1


def far(*shape, dtype=np.float32):
    """An array of zeros, of pages that are there as soon as they are written."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | UNRESERVED
    memory = mmap.mmap(-1, math.prod(shape) * np.dtype(dtype).itemsize, flags=flags)
    return np.frombuffer(memory, dtype).reshape(shape)


class LastBlock(Emulation):
    """Runs the last block of each launch, and no other."""

    def empty(self, shape, dtype=np.float32):
        return far(*shape, dtype=dtype)

    def run(self, file, function, instance, blocks, arguments, number_type=None):
        text = whole_source(file.name).replace(*CHANGE)
        self.sources = {file.name: text.replace("blockIdx.x", f"(blockIdx.x + {blocks - 1})")}
        super().run(file, function, instance, 1, arguments, number_type)


def results(name, runner, x, out_grad, vectors):
    """What the file `name` makes of arrays (groups, rows, width) and (groups, 1, width), forward and backward."""
    given = {"runner": runner}
    if name == "bias_gelu":
        bias = vectors[-1, 0].copy()
        return fused.bias_gelu(x, bias, **given), fused.bias_gelu_backward(x, bias, out_grad, **given)[0]
    if name == "norm_and_rotary":
        weight, x, out_grad = vectors[-1, 0].copy(), x[:, None], out_grad[:, None]  # one head
        back = fused.norm_and_rotary_backward(x, weight, out_grad, **given)[0]
        return fused.norm_and_rotary(x, weight, **given)[:, 0], back[:, 0]
    if name == "gated_residual":
        back = fused.gated_residual_backward(vectors, x, out_grad, **given)[1]
        return fused.gated_residual(x, vectors, out_grad, **given), back
    back = fused.normalise_and_modulate_backward(x, vectors, out_grad, **given)[0]
    return fused.normalise_and_modulate(x, vectors, vectors, **given), back


def update(runner, state):
    options = {"segments": [(state[0].size, 1e-3, 0.1)], "step": 1, "share": 0.5}
    return fused.adamw_ema(*state, runner=runner, **options)


name, CHANGE = sys.argv[1], sys.argv[2:] or ("#line", "#line")
file = fused.FILES[name]
fused.FILES[name] = replace(file, instances=file.instances[-1:], types=file.types[:1])  # is compiled sooner
generator = np.random.default_rng(0)
if name == "adamw_ema":
    arrays = [far(PAST_31_BITS + 64) for _ in range(5)]
    for array in arrays:
        array[-64:] = generator.random(64) + 1
    few = [array[-64:].copy() for array in arrays]
    pairs = zip((array[-64:] for array in update(LastBlock(), arrays)), update(Emulation(), few))
else:
    arrays = [far(GROUPS, rows, WIDTH) for rows in (ROWS, ROWS, 1)]
    for array in arrays:
        array[-1] = generator.standard_normal(array.shape[1:])
    few = [array[-1:].copy() for array in arrays]
    pairs = zip(results(name, LastBlock(), *arrays), results(name, Emulation(), *few))
    pairs = ((many[-1, -1, -128:], only[-1, -1, -128:]) for many, only in pairs)  # a block may take 128 columns
for many, only in pairs:
    assert only.any()
    np.testing.assert_array_equal(many, only)
print("the last block is right")
