"""The benchmark itself: both sides compute the same, disagreement is noticed, figures are those of the turns."""

import contextlib
import json

import numpy as np
import pytest

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.lab.benchmarks import cpu, sides, workloads
from minivdit.lab.cli import main as cli

REASON = "plain PyTorch is not installed, so there is no rival; pip install 'minivdit[parity]'"
needs_torch = pytest.mark.skipif(not sides.installed("eager"), reason=REASON)
needs_jax = pytest.mark.skipif(not sides.installed("jax"), reason="JAX is not installed; pip install jax")


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
    assert saved["machine"]["kernels"] == machine.blas_kernels()
    assert 0 < saved["startup"] < 60 and saved["batch_seconds"] == {}
    row = next(line for line in shown if line.startswith("train tiny"))
    assert f"{1e3 * timing.median():.1f} (" in row


@needs_torch
@pytest.mark.parametrize("name", ["train tiny", "sample tiny", "attention 256", "autoencoder tiny"])
def test_both_sides_compute_the_same(name):
    ours, theirs = sides.prepare("ours", name, 2), sides.prepare("eager", name, 1)
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


@pytest.mark.parametrize("side", ["numpy", pytest.param("jax", marks=needs_jax)])
@pytest.mark.parametrize("name", ["train tiny", "train 2x64x32x2x2"])  # with an autoencoder and Muon; on latents
def test_a_side_computes_the_same_as_ours_in_a_process_of_its_own(side, name):
    timing = cpu.measure(name, 1, ("ours", side), turns=1, warm_up=1)
    assert timing.difference[side] < cpu.TOLERANCE and timing.seconds[side][0] > 0


def test_a_side_of_ours_is_chosen_by_the_kernels(monkeypatch):
    chosen = []
    monkeypatch.setattr(sides.backend, "use", lambda device, kernels: chosen.append((device, kernels)))
    monkeypatch.setattr(workloads, "ours", lambda name, threads: chosen.append((name, threads)))
    for side, device in (("ours", "cpu"), ("numpy", "cpu"), ("ours", "gpu"), ("cupy", "gpu")):
        sides.prepare(side, "train tiny", 2, device)
    assert chosen[::2] == [("cpu", True), ("cpu", False), ("gpu", True), ("gpu", False)]
    assert chosen[1] == ("train tiny", 2)


def test_what_is_not_installed_is_told_and_what_a_side_does_not_do_is_a_dash(monkeypatch):
    shown, measured = [], []

    def measure(name, threads, chosen, turns):
        measured.append((name, list(chosen)))
        numbers = {side: [2.0, 2.0] if side == "ours" else [4.0, 4.0] for side in chosen}
        return cpu.Timing(name, 100, numbers, dict.fromkeys(chosen, 1), {})

    monkeypatch.setattr(cpu, "measure", measure)
    monkeypatch.setattr(cpu, "startup_seconds", lambda threads, turns: 1.0)
    monkeypatch.setattr(cpu, "installed", lambda side: side != "eager")
    monkeypatch.setattr(machine, "forced_kernels", lambda: "OPENBLAS_CORETYPE=Haswell costs; unset it")
    cpu.bench(["train tiny", "sample tiny"], sides=("ours", "numpy", "eager", "jax"), turns=2, show=shown.append)
    assert measured == [("train tiny", ["ours", "numpy", "jax"]), ("sample tiny", ["ours", "numpy"])]
    assert "torch isn't installed, so nothing is compared with it (pip install 'minivdit[parity]')" in shown
    assert "note: OPENBLAS_CORETYPE=Haswell costs; unset it" in shown
    train, sample = (next(row for row in shown if row.startswith(f"{kind} tiny")) for kind in ("train", "sample"))
    assert train.split()[-3:] == ["0.50", "(0.50-0.50)", "1.00"] and sample.split()[-3:] == ["-"] * 3
    assert "train, the median of 1: ours/numpy 0.50, ours/jax 0.50" in shown
    assert "sample, the median of 1: ours/numpy 0.50" in shown


def test_a_worker_that_fails_says_why():
    worker = cpu.Worker("ours", "train 3x4", 1)
    with (
        contextlib.closing(worker),
        pytest.raises(InputError, match=r"'train 3x4' \(ours\) stopped: .*neither a preset"),
    ):
        worker.begin()


@pytest.mark.parametrize("preset", workloads.PRESETS)
def test_the_captions_of_a_preset_can_be_read(preset):
    """Each preset has a vocabulary of its own."""
    _, batch = workloads.training("train", preset, 1)
    assert len(batch["tokens"]) == len(batch["video"])
