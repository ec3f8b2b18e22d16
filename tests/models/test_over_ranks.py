"""The frames of a clip spread over ranks: predictions and gradients are those of one process, for every pattern."""

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
from minivdit.models.over_ranks import SharedClip
from minivdit.models.patterns import partition

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpiexec isn't there; pip install 'minivdit[mpi]'",
)

# On three ranks: 1 or 2 heads are fewer than ranks, 4 can't be shared out evenly, and neither can 4 or 5 frames.
PROGRAM = """
import importlib.util, itertools, json, sys, tracemalloc
import numpy as np
import pytest
from minivdit import autograd as ag
from minivdit.autograd import collectives
from minivdit.base import backend
from minivdit.base.ranks import ALONE, here

def module(path):
    spec = importlib.util.spec_from_file_location("of_tests", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found

networks, stand_in = map(module, sys.argv[1:])
stand_in.install(pytest.MonkeyPatch(), devices=3)
backend.use("cpu", kernels=False)
us, found, exchanges = here(), {}, []
exchange = us.all_to_all
us.all_to_all = lambda *arguments: exchanges.append(1) or exchange(*arguments)

def compare(name, shape=(5, 4, 6), captions=None, dtype=np.float64, device="cpu", **options):
    model = networks._tiny(**{"width": 24, **options})
    latents, level, tokens = networks._inputs(model, shape, clips=2)
    if captions:
        tokens = np.random.default_rng(3).integers(1, 12, (2, captions, 5)).astype(np.int32)
    if dtype == np.float64:
        networks._in_double(model)
    latents, parameters = latents.astype(dtype), model.parameters().values()
    cotangent = np.random.default_rng(4).standard_normal(latents.shape).astype(dtype)
    backend.use(device, kernels=False)
    for _, tensor in model.named_tensors():
        tensor.data = backend.to_device(tensor.data)
    latents, level, tokens = map(backend.to_device, (latents, level, tokens))

    def run(cotangent, **over):
        with ag.no_grad():
            exchanges.clear()
            drawn, count = model(latents, level, tokens, **over).data, len(exchanges)
        out = model(latents, level, tokens, **over)
        gradients = map(backend.to_numpy, ag.gradients(out, parameters, backend.to_device(cotangent)))
        out, drawn = map(backend.to_numpy, (out.data, drawn))
        assert np.array_equal(out, drawn)
        return out, np.concatenate([gradient.ravel() for gradient in gradients]), count

    # The loss of each rank is a part of the whole loss.
    share = float(np.random.default_rng(5).dirichlet(np.ones(us.size))[us.rank])
    out, gradient, count = run(share * cotangent, ranks=us)
    outs, gradients = us.meet(out), us.meet(gradient)
    if us.first:
        expected, whole, _ = run(cotangent)
        off = [np.abs(out - expected).max() / np.abs(expected).max() for out in outs]
        off.append(np.abs(sum(gradients) - whole).max() / np.abs(whole).max())
        found[name] = {"off": list(map(float, off)), "exchanges": count}
    backend.use("cpu", kernels=False)

for pattern in ("frame", "time", "joint", "window:2x2x2", "skip:2"):
    for causal, text, heads in itertools.product((False, True), ("cross", "sequence"), (2, 4)):
        how = {"patterns": (pattern,), "causal": causal, "text": text, "heads": heads}
        compare(f"{pattern} {text} {heads}{' causal' * causal}", **how)
mixed = {"patterns": ("frame", "joint"), "heads": 4, "positions": "both"}
compare("captions over time", (4, 4, 6), captions=2, **mixed)
compare("captions in the sequence", (4, 4, 6), captions=4, text="sequence", expert_modulation=True, **mixed)
compare("patches of two frames", (10, 4, 4), patch_size=(2, 2, 2), qk_norm=False, control=True, **mixed)
for device, text, heads in itertools.product(("cpu", "gpu"), ("cross", "sequence"), (1, 3)):
    how = {"text": text, "heads": heads, "patterns": ("joint", "window:3x2x2")}
    compare(f"single, {device} {text} {heads}", (7, 6, 4), dtype=np.float32, device=device, **how)

collectives.MESSAGE = 2**12
for heads in (1, 12):  # the memory that a call takes, on a rank and alone
    model, peaks = networks._tiny(width=192, heads=heads, depth=1, patterns=("joint",)), []
    clip = networks._inputs(model, (30, 16, 16))
    for ranks in (us, ALONE) if us.first else (us,):
        with ag.no_grad():
            model(*clip, ranks=ranks)  # makes what is kept, such as tables of angles
            tracemalloc.start()
            model(*clip, ranks=ranks)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    peaks = us.meet(peaks)
    found[f"memory, {heads} heads"] = [ours / peaks[0][1] for ours, *_ in peaks]
if us.first:
    print(json.dumps(found))
"""


@needs_mpi
def test_three_ranks_do_what_one_does():
    """All patterns, causal or not, words beside the tokens or not, fewer heads than ranks or more, a GPU's stand-in."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    files = Path(__file__).with_name("conftest.py"), Path(__file__).parents[1] / "stand_in_cupy.py"
    program = [sys.executable, "-c", PROGRAM, *map(str, files)]
    ran = subprocess.run([MPIEXEC, "-n", "3", *program], env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    memory = [found.pop(f"memory, {heads} heads") for heads in (1, 12)]
    single = [found.pop(name)["off"] for name in list(found) if name.startswith("single")]
    assert len(found) == 5 * 2 * 2 * 2 + 3
    assert not {name: case for name, case in found.items() if not max(case["off"]) < 1e-12}
    assert len(single) == 8 and 0 < max(map(max, single)) < 1e-5
    # One for the prediction. In each of two blocks a ring's two turns, or two for q, k, v, and back; for words two.
    exchanges = {name: case["exchanges"] for name, case in found.items()}
    assert exchanges["frame cross 2"] == exchanges["frame cross 4"] == 1
    assert exchanges["joint cross 2"] == exchanges["frame sequence 2"] == 1 + 2 * 2
    assert exchanges["joint cross 4"] == 1 + 2 * 8
    assert exchanges["window:2x2x2 cross 4 causal"] == 1 + 8  # in one of the blocks each box is on one rank
    assert min(map(min, memory)) > 0.3 and max(map(max, memory)) < 0.47, memory


def test_more_ranks_than_frames_are_refused():
    ranks = Ranks()
    ranks.size = 4
    with pytest.raises(InputError, match="a clip of 3 frames of patches can't be shared out over 4 ranks"):
        SharedClip((3, 2, 2), ranks)


def test_one_process_exchanges_nothing(tiny, inputs, monkeypatch):
    """Neither a copy nor an operation more."""
    monkeypatch.setattr(Ranks, "all_to_all", None)
    clip, x = SharedClip((4, 2, 3)), np.zeros((1, 24, 6), np.float32)
    assert clip.cut(x) is x and clip.whole(x) is x and clip.captions(x, x, 1) == (x, x)
    assert clip.partition("joint", 0, 2) is partition("joint", (4, 2, 3), 0)
    model = tiny()
    assert model(*inputs(model, (4, 4, 6))).data.any()
