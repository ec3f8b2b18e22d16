"""The shipped judge reads digits; training learns; weights survive the round trip."""

from pathlib import Path

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.base.files import load_tensors
from minivdit.data import digit_source
from minivdit.lab.evaluation.judge import NONE, WEIGHTS, DigitJudge, accuracy, load_judge
from minivdit.lab.evaluation.pairwise import parts, read_evaluation
from minivdit.lab.evaluation.train_judge import disturb, draw, main, train_judge
from minivdit.nn import fingerprint


def test_the_shipped_judge_reads_strokes(strokes):
    assert accuracy(load_judge(), strokes.images[::2], strokes.labels[::2]) > 0.99


def test_the_shipped_judge_reads_mnist():
    if digit_source("auto", "test").name != "mnist":
        pytest.skip("MNIST is not at hand; set MINIVDIT_DATA to the folder that holds it")
    source = digit_source("mnist", "test")
    assert accuracy(load_judge(), source.images, source.labels) >= 0.99


def test_it_reads_small_and_disturbed_digits(strokes):
    generator = np.random.default_rng(0)
    labels = generator.integers(10, size=600)
    for size in (16, 28):
        windows = disturb(strokes.draw(generator, labels, size), generator)
        assert windows.shape == (600, 28, 28) and windows.dtype == np.float32
        assert windows.min() >= 0 and windows.max() <= 1
        assert accuracy(load_judge(), windows, labels) > 0.97


def test_what_is_no_digit_is_read_as_none(strokes):
    generator = np.random.default_rng(0)
    nothing = np.full(300, NONE)
    windows = disturb(draw(generator, [strokes], nothing, 28), generator)
    assert accuracy(load_judge(), windows, nothing) > 0.93
    bars = np.zeros((3, 28, 28), np.float32)
    for bar, thick in zip(bars, (4, 5, 6)):
        bar[5:23, 14 - thick // 2 : 14 - thick // 2 + thick] = 1
    assert (load_judge().read(bars)[0].argmax(-1) == NONE).all()


def test_shipped_weights_are_small_and_say_where_they_come_from():
    assert WEIGHTS.stat().st_size < 500_000
    tensors, metadata = load_tensors(WEIGHTS)
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float16)}
    assert metadata["command"].startswith("python -m minivdit.lab.evaluation.train_judge")
    reached = metadata["test_accuracy"]
    assert reached["mnist"] >= 0.985 and reached["strokes"] >= 0.99 and reached["none"] >= 0.95
    evaluations = list((Path(__file__).parents[3] / "examples" / "results").glob("*/evaluation*.json"))
    judges = {part["settings"]["judge"] for file in evaluations for part in parts(read_evaluation(file)).values()}
    assert judges == {fingerprint(load_judge())}  # the evaluations that are shipped are this judge's


def test_reading_does_not_depend_on_the_batch(strokes):
    judge = load_judge()
    windows = strokes.images[:300].astype(np.float32).reshape(3, 100, 28, 28) / 255
    logs, features = judge.read(windows)
    assert logs.shape == (3, 100, 11) and features.shape == (3, 100, 64)
    np.testing.assert_allclose(np.exp(logs).sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(judge.read(windows[2, 7])[0], logs[2, 7], atol=1e-4)


def test_training_learns_and_repeats(strokes):
    judge = train_judge([strokes], 100, 64, progress=False)
    assert accuracy(judge, strokes.images[::8], strokes.labels[::8]) > 0.85
    untrained = DigitJudge(np.random.default_rng(0))
    assert accuracy(untrained, strokes.images[::8], strokes.labels[::8]) < 0.4
    again = [train_judge([strokes], 3, 16, seed=7, progress=False).state_dict() for _ in range(2)]
    assert all((again[0][name] == again[1][name]).all() for name in again[0])


def test_without_mnist_training_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path))
    monkeypatch.setattr("minivdit.data.mnist.MIRRORS", ())
    with pytest.raises(InputError, match="MINIVDIT_DATA"):
        main(["--steps", "1", "--output", str(tmp_path / "judge.safetensors")])
    assert not (tmp_path / "judge.safetensors").exists()
