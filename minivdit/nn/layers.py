"""The layers: each holds its weights and calls one operation.

Every constructor takes a numpy Generator for the initial values. Weights are (in, out), so that
`x @ weight` needs no transpose.
"""

import math

import numpy as np

from .. import autograd as ag
from .module import Module, Parameter


class Linear(Module):
    """x (..., inputs) -> x @ weight + bias (..., outputs).

    Initial weights are normal with variance 1/inputs; `zero=True` starts at exactly zero, for layers
    whose block should begin as the identity.
    """

    def __init__(self, inputs, outputs, generator, *, bias=True, zero=False):
        deviation = 0.0 if zero else 1 / math.sqrt(inputs)
        self.weight = Parameter(deviation * generator.standard_normal((inputs, outputs)))
        self.bias = Parameter(np.zeros(outputs)) if bias else None

    def forward(self, x, *, transposed=False):
        return ag.linear(x, self.weight, self.bias, transposed=transposed)


class Embedding(Module):
    """Integers (...) in [0, count) -> learned vectors (..., width).

    Initial entries are normal with deviation 0.5. Smaller ones would be pushed into one direction by the first
    hundred steps of AdamW, and words that the network has no use for yet would become one word before it has.
    """

    def __init__(self, count, width, generator):
        self.table = Parameter(0.5 * generator.standard_normal((count, width)))

    def forward(self, indices):
        return ag.embedding(self.table, indices)


class RMSNorm(Module):
    """Each row (..., width) to root mean square 1, then a learned scale."""

    def __init__(self, width):
        self.weight = Parameter(np.ones(width))

    def forward(self, x):
        return ag.rms_norm(x, self.weight)


class Conv(Module):
    """Convolution of (B, *space, inputs) with a kernel of as many axes as `kernel` has entries.

    Initial weights are normal with variance 2 / (inputs of one output), for ReLU-like functions (He et al. 2015).
    """

    def __init__(self, inputs, outputs, generator, *, kernel=(3, 3), stride=1, padding=0, zero=False):
        deviation = 0.0 if zero else math.sqrt(2 / (inputs * math.prod(kernel)))
        self.weight = Parameter(deviation * generator.standard_normal((*kernel, inputs, outputs)))
        self.bias = Parameter(np.zeros(outputs))
        self.stride, self.padding = stride, padding

    def forward(self, x, *, upsampling=1):
        options = {"stride": self.stride, "padding": self.padding, "upsampling": upsampling}
        return ag.conv(x, self.weight, self.bias, **options)
