"""Operations on a GPU, followed by the stand-in for CuPy: the same numbers as on the CPU, by the kernels that fit."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base import backend
from minivdit.base.errors import InputError
from minivdit.kernels.attention import BEST, FILES, Backward, Forward, best
from minivdit.kernels.launch import launcher

NAMES = ("out", "q", "k", "v", "q_weight", "k_weight")


def attention(move, q, k, v, cotangent, weights=(), tables=(), **options):
    """The output and all gradients; `move` brings arrays to where attention is to be computed."""
    leaves = [ag.Tensor(move(x), requires_grad=True) for x in (q, k, v, *weights)]
    further = [None] * (2 - len(weights)) + [move(table) for table in tables]
    options = {name: move(x) if isinstance(x, np.ndarray) else x for name, x in options.items()}
    out = ag.attention(*leaves, *further, **options)
    return [out.data, *ag.gradients(out, leaves, move(cotangent))]


def numbers(leading, queries, keys, width):
    generator = np.random.default_rng(0)
    shapes = ((*leading, queries, width), (*leading, keys, width), (*leading, keys, width), (*leading, queries, width))
    return [generator.standard_normal(shape, dtype=np.float32) for shape in shapes]


def assert_like_the_cpu(given, near=5e-5, **options):
    on_cpu = attention(np.asarray, *given, **options)
    on_gpu = [array.get() for array in attention(backend.to_device, *given, **options)]
    for name, expected, got in zip(NAMES, on_cpu, on_gpu):
        assert got.dtype == np.float32 and got.shape == expected.shape
        assert abs(got - expected).max() <= near * max(1, abs(expected).max()), name


@pytest.mark.parametrize("width", [6, 16, 32, 64, 100])
@pytest.mark.parametrize("leading", [(), (2,), (2, 3), (2, 3, 2)], ids=str)
def test_any_width_and_any_leading_axes(gpu, leading, width):
    assert_like_the_cpu(numbers(leading, 5, 7, width))
    assert {"attention_forward_4b_split_floats", "attention_backward_3b_split_floats_keys"} <= launched(gpu)


def launched(gpu):
    return {name.split("<")[0] for name in gpu.launches}


@pytest.mark.parametrize("groups", [(), (3,)], ids=["whole", "groups"])
def test_normalised_turned_and_masked(gpu, groups):
    width, tokens = 16, 9
    given = numbers((2, *groups, 4), tokens, tokens, width)
    generator = np.random.default_rng(1)
    weights = generator.standard_normal((2, width), dtype=np.float32)
    angles = generator.standard_normal((*groups, *(1,) * bool(groups), tokens, width // 2), dtype=np.float32)
    times = generator.integers(0, 4, (*groups, 1, tokens), dtype=np.int32)
    times[..., 0] = 0
    assert_like_the_cpu(
        given, weights=weights, tables=(np.cos(angles), np.sin(angles)), query_time=times, key_time=times, scale=0.3
    )


def test_a_query_that_sees_nothing_gets_zeros(gpu):
    q, k, v, cotangent = numbers((1, 2), 3, 4, 32)
    seen = np.array([0, 1, 1, 2], np.int32)
    options = {"query_time": np.array([-1, 0, 2], np.int32), "key_time": seen}
    assert_like_the_cpu((q, k, v, cotangent), **options)
    out, q_grad, *_ = attention(backend.to_device, q, k, v, cotangent, **options)
    assert not out.get()[:, :, 0].any() and not q_grad.get()[:, :, 0].any()


def test_views_are_read_where_they_lie_and_copied_only_where_kernels_cannot_read_them(gpu):
    heads, width, tokens = 2, 32, 5
    together = backend.to_device(np.random.default_rng(0).standard_normal((3, tokens, 3, heads, width), np.float32))
    q, k, v = (together[:, :, part].transpose(0, 2, 1, 3) for part in range(3))
    whole = [x.get() for x in (q, k, v)]
    gpu.clear()
    out = ag.attention(q, k, v).data
    assert "copy" not in gpu.launches
    columns = backend.to_device(np.ascontiguousarray(whole[0].swapaxes(-1, -2))).swapaxes(-1, -2)  # rows in pieces
    np.testing.assert_array_equal(ag.attention(columns, k, v).data.get(), out.get())
    assert gpu.launches.count("copy") == 1
    odd = backend.to_device(np.zeros(whole[0].size + 1, np.float32))[1:].reshape(whole[0].shape)  # 4 bytes too far
    odd[...] = q
    np.testing.assert_array_equal(ag.attention(odd, k, v).data.get(), out.get())


def test_a_projection_gives_rows_that_kernels_read_as_they_lie(gpu):
    x = backend.to_device(np.random.default_rng(0).standard_normal((2, 5, 64), np.float32))
    projected = ag.linear(x, x[0].T @ x[0], transposed=True).data.reshape(2, 5, 2, 32).swapaxes(1, 2)
    gpu.clear()
    ag.attention(projected, projected, projected)
    assert "copy" not in gpu.launches


SHARED = {"75": 64 << 10, "80": 163 << 10, "86": 99 << 10, "90": 227 << 10, "100": 227 << 10, "120": 99 << 10}


@pytest.mark.parametrize(
    ("architecture", "forward", "backward"),
    [
        ("75", "3_tiles", "2_tiles"),
        ("80", "4b_split_floats", "3b_split_floats"),
        ("120", "4b_split_floats", "3b_split_floats"),
    ],
)
def test_training_in_float32_uses_what_the_gpu_has(stand_in, monkeypatch, architecture, forward, backward):
    stand_in.install(monkeypatch, architecture=architecture, shared_bytes=SHARED[architecture])
    backend.use("gpu")
    assert_like_the_cpu(numbers((1, 2), 17, 5, 128))
    kernels = {name for name in launched(stand_in.record) if name.startswith("attention_")}
    backward = {f"attention_backward_{backward}_{part}" for part in ("row_sums", "keys", "queries")}
    assert kernels == {f"attention_forward_{forward}", *backward}


@pytest.mark.parametrize(
    ("dtype", "architecture", "forward", "backward"),
    [
        ("float32", "75", "3_tiles", "2_tiles"),
        ("float16", "75", "5_swizzled", "3_tensor_cores"),
        ("float16", "86", "7_trimmed", "4_async"),
        ("bfloat16", "80", "7_trimmed", "4_async"),
        ("bfloat16", "90", "8_wgmma", "4_async"),
        ("float16", "100", "7_trimmed", "4_async"),
        ("bfloat16", "120", "7_trimmed", "4_async"),
        ("float32", "100", "4b_split_floats", "3b_split_floats"),
    ],
)
@pytest.mark.parametrize("width", [32, 64, 128])
def test_the_best_kernel_for_a_gpu(dtype, architecture, forward, backward, width):
    for kind, name in ((Forward, forward), (Backward, backward)):
        found = best(kind, dtype, width, architecture, SHARED[architecture])
        assert found == f"attention_{kind.__name__.lower()}_{name}"
        assert FILES[found].arguments is kind and found in BEST[kind]


def test_little_shared_memory_means_another_kernel_and_too_little_is_told():
    assert best(Forward, "float16", 128, "90", 60000) == "attention_forward_5_swizzled"
    assert best(Forward, "float16", 128, "90", 128 << 10) == "attention_forward_7_trimmed"
    with pytest.raises(InputError, match=r"no attention kernel reads float32 .* 20000 bytes .*--kernels off .*cpu"):
        best(Forward, "float32", 128, "90", 20000)
    with pytest.raises(InputError, match=r"no attention kernel reads bfloat16 .*sm_75"):
        best(Forward, "bfloat16", 64, "75", 65536)


def test_float16_goes_through_tensor_cores(gpu):
    q, k, v, cotangent = (x.astype(np.float16) for x in numbers((1, 2), 70, 33, 64))
    on_gpu = attention(backend.to_device, q, k, v, cotangent)
    on_cpu = attention(np.asarray, *(x.astype(np.float32) for x in (q, k, v, cotangent)))
    for expected, got in zip(on_cpu, on_gpu):
        assert got.dtype == np.float16 and abs(got.get() - expected).max() < 4e-3 * max(1, abs(expected).max())
    assert {"attention_forward_8_wgmma", "attention_backward_4_async_queries"} <= launched(gpu)


def test_gradients_of_a_mean_in_float16_are_scaled_by_the_cotangent(gpu):
    """They are some 1e-8, as in a large batch, and float16 has nothing between 0 and 6e-8."""
    *given, factors = (x.astype(np.float16) for x in numbers((1, 2), 70, 33, 64))

    def gradients(dtype, scale):
        leaves = [ag.Tensor(backend.to_device(x.astype(dtype)), requires_grad=True) for x in given]
        loss = ag.mean(ag.attention(*leaves) * backend.to_device((factors / 1024).astype(dtype)))
        cotangent = backend.xp().full_like(loss.data, scale)
        return [found.get().astype(np.float32) / scale for found in ag.gradients(loss, leaves, cotangent)]

    exact = gradients(np.float32, 1)
    worst = {
        scale: max(abs(mine - x).max() / abs(x).max() for mine, x in zip(gradients(np.float16, scale), exact))
        for scale in (1, 2**14)
    }
    assert worst[1] > 0.2 and worst[2**14] < 4e-3


def test_what_kernels_cannot_read_is_told_with_the_cure(gpu):
    wide = numbers((1, 1), 3, 3, 136)
    with pytest.raises(InputError, match=r"heads of up to 128 numbers, not 136; .*--kernels off .*--device cpu"):
        attention(backend.to_device, *wide)
    with pytest.raises(InputError, match=r"no attention kernel reads float64 .*use float32 .*--kernels off"):
        attention(backend.to_device, *(x.astype(np.float64) for x in numbers((1, 1), 3, 3, 32)))


def test_without_kernels_only_when_asked_for(gpu):
    given = numbers((2, 2), 6, 6, 16)
    times = np.arange(6, dtype=np.int32) // 2
    backend.use("gpu", kernels=False)
    assert_like_the_cpu(given, near=1e-5, query_time=times, key_time=times)
    assert not any(name.startswith("attention_") for name in gpu.launches)
    backend.use("gpu")
    attention(backend.to_device, *given)
    assert any(name.startswith("attention_forward") for name in gpu.launches)


def test_nothing_comes_back_from_the_gpu(gpu):
    attention(backend.to_device, *numbers((2, 2), 6, 6, 32))  # compiles
    given = [backend.to_device(x) for x in numbers((2, 2), 6, 6, 32)]
    gpu.clear()
    attention(lambda x: x, *given)
    assert not gpu.copies


# ---- Beside attention -----------------------------------------------------------------------------------------

GENERATOR = np.random.default_rng(5)


def normal(*shape):
    return GENERATOR.standard_normal(shape, dtype=np.float32)


def modulation(groups, width):
    """Shift, scale, gate: parts of one array, as a block's modulation is."""
    return np.split(normal(*groups, 1, 3 * width), 3, axis=-1)


