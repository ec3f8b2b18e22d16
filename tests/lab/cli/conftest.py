"""What the tests of all commands share: the command line run in this process, and a tiny model that it trained."""

import pytest

from minivdit.base import backend
from minivdit.lab.cli import main as cli


def run_command(*arguments):
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # argparse leaves so after --help and --version
        return leaving.code


@pytest.fixture(scope="session")
def run():
    """A function that calls the command line with some arguments: its exit code."""
    return run_command


@pytest.fixture
def refused(capsys):
    """A function that runs arguments that must be refused with exit code 2: the one line that was printed."""

    def run_and_read(*arguments):
        capsys.readouterr()
        assert run_command(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("minivdit: ") and "Traceback" not in line and "bug" not in line
        return line

    return run_and_read


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    """No debugging, no MNIST, files into a temporary folder, and afterwards the CPU again."""
    monkeypatch.delenv("MINIVDIT_DEBUG", raising=False)
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path / "no-mnist"))
    monkeypatch.chdir(tmp_path)
    yield
    backend.use("cpu")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, run):
    """The folder of a tiny run, trained through the command line."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    assert run("train", "tiny", "--steps", 4, "--out", out) == 0
    return out


@pytest.fixture
def weights(trained):
    """Options that draw with the tiny model, quickly."""
    return ["--weights", trained / "model.safetensors", "--steps", 1]
