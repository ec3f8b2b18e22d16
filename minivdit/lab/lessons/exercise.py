"""How an answer to an exercise is checked: random inputs of odd sizes, and a message that says what is wrong.

    @exercise("sine")
    def ch01_sine(answer, generator):
        x = generator.standard_normal((3, 5))
        agree("the value", answer(x), np.sin(x))

makes `ch01_sine(answer)`, which tries several random inputs and returns a Verdict. "sine" is what the chapter calls the
function that is asked for, so that it is found in a notebook that is graded. A check never raises, so that a
notebook with an exercise still to be done runs to its end. The answer works on copies of the arrays that the case gives
it: changing them in place is neither a mistake nor a way to change what is expected.
"""

import functools
from collections.abc import Sequence

import numpy as np

from ...autograd import Tensor, gradients

EXERCISES = {}  # name: check, chapter by chapter
NEARLY = 1e-3  # of the largest number expected: a deviation that is told as a small one
CASES = 6  # random inputs that an answer must get right


class Wrong(Exception):
    """What is wrong with an answer, in words for the reader; not what would be right."""


class Verdict:
    """True or False, and a sentence."""

    def __init__(self, right, sentence):
        self.right, self.sentence = right, sentence

    def __bool__(self):
        return self.right

    def __repr__(self):
        return ("Right: " if self.right else "Not yet: ") + self.sentence


def exercise(stub):
    """Turn case(answer, generator), which raises Wrong where an answer is, into check(answer) -> Verdict.

    stub: the name of the function that is asked for, kept as the check's `stub`.
    """

    def register(case):
        @functools.wraps(case)
        def check(answer):
            if callable(answer):
                answer = _on_copies(answer)
            for seed in range(CASES):
                try:
                    case(answer, np.random.default_rng(seed))
                except Wrong as wrong:
                    return Verdict(False, str(wrong))
                except Exception as error:  # the answer's own mistake: whatever it raises is told
                    return Verdict(False, f"it stopped with {type(error).__name__}: {error}")
            return Verdict(True, f"{CASES} random cases agree.")

        check.stub = stub
        EXERCISES[case.__name__] = check
        return check

    return register


def _on_copies(answer):
    @functools.wraps(answer, updated=())
    def on_copies(*inputs):
        return answer(*map(_copy, inputs))

    return on_copies


def _copy(thing):
    if isinstance(thing, np.ndarray):
        return thing.copy()
    if type(thing) in (tuple, list):
        return type(thing)(map(_copy, thing))
    return {key: _copy(value) for key, value in thing.items()} if type(thing) is dict else thing


def different(generator, count, low=2, high=9):
    """`count` random sizes, all different, so that no two axes can be confused unnoticed."""
    return [int(size) for size in low + generator.permutation(high - low)[:count]]


def agree(what, got, expected, tolerance=1e-6):
    """Raise Wrong, with a diagnosis, unless the array (or number) `got` is what was expected.

    tolerance: of the largest number expected; where `got` is float32, whose own rounding adds up, at least 1e-5.
    """
    expected = np.asarray(expected)
    got = shaped(what, got, expected.shape)
    if got.dtype == np.float32:
        tolerance = max(tolerance, 1e-5)
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    size = max(1e-12, float(np.abs(expected).max(initial=0)))
    if float(np.abs(got - expected).max(initial=0)) > tolerance * size:
        raise Wrong(f"{what}: right shape, wrong numbers: {_diagnosis(got, expected, tolerance * size)}")


def shaped(what, got, shape):
    """`got` as an array of finite numbers of this shape; Wrong for anything else."""
    if got is None or got is ...:
        raise Wrong(f"{what}: nothing was returned. Is the stub filled in?")
    try:
        got = np.asarray(got)
    except ValueError:
        raise Wrong(f"{what}: not an array of numbers") from None
    if got.dtype.kind not in "biuf":
        raise Wrong(f"{what}: not an array of numbers but of {got.dtype}")
    if got.shape != tuple(shape):
        hint = ": the sizes are right, their order isn't" if sorted(got.shape) == sorted(shape) else ""
        raise Wrong(f"{what}: shape {got.shape}, where {tuple(shape)} is wanted{hint}")
    if not np.isfinite(got).all():
        raise Wrong(f"{what}: there is NaN or infinity in it")
    return got


def agree_all(request, got, expected):
    """`agree` for several results. expected: {what: array}, in the order in which the answer returns them.

    request: what to return, for the reader whose answer isn't a sequence of so many.
    """
    if not isinstance(got, Sequence | np.ndarray) or isinstance(got, str) or len(got) != len(expected):
        raise Wrong(request)
    for one, (what, array) in zip(got, expected.items()):
        agree(what, one, array)


def agree_gradients(got, operation, inputs, grad):
    """`agree_all` for the gradients of an operation's inputs, {name: array}, given that of its output."""
    leaves = [Tensor(array, requires_grad=True) for array in inputs.values()]
    pulled = gradients(operation(*leaves), leaves, grad)
    *first, last = (f"of {name}" for name in inputs)
    expected = {f"the gradient of {name}": array for name, array in zip(inputs, pulled)}
    agree_all(f"return {len(inputs)} gradients: {', '.join(first)} and {last}", got, expected)


def _diagnosis(got, expected, close):
    if not got.any():
        return "all are 0"
    apart = float(np.abs(got - expected).max() / max(1e-12, float(np.abs(expected).max())))
    if apart < NEARLY:
        return f"off by little, up to {apart:.0e} of the largest number, but more than rounding explains"

    def same(other):
        return float(np.abs(got - other).max()) <= 10 * close

    if same(-expected):
        return "the sign is wrong"
    if same(0):
        return "all are nearly 0"
    factor = float(np.vdot(got, expected) / np.vdot(expected, expected)) if expected.any() else 0.0
    if got.size > 1 and same(factor * expected):
        return f"all are {factor:.3g} times as large as they should be"
    if got.size > 1 and same(expected + (got - expected).mean()):
        return "all are off by one and the same amount"
    for axis in range(got.ndim):
        if got.shape[axis] > 1 and same(np.flip(expected, axis)):
            return f"axis {axis} is in reverse order"
        for shift in (1, -1):
            if got.shape[axis] > 2 and _shifted_alike(got, expected, axis, shift, 10 * close):
                return f"they are shifted by one place along axis {axis}"
    wrong = np.abs(got - expected) > close
    return f"{wrong.sum()} of {wrong.size} entries differ, by up to {np.abs(got - expected).max():.2g}"


def _shifted_alike(got, expected, axis, shift, close):
    got, expected = np.moveaxis(got, axis, 0), np.moveaxis(expected, axis, 0)
    a, b = (got[1:], expected[:-1]) if shift > 0 else (got[:-1], expected[1:])
    return float(np.abs(a - b).max()) <= close
