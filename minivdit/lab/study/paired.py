"""Two kinds of trainings compared over seeds: a seed gives both the same first weights and the same batches."""

import numpy as np

from ..evaluation.statistics import CALLED, detectable, holm, student_p, student_t


def paired_test(one, other, step=0.0):
    """Plain figures of the difference one - other of shares, one of each a seed; by Student's t over the seeds.

    step: the smallest difference between two shares, 1 / clips. A few seeds may differ by the same number of clips by
    chance; the variance of rounding to whole clips, step^2 / 12 for each share, says how little that means.
    mean, low, high (95%), n: seeds. p: without correction. detectable: see statistics. None where one seed can't say.
    """
    differences = np.asarray(one, float) - np.asarray(other, float)
    n, mean, low, high, p = len(differences), float(differences.mean()), np.nan, np.nan, np.nan
    if n > 1:
        error = np.sqrt((differences.var(ddof=1) + step**2 / 6) / n)
        half = student_t(n - 1) * error
        low, high = max(-1.0, mean - half), min(1.0, mean + half)
        p = student_p(mean / error, n - 1) if error > 0 else float(mean == 0)
    figures = {"mean": mean, "low": low, "high": high, "p": p, "detectable": detectable(differences)}
    return {name: plain_number(value) for name, value in figures.items()} | {"n": n}


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


def share(value):
    """'0.25', or '-' where there is none."""
    return "-" if value is None else f"{value:.2f}"


def mean_of(numbers):
    """Their mean as a plain number, without those that are None or NaN; None if nothing is left."""
    numbers = np.array([np.nan if number is None else number for number in np.asarray(numbers, object).ravel()], float)
    return plain_number(np.nanmean(numbers) if np.isfinite(numbers).any() else np.nan)


def plain_number(value):
    """A number for JSON: None for what isn't finite."""
    return round(float(value), 6) if np.isfinite(value) else None
