"""The CuPy launcher: what it hands to a stand-in for CuPy; and the kernels themselves where a GPU is there."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from minivdit.base.backend import gpu_problem
from minivdit.base.errors import InputError
from minivdit.kernels import attention, fused, launch, whole_source
from minivdit.kernels.attention import FILES, Forward
from minivdit.lab.benchmarks.kernel_attention_check import errors

SHARED_BYTES = 65536  # of the stand-in, as an sm_75 has


class Kernel:
    """Stands in for what cupy.RawModule.get_function returns: writes down how it was called."""

    def __init__(self):
        self.calls, self.max_dynamic_shared_size_bytes = [], None

    def __call__(self, grid, block, args, *, shared_mem):
        self.calls.append((grid, block, args, shared_mem))


class Module:
    """Stands in for cupy.RawModule, of a file that `compiled` made of a source and of names."""

    def __init__(self, path):
        self.source = Path(path).read_text()
        self.names = json.loads(Path(path).with_suffix(".json").read_text())["names"]
        self.mangled = {name: Kernel() for name in self.names.values()}
        self.kernels = {expression: self.mangled[name] for expression, name in self.names.items()}

    def get_function(self, name):
        return self.mangled[name]


class World:
    """A machine with GPUs, of which one is current; what was compiled and loaded there."""

    def __init__(self):
        self.device, self.modules, self.compiled = 0, [], []

    def load(self, path):
        self.modules.append(Module(path))
        return self.modules[-1]

    def with_nvrtc(self, file, architecture, text):
        self.compiled.append((file.name, architecture))
        if "nought" in text:
            raise InputError(f'can\'t compile {file.name} for sm_{architecture}: a.cu(7): error: "nought" is lost')
        names = {name: f"_Z{number}" for number, name in enumerate(file.expressions(architecture))}
        return text.encode(), "", names


@pytest.fixture
def world(monkeypatch, tmp_path):
    """A stand-in for CuPy, whose arrays are NumPy's, and for NVRTC."""
    made = World()
    device = types.SimpleNamespace(
        compute_capability="75", attributes={"MaxSharedMemoryPerBlockOptin": SHARED_BYTES}
    )  # fmt: skip
    cuda = types.SimpleNamespace(
        Device=lambda: device, runtime=types.SimpleNamespace(getDevice=lambda: made.device)
    )  # fmt: skip
    cupy = types.SimpleNamespace(cuda=cuda, RawModule=made.load, empty=np.empty, asarray=np.asarray)
    monkeypatch.setattr(launch, "gpu_problem", lambda: None)
    monkeypatch.setattr(launch, "with_nvrtc", made.with_nvrtc)
    monkeypatch.setattr(launch, "nvrtc_version", lambda: "12.9")
    monkeypatch.setattr(launch, "private_folder", lambda name: tmp_path)
    monkeypatch.setattr(launch.Launcher, "library", "numpy")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    launch._launcher.cache_clear()
    yield made
    launch._launcher.cache_clear()


@pytest.fixture
def launcher(world):
    return launch.launcher()


def numbers(queries, keys, width):
    generator = np.random.default_rng(0)
    q = generator.standard_normal((2, 3, queries, width), dtype=np.float32)
    k, v = generator.standard_normal((2, 2, 3, keys, width), dtype=np.float32)
    return q, k, v


def test_a_launch_hands_over_grid_block_shared_memory_and_the_struct(launcher, world):
    q, k, v = numbers(70, 50, 128)
    name = "attention_forward_3_tiles"
    out, log_sum_exp = attention.forward(name, q, k, v, runner=launcher, scale=0.5)
    attention.forward(name, q, k, v, runner=launcher)
    (module,) = world.modules  # loaded once for two calls
    assert world.compiled == [(name, "75")] and module.source == whole_source(name)
    assert list(module.names) == FILES[name].expressions("75")
    kernel = module.kernels[f"{name}<128>"]
    (grid, block, (struct,), shared), (*_, (other,), _) = kernel.calls
    assert struct.dtype is other.dtype and not struct.dtype.names  # NumPy and CuPy look at no field
    assert grid == (2 * 2 * 3,) and block == (128,)  # two tiles of queries, two clips, three heads
    assert shared == kernel.max_dynamic_shared_size_bytes == FILES[name].functions[-1].shared_bytes(128) > 48 << 10
    assert struct.shape == (1,)  # CuPy passes a NumPy array of one element by value
    given = Forward.from_buffer_copy(struct.tobytes())
    assert (given.q.data, given.k.data, given.v.data) == tuple(array.ctypes.data for array in (q, k, v))
    assert (given.q.batch, given.q.head, given.q.token) == (3 * 70 * 128, 70 * 128, 128)
    assert (given.out.data, given.log_sum_exp.data) == (out.ctypes.data, log_sum_exp.ctypes.data)
    assert (given.batch, given.heads, given.queries, given.keys, given.scale) == (2, 3, 70, 50, 0.5)
    assert given.query_time.data is None and given.scores is None


