"""Is the checker itself any good? Each pullback is broken in several ways, and gradcheck must notice every time."""

import numpy as np
import pytest
from cases import is_floating
from operation_table import TABLE

from minivdit import autograd as ag
from minivdit.autograd.engine import unbroadcast

pytestmark = pytest.mark.usefixtures("twins")


def zeroed(grads, generator):
    yield "all gradients zero", [np.zeros_like(g) for g in grads]


def changed_one_at_a_time(name, change):
    """A mutation that applies `change(gradient, generator)` (None: doesn't apply) to one gradient only."""

    def mutate(grads, generator):
        for i, grad in enumerate(grads):
            changed = change(grad, generator)
            if changed is not None:
                yield f"{name} (gradient {i})", [changed if j == i else g for j, g in enumerate(grads)]

    return mutate


def swap_square_axes(grad, generator):
    for first in range(grad.ndim):
        for second in range(first + 1, grad.ndim):
            if grad.shape[first] == grad.shape[second] > 1:
                return grad.swapaxes(first, second)
    return None


def one_entry_off(grad, generator):
    changed = grad.copy()
    flat = generator.integers(grad.size)
    changed[np.unravel_index(flat, grad.shape)] += 0.01
    return changed


def exchanged(grads, generator):
    for i in range(len(grads)):
        for j in range(i):
            if grads[i].shape == grads[j].shape:
                yield (
                    f"gradients {j} and {i} exchanged",
                    [grads[j] if n == i else grads[i] if n == j else g for n, g in enumerate(grads)],
                )


MUTATIONS = [
    zeroed,
    exchanged,
    changed_one_at_a_time("dropped", lambda g, _: np.zeros_like(g)),
    changed_one_at_a_time("sign flipped", lambda g, _: -g),
    changed_one_at_a_time("scaled by 1.01", lambda g, _: g * 1.01),
    changed_one_at_a_time("constant added", lambda g, _: g + 0.01),
    changed_one_at_a_time("one entry off", one_entry_off),
    changed_one_at_a_time("last axis reversed", lambda g, _: g[..., ::-1] if g.ndim else None),
    changed_one_at_a_time("first axis reversed", lambda g, _: g[::-1] if g.ndim else None),
    changed_one_at_a_time("last axis rolled", lambda g, _: np.roll(g, 1, axis=-1) if g.ndim else None),
    changed_one_at_a_time("axes swapped", swap_square_axes),
    changed_one_at_a_time("mean removed", lambda g, _: g - g.mean()),
]


def mutants(operation, inputs, constant, options, generator):
    """Yield (what is broken, operation with that broken pullback). Mutants that change nothing are left out."""
    checked = [i for i, x in enumerate(inputs) if is_floating(x) and x.size and i not in constant]

    def true_gradients(pullback, grad):
        pulled = pullback(grad)
        pulled = list(pulled) if isinstance(pulled, tuple) else [pulled]
        for i in checked:  # broken after the sum over broadcast axes, or that sum could undo the damage
            pulled[i] = unbroadcast(np.array(pulled[i]), inputs[i].shape)
        return pulled

    value, pullback = operation.function(*inputs, **options)
    several = isinstance(value, tuple)
    probe = tuple(generator.standard_normal(v.shape) for v in (value if several else (value,)))
    reference = true_gradients(pullback, probe if several else probe[0])
    values = {}  # by the inputs: the check moves those of all mutants alike, and only their pullbacks differ
    for mutate in MUTATIONS:
        seed = int(generator.integers(2**31))
        candidates = list(mutate([reference[i] for i in checked], np.random.default_rng(seed)))
        for number, (name, broken) in enumerate(candidates):
            if all(np.allclose(b, reference[i], rtol=1e-4, atol=1e-4) for i, b in zip(checked, broken)):
                continue  # a reversed axis of size 1, say

            def function(*arrays, mutate=mutate, seed=seed, number=number, **options):
                moved = tuple(x.tobytes() if isinstance(x, np.ndarray) else x for x in arrays)
                if moved not in values:
                    values[moved] = operation.function(*arrays, **options)[0]

                def broken_pullback(grad):
                    pulled = true_gradients(operation.function(*arrays, **options)[1], grad)
                    outcome = list(mutate([pulled[i] for i in checked], np.random.default_rng(seed)))[number][1]
                    for i, b in zip(checked, outcome):
                        pulled[i] = b
                    return tuple(pulled)

                return values[moved], broken_pullback

            yield name, ag.differentiable(function, as_is=operation.as_is)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_every_mutant_is_caught(case):
    generator = np.random.default_rng(5)
    caught, survivors = 0, []
    for number, sample in enumerate(case.samples):
        inputs = sample.draw(generator)
        if sum(x.size for x in inputs if is_floating(x)) > 500:
            continue
        for name, mutant in mutants(case.operation, inputs, sample.constant, sample.options, generator):
            try:
                ag.gradcheck(mutant, *inputs, constant=sample.constant, max_entries=5, **sample.options)
            except AssertionError as error:
                assert "is wrong: input" in str(error)
                caught += 1
            else:
                survivors.append(f"sample {number}: {name}")
    assert not survivors
    assert caught >= 12


