"""Each control spoils one thing and leaves the rest as it is."""

import numpy as np
import pytest

from minivdit.data import parse
from minivdit.lab.evaluation import frozen, recombined, shuffled_captions, shuffled_frames


@pytest.fixture
def clips():
    return np.random.default_rng(0).random((30, 8, 5, 6, 1), np.float32)


def ink(clips):
    """A frame is known by its sum of ink."""
    return clips.sum((2, 3, 4), dtype=np.float64)


def test_shuffled_captions_belong_to_other_clips_of_as_many_digits():
    captions = [f"a {n % 10} moving {('right', 'up', 'down and left')[n % 3]}" for n in range(20)]
    captions += [f"a {n} moving up and a {(n + 3) % 10} moving right" for n in range(10)]
    other = shuffled_captions(captions, np.random.default_rng(1))
    assert sorted(other) == sorted(captions) and len(set(captions)) == 30
    assert all(a != b and len(parse(a)) == len(parse(b)) for a, b in zip(captions, other))


def test_frames_are_reordered_and_none_is_lost(clips):
    # Shuffling keeps each clip's set of frames, recombination each time's set.
    mixed, crossed = (spoil(clips, np.random.default_rng(2)) for spoil in (shuffled_frames, recombined))
    np.testing.assert_array_equal(np.sort(ink(mixed), 1), np.sort(ink(clips), 1))
    np.testing.assert_array_equal(np.sort(ink(crossed), 0), np.sort(ink(clips), 0))
    assert (ink(mixed) != ink(clips)).mean() > 0.5 and (ink(crossed) != ink(clips)).mean() > 0.8
    assert (frozen(clips) == clips[:, :1]).all() and frozen(clips).shape == clips.shape