def test_kernels_beside_attention_are_launched_one_direction_at_a_time(launcher, world):
    x, shift, scale = np.zeros((2, 3, 40, 200), np.float32), *np.zeros((2, 2, 3, 1, 200), np.float32)
    fused.normalise_and_modulate(x, shift, scale, runner=launcher)
    fused.normalise_and_modulate_backward(x, scale, x, runner=launcher)
    kernels = world.modules[0].kernels
    calls = {name: kernel.calls for name, kernel in kernels.items() if kernel.calls}
    forward, backward, sums = (
        f"normalise_and_modulate_{kind}<float32, 256>" for kind in ("forward", "backward", "sums")
    )
    assert set(calls) == {forward, backward, sums} and all(len(made) == 1 for made in calls.values())
    assert [calls[name][0][0] for name in (forward, backward, sums)] == [(12,), (12,), (6 * 7,)]  # 2 tiles of 6 groups


def test_all_parameters_are_updated_in_one_launch(launcher, world):
    arrays, factor = np.zeros((5, 1000), np.float32), np.ones(1, np.float32)
    segments = [(300, 0.5, 0.1), (700, 0.25, 0)]
    options = {"segments": segments, "step": 1, "share": 0.5, "betas": (0.5, 0.75), "gradient_factor": factor}
    fused.adamw_ema(*arrays, runner=launcher, **options)
    ((grid, _, (struct,), _),) = world.modules[0].kernels["adamw_ema<128>"].calls
    given = fused.AdamWEMA.from_buffer_copy(struct.tobytes())
    assert grid == (2,) and given.count == 1000 and given.gradient_factor == factor.ctypes.data and given.aligned
    assert list(given.end[:3]) == [300, 1000, 1000] and list(given.step_size[:2]) == [1.0, 0.5]
    assert given.kept[0] == np.float32(0.95) and given.kept[1] == 1
    assert (given.beta1, given.one_minus_beta1, given.beta2, given.one_minus_beta2) == (0.5, 0.5, 0.75, 0.25)
    assert given.square_bias == 0.5


def test_little_shared_memory_is_not_asked_for(launcher, world):
    attention.forward("attention_forward_2_online", *numbers(5, 5, 32), runner=launcher)
    kernel = world.modules[0].kernels["attention_forward_2_online<32>"]
    assert len(kernel.calls) == 1 and kernel.max_dynamic_shared_size_bytes is None


def test_a_gpu_with_too_little_shared_memory_or_too_old_is_told_in_one_line(launcher):
    launcher.shared_bytes = 60000
    with pytest.raises(InputError, match=r"needs 63104 bytes of shared memory a block, and this GPU .sm_75. has 60000"):
        attention.forward("attention_forward_3_tiles", *numbers(5, 5, 128), runner=launcher)
    launcher.architecture = "70"
    with pytest.raises(InputError, match="needs a GPU of sm_75 or newer, and this one is sm_70; use --device cpu"):
        attention.forward("attention_forward_3_tiles", *numbers(5, 5, 128), runner=launcher)


def test_a_gpu_without_bfloat16_gets_the_float16_instances_only(launcher, world):
    name = "attention_forward_4_tensor_cores"
    q, k, v = (array.astype(np.float16) for array in numbers(70, 50, 64))
    out, _ = attention.forward(name, q, k, v, runner=launcher)
    (module,) = world.modules
    assert set(module.kernels) == {f"{name}<float16, {width}>" for width in (32, 64, 128)}
    assert len(module.kernels[f"{name}<float16, 64>"].calls) == 1 and out.dtype == np.float16
    bits = [array.view(np.uint16) for array in (q, k, v)]
    with pytest.raises(InputError, match=r"sm_75. has no bfloat16 products; use float16"):
        attention.forward(name, *bits, runner=launcher, dtype="bfloat16")
    with pytest.raises(InputError, match="needs a GPU of sm_80 or newer, and this one is sm_75"):
        attention.forward("attention_forward_6_async", q, k, v, runner=launcher)


def test_a_kernel_of_one_architecture_alone_is_compiled_for_it_and_refused_elsewhere(launcher, world):
    name = "attention_forward_8_wgmma"
    given = [array.astype(np.float16) for array in numbers(130, 5, 32)]
    launcher.architecture = "90"
    attention.forward(name, *given, runner=launcher)
    (module,) = world.modules
    assert world.compiled == [(name, "90a")]
    ((grid, block, _, _),) = module.kernels[f"{name}<float16, 32>"].calls
    assert grid == (2 * 2 * 3,) and block == (256,)
    launcher._kernel.cache_clear()
    for other in ("89", "100"):
        launcher.architecture = other
        with pytest.raises(InputError, match=f"needs a GPU of sm_90, no other, and this one is sm_{other}; use --dev"):
            attention.forward(name, *given, runner=launcher)


