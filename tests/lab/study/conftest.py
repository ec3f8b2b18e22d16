"""A study of the ball that takes seconds, run once."""

import pytest

from minivdit.lab.study import PatternStudy, run_study
from minivdit.lab.study.ball import Ball


class SmallBall(Ball):
    clips = 6


def small_study(out, patterns=("joint", "framewise"), seeds=2, steps=8):
    return PatternStudy([SmallBall()], out, patterns, seeds, steps)


@pytest.fixture(scope="session")
def make_study():
    return small_study


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(study, report)."""
    study = small_study(tmp_path_factory.mktemp("study"))
    return study, run_study(study, progress=False, show=lambda line: None)
