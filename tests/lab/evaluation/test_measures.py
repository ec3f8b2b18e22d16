"""The table of measures is whole, and adds up over clips."""

import numpy as np

from minivdit.lab.evaluation import EVALUATED, MEASURES, Estimate
from minivdit.lab.evaluation.controls import CONTROLS
from minivdit.lab.evaluation.measures import ABOUT_COLOURS, PREVIEWED
from minivdit.lab.evaluation.metrics import clip_values


def test_every_name_is_a_measure_and_every_floor_a_control(seen):
    assert {*EVALUATED, *PREVIEWED} <= set(MEASURES)
    assert {measure.floor for measure in MEASURES.values()} <= {"", *CONTROLS}
    distances = {name for name, measure in MEASURES.items() if measure.unit == "distance"}
    assert set(clip_values(*seen["two"])) == set(MEASURES) - distances - {*ABOUT_COLOURS}
    assert all(measure.meaning and measure.name == name for name, measure in MEASURES.items())


def test_a_share_has_another_interval_than_a_number():
    values = np.array([1.0, 1, 1, np.nan, 0])
    assert MEASURES["obeys"].over_clips(values) == Estimate.share(values)
    assert MEASURES["travel"].over_clips(values) == Estimate.average(values)


def test_an_estimate_is_written_and_read():
    estimate = Estimate.share([1.0, 0.0, 1.0])
    assert Estimate.read(estimate.plain()) == estimate
    assert estimate.text() == "0.67 ±0.37" and estimate.text(".1f", interval=False) == "0.7"
    assert Estimate.average([2.0]).text() == "2.00" and Estimate.average([]).text() == ""
    assert Estimate.average([2.0]).plain() == {"mean": 2.0, "low": None, "high": None, "n": 1}
