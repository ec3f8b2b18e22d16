"""Functions of one number that loops are made of. A compiler turns a loop over them into vector instructions.

Numba's own exponential is that of the C library, which takes one number at a time. This one is made of products and
sums, as on the GPU.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload

from .compiler import OPTIONS

PER_LN2 = np.float32(1 / math.log(2))
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # their sum is ln 2, the first has few bits
ROUND = np.float32(1.5 * 2**23)  # so large that adding it leaves a whole number in the last bits
LOWEST, HIGHEST = np.float32(-87.33654), np.float32(88.72283)  # exp is 0 below, infinite above
# exp(r) = 1 + r + r^2 (...) for |r| <= ln(2) / 2 (Cephes' expf).
TERMS = tuple(map(np.float32, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 0.16666665459, 0.5)))
# 2^r = 1 + r (...) for |r| <= 1/2, to 2e-9: the polynomial whose largest relative error is least.
POWERS = tuple(map(np.float32, (1.5353562e-4, 1.3398874e-3, 9.6184374e-3, 5.5503325e-2, 0.24022648, 0.6931472)))
EXACT = {**OPTIONS, "fastmath": {"contract", "nsz"}}  # (x + ROUND) - ROUND must stay as it is written

GELU_SLOPE = math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715


@intrinsic
def bits_of(context, x):
    """The bits of a float32 as an int32."""
    return types.int32(types.float32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], ir.IntType(32)
    )


@intrinsic
def float_of(context, bits):
    """The float32 that an int32 has the bits of."""
    return types.float32(types.int32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], ir.FloatType()
    )


@intrinsic
def in_one_piece(context, x):
    """The same array, with the promise that its entries lie side by side in memory."""
    contiguous = x.copy(layout="C")
    return contiguous(x), lambda context, builder, signature, arguments: impl_ret_borrowed(
        context, builder, contiguous, arguments[0]
    )


@intrinsic
def larger(context, a, b):
    """The larger of two numbers, neither of them NaN. Of Numba's `max` a compiler makes no vector instructions."""

    def generate(context, builder, signature, arguments):
        number = context.get_value_type(a)
        kind = ir.FunctionType(number, [number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.maxnum.f{a.bitwidth}")
        return builder.call(function, arguments, fastmath=("nnan", "nsz"))

    return a(a, a), generate


@numba.njit(**EXACT)
def exp_float32(x):
    """e to the x: 2^n exp(r), with n = round(x / ln 2) and the small rest r = x - n ln 2. Below 1.2e-38 it is 0."""
    limited = min(max(x, LOWEST), HIGHEST)
    shifted = limited * PER_LN2 + ROUND
    n = shifted - ROUND
    r = limited - n * LN2_HIGH - n * LN2_LOW
    series = TERMS[0]
    for term in TERMS[1:]:
        series = series * r + term
    series = series * r * r + r + np.float32(1)
    # A float32's exponent stands in its bits from the 23rd on, so adding n there multiplies by 2^n.
    value = float_of(numba.int32(bits_of(series) + numba.int32(bits_of(shifted) << numba.int32(23))))
    value = value if x >= LOWEST else np.float32(0)
    return value if x <= HIGHEST else x * np.float32(np.inf)  # NaN stays NaN


def exp(x):
    """e to the x, of a float32 or a float64."""
    return math.exp(x)


@overload(exp, jit_options=EXACT)
def _exp(x):
    return exp_float32.py_func if x == types.float32 else lambda x: math.exp(x)


@numba.njit(**EXACT)
def quick_exp_float32(x):
    """e to the x, for x up to 80: 2^n 2^r, with x / ln 2 = n + r. Below 1.2e-38 it is 0; NaN stays NaN.

    It is faster than exp_float32. Its relative error is larger, by up to 6e-8 |x|.
    """
    shifted = x * PER_LN2 + ROUND
    r = x * PER_LN2 - (shifted - ROUND)
    series = POWERS[0]
    for factor in POWERS[1:]:
        series = series * r + factor
    series = series * r + np.float32(1)
    value = float_of(numba.int32(bits_of(series) + numba.int32(bits_of(shifted) << numba.int32(23))))
    return np.float32(0) if x < LOWEST else value


def quick_exp(x):
    """e to the x, of a float32 up to 80 or of a float64."""
    return math.exp(x)


@overload(quick_exp, jit_options=EXACT)
def _quick_exp(x):
    return quick_exp_float32.py_func if x == types.float32 else lambda x: math.exp(x)


@numba.njit(**OPTIONS)
def gelu_and_slope(x):
    """GELU in its tanh form, x * sigmoid(2 u) with u = sqrt(2 / pi) * (x + 0.044715 x^3), and its slope."""
    number = type(x)
    squared = x * x
    minus_2u = x * (squared * number(-2 * GELU_SLOPE * GELU_CUBIC) - number(2 * GELU_SLOPE))
    gate = number(1) / (number(1) + quick_exp(minus_2u)) if minus_2u < 80 else number(0)
    value = x * gate
    along = squared * number(6 * GELU_SLOPE * GELU_CUBIC) + number(2 * GELU_SLOPE)  # d(2 u)/dx
    return value, gate + value * (number(1) - gate) * along


@numba.njit(**OPTIONS)
def silu_and_slope(x):
    """x * sigmoid(x), and its slope."""
    number = type(x)
    gate = number(1) / (number(1) + quick_exp(-x)) if -x < 80 else number(0)
    value = x * gate
    return value, gate + value * (number(1) - gate)
