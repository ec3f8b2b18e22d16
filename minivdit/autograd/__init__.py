"""Gradients by hand: `from minivdit import autograd as ag`; `y = ag.linear(x, w, b)`; `ag.gradients(loss, [w, b])`.

Positional arguments of an operation are arrays or Tensors (gradients flow to Tensors); options are keywords.
"""
# ruff: noqa: F401 (everything here is imported to be found here)

from . import operators  # gives Tensor its + - * / @ ** and methods
from .attend import attention, simple_attention
from .elementwise import (
    absolute,
    add,
    clip,
    divide,
    exp,
    gelu,
    log,
    maximum,
    minimum,
    multiply,
    negate,
    power,
    relu,
    scale,
    sigmoid,
    silu,
    sqrt,
    square,
    subtract,
    tanh,
    where,
)
from .engine import Tensor, differentiable, gradients, is_recording, no_grad
from .fused import (
    cross_entropy,
    gated_residual,
    group_norm,
    layer_norm,
    log_softmax,
    mean_squared_error,
    mlp,
    normalise_and_modulate,
    rms_norm,
    rotary,
    softmax,
)
from .gradcheck import gradcheck
from .products import conv, conv_transpose, embedding, linear, matmul
from .reductions import logsumexp, max, mean, sum, variance
from .shaping import broadcast_to, concatenate, getitem, pad, reshape, split, stack, transpose, upsample

from . import on_gpu  # isort: skip  (last: it gives the operations above their twins)
