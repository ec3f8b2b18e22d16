"""Seams and drift, on clips of which the answer is known."""

import numpy as np

from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.lab.evaluation import drift, kept_place, parts_obeyed, seam


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
    assert values["one_class"].tolist() == [[1, 1, 1, 0]] and values["likeness"].shape == (1, 4)
    assert values["number"].tolist() == [[1, 1, 1, 1]] and drift(clip, 28, 2, 4)["number"].tolist() == [[0, 0, 0, 0]]
    assert values["likeness"][0, 2] > 0.9 > values["likeness"][0, 3] + 0.1
    for frames in (1, 3):  # shorter than a stretch
        values = drift(three[:, :frames], 28, 1, 4)
        assert values["one_class"].tolist() == [[1]] and values["likeness"].shape == (1, 1)
    assert not drift(np.zeros((1, 8, 64, 64, 1), np.float32), 28, 1, 4)["one_class"].any()  # nothing there


def test_a_real_clip_obeys_all_parts_of_its_caption_and_of_another_only_some():
    source = digit_source("strokes", "test")
    maker = CaptionedClips(source, (64, 64), 18, 28, (1,), turning=1.0, turns=(2,), synonyms=False)
    turns = [("up", "left"), ("down", "down and left"), ()]
    labels = [[DigitMotion(digit, "right", speed)] for digit, speed in ((3, "fast"), (5, "normal"), (7, "normal"))]
    made = maker.render(np.random.default_rng(0), labels, turns)
    assert parts_obeyed(made.video, made.captions, 28).tolist() == [1, 1, 1]
    other = ["a 3 moving right, then up, then down", "a 5 moving left, then up, then right", "a 7 moving up"]
    np.testing.assert_allclose(parts_obeyed(made.video, other, 28), [2 / 3, 0, 0])
    still = made.video[:, :1].repeat(18, axis=1)
    assert parts_obeyed(still, made.captions, 28).tolist() == [0, 0, 0]


def test_a_digit_keeps_its_place_when_it_becomes_another_and_loses_it_when_it_goes_elsewhere():
    maker = CaptionedClips(digit_source("strokes", "test"), (64, 64), 16, 28, synonyms=False)

    def clip(digit, way):
        return maker.render(np.random.default_rng(0), [[DigitMotion(digit, way, "normal")]]).video

    before = clip(3, "right")
    assert kept_place(before, before, 28, 1).tolist() == [1]
    assert kept_place(clip(8, "right"), before, 28, 1) > 0.9
    assert kept_place(clip(3, "up"), before, 28, 1) < 0.6
    half = np.concatenate([before[:, :8], np.zeros_like(before[:, 8:])], axis=1)  # lost is not kept
    assert 0.4 < kept_place(half, before, 28, 1)[0] < 0.6
    assert np.isnan(kept_place(before, np.zeros_like(before), 28, 1)).all()
    two = maker.render(np.random.default_rng(0), [[DigitMotion(3, "right"), DigitMotion(7, "left")]]).video
    assert kept_place(two, two, 28, 2) > 0.9
