"""Exchanges between ranks: what comes out, and the gradients of the sum of all ranks' losses."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
pytestmark = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpiexec isn't there; pip install 'minivdit[mpi]'",
)

# Each rank draws all of every array, from one seed, and takes its part. cotangents has one for each rank.
PROGRAM = """
import json
import numpy as np
from minivdit import autograd as ag
from minivdit.base.ranks import here

us, found, leaf = here(), {}, lambda array: ag.Tensor(array, requires_grad=True)

def part(array, axis, rank=us.rank):
    places = us.part(array.shape[axis], rank)
    return np.take(array, range(places.start, places.stop), axis)

def compare(name, out, x, expected, cotangent, gradient):
    (found_gradient,) = ag.gradients(out, [x], cotangent)
    right = [
        np.array_equal(out.data, expected),
        np.allclose(found_gradient, gradient, rtol=1e-12, atol=0),
        out.data.dtype == found_gradient.dtype == x.data.dtype,
        bool(np.any(gradient)) or not gradient.size,
    ]
    found[name] = us.meet([bool(r) for r in right])

for dtype in (np.float64, np.float32):
    draw = np.random.default_rng(0)
    for tokens, heads in ((6, 3), (7, 4), (2, 5), (7, 2), (1, 1)):
        case = f"{tokens} tokens, {heads} heads, {np.dtype(dtype).name}"
        whole = draw.standard_normal((2, tokens, heads, 3)).astype(dtype)
        cotangents = draw.standard_normal((us.size, *whole.shape)).astype(dtype)

        x = leaf(part(whole, 1))
        out = ag.all_to_all(x, ranks=us, cut=2, join=1, length=tokens)
        after = part(cotangents[0], 2)
        compare(f"all_to_all, {case}", out, x, part(whole, 2), after, part(cotangents[0], 1))

        x = leaf(part(whole, 1))
        out = ag.all_gather(x, ranks=us, axis=1, length=tokens)
        summed = part(np.add.reduce(cotangents), 1)
        compare(f"all_gather, {case}", out, x, whole, cotangents[us.rank], summed)

        x = leaf(cotangents[us.rank])
        out = ag.reduce_scatter(x, ranks=us, axis=-2)
        total = cotangents[0]
        for other in cotangents[1:]:
            total = total + other
        compare(f"reduce_scatter, {case}", out, x, part(total, 2), part(whole, 2), whole)

        x = leaf(cotangents[us.rank])
        back = cotangents[::-1] ** 2
        compare(f"all_reduce, {case}", ag.all_reduce(x, ranks=us), x, total, back[us.rank], np.add.reduce(back))

x = leaf(np.arange(24.0).reshape(2, 3, 4)[:, : len(us.part(3))] + us.rank)  # there and back again
there = ag.all_to_all(x, ranks=us, cut=2, join=1, length=3)
back = ag.all_to_all(there, ranks=us, cut=1, join=2, length=4)
compare("there and back", back, x, x.data, 2 * x.data, 2 * x.data)
try:
    ag.all_gather(ag.Tensor(np.zeros((9, 2))), ranks=us, axis=0, length=3)
except ValueError as error:
    found["refused"] = us.meet([f"rank {us.rank} of 3 has" in str(error)])
if us.first:
    print(json.dumps(found))
"""


def test_exchanges_and_their_gradients_on_three_ranks():
    """Sizes that three ranks don't divide, and more ranks than there is to share out."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [MPIEXEC, "-n", "3", sys.executable, "-c", PROGRAM]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert len(found) == 2 * 5 * 4 + 2
    wrong = {name: right for name, right in found.items() if not all(all(rank) for rank in right)}
    assert not wrong
