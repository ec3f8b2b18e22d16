"""A study of two patterns on a tiny preset, run once; nothing is downloaded."""

import pytest

from minivdit.lab.comparison import compare
from minivdit.lab.comparison.study import new_study

TWO = "data.num_digits=1,2"
CHANGES = ("autoencoder_training.steps=3", "data.digits=strokes", TWO, "sampling.steps=2", "training.warmup=1")


def tiny_study(out, names=("framewise", "joint"), seeds=2, steps=3, prompts=3):
    return new_study("tiny", names, seeds, prompts, out, steps, CHANGES)


@pytest.fixture(scope="session")
def make_study():
    return tiny_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(study, report) after equal steps, in a folder of its own."""
    study = tiny_study(tmp_path_factory.mktemp("study"))
    return study, compare(study, ["steps"], progress=False, show=lambda line: None)
