"""Seams and drift, on clips of which the answer is known."""

import numpy as np

from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.evaluation import drift, seam


def test_the_seam_of_a_circle_is_a_step_and_of_a_line_is_not():
    turning = np.stack([np.roll(np.eye(8, dtype=np.float32), shift, axis=1) for shift in range(8)])[None, ..., None]
    jump, step = seam(turning)
    np.testing.assert_allclose(jump, step)
    jump, step = seam(np.linspace(0, 1, 6, dtype=np.float32).reshape(1, 6, 1, 1, 1))
    np.testing.assert_allclose([jump, step], [[1.0], [0.2]], atol=1e-6)


def test_drift_is_none_until_the_digit_becomes_another():
    maker = CaptionedClips(digit_source("strokes", "test"), (64, 64), 16, 28, synonyms=False)
    three, eight = (maker.render(np.random.default_rng(0), [[DigitMotion(d, "right", "slow")]]).video for d in (3, 8))
    clip = np.concatenate([three[:, :12], eight[:, 12:]], axis=1)
    values = drift(clip, 28, 1, 4)
    assert values["one_class"].tolist() == [[1, 1, 1, 0]] and values["look"].shape == (1, 4)
    assert values["look"][0, 2] > 0.9 > values["look"][0, 3] + 0.1
    assert not drift(np.zeros((1, 8, 64, 64, 1), np.float32), 28, 1, 4)["one_class"].any()  # nothing there
