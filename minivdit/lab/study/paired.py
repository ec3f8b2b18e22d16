"""Two kinds of trainings compared over seeds: a seed gives both the same first weights and the same batches."""

import numpy as np

from ..evaluation.statistics import CALLED, Estimate, detectable, holm, student_p


def paired_test(one, other):
    """Plain figures of the difference one - other of shares, one of each a seed; by Student's t over the seeds.

    mean, low, high, n: see statistics.Estimate. p: without correction. detectable: see statistics. None where a single
    seed can't say.
    """
    differences = np.asarray(one, float) - np.asarray(other, float)
    estimate = Estimate.over_runs(differences, -1.0, 1.0)
    error = float(differences.std(ddof=1)) / len(differences) ** 0.5 if len(differences) > 1 else np.nan
    p = np.nan
    if error > 0:
        p = student_p(estimate.mean / error, len(differences) - 1)
    elif error == 0:
        p = float(estimate.mean == 0)
    return estimate.plain() | {"p": plain_number(p), "detectable": plain_number(detectable(differences))}


def correct(tests):
    """Give each of these tests its p `corrected` by Holm for all of them, None where it has none."""
    for test, p in zip(tests, holm([np.nan if test["p"] is None else test["p"] for test in tests])):
        test["corrected"] = None if np.isnan(p) else p


def verdict(test):
    """1 where a corrected test calls the first better, -1 where the second, 0 where it calls nothing."""
    if test["corrected"] is None or test["corrected"] >= CALLED:
        return 0
    return 1 if test["mean"] > 0 else -1


def interval(test):
    """'0.10 to 0.30', or 'no interval' of one seed."""
    return "no interval" if test["low"] is None else f"{test['low']:.2f} to {test['high']:.2f}"


def mean_of(numbers):
    """Their mean as a plain number, without those that are None or NaN; None if nothing is left."""
    numbers = np.array([np.nan if number is None else number for number in np.asarray(numbers, object).ravel()], float)
    return plain_number(np.nanmean(numbers) if np.isfinite(numbers).any() else np.nan)


def plain_number(value):
    """A number for JSON: None for what isn't finite."""
    return round(float(value), 6) if np.isfinite(value) else None
