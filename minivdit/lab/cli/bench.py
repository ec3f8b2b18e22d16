"""`minivdit bench`: how fast this machine is, beside PyTorch, and how fast several ranks are."""

from ...base.errors import InputError
from ...base.ranks import here
from .options import output_file, require_effect, whole


def add_bench(commands):
    text = """Time this machine, beside PyTorch.

    cpu: times training, sampling, attention and the autoencoder, with and without compiled operations, and in PyTorch
    if it is installed. Each side works in a process of its own, and they take turns. First all are checked to compute
    the same.

    gpu: each kernel of attention takes turns with PyTorch's, and each other kernel is compared with a copy.

    mpi: times exchanges of data between ranks (latency and bandwidth), and a training step on these ranks beside one by
    as many forked processes.

    examples:
      minivdit bench cpu                       everything, in about 5 minutes
      minivdit bench cpu --workload 'train small' --out small.json
      minivdit bench gpu --out gpu.json        all kernels, training steps
      mpiexec -n 2 minivdit bench mpi --workload 'train full'
    """
    parser = commands.add(bench, text)
    parser.add("where", ("cpu", "gpu", "mpi"), "what to time", metavar="{cpu,gpu,mpi}")
    workload = "time only this, such as 'train small' or 'attention S2'; may be given several times (default: all)"
    parser.add("--workload", str, workload, action="append", metavar="NAME")
    parser.add("--turns", whole(1, 10_000), "how often each side does the work", 15)
    parser.add("--threads", whole(1, 1024), "threads for either side (default: as many as cores)")
    parser.add("--compiled", bool, "compare with torch.compile, too")
    parser.add("--jax", bool, "compare training steps with JAX's, too")
    out = "write all figures there as JSON; on a GPU after each one, with a page beside it (default: only print them)"
    parser.add("--out", output_file, out)
    parser.set_defaults(on_ranks=True)


def bench(options):
    if options.where == "mpi":
        return bench_ranks(options)
    if here().size > 1:
        raise InputError(f"bench {options.where} is done by one process, and {here().size} were started; see bench mpi")
    from ..benchmarks import cpu, gpu

    if options.where == "gpu":
        require_effect(options, "on a GPU", "threads", "jax")
        how = {name: getattr(options, name) for name in ("turns", "out", "compiled")}
        gpu.bench(options.workload, **how)
        return
    sides = ["ours", "numpy", "eager", *["compiled"] * options.compiled, *["jax"] * options.jax]
    cpu.bench(options.workload, threads=options.threads, turns=options.turns, sides=sides, out=options.out)


def bench_ranks(options):
    require_effect(options, "between ranks", "threads", "compiled", "jax")
    ranks = here()
    if ranks.size == 1:
        raise InputError("bench mpi times what passes between ranks; start some: mpiexec -n 2 minivdit bench mpi")
    from ...training import presets
    from ..benchmarks import mpi, workloads
    from ..pipeline.traffic import Network, training_traffic

    figures = mpi.bench(ranks, options.workload, turns=options.turns, out=options.out)
    network = Network(**figures["network"])
    for name, step in figures["steps"].items():
        preset = presets.get(workloads.split_name(name)[1])
        print(f"predicted for {name}, {training_traffic(preset, ranks.size, step['shards']).told([network])}")
