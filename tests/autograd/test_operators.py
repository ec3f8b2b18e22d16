"""What stands beside a Tensor in an expression, and what Python and NumPy may ask of one."""

import numpy as np
import pytest

from minivdit import autograd as ag

ENTRIES = np.array([[-1.5, 0.0, 2.0], [3.0, -0.5, 1.0]], np.float32)


def leaf(entries=ENTRIES):
    return ag.Tensor(np.array(entries, np.float32), requires_grad=True)


OPERATIONS = {
    "+": lambda x, y: x + y,
    "reversed +": lambda x, y: y + x,
    "-": lambda x, y: x - y,
    "reversed -": lambda x, y: y - x,
    "*": lambda x, y: x * y,
    "reversed *": lambda x, y: y * x,
    "/": lambda x, y: x / y,
    "reversed /": lambda x, y: y / (x + 5.0),
    "add": lambda x, y: ag.add(x, y),
    "multiply": lambda x, y: ag.multiply(y, x),
    "subtract": lambda x, y: ag.subtract(x, y),
    "divide": lambda x, y: ag.divide(y, x + 5.0),
}
NUMBERS = {
    "Python's whole": 3,
    "Python's": 2.5,
    "True": True,
    "float64 scalar": np.sqrt(6.25),
    "float16 scalar": np.float16(2.5),
    "int64 scalar": np.int64(3),
    "bool scalar": np.bool_(True),
    "int64": np.array([1, 2, 3]),
    "int64, 0 axes": np.array(2),
    "uint8": np.array([[1], [2]], np.uint8),
    "bool": np.array([True, True, True]),
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_numbers_and_whole_numbers_take_on_the_dtype_of_the_tensor(operation, number):
    x, cast = leaf(), np.asarray(number).astype(np.float32)
    got, expected = operation(x, number), operation(x, cast)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.data, expected.data)
    grads = [ag.gradients(value.sum(), [x])[0] for value in (got, expected)]
    assert grads[0].dtype == np.float32
    np.testing.assert_array_equal(*grads)


OTHERS = [np.ones(3), np.array(2.0), np.ones(3, np.longdouble), np.ones(3, np.float16)]


@pytest.mark.parametrize("other", OTHERS, ids=["3", "0 axes", "long", "half"])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_an_array_of_another_floating_dtype_is_refused_by_the_operation_itself(operation, other):
    told = rf"of float32 and {other.dtype}: .*astype\(np.float32\)"
    for x in (leaf(), leaf().detach()):
        with pytest.raises(TypeError, match=told):
            operation(x, other)
        with pytest.raises(TypeError, match=told), ag.no_grad():
            operation(x * 1.0, other)
    with pytest.raises(TypeError, match=told):
        operation(leaf(), ag.Tensor(other, requires_grad=True))


def test_every_operation_with_several_inputs_does_the_same():
    """Whole targets and rows are cast, wider ones refused, and no pullback is accused."""
    x, whole = leaf(), np.arange(6).reshape(2, 3)
    for operation in (
        lambda y: ag.mean_squared_error(x, y),
        lambda y: (ag.linear(y, x.transpose()) * x[:, :2]).sum(),
        lambda y: (x @ y.T).sum(),
        lambda y: (y @ x.transpose()).sum(),
        lambda y: ag.concatenate(x, y, axis=0).sum(),
    ):
        assert ag.gradients(operation(whole), [x])[0].dtype == np.float32
        with pytest.raises(TypeError, match="float32 and float64"):
            operation(whole.astype(np.float64))
    (grad,) = ag.gradients(ag.cross_entropy(x, np.array([0, 2])), [x])  # labels stay whole numbers
    assert grad.dtype == np.float32
    (grad,) = ag.gradients(ag.embedding(x, np.array([0, 1, 1])).sum(), [x])
    np.testing.assert_array_equal(grad, [[1] * 3, [2] * 3])


def test_constants_of_a_narrower_dtype_do_not_narrow_a_gradient_check():
    x = ag.Tensor(ENTRIES.astype(np.float64), requires_grad=True)
    for constant in (np.ones(3, np.float32), ag.Tensor(np.ones(3, np.float32))):
        assert ag.gradients((x * constant).sum(), [x])[0].dtype == np.float64


@pytest.mark.parametrize("other", [1j, np.ones(3, np.complex64), [1.0, 2.0, 3.0], "3", np.array(["3"]), {}], ids=repr)
def test_what_is_no_real_number_is_refused(other):
    for operation in (OPERATIONS["+"], OPERATIONS["reversed *"], OPERATIONS["/"], ag.subtract):
        with pytest.raises(TypeError):
            operation(leaf(), other)


def test_only_floating_numbers_have_a_gradient():
    with pytest.raises(TypeError, match="not int64; use"):
        ag.Tensor([1, 2, 3], requires_grad=True)
    assert ag.Tensor([1, 2, 3]).dtype == np.int64


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, np.int64(0), 0.0, np.float64(2)])
def test_whole_powers_have_a_slope_everywhere(exponent):
    x = leaf([-2.0, 0.0, 0.5])
    value = x**exponent
    np.testing.assert_allclose(value.data, x.data ** int(exponent), rtol=1e-6)
    slope = 0 * x.data if exponent == 0 else int(exponent) * x.data ** (int(exponent) - 1)
    (grad,) = ag.gradients(value.sum(), [x])
    np.testing.assert_allclose(grad, slope, rtol=1e-6)
    assert grad.dtype == np.float32


def test_comparisons_are_entry_by_entry():
    x, y = leaf(), leaf(ENTRIES[::-1])
    for other, plain in ((y, y.data), (1.0, 1.0), (ENTRIES[0], ENTRIES[0])):
        for got, expected in [
            (x == other, plain == ENTRIES),
            (x != other, plain != ENTRIES),
            (x < other, plain > ENTRIES),
            (x <= other, plain >= ENTRIES),
            (x > other, plain < ENTRIES),
            (x >= other, plain <= ENTRIES),
            (other == x, plain == ENTRIES),
            (other < x, plain < ENTRIES),
        ]:
            assert got.dtype == bool
            np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(ag.gradients((x * (x > 0)).sum(), [x])[0], ENTRIES > 0)


def test_truth_is_that_of_a_single_entry():
    assert not leaf([0.0]) and not ag.Tensor(0.0) and ag.Tensor([[2.0]])
    for x in (leaf(), leaf(np.zeros(0))):
        with pytest.raises(TypeError, match=r"shape .* neither true nor false"):
            bool(x)


def test_entries_one_by_one():
    x = leaf()
    assert len(list(x)) == 2
    _, second = x
    assert ag.gradients((second * second).sum(), [x])[0][1].tolist() == (2 * ENTRIES[1]).tolist()
    assert 3.0 in x and -4.0 not in x
    for ask in (list, len, lambda scalar: [*scalar]):
        with pytest.raises(TypeError):
            ask(ag.Tensor(1.0))


def test_a_tensor_is_itself_as_a_key():
    x, twin = leaf(), leaf()
    found = {x: "x", twin: "twin"}
    assert (found[x], found[twin], len({x, twin, x})) == ("x", "twin", 2)


@pytest.mark.parametrize("make", [np.array, np.asarray, lambda x: np.array([x, x]), lambda x: np.concatenate([x, x])])
def test_numpy_does_not_take_a_tensor_for_an_object(make):
    with pytest.raises(TypeError, match=r"use its \.data"):
        make(leaf())
    with pytest.raises(TypeError, match=r"use its \.data"):
        ag.Tensor([leaf(), leaf()])
