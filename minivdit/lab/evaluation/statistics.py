"""How sure a figure is: intervals of means, and tests of differences between two sets of clips."""

import math
from dataclasses import asdict, dataclass

import numpy as np

RESAMPLES, AT_ONCE = 10_000, 100  # for intervals and tests of means
CALLED = 0.05  # p below which a difference is called one, once it is corrected
NORMAL = 1.959964  # standard deviations to either side of a normal distribution's mean, between which 95% of it lie
INF = math.inf


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval, NaN where there is none. n: clips (or runs) that have a value."""

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def share(cls, values):
        """Of values in [0, 1]: Wilson's score interval, honest near 0 and 1 and cautious for fractions between."""
        return cls._of(values, lambda mean, known: wilson(mean, len(known)))

    @classmethod
    def average(cls, values):
        """Of any values: normal interval; without ends for a single value."""
        return cls._of(values, lambda mean, known: _around(mean, known, NORMAL) if len(known) > 1 else (-INF, INF))

    @classmethod
    def over_runs(cls, values):
        """Of one figure a run, a few runs that differ in their seed: Student's t interval; none for a single run."""

        def interval(mean, known):
            return _around(mean, known, student_t(len(known) - 1)) if len(known) > 1 else (math.nan, math.nan)

        return cls._of(values, interval)

    @classmethod
    def _of(cls, values, interval):
        values = np.asarray(values, float)
        known = values[~np.isnan(values)]
        if not len(known):
            return cls(math.nan, math.nan, math.nan, 0)
        mean = float(known.mean())
        return cls(mean, *interval(mean, known), len(known))

    @classmethod
    def read(cls, figures):
        """The Estimate that `plain` was made of."""
        return cls(**{name: math.nan if value is None else value for name, value in figures.items()})

    def plain(self):
        """For JSON: mean, low, high and n, None for what isn't finite."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}

    def text(self, form=".2f", interval=True):
        """'0.91 ±0.03': the mean, and half the width of its interval if there is one; '' without a mean."""
        half = (self.high - self.low) / 2
        return "" if math.isnan(self.mean) else f"{self.mean:{form}}" + f" ±{half:{form}}" * (interval and half < INF)


def plain_columns(columns):
    """{column: {measure: Estimate}} for JSON."""
    return {column: {name: estimate.plain() for name, estimate in found.items()} for column, found in columns.items()}


def as_table(columns, forms):
    """Lines of text with a row for each measure that is known. columns: {column: {measure: Estimate}}.

    forms: {measure: how its figures are formatted}, in the order of the rows.
    """
    table = [["", *columns]]
    for name, form in forms.items():
        estimates = [found.get(name) for found in columns.values()]
        if any(estimates):
            table.append([name, *((estimate and estimate.text(form)) or "-" for estimate in estimates)])
    widths = [max(map(len, column)) for column in zip(*table)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]


def _around(mean, values, width):
    """(low, high), so many standard errors around the mean of values."""
    half = width * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean - half, mean + half


@dataclass(frozen=True)
class Difference:
    """A mean difference with its 95% interval, and p, the probability of one as large if there is none. n: pairs."""

    mean: float
    low: float
    high: float
    p: float
    n: int


UNKNOWN = Difference(math.nan, math.nan, math.nan, math.nan, 0)


def wilson(mean, n):
    """Wilson's 95% score interval (low, high) of a share that is the mean of n values."""
    z = NORMAL
    middle = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    variance = max(0.0, mean * (1 - mean))  # correlations of 1 may come out a rounding error above it
    half = z / (1 + z**2 / n) * math.sqrt(variance / n + z**2 / (4 * n**2))
    return max(0.0, min(middle - half, mean)), min(1.0, max(middle + half, mean))


def student_t(degrees, beyond=0.05):
    """The point of Student's t distribution beyond which, to either side, lies a share `beyond`: 97.5% for 0.05."""
    low, high = 0.0, 1000.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if student_p(middle, degrees) > beyond else (low, middle)
    return high


