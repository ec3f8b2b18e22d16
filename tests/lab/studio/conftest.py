"""A studio of tiny weights, whose clips mean nothing and take no time."""

import pytest

from minivdit.lab.cli import main as cli
from minivdit.lab.studio import Studio

SIZE, FRAMES = (16, 24), 4


@pytest.fixture(scope="session")
def commands():
    return cli.build_parser().parse_args(["studio"]).commands


@pytest.fixture(scope="session")
def tiny(make_model, tmp_path_factory):
    """Two files of weights."""
    folder = tmp_path_factory.mktemp("weights")
    files = [str(folder / f"{name}.safetensors") for name in ("one", "two")]
    for file in files:
        make_model(size=SIZE, num_frames=FRAMES, steps=6).save(file)
    return files


@pytest.fixture(scope="session")
def studio(commands, tiny, tmp_path_factory):
    return Studio(commands, tiny, folder=tmp_path_factory.mktemp("studio"))
