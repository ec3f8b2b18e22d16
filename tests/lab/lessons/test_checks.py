"""Every check takes right answers of any style, and refuses an empty stub and the mistakes that people make."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minivdit.lab.lessons import check
from minivdit.lab.lessons.report import STUBS

CHECKS = {name: thing for name, thing in vars(check).items() if name.startswith("ch") and callable(thing)}


def answers():
    """({exercise: right answers}, {exercise: wrong ones}) of all chapters, from the files in `answers`."""
    right, wrong = {}, {}
    for path in sorted(Path(__file__).parent.glob("answers/ch*.py")):
        spec = importlib.util.spec_from_file_location(f"answers_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        right.update(module.RIGHT)
        wrong.update(module.WRONG)
    return right, wrong


RIGHT, WRONG = answers()


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.filterwarnings("ignore")
def test_right_answers_pass_whatever_their_style(name):
    verdicts = [CHECKS[name](answer) for answer in RIGHT[name]]
    assert not [(number, verdict) for number, verdict in enumerate(verdicts) if not verdict]


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.filterwarnings("ignore")
def test_common_mistakes_are_refused(name):
    accepted = [number for number, mistake in enumerate(WRONG[name]) if CHECKS[name](mistake)]
    assert not accepted


@pytest.mark.parametrize("name", CHECKS)
def test_an_empty_stub_is_refused(name):
    def zeroed(*inputs):
        """Nothing but zeros, in the inputs as well: nobody may compare with those."""
        for array in inputs:
            if isinstance(array, np.ndarray):
                array[...] = 0
        return inputs[0]

    for nothing in (lambda *_: None, lambda *_: 0.0, lambda *inputs: inputs[0], zeroed):
        verdict = CHECKS[name](nothing)
        assert not verdict and repr(verdict).startswith("Not yet: ") and len(repr(verdict)) > 30


def test_there_are_five_answers_of_each_kind_for_every_check():
    assert set(WRONG) == set(RIGHT) == set(CHECKS)
    assert min(map(len, WRONG.values())) >= 5 and min(map(len, RIGHT.values())) >= 5


def test_every_exercise_is_known_to_who_grades():
    known = {exercise for stubs in STUBS.values() for exercise in stubs}
    assert known == set(CHECKS)
