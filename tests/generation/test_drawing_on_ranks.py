"""Drawing on several ranks: the clips are those of one process, and one rank speaks."""

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.base.ranks import Ranks
from minivdit.data.reading import open_clip
from minivdit.lab.cli.main import main

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpiexec isn't there; pip install 'minivdit[mpi]'",
)
SAMPLE = ["sample", "a 3 moving right, then up", "--frames", "16", "--kernels", "off", "--steps", "2"]

PROGRAM = """
import contextlib, io, json, sys, tracemalloc
import numpy as np
from minivdit import TextToVideo
from minivdit.base import backend
from minivdit.base.ranks import ALONE, here
from minivdit.lab.cli.main import main
from minivdit.models.video_dit import Block, VideoDiT

us, found, weights, folder = here(), {}, sys.argv[1], sys.argv[2]
backend.use("cpu", kernels=False)
model, alone = TextToVideo.load(weights), TextToVideo.load(weights)
model.ranks, widest, forward = us, [0], Block.forward

def watched(self, x, *others):  # how many tokens a rank has at a time
    widest[0] = max(widest[0], x.size // x.shape[-1])
    return forward(self, x, *others)

Block.forward = watched

def compare(name, draw):
    held = []
    for each in (model, alone):
        widest[0] = 0
        if each is model or us.first:
            video = draw(each)
            held.append(widest[0])
        if each is model:
            videos = us.meet(video)
    held = us.meet(held)
    found[name] = {"off": [float(np.abs(other - video).max()) for other in videos], "std": float(video.std())}
    found[name]["held"] = [ours / held[0][1] for ours, *_ in held]

one, noise = ["a 3 moving right"], np.random.default_rng(0).random((1, 4, 16, 24, 1), np.float32)
compare("guided", lambda m: m.generate(one, 16, seed=1))
compare("not guided", lambda m: m.generate(one, 10, seed=1, guidance_scale=1.0))
compare("four captions", lambda m: m.generate(one * 4, 8, seed=1, sampler="ddpm"))
compare("three captions", lambda m: m.generate([*one, "a 7 moving up", "a 1 moving left"], 8, seed=1))
compare("captions that change", lambda m: m.generate("a 3 moving right, then up", 16, seed=1))
compare("windows", lambda m: m.generate(one * 2, 10, overlap=2, seed=1))
compare("extend", lambda m: m.extend(noise, one, 2, seed=1))
compare("edit", lambda m: m.edit(noise, one, 0.7, seed=1))

def peaks(draw):  # the most bytes at a time, of the whole drawing and within the transformer
    inside, forward = [], VideoDiT.forward

    def watched(*inputs, **options):
        tracemalloc.reset_peak()
        out = forward(*inputs, **options)
        inside.append(tracemalloc.get_traced_memory()[1])
        return out

    for measured in (False, True):  # the first makes what is kept, such as tables of angles
        tracemalloc.start()
        draw()
        whole = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        VideoDiT.forward = watched
    VideoDiT.forward = forward
    return whole, max(inside)

small = TextToVideo.load("small")
for small.ranks in (us, ALONE):
    if us.first or small.ranks is us:
        found_here = peaks(lambda: small.generate(one, 128, steps=1, guidance_scale=1.0))
    if small.ranks is us:
        on_ranks = us.meet(found_here)
found["memory"] = [[ours / whole for ours, whole in zip(peak, found_here)] for peak in on_ranks]

def command(name, *arguments, instead=None):
    said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
        code = main([*arguments, *(instead or {}).get(us.rank, [])])
    found[name] = us.meet((code, *(stream.getvalue() for stream in said)))

sample, here_ = sys.argv[3:], ["--weights", weights]
command("sample", *sample, *here_, "--out", folder + "/many.gif")
command("few frames", *sample, *here_, "--guidance", "1", "--frames", "6", "--out", folder + "/few.gif")
command("no weights", *sample, "--out", folder + "/no.gif", *here_, instead={2: ["--weights", "none"]})
command("another seed", *sample, *here_, "--out", folder + "/other.gif", instead={3: ["--seed", "5"]})
command("another length", *sample, *here_, "--out", folder + "/other.gif", instead={1: ["--frames", "20"]})
command("no folder", *sample, *here_, "--out", weights + "/many.gif")
if us.first:
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(make_model, tmp_path_factory):
    """What the program says, and the folder in which it wrote."""
    folder = tmp_path_factory.mktemp("drawn")
    make_model().save(folder / "weights.safetensors", half=False)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", PROGRAM, str(folder / "weights.safetensors"), str(folder), *SAMPLE]
    ran = subprocess.run([MPIEXEC, "-n", "4", *program], env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout), folder


@needs_mpi
def test_four_ranks_draw_what_one_process_draws(found):
    cases = {name: case for name, case in found[0].items() if isinstance(case, dict)}
    assert len(cases) == 8
    assert not {name: case for name, case in cases.items() if not max(case["off"]) < 1e-5 or case["std"] < 1e-3}


@needs_mpi
def test_each_rank_holds_its_part_of_the_tokens(found):
    """Guided, one rank has a half of the frames, with the caption or without."""
    held = {name: case["held"] for name, case in found[0].items() if isinstance(case, dict)}
    assert held["guided"] == held["captions that change"] == held["four captions"] == [0.25] * 4
    assert held["not guided"] == [0.2, 0.2, 0.2, 0.4]  # of 5 frames of patches
    assert sum(held["three captions"]) == pytest.approx(1) and max(held["three captions"]) == pytest.approx(1 / 3)


@needs_mpi
def test_four_ranks_need_about_a_quarter_of_the_memory(found):
    """Of what one process needs for 128 frames. Measured: 0.29 of the whole drawing; 0.38 within the transformer."""
    whole, inside = zip(*found[0]["memory"])
    assert min(whole) > 0.25 and max(whole) < 0.33, whole
    assert min(inside) > 0.25 and max(inside) < 0.42, inside


@needs_mpi
def test_sample_writes_the_same_clip_once(found, capsys):
    told, folder = found
    (code, out, _), *others = told["sample"]
    assert code == 0 and others == [[0, "", ""]] * 3 and "many.gif: 1 x 16 frames of 16x24" in out
    one = str(folder / "one.gif")
    assert main([*SAMPLE, "--weights", str(folder / "weights.safetensors"), "--out", one]) == 0, capsys.readouterr()
    clips = [open_clip(path, channels=1).video for path in (one, str(folder / "many.gif"))]
    np.testing.assert_allclose(*clips, atol=2 / 255)


@needs_mpi
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("few frames", "a clip of 3 frames of patches can't be shared out over 4 ranks; start fewer, or draw more"),
        ("no weights", f"rank 2 on {platform.node()}: no weights at none"),
        ("no folder", "weights.safetensors is no folder"),
        ("another seed", f"rank 3 on {platform.node()} would draw something else than rank 0: seed is 5, here 0"),
        ("another length", "shape is [1, 20, 16, 24, 1], here [1, 16, 16, 24, 1]; frames is 20, here 16; start all"),
    ],
)
def test_what_is_wrong_is_told_once(found, name, text):
    (code, _, said), *others = found[0][name]
    assert code == 2 and others == [[2, "", ""]] * 3
    (line,) = [line for line in said.splitlines() if line.startswith("minivdit: ") and "note" not in line]
    assert text in line


def test_ranks_on_several_machines_have_room_for_longer_clips(make_model, monkeypatch):
    model, longest = make_model(), {}
    monkeypatch.setattr(machine, "available_memory", lambda: 10**8)
    for size, machines in ((1, 1), (4, 1), (4, 4)):
        model.ranks = Ranks()
        model.ranks.size, model.ranks.machines = size, machines
        with pytest.raises(InputError, match="the longest clip of this size that fits") as told:
            model.check_request(1, 10**4, (64, 64))
        longest[size, machines] = int(re.search(r"that fits has (\d+) frames", str(told.value))[1])
    assert longest[4, 1] < longest[1, 1] < longest[4, 4] <= 4 * longest[1, 1]
