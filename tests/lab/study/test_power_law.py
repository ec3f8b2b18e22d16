"""A power law is found where there is one, and its interval holds as many trainings as it says."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.lab.study.power_law import PowerLaw

COMPUTE = 3e12 * np.array([1, 2, 4, 8])


def test_a_law_is_found_and_goes_on():
    law = PowerLaw.fit(COMPUTE, 5 * COMPUTE**-0.07)
    assert (law.scale, law.exponent) == (pytest.approx(5), pytest.approx(0.07)) and law.error < 1e-9
    assert law(32 * COMPUTE[0]) == pytest.approx(5 * (32 * COMPUTE[0]) ** -0.07)
    low, high = law.interval(32 * COMPUTE[0])
    assert low == pytest.approx(high)


def test_the_unit_of_compute_does_not_matter():
    losses = np.array([0.9, 0.7, 0.66, 0.5])
    one, other = PowerLaw.fit(COMPUTE, losses), PowerLaw.fit(COMPUTE / 1e12, losses)
    assert one.exponent == pytest.approx(other.exponent)
    np.testing.assert_allclose(one.interval(9e13), other.interval(90))


def test_the_interval_holds_95_percent_of_trainings_that_were_not_fitted():
    generator, inside, held = np.random.default_rng(0), 0, 32 * COMPUTE[0]
    for _ in range(2000):
        noise = np.exp(0.02 * generator.standard_normal(5))
        law = PowerLaw.fit(COMPUTE, COMPUTE**-0.1 * noise[:4])
        low, high = law.interval(held)
        inside += low <= held**-0.1 * noise[4] <= high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_it_is_wider_further_away_and_unknown_of_two_points():
    law = PowerLaw.fit(COMPUTE, [0.9, 0.7, 0.66, 0.5])
    widths = [np.log(high / low) for low, high in map(law.interval, (1e13, 1e14, 1e15))]
    assert widths == sorted(widths)
    assert np.isnan(PowerLaw.fit(COMPUTE[:2], [0.9, 0.8]).interval(1e14)).all()


@pytest.mark.parametrize(
    ("compute", "losses"), [([1, 1], [1, 2]), ([1, 2], [0, 1]), ([1, 2], [1, np.nan]), ([1, 2, 3], [1, 2]), ([], [])]
)
def test_what_has_no_law_is_refused(compute, losses):
    with pytest.raises(InputError, match="positive losses at two amounts of compute or more"):
        PowerLaw.fit(compute, losses)
