"""Attention on a GPU: every rung of both ladders, and PyTorch's ways of computing the same, in turns.

Errors are the largest deviations from float64, over all rows of one head, beside those of the same computation rounded
step by step to the format of the arrays: a result that is more than twice as far off is noted as a mismatch.
"""

import contextlib
import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from ...base import backend
from ...kernels.attention import BEST, FILES, Backward, Forward, backward, forward
from ...kernels.formats import to_float32
from ...kernels.launch import launcher
from . import gpu_timing
from .gpu_session import Cell
from .gpu_timing import Side, bytes_of, normal, noted, sets_past_the_cache, torch_has_a_gpu
from .kernel_attention_check import reference

SLOW = ("attention_forward_1_naive", "attention_forward_2_online", "attention_backward_1_warps")
SLOW_UP_TO = 1 << 27  # scores, of all heads together: beyond, the slow rungs are left out
# Those that aren't among the best before a GPU has run them. Their warps wait for each other: they come last, and may
# hang once, for so many seconds.
UNTRIED, UNTRIED_PATIENCE = ("attention_forward_9_specialised", "attention_backward_5_wgmma"), 8
NEAR = {"log_sum_exp": 1e-4}  # what any result may be off by; see also the tests of the kernels
RIVALS = {  # PyTorch's attention: what computes it, and the dtypes that it takes
    "flash": ("FLASH_ATTENTION", ("bfloat16",)),
    "cuDNN": ("CUDNN_ATTENTION", ("bfloat16",)),
    "efficient": ("EFFICIENT_ATTENTION", ("bfloat16", "float32")),
}


class Shape(NamedTuple):
    """Of q, k, v and the output: batch, heads, tokens, width of a head; whether a token sees none behind it."""

    batch: int
    heads: int
    tokens: int
    width: int
    causal: bool = False

    @property
    def sizes(self):
        return self.batch, self.tokens, self.heads, self.width  # as they lie in memory

    def flops(self, direction):
        """Of the two products of the forward pass, or the five of the backward pass; of a causal one half as many."""
        full = (4 if direction == "forward" else 10) * math.prod(self.sizes) * self.tokens
        return full // 2 if self.causal else full

    def __str__(self):
        sizes = " x ".join(map(str, (self.batch, self.heads, self.tokens, self.width)))
        return f"{sizes}, causal" if self.causal else sizes


SHAPES = {  # in the order of their worth
    "S2": Shape(4, 6, 2048, 64),
    "M1": Shape(1, 12, 8192, 128),
    "M2": Shape(1, 30, 17776, 64),
    "S1": Shape(64, 6, 256, 64),
    "W32": Shape(16, 4, 128, 32),
    "S2 causal": Shape(4, 6, 2048, 64, causal=True),
}
SHORT = Shape(1, 2, 40, 32)


def shape_of(name):
    """The Shape of this name."""
    shape = SHAPES[name]
    return SHORT._replace(causal=shape.causal) if gpu_timing.short() else shape


def cells(*shape_names):
    """The cells of several shapes, one after the other."""
    for name in shape_names:
        yield from cells_of(name)


def cells_of(shape_name, only=None):
    """Cells 'S2 forward attention_forward_8_wgmma bfloat16', of all rungs and rivals in turn. only: of one file."""
    backend.use("gpu")
    for dtype, direction in itertools.product(("bfloat16", "float32"), ("forward", "backward")):
        if direction == "forward":
            problem = Problem(shape_name, dtype)
        for group in _groups(problem, direction):
            sides = {
                name: Side(
                    f"{shape_name} {direction} {name} {dtype}", functools.partial(make, problem, direction, name)
                )
                for name, make in group
                if only in (None, name)
            }
            patience = gpu_timing.patience(UNTRIED_PATIENCE) if group[0][0] in UNTRIED else None
            for _ in range(gpu_timing.rounds()):
                for name, side in sides.items():
                    if not side.failed:
                        yield Cell(side.name, side.measure, patience, part=name)


def _groups(problem, direction):
    """Lists of (name, function that prepares it) of those who compute a direction of a problem.

    One is our best rungs, PyTorch's ways and other rungs. Then come the untried ones: should they hang, all rounds of
    the others are over.
    """
    kind = Forward if direction == "forward" else Backward
    ours = [
        name
        for name in dict.fromkeys((*BEST[kind], *FILES))
        if FILES[name].arguments is kind
        and problem.dtype in FILES[name].dtypes()
        and (name not in SLOW or problem.scores <= SLOW_UP_TO)
    ]
    rivals = [f"PyTorch {name}" for name, (_, dtypes) in RIVALS.items() if problem.dtype in dtypes]
    theirs = [(name, _prepare_rival) for name in (rivals if torch_has_a_gpu() else [])]
    best, others, untried = (
        [(name, _prepare_ours) for name in ours if part(name)]
        for part in (
            lambda name: name in BEST[kind],
            lambda name: name not in (*BEST[kind], *UNTRIED),
            lambda name: name in UNTRIED and name not in BEST[kind],
        )
    )
    if gpu_timing.short():
        return [[*best[:1], *theirs]]
    return [group for group in ([*best, *theirs, *others], untried) if group]


