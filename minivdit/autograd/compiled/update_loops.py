"""The end of a training step, parameter by parameter: AdamW or Muon and the average of the weights, in one pass.

See `simple_adamw`, `simple_muon` and `orthogonalise` in nn/optim.py for what they compute. These aren't operations, so
they have no pullbacks; they are here because they are compiled like them.
"""

import math

import numba
import numpy as np

from .compiler import OPTIONS, compiled

BLOCK = 2048  # numbers whose direction is kept in between: one loop over five arrays makes no vector instructions


@compiled("f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], UniTuple(f4, 10)")
def adamw_and_average(start, stop, weights, gradient, mean, square, average, numbers):
    """A step of AdamW, and of the average. Items are numbers of one parameter.

    numbers: the gradient's factor, beta1, 1 - beta1, beta2, 1 - beta2, the learning rate over the mean's bias, 1 over
    the root of the square's bias, eps, the share of the weights that decay keeps, the share of the weights in the
    average.
    """
    factor, beta1, new1, beta2, new2, rate, unbias, eps, kept, share = numbers
    direction = np.empty(BLOCK, weights.dtype)
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        g, m, s, w, a = (
            gradient[first:last],
            mean[first:last],
            square[first:last],
            weights[first:last],
            average[first:last],
        )
        for i in range(last - first):
            scaled = g[i] * factor
            m[i] = beta1 * m[i] + new1 * scaled
            s[i] = beta2 * s[i] + new2 * scaled * scaled
            direction[i] = m[i] / (math.sqrt(s[i]) * unbias + eps)
        for i in range(last - first):
            w[i] = kept * w[i] - rate * direction[i]
            a[i] += (w[i] - a[i]) * share


@numba.njit(**OPTIONS)
def transpose(x, out):
    """Write the transpose of x to `out`."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = x[j, i]


@numba.njit(**OPTIONS)
def orthogonalise(x, factors, steps):
    """The orthogonal matrix nearest to x (n, m), about, n <= m, of norm 1; x is overwritten. See nn/optim.py."""
    n = len(x)
    a, b, c = factors
    gram, polynomial, out = np.empty((n, n), x.dtype), np.empty((n, n), x.dtype), np.empty_like(x)
    for _ in range(steps):
        np.dot(x, x.T, gram)
        np.dot(gram, gram, polynomial)
        for i in range(n):
            gram_row, row = gram[i], polynomial[i]
            for j in range(n):
                row[j] = b * gram_row[j] + c * row[j]
            row[i] += a
        np.dot(polynomial, x, out)
        x, out = out, x
    return x


@compiled("f4[:,::1], f4[:,::1], f4[:,::1], f4[:,::1], UniTuple(f4, 5), UniTuple(f4, 3), i8, i8")
def muon_and_average(start, stop, weights, gradient, momentum, average, numbers, factors, steps, parts):
    """A step of Muon, and of the average. Items are the `parts` that lie side by side in the matrix (in, out).

    numbers: the gradient's factor, how much of the momentum is kept, the learning rate, and the two shares as above.
    factors, steps: of `orthogonalise`.
    """
    rows, columns = weights.shape[0], weights.shape[1] // parts
    factor, beta, rate, kept, share = numbers
    number = weights.dtype.type
    tall = rows > columns
    nesterov = np.empty((rows, columns), weights.dtype)
    turned = np.empty((columns, rows) if tall else (0, 0), weights.dtype)
    for part in range(start, stop):
        mine = slice(part * columns, (part + 1) * columns)
        squares = number(0)
        for i in range(rows):
            g, m, row = gradient[i, mine], momentum[i, mine], nesterov[i]
            for j in range(columns):
                scaled = g[j] * factor
                m[j] = beta * m[j] + scaled
                row[j] = beta * m[j] + scaled
                squares += row[j] * row[j]
        inverse = number(1) / (math.sqrt(squares) + number(1e-7))
        for i in range(rows):
            row = nesterov[i]
            for j in range(columns):
                row[j] *= inverse
        if tall:
            transpose(nesterov, turned)
            transpose(orthogonalise(turned, factors, steps), nesterov)
            direction = nesterov
        else:
            direction = orthogonalise(nesterov, factors, steps)
        for i in range(rows):
            w, a, row = weights[i, mine], average[i, mine], direction[i]
            for j in range(columns):
                w[j] = kept * w[j] - rate * row[j]
                a[j] += (w[j] - a[j]) * share
