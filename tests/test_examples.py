"""The examples run as they stand. An untrained model takes the place of the shipped weights, to be quick."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from minivdit.generation import TextToVideo
from minivdit.lab.cli import main as cli
from minivdit.lab.pipeline.train import assemble
from minivdit.models import Autoencoder, Tokenizer, VideoDiT
from minivdit.training import presets
from minivdit.training.stages import STAGES

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
WITHOUT_A_PICTURE = {"gpu_session.py"}  # needs a GPU: see lab/benchmarks/test_gpu_session.py


def untrained(path=None):
    preset, generator, tokenizer = presets.get("tiny"), np.random.default_rng(0), Tokenizer()
    transformer = VideoDiT(preset.transformer, len(tokenizer), generator)
    return assemble(preset, transformer, Autoencoder(preset.autoencoder, generator), tokenizer)


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.name not in WITHOUT_A_PICTURE], ids=lambda p: p.stem
)
def test_an_example_writes_the_picture_it_names(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINIVDIT_SHORT", "1")
    monkeypatch.setattr(TextToVideo, "load", staticmethod(untrained))
    runpy.run_path(str(path))
    printed = capsys.readouterr().out
    written = [found.name for found in tmp_path.iterdir() if found.is_file()]
    assert written and all(name in printed for name in written)
    for name in written:
        assert imageio.imread(tmp_path / name).std() > 1


def test_there_are_examples_and_each_says_how_to_run_it():
    assert len(EXAMPLES) >= 2
    for path in EXAMPLES:
        assert re.search(rf"^python examples/{path.name}$", path.read_text(), flags=re.M)


JOB = Path(__file__).parents[1] / "examples" / "many_machines.sh"


@pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize(
    ("code", "state", "restarts", "again"),
    [
        (143, "RUNNING", None, True),  # the time was nearly over
        (143, "RUNNING", "19", True),
        (143, "RUNNING", "20", False),  # it would never end
        (143, "COMPLETING", None, False),  # scancel
        (0, "RUNNING", None, False),
        (2, "RUNNING", None, False),
    ],
)
def test_the_job_for_slurm_goes_back_into_the_queue_only_before_its_time_is_over(
    tmp_path, code, state, restarts, again
):
    for name, does in {"srun": f"exit {code}", "squeue": f"echo {state}", "scontrol": ""}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/told\n{does}\n')
        (tmp_path / name).chmod(0o755)
    found = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    found |= {"SLURM_RESTART_COUNT": restarts} if restarts else {}
    ran = subprocess.run(["bash", JOB], env=found, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (code, "")
    told = (tmp_path / "told").read_text().splitlines()
    assert ("scontrol requeue 17" in told) == again and told[0].startswith("srun --mpi=pmi2 --kill-on-bad-exit=1")


def test_the_job_for_slurm_has_a_shard_for_each_process():
    """Its command parses, and each stage of the preset has as many shards as processes are started."""
    text = JOB.read_text().replace("\\\n", "")
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", text, flags=re.M))
    (command,) = re.findall(r"^srun .*? minivdit (.*)$", text, flags=re.M)
    options = cli.build_parser().parse_args(shlex.split(command))
    preset = presets.override(presets.get(options.preset), options.set)
    count = int(asked["nodes"]) * int(asked["ntasks-per-node"])
    stages = [getattr(preset, setting) for setting in STAGES.values()]
    assert {settings.shards for settings in stages if settings.steps} == {count}
    assert asked["signal"] == "TERM@120"
