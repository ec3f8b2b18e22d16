"""Batches of several shapes: their shares, their sizes, and that a seed decides them."""

import collections

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import CaptionedClips, MixedClips, Shape, digit_source, parse


def maker(num_frames, height, width):
    return CaptionedClips(digit_source("strokes", "test"), (height, width), num_frames, 8)


@pytest.fixture(scope="module")
def mixed():
    return MixedClips(maker(4, 16, 16), [(0.25, maker(1, 16, 16)), (0.25, maker(6, 16, 24))])


def test_each_batch_has_one_shape_and_no_more_pixels_than_the_main_one(mixed):
    found = collections.Counter(mixed.batch(np.random.default_rng(seed), 9).video.shape for seed in range(200))
    assert set(found) == {(9, 4, 16, 16, 1), (36, 1, 16, 16, 1), (4, 6, 16, 24, 1)}
    assert 80 < found[9, 4, 16, 16, 1] < 120 and 30 < found[36, 1, 16, 16, 1] < 70


def test_a_clip_larger_than_the_batch_comes_alone():
    mixed = MixedClips(maker(1, 16, 16), [(1.0, maker(12, 16, 16))])
    assert mixed.batch(np.random.default_rng(0), 4).video.shape == (1, 12, 16, 16, 1)


def test_the_generator_decides_all(mixed):
    for seed in range(5):
        one, again = (mixed.batch(np.random.default_rng(seed), 4) for _ in range(2))
        np.testing.assert_array_equal(one.video, again.video)
        assert one.captions == again.captions
        assert [parse(caption) for caption in one.captions] == one.labels


def test_what_a_checkpoint_says(mixed):
    assert mixed.describe() == {
        **maker(4, 16, 16).describe(),
        "shapes": [[1, 16, 16, 0.25], [6, 16, 24, 0.25]],
    }


def test_shapes_are_read():
    assert Shape.read("8x48x64:0.1")[:4] == (8, 48, 64, 0.1)


@pytest.mark.parametrize("text", ["", "8x64x64", "8x64:0.1", "8x64x64:0", "8x64x64:nan", "8x64x-64:0.1", "axbxc:0.1"])
def test_bad_shapes_are_refused(text):
    with pytest.raises(InputError, match=r"write such as 8x64x64:0\.1"):
        Shape.read(text)


def test_shares_above_one_are_refused():
    with pytest.raises(InputError, match="must not be above 1"):
        MixedClips(maker(4, 16, 16), [(0.6, maker(1, 16, 16)), (0.5, maker(2, 16, 16))])