X, PARTS = normal(2, 3, 5, 36), modulation((2, 3), 36)
BESIDE = {  # operation, its inputs, and the kernels that compute it
    "modulate": ("normalise_and_modulate", (X, *PARTS[:2]), "normalise_and_modulate"),
    "modulate, turned": (
        "normalise_and_modulate",
        (X.swapaxes(1, 2), *modulation((2, 5), 36)[:2]),
        "normalise_and_mod",
    ),
    "layer norm": ("layer_norm", (X,), "normalise_and_modulate"),
    "layer norm with weights": ("layer_norm", (X, normal(36), normal(36)), "normalise_and_modulate"),
    "layer norm with a weight": ("layer_norm", (X, normal(36)), "normalise_and_modulate"),
    "rms norm": ("rms_norm", (X, normal(36)), "norm_and_rotary"),
    "rms norm of columns": ("rms_norm", (X.swapaxes(-1, -2)[..., :4], normal(4)), "norm_and_rotary"),
    "rms norm alone": ("rms_norm", (X,), "norm_and_rotary"),
    "gate": ("gated_residual", (X, PARTS[2], normal(*X.shape)), "gated_residual"),
    "gate, turned": ("gated_residual", (X.swapaxes(0, 1), PARTS[2].swapaxes(0, 1), normal(3, 2, 5, 36)), "gated_resid"),
    "mlp": ("mlp", (X, normal(36, 50), normal(50), normal(50, 6), normal(6)), "bias_gelu"),
    "mlp of columns": ("mlp", (X[0].T, *(normal(*s) for s in ((3, 8), (8,), (8, 4), (4,)))), "bias_gelu"),
}


