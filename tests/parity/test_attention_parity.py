"""Both attention twins against PyTorch's: outputs and all gradients, over lengths that aren't multiples of anything."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.autograd.attend import NEVER

LENGTHS = (1, 17, 63, 64, 65, 257, 513, 1100)
TWINS = (ag.simple_attention, ag.attention)


def normal(generator, *shape):
    return generator.standard_normal(shape, dtype=np.float32)


def ours(operation, q, k, v, cotangent, **options):
    inputs = [ag.Tensor(a, requires_grad=True) for a in (q, k, v)]
    output = operation(*inputs, **options)
    return [output.data, *ag.gradients(output, inputs, cotangent)]


def attention(torch, q, k, v, scale, query_time, key_time):
    """F.scaled_dot_product_attention with the mask that the two times mean; rows that see nothing give zeros."""
    attend = torch.nn.functional.scaled_dot_product_attention
    if query_time is None:
        return attend(q, k, v, scale=scale)
    visible = key_time[..., None, :] <= query_time[..., :, None]
    # PyTorch gives zeros for rows that see nothing in some kernels and NaN in others: let them see, then cut them.
    blind = ~visible.any(-1, keepdim=True)
    return attend(q, k, v, attn_mask=visible | blind, scale=scale).masked_fill(blind, 0.0)


def theirs(torch, q, k, v, cotangent, *, double=False, scale=None, query_time=None, key_time=None):
    as_torch = (lambda a: torch.tensor(a).double()) if double else torch.tensor
    inputs = [as_torch(a).requires_grad_() for a in (q, k, v)]
    times = [None if time is None else torch.tensor(time) for time in (query_time, key_time)]
    output = attention(torch, *inputs, scale, *times)
    output.backward(as_torch(cotangent))
    return [a.detach().numpy() for a in (output, *(x.grad for x in inputs))]


def compare(torch, assert_close, q, k, v, double=False, **options):
    """Within 1e-4 of the largest entry of each tensor.

    The gradients of q and k are sums of terms as large as scale * |k| and scale * |q|. Where the terms cancel (a
    single key, equal keys) only their rounding is left, so the largest entry counts as at least a tenth of that.
    """
    cotangent = normal(np.random.default_rng(99), *q.shape[:-1], v.shape[-1])
    expected = theirs(torch, q, k, v, cotangent, double=double, **options)
    scale = options.get("scale", q.shape[-1] ** -0.5)
    floors = (1e-2, 0.1 * scale * max(1, abs(k).max()), 0.1 * scale * max(1, abs(q).max()), 1e-2)
    for operation in TWINS:
        found = ours(operation, q, k, v, cotangent, **options)
        for name, mine, other, floor in zip(("output", "q", "k", "v"), found, expected, floors):
            assert mine.dtype == np.float32
            assert_close(mine, other, f"{operation.__name__} {name}", floor=floor)


@pytest.mark.parametrize("length", LENGTHS)
def test_self_attention_at_ragged_lengths(torch, assert_close, length):
    generator = np.random.default_rng(length)
    q, k, v = (normal(generator, 2, 2, length, 12) for _ in range(3))
    compare(torch, assert_close, q, k, v)


@pytest.mark.parametrize("queries, keys", [(1, 1100), (65, 17), (17, 513), (1100, 1), (513, 64), (600, 1100)])
def test_different_numbers_of_queries_and_keys_and_value_width(torch, assert_close, queries, keys):
    generator = np.random.default_rng(queries)
    q, k, v = normal(generator, 2, queries, 8), normal(generator, 2, keys, 8), normal(generator, 2, keys, 5)
    compare(torch, assert_close, q, k, v, scale=0.3)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("large", [False, True], ids=["small scores", "large scores"])
def test_masks_by_time(torch, assert_close, length, large):
    """Random times: some queries see nothing, some everything; `large` takes the path with a running maximum."""
    generator = np.random.default_rng(length)
    q, k, v = (normal(generator, 2, 3, length, 8) for _ in range(3))
    query_time = generator.integers(-1, 4, (2, 1, length)).astype(np.int32)
    key_time = generator.integers(0, 6, (2, 1, length)).astype(np.int32)
    key_time[generator.random(key_time.shape) < 0.2] = NEVER
    compare(torch, assert_close, q * (20 if large else 1), k, v, query_time=query_time, key_time=key_time)


@pytest.mark.parametrize("large", [False, True], ids=["small scores", "large scores"])
def test_rows_whose_first_tiles_are_wholly_hidden(torch, assert_close, large):
    """1100 keys are three tiles; query 0 sees only the last key, query 1 only the middle tile, query 2 none."""
    generator = np.random.default_rng(0)
    q, k, v = normal(generator, 1, 4, 8), normal(generator, 1, 1100, 8), normal(generator, 1, 1100, 8)
    key_time = np.full(1100, 9, np.int32)
    key_time[-1], key_time[512:1024] = 0, 1
    for times in ([0, 1, -1, 9], [-1, -1, -1, -1]):
        compare(
            torch,
            assert_close,
            q * (30 if large else 1),
            k,
            v,
            query_time=np.array(times, np.int32),
            key_time=key_time,
        )


@pytest.mark.parametrize("length", LENGTHS)
def test_logits_of_ten_thousand(torch, assert_close, length):
    """Whole numbers, so that float32 holds the logits exactly; compared with PyTorch in float64."""
    generator = np.random.default_rng(length)
    q, k = (generator.integers(-20, 21, (2, length, 32)).astype(np.float32) for _ in range(2))
    q[:, 0], k[:, 0], k[:, -1] = 20, 16, -16  # a logit of 32 * 20 * 16 = 10240, and one of -10240
    v = normal(generator, 2, length, 8)
    compare(torch, assert_close, q, k, v, double=True, scale=1.0)


@pytest.mark.parametrize("logit", [0.0, 3.0, 1e4, -1e4])
@pytest.mark.parametrize("length", [17, 65, 1100])
def test_equal_rows(torch, assert_close, length, logit):
    """All keys alike: the average of the values, exact in its gradient too, however large the logits."""
    generator = np.random.default_rng(length)
    q, k = np.ones((2, length, 1), np.float32), np.full((2, length, 1), logit, np.float32)
    v = normal(generator, 2, length, 8)
    compare(torch, assert_close, q, k, v, double=True, scale=1.0)
    for operation in TWINS:
        np.testing.assert_allclose(operation(q, k, v).data, v.mean(axis=1, keepdims=True) + 0 * v, atol=1e-5)
