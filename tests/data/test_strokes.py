"""The built-in digits: repeatable, laid out as in MNIST, varied, and legible."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import digit_source
from minivdit.data import strokes as strokes_module
from minivdit.data.strokes import stroke_digits


def test_equal_generators_draw_equal_digits_and_others_do_not():
    labels = np.arange(300) % 10  # more than one internal batch
    first, second, other = (stroke_digits(np.random.default_rng(seed), labels) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32 and first.shape == (300, 28, 28)
    assert (np.abs(first - other).max(axis=(1, 2)) > 0.5).all()


def test_ink_is_between_0_and_1_and_inside_the_central_box():
    images = stroke_digits(np.random.default_rng(0), np.arange(1000) % 10)
    assert images.min() == 0.0 and images.max() == 1.0
    assert (images.max(axis=(1, 2)) > 0.95).all()
    rows, columns = np.nonzero(images.max(axis=0) > 0.5)
    assert min(rows.min(), columns.min()) >= 1 and max(rows.max(), columns.max()) <= 27
    assert images[:, [0, -1]].mean() < 1e-3 and images[:, :, [0, -1]].mean() < 1e-3  # nothing is cut off
    height = (images.max(axis=2) > 0.5).sum(axis=1)
    width = (images.max(axis=1) > 0.5).sum(axis=1)
    longer = np.maximum(height, width)
    assert longer.min() >= 16 and longer.max() <= 22  # MNIST: 20 by construction
    ink = images.sum(axis=(1, 2))
    grid = np.arange(28)
    assert np.abs((images.sum(axis=2) @ grid) / ink - 14).max() < 1.0  # centre of mass, as in MNIST
    assert 60 < ink.mean() < 140  # MNIST: 102


def test_a_size_resamples_the_same_shapes():
    labels = np.arange(50) % 10
    large = stroke_digits(np.random.default_rng(1), labels, size=56)
    small = stroke_digits(np.random.default_rng(1), labels, size=28)
    halved = large.reshape(50, 28, 2, 28, 2).mean(axis=(2, 4))
    assert np.abs(halved - small).mean() < 0.02
    assert stroke_digits(np.random.default_rng(1), labels, size=13).shape == (50, 13, 13)


def test_a_drawn_line_has_the_thickness_that_was_asked_for():
    xy = np.stack([np.full(71, 14.5), np.linspace(4, 24, 71)], axis=-1)[None].astype(np.float32)
    ink = np.full((1, 71), 20 / 70, np.float32)
    for radius in (0.8, 1.3, 2.0):
        image = strokes_module._draw(xy, ink, np.array([radius], np.float32), 28)[0]
        assert image[14].sum() == pytest.approx(2 * radius, abs=0.12)
        assert image[:, 14].sum() == pytest.approx(20 + 2 * radius, abs=1.8)  # ends taper


def test_strokes_that_meet_keep_meeting():
    """A shared control point is one point, so shaking it can't tear the strokes of a 7 apart."""
    control, follow, pen = strokes_module._glyph_table()
    seven = 7 * strokes_module.VARIANTS
    path = follow[seven] @ (control[seven] + np.random.default_rng(0).normal(0, 0.1, control[seven].shape))
    (lift,) = np.flatnonzero(pen[seven] == 0)
    np.testing.assert_allclose(path[lift], path[lift + 1], atol=1e-6)


def test_they_are_legible_to_the_nearest_neighbour_and_unlike_each_other():
    train, test = digit_source("strokes", "train"), digit_source("strokes", "test")
    known = train.images[::5].reshape(-1, 784) / np.float32(255)
    asked = test.images[::8].reshape(-1, 784) / np.float32(255)
    distance = (known**2).sum(axis=1) - 2 * asked @ known.T + (asked**2).sum(axis=1)[:, None]
    assert (train.labels[::5][distance.argmin(axis=1)] == test.labels[::8]).mean() > 0.98
    assert distance.min() > 0.05  # no test digit is a copy of a training digit


@pytest.mark.parametrize("labels", [[3, 10], [-1], [[1, 2]]])
def test_bad_labels_are_refused(labels):
    with pytest.raises(InputError, match="integers 0 to 9"):
        stroke_digits(np.random.default_rng(0), labels)


def test_a_size_too_small_to_read_is_refused():
    with pytest.raises(InputError, match="at least 8"):
        stroke_digits(np.random.default_rng(0), [1], size=7)
