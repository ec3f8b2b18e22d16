"""The benchmark between ranks: both sides take turns at the same gradients, and bytes are those that were sent."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.base.ranks import Ranks
from minivdit.lab.benchmarks import mpi, workloads
from minivdit.lab.cli import bench
from minivdit.lab.cli.main import main
from minivdit.lab.pipeline.traffic import OnPaper

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


@pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpiexec isn't there; pip install 'minivdit[mpi]'",
)
def test_two_ranks_and_two_forked_processes_take_turns(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [MPIEXEC, "-n", "2", sys.executable, "-m", "minivdit", "bench", "mpi", "--workload", "train tiny"]
    command += ["--turns", "2", "--out", str(tmp_path / "mpi.json")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    found = json.loads((tmp_path / "mpi.json").read_text())
    assert (found["ranks"], found["machines"], found["machine"]["threads"]) == (2, 1, 2)
    assert [one["bytes"] for one in found["exchanges"]] == [*mpi.SIZES] * 2
    assert len(found["meet"]) == 2 and all(len(one["seconds"]) == 2 for one in found["exchanges"])
    step = found["steps"]["train tiny"]
    assert step["shards"] == 4  # the preset's
    assert {side: len(turns) for side, turns in step["seconds"].items()} == {"ranks": 2, "forked": 2}
    assert min(step["seconds"]["ranks"] + step["seconds"]["forked"]) > 0
    assert min(found["network"].values()) > 0
    for told in ("share ", "for minivdit costs: --bandwidth ", "ranks / forked ", "gradients to their owners"):
        assert ran.stdout.count(told) >= 1, told
    assert ran.stdout.count("by 2 processes that one forks") == 1  # one rank speaks


class ByHand:
    """Stands where a cpu.Worker would."""

    def __init__(self, results):
        self.results = results

    def ask(self, request):
        return self.results


def test_gradients_that_differ_in_one_bit_are_an_error():
    run, batch = workloads.training("train", "tiny", 1, shards=5, ranks=Ranks())
    assert run.workers.shards == 5
    gradients = {name: gradient.copy() for name, gradient in run.workers(batch)[1].items()}
    mpi.compare(Ranks(), run, batch, ByHand(gradients))
    last = list(gradients)[-1]
    gradients[last].reshape(-1)[0] = np.nextafter(gradients[last].reshape(-1)[0], np.float32(1))
    with pytest.raises(InputError, match=f"got different gradients: of {last}"):
        mpi.compare(Ranks(), run, batch, ByHand(gradients))


def test_the_network_explains_the_smallest_and_the_largest_exchange():
    exchanges = [{"name": "all_to_all", "bytes": size, "seconds": [3e-6 + 1e-9 * size]} for size in (0, 10**6)]
    assert mpi.network_of(OnPaper(0, 4), exchanges) == pytest.approx({"gigabits": 8, "microseconds": 1})


def test_what_is_refused(monkeypatch, capsys):
    assert main(["bench", "mpi"]) == 2
    assert "start some: mpiexec -n 2 minivdit bench mpi" in capsys.readouterr().err
    assert main(["bench", "mpi", "--threads", "2"]) == 2
    assert "--threads has no effect between ranks" in capsys.readouterr().err
    monkeypatch.setattr(bench, "here", lambda: OnPaper(0, 2))
    assert main(["bench", "cpu"]) == 2
    assert "bench cpu is done by one process, and 2 were started; see bench mpi" in capsys.readouterr().err
    for name in ("sample full", "train 4x64x128x6x4"):
        with pytest.raises(InputError, match="isn't timed between ranks; there are 'train tiny'"):
            mpi.check_name(name)
