"""What all tests share: a stand-in for CuPy, so that what a GPU would do can be followed without one."""

import atexit
import importlib.util
import inspect
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from minivdit import autograd
from minivdit.base import backend, files, machine, sharing
from minivdit.data import clip_cache
from minivdit.generation import GenerationSettings, TextToVideo
from minivdit.models import Autoencoder, AutoencoderConfig, Tokenizer, VideoDiT, VideoDiTConfig

_spec = importlib.util.spec_from_file_location("stand_in_cupy", Path(__file__).with_name("stand_in_cupy.py"))
_stand_in = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_stand_in)

# Who runs the tests in the background hands on that these are ignored; they are tested, here and in processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# With -n, several processes share the tests. Each has a thread that waits for word of the next test, beside which it
# may fork; and its share of the cores: BLAS's threads would mostly wait for each other, here and in what tests start.
if "PYTEST_XDIST_WORKER" in os.environ:
    sharing.WAITING.update(sys._current_frames().keys() - {threading.get_ident()})
    share = max(1, backend.cpu_count() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    threadpoolctl.threadpool_limits(share, user_api="blas")
    os.environ.setdefault("OMP_NUM_THREADS", str(share))

# Many tests start a Python of their own. Where this user has no cache folder, each would compile all operations again.
if files.private_folder("tests").name != "tests":
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="minivdit-tests-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
    files.private_folder.cache_clear()


# What takes longest, from a minute on, begins first: at the end no process works alone for long.
LONGEST = ("test_attention_kernels.py", "test_chapters.py", "test_compile_kernels.py", "test_readme.py")
LONGEST += ("test_gpu_session.py", "test_wheel.py", "test_ranks.py")


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes():
    """Before processes share the tests, operations are compiled if need be: not in each of them, nor inside a test."""
    autograd.load_twins()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With -n and no --dist, one process has all tests of a file, so that what its fixtures make is made once."""
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # by number of tests, which says little
    return LoadFileScheduling(config, log)


@pytest.fixture(autouse=True)
def no_word_of_slow_kernels(monkeypatch):
    """Commands say the same where the environment sets OPENBLAS_CORETYPE, and don't measure what that costs."""
    monkeypatch.setattr(machine, "forced_kernels", lambda: None)


@pytest.fixture(autouse=True, scope="session")
def own_clip_cache(tmp_path_factory):
    """Decoded clips are kept in a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr(clip_cache, "cache_folder", lambda: folder)
        yield


@pytest.fixture
def plain_numpy():
    """Operations are NumPy's, though there may be compiled ones."""
    backend.use("cpu", kernels=False)
    yield
    backend.use("cpu")


@pytest.fixture(params=["numpy", "compiled"])
def twins(request):
    """The operations computed by NumPy, and once more compiled by Numba."""
    if request.param == "compiled" and backend.numba_problem():
        pytest.skip(backend.numba_problem())
    backend.use("cpu", kernels=request.param == "compiled")
    yield request.param
    backend.use("cpu")


@pytest.fixture
def spoil(monkeypatch):
    """spoil(loop, written): from now on one entry of the array of that name is wrong after each call of the loop."""
    compiler = pytest.importorskip("minivdit.autograd.compiled.compiler")
    call = compiler.Loop.__call__

    def put(loop, written):
        def spoilt(self, *arguments):
            call(self, *arguments)
            if self.function.__name__ == loop:
                array = arguments[list(inspect.signature(self.function).parameters).index(written)]
                array.flat[np.abs(array).argmax()] *= 1.001

        monkeypatch.setattr(compiler.Loop, "__call__", spoilt)
        monkeypatch.setattr(compiler, "ENTRIES", 1 << 60)  # one thread: another one can't write over it

    return put


@pytest.fixture
def stand_in(monkeypatch):
    """tests/stand_in_cupy.py: stand_in.install(monkeypatch, architecture="80", ...) puts it in CuPy's place."""
    yield _stand_in
    backend.use("cpu")


@pytest.fixture
def gpu(stand_in, monkeypatch):
    """The stand-in's record of copies and launches, with the stand-in installed and chosen."""
    stand_in.install(monkeypatch)
    backend.use("gpu")
    stand_in.record.clear()
    return stand_in.record


@pytest.fixture(scope="session")
def make_model():
    """A function that makes a tiny model with random weights; arguments: image_channels, GenerationSettings."""
    return _make_model


def _make_model(image_channels=1, **settings):
    generator = np.random.default_rng(0)
    tokenizer = Tokenizer()
    config = VideoDiTConfig(latent_channels=2, patch_size=(2, 2, 2), width=24, depth=2, heads=2, text_depth=1)
    transformer = VideoDiT(config, len(tokenizer), generator)
    for parameter in transformer.parameters().values():  # a fresh model predicts 0 whatever the caption is
        parameter.data += 0.2 * generator.standard_normal(parameter.shape, dtype=np.float32)
    autoencoder = Autoencoder(AutoencoderConfig(image_channels, 2, channels=(4, 4)), generator)
    autoencoder.latent_mean.data[...] = [0.3, -0.2]
    autoencoder.latent_deviation.data[...] = [2.0, 0.5]
    given = {"size": (16, 24), "num_frames": 4, "digit_size": 8, "steps": 3, **settings}
    return TextToVideo(transformer, autoencoder, tokenizer, GenerationSettings(**given), {"seed": 0}, "test")
