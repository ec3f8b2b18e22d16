"""Trainings on MPI's ranks: the same bits on 1, 2 and 4 of them, and one line whatever goes wrong."""

import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minivdit.base import ranks
from minivdit.base.ranks import Ranks
from minivdit.lab.pipeline.train import train_model
from minivdit.training import presets
from minivdit.training.checkpoint import load_checkpoint
from minivdit.training.loop import fit
from minivdit.training.spread import Spread

TOY = Path(__file__).with_name("toy_task.py")
_spec = importlib.util.spec_from_file_location("toy_task", TOY)
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpiexec isn't there; pip install 'minivdit[mpi]'",
)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
TINY = {"autoencoder_training.steps": 3, "text_training.steps": 2, "training.steps": 2, "data.digits": "strokes"}
TINY |= {"autoencoder_training.shards": 4, "text_training.shards": 4, "training.shards": 4}


def start(count, *command):
    """`command` of Python on so many ranks, as a Popen."""
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([MPIEXEC, "-n", str(count), sys.executable, *command], env=ENVIRONMENT, **told)


def ended(process, seconds=300):
    """(exit code, stdout, stderr) of a Popen; none of its ranks is left."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, out, err


def run(count, *command):
    return ended(start(count, *command))


def train_tiny(folder, changes=TINY):
    given = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    return ["-m", "minivdit", "train", "tiny", "--kernels", "off", "--out", str(folder), *given]


def require_equal_checkpoints(path, other):
    """All but the seconds that it took."""
    (ours, about), (theirs, told) = load_checkpoint(path), load_checkpoint(other)
    assert about == told and ours.keys() == theirs.keys()
    for group in ours:
        assert ours[group].keys() == theirs[group].keys(), group
        for name in ours[group].keys() - {"seconds"}:
            assert np.array_equal(ours[group][name], theirs[group][name]), (group, name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of a training of `tiny` by this process."""
    from minivdit.base import backend

    folder = tmp_path_factory.mktemp("alone")
    backend.use("cpu", kernels=False)
    preset = presets.override(presets.get("tiny"), [f"{name}={value}" for name, value in TINY.items()])
    train_model(preset, folder, progress=False)
    backend.use("cpu")
    return folder


@needs_mpi
@pytest.mark.parametrize("count", [2, 4])
def test_any_number_of_ranks_gives_the_same_bits(alone, tmp_path, count):
    """Of all stages: weights, average, the optimiser's state, metrics of the previews. One rank speaks."""
    code, out, err = run(count, *train_tiny(tmp_path / "run"))
    assert code == 0, err
    stages = [path.name for path in alone.glob("*.safetensors") if path.name != "model.safetensors"]
    assert len(stages) == 3
    for name in stages:
        require_equal_checkpoints(alone / name, tmp_path / "run" / name)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in alone.iterdir()}
    assert out.count("model.safetensors: ") == out.count("next: ") == 1


TOY_ON_RANKS = """
import dataclasses, importlib.util, os, signal, sys, threading
from minivdit.training.loop import fit

toy, path, steps, lost, step, seconds = sys.argv[1:]
spec = importlib.util.spec_from_file_location("toy_task", toy)
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)

def die(run, state):
    if (run.ranks.rank, state.step) == (int(lost), int(step)):
        threading.Timer(float(seconds), os.kill, (os.getpid(), signal.SIGKILL)).start()

settings = dataclasses.replace(toy.SETTINGS, steps=int(steps))
fit(toy.ToyTask(), settings, path, save_every=3, callbacks=[(1, die)], progress=False)
"""


@needs_mpi
def test_a_lost_rank_ends_all_and_others_go_on_bit_for_bit(tmp_path):
    """Three ranks until one of them is killed, then two: as if one had done all."""
    path, steps, draw = tmp_path / "run.safetensors", 60, np.random.default_rng()
    step, seconds = int(draw.integers(5, 40)), draw.uniform(0, 0.005)
    began = time.monotonic()
    code, _, _ = run(3, "-c", TOY_ON_RANKS, str(TOY), str(path), str(steps), "1", str(step), str(seconds))
    assert code != 0 and time.monotonic() - began < 60, f"killed {seconds} s after step {step}"
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if str(path).encode() in _command(pid)]
    assert 0 < load_checkpoint(path)[0]["run"]["step"] < steps
    code, _, err = run(2, "-c", TOY_ON_RANKS, str(TOY), str(path), str(steps), "-1", "0", "0")
    assert code == 0, err
    straight = tmp_path / "straight.safetensors"
    fit(toy.ToyTask(), dataclasses.replace(toy.SETTINGS, steps=steps), straight, progress=False)
    require_equal_checkpoints(straight, path)