def test_a_failed_compile_is_told_by_its_first_error(launcher, monkeypatch):
    monkeypatch.setattr(launch, "whole_source", lambda name: "nought")
    with pytest.raises(InputError, match=r'online for sm_75: a.cu\(7\): error: "nought" is lost$'):
        attention.forward("attention_forward_2_online", *numbers(5, 5, 32), runner=launcher)


def test_what_was_compiled_is_kept_for_the_next_process(world, monkeypatch):
    name = "attention_forward_2_online"
    for _ in range(2):
        attention.forward(name, *numbers(5, 5, 32), runner=launch.Launcher())
    assert len(world.compiled) == 1 and len(world.modules) == 2
    path, names = launch.compiled(FILES[name], "75")
    assert not any(kept.stat().st_mode & 0o077 for kept in (path, path.with_suffix(".json")))
    notes = path.with_suffix(".json")
    cut = [lambda kept=kept: kept.write_bytes(kept.read_bytes()[:-1]) for kept in (path, notes)]
    for spoil in (path.unlink, notes.unlink, lambda: path.chmod(0o666), *cut, lambda: notes.write_text("[]")):
        spoil()
        assert launch.compiled(FILES[name], "75") == (path, names)
    assert len(world.compiled) == 7
    launch.compiled(FILES[name], "80")
    monkeypatch.setattr(launch, "nvrtc_version", lambda: "13.0")
    launch.compiled(FILES[name], "75")
    monkeypatch.setattr(launch, "whole_source", lambda name: whole_source(name) + "// changed")
    launch.compiled(FILES[name], "75")
    assert len(world.compiled) == 10
    assert len({entry.name for entry in path.parent.iterdir()}) == 8


def test_every_gpu_has_kernels_of_its_own(world):
    name = "attention_forward_3_tiles"
    for world.device in (0, 1, 0, 1):
        attention.forward(name, *numbers(5, 5, 128), runner=launch.launcher())
    kernels = [module.kernels[f"{name}<128>"] for module in world.modules]
    assert [len(kernel.calls) for kernel in kernels] == [2, 2] and len(world.compiled) == 1
    assert len({kernel.max_dynamic_shared_size_bytes for kernel in kernels} - {None}) == 1


def test_the_next_best_rung_takes_the_place_of_one_that_nvrtc_cannot_compile(launcher, monkeypatch, capsys):
    launcher.architecture, launcher.shared_bytes = "90", 227 << 10
    wanted = (Forward, "float16", 64, "90", 227 << 10, launcher.compiles)
    assert attention.best(*wanted) == "attention_forward_8_wgmma"
    launcher.compiles.cache_clear()
    monkeypatch.setattr(launch, "whole_source", lambda name: "nought")
    assert {attention.best(*wanted) for _ in range(3)} == {"attention_forward_7_trimmed"}
    (line,) = capsys.readouterr().err.splitlines()
    assert "the next best kernel is taken: can't compile attention_forward_8_wgmma for sm_90a" in line


def test_arrays_of_the_other_library_are_refused(launcher):
    launcher.library = "cupy"
    with pytest.raises(InputError, match="needs cupy arrays, not numpy's"):
        attention.forward("attention_forward_2_online", *numbers(5, 5, 32), runner=launcher)


def test_without_a_gpu_a_launcher_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(launch, "gpu_problem", lambda: "no GPU here; use --device cpu")
    with pytest.raises(InputError, match="no GPU here"):
        launch.Launcher()


@pytest.mark.skipif(gpu_problem() is not None, reason="no usable GPU")
@pytest.mark.parametrize("shape", [(1, 1, 32), (65, 63, 64), (257, 130, 128)], ids=str)
@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, file in FILES.items() for dtype in file.dtypes()])
def test_on_a_gpu_equals_the_definition(name, dtype, shape):
    runner = launch.Launcher()
    if FILES[name].target(runner.architecture) is None or (dtype == "bfloat16" and runner.architecture == "75"):
        pytest.skip("not for this GPU")
    near = 5e-5 if "split" in name else 1e-5
    for frames in (None, 3):
        if frames is None or shape[0] > 1:
            result = errors(name, *shape, frames, 0, runner, dtype=dtype)
            for field, error in result.items():
                allowed = 1e-4 if field == "log_sum_exp" else max(2 * error.plain, near * max(1, error.size))
                assert error.largest <= allowed, (field, error)
