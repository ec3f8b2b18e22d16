"""Ranks that have a GPU each: real ones of MPI, and in each the stand-in for CuPy."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minivdit.base import backend, ranks
from minivdit.base.errors import InputError
from minivdit.training.checkpoint import load_checkpoint
from minivdit.training.loop import fit
from minivdit.training.spread import shards_of

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpiexec isn't there; pip install 'minivdit[mpi]'",
)
TESTS = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("toy_task", Path(__file__).with_name("toy_task.py"))
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

PROGRAM = """
import importlib.util, json, sys
from pathlib import Path
import numpy as np
import pytest
from minivdit import autograd as ag
from minivdit.base import backend, ranks
from minivdit.base.errors import InputError
from minivdit.training.loop import fit

def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module

tests, with_nccl, folder = Path(sys.argv[1]), sys.argv[2] == "nccl", Path(sys.argv[3])
stand_in, toy = load(tests / "stand_in_cupy.py"), load(tests / "training" / "toy_task.py")
us, patch = ranks.here(), pytest.MonkeyPatch()
cupy = stand_in.install(patch, devices=2, nccl=with_nccl)
backend.use("gpu", kernels=False)
found = {"gpu": us.meet(cupy.cuda.runtime.getDevice()), "labels": len(set(us.meet(backend.device_label())))}

x = backend.to_device(np.arange(8.0, dtype=np.float32).reshape(4, 2) + 10 * us.rank)
stand_in.record.clear()
swapped = ag.all_to_all(x, ranks=us, cut=1, join=0, length=8)
whole = ag.all_gather(x, ranks=us, axis=0, length=8)
total = ag.reduce_scatter(x, ranks=us, axis=0)
found["to host"] = us.meet(len(stand_in.record.to_host()))
found["exchanged"] = us.meet([a.data.get().tolist() for a in (swapped, whole, total)])
try:
    us.all_to_all([[x.astype(np.float64)]] * 2, [[(4, 2)]] * 2)
except TypeError as error:
    found["another dtype"] = us.meet(str(error))

copies = []
def watch(run, state):
    copies.append(max(stand_in.record.to_host()))
    stand_in.record.clear()

run = fit(toy.ToyTask(), toy.SETTINGS, folder / "run.safetensors", progress=False, callbacks=[(1, watch)])
largest = 4 * max(parameter.size for parameter in run.parameters.values())
found["most brought to the host"] = us.meet(max(copies) / largest)
with run.averaged():
    found["average"] = us.meet(all(type(p.data) is cupy.ndarray for p in run.parameters.values()))

backend.take_gpu(0)
backend.use("gpu", kernels=False)
try:
    us.meet()
except InputError as error:
    found["same GPU"] = str(error)
backend.use("gpu" if us.first else "cpu", kernels=False)
try:
    us.meet()
except InputError as error:
    found["mixed"] = str(error)
backend.use("cpu")
found = us.meet(found)[0]
if us.first:
    print(json.dumps(found))
"""


def run(count, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [MPIEXEC, "-n", str(count), sys.executable, "-c", PROGRAM, str(TESTS), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@needs_mpi
@pytest.mark.parametrize("how", ["nccl", "host"])
def test_two_ranks_train_on_a_gpu_each_as_one_does_on_cpus(tmp_path, how, plain_numpy):
    ran = run(2, how, str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["gpu"] == [0, 1] and found["labels"] == 2
    for rank, (swapped, whole, total) in enumerate(found["exchanged"]):
        rows = [[2.0 * row, 2.0 * row + 1] for row in range(4)]
        rows += [[a + 10, b + 10] for a, b in rows]
        assert whole == rows and swapped == [[row[rank]] for row in rows]
        assert total == [[2 * a + 10, 2 * b + 10] for a, b in rows[2 * rank : 2 * rank + 2]]
    assert all("Cannot cast" in told for told in found["another dtype"])
    fit(toy.ToyTask(), toy.SETTINGS, tmp_path / "alone.safetensors", progress=False)
    (ours, _), (theirs, _) = (load_checkpoint(tmp_path / f"{name}.safetensors") for name in ("alone", "run"))
    for group in ("weights", "average", "optimizer"):
        assert ours[group].keys() == theirs[group].keys()
        assert all(np.array_equal(array, theirs[group][name]) for name, array in ours[group].items()), group
    assert found["average"] == [True, True]
    if how == "nccl":  # only losses and squares are read
        assert found["to host"] == [0, 0] and max(found["most brought to the host"]) < 0.1
    else:
        assert min(found["to host"]) > 0 and max(found["most brought to the host"]) >= 1
    assert ran.stderr.count("GPUs exchange data through the memory of the machines") == (how == "host")
    assert found["same GPU"] == "ranks 0 and 1 have the same GPU; start one rank for each GPU of a machine"
    assert found["mixed"] == "rank 1 computes on the CPU and rank 0 on a GPU; give --device cpu or gpu to all"


@pytest.mark.parametrize(("devices", "number", "chosen"), [(1, 0, 0), (4, 0, 0), (4, 3, 3), (4, 5, 1), (1, 3, 0)])
def test_each_rank_of_a_machine_chooses_its_own_gpu(stand_in, monkeypatch, devices, number, chosen):
    """The last is under a launcher that shows each process only its own."""
    module = stand_in.install(monkeypatch, devices=devices)
    monkeypatch.setitem(backend._state, "gpu", number)
    backend.use("gpu", kernels=False)
    assert module.cuda.runtime.getDevice() == chosen
    assert f"{chosen:02x}" * 16 in backend.device_label()
    backend.use("cpu")
    assert backend.device_label() == "cpu"


def test_labels_that_do_not_go_together():
    ranks.require_devices(["cpu"] * 3)
    ranks.require_devices(["a 1", "b 1", "a 2"])
    with pytest.raises(InputError, match="ranks 0 and 2 have the same GPU"):
        ranks.require_devices(["a 1", "b 1", "a 1"])
    with pytest.raises(InputError, match="rank 2 computes on a GPU and rank 0 on the CPU"):
        ranks.require_devices(["cpu", "cpu", "a 1"])


def test_only_a_gpu_that_is_alone_takes_a_batch_at_once(gpu):
    several = ranks.Ranks()
    several.size = 2
    assert shards_of(toy.SETTINGS, ranks.Ranks()) == 1 and shards_of(toy.SETTINGS, several) == toy.SETTINGS.shards == 3
    backend.use("cpu")
    assert shards_of(toy.SETTINGS, ranks.Ranks()) == 3
