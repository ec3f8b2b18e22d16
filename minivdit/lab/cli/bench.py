"""`minivdit bench`: how fast this machine is, beside PyTorch."""

from .options import output_file, require_effect, whole


def add_bench(commands):
    text = """Time this machine, beside PyTorch.

    Training, sampling, attention and the autoencoder are timed, also without compiled operations, and on PyTorch if it
    is installed. Each side works in a process of its own, and they alternate. First it is checked that all compute the
    same. On a GPU each kernel of attention takes turns with PyTorch's, and each kernel beside attention is
    compared with a copy.

    examples:
      minivdit bench cpu                       everything, in about 5 minutes
      minivdit bench cpu --workload 'train small' --out small.json
      minivdit bench gpu --out gpu.json        all kernels, training steps
    """
    parser = commands.add(bench, text)
    parser.add("where", ("cpu", "gpu"), "what to time", metavar="{cpu,gpu}")
    workload = "time only this, such as 'train small' or 'attention S2'; may be given several times (default: all)"
    parser.add("--workload", str, workload, action="append", metavar="NAME")
    parser.add("--turns", whole(1, 10_000), "how often each side does the work", 15)
    parser.add("--threads", whole(1, 1024), "threads for either side (default: as many as cores)")
    parser.add("--compiled", bool, "compare with torch.compile, too")
    parser.add("--jax", bool, "compare training steps with JAX's, too")
    out = "write all figures there as JSON; on a GPU after each one, with a page beside it (default: only print them)"
    parser.add("--out", output_file, out)


def bench(options):
    from ..benchmarks import cpu, gpu

    if options.where == "gpu":
        require_effect(options, "on a GPU", "threads", "jax")
        how = {name: getattr(options, name) for name in ("turns", "out", "compiled")}
        gpu.bench(options.workload, **how)
        return
    sides = ["ours", "numpy", "eager", *["compiled"] * options.compiled, *["jax"] * options.jax]
    cpu.bench(options.workload, threads=options.threads, turns=options.turns, sides=sides, out=options.out)
