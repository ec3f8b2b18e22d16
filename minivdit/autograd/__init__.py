"""Gradients by hand: `from minivdit import autograd as ag`; `y = ag.linear(x, w, b)`; `ag.gradients(loss, [w, b])`.

Positional arguments of an operation are arrays or Tensors (gradients flow to Tensors); options are keywords.
"""

from . import operators  # gives Tensor its + - * / @ ** and methods
from .attend import attention, simple_attention
from .collectives import all_gather, all_reduce, all_to_all, reduce_scatter
from .elementwise import (
    absolute,
    add,
    clip,
    divide,
    exp,
    gelu,
    multiply,
    negate,
    power,
    relu,
    scale,
    silu,
    square,
    subtract,
    tanh,
)
from .engine import Tensor, differentiable, gradients, is_recording, load_twins, no_grad, simple_gradients, twins_from
from .fused import (
    cross_entropy,
    gated_residual,
    layer_norm,
    log_softmax,
    mean_squared_error,
    mlp,
    normalise_and_modulate,
    rms_norm,
    rotary,
    simple_mlp,
    simple_normalise_and_modulate,
    softmax,
)
from .gradcheck import gradcheck
from .products import conv, embedding, linear, matmul
from .reductions import mean, sum
from .ring import Ring, ring_attention
from .shaping import concatenate, getitem, reshape, split, transpose, upsample

from . import on_gpu  # isort: skip  (last: it gives the operations above their twins)

twins_from("compiled", f"{__name__}.compiled.load")  # when one is wanted: importing Numba takes a third of a second
