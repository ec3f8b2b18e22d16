"""Windows in time: they cover every frame, blend to what all agree on, and leave short clips alone."""

import itertools

import numpy as np
import pytest

from minivdit.diffusion import blended, window_starts


@pytest.mark.parametrize("frames", range(1, 40))
@pytest.mark.parametrize(("window", "overlap"), [(8, 4), (8, 1), (8, 7), (6, 2), (2, 1)])
def test_windows_cover_every_frame_and_share_as_many_as_asked(frames, window, overlap):
    starts = window_starts(frames, window, overlap)
    covered = {frame for start in starts for frame in range(start, min(start + window, frames))}
    assert covered == set(range(frames)) and starts[0] == 0
    assert all(0 < later - start <= window - overlap for start, later in itertools.pairwise(starts))
    assert len(starts) == 1 or starts[-1] + window == frames
    assert len(starts) == max(1, -(-(frames - overlap) // (window - overlap)) if frames > window else 1)


def test_a_prediction_that_all_windows_agree_on_is_the_blend():
    x = np.random.default_rng(0).standard_normal((2, 21, 3, 4, 2), dtype=np.float32)
    seen = []

    def predict(part):
        seen.append(part)
        return 3 * x[:, part]

    np.testing.assert_allclose(blended(predict, x, 8, 3), 3 * x, rtol=1e-6)
    assert [part.stop - part.start for part in seen] == [8] * 4 and seen[-1].stop == 21
    assert blended(predict, x, 21, 3).tobytes() == blended(predict, x, 30, 3).tobytes() == (3 * x).tobytes()


def test_the_middle_of_a_window_counts_most_and_the_way_between_is_even():
    x = np.zeros((1, 6, 1, 1, 1), np.float32)
    told = {0: 0.0, 2: 1.0}
    mixed = blended(lambda part: np.full((1, 4, 1, 1, 1), told[part.start], np.float32), x, 4, 2)
    np.testing.assert_allclose(mixed.ravel(), [0, 0, 1 / 3, 2 / 3, 1, 1], atol=1e-6)
