"""`minivdit bench gpu` and examples/gpu_session.py: what is measured on a GPU, as sections of cells.

gpu_session runs them. The cells are made by gpu_checks, gpu_attention, gpu_rows and gpu_training; gpu_report makes
texts of them.
"""

from ...base import backend
from ...base.errors import InputError
from ...kernels.catalogue import FILES
from . import gpu_attention, gpu_checks, gpu_report, gpu_timing, gpu_training
from .gpu_session import Job, Results, Section, Session
from .gpu_worker import guarded

HERE = __package__
COMPILING = 16  # files at a time; it takes the CPU alone,
CHECKING = 6  # and these take both
UNUSABLE = f"{InputError.__name__}: "  # how a note begins that says what backend.gpu_problem() does
PATIENCE, LONGER, UNHURRIED = 30, 60, 24 * 3600  # seconds: for a cell; for one of many parts; where time is no object


def job(title, module, function, *arguments, patience=PATIENCE):
    """A Job of a function of this package. Where tests cut all short, kernels are emulated, which takes longer."""
    return Job(title, f"{HERE}.{module}:{function}", arguments, UNHURRIED if gpu_timing.short() else patience)


# --- sections, each a function of the seconds that it may take -------------------------------------------------


def machine(seconds=UNHURRIED):
    """The GPU, its clocks and limits."""
    return Section(gpu_report.WHERE, seconds, (job("machine", "gpu_checks", "about_machine"),))


def unusable(results):
    """What is wrong with this machine's GPU, in one line, where machine() found that it can't be used; else None."""
    note = results.sections.get(gpu_report.WHERE, {}).get("machine", {}).get("note", "")
    return note.removeprefix(UNUSABLE) if note.startswith(UNUSABLE) else None


def compiling(seconds=UNHURRIED):
    """All kernels, compiled at the same time."""
    jobs = [job(f"compile {name}", "gpu_checks", "compiles", name, patience=LONGER) for name in chosen_files()]
    return Section("compile", seconds, tuple(jobs), COMPILING)


def tests(seconds=UNHURRIED):
    """The tests that need a GPU, each file of them in a process of its own."""
    jobs = [job(path, "gpu_checks", "tests", path, patience=LONGER) for path in gpu_checks.GPU_TESTS]
    return Section("tests", seconds, tuple(jobs), CHECKING)


def correctness(seconds=UNHURRIED):
    """Every kernel file against float64, each in a process of its own."""
    jobs = [job(name, "gpu_checks", "correct", name) for name in chosen_files()]
    return Section("correctness", seconds, tuple(jobs), CHECKING)


def many_numbers(seconds=UNHURRIED):
    """Every kernel file with arrays of more numbers than 31 bits count."""
    what = job("many numbers", "gpu_checks", "many_numbers", list(reversed(chosen_files())))
    return Section("many numbers", seconds, (what,))


def ceilings(seconds=UNHURRIED):
    """cuBLAS, and a copy."""
    return Section(gpu_report.CEILINGS, seconds, (job("ceilings", "gpu_rows", "ceilings"),))


def attention(seconds=UNHURRIED, shapes=tuple(gpu_attention.SHAPES)):
    """All rungs beside PyTorch's attention, and what the clocks are then."""
    shapes = shapes[-1:] if gpu_timing.short() else shapes
    jobs = job("attention", "gpu_attention", "cells", *shapes), job("clocks", "gpu_checks", "clocks", "after attention")
    return Section("attention", seconds, jobs)


def beside_attention(seconds=UNHURRIED):
    """The memory-bound kernels."""
    return Section("beside attention", seconds, (job("beside attention", "gpu_rows", "cells"),))


def training_steps(seconds=UNHURRIED, presets=gpu_training.PRESETS, turns=15, compiled=False):
    """Training steps of ours and PyTorch; then the same with plain CuPy."""
    presets = presets[:1] if gpu_timing.short() else presets
    jobs = [
        job(f"train {preset}", "gpu_training", "steps", preset, turns, compiled, plain, patience=UNHURRIED)
        for plain in (False, True)
        for preset in presets
    ]
    return Section("training steps", seconds, tuple(jobs))


def against_cpu(seconds=UNHURRIED):
    """A training and a clip, the GPU's and the CPU's."""
    return Section(
        "against the CPU", seconds, (job("against the CPU", "gpu_training", "against_cpu", patience=LONGER),)
    )


def sanitizer(seconds=UNHURRIED):
    """NVIDIA's compute-sanitizer at tiny shapes, the last rungs first."""
    files = list(reversed(chosen_files()))
    jobs = [
        job(f"{tool} {name}", "gpu_checks", "sanitized", tool, name) for name in files for tool in gpu_checks.SANITIZERS
    ]
    return Section("compute-sanitizer", seconds, tuple(jobs), CHECKING)


def longer_training(folder, minutes, seconds=UNHURRIED, data=None):
    """`train full` from the weights that ship."""
    what = job("training", "gpu_training", "longer", "full", "joint", str(folder), minutes, data, patience=UNHURRIED)
    return Section("training", seconds, (what,))


def chosen_files():
    """All kernel files; of those where tests cut all short, the last."""
    return list(FILES)[-1:] if gpu_timing.short() else list(FILES)


# --- `minivdit bench gpu` ------------------------------------------------------------------------------------


def names():
    """All that `minivdit bench gpu` can be asked for, in the order of the report."""
    shapes, presets = gpu_attention.SHAPES, gpu_training.PRESETS
    return ["ceilings", *(f"attention {shape}" for shape in shapes), "rows", *(f"train {preset}" for preset in presets)]


def bench(chosen=None, *, turns=15, out=None, compiled=False, show=print):
    """Measure (all of names() unless `chosen`), show a line for each cell and a short table last.

    out: a JSON file, rewritten after each cell, and beside it the same as a page (.md). Returns what it holds. Raises
    InputError without a GPU.
    """
    chosen = list(chosen or names())
    for name in chosen:
        if name not in names():
            raise InputError(f"{name!r} is not measured on a GPU; there are {', '.join(names())}")
    if problem := backend.gpu_problem():
        raise InputError(problem)
    sections = [machine(), ceilings()]
    shapes, presets = (
        tuple(name.removeprefix(kind) for name in chosen if name.startswith(kind)) for kind in ("attention ", "train ")
    )
    sections += [attention(shapes=shapes)] * bool(shapes)
    sections += [beside_attention()] * ("rows" in chosen)
    sections += [training_steps(presets=presets, turns=turns, compiled=compiled)] * bool(presets)
    results = Results(out)
    Session(results, show).run(sections)
    show(gpu_report.summary(results.everything()))
    return results.everything()


def measure_kernel(name, shape, show=print):
    """Time one file of the attention ladder at one of the SHAPES, in this process: shows a line."""
    found = {cell.name: guarded(cell.measure) for cell in gpu_attention.cells_of(shape, only=name)}
    for cell, record in found.items():
        show(gpu_report.line(cell, record))
