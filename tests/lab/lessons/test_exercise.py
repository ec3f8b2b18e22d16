"""What an exercise says about an answer: right, or what is wrong with it, and never the right answer itself."""

import numpy as np
import pytest

from minivdit.lab.lessons.exercise import CASES, Wrong, agree, agree_all, different, exercise

EXPECTED = np.random.default_rng(0).standard_normal((3, 5))


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (None, "nothing was returned"),
        (..., "nothing was returned"),
        ("text", "not an array of numbers"),
        ([[1, 2], [3]], "not an array of numbers"),
        (EXPECTED.T, "the sizes are right, their order isn't"),
        (EXPECTED[:2], r"shape \(2, 5\), where \(3, 5\) is wanted"),
        (EXPECTED * np.nan, "NaN"),
        (EXPECTED * 0, "all are 0"),
        (EXPECTED[::-1] * 1e-9, "all are nearly 0"),
        (-EXPECTED, "the sign is wrong"),
        (EXPECTED * 2.5, "2.5 times as large"),
        (EXPECTED * 0.99998, "off by little, up to 2e-05"),
        (EXPECTED + 0.1, "off by one and the same amount"),
        (EXPECTED[:, ::-1], "axis 1 is in reverse order"),
        (np.roll(EXPECTED, 1, axis=1), "shifted by one place along axis 1"),
        (np.roll(EXPECTED, -1, axis=0), "shifted by one place along axis 0"),
        (EXPECTED + np.eye(3, 5), "3 of 15 entries differ"),
    ],
)
def test_a_wrong_array_is_told_what_is_wrong(got, words):
    with pytest.raises(Wrong, match=words):
        agree("it", got, EXPECTED)


def test_right_answers_agree_whatever_they_are_made_of():
    agree("it", EXPECTED, EXPECTED)
    agree("it", EXPECTED.tolist(), EXPECTED)
    agree("it", EXPECTED.astype(np.float32), EXPECTED)
    agree("it", 2, 2.0)
    agree("it", EXPECTED > 0, EXPECTED > 0)


def test_no_message_holds_the_right_numbers():
    for got in (EXPECTED.T, -EXPECTED, EXPECTED + np.eye(3, 5)):
        with pytest.raises(Wrong) as told:
            agree("it", got, EXPECTED)
        assert not [number for number in EXPECTED.reshape(-1) if f"{number:.3f}" in str(told.value)]


def test_an_exercise_tries_several_cases_and_never_raises():
    seen = []

    @exercise("double")
    def double(answer, generator):
        x = generator.standard_normal(different(generator, 2))
        seen.append(x.shape)
        agree("the double", answer(x), 2 * x)

    assert double(lambda x: x + x) and repr(double(lambda x: 2 * x)).startswith("Right")
    assert len(set(seen)) > 3 and len(seen) == 2 * CASES
    assert repr(double(lambda x: x)).startswith("Not yet: the double")
    assert not double(lambda x: 1 / 0) and "ZeroDivisionError" in repr(double(lambda x: 1 / 0))
    # Right for some inputs only.
    assert not double(lambda x: 2 * x if x.shape == seen[0] else x)


def test_an_answer_may_change_its_inputs_and_gains_nothing_by_it():
    @exercise("double")
    def double(answer, generator):
        x = generator.standard_normal(different(generator, 2))
        agree("the double", answer([x], {"x": x})[0], 2 * x)

    def in_place(inputs, named):
        inputs[0] *= 2
        named["x"] *= 0
        return inputs

    def spoilt(inputs, named):
        inputs[0] *= 0
        named["x"] *= 0
        return inputs

    assert double(in_place)
    assert not double(spoilt)


@pytest.mark.parametrize("kind", [tuple, list, np.stack])
def test_several_results_may_be_any_sequence(kind):
    agree_all("return two arrays", kind([EXPECTED, -EXPECTED]), {"one": EXPECTED, "the other": -EXPECTED})


@pytest.mark.parametrize("got", ["ab", None, EXPECTED, (EXPECTED,)])
def test_what_is_no_sequence_of_so_many_is_refused(got):
    with pytest.raises(Wrong, match="return two arrays"):
        agree_all("return two arrays", got, {"one": EXPECTED, "the other": EXPECTED})
