"""Intervals and tests against figures from textbooks, and against what chance does."""

import math

import numpy as np
import pytest

from minivdit.lab.evaluation.statistics import (
    Estimate,
    holm,
    mcnemar,
    paired,
    resampled_difference,
    spread,
    student_p,
    student_t,
)


def test_mcnemar_is_the_exact_binomial_test_of_pairs_that_differ():
    assert mcnemar(0, 0) == 1 and mcnemar(4, 4) == 1
    assert mcnemar(0, 6) == mcnemar(6, 0) == pytest.approx(2 / 2**6)
    assert mcnemar(9, 1) == pytest.approx(2 * (1 + 10) / 2**10)
    assert mcnemar(400, 600) < 1e-9


def test_holm_multiplies_the_smallest_by_all_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, math.nan, 0.9])[::2] == [1, 1] and math.isnan(holm([0.5, math.nan, 0.9])[1])
    assert holm([]) == []


def test_few_runs_have_students_interval():
    few = Estimate.over_runs([1.0, 2.0, 3.0])
    half = 4.302653 / 3**0.5  # the table's t of two degrees of freedom, times the standard error
    assert (few.mean, few.low, few.high) == pytest.approx((2, 2 - half, 2 + half), abs=1e-5)
    assert np.isnan(Estimate.over_runs([1.0]).low)


@pytest.mark.parametrize(("degrees", "t"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (10, 2.2281)])
def test_students_t_is_that_of_the_tables(degrees, t):
    assert student_t(degrees) == pytest.approx(t, abs=1e-4)
    assert student_p(t, degrees) == student_p(-t, degrees) == pytest.approx(0.05, abs=1e-5)
    assert student_p(0, degrees) == 1


def test_pairs_of_right_and_wrong():
    one, other = np.array([1.0] * 8 + [0] * 4), np.array([0.0] * 7 + [1] + [1] + [0] * 3)
    found = paired(one, other, np.random.default_rng(0))
    assert found.mean == pytest.approx(0.5) and found.p == mcnemar(7, 1) and found.n == 12
    assert found.low < 0.5 < found.high
    same = paired(one, one, np.random.default_rng(0))
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_pairs_of_numbers_and_of_none():
    generator = np.random.default_rng(1)
    shared = generator.standard_normal(60)
    one, other = shared + 0.3 + 0.2 * generator.random(60), shared.copy()
    one[3] = other[7] = np.nan
    found = paired(one, other, generator)
    assert found.n == 58 and found.p < 0.001 and 0.3 < found.low < found.mean < found.high < 0.5
    assert paired([np.nan], [1.0], generator).n == 0 and np.isnan(paired([np.nan], [1.0], generator).p)


def test_pairs_that_differ_by_chance_are_rarely_told_apart():
    generator = np.random.default_rng(2)
    pairs = generator.integers(0, 3, (2, 60, 40)) / 2  # not only 0 and 1
    found = [paired(one, other, generator) for one, other in zip(*pairs)]
    assert np.mean([f.p < 0.05 for f in found]) <= 0.12
    assert np.mean([f.low <= 0 <= f.high for f in found]) >= 0.88


def test_resampled_figures_are_moved_onto_the_one_that_was_found():
    resampled = np.linspace(10, 20, 101)
    assert spread(3.0, resampled) == pytest.approx((3 - 4.75, 3 + 4.75))
    found = resampled_difference(3.0, resampled, 7)
    assert (found.mean, found.n) == (3.0, 7) and found.p == pytest.approx(0.303, abs=0.01)
    assert resampled_difference(0.0, np.zeros(5), 7).p == 1
