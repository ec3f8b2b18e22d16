"""Finding, verifying and fetching MNIST, shown on a tiny stand-in served from a folder."""

import gzip
import hashlib
import os
import struct
from types import SimpleNamespace

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import digit_source, mnist, source_like
from minivdit.data.mnist import find_mnist, load_mnist
from minivdit.lab.cli import doctor
from minivdit.lab.cli.main import main
from minivdit.lab.evaluation.model_evaluation import clip_maker

IMAGES = struct.pack(">4I", 2051, 20, 28, 28) + np.arange(20 * 784, dtype=np.uint32).astype(np.uint8).tobytes()
LABELS = struct.pack(">2I", 2049, 20) + bytes(range(10)) * 2


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that serves the stand-in as the only mirror, and an empty data folder."""
    served = tmp_path / "mirror"
    served.mkdir()
    for kind, content in (("images", IMAGES), ("labels", LABELS)):
        name = mnist.FILES["train", kind][0]
        monkeypatch.setitem(mnist.FILES, ("train", kind), (name, hashlib.md5(content).hexdigest()))
        (served / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(mnist, "MIRRORS", (served.as_uri() + "/",))
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path / "data"))
    return served


def test_missing_files_are_fetched_verified_and_kept(mirror, tmp_path):
    images, labels = load_mnist("train")
    assert images.shape == (20, 28, 28) and labels.tolist() == [*range(10), *range(10)]
    for file in mirror.iterdir():
        file.unlink()
    again, _ = load_mnist("train", tmp_path / "data")
    np.testing.assert_array_equal(again, images)
    names = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert names == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]


def test_a_wrong_file_from_a_mirror_is_never_kept(mirror, tmp_path):
    (mirror / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(IMAGES[:-1] + b"\xaa"))
    with pytest.raises(InputError, match=r"no mirror gave it .*md5"):
        load_mnist("train")
    assert not (tmp_path / "data").exists()  # nor is a folder left behind


def test_the_second_mirror_helps_when_the_first_is_silent(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", ((tmp_path / "nobody").as_uri() + "/", *mnist.MIRRORS))
    assert len(load_mnist("train")[0]) == 20


def test_offline_says_what_to_do(mirror, capsys):
    for file in mirror.iterdir():
        file.unlink()
    with pytest.raises(InputError) as caught:
        load_mnist("train")
    text = str(caught.value)
    assert "--digits strokes" not in text and "MINIVDIT_DATA" in text and "\n" not in text  # it may be a download
    assert f"fetching MNIST (train) into {mnist.data_directory()}" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"MINIVDIT_DATA.*, or use the built-in digits: --digits strokes$"):
        digit_source("mnist")
    assert not mnist.data_directory().exists()
    with pytest.raises(InputError, match="is not in"):
        load_mnist("train", download=False)


DAMAGES = {
    "cut": lambda content: content[:-5],
    "empty": lambda content: b"",
    "another": lambda content: content[:-1] + b"\xaa",
    "cut while packed": lambda content: gzip.compress(content)[:-9],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("place", ["train-images-idx3-ubyte.gz", "MNIST/raw/train-images-idx3-ubyte"])
def test_data_download_replaces_a_damaged_file_which_nothing_else_does(mirror, tmp_path, place, damage, capsys):
    damaged = tmp_path / "data" / place
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(damage(IMAGES))
    before = damaged.read_bytes()
    with pytest.raises(InputError, match="'minivdit data download' replaces it"):
        load_mnist("train")
    assert damaged.read_bytes() == before
    load_mnist("train", replace=True)
    content = damaged.read_bytes()
    assert (gzip.decompress(content) if place.endswith(".gz") else content) == IMAGES
    assert len(load_mnist("train", download=False)[0]) == 20


def test_the_command_asks_for_the_replacement(monkeypatch):
    asked = []
    monkeypatch.setattr(mnist, "load_mnist", lambda *given, **how: asked.append((given, how)) or ([], []))
    assert main(["data", "download", "--data", "here"]) == 0
    assert asked == [(("train", "here"), {"replace": True}), (("test", "here"), {"replace": True})]


@pytest.fixture
def homeless(monkeypatch):
    """A user whom the system doesn't know, as in a container that was given only a number."""
    pwd = pytest.importorskip("pwd", reason="POSIX only")

    def unknown(user):
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", "MINIVDIT_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.fixture(params=["no home", "unknown user's", "another user's", "a file"])
def unreachable(request, homeless, monkeypatch, tmp_path):
    """The data folder is somewhere where nothing can be found or kept."""
    if request.param == "unknown user's":
        monkeypatch.setenv("MINIVDIT_DATA", "~nobody-by-this-name/x")
    elif request.param == "a file":
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("HOME", str(tmp_path / "file"))
    elif request.param == "another user's":  # root may look everywhere, so the system's answer is played
        monkeypatch.setenv("HOME", str(tmp_path / "theirs"))

        def refusing(function):
            def answer(path, *rest, **how):
                if "theirs" in str(path):
                    raise PermissionError(13, "Permission denied", str(path))
                return function(path, *rest, **how)

            return answer

        for name in ("stat", "lstat", "mkdir", "open", "listdir"):
            monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    return request.param


