"""The engine: order of the walk, memory, fan-out, threads, and what it says about broken pullbacks."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minivdit import autograd as ag


def leaf(*shape, seed=0, dtype=np.float32):
    return ag.Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=True)


def test_a_deep_chain_needs_no_recursion():
    x = leaf(2)
    y = x
    for _ in range(50_000):
        y = y + x
    (grad,) = ag.gradients(y.sum(), [x])
    np.testing.assert_array_equal(grad, np.full(2, 50_001, np.float32))
    del y
    gc.collect()  # taking the chain apart must not recurse either


def test_a_deep_chain_that_was_never_differentiated_can_be_thrown_away():
    y = -leaf(2)
    first = weakref.ref(y.node.pullback)
    for _ in range(50_000):
        y = -y
    assert first() is not None
    del y
    gc.collect()
    assert first() is None


class Kept:
    """Something a pullback holds on to."""


@ag.differentiable
def double_holding(x, *, kept, log):
    def pullback(grad):
        log.append(kept is not None)
        return 2 * grad

    return 2 * x, pullback


def test_pullbacks_are_freed_while_the_walk_proceeds():
    x = leaf(3)
    late, log, alive = Kept(), [], []

    @ag.differentiable
    def early(x):
        def pullback(grad):
            alive.append(late_reference() is not None)
            return grad

        return x + 0, pullback

    late_reference = weakref.ref(late)
    loss = double_holding(early(x), kept=late, log=log).sum()
    del late
    assert late_reference() is not None  # the graph holds it
    ag.gradients(loss, [x])
    assert log == [True]
    assert alive == [False]  # gone before the next pullback ran, though the graph itself still stands
    assert loss.node is not None


def test_second_use_of_a_graph_is_refused():
    x = leaf(3)
    loss = (x * x).sum()
    ag.gradients(loss, [x])
    with pytest.raises(RuntimeError, match="'sum' was used before and freed; run the forward again"):
        ag.gradients(loss, [x])
    with pytest.raises(RuntimeError, match="used before"):
        y = x * x
        ag.gradients(y.sum(), [x])
        ag.gradients((y + 1).sum(), [x])  # a new end on a used beginning


def test_fan_out_adds_up_without_aliasing():
    x = leaf(4)
    y = x + x  # one pullback hands the same array to both inputs
    z = y * y + y + x
    (grad,) = ag.gradients(z.sum(), [x])
    np.testing.assert_allclose(grad, 8 * x.data + 3, rtol=1e-6)


def test_the_simple_walk_finds_the_same():
    x, w, b = leaf(5, 3), leaf(3, 4, seed=1), leaf(4, seed=2)
    y = ag.linear(x, w, b)
    loss = (ag.tanh(y) * y + b * x.sum(axis=1, keepdims=True)).mean()  # fan-out and broadcasting
    simple = ag.simple_gradients(loss, [w, b, x])
    for expected, got in zip(simple, ag.gradients(loss, [w, b, x])):
        np.testing.assert_array_equal(got, expected)


def test_a_wide_fan_out():
    x = leaf(3)
    total = x * 0.0
    for n in range(20):
        total = total + x * float(n)
    (grad,) = ag.gradients(total.sum(), [x])
    np.testing.assert_array_equal(grad, np.full(3, 190, np.float32))


def test_returned_arrays_are_the_callers_own():
    a, b, c = leaf(3), leaf(3, seed=1), leaf(2, 3, seed=2)
    cotangent = np.ones((2, 3), np.float32)
    grads = ag.gradients(a + b + c, [a, b, c, a], cotangent=cotangent)
    direct = ag.gradients(c, [c], cotangent=cotangent)
    summed = ag.gradients((a * 1.0).sum() + b.sum(), [a, b])
    arrays = [*grads, *direct, *summed]
    for n, grad in enumerate(arrays):
        before = [other.copy() for other in arrays]
        grad *= 2  # a read-only broadcast view would raise here
        for m, other in enumerate(arrays):
            np.testing.assert_array_equal(other, before[m] * (2 if m == n else 1))
    np.testing.assert_array_equal(cotangent, 1)


def test_several_outputs_of_which_one_is_unused():
    x = leaf(2, 6)
    first, _, third = ag.split(x, parts=3)
    (grad,) = ag.gradients((first * 2.0).sum() + (third * 3.0).sum(), [x])
    np.testing.assert_array_equal(grad, np.repeat([[2, 0, 3]], 2, axis=1).repeat(2, axis=0)[:, [0, 0, 2, 2, 4, 4]])


def test_a_tuple_of_one_output_gets_a_tuple_back():
    x = leaf(2, 3)
    (only,) = ag.split(x, parts=1)
    (grad,) = ag.gradients((only * 2.0).sum(), [x])
    np.testing.assert_array_equal(grad, np.full((2, 3), 2))


def broken(gradient):
    @ag.differentiable
    def crooked(a, b):
        return a * b, lambda grad: gradient(grad)

    return crooked


@pytest.mark.parametrize(
    "gradient, message",
    [
        (lambda g: (g, g[:1]), r"'crooked' returned shape \(1, 3\).* input 1; the input has \(2, 3\)"),
        (lambda g: (g.T, g), r"'crooked' returned shape \(3, 2\).* input 0"),
        (lambda g: (g.sum(), g), r"'crooked' returned shape \(\).* input 0"),
        (lambda g: (g[0], g), r"'crooked' returned shape \(3,\).* input 0"),
        (lambda g: (g, g.astype(np.float64)), r"'crooked' returned shape .*float64 for input 1; .*float32"),
        (lambda g: (g, None), "'crooked' returned no gradient for input 1"),
        (lambda g: g, "'crooked' returned 1 gradients for 2 inputs"),
        (lambda g: (g, g, g), "'crooked' returned 3 gradients for 2 inputs"),
    ],
)
def test_a_wrong_pullback_is_named(gradient, message):
    a, b = leaf(2, 3), leaf(2, 3)
    with pytest.raises(AssertionError, match=message):
        ag.gradients(broken(gradient)(a, b).sum(), [a, b])


def test_what_was_broadcast_is_summed():
    a, b, c = leaf(2, 1, 3), leaf(4, 1), leaf()
    grads = ag.gradients((a * b * c).sum(), [a, b, c])
    assert [g.shape for g in grads] == [(2, 1, 3), (4, 1), ()]
    np.testing.assert_allclose(grads[1][:, 0], np.full(4, a.data.sum() * c.data), rtol=1e-5)


def test_a_parameter_the_loss_does_not_depend_on_gets_zeros():
    x, unreached = leaf(3), ag.Tensor(np.array([np.nan, np.inf], np.float32), requires_grad=True)
    grads = ag.gradients(x.sum(), [unreached, x])
    np.testing.assert_array_equal(grads[0], np.zeros(2))
    assert grads[0].dtype == np.float32
    np.testing.assert_array_equal(ag.gradients(ag.Tensor(np.float32(1.0)), [x])[0], np.zeros(3))


def test_the_cotangent_weights_the_loss():
    x = leaf(3)
    weights = np.array([1, 2, 3], np.float32)
    np.testing.assert_allclose(ag.gradients(x * x, [x], cotangent=weights)[0], 2 * x.data * weights, rtol=1e-6)


def test_questions_that_make_no_sense_are_refused():
    x = leaf(3)
    with pytest.raises(ValueError, match=r"single number, not shape \(3,\)"):
        ag.gradients(x * 1.0, [x])
    with pytest.raises(ValueError, match=r"cotangent has shape \(2,\)"):
        ag.gradients(x * 1.0, [x], cotangent=np.ones(2, np.float32))
    with pytest.raises(ValueError, match="float64"):
        ag.gradients(x * 1.0, [x], cotangent=np.ones(3))
    with pytest.raises(ValueError, match="not a leaf"):
        ag.gradients(x.sum(), [x * 1.0])
    with pytest.raises(ValueError, match="not a leaf"):
        ag.gradients(x.sum(), [x.detach()])
    with pytest.raises(TypeError, match="detach"):
        ag.Tensor(x)


def test_constants_are_not_recorded():
    x = ag.Tensor(np.ones(3, np.float32))
    assert (x * x).node is None
    assert (leaf(3) * x).node is not None
    assert (leaf(3).detach() * x).node is None


def test_no_grad_nests_and_ends():
    x = leaf(3)
    with ag.no_grad():
        with ag.no_grad():
            assert not ag.is_recording()
        assert not ag.is_recording()
        assert (x * x).node is None
    with pytest.raises(KeyError), ag.no_grad():
        raise KeyError
    assert ag.is_recording()
    assert (x * x).node is not None


def test_no_grad_holds_for_its_own_thread_only():
    x = leaf(3)
    inside, done = threading.Event(), threading.Event()

    def sampler():
        with ag.no_grad():
            inside.set()
            done.wait(10)
            return (x * x).node

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(sampler)
        assert inside.wait(10)
        assert ag.is_recording()
        (grad,) = ag.gradients((x * x).sum(), [x])
        done.set()
        assert other.result() is None
    np.testing.assert_allclose(grad, 2 * x.data)


def test_threads_differentiate_shards_of_a_batch():
    w1, w2 = leaf(8, 16), leaf(16, 4, seed=1)
    data = np.random.default_rng(2).standard_normal((8, 32, 8)).astype(np.float32)

    def shard_gradients(shard):
        hidden = ag.gelu(ag.linear(shard, w1))
        return ag.gradients(ag.square(ag.linear(hidden, w2)).mean(), [w1, w2])

    serial = [shard_gradients(shard) for shard in data]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for expected, got in zip(serial, pool.map(shard_gradients, data)):
                for a, b in zip(expected, got):
                    np.testing.assert_array_equal(a, b)
    whole = shard_gradients(data)
    for n in range(2):
        np.testing.assert_allclose(sum(grads[n] for grads in serial) / len(serial), whole[n], rtol=1e-4, atol=1e-6)


def test_operators_and_methods():
    """Every operator against NumPy, with Tensors, arrays and numbers on either side; float32 stays."""
    x, y = leaf(2, 3), leaf(2, 3, seed=1)
    a, b = x.data, y.data
    table = [
        (x + y, a + b),
        (x + 2, a + 2),
        (2 + x, a + 2),
        (a + y, a + b),
        (x - y, a - b),
        (x - 2, a - 2),
        (2 - x, 2 - a),
        (b - x, b - a),
        (x * y, a * b),
        (x * np.float64(2), a * 2),
        (np.float64(2) * x, a * 2),
        (np.float64(2) + x, a + 2),
        (b * x, a * b),
        (x / y, a / b),
        (x / 2, a / 2),
        (2 / x, 2 / a),
        (b / x, b / a),
        (x**2, a**2),
        (-x, -a),
        (x @ y.transpose(1, 0), a @ b.T),
        (a @ y.transpose(), a @ b.T),
        (x[1, ::2], a[1, ::2]),
        (x.reshape(3, 2), a.reshape(3, 2)),
        (x.reshape((6,)), a.reshape(6)),
        (x.reshape(-1), a.reshape(6)),
        (x.sum(), a.sum()),
        (x.sum(axis=0), a.sum(0)),
        (x.mean(axis=1, keepdims=True), a.mean(1, keepdims=True)),
    ]
    for number, (got, expected) in enumerate(table):
        assert got.dtype == np.float32, number
        np.testing.assert_allclose(got.data, expected, rtol=1e-6, err_msg=str(number))
        grad = sum(abs(g).sum() for g in ag.gradients(got.sum(), [x, y]))
        assert grad > 0, number


def test_a_tensor_says_what_it_is():
    x = leaf(2, 3)
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3), 2, 6, 2)
    assert repr(x * x) == "Tensor(shape=(2, 3), dtype=float32, made by multiply)"
    assert repr(x.detach()) == "Tensor(shape=(2, 3), dtype=float32, made by constant)"
    assert x.sum().item() == pytest.approx(float(x.data.sum()))