def detectable(values):
    """The mean difference that nine in ten studies like this one would call: p below 0.05 by Student's t.

    values: the differences found, one a run; their deviation is taken for the true one. NaN of fewer than two.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        return math.nan
    degrees = len(values) - 1
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return error * (student_t(degrees) + student_t(degrees, 0.2))


def student_p(t, degrees):
    """The probability that Student's t with so many degrees of freedom is further from 0 than t.

    For whole degrees a finite sum in cos^2 of the angle arctan(t / sqrt(degrees)): Abramowitz and Stegun, 26.7.3 and
    26.7.4.
    """
    angle = math.atan(abs(t) / math.sqrt(degrees))
    odd = degrees % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= math.cos(angle) ** 2 * k / (k + 1)
    inside = math.sin(angle) * total
    return 1 - (2 / math.pi * (angle + inside) if odd else inside)


# Two sets of clips of the same captions and noise -------------------------------------------------------------------


def paired(one, other, generator):
    """The Difference one - other of values (B,), one a clip, of two sets of clips that belong together pair by pair.

    Its interval is that of the means of pairs drawn again with replacement. Its p is exact where all values are 0 or 1,
    else from random changes of sign. Clips in which either value is missing (NaN) are left out.
    """
    one, other = np.asarray(one, float), np.asarray(other, float)
    differences = (one - other)[~np.isnan(one - other)]
    n = len(differences)
    if not n:
        return UNKNOWN

    def repeated(mean):
        return np.concatenate([mean((AT_ONCE, n)) for _ in range(RESAMPLES // AT_ONCE)])

    means = repeated(lambda shape: differences[generator.integers(n, size=shape)].mean(1))
    low, high = np.quantile(means, [0.025, 0.975])
    if np.isin(differences, (-1, 0, 1)).all():
        p = mcnemar(int((differences > 0).sum()), int((differences < 0).sum()))
    else:
        flipped = repeated(lambda shape: (generator.choice([-1.0, 1.0], shape) * differences).mean(1))
        as_far = np.abs(flipped) >= abs(differences.mean()) - 1e-12
        p = (1 + as_far.sum()) / (1 + RESAMPLES)  # the signs as they are count too
    return Difference(float(differences.mean()), float(low), float(high), float(p), n)


def resampled_difference(difference, resampled, clips):
    """The Difference of two figures whose difference is known in resampled clips, too: `resampled`, an array.

    Its p is that of a normal distribution as wide as those are.
    """
    width = float(np.std(resampled))
    p = math.erfc(abs(difference) / width / math.sqrt(2)) if width else float(difference == 0)
    return Difference(difference, *spread(difference, resampled), p, clips)


def mcnemar(gained, lost):
    """McNemar's exact test: the probability that of the pairs that differ so many, or more, differ one way.

    gained, lost: pairs in which only the one, or only the other, is right.
    """
    total = gained + lost
    return min(1.0, 2 * sum(math.comb(total, k) for k in range(min(gained, lost) + 1)) / 2**total)


def spread(value, resampled):
    """(low, high): the 95% interval of a figure from values of it in resampled clips, `resampled`, moved onto it.

    Moved, because resampling may make a figure larger as a whole (see frechet.resampled_distances).
    """
    low, high = np.quantile(resampled, [0.025, 0.975]) - np.mean(resampled) + value
    return float(low), float(high)


def p_text(p):
    """A p as text."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def holm(p_values):
    """Holm's correction of several tests' p (1979): as many values, each true for all of the tests together.

    A NaN is no test and stays.
    """
    corrected, largest = [math.nan] * len(p_values), 0.0
    tests = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    for rank, (p, place) in enumerate(tests):
        largest = max(largest, min(1.0, p * (len(tests) - rank)))
        corrected[place] = largest
    return corrected
