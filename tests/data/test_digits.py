"""Sources of digits: the right class, any size, kept apart by split."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import DigitSource, digit_source
from minivdit.data.digits import resize


def coded_source():
    """Thirty flat images whose grey value is 10 * label + instance."""
    labels = np.tile(np.arange(10), 3).astype(np.uint8)
    grey = 10 * labels + np.repeat(np.arange(3), 10)
    return DigitSource("coded", np.broadcast_to(grey[:, None, None], (30, 28, 28)).astype(np.uint8), labels)


def test_draw_gives_a_random_instance_of_the_asked_class():
    wanted = np.arange(500) % 10
    grey = np.rint(coded_source().draw(np.random.default_rng(0), wanted)[:, 0, 0] * 255).astype(int)
    np.testing.assert_array_equal(grey // 10, wanted)
    assert np.bincount(grey % 10, minlength=3).min() > 120  # every instance about a third of the time
    again = coded_source().draw(np.random.default_rng(0), wanted)[:, 0, 0]
    np.testing.assert_array_equal(np.rint(again * 255), grey)


def test_draw_is_float32_in_0_1_at_any_size():
    source = digit_source("strokes", "test")
    for size in (8, 16, 28, 40):
        digits = source.draw(np.random.default_rng(1), [3, 3, 9], size)
        assert digits.shape == (3, size, size) and digits.dtype == np.float32
        assert digits.min() == 0.0 and 0.5 < digits.max() <= 1.0
        assert digits.mean() == pytest.approx(source.draw(np.random.default_rng(1), [3, 3, 9]).mean(), abs=0.004)


def test_shrinking_averages_areas():
    image = np.zeros((1, 6, 6), np.uint8)
    image[0, 2, 2] = 180
    np.testing.assert_array_equal(resize(image, 3)[0], [[0, 0, 0], [0, 45, 0], [0, 0, 0]])
    # 6 -> 4: each new pixel covers 1.5 old ones, and old pixel 2 lies in the new pixel 1 alone.
    quarter = resize(image, 4)[0].astype(int)
    assert quarter[1, 1] == 180 / 1.5**2 and quarter.sum() == 180 / 1.5**2
    image[0, 1, 1] = 180  # pixel 1 is shared by the new pixels 0 and 1, a third of each
    assert resize(image, 4)[0, 0, 0] == 20


def test_growing_is_linear_and_keeps_constants():
    ramp = np.broadcast_to(np.arange(0, 160, 40, dtype=np.uint8), (1, 4, 4))
    np.testing.assert_array_equal(resize(ramp, 8)[0, 3], [0, 10, 30, 50, 70, 90, 110, 120])
    assert (resize(np.full((1, 5, 5), 200, np.uint8), 11) == 200).all()


def test_a_pool_is_resized_once_and_sources_are_kept():
    source = digit_source("strokes", "test")
    assert source.pool(16) is source.pool(16)
    assert digit_source("strokes", "test") is source
    assert digit_source("strokes", "train") is not source


def test_wrong_names_splits_and_pools_are_refused():
    with pytest.raises(InputError, match="auto, mnist or strokes"):
        digit_source("letters")
    with pytest.raises(InputError, match="train or test"):
        digit_source("strokes", "validation")
    with pytest.raises(InputError, match="all ten classes"):
        DigitSource("few", np.zeros((2, 28, 28), np.uint8), np.array([0, 1]))
    with pytest.raises(InputError, match="2 images but 3 labels"):
        DigitSource("odd", np.zeros((2, 28, 28), np.uint8), np.array([0, 1, 2]))
