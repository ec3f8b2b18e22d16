"""`python -m minivdit.kernels list | compile | emulate`: the kernels, on a machine without a GPU."""

import os
import subprocess
import sys

from ...base.errors import InputError
from ...kernels.formats import STORED_AS
from . import main as cli
from .arguments import seed, whole
from .options import Parser

COUNT = whole(1, 100_000)  # of threads or rows


def main(arguments=None):
    """Run one command; returns the exit code, as minivdit's own command line does."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return cli.main(arguments, lambda: build_parser(arguments), "minivdit.kernels")


def build_parser(arguments=()):
    parser = Parser(
        prog="python -m minivdit.kernels", description="Hand-written CUDA kernels, compiled and run without a GPU."
    )
    parser.set_defaults(run=lambda options: parser.print_help(), arguments=arguments)
    commands = parser.add_subparsers(metavar="COMMAND")

    made = commands.add_parser("list", help="the kernel files and their functions")
    made.set_defaults(run=list_kernels)

    made = commands.add_parser("compile", help="for every architecture: registers, shared memory, spills")
    made.add_argument("name", nargs="*", metavar="NAME", help="kernel files (default: all)")
    several = "such as 80 or 90a; may be given several times (default: all)"
    made.add_argument("--architecture", action="append", metavar="N", help=several)
    made.add_argument("--compiler", choices=("nvcc", "nvrtc"), help="which compiler (default: the first that is there)")
    made.set_defaults(run=compile_kernels)

    made = commands.add_parser("emulate", help="run a kernel on the CPU and compare it with NumPy in float64")
    made.add_argument("name", metavar="NAME", help="a kernel file, or how its name begins: attention_forward_2")
    made.add_argument("--trace", action="store_true", help="show step by step what threads of one block do")
    made.add_argument("--threads", type=COUNT, default=2, metavar="N", help="how many threads the trace shows")
    made.add_argument("--block", type=whole(0), default=0, metavar="N", help="the block that the trace shows")
    made.add_argument("--queries", type=COUNT, metavar="N", help="attention (default: 70, or 6 with --trace)")
    made.add_argument("--keys", type=COUNT, metavar="N", help="attention (default: 50, or 4 with --trace)")
    frames = "attention: tokens lie in N frames, and none sees a later one (default: all see all)"
    made.add_argument("--frames", type=COUNT, metavar="N", help=frames)
    made.add_argument("--rows", type=COUNT, metavar="N", help="all other kernels (default: 70, or 6 with --trace)")
    width = "entries of a row; 32, 64 or 128 of an attention head"
    made.add_argument("--width", type=whole(1, 10_000), default=32, metavar="N", help=width)
    dtype = "of the arrays (default: the first that the kernel reads)"
    made.add_argument("--dtype", choices=tuple(STORED_AS), help=dtype)
    made.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the numbers and the threads' order")
    made.add_argument("--sanitize", action="store_true", help="with AddressSanitizer: finds accesses out of bounds")
    made.set_defaults(run=emulate_kernel)
    return parser


def list_kernels(options):
    from ...kernels.catalogue import FILES

    for file in FILES.values():
        instances, dtypes = ", ".join(map(str, file.instances)), ", ".join(file.types or ("float32",))
        there = f"sm_{file.only} only" if file.only else f"from sm_{file.architecture}"
        print(f"{file.name}  ({dtypes}; instances {instances}; {there})")
        for function in file.functions:
            print(f"    {function.name}, {function.threads} threads a block")


def compile_kernels(options):
    from ...kernels.catalogue import FILES
    from ...kernels.compile import ARCHITECTURES, compile_file, compilers, table

    for architecture in options.architecture or ():
        if architecture not in ARCHITECTURES:
            raise InputError(f"{architecture!r} is not an architecture here; there are {', '.join(ARCHITECTURES)}")
    reports = []
    for name in options.name or FILES:
        reports += compile_file(_file(name), options.architecture or ARCHITECTURES, options.compiler)
    print(f"by {options.compiler or compilers()[0]}")
    print("\n".join(table(reports)))
    return int(any(report.spilled_bytes for report in reports))


def emulate_kernel(options):
    from ...kernels.emulate import Emulation, EmulationError, sanitized_environment

    file = _file(options.name)
    if options.sanitize and "LD_PRELOAD" not in os.environ:  # it has to be there before Python is
        command = [sys.executable, "-m", "minivdit.kernels", *options.arguments]
        return subprocess.run(command, env=sanitized_environment()).returncode
    runner = Emulation(
        seed=options.seed,
        traced_threads=options.threads if options.trace else 0,
        traced_block=options.block,
        sanitize=options.sanitize,
    )
    try:
        sizes, measure, errors = _errors(file, options, runner)
    except EmulationError as error:
        raise InputError(str(error)) from None
    finally:
        for line in runner.trace:
            print(line)
    print(f"{file.name}: {sizes}; largest error against float64:")
    for name, error in errors.items():
        in_plain = f"; {measure} {error.plain:.1e}" if file.types else ""
        print(f"    {name:12} {error.largest:.1e}  (largest number {error.size:.1f}{in_plain})")
    return int(not all(error.largest <= max(1e-4 * max(1, error.size), 2 * error.plain) for error in errors.values()))


def _errors(file, options, runner):
    """In words, the sizes that a kernel was run with and what `Error.plain` is; and the result's errors."""
    from ...kernels import attention
    from ..benchmarks import kernel_attention_check as example
    from ..benchmarks import kernel_fused_check as fused_example

    in_attention = file.name in attention.FILES
    for option in ("rows",) if in_attention else ("queries", "keys", "frames"):
        if getattr(options, option) is not None:
            raise InputError(f"{file.name} has no --{option}; see python -m minivdit.kernels emulate --help")
    dtype = options.dtype or (file.types or ("float32",))[0]
    common = {"seed": options.seed, "runner": runner, "dtype": dtype}
    if not in_attention:
        rows = options.rows or (6 if options.trace else 70)
        errors = fused_example.errors(file.name, rows, options.width, **common)
        return f"{rows} rows of {options.width}", f"rounding to {dtype} alone", errors
    queries, keys = options.queries or (6 if options.trace else 70), options.keys or (4 if options.trace else 50)
    sizes = f"{queries} queries, {keys} keys, head width {options.width}"
    errors = example.errors(file.name, queries, keys, options.width, options.frames, **common)
    return sizes, f"plain {dtype} arithmetic", errors


def _file(name):
    """The kernel file of that name, or the one whose name begins so."""
    from ...kernels.catalogue import FILES

    found = [file for file in FILES.values() if file.name == name or file.name.startswith(f"{name}_")]
    if len(found) != 1:
        raise InputError(f"{name!r} is not a kernel; there are {', '.join(FILES)}")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
