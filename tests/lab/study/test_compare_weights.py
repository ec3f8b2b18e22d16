"""Weights beside each other: drawn alike, judged alike, on one page; what isn't alike is refused."""

import dataclasses
import json

import numpy as np
import pytest

from minivdit.base import config
from minivdit.base.errors import InputError
from minivdit.data import mnist
from minivdit.lab.pipeline.train import assemble
from minivdit.lab.study import compare_page as page
from minivdit.lab.study import compare_weights
from minivdit.lab.study.compare import kinds_of, load_alike
from minivdit.models import Autoencoder, VideoDiT
from minivdit.models.schemes import SCHEMES
from minivdit.training import presets
from minivdit.training.stages import tokenizer_of


def untrained(pattern, autoencoder=0, **data):
    """A TextToVideo of this pattern that can draw, if nothing good."""
    preset = presets.override(presets.get("tiny"), ["sampling.steps=2", "data.digits=strokes"])
    preset = dataclasses.replace(
        preset,
        data=dataclasses.replace(preset.data, **data),
        transformer=dataclasses.replace(preset.transformer, patterns=SCHEMES[pattern]),
    )
    tokenizer = tokenizer_of(preset)
    transformer = VideoDiT(preset.transformer, len(tokenizer), np.random.default_rng(0))
    coder = Autoencoder(preset.autoencoder, np.random.default_rng(autoencoder))
    return assemble(preset, transformer, coder, tokenizer, {"preset": config.plain(preset), "steps": 0})


@pytest.fixture(scope="module")
def two():
    return [untrained(name, num_digits=(1, 2)) for name in ("joint", "framewise")]


@pytest.fixture(scope="module")
def compared(two, tmp_path_factory):
    """(folder, report, what was told) of a comparison."""
    out, told = tmp_path_factory.mktemp("compare"), []
    return out, compare_weights(two, out, prompts=3, show=told.append), told


def test_one_page_says_it_all_and_leads_to_the_explorer(compared):
    out, report, told = compared
    written = (out / "report.html").read_text(encoding="utf-8")
    assert 'href="explorer.html"' in written and (out / "explorer.html").stat().st_size > 10_000
    assert written.count("data:image/gif") == 6  # two captions of each of three kinds
    for sentence in page.answer(report):
        assert sentence in told and page.html.escape(sentence) in written
    assert json.loads((out / "report.json").read_text()) == report
    assert list(report["kinds"]) == ["one digit", "one digit, fast", "two digits"]
    assert all(list(kind) == ["joint", "framewise"] for kind in report["kinds"].values())
    assert not [line for line in written.splitlines() if "http://" in line or "https://" in line]  # needs no network


def test_all_weights_are_asked_the_same_and_clips_are_kept(compared, two, monkeypatch):
    out, report, _ = compared
    for kind in report["kinds"].values():
        one, other = (part["settings"]["captions"] for part in kind.values())
        assert one == other and len(one) == 3
    assert all("quickly" in caption for caption in report["kinds"]["one digit, fast"]["joint"]["settings"]["captions"])
    monkeypatch.setattr("minivdit.lab.evaluation.kept_clips.draw_in_batches", None)  # nothing is drawn again
    assert compare_weights(two, out, prompts=3, show=lambda line: None)["kinds"] == report["kinds"]


def test_a_difference_is_told_only_if_it_is_shown(compared):
    _, report, _ = compared
    assert page.answer(report)
    *shares, last = page.answer(report)
    assert len(shares) == 3 and "no difference is shown" in last
    test = next(test for test in report["tests"] if test["metric"] == "one_class")
    shown = {**test, "corrected": 0.01, "difference": {**test["difference"], "mean": 0.5}}
    *_, last = page.answer({**report, "tests": [shown]})
    assert (
        last == "joint minus framewise, shown clip by clip: digits read as one class in every frame (one digit): +0.50."
    )


def test_kinds_are_those_that_weights_know():
    assert list(kinds_of(untrained("joint"))) == ["one digit", "one digit, fast"]
    assert kinds_of(untrained("joint", num_digits=(2,))) == {"two digits": (2, None)}
    assert list(kinds_of(untrained("joint", speeds=("slow",), num_digits=(1, 2)))) == ["one digit", "two digits"]


def test_labels_are_patterns_and_differ():
    models = [untrained("joint"), untrained("joint"), untrained("perframe")]
    assert list(load_alike(models)) == ["joint", "joint 2", "perframe"]


def test_weights_that_differ_in_more_than_their_pattern_are_refused(two, tmp_path):
    with pytest.raises(InputError, match="two weights or more; give --weights again"):
        compare_weights(two[:1], tmp_path, show=None)
    with pytest.raises(
        InputError, match=r"weights of the autoencoder is .*, here .*; give weights that differ in their"
    ):
        compare_weights([two[0], untrained("framewise", autoencoder=1, num_digits=(1, 2))], tmp_path, show=None)
    with pytest.raises(InputError, match=r"data\.num_digits"):
        compare_weights([two[0], untrained("framewise")], tmp_path, show=None)
    bare = untrained("framewise")
    bare.notes.clear()
    with pytest.raises(InputError, match="doesn't say what it was trained with"):
        compare_weights([two[0], bare], tmp_path, show=None)
    assert not list(tmp_path.iterdir())


def test_weights_trained_on_mnist_are_compared_with_other_digits_where_it_is_not_there(tmp_path, monkeypatch):
    models = [untrained(name, digits="mnist", speeds=("slow",)) for name in ("joint", "framewise")]
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path / "no-mnist"))
    monkeypatch.setattr(mnist, "MIRRORS", ())
    with pytest.raises(InputError, match=r"--digits strokes$"):
        compare_weights(models, tmp_path / "out", prompts=2, show=lambda line: None)
    report = compare_weights(models, tmp_path / "out", prompts=2, digits="strokes", show=lambda line: None)
    assert report["kinds"]["one digit"]["joint"]["settings"]["digits"] == "strokes"
