"""`minivdit bench gpu`: every rung of the attention ladder, beside cuBLAS and PyTorch's attention; training steps.

Kernels are timed by CUDA events. A long matrix product goes first, so that all runs are queued before the first one
begins and the time that Python takes isn't measured. Inputs are random, and different from run to run until together
they are twice as large as the L2 cache. Errors are largest deviations from float64, over all rows of one head, beside
those of the same computation rounded to 16 bits step by step. Training steps are timed as on the CPU: see cpu.py.
"""

import datetime
import itertools
import json
import math
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from ...base import backend, machine
from ...base.errors import InputError
from ...base.files import write_file
from ...kernels.attention import FILES, Forward, backward, forward
from ...kernels.formats import to_float32, to_format
from ...kernels.launch import launcher
from . import cpu
from .kernel_attention_check import reference

WARM_UP, RUNS = 10, 50
MEMORY_SHARE = 0.4  # of the free memory that a kernel's arrays may take


class Shape(NamedTuple):
    """Of q, k, v and the output: batch, heads, tokens, width of a head."""

    batch: int
    heads: int
    tokens: int
    width: int

    def flops(self, direction):
        """Of the two products of the forward pass, or the five of the backward pass."""
        return (4 if direction == "forward" else 10) * math.prod(self) * self.tokens


SHAPES = {
    "S1": Shape(64, 6, 256, 64),
    "S2": Shape(4, 6, 2048, 64),
    "M1": Shape(1, 12, 8192, 128),
    "M2": Shape(1, 30, 17776, 64),
}
STEPS = ("small", "full")  # presets whose training step is timed
RIVALS = {  # PyTorch's attention, by the name of what computes it
    "flash": "FLASH_ATTENTION",
    "cuDNN": "CUDNN_ATTENTION",
    "efficient": "EFFICIENT_ATTENTION",
    "math": "MATH",
}


@dataclass
class Figure:
    """One kernel or rival, one direction, one shape. milliseconds: of every run; none, if `note` says why. errors: of
    each result, (its largest error, that of plain arithmetic)."""

    name: str
    shape: str
    direction: str
    milliseconds: list = field(default_factory=list)
    errors: dict = field(default_factory=dict)
    note: str = ""

    def speed(self):
        """FLOP/s, of the median run."""
        return SHAPES[self.shape].flops(self.direction) / (1e-3 * float(np.median(self.milliseconds)))

    def summary(self):
        """What goes into the JSON beside the runs themselves."""
        if not self.milliseconds:
            return {}
        low, median, high = np.percentile(self.milliseconds, (25, 50, 75))
        return {"median": median, "quartiles": [low, high], "tflops": self.speed() / 1e12}


# --- timing --------------------------------------------------------------------------------------------------


def milliseconds(work, inputs, keep_busy=lambda: None, warm_up=WARM_UP, runs=RUNS):
    """Times of work(*arguments), by CUDA events: a list of so many runs; `inputs` are taken in turn."""
    cuda, turn = backend.xp().cuda, itertools.cycle(inputs)
    for _ in range(warm_up):
        work(*next(turn))
    marks = [(cuda.Event(), cuda.Event()) for _ in range(runs)]
    keep_busy()
    for before, after in marks:
        before.record()
        work(*next(turn))
        after.record()
    after.synchronize()
    return [cuda.get_elapsed_time(before, after) for before, after in marks]