@ag.differentiable
def softmax_without_gradient(x):
    value, _ = ag.softmax.function(x)
    return value, lambda grad: np.zeros_like(grad)


def test_the_all_ones_trap():
    """Summing the output is a bad gradient check: softmax rows sum to 1, so its gradient is 0 and zeros look right."""
    x = np.random.default_rng(0).standard_normal((4, 6))
    step = 1e-5

    def summed(x):
        return ag.softmax.function(x)[0].sum()

    leaf = ag.Tensor(x, requires_grad=True)
    (naive,) = ag.gradients(softmax_without_gradient(leaf).sum(), [leaf])
    for index in np.ndindex(*x.shape):
        nudge = np.zeros_like(x)
        nudge[index] = step
        assert abs((summed(x + nudge) - summed(x - nudge)) / (2 * step) - naive[index]) < 1e-9  # it passes!
    with pytest.raises(AssertionError, match="'softmax_without_gradient' is wrong"):
        ag.gradcheck(softmax_without_gradient, x)
    assert ag.gradcheck(ag.softmax, x) <= 1


def breaking(index, by):
    """Multiplication by 3 whose gradient is off at one entry."""

    @ag.differentiable
    def triple(x):
        def pullback(grad):
            result = 3 * grad
            result[index] += by
            return result

        return 3 * x, pullback

    return triple


def test_the_worst_entry_is_named():
    x = np.random.default_rng(0).standard_normal((3, 4))
    with pytest.raises(AssertionError, match=r"'triple' is wrong: input 0, entry \(1, 2\): expected .*, got "):
        ag.gradcheck(breaking((1, 2), 1e-3), x)


def test_the_worst_entry_is_found_in_a_large_array():
    x = np.random.default_rng(0).standard_normal((40, 50))  # far more entries than are looked at one by one
    with pytest.raises(AssertionError, match=r"entry \(31, 17\)"):
        ag.gradcheck(breaking((31, 17), 1e-2), x, max_entries=10)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite_are_wrong(bad):
    with pytest.raises(AssertionError, match=r"entry \(0,\).*got (nan|inf)"):
        ag.gradcheck(breaking((0,), bad), np.ones(3))


def test_the_input_is_named_and_float32_is_checked_in_float64():
    @ag.differentiable
    def lopsided(a, b):
        return a * b, lambda grad: (grad * b, grad * a * 1.001)

    with pytest.raises(AssertionError, match="input 1, entry"):
        ag.gradcheck(lopsided, np.ones(3, np.float32), np.ones(3, np.float32))


def test_every_output_counts():
    @ag.differentiable
    def halves(x):
        def pullback(grads):
            return np.concatenate([grads[0], 0 * grads[1]])

        return (x[:2] * 1.0, x[2:] * 1.0), pullback

    with pytest.raises(AssertionError, match=r"entry \([23],\)"):
        ag.gradcheck(halves, np.ones(4))


def test_whole_expressions_can_be_checked():
    g = np.random.default_rng(0)
    shapes = (2, 3), (3, 4), (4,)
    worst = ag.gradcheck(lambda x, w, b: ag.gelu(ag.linear(x, w, b)).mean(), *(g.standard_normal(s) for s in shapes))
    assert 0 < worst <= 1
