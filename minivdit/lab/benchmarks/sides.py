"""Who does a workload: minivdit, minivdit without compiled operations, and the yardsticks.

A yardstick's library is imported only in the process that times it.
"""

import dataclasses
import importlib.metadata

from ... import autograd as ag
from ...base import backend
from . import workloads


@dataclasses.dataclass(frozen=True)
class Side:
    """title: in words. package: what must be installed. cure: how it is. kinds: of workloads, all unless given."""

    title: str
    package: str
    cure: str = ""
    kinds: tuple = workloads.KINDS


SIDES = {
    "ours": Side("minivdit", "numpy"),
    "numpy": Side("minivdit on NumPy alone", "numba", "pip install 'minivdit[fast]'"),  # without Numba `ours` is that
    "cupy": Side("minivdit on CuPy alone", "numpy"),
    "eager": Side("PyTorch", "torch", "pip install 'minivdit[parity]'"),
    "compiled": Side("torch.compile", "torch", "pip install 'minivdit[parity]'", ("train", "sample")),
    "jax": Side("jax.jit", "jax", "pip install jax", ("train",)),
}


def prepare(side, name, threads, device="cpu"):
    """Make a workload ready for a side, in the process in which it runs: a workloads.Prepared. device: 'cpu', 'gpu'."""
    if side in ("ours", "numpy", "cupy"):
        backend.use(device, kernels=side == "ours")
        backend.tune_allocator()
        ag.load_twins()  # like the import of a yardstick's library, that isn't part of the work
        return workloads.ours(name, threads)
    if side == "jax":
        from . import jax_side

        return jax_side.prepare(name, threads)
    from . import torch_side

    return torch_side.prepare(name, threads, side == "compiled", "cuda" if device == "gpu" else "cpu")


def installed(side):
    """Whether what a side needs is there."""
    try:
        importlib.metadata.version(SIDES[side].package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def takes(side, name):
    """Whether a side does the workload of this name."""
    return workloads.split_name(name)[0] in SIDES[side].kinds
