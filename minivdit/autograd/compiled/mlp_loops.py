"""The MLP's two products with GELU between them, some rows at a time: what lies between never leaves the cache."""

import numpy as np

from .compiler import compiled
from .products import add_product
from .scalars import gelu_and_slope


@compiled("i8, f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[::1], f4[:,::1], f4[:,::1]")
def mlp_forward(start, stop, step, rows, up, up_bias, down, down_bias, before, value):
    """value = gelu(before) @ down + down_bias, with before = rows @ up + up_bias. Items are blocks of `step` rows.

    before: (n, hidden) to keep it, or (0, hidden).
    """
    hidden = up.shape[1]
    scratch, activated = np.empty((step, hidden), rows.dtype), np.empty((step, hidden), rows.dtype)
    for block in range(start, stop):
        first, last = block * step, min((block + 1) * step, len(rows))
        mine = before[first:last] if len(before) else scratch[: last - first]
        np.dot(rows[first:last], up, mine)
        for i in range(last - first):
            for j in range(hidden):
                mine[i, j] += up_bias[j]
                activated[i, j], _ = gelu_and_slope(mine[i, j])
        out = value[first:last]
        np.dot(activated[: last - first], down, out)
        for i in range(last - first):
            for j in range(out.shape[1]):
                out[i, j] += down_bias[j]


@compiled("i8, f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], f4[::1], f4[:,::1]")
def mlp_backward(start, stop, step, rows, before, grad, up, down, x_grad, up_grad, up_bias_grad, down_grad):
    """Add to the gradients of the weights, and write x_grad, from grad, the gradient of mlp_forward's value."""
    hidden = up.shape[1]
    scratch, activated = np.empty((step, hidden), rows.dtype), np.empty((step, hidden), rows.dtype)
    for block in range(start, stop):
        first, last = block * step, min((block + 1) * step, len(rows))
        above = grad[first:last]
        inner, active = scratch[: last - first], activated[: last - first]
        np.dot(above, down.T, inner)
        for i in range(last - first):
            for j in range(hidden):
                active[i, j], slope = gelu_and_slope(before[first + i, j])
                inner[i, j] *= slope
                up_bias_grad[j] += inner[i, j]
        np.dot(inner, up.T, x_grad[first:last])
        add_product(rows[first:last].T, inner, up_grad)
        add_product(active.T, above, down_grad)
