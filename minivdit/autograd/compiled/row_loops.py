"""Normalisations and gated residuals: each row is read once and written once, and what lies between stays in the cache.

Items are groups of `step` rows of x (n, D), the last of which may be smaller; a group has a scale, a shift or a gate of
its own. The groups' gradients are sums over their rows.
"""

import math

import numpy as np

from .compiler import compiled
from .scalars import in_one_piece


@compiled("i8, b1, f4[:,::1], f4[:,:], f4[:,:], f4, f4[::1], f4[::1], f4[:,::1]")
def normalise_forward(start, stop, step, centred, x, scale, shift, eps, mean, inverse_deviation, value):
    """value = (x - mean) * inverse_deviation * scale + shift; writes mean (n,) and inverse_deviation (n,), too.

    scale, shift: (groups, D). centred: False leaves the mean in place (RMSNorm); then it is written as 0.
    """
    number, width = x.dtype.type, x.shape[1]
    share = number(1) / number(width)
    for group in range(start, stop):
        factor, added = in_one_piece(scale[group]), in_one_piece(shift[group])
        for i in range(group * step, min((group + 1) * step, len(x))):
            row, out = x[i], value[i]
            center, squares = number(0), number(0)
            if centred:
                for j in range(width):
                    center += row[j]
                center *= share
            for j in range(width):
                squares += (row[j] - center) * (row[j] - center)
            inverse = number(1) / math.sqrt(squares * share + eps)
            mean[i], inverse_deviation[i] = center, inverse
            for j in range(width):
                out[j] = (row[j] - center) * inverse * factor[j] + added[j]


@compiled("i8, b1, f4[:,::1], f4[:,:], f4[::1], f4[::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1]")
def normalise_backward(
    start, stop, step, centred, x, scale, mean, inverse_deviation, grad, x_grad, scale_grad, shift_grad
):  # fmt: skip
    """Write the gradients of x, scale and shift in `normalise_forward` from that of its value."""
    number, width = x.dtype.type, x.shape[1]
    share = number(1) / number(width)
    scale_sum, shift_sum = np.empty(width, x.dtype), np.empty(width, x.dtype)
    for group in range(start, stop):
        factor = in_one_piece(scale[group])
        scale_sum[:] = 0
        shift_sum[:] = 0
        for i in range(group * step, min((group + 1) * step, len(x))):
            row, above, out = x[i], grad[i], x_grad[i]
            center, inverse = mean[i], inverse_deviation[i]
            total, along = number(0), number(0)
            for j in range(width):
                standardised = (row[j] - center) * inverse
                scale_sum[j] += above[j] * standardised
                shift_sum[j] += above[j]
                total += above[j] * factor[j]
                along += above[j] * factor[j] * standardised
            total = total * share if centred else number(0)
            along *= share * inverse
            for j in range(width):
                out[j] = (above[j] * factor[j] - total - (row[j] - center) * along) * inverse
        for j in range(width):
            scale_grad[group, j], shift_grad[group, j] = scale_sum[j], shift_sum[j]


@compiled("i8, f4[:,::1], f4[:,:], f4[:,::1], f4[:,::1]")
def gated_residual_forward(start, stop, step, x, gate, branch, value):
    """value = x + gate * branch, with gate (groups, D)."""
    for group in range(start, stop):
        factor = in_one_piece(gate[group])
        for i in range(group * step, min((group + 1) * step, len(x))):
            row, added, out = x[i], branch[i], value[i]
            for j in range(len(row)):
                out[j] = row[j] + factor[j] * added[j]


@compiled("i8, f4[:,:], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1]")
def gated_residual_backward(start, stop, step, gate, branch, grad, gate_grad, branch_grad):
    """Write the gradients of gate and branch in `gated_residual_forward`; that of x is grad."""
    width = branch.shape[1]
    total = np.empty(width, branch.dtype)
    for group in range(start, stop):
        factor = in_one_piece(gate[group])
        total[:] = 0
        for i in range(group * step, min((group + 1) * step, len(branch))):
            row, above, out = branch[i], grad[i], branch_grad[i]
            for j in range(width):
                total[j] += row[j] * above[j]
                out[j] = above[j] * factor[j]
        for j in range(width):
            gate_grad[group, j] = total[j]