def _command(pid):
    with contextlib.suppress(OSError):
        return (pid / "cmdline").read_bytes()
    return b""


@needs_mpi
def test_a_stop_saves_and_one_line_says_how_to_go_on(tmp_path):
    """SIGTERM, as a time limit sends it."""
    process = start(2, *train_tiny(tmp_path, TINY | {"autoencoder_training.steps": 100_000}))
    log, until = tmp_path / "autoencoder.jsonl", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until and (not log.exists() or log.read_text().count("\n") < 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    assert code == 143, err
    (line,) = [line for line in err.splitlines() if "minivdit:" in line]
    step = load_checkpoint(tmp_path / "autoencoder.safetensors")[0]["run"]["step"]
    assert f"stopped after step {step} of 100000: saved in" in line and "run the same command again to go on" in line


IN_TURN = """
import contextlib, io, json, sys
import numpy as np
from minivdit.base import machine, ranks, seeds
from minivdit.base.errors import InputError
from minivdit.lab.cli.main import main

us, folder, found = ranks.here(), sys.argv[1], {}
numbers = lambda shape, tag: np.full(shape, tag, np.float32)

came = us.all_to_all(
    [[numbers((us.rank + 1, 3), 10 * us.rank + to), numbers((to, 5), 100)] for to in range(us.size)],
    [[(sender + 1, 3), (us.rank, 5)] for sender in range(us.size)],
)
found["all_to_all"] = us.meet([[(array.shape, float(array.sum())) for array in arrays] for arrays in came])
arrays = [numbers((2, 3), us.rank), numbers((4, 2), us.rank).T, numbers((0,), us.rank)]
us.share(arrays, [1, 0, 1])
found["share"] = us.meet([np.unique(array).tolist() for array in arrays])
found["collect"] = us.meet(us.collect({us.rank: "own"}))
found["first_does"] = us.meet(us.first_does(lambda: us.rank))

def command(name, *arguments, instead=None):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main([*arguments, *(instead or {}).get(us.rank, [])])
    found[name] = us.meet((code, said.getvalue()))

train = ["train", "tiny", "--digits", "strokes", "--kernels", "off"]
command("few shards", *train, "--out", folder + "/few", "--set", "training.shards=1")
fine, file = ["--out", folder + "/fine"], ["--out", folder + "/file/run"]
command("first can't write", *train, instead={0: file, 1: fine})
command("second can't write", *train, instead={0: fine, 1: file})
command("another training", *train, *fine, instead={1: ["--seed", "1"]})
stages = "autoencoder_training", "text_training", "training"
few = [word for stage in stages for word in ("--set", f"{stage}.steps=2")]
seeds.MEASUREMENTS += us.rank  # as processors that round another way would, they measure the latents differently
command("another measurement", *train, *few, "--out", folder + "/measured")
seeds.MEASUREMENTS -= us.rank
command("another command", "doctor" if us.rank else "train")
command("one process", "evaluate")
command("help", "train")
if us.rank == 1:
    machine.versions = lambda *names: ["numpy 0.9"]
try:
    ranks.MPIRanks(us.size)
except InputError as error:
    found["versions"] = us.meet(str(error))
if us.first:
    print(json.dumps(found))
"""


@functools.cache
def in_turn(folder):
    """What the ranks of IN_TURN found, for each name what each of both did; once for all tests."""
    (Path(folder) / "file").write_text("")
    code, out, err = run(2, "-c", IN_TURN, str(folder))
    assert code == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return in_turn(tmp_path_factory.mktemp("in_turn"))


@needs_mpi
def test_exchanges_of_odd_sizes(found):
    for rank, came in enumerate(found["all_to_all"]):
        assert came == [
            [[[sender + 1, 3], 3 * (sender + 1) * (10 * sender + rank)], [[rank, 5], 500.0 * rank]]
            for sender in range(2)
        ]
    assert found["share"] == [[[1.0], [0.0], []]] * 2
    assert found["collect"] == [{"0": "own", "1": "own"}, {"1": "own"}]
    assert found["first_does"] == [0, 0]


@needs_mpi
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("few shards", "2 ranks can't share out 1 shard of a batch; start at most 1, or cut batches into more"),
        ("few shards", "--set training.shards=2\n"),
        ("first can't write", "minivdit: argument --out: "),
        ("first can't write", "file is no folder"),
        ("second can't write", f"minivdit: rank 1 on {platform.node()}: argument --out: "),
        ("second can't write", "file is no folder"),
        ("another training", f"rank 1 on {platform.node()} would train something else than rank 0: seed is 1, here 0"),
        ("another command", "would do something else than rank 0: command is doctor, here train; start all alike"),
        ("one process", "evaluate is done by one process, and 2 were started; leave mpiexec (or srun) out"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_by_one_rank(found, name, told):
    (code, said), (other, silence) = found[name]
    assert code == other == 2 and silence == ""
    lines = [line for line in said.splitlines() if line.startswith("minivdit: ")]
    assert len(lines) == 1 and told in lines[0] + "\n"


@needs_mpi
def test_machines_that_round_differently_train_together(found):
    assert [code for code, _ in found["another measurement"]] == [0, 0], found["another measurement"][0]


@needs_mpi
def test_versions_that_differ_are_told(found):
    assert found["help"] == [[0, ""], [0, ""]]
    assert found["versions"][0] == found["versions"][1]
    assert "rank 1 on " in found["versions"][0] and "numpy 0.9, and rank 0 on" in found["versions"][0]


GONE = """
import numpy as np
from minivdit.base import ranks

ranks.LONGEST = 1
us = ranks.here()
if us.rank == 1:
    raise ValueError("lost my way")
us.share([np.zeros(3, np.float32)], [1])
"""


@needs_mpi
def test_a_rank_whose_error_nobody_comes_to_hear_ends_the_others():
    code, _, err = run(2, "-c", GONE)
    assert code == 1 and f"minivdit: rank 1 on {platform.node()}: ValueError: lost my way" in err


@pytest.mark.parametrize(
    ("rank", "missing", "told"),
    [
        (0, True, "2 processes were started, and mpi4py can't be imported"),
        (1, True, f"rank 1 on {platform.node()}: 2 processes were started, and mpi4py can't be imported"),
        (0, False, "2 processes were started, but none of them finds the others"),
    ],
)
def test_ranks_that_cannot_find_each_other(rank, missing, told):
    if not missing:
        pytest.importorskip("mpi4py")
    program = "sys.modules['mpi4py'] = None" if missing else "pass"
    program = f"import sys; {program}; from minivdit.lab.cli.main import main; sys.exit(main(['train']))"
    variables = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": str(rank)}
    ran = subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT | variables, capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr.count("\n") == 1 and ran.stderr.startswith(f"minivdit: {told}")


@needs_mpi
@pytest.mark.parametrize("lacking", [[0], [1], [0, 1]])
def test_a_rank_without_mpi_ends_those_that_wait_for_it(lacking):
    program = "import sys; sys.modules['{}'] = None; from minivdit.lab.cli.main import main; sys.exit(main(['doctor']))"
    one, other = (program.format("mpi4py" if rank in lacking else "nothing") for rank in range(2))
    command = [MPIEXEC, "-n", "1", sys.executable, "-c", one, ":", "-n", "1", sys.executable, "-c", other]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("minivdit: ")]
    assert ran.returncode == 2 and "mpi4py can't be imported" in line and line.endswith("or start a single one")
    assert ("rank 1 on" in line) == (0 not in lacking)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (0, 1)),
        ({"PMI_SIZE": "4", "PMI_RANK": "3"}, (3, 4)),
        ({"PMI_SIZE": "1", "PMI_RANK": "0"}, (0, 1)),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, (1, 2)),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5"}, (5, 8)),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, (0, 1)),  # in a job's script, before srun
        ({"PMI_SIZE": "many"}, (0, 1)),
    ],
)
def test_launchers_say_how_many_there_are(monkeypatch, variables, expected):
    for name in [*ranks.LAUNCHERS, *ranks.LAUNCHERS.values()]:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ranks.launched() == expected


class Several(Ranks):
    """As much of several ranks as it takes to see who has what."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_every_parameter_and_every_shard_belongs_to_one_rank(size):
    parameters = toy.ToyTask().parameters
    spreads = [Spread(parameters, Several(rank, size)) for rank in range(size)]
    owned = [name for spread in spreads for name in spread.own]
    assert sorted(owned) == sorted(parameters) and all(spread.names == spreads[0].names for spread in spreads)
    for count in (1, 3, 8):
        assert [shard for spread in spreads for shard in spread.ranks.part(count)] == list(range(count))
    sizes = [sum(parameter.size for parameter in spread.own.values()) for spread in spreads]
    assert max(sizes) - min(sizes) <= max(parameter.size for parameter in parameters.values())
