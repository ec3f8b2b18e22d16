"""Ever more compute: as much as is said, measured alike, fitted without the largest, and gone on with after a stop."""

import json
import shutil

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.lab.study import ScalingStudy, run_study, scaling


@pytest.fixture(scope="module")
def quick():
    """Trainings of seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling, "BATCHES", 1)
        patch.setattr(scaling, "SAMPLING_STEPS", 1)
        yield


def small_study(out, **changed):
    return ScalingStudy(out, **{"factors": (1, 2, 3, 4), "steps": 2, "prompts": 2, "digits": "strokes", **changed})


@pytest.fixture(scope="module")
def finished(quick, tmp_path_factory):
    """(study, report)."""
    study = small_study(tmp_path_factory.mktemp("scaling"))
    return study, run_study(study, progress=False, show=lambda line: None)


def test_each_size_has_the_compute_that_it_is_said_to_have(tmp_path):
    study = ScalingStudy(tmp_path, digits="strokes")
    for factor in study.factors:
        assert study.compute(factor) / study.compute(1) == pytest.approx(factor, rel=0.01)
    base, largest = (study.preset(factor) for factor in (1, 32))
    assert (base.transformer.width, base.training.steps) == (64, 800)
    grown = [largest.transformer.width**2 / 64**2, largest.training.steps / 800]  # weights, and clips that are seen
    np.testing.assert_allclose(grown, 32**0.5, rtol=0.15)
    assert {study.preset(factor).autoencoder for factor in study.factors} == {study.usual.autoencoder}


def test_the_largest_has_no_part_in_the_fit(finished):
    _, report = finished
    *fitted, held = report["sizes"]
    assert [size["fitted"] for size in report["sizes"]] == [True, True, True, False]
    logs = [np.log([size["flops"], size["losses"][0]]) for size in fitted]
    slope, constant = np.polyfit(*np.transpose(logs), 1)
    assert report["law"]["exponent"] == pytest.approx(-slope)
    assert held["predicted"]["loss"] == pytest.approx(np.exp(constant) * held["flops"] ** slope)
    assert held["predicted"]["low"] < held["predicted"]["loss"] < held["predicted"]["high"]


def test_the_page_is_whole(finished):
    study, report = finished
    page = (study.out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/gif") == 2 and page.count("data:image/png") == 1 and "https://" not in page
    assert json.loads((study.out / "report.json").read_text())["sizes"] == report["sizes"]
    assert "| 4x (held out) |" in (study.out / "report.md").read_text(encoding="utf-8")
    assert report["real"]["obeys"] == 1
    assert not list(study.out.glob("seed0/*/*.safetensors"))  # checkpoints that nobody needs any more


def test_it_goes_on_after_a_stop_and_comes_to_the_same(finished, quick, tmp_path, monkeypatch):
    whole, report = finished
    folder = shutil.copytree(whole.out, tmp_path / "copy")
    for name in ("3x", "4x"):  # as if it had been stopped before these
        shutil.rmtree(folder / "seed0" / name)
        (folder / f"seed0/{name}.json").unlink()
    study, losses = small_study(folder), ScalingStudy.loss
    monkeypatch.setattr(ScalingStudy, "loss", None)  # the third training stops when it is to be judged
    with pytest.raises(TypeError):
        run_study(study, progress=False, show=None)
    with pytest.raises(InputError, match=r"2 of 4 trainings are missing in .*; run 'minivdit scaling'"):
        run_study(study, report_only=True, show=None)
    monkeypatch.setattr(ScalingStudy, "loss", losses)
    again = run_study(study, progress=False, show=lambda line: None)
    assert [size["losses"] for size in again["sizes"]] == [size["losses"] for size in report["sizes"]]
    with pytest.raises(InputError, match=r"1x\.json was trained with another configuration.*choose another --out"):
        run_study(small_study(folder, steps=3), report_only=True, show=None)


def told(study, losses):
    """The answer of a study that came to these losses."""
    score = dict.fromkeys(scaling.MEASURES, 0.5)
    found = {(f, 0): {"loss": loss, "minutes": 1.0, "scores": score} for f, loss in zip(study.factors, losses)}
    return study.report(found)["answer"]


def test_what_is_said_follows_from_the_losses(tmp_path):
    study = small_study(tmp_path)
    compute = np.array([study.compute(factor) for factor in study.factors])
    rate, checked, ahead, obeys = told(study, 9 * compute**-0.1)
    assert "to the power of -0.100: four times the compute brings it to 0.871" in rate
    assert "off by +0.0%" in checked and checked.endswith("the law is nearer.")
    assert ahead.startswith("At 16x it predicts") and "4x 0.50; real clips 1.00" in obeys
    rate, checked, *_ = told(study, [0.9, 0.7, 0.5, 0.5])  # nothing gained by the last
    assert checked.endswith("the law is no nearer.") and "is off by +0.0%" in checked
    rate, *_ = told(study, [0.5, 0.6, 0.7, 0.8])
    assert "doesn't fall" in rate


@pytest.mark.parametrize("factors", [(), (1, 2, 4), (1, 2, 4, 4), (4, 2, 1, 8), (0, 1, 2, 3)])
def test_factors_that_predict_nothing_are_refused(factors, tmp_path):
    with pytest.raises(InputError, match=r"four or more that rise|must be a whole number from 1"):
        small_study(tmp_path, factors=factors)
