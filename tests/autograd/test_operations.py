"""What must hold for every operation: right gradients, dtype kept, any memory layout, clear refusals."""

import importlib
import pkgutil

import numpy as np
import pytest
from cases import LAYOUTS, is_floating
from operation_table import TABLE

from minivdit import autograd as ag

pytestmark = pytest.mark.usefixtures("twins")

SAMPLES = [
    pytest.param(case, sample, id=f"{case.name}-{number}")
    for case in TABLE
    for number, sample in enumerate(case.samples)
]
REFUSALS = [
    pytest.param(case, refusal, id=f"{case.name}-{number}")
    for case in TABLE
    for number, refusal in enumerate(case.refusals)
]


def as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


def run(case, sample, arrays, generator):
    """Values of the plain function, and the gradients it returns for random cotangents."""
    value, pullback = case.operation.function(*arrays, **sample.options)
    grads = [generator.standard_normal(v.shape).astype(v.dtype) for v in as_tuple(value)]
    for grad in grads:
        grad.flags.writeable = False  # a pullback doesn't own the gradient it is given
    pulled = as_tuple(pullback(tuple(grads) if isinstance(value, tuple) else grads[0]))
    return as_tuple(value), [
        None if grad is None or not is_floating(x) else ag.engine.unbroadcast(np.asarray(grad), x.shape)
        for x, grad in zip(arrays, pulled)
    ]


def test_the_table_covers_every_operation():
    """Every public one of every module, and each can be found in minivdit.autograd."""
    modules = [importlib.import_module(found.name) for found in pkgutil.iter_modules(ag.__path__, "minivdit.autograd.")]
    made = {name for module in modules for name, thing in vars(module).items() if hasattr(thing, "function")}
    operations = {name for name in made if not name.startswith("_")}
    assert operations == {case.name for case in TABLE}
    assert operations == {name for name, thing in vars(ag).items() if hasattr(thing, "function")}


def test_every_operation_is_sampled_and_most_are_refused_something():
    assert all(case.samples for case in TABLE)
    assert len(REFUSALS) > 60


@pytest.mark.parametrize("case, sample", SAMPLES)
def test_gradients(case, sample):
    generator = np.random.default_rng(1)
    inputs = sample.draw(generator)
    ag.gradcheck(case.operation, *inputs, generator=generator, constant=sample.constant, **sample.options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case, sample", SAMPLES)
def test_dtype_is_kept(case, sample, dtype):
    generator = np.random.default_rng(2)
    inputs = sample.draw(generator, dtype)
    values, grads = run(case, sample, inputs, generator)
    assert {v.dtype for v in values} == {np.dtype(dtype)}
    for position, (x, grad) in enumerate(zip(inputs, grads)):
        if is_floating(x) and position not in sample.constant:
            assert (grad.shape, grad.dtype) == (x.shape, np.dtype(dtype))
        else:
            assert grad is None


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case, sample", SAMPLES)
def test_memory_layout_makes_no_difference(case, sample, layout):
    inputs = sample.draw(np.random.default_rng(3))
    plain_values, plain_grads = run(case, sample, inputs, np.random.default_rng(4))
    relaid = [LAYOUTS[layout](x) if is_floating(x) else x for x in inputs]
    before = [np.array(x) for x in relaid]
    for x in relaid:
        if isinstance(x, np.ndarray):
            x.flags.writeable = False  # an operation doesn't own its inputs
    values, grads = run(case, sample, relaid, np.random.default_rng(4))
    for got, expected in zip([*values, *grads], [*plain_values, *plain_grads]):
        if expected is not None:
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
    for x, original in zip(relaid, before):
        np.testing.assert_array_equal(x, original)


@pytest.mark.parametrize("case, sample", SAMPLES)
def test_inputs_and_gradients_that_were_broadcast_in_memory(case, sample):
    """Stride-0 views arrive from broadcast_to and from the pullback of sum; writing to one would be a disaster."""
    inputs = [
        np.broadcast_to(x[:1] if x.ndim else x, x.shape) if is_floating(x) and x.size else x
        for x in sample.draw(np.random.default_rng(5))
    ]
    copies = [np.array(x) if is_floating(x) else x for x in inputs]
    outcomes = []
    for arrays in (inputs, copies):
        value, pullback = case.operation.function(*arrays, **sample.options)
        ones = tuple(np.broadcast_to(v.dtype.type(0.7), v.shape) for v in as_tuple(value))
        pulled = as_tuple(pullback(ones if isinstance(value, tuple) else ones[0]))
        outcomes.append([*as_tuple(value), *(grad for grad in pulled if grad is not None)])
    for got, expected in zip(*outcomes):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case, refusal", REFUSALS)
def test_refusals_say_what_is_wrong(case, refusal):
    with pytest.raises(ValueError, match=f"(?s){refusal.message}"):
        case.operation(*refusal.arguments, **refusal.options)
