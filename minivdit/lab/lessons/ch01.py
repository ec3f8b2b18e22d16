"""Checks of chapter 1: operations with pullbacks, and a gradient check that can't be fooled."""

import numpy as np

from ... import autograd as ag
from ...autograd import Tensor, gradients, softmax
from .exercise import Wrong, agree, different, exercise


def _operation(answer, reference, inputs, generator):
    """Raise Wrong unless answer(*inputs) is (value, pullback) as those of the reference, for any cotangent."""
    made = answer(*inputs)
    if not isinstance(made, tuple | list) or len(made) != 2 or not callable(made[1]):
        raise Wrong("an operation returns two things: its value, and a function (the pullback)")
    leaves = [Tensor(x, requires_grad=True) for x in inputs]
    output = reference(*leaves)
    agree("the value", made[0], output.data)
    grad = generator.standard_normal(output.shape)
    expected = gradients(output, leaves, grad)
    once, twice = (_pulled(made[1], factor * grad) for factor in (1.0, 2.0))
    if len(once) != len(inputs) or any(pulled is None for pulled in once):
        raise Wrong(f"the pullback returns {len(inputs)} gradients, one for each input")
    for number, (first, second, right) in enumerate(zip(once, twice, expected)):
        name = f"the gradient of input {number}" if len(inputs) > 1 else "the gradient"
        if np.shape(first) == right.shape and not np.allclose(second, 2 * np.asarray(first)):
            fault = "ignores its argument" if np.allclose(second, first) else "doesn't multiply by its argument"
            raise Wrong(f"the pullback {fault}: twice the incoming gradient must give twice the outgoing")
        agree(name, first, right)


def _pulled(pullback, grad):
    """What the pullback makes of `grad`, as a tuple; Wrong if it changes `grad` itself on the way."""
    given = grad.copy()
    pulled = pullback(given)
    if not np.array_equal(given, grad):
        raise Wrong("the pullback changes the array that it is given, and another pullback may get the same array")
    return pulled if isinstance(pulled, tuple | list) else (pulled,)


@exercise("sine")
def ch01_sine(answer, generator):
    x = generator.standard_normal(different(generator, 2))
    made = ag.differentiable(lambda x: (np.sin(x), lambda grad: grad * np.cos(x)))
    _operation(answer, made, [x], generator)


@exercise("matmul")
def ch01_matmul(answer, generator):
    n, k, m = different(generator, 3)
    a, b = generator.standard_normal((n, k)), generator.standard_normal((k, m))
    _operation(answer, ag.matmul, [a, b], generator)


@exercise("rms_norm")
def ch01_rms_norm(answer, generator):
    x = generator.standard_normal(different(generator, 2)) * 3
    _operation(answer, lambda x: x / ag.mean(x * x, axis=-1, keepdims=True) ** 0.5, [x], generator)


@exercise("unbroadcast")
def ch01_unbroadcast(answer, generator):
    full = different(generator, 3)
    kept = generator.integers(0, 2, 3).astype(bool)
    drawn = tuple(size if keep else 1 for size, keep in zip(full, kept))[int(generator.integers(0, 3)) :]
    grad = generator.standard_normal(full)
    for shape in (drawn, (full[0], 1, full[2]), (full[1], 1)):  # also a stretched axis behind one that was not
        # The definition itself: sum over every place that an entry was copied to.
        expected = np.zeros(shape)
        places = np.broadcast_to(np.arange(expected.size).reshape(shape), full)
        np.add.at(expected.reshape(-1), places, grad)
        agree(f"a gradient {grad.shape} summed to shape {shape}", answer(grad, shape), expected)


def _correct(x):
    weights = softmax(x).data
    return weights, lambda grad: weights * (grad - (grad * weights).sum(axis=-1, keepdims=True))


def _zero(x):
    return _correct(x)[0], np.zeros_like


def _forgetful(x):  # forgets that the weights share one sum
    return _correct(x)[0], lambda grad: grad * _correct(x)[0] * (1 - _correct(x)[0])


def _flipped(x):
    return _correct(x)[0], lambda grad: -_correct(x)[1](grad)


def _tanh(x):
    return np.tanh(x), lambda grad: grad * (1 - np.tanh(x) ** 2)


def _tanh_of_a_sum(x):  # the gradient of the sum of the outputs, whatever arrives
    return np.tanh(x), lambda grad: 1 - np.tanh(x) ** 2


RUNS = 5  # of the operation, which a check along one direction doesn't need more of


@exercise("gradient_is_right")
def ch01_gradcheck(answer, generator):
    x = generator.standard_normal(different(generator, 2))

    def verdict_on(operation):
        runs = []

        def counted(x):
            runs.append(1)
            return operation(x)

        verdict = answer(counted, x)
        if len(runs) > RUNS:
            raise Wrong(f"it runs the operation {len(runs)} times for {x.size} entries; {RUNS} runs are enough")
        return verdict

    for operation, kind in ((_correct, "softmax"), (_tanh, "tanh")):
        verdict = verdict_on(operation)
        if verdict is None:
            raise Wrong("nothing was returned: return True for a right gradient, False for a wrong one")
        if not verdict:
            raise Wrong(f"it refuses a {kind} whose gradient is right. How large are the step and the tolerance?")
    for operation, fault in (
        (_zero, "a softmax whose pullback returns zeros"),
        (_tanh_of_a_sum, "a tanh whose pullback ignores the incoming gradient"),
        (_forgetful, "a softmax whose pullback treats every entry alone"),
        (_flipped, "a softmax whose gradient has the wrong sign"),
    ):
        if verdict_on(operation):
            raise Wrong(f"it accepts {fault}")
