"""`minivdit kernels list | compile | emulate`: the CUDA kernels, on a machine without a GPU."""

import os
import subprocess
import sys

from ...base.errors import InputError
from .options import Commands, seed, whole

DTYPES = ("float32", "float16", "bfloat16")  # those of kernels.formats, which would import NumPy
COUNT = whole(1, 100_000)  # of threads or rows
USUAL = {"queries": (70, 6), "keys": (50, 4), "rows": (70, 6)}  # how many, and with --trace


def add_kernels(commands):
    text = """Compile the CUDA kernels, and run them on the CPU.

    They are written by hand, and no GPU is needed here. 'minivdit kernels COMMAND --help' explains a command.

    examples:
      minivdit kernels list
      minivdit kernels compile
      minivdit kernels emulate attention_forward_2 --trace
    """
    parser = commands.add(lambda options: parser.print_help(), text, name="kernels")
    commands = Commands(parser)
    commands.heading("commands")
    add_list(commands)
    add_compile(commands)
    add_emulate(commands)


def add_list(commands):
    text = """List the kernel files and their functions.

    examples:
      minivdit kernels list
    """
    commands.add(list_kernels, text, name="list")


def list_kernels(options):
    from ...kernels.catalogue import FILES

    for file in FILES.values():
        instances, dtypes = ", ".join(map(str, file.instances)), ", ".join(file.dtypes())
        there = f"sm_{file.only} only" if file.only else f"from sm_{file.architecture}"
        print(f"{file.name}  ({dtypes}; instances {instances}; {there})")
        for function in file.functions:
            print(f"    {function.name}, {function.threads} threads a block")


def add_compile(commands):
    text = """Compile for every architecture: registers, shared memory, spills.

    examples:
      minivdit kernels compile
      minivdit kernels compile bias_gelu --architecture 80
    """
    parser = commands.add(compile_kernels, text, name="compile")
    parser.add("name", str, "kernel files (default: all)", nargs="*", metavar="NAME")
    several = "a GPU architecture, such as 80 or 90a; may be given several times (default: all)"
    parser.add("--architecture", str, several, action="append", metavar="N")
    parser.add("--compiler", ("nvcc", "nvrtc"), "which compiler (default: the first that is there)")


def compile_kernels(options):
    from ...kernels.catalogue import FILES
    from ...kernels.compile import ARCHITECTURES, compile_file, compilers, table

    for architecture in options.architecture or ():
        if architecture not in ARCHITECTURES:
            raise InputError(f"{architecture!r} is not an architecture here; there are {', '.join(ARCHITECTURES)}")
    reports = []
    for name in options.name or FILES:
        reports += compile_file(find(name), options.architecture or ARCHITECTURES, options.compiler)
    print(f"by {options.compiler or compilers()[0]}")
    print("\n".join(table(reports)))
    return int(any(report.spilled_bytes for report in reports))


def add_emulate(commands):
    text = """Run a kernel on the CPU and compare it with NumPy in float64.

    examples:
      minivdit kernels emulate attention_forward_2 --trace
      minivdit kernels emulate bias_gelu --rows 70 --width 102 --dtype float16
      minivdit kernels emulate attention_forward_3 --sanitize
    """
    parser = commands.add(emulate_kernel, text, name="emulate")
    parser.add("name", str, "a kernel file, or how its name begins: attention_forward_2", metavar="NAME")
    parser.add("--trace", bool, "show step by step what threads of one block do")
    parser.add("--threads", COUNT, "how many threads the trace shows", 2)
    parser.add("--block", whole(0), "the block that the trace shows", 0)
    parser.add("--queries", COUNT, "of attention: number of queries (default: 70, or 6 with --trace)")
    parser.add("--keys", COUNT, "of attention: number of keys (default: 50, or 4 with --trace)")
    parser.add(
        "--frames", COUNT, "of attention: tokens are in N frames, and none sees a later one (default: all see all)"
    )
    parser.add("--rows", COUNT, "of all other kernels: number of rows (default: 70, or 6 with --trace)")
    parser.add("--width", whole(1, 10_000), "entries of a row; of an attention head 32, 64 or 128", 32)
    dtype = "format of the arrays (default: the first that the kernel reads)"
    parser.add("--dtype", DTYPES, dtype)
    parser.add("--seed", seed, "seed of the numbers and the threads' order", 0)
    parser.add("--sanitize", bool, "use AddressSanitizer, which finds accesses out of bounds")


def emulate_kernel(options):
    from ...kernels.emulate import Emulation, EmulationError, sanitized_environment

    file = find(options.name)
    if options.sanitize and "LD_PRELOAD" not in os.environ:  # it has to be there before Python is
        command = [sys.executable, "-m", "minivdit", "kernels", "emulate", *options.words]
        return subprocess.run(command, env=sanitized_environment()).returncode
    runner = Emulation(
        seed=options.seed,
        traced_threads=options.threads if options.trace else 0,
        traced_block=options.block,
        sanitize=options.sanitize,
    )
    try:
        sizes, measure, errors = run_and_compare(file, options, runner)
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


def run_and_compare(file, options, runner):
    """In words, the sizes that a kernel was run with and what `Error.plain` is; and the result's errors."""
    from ...kernels import attention
    from ..benchmarks import kernel_attention_check, kernel_fused_check

    in_attention = file.name in attention.FILES
    for option in ("rows",) if in_attention else ("queries", "keys", "frames"):
        if getattr(options, option) is not None:
            raise InputError(f"{file.name} has no --{option}; see 'minivdit kernels emulate --help'")
    dtype = options.dtype or file.dtypes()[0]
    how = {"seed": options.seed, "runner": runner, "dtype": dtype}
    queries, keys, rows = (getattr(options, name) or usual[options.trace] for name, usual in USUAL.items())
    if in_attention:
        errors = kernel_attention_check.errors(file.name, queries, keys, options.width, options.frames, **how)
        return f"{queries} queries, {keys} keys, head width {options.width}", f"plain {dtype} arithmetic", errors
    errors = kernel_fused_check.errors(file.name, rows, options.width, **how)
    return f"{rows} rows of {options.width}", f"rounding to {dtype} alone", errors


def find(name):
    """The kernel file of that name, or the one whose name begins so."""
    from ...kernels.catalogue import FILES

    found = [file for file in FILES.values() if file.name == name or file.name.startswith(f"{name}_")]
    if len(found) != 1:
        raise InputError(f"{name!r} is not a kernel; there are {', '.join(FILES)}")
    return found[0]