def sets_past_the_cache(bytes_of_a_set, cache_bytes, memory):
    """How many sets of inputs are together twice as large as the cache, if so many fit into `memory`; at least 1."""
    wanted = math.ceil(2 * cache_bytes / bytes_of_a_set)
    return max(1, min(wanted, int(memory // bytes_of_a_set)))


def keep_busy():
    """A function that gives the GPU some tens of milliseconds of work."""
    a = backend.xp().ones((8192, 8192), np.float32)
    return lambda: a @ a


def cublas_rate(size=8192):
    """FLOP/s of bfloat16 matrix products by cuBLAS, sums in float32, on random numbers."""
    from cupy_backends.cuda.libs import cublas

    cupy, bfloat16, host = backend.xp(), 14, np.array([1, 0], np.float32)  # 14: CUDA_R_16BF
    one, zero = (host.ctypes.data + 4 * i for i in range(2))
    handle, generator = cupy.cuda.Device().cublas_handle, np.random.default_rng(0)
    a, b = (_on_device(generator.standard_normal((size, size), dtype=np.float32), "bfloat16") for _ in range(2))
    c = cupy.empty_like(a)

    def work():
        sides = (a.data.ptr, bfloat16, size, b.data.ptr, bfloat16, size)
        result = (c.data.ptr, bfloat16, size, cublas.CUBLAS_COMPUTE_32F, -1)  # -1: cuBLAS chooses how
        cublas.gemmEx(handle, 0, 0, size, size, size, one, *sides, zero, *result)

    return 2 * size**3 / (1e-3 * float(np.median(milliseconds(work, [()], keep_busy()))))


# --- attention -----------------------------------------------------------------------------------------------


def _numbers(shape, seed, dtype):
    """q, k, v and a gradient, float32 numbers that `dtype` holds exactly, (batch, tokens, heads, width), NumPy."""
    generator = np.random.default_rng(seed)
    size = (shape.batch, shape.tokens, shape.heads, shape.width)
    drawn = [generator.standard_normal(size, dtype=np.float32) for _ in range(4)]
    return [to_float32(to_format(numbers, dtype), dtype) for numbers in drawn]


def _on_device(numbers, dtype):
    return backend.to_device(to_format(numbers, dtype))


def _heads_first(x):
    """(batch, tokens, heads, width) as (batch, heads, tokens, width), a view."""
    return x.swapaxes(1, 2)


def _errors(found, numbers, dtype):
    """(largest error, that of plain arithmetic) of each array in `found`, by name, in the first clip's last head."""
    head = [backend.to_device(np.ascontiguousarray(x[0, :, -1])) for x in numbers]
    exact, plain = reference(*head), reference(*head, dtype=dtype)
    made = {name: array[0, -1] for name, array in found.items()}
    made = {name: to_float32(x, dtype) if x.ndim == 2 else x for name, x in made.items()}  # log_sum_exp is float32
    return {name: tuple(float(abs(other - exact[name]).max()) for other in (made[name], plain[name])) for name in found}


def measure_kernel(name, shape_name, show):
    """The Figure of one kernel file at one shape."""
    runner, file, shape = launcher(), FILES[name], SHAPES[shape_name]
    direction = "forward" if file.arguments is Forward else "backward"
    figure = Figure(name, shape_name, direction)
    dtype = (file.types_on(runner.architecture) or ("float32",))[-1]  # bfloat16 where there is any
    if not file.runs(dtype, shape.width, runner.architecture, runner.shared_bytes):
        figure.note = f"not on an sm_{runner.architecture}"
        return figure
    free = MEMORY_SHARE * machine.available_memory()
    scores = 4 * shape.batch * shape.heads * shape.tokens**2 if "naive" in name else 0
    if scores > free:
        figure.note = f"{scores >> 30} GiB of scores don't fit"
        return figure
    bytes_of_a_set = 4 * math.prod(shape) * to_format(np.zeros(1, np.float32), dtype).itemsize
    count = sets_past_the_cache(bytes_of_a_set, backend.xp().cuda.Device().attributes["L2CacheSize"], free)
    numbers = [_numbers(shape, seed, dtype) for seed in range(count)]
    inputs = [[_heads_first(_on_device(x, dtype)) for x in numbers_of_a_set] for numbers_of_a_set in numbers]
    options = {"runner": runner, "dtype": dtype}
    if direction == "forward":
        inputs = [given[:3] for given in inputs]
        results, names = forward(name, *inputs[0], **options), ("out", "log_sum_exp")
        work = lambda *given: forward(name, *given, **options)
    else:
        best = "attention_forward_3_tiles" if dtype == "float32" else "attention_forward_5_swizzled"
        inputs = [[q, k, v, *forward(best, q, k, v, **options), grad] for q, k, v, grad in inputs]
        results, names = backward(name, *inputs[0], **options), ("q_grad", "k_grad", "v_grad")
        work = lambda *given: backward(name, *given, **options)
    figure.errors = _errors(dict(zip(names, results)), numbers[0], dtype)
    figure.milliseconds = milliseconds(work, inputs, keep_busy())
    show(line(figure))
    return figure


def measure_rivals(shape_name, show):
    """Figures of PyTorch's attention in bfloat16, each of its ways by itself. [] where PyTorch has no GPU."""
    if not _torch_has_a_gpu():
        return []
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    shape, figures = SHAPES[shape_name], []
    cache = backend.xp().cuda.Device().attributes["L2CacheSize"]
    count = sets_past_the_cache(8 * math.prod(shape), cache, MEMORY_SHARE * torch.cuda.mem_get_info()[0])
    inputs = [
        [torch.from_numpy(x).to("cuda", torch.bfloat16).transpose(1, 2) for x in _numbers(shape, seed, "bfloat16")]
        for seed in range(count)
    ]
    for (rival, choice), direction in itertools.product(RIVALS.items(), ("forward", "backward")):
        figure = Figure(f"PyTorch {rival}", shape_name, direction)
        try:
            with sdpa_kernel(getattr(SDPBackend, choice)):
                attention = torch.nn.functional.scaled_dot_product_attention
                if direction == "forward":
                    with torch.no_grad():
                        figure.milliseconds = milliseconds(attention, [given[:3] for given in inputs], keep_busy())
                else:
                    leaves = [[x.detach().requires_grad_() for x in given[:3]] for given in inputs]
                    made = [(attention(*of), of, given[3]) for of, given in zip(leaves, inputs)]
                    pull = lambda out, of, grad: torch.autograd.grad(out, of, grad, retain_graph=True)
                    figure.milliseconds = milliseconds(pull, made, keep_busy())
        except RuntimeError as error:  # this GPU or this shape isn't for it, or memory doesn't suffice
            figure.note = str(error).splitlines()[0]
        figures.append(figure)
        show(line(figure))
    return figures


# --- everything ----------------------------------------------------------------------------------------------


def names():
    """All that can be asked for, in the order of the report."""
    return [*(f"attention {shape}" for shape in SHAPES), *(f"train {preset}" for preset in STEPS)]


def bench(chosen=None, *, turns=15, out=None, readme=None, compiled=False, show=print):
    """Measure (all of names() unless `chosen`), show a line for each figure, write all as JSON, fill kernels/README.md.

    out: the JSON file. readme: a copy of kernels/README.md whose table's cells are to be filled in. Returns the dict
    that is written. Raises InputError without a GPU.
    """
    chosen = list(chosen or names())
    for name in chosen:
        if name not in names():
            raise InputError(f"{name!r} is not measured on a GPU; there are {', '.join(names())}")
    backend.use("gpu")
    about, rate = describe_machine(), cublas_rate()
    show(f"{about['gpu']} (sm_{about['architecture']}); cuBLAS bfloat16: {rate / 1e12:.0f} TFLOP/s")
    show(f"{about['versions']}; {about['date']}; medians of {RUNS} runs, quartiles in brackets")
    figures = []
    for shape in (name.removeprefix("attention ") for name in chosen if name.startswith("attention ")):
        show(f"{shape}: {' x '.join(map(str, SHAPES[shape]))}")
        figures += [measure_kernel(name, shape, show) for name in FILES]
        figures += measure_rivals(shape, show)
    steps = {}
    yardsticks = ["eager", "compiled"][: 1 + compiled] if _torch_has_a_gpu() else []
    sides = ("ours", "cupy", *yardsticks)
    for name in (name for name in chosen if name.startswith("train ")):
        timing = cpu.measure(name, 1, sides, turns, device="gpu")
        steps[name] = {**asdict(timing), **cpu.summary(timing)}
        told = [f"{side} {1e3 * timing.median(side):.2f} ms ({timing.launches[side]} launches)" for side in sides]
        show(f"{name}: {', '.join(told)}")
    everything = {
        "machine": about,
        "cublas": rate,
        "attention": [{**asdict(figure), **figure.summary()} for figure in figures],
        "steps": steps,
    }
    if out is not None:
        write_file(out, json.dumps(everything, indent=1))
    if readme is not None:
        with open(readme, encoding="utf-8") as file:
            text = filled(file.read(), figures, rate)
        write_file(readme, text)
    return everything


def _torch_has_a_gpu():
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def describe_machine():
    """What the figures depend on."""
    import cupy

    about = cpu.describe_machine(1, None)
    runner, properties = launcher(), cupy.cuda.runtime.getDeviceProperties(0)
    return {
        "gpu": properties["name"].decode(),
        "architecture": runner.architecture,
        "versions": f"{about['versions']}, CuPy {cupy.__version__}, driver {cupy.cuda.runtime.driverGetVersion()}",
        "date": datetime.date.today().isoformat(),
    }


def line(figure):
    """A Figure as one line of the report."""
    start = f"  {figure.name:36}{figure.direction:10}"
    if not figure.milliseconds:
        return f"{start}{figure.note}"
    low, median, high = np.percentile(figure.milliseconds, (25, 50, 75))
    errors = ", ".join(f"{name} {own:.1e} ({plain:.1e})" for name, (own, plain) in figure.errors.items())
    return f"{start}{median:9.3f} ms ({low:.3f}-{high:.3f}){figure.speed() / 1e12:8.1f} TFLOP/s   {errors}"


def filled(readme, figures, rate):
    """The text of kernels/README.md with the last three cells of the ladder's rows filled in.

    TFLOP/s and its share of cuBLAS's rate, each for all shapes in turn, 'S1 / S2 / M1 / M2'; the largest error of any
    result, in units of that of plain arithmetic.
    """
    lines = readme.splitlines()
    for i, row in enumerate(lines):
        mine = {f.shape: f for f in figures if row.startswith(f"| `{f.name}.cu` |") and f.milliseconds}
        if not mine:
            continue
        speeds = [mine[shape].speed() if shape in mine else None for shape in SHAPES]
        tflops = " / ".join("-" if speed is None else f"{speed / 1e12:.1f}" for speed in speeds)
        shares = " / ".join("-" if speed is None else f"{speed / rate:.1%}" for speed in speeds)
        worst = max(own / plain for f in mine.values() for own, plain in f.errors.values() if plain)
        file, idea = row.split("|")[1:3]
        lines[i] = f"|{file}|{idea}| {tflops} | {shares} | {worst:.2g} of plain |"
    return "\n".join(lines) + "\n"
