"""Moving MNIST by the published rule, against frames computed by hand."""

import numpy as np

from minivdit.data import DigitSource
from minivdit.lab.display.classic import classic_moving_mnist, classic_trajectory


def test_the_published_rule_by_hand():
    """Straight to the right from x = 0.75: frame 0 is already moved; 1.05 is stopped at 1 and turned; 0.9 follows."""
    path = classic_trajectory([[0.5, 0.75]], [0.0], 5)[0]
    np.testing.assert_allclose(path[:, 1], [0.85, 0.95, 1.0, 0.9, 0.8], atol=1e-12)
    np.testing.assert_allclose(path[:, 0], 0.5, atol=1e-12)
    assert path[2, 1] == 1.0  # clamped exactly, the overshoot is lost


def test_both_coordinates_bounce_on_their_own_at_the_near_walls():
    path = classic_trajectory([[0.08, 0.30]], [np.pi + np.arctan2(3, 4)], 4)[0]  # velocity (-0.06, -0.08)
    np.testing.assert_allclose(path, [[0.02, 0.22], [0.0, 0.14], [0.06, 0.06], [0.12, 0.0]], atol=1e-12)


def test_classic_clips_truncate_to_whole_pixels_and_combine_by_maximum():
    squares = DigitSource("squares", np.full((10, 28, 28), 255, np.uint8), np.arange(10))  # the boxes themselves
    generator, twin = np.random.default_rng(0), np.random.default_rng(0)
    video, labels = classic_moving_mnist(squares, generator, 3)
    assert video.shape == (3, 20, 64, 64, 1) and video.dtype == np.float32 and labels.shape == (3, 2)
    np.testing.assert_array_equal(labels.ravel(), twin.integers(10, size=6))
    squares.draw(twin, labels.ravel())
    path = classic_trajectory(twin.random((6, 2)), twin.random(6) * 2 * np.pi, 20).reshape(3, 2, 20, 2)
    expected = np.zeros((3, 20, 64, 64), np.float32)
    for clip in range(3):
        for digit in range(2):
            for frame in range(20):
                y, x = (int(36 * position) for position in path[clip, digit, frame])
                expected[clip, frame, y : y + 28, x : x + 28] = 1.0
    np.testing.assert_array_equal(video[..., 0], expected)
