"""Compiled kernels are code: what is loaded was made by this user, in a folder that nobody else can write to."""

import os
import shutil
import subprocess
import sys

import pytest

from minivdit.base import files
from minivdit.kernels import emulate
from minivdit.lab.cli.main import main

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="owners and modes as POSIX has them"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed"),
]
COMMAND = ["kernels", "emulate", "bias_gelu", "--rows", "3"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and nothing loaded yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(emulate, "_loaded", {})
    monkeypatch.setattr(files, "_temporary", [])
    files.private_folder.cache_clear()
    yield tmp_path / "cache" / "minivdit" / "kernels"
    files.private_folder.cache_clear()


@pytest.fixture
def compiled(monkeypatch):
    """The paths that were compiled."""
    done, compile_ = [], emulate._compile
    monkeypatch.setattr(emulate, "_compile", lambda text, flags, path: done.append(path) or compile_(text, flags, path))
    return done


def again(monkeypatch):
    monkeypatch.setattr(emulate, "_loaded", {})
    files.private_folder.cache_clear()
    return main(COMMAND)


@pytest.mark.parametrize("mask", [0o022, 0o000])
def test_a_build_is_private_and_used_again(cache, compiled, monkeypatch, capsys, mask):
    earlier = os.umask(mask)
    try:
        assert main(COMMAND) == 0
    finally:
        os.umask(earlier)
    assert [path.parent for path in compiled] == [cache]
    assert cache.stat().st_mode & 0o777 == compiled[0].stat().st_mode & 0o777 == 0o700
    assert again(monkeypatch) == again(monkeypatch) == 0 and len(compiled) == 1


def test_a_library_that_is_open_to_others_or_a_link_is_made_anew(cache, compiled, monkeypatch):
    assert main(COMMAND) == 0
    (library,) = cache.iterdir()
    kept = library.read_bytes()
    library.unlink()  # the loaded one stays as it is
    library.write_bytes(b"planted")
    library.chmod(0o766)
    assert again(monkeypatch) == 0
    assert len(compiled) == 2 and library.stat().st_mode & 0o022 == 0 and library.read_bytes()[:4] == kept[:4]
    planted = cache.parent / "planted.so"
    planted.write_bytes(b"planted")
    library.unlink()
    library.symlink_to(planted)
    assert again(monkeypatch) == 0
    assert len(compiled) == 3 and not library.is_symlink() and planted.read_bytes() == b"planted"


def _stranger(folder, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)


def _open_to_all(folder, monkeypatch):
    folder.parent.chmod(0o777)


def _link(folder, monkeypatch):
    shutil.rmtree(folder)
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


def _file(folder, monkeypatch):
    shutil.rmtree(folder)
    folder.write_bytes(b"")


@pytest.mark.parametrize("spoil", [_stranger, _open_to_all, _link, _file])
def test_a_folder_that_others_may_change_is_not_used(cache, compiled, monkeypatch, capsys, spoil):
    cache.mkdir(parents=True)
    spoil(cache, monkeypatch)
    folder = files.private_folder("kernels")
    assert not folder.is_relative_to(cache.parent) and folder.stat().st_mode & 0o777 == 0o700
    assert folder == files.private_folder("kernels")
    note = capsys.readouterr().err
    assert note.startswith("minivdit: note: what is compiled goes when this ends: ") and note.count("\n") == 1
    assert "set XDG_CACHE_HOME to a folder of your own" in note


def test_an_earlier_folder_of_ones_own_is_closed_to_others(cache):
    cache.mkdir(parents=True, mode=0o755)
    assert files.private_folder("kernels") == cache and cache.stat().st_mode & 0o777 == 0o700


def test_without_a_home_the_temporary_folder_goes_when_python_ends():
    code = """
import os, pwd
def unknown(user): raise KeyError(user)
pwd.getpwuid = unknown
from minivdit.base.files import private_folder
folder = private_folder("kernels")
(folder / "x").write_text("x")
print(folder)
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "can't be found: that user has no home folder" in done.stderr
    assert not os.path.exists(done.stdout.strip()) and "minivdit-" in done.stdout