class Problem:
    """A shape's inputs of one dtype, drawn once and when they are needed, and what the results should be."""

    def __init__(self, shape_name, dtype):
        self.shape_name, self.shape, self.dtype = shape_name, shape_of(shape_name), dtype
        self.scores = self.shape.batch * self.shape.heads * self.shape.tokens**2

    @functools.cached_property
    def sets(self):
        """[q, k, v, the output's gradient] each, (batch, heads, tokens, width), different ones past the cache."""
        count = sets_past_the_cache(4 * bytes_of(self.shape.sizes, self.dtype))
        return [
            [normal(self.shape.sizes, self.dtype, 4 * i + j).swapaxes(1, 2) for j in range(4)] for i in range(count)
        ]

    @functools.cached_property
    def pulled(self):
        """[q, k, v, out, log_sum_exp, the output's gradient] each: what a backward kernel is given."""
        runner = launcher()
        name = next(
            name
            for name in BEST[Forward][::-1]  # the plainest that reads this dtype: what comes after is measured
            if FILES[name].runs(self.dtype, self.shape.width, runner.architecture, runner.shared_bytes)
        )
        return [[*given[:3], *forward(name, *given[:3], **self.options), given[3]] for given in self.sets]

    @functools.cached_property
    def options(self):
        """What the kernels' functions are told beside arrays."""
        times = {}
        if self.shape.causal:
            time = backend.xp().arange(self.shape.tokens, dtype=np.int32)[None, None]
            times = {"query_time": time, "key_time": time}
        return {"runner": launcher(), "dtype": self.dtype, **times}

    @functools.cached_property
    def expected(self):
        """(exact, plain) results for the first set's last head, as reference() returns them."""
        head = [to_float32(array[0, -1], self.dtype) for array in self.sets[0]]
        times = {name: self.options[name][0, 0] for name in ("query_time", "key_time") if name in self.options}
        return reference(*head, **times), reference(*head, dtype=self.dtype, **times)

    def check(self, found):
        """What a record says of arrays (batch, heads, tokens, ...) by name: errors, plain ones beside, a mismatch."""
        exact, plain = self.expected
        errors, wrong = {}, []
        for name, array in found.items():
            made = array[0, -1]
            made = to_float32(made, self.dtype) if made.ndim == 2 else made  # log_sum_exp is float32
            own, of_plain = (float(abs(other - exact[name]).max()) for other in (made, plain[name]))
            errors[name] = [own, of_plain]
            allowed = max(2 * of_plain, NEAR.get(name, 5e-5 * max(1.0, float(abs(exact[name]).max()))))
            wrong += [] if own <= allowed else [f"{name} is off by {own:.1e}, allowed {allowed:.1e}"]
        return {"errors": errors, **noted(f"mismatch: {', '.join(wrong)}" if wrong else "")}

    def about(self, direction, name):
        """What a record says of the case: the report makes tables and rates of it."""
        case = {"who": name, "direction": direction, "dtype": self.dtype, "shape": self.shape_name}
        return {**case, "sizes": str(self.shape), "flops": self.shape.flops(direction)}


def _prepare_ours(problem, direction, name):
    runner, file = launcher(), FILES[name]
    if not file.runs(problem.dtype, problem.shape.width, runner.architecture, runner.shared_bytes):
        raise RuntimeError(f"not on an sm_{runner.architecture} in {problem.dtype}")
    if direction == "forward":
        inputs, names, function = [given[:3] for given in problem.sets], ("out", "log_sum_exp"), forward
    else:
        inputs, names, function = problem.pulled, ("q_grad", "k_grad", "v_grad"), backward
    work = functools.partial(function, name, **problem.options)
    return work, inputs, {**problem.about(direction, name), **problem.check(dict(zip(names, work(*inputs[0]))))}


def _prepare_rival(problem, direction, name):
    """The same by PyTorch, on the very same memory."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    choice = getattr(SDPBackend, RIVALS[name.removeprefix("PyTorch ")][0])
    sets = [[as_torch(array, problem.dtype) for array in given] for given in problem.sets]

    def attention(*given):
        with sdpa_kernel(choice), contextlib.nullcontext() if given[0].requires_grad else torch.no_grad():
            return torch.nn.functional.scaled_dot_product_attention(*given, is_causal=problem.shape.causal)

    def pull(out, leaves, grad):
        return torch.autograd.grad(out, leaves, grad, retain_graph=True)

    if direction == "forward":
        work, inputs = attention, [given[:3] for given in sets]
        found = {"out": attention(*inputs[0])}
    else:
        leaves = [[array.detach().requires_grad_() for array in given[:3]] for given in sets]
        work, inputs = pull, [(attention(*of), of, given[3]) for of, given in zip(leaves, sets)]
        found = dict(zip(("q_grad", "k_grad", "v_grad"), pull(*inputs[0])))
    found = {name: from_torch(array, problem.dtype) for name, array in found.items()}
    return work, inputs, {**problem.about(direction, name), **problem.check(found)}


def as_torch(array, dtype):
    """A CuPy array as a PyTorch one, in the same memory; uint16 ones with dtype="bfloat16" as that."""
    import torch

    tensor = torch.as_tensor(array.view(np.int16) if dtype == "bfloat16" else array, device="cuda")
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor


def from_torch(tensor, dtype):
    """The way back."""
    import torch

    tensor = tensor.detach()
    array = backend.xp().asarray(tensor.view(torch.int16) if dtype == "bfloat16" else tensor)
    return array.view(np.uint16) if dtype == "bfloat16" else array
