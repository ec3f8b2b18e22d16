"""The benchmark itself: both sides compute the same, disagreement is noticed, figures are those of the turns."""

import json

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.lab.benchmarks import cpu, profiler, workloads
from minivdit.lab.cli import main as cli

REASON = "plain PyTorch is not installed, so there is no rival; pip install 'minivdit[parity]'"
needs_torch = pytest.mark.skipif(not cpu.torch_sides(), reason=REASON)


def test_every_workload_of_the_report_has_both_sides():
    assert len(workloads.names()) == len(set(workloads.names())) == 18
    for name in workloads.names():
        assert " ".join(workloads.split_name(name)) == name


@pytest.mark.parametrize("name", ["train", "fly small", "train 3x4", "train 32x65x128x6x4", "sample nothing"])
def test_an_unknown_workload_is_refused_before_anything_runs(name, capsys):
    with pytest.raises(InputError, match=r"is not a workload|is neither a preset nor"):
        cpu.bench([name])
    assert cli.main(["bench", "cpu", "--workload", name]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_figures_of_a_workload_without_a_rival(tmp_path):
    shown, path = [], tmp_path / "figures.json"
    timings = cpu.bench(["train tiny"], threads=1, turns=3, sides=("ours",), out=path, show=shown.append)
    timing = timings["train tiny"]
    assert len(timing.seconds["ours"]) == 3 and min(timing.seconds["ours"]) > 0
    assert timing.flops > 1e6 and timing.memory["ours"] > 0
    saved = json.loads(path.read_text())
    assert saved["workloads"]["train tiny"]["median"]["ours"] == timing.median()
    assert saved["machine"]["threads"] == 1 and saved["machine"]["matrix_products"] > 1e8
    assert 0 < saved["startup"] < 60 and saved["batch_seconds"] == {}
    row = next(line for line in shown if line.startswith("train tiny"))
    assert f"{1e3 * timing.median():.1f} (" in row


@needs_torch
@pytest.mark.parametrize("name", ["train tiny", "sample tiny", "attention 256", "autoencoder tiny"])
def test_both_sides_compute_the_same(name):
    ours, theirs = workloads.ours(name, 2), workloads.theirs(name, 1)
    expected = theirs.results()
    found = ours.results()
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        assert abs(array).max() > 0, key
        assert cpu._distance(found[key], array) < cpu.TOLERANCE, key
    ours.run()
    theirs.run()
    if name.startswith(("train", "auto")):  # both took a step
        after, before = ours.results(), found
        assert any(not np.array_equal(after[key], before[key]) for key in before)
        assert cpu._distance(after["loss"], theirs.results()["loss"]) < cpu.TOLERANCE


@needs_torch
def test_turns_are_taken_in_pairs_and_a_disagreement_is_an_error(monkeypatch):
    timing = cpu.measure("sample tiny", 1, ("ours", "eager"), turns=2, warm_up=1)
    assert timing.ratios("eager").shape == (2,) and timing.difference["eager"] < cpu.TOLERANCE
    np.testing.assert_allclose(timing.ratios("eager")[0], timing.seconds["ours"][0] / timing.seconds["eager"][0])
    monkeypatch.setattr(cpu, "TOLERANCE", 0.0)
    with pytest.raises(InputError, match="don't compute the same: prediction differs by"):
        cpu.measure("sample tiny", 1, ("ours", "eager"), turns=1)


def test_a_worker_that_fails_says_why():
    with pytest.raises(InputError, match=r"'train 3x4' \(ours\) stopped: .*neither a preset"):
        cpu.Worker("ours", "train 3x4", 1)


def test_the_profile_accounts_for_a_step():
    profile = profiler.profile_step("train tiny", warm_up=1)
    rows = profile.rows
    assert rows["attention", "forward"].calls == rows["attention", "backward"].calls > 0
    assert rows["linear", "forward"].bytes > 0 and rows["optimizer", "update"].calls == 1
    text = str(profile)
    assert "normalise_and_modulate" in text and "together" in text
    shares = [float(line.split("%")[0].split()[-1]) for line in text.splitlines()[1:-1]]
    assert sum(shares) == pytest.approx(100, abs=2) and shares == sorted(shares, reverse=True)
