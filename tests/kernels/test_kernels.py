"""The CUDA sources: found, compiled where nvcc is at hand, and run on the CPU against NumPy."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from minivdit import kernels
from minivdit.errors import InputError

# Enough of CUDA for a kernel without barriers: its threads can simply run one after the other.
SERIAL_CUDA = r"""
#include <cmath>
struct Index { int x, y, z; };
static Index blockIdx, threadIdx, blockDim;
#define __global__
#include "%s"
extern "C" void launch(int blocks, int groups, int threads, const float *q, const float *k, const float *v,
                       float *out, int queries, int keys, int width, float scale) {
    blockDim = {threads, 1, 1};
    for (blockIdx.y = 0; blockIdx.y < groups; blockIdx.y++)
        for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
            for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++)
                attention_forward_1_naive(q, k, v, out, queries, keys, width, scale);
}
"""


def exact_attention(q, k, v, scale):
    """The definition, in float64."""
    q, k, v = (array.astype(np.float64) for array in (q, k, v))
    scores = scale * q @ k.swapaxes(-1, -2)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """The naive kernel as a Python function, compiled by g++."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    build = tmp_path_factory.mktemp("serial_cuda")
    text = SERIAL_CUDA % (kernels.folder() / "attention_forward_1_naive.cu").as_posix()
    (build / "harness.cpp").write_text(text)
    command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-o", build / "kernel.so", build / "harness.cpp"]
    subprocess.run(command, check=True, capture_output=True)
    library = ctypes.CDLL(str(build / "kernel.so"))

    def run(q, k, v, scale, threads):
        groups, queries, width = q.shape
        out = np.full_like(q, np.nan)  # an entry that no thread writes stays NaN
        arrays = [array.ctypes.data_as(ctypes.c_void_p) for array in (q, k, v, out)]
        sizes = [ctypes.c_int(n) for n in (queries, k.shape[1], width)]
        library.launch(-(-queries // threads), groups, threads, *arrays, *sizes, ctypes.c_float(scale))
        return out

    return run


@pytest.mark.parametrize(
    ("groups", "queries", "keys", "width"), [(1, 1, 1, 1), (2, 17, 5, 3), (3, 64, 63, 32), (2, 65, 257, 8)]
)
def test_naive_attention_equals_the_definition(launch, groups, queries, keys, width):
    generator = np.random.default_rng(queries)
    q = generator.standard_normal((groups, queries, width), dtype=np.float32)
    k, v = generator.standard_normal((2, groups, keys, width), dtype=np.float32)
    scale = width**-0.5
    np.testing.assert_allclose(launch(q, k, v, scale, 32), exact_attention(q, k, v, scale), rtol=2e-5, atol=2e-6)


def test_naive_attention_survives_huge_and_equal_logits(launch):
    v = np.arange(12, dtype=np.float32).reshape(1, 4, 3)
    ones = np.ones((1, 4, 3), np.float32)
    np.testing.assert_allclose(launch(ones, ones, v, 1.0, 8)[0], np.tile(v[0].mean(0), (4, 1)), rtol=1e-6)
    k = np.zeros((1, 4, 3), np.float32)
    k[0, 2] = 1.0  # a logit of 10,000 beside zeros: only value 2 counts
    np.testing.assert_array_equal(launch(ones * np.float32(1e4 / 3), k, v, 1.0, 8)[0], np.tile(v[0, 2], (4, 1)))


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
@pytest.mark.parametrize("name", kernels.names())
def test_compiles_for_every_architecture(name, tmp_path):
    architectures = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in (75, 80, 86, 89, 90)]
    path = kernels.folder() / f"{name}.cu"
    command = ["nvcc", "-std=c++17", "-fatbin", *architectures, "-Werror=all-warnings", "-o", tmp_path / "out", path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out").stat().st_size > 0


def test_every_file_holds_the_kernel_it_is_named_after():
    assert "attention_forward_1_naive" in kernels.names()
    for name in kernels.names():
        assert f" {name}(" in kernels.source(name)


def test_an_unknown_kernel_is_an_error_that_lists_the_known_ones():
    with pytest.raises(InputError, match="attention_forward_1_naive"):
        kernels.source("attention_forward_99")
