"""What ranks send each other: predicted before, and counted in real trainings; the same to the byte."""

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.lab.cli.main import main
from minivdit.lab.pipeline import traffic
from minivdit.lab.pipeline.traffic import Network, OnPaper, drawing_traffic, training_traffic
from minivdit.models import VideoDiT, VideoDiTConfig
from minivdit.models.patches import patch_grid
from minivdit.training import presets, recipes
from minivdit.training.spread import Spread
from minivdit.training.stages import tokenizer_of

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpiexec isn't there; pip install 'minivdit[mpi]'",
)
SHARDS = 5  # which three ranks can't share out evenly

PROGRAM = """
import dataclasses, json, sys
from minivdit.base import backend
from minivdit.base.ranks import here
from minivdit.training import presets
from minivdit.training.loop import fit
from minivdit.training.stages import autoencoder_task, transformer_task

backend.use("cpu", kernels=False)
us, meetings, preset = here(), 0, presets.override(presets.get("tiny"), sys.argv[1:])
meet, seen = us.meet, []

def counted(brought=None):
    global meetings
    meetings += 1
    return meet(brought)

us.meet = counted
task = transformer_task(preset, autoencoder_task(preset).model)
fit(task, preset.training, progress=False, callbacks=[(1, lambda run, state: seen.append((us.bytes_sent, meetings)))])
found = meet([[after - before for before, after in zip(*pair)] for pair in zip(seen, seen[1:])])
if us.first:
    print(json.dumps(found))
"""


