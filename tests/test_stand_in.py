"""The stand-in for CuPy: has it only what CuPy has, and does it refuse what CuPy refuses?"""

import importlib
import inspect
import re
import sys
import threading

import numpy as np
import pytest

from minivdit.base import backend


def real_cupy():
    if getattr(sys.modules.get("cupy"), "__version__", "").endswith("stand-in)"):
        pytest.skip("the stand-in is installed")
    return pytest.importorskip("cupy", reason="CuPy isn't installed: nothing to compare the tables with")


def test_it_has_only_what_cupy_has(stand_in):
    cupy = real_cupy()
    for name in stand_in.UFUNCS:
        assert type(getattr(cupy, name)).__name__ == "ufunc", name
    for name, parameters in stand_in.FUNCTIONS.items():
        if name == "einsum":  # takes *operands
            continue
        theirs = inspect.signature(getattr(cupy, name)).parameters
        if name != "matmul":  # takes *args, and out by name
            assert set(parameters.split()) <= set(theirs), name
    for name, parameters in stand_in.METHODS.items():
        first_line = getattr(cupy.ndarray, name).__doc__.split("\n")[0]  # compiled: there is no other signature
        theirs = re.findall(r"\w+", first_line) if "(" in first_line else ["dtype"]
        assert set(parameters.split()) <= set(theirs), name
    own = {name for name in vars(stand_in.ndarray) if name not in vars(object) and not name.startswith("_")}
    assert own | {f"__{s}{n}__" for n, sides in stand_in.OPERATORS.items() for s in sides} <= set(dir(cupy.ndarray))
    assert hasattr(cupy.RawModule, "get_function") and hasattr(cupy.RawKernel, "max_dynamic_shared_size_bytes")
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc")
    assert {name for name in vars(stand_in.NVRTC) if not name.startswith("_")} <= set(dir(nvrtc))
    methods = {name for name in vars(stand_in.MemoryPool) if not name.startswith("_")}
    assert methods <= set(dir(cupy.get_default_memory_pool()))
    assert hasattr(cupy.cuda.Event, "done") and hasattr(cupy.random.Generator, "standard_normal")
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert cupy.cuda.runtime.CUDARuntimeError and cupy.cuda.runtime.getDevice and cupy.cuda.Event
    assert hasattr(cupy.cuda.Stream, "wait_event") and hasattr(cupy.cuda.Device, "use")
    assert cupy.cuda.get_current_stream and hasattr(cupy.cuda.Stream.null, "ptr")
    assert cupy.cuda.runtime.deviceGetPCIBusId


def test_nccl_has_only_what_cupys_has(stand_in):
    real_cupy()
    nccl = importlib.import_module("cupy.cuda.nccl")
    if not nccl.available:
        pytest.skip("NCCL isn't there: pip install nvidia-nccl-cu13")
    assert nccl.NCCL_INT8 == stand_in.NCCL.NCCL_INT8
    names = {name for name in vars(stand_in.NCCL) if not name.startswith("_")}
    assert names <= set(dir(nccl)) and {"send", "recv"} <= set(dir(nccl.NcclCommunicator))


def test_nothing_is_brought_to_the_host_or_mixed_by_accident(gpu):
    there, here = backend.to_device(np.arange(6.0, dtype=np.float32)), np.ones(6, np.float32)
    gpu.clear()
    for wrong in (
        lambda: np.asarray(there),
        lambda: there + here,
        lambda: here + there,
        lambda: np.multiply(there, here),
        lambda: backend.xp().concatenate([there, here]),
        lambda: there[np.arange(3)],
        lambda: there.__setitem__(slice(None), here),
        lambda: np.linalg.norm(there),
        lambda: backend.xp().sum(there, where=there > 0),
        lambda: backend.xp().exp(there, where=there > 0),
        lambda: here.__iadd__(there),
    ):
        with pytest.raises(TypeError):
            wrong()
    assert not hasattr(backend.xp(), "put_along_axis")
    assert not gpu.to_host() and not gpu.to_device()
    assert float(there.sum()) == 15.0 and there.max().item() == 5.0 and bool((there >= 0).all())
    assert gpu.to_host() == [4, 4, 1]


def test_a_device_array_in_another_thread_is_refused(gpu):
    caught = []

    def work():
        try:
            backend.to_device(np.ones(3))
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_results_lie_in_memory_as_cupys_do(gpu):
    turned = backend.to_device(np.ones((3, 4))).T
    assert turned.strides == (8, 32) and (turned * 2).strides == (24, 8) == np.exp(turned).strides
    assert isinstance(turned.sum(), type(turned)) and turned.sum().shape == ()
