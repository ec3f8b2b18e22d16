"""Streams of random numbers: one for each purpose and place, none of which comes back in another."""

import itertools

import numpy as np
import pytest

from minivdit.base import seeds
from minivdit.base.errors import InputError


def test_no_two_streams_share_their_numbers():
    """Not even where a seed or a place is long, or ends in zeros, which default_rng overlooks."""
    purposes = range(seeds.RESAMPLING + 1)
    places = [(), (0,), (0, 0), (0, 0, 0), (1,), (0, 1), (1, 0), (2**32 - 1,)]
    numbers = [0, 1, 7, 2**32, 2**32 + 1, 2**32 + 7, 2**96 + 1, 2**128 - 1]
    keys = [key for key in itertools.product(numbers, purposes, places) if key[1] != seeds.CLIPS or len(key[2]) == 1]
    draws = {key: tuple(seeds.generator(key[0], key[1], *key[2]).integers(2**63, size=2)) for key in keys}
    assert len(set(draws.values())) == len(draws)
    assert all(
        (seeds.generator(s, p, *place).integers(2**63, size=2) == draw).all() for (s, p, place), draw in draws.items()
    )


def test_the_noise_of_clips_is_as_it_always_was():
    assert seeds.generator(4, seeds.CLIPS, 1).random() == np.random.default_rng((4, 1)).random()


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, True, 2**128, (1, 2)])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(InputError, match="is not a seed; give a whole number"):
        seeds.generator(seed, seeds.BATCHES)