@needs_mpi
def test_a_step_sends_as_many_bytes_as_predicted(count=3):
    settings = [f"training.shards={SHARDS}", "training.batch=5", "training.steps=3", "data.digits=strokes"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [MPIEXEC, "-n", str(count), sys.executable, "-c", PROGRAM, *settings]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    predicted = training_traffic(presets.override(presets.get("tiny"), settings), count)
    assert min(predicted.sent) > 10**5
    for rank, steps in enumerate(json.loads(ran.stdout)):
        assert steps == [[predicted.sent[rank], predicted.meetings]] * 2


DRAWING = """
import json, sys
import numpy as np
from minivdit import autograd as ag
from minivdit.autograd import collectives
from minivdit.base import backend
from minivdit.base.ranks import here
from minivdit.models import VideoDiT, VideoDiTConfig

backend.use("cpu", kernels=False)
us, found = here(), []
exchange, messages = us.all_to_all, 0

def counted(*arguments):
    global messages
    messages += 1
    return exchange(*arguments)

us.all_to_all = counted
collectives.MESSAGE, *cases = json.loads(sys.argv[1])
for options, frames in cases:
    config = VideoDiTConfig(**options)
    model, generator = VideoDiT(config, 9, np.random.default_rng(0)), np.random.default_rng(1)
    latents = generator.standard_normal((2, frames, 4, 6, config.latent_channels), dtype=np.float32)
    before, messages = us.bytes_sent, 0
    with ag.no_grad():
        model(latents, np.ones((2, frames), np.float32), np.ones((2, 7), np.int32), ranks=us)
    found.append([us.bytes_sent - before, messages])
found = us.meet(found)
if us.first:
    print(json.dumps(found))
"""


@needs_mpi
def test_a_call_over_a_clip_sends_as_many_bytes_as_predicted(monkeypatch):
    """All patterns on three ranks, which can't share out five frames or four heads evenly; two heads are too few."""
    monkeypatch.setattr(traffic, "MESSAGE", 300)  # numbers, so that tokens for heads are several messages
    cases = []
    for pattern in ("frame", "time", "joint", "window:2x2x2", "skip:2"):
        for text, heads in (("cross", 2), ("cross", 4), ("sequence", 2), ("sequence", 4)):
            options = {"width": 40, "depth": 2, "patterns": [pattern], "text": text, "heads": heads, "text_depth": 1}
            cases.append((options, 5))
    cases.append((cases[-1][0] | {"patterns": ["joint", "time", "frame"], "patch_size": [2, 2, 2], "depth": 4}, 10))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [MPIEXEC, "-n", "3", sys.executable, "-c", DRAWING, json.dumps([traffic.MESSAGE, *cases])]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    kinds = set()
    for (options, frames), *ranks in zip(cases, *json.loads(ran.stdout)):
        config = VideoDiTConfig(**options)
        grid = patch_grid((frames, 4, 6), config.patch_size)
        predicted = drawing_traffic(config, grid, 3, clips=2, words=7)
        assert [sent for sent, _ in ranks] == predicted.sent, options
        kinds |= {exchange.name.partition(", ")[2] for exchange in predicted.exchanges}
        turns = sum(exchange.messages for exchange in predicted.exchanges if "all" not in exchange.name)
        if options["text"] == "cross":  # in a turn a rank sends to one other, in what goes to all at once to two
            assert {messages for _, messages in ranks} == {turns + 1}
    assert kinds >= {traffic.KEPT, traffic.HEADS, traffic.RING}


def test_clips_that_cannot_be_shared_out():
    alone = drawing_traffic(VideoDiTConfig(), (4, 2, 2), 1)
    assert alone.sent == [0] and alone.seconds(Network()) == 0
    with pytest.raises(InputError, match="a clip of 4 frames of patches can't be shared out over 5 ranks"):
        drawing_traffic(VideoDiTConfig(), (4, 2, 2), 5)
    with pytest.raises(InputError, match="a clip of 1,048,576 patches is too large"):
        drawing_traffic(VideoDiTConfig(), (16, 256, 256), 2)


class Counting(OnPaper):
    """Gets noughts from the ranks that aren't there, and counts."""

    def __init__(self, rank, size):
        super().__init__(rank, size)
        self.counted = []

    def all_to_all(self, arrays, shapes, dtype="float32"):
        sent = [sum(array.nbytes for array in some) for some in arrays]
        came = [[np.zeros(shape, dtype) for shape in some] for some in shapes]
        received = [sum(array.nbytes for array in some) for some in came]
        self.counted.append([sum(sizes) - sizes[self.rank] for sizes in (sent, received)])
        return came

    def share(self, arrays, owners):
        sizes = [sum(a.nbytes for a, owner in zip(arrays, owners) if owner == rank) for rank in range(self.size)]
        self.counted.append([sizes[self.rank] * (self.size - 1), sum(sizes) - sizes[self.rank]])


@pytest.mark.parametrize(("ranks", "shards"), [(1, 1), (1, 3), (2, 5), (7, 7), (100, 130)])
def test_both_ways_are_those_of_the_spread(ranks, shards):
    """Also where there are more ranks than parameters."""
    preset = presets.get("tiny")
    predicted = training_traffic(preset, ranks, shards)
    parameters = VideoDiT(preset.transformer, len(tokenizer_of(preset)), np.random.default_rng(0)).parameters()
    for rank in range(ranks):
        us = Counting(rank, ranks)
        spread, own = Spread(parameters, us), len(us.part(shards))
        spread.exchange([{name: parameter.data for name, parameter in parameters.items()}] * own, shards)
        spread.share_weights()
        assert us.counted == [[exchange.sent[rank], exchange.received[rank]] for exchange in predicted.exchanges]
    for exchange in predicted.exchanges:
        assert sum(exchange.sent) == sum(exchange.received)


@pytest.mark.parametrize("name", ["tiny", "full", *recipes.RECIPES])
def test_shapes_are_those_of_the_whole_network(name):
    preset = recipes.get(name)
    whole = VideoDiT(preset.transformer, len(tokenizer_of(preset)), np.random.default_rng(0)).parameters()
    shapes = {name: parameter.shape for name, parameter in traffic.parameter_shapes(preset).items()}
    assert shapes == {name: parameter.shape for name, parameter in whole.items()}


def test_time_is_latency_and_bytes_by_bandwidth():
    """Four ranks, by hand: three messages in each exchange, and three meetings of three times two rounds."""
    network = Network(gigabits=8, microseconds=100)  # a byte takes a nanosecond
    found = training_traffic(presets.get("tiny"), 4, 4)
    gradients, weights = found.exchanges
    assert gradients.seconds(network) == pytest.approx(3e-4 + 1e-9 * max(gradients.sent + gradients.received))
    assert found.seconds_of_meetings(network) == pytest.approx(3 * 3 * 2 * 1e-4)
    assert found.seconds(network) == pytest.approx(18e-4 + gradients.seconds(network) + weights.seconds(network))
    assert training_traffic(presets.get("tiny"), 1).seconds(network) == 0
    assert found.seconds(Network(1e9, 0)) < 1e-6 < found.seconds(Network(1e9, 1))


def test_more_ranks_than_shards_or_a_network_that_fills_the_memory_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"4 ranks can't share out 2 shards .* --set training.shards=4"):
        training_traffic(presets.get("full"), 4)
    monkeypatch.setattr(traffic.machine, "available_memory", lambda: 10**6)
    with pytest.raises(InputError, match="a block of width 128 is too large to be made here"):
        training_traffic(presets.get("full"), 2)


