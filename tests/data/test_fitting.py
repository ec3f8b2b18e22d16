"""Pictures brought to size: as asked, in the middle, with nothing but black added."""

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data.fitting import MODES, to_size


def spot(height, width, channels=1):
    """Two frames, dark but for a bright box in the middle of each quarter."""
    video = np.zeros((2, height, width, channels), np.float32)
    for top in (height // 8, 5 * height // 8):
        for left in (width // 8, 5 * width // 8):
            video[:, top : top + height // 4, left : left + width // 4] = 1
    return video


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(64, 64), (33, 70), (70, 33)])
def test_the_size_is_what_was_asked_for(mode, size):
    for video in (spot(16, 24), spot(33, 16, 3)):
        fitted = to_size(video, size, mode)
        assert fitted.shape == (2, *size, video.shape[-1]) and fitted.dtype == np.float32
        assert fitted.min() >= 0 and fitted.max() <= 1
    np.testing.assert_array_equal(to_size(spot(*size), size, mode), spot(*size))


def test_scaling_shows_all_of_it_on_black():
    fitted = to_size(np.ones((1, 20, 40, 1), np.float32), (32, 32), "scale")[0, ..., 0]
    assert (fitted[8:24] == 1).all() and fitted[:8].max() == fitted[24:].max() == 0
    assert to_size(spot(40, 40), (20, 20), "scale").mean() == pytest.approx(spot(40, 40).mean(), abs=0.02)


def test_cropping_fills_all_of_it():
    video = np.ones((1, 20, 40, 1), np.float32)
    video[:, :, :10] = 0.5  # what stands over
    video[:, :, 30:] = 0.5
    assert to_size(video, (40, 40), "crop")[:, :, 2:-2].min() == 1


def test_padding_changes_no_pixel():
    video = np.random.default_rng(0).random((3, 28, 27, 1), dtype=np.float32)
    fitted = to_size(video, (64, 64), "pad")
    np.testing.assert_array_equal(fitted[:, 18:46, 18:45], video)
    assert fitted.sum() == pytest.approx(video.sum(), rel=1e-5)
    with pytest.raises(
        InputError, match=r"a.png has 28x27 pixels \(height x width\), which don't fit into 64x20; choose --fit scale"
    ):
        to_size(video, (64, 20), "pad", "a.png")
    with pytest.raises(InputError, match="'stretch' is no way to bring a picture to size; choose scale, crop, pad"):
        to_size(video, (64, 64), "stretch")