def test_what_cannot_be_reached_means_built_in_digits(unreachable, capsys):
    assert find_mnist("train") == {} and digit_source("auto").name == "strokes"
    assert mnist.data_problem()
    assert source_like("mnist", "test").name == "strokes"
    assert "note: built-in digits take the place of MNIST" in capsys.readouterr().err
    model = SimpleNamespace(learnt={"digits": "mnist"}, settings=SimpleNamespace(digit_size=8))
    assert clip_maker(model, 1, "include", 2, (16, 16)).source.name == "strokes"  # what evaluate judges with
    assert "take the place of MNIST" in capsys.readouterr().err
    assert source_like("strokes", "test").name == "strokes" and capsys.readouterr().err == ""
    with pytest.raises(InputError, match=r"MINIVDIT_DATA.*--digits strokes$"):
        digit_source("mnist")
    finding = doctor.check_mnist()
    assert finding.state == doctor.OPTIONAL and "can't be kept" in finding.text
    assert "set MINIVDIT_DATA to a folder of your own, or the built-in digits serve" in finding.text


def test_training_clips_are_shown_without_a_home(unreachable, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "preview", "--count", "1", "--frames", "2", "--size", "32x32"]) == 0
    assert "digits: strokes" in capsys.readouterr().out


def test_endless_and_dripping_answers_are_given_up(mirror, monkeypatch):
    url = mnist.MIRRORS[0] + "train-images-idx3-ubyte.gz"
    monkeypatch.setattr(mnist, "_LARGEST_DOWNLOAD", 100)
    with pytest.raises(OSError, match="no MNIST file"):
        mnist._fetch(url, 20)
    monkeypatch.setattr(mnist, "_LARGEST_DOWNLOAD", 1 << 20)
    with pytest.raises(OSError, match="too slow"):
        mnist._fetch(url, -1e-9)


def test_files_are_found_raw_and_in_the_folders_of_other_tools(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"")
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"")
    assert find_mnist("test", tmp_path) == {
        "images": tmp_path / "t10k-images-idx3-ubyte.gz",
        "labels": folder / "t10k-labels-idx1-ubyte",
    }
    assert find_mnist("train", tmp_path) == {}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_input_error(mirror, tmp_path):
    (tmp_path / "data").mkdir(mode=0o555)
    with pytest.raises(InputError, match="MNIST can't be kept"):
        load_mnist("train")


def test_a_data_folder_that_is_a_file_is_an_input_error(mirror, tmp_path):
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(InputError, match="MNIST can't be kept"):
        load_mnist("train")


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match="train or test"):
        load_mnist("validation")


def test_the_default_folder_is_a_cache_of_the_platform(monkeypatch):
    monkeypatch.delenv("MINIVDIT_DATA", raising=False)
    assert mnist.data_directory().name == "minivdit"
    monkeypatch.setenv("MINIVDIT_DATA", "elsewhere")
    assert str(mnist.data_directory()) == "elsewhere" and str(mnist.data_directory("here")) == "here"


def test_auto_takes_mnist_only_where_both_files_are_there(mirror, tmp_path):
    assert digit_source("auto", "train").name == "strokes"
    load_mnist("train")
    source = digit_source("auto", "train")
    assert source.name == "mnist" and source.images.shape == (20, 28, 28)
    (tmp_path / "data" / "train-labels-idx1-ubyte.gz").unlink()
    assert digit_source("auto", "train").name == "strokes"


def test_the_real_mnist_where_it_is_at_hand():
    if len(find_mnist("test")) < 2:
        pytest.skip("MNIST is not in the data folder; set MINIVDIT_DATA to test with it")
    images, labels = load_mnist("test", download=False)
    assert images.shape == (10_000, 28, 28)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]