def test_the_command_tells_a_step_and_a_table_of_weak_scaling(capsys):
    assert main(["costs", "tiny"]) == 0
    told = capsys.readouterr().out
    assert told.count("a training step: ") == 3 and "transformer: " in told and "attention scores" in told
    assert main(["costs", "full", "--ranks", "2", "--bandwidth", "1,10", "--latency", "50,20"]) == 0
    *_, gradients, _, meetings, together = capsys.readouterr().out.splitlines()
    assert gradients.split()[-8:] == ["5.32", "MB", "5.32", "MB", "42.65", "ms", "4.28", "ms"]
    assert meetings.split() == ["3", "meetings", "0.45", "ms", "0.18", "ms"] and together.startswith("together")
    assert main(["costs", "full", "--ranks", "2,4", "--parallel", "sequence", "--frames", "32"]) == 0
    two, _, _, _, _, four, *_ = capsys.readouterr().out.splitlines()
    assert two == "a call of the network: 1 clip of 32 x 4 x 4 tokens on 2 ranks" and four.endswith("on 4 ranks")
    assert main(["costs", "full", "--ranks", "1,2,1024", "--speed", "50"]) == 0
    title, head, _, *rows = capsys.readouterr().out.splitlines()
    assert title == "prediction for full: each rank has 8 clips and computes at 50.0 GFLOP/s"
    assert [row.count("|") for row in rows] == [head.count("|")] * 3
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert [row[:2] for row in cells] == [["1", "8"], ["2", "16"], ["1,024", "8,192"]]
    seconds, share = cells[0][-1].split(" s, ")
    assert share == "100%" and math.isclose(float(seconds), 47.2 / 2 / 50, rel_tol=0.01)
    assert float(cells[2][-1].split(" s, ")[0]) > float(seconds)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--bandwidth", "1"], "--bandwidth has no effect without --ranks"),
        (["--ranks", "2", "--speed", "1"], "--speed has no effect with one number of ranks"),
        (["--ranks", "2", "--bandwidth", "1,2,3", "--latency", "1,2"], "3 bandwidths and 2 latencies"),
        (["--ranks", "2,0"], "'0' is not a whole number from 1"),
        (["--ranks", "2", "--frames", "9"], "--frames has no effect without --parallel sequence"),
        (["--ranks", "2", "--parallel", "sequence", "--speed", "1"], "--speed has no effect with --parallel sequence"),
        (["--ranks", "2", "--parallel", "sequence", "--frames", "99999"], "patches is too large"),
        (["own"], "what own costs depends on its clips"),
    ],
)
def test_what_the_command_refuses(words, told, capsys):
    assert main(["costs", *words]) == 2
    assert told in capsys.readouterr().err
