"""Loss curves and the summary picture, from logs as training writes them."""

import json

import imageio.v3 as imageio
import numpy as np
import pytest
from matplotlib.figure import Figure

from minivdit.base.errors import InputError
from minivdit.lab import display
from minivdit.lab.display.curves import running_mean
from minivdit.lab.display.summary import draw_metrics
from minivdit.training import journal


@pytest.fixture
def log(tmp_path):
    lines = [{"step": 0, "settings": {"steps": 50}}]
    for step in range(1, 51):
        levels = [0.9 / step, None if step % 2 else 0.5 / step, 0.2, 0.1]
        lines.append({"step": step, "minutes": step / 10, "loss": 1 / step, "levels": levels})
    path = tmp_path / "quick.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_running_mean_is_the_mean_of_the_last_values():
    values = np.random.default_rng(0).random(30)
    means = running_mean(values, memory=7)
    assert means.shape == (30,)
    for index in (0, 3, 6, 7, 29):
        assert means[index] == pytest.approx(values[max(0, index - 6) : index + 1].mean())


def test_losses_are_drawn_over_minutes_with_every_noise_level(log):
    axes = Figure().subplots()
    display.draw_losses(axes, journal.read_losses(log))
    smooth, raw, *levels = axes.get_lines()
    np.testing.assert_allclose(raw.get_xdata(), np.arange(1, 51) / 10)
    np.testing.assert_allclose(raw.get_ydata(), 1 / np.arange(1, 51))
    assert smooth.get_label() == "loss" and len(levels) == 4
    assert len(levels[0].get_xdata()) == 50 and len(levels[1].get_xdata()) == 25  # an empty bin leaves no point


def test_a_log_without_losses_is_a_one_line_error(tmp_path):
    (tmp_path / "empty.jsonl").write_text('{"step": 0}\n')
    for name in ("empty.jsonl", "absent.jsonl"):
        with pytest.raises(InputError, match="no losses"):
            journal.read_losses(tmp_path / name)


def test_metrics_are_drawn_in_order_with_their_ends():
    axes = Figure().subplots()
    draw_metrics(axes, [("digit", 0.8, 0.99, 0.1), ("direction", 0.7, None, None)])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["direction", "digit"]
    dots = [line.get_xydata().tolist() for line in axes.get_lines() if line.get_marker() == "o"]
    assert dots == [[[0.7, 0.0]], [[0.8, 1.0]]]


@pytest.mark.parametrize("real", [True, False])
def test_the_summary_shows_curve_metrics_and_strips(tmp_path, log, real):
    generated = np.random.default_rng(0).random((5, 6, 16, 16, 1), dtype=np.float32)
    path = tmp_path / "summary.png"
    display.write_summary(
        path,
        losses=journal.read_losses(log),
        metrics=[("digit", 0.8, 0.99, 0.1), ("direction", 0.7, 0.95, 0.12)],
        real=generated[::-1] if real else None,
        generated=generated,
        captions=[f"a {digit} moving up" for digit in range(5)],
        title="quick, 9 minutes",
    )
    with_charts = imageio.imread(path)
    display.write_summary(path, generated=generated, captions=["a 3"] * 5, real=generated if real else None)
    strips_only = imageio.imread(path)
    assert with_charts.shape[0] > strips_only.shape[0] > 200 and with_charts.shape[1] == strips_only.shape[1]
