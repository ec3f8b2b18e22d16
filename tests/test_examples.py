"""The examples run as they stand. An untrained model takes the place of the shipped weights, to be quick."""

import re
import runpy
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from minivdit.data import clip_cache
from minivdit.generation import TextToVideo
from minivdit.lab.pipeline.train import assemble
from minivdit.models import Autoencoder, Tokenizer, VideoDiT
from minivdit.training import presets

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
    monkeypatch.setattr(clip_cache, "cache_folder", lambda: tmp_path / "cache")
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