def beside(move, name, inputs, cotangent):
    leaves = [ag.Tensor(move(x), requires_grad=True) for x in inputs]
    out = getattr(ag, name)(*leaves)
    return [out.data, *ag.gradients(out, leaves, move(cotangent(out.shape)))]


def as_it_lies(array):
    """On the device, with the strides that it has here."""
    whole = array if array.base is None else array.base
    there = backend.to_device(np.ascontiguousarray(whole))
    module = backend.xp()
    offset = (array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // array.itemsize
    return module.lib.stride_tricks.as_strided(there.reshape(-1)[offset:], array.shape, array.strides)


@pytest.mark.parametrize("way", ["kernels", "plain"])
@pytest.mark.parametrize("case", BESIDE)
def test_beside_attention(gpu, case, way):
    name, inputs, kernel = BESIDE[case]
    # A gradient that lies as another operation may have left it: its axes the other way round in memory.
    cotangent = lambda shape: np.random.default_rng(0).standard_normal(shape[::-1], dtype=np.float32).T
    backend.use("gpu", kernels=way == "kernels")
    beside(as_it_lies, name, inputs, cotangent)  # compiles
    gpu.clear()
    on_gpu = beside(as_it_lies, name, inputs, cotangent)
    assert any(kernel in launch and "<" in launch for launch in gpu.launches) == (way == "kernels")
    assert not any("<" in launch for launch in gpu.launches) or way == "kernels"
    assert not gpu.to_host()
    for got, expected in zip(on_gpu, beside(np.asarray, name, inputs, cotangent), strict=True):
        assert got.dtype == np.float32 and got.shape == expected.shape
        assert abs(got.get() - expected).max() <= 4e-6 * max(1, abs(expected).max()), case


def test_nothing_that_lies_as_kernels_read_it_is_copied(gpu):
    x, *parts = (as_it_lies(array) for array in (X, *PARTS))
    weight = backend.to_device(normal(36))
    launcher()
    gpu.clear()
    ag.gated_residual(ag.rms_norm(ag.layer_norm(ag.normalise_and_modulate(x, *parts[:2])), weight), parts[2], x)
    assert [name.split("<")[0] for name in gpu.launches] == [
        *["normalise_and_modulate_forward"] * 2,
        "norm_and_rotary_forward",
        "gated_residual_forward",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda move: ag.layer_norm(move(np.zeros((2, 1032), np.float32))), r"up to 1024, not 1032; .*--kernels off"),
        (lambda move: ag.rms_norm(move(np.zeros((2, 7), np.float32))), r"an even width.*; use --kernels off"),
        (lambda move: ag.layer_norm(move(np.zeros((2, 8)))), "x as float32"),
    ],
)
def test_what_kernels_beside_attention_cannot_read_is_told(gpu, call, message):
    with pytest.raises(InputError, match=message):
        call(backend.to_device)
    backend.use("gpu", kernels=False)
    call(backend.to_device)


def test_wrong_shapes_are_refused_as_on_the_cpu(gpu):
    x, weight = (backend.to_device(np.zeros(shape, np.float32)) for shape in ((2, 3), (4,)))
    with pytest.raises(ValueError, match=r"shape \(3,\), not \(4,\)"):
        ag.layer_norm(x, weight)
    with pytest.raises(ValueError, match="mlp of"):
        ag.mlp(x, x, weight, x, weight)
