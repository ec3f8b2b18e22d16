"""From one seed to many streams of random numbers: one for each purpose, and for each place within it.

    generator(seed, BATCHES, step)     the batch of a training's step
    generator(seed, EDIT, clip)        the noise of a clip that is edited

Two streams share no numbers, whatever their seeds and places, so what is drawn for one purpose never comes back in
another. `np.random.default_rng((seed, purpose, step))` would not do: it ignores zeros at the end, so that (7,), (7, 0)
and (7, 0, 0) are one stream. A spawn key has no such gap.
"""

import numpy as np

from .errors import InputError

# What random numbers are for. A number never changes its meaning; a new purpose goes to the end.
(
    INITIAL_WEIGHTS,  # place: which network
    BATCHES,  # place: the training step
    PREVIEWS,
    MEASUREMENTS,
    COMPARISONS,  # prompts and clips that attention patterns are compared on
    CLIPS,  # the noise of `generate`; place: which clip of a batch
    KEYFRAMES,  # the noise of the abilities; place: which round or stretch, where there are several; which clip
    EXTEND,
    INTERPOLATE,
    CONNECT,
    LOOP,
    EDIT,
    INPAINT,
    PROMPTS,  # of an evaluation, and the real clips beside them
    RESAMPLING,  # of intervals and tests
) = range(15)


def generator(seed, purpose, *place):
    """The numpy Generator of a stream.

    seed: a whole number from 0 to below 2**128. purpose: one of the constants above. place: further whole numbers from
    0 to below 2**32, such as the step and the clip. InputError for anything else as a seed.
    """
    if not (isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and 0 <= seed < 2**128):
        raise InputError(f"{seed!r:.40} is not a seed; give a whole number from 0 upwards (below 2**128)")
    seed, key = int(seed), (int(purpose), *map(int, place))
    assert all(0 <= number < 2**32 for number in key), key  # NumPy cuts longer ones in two, and two places meet
    if purpose == CLIPS and seed < 2**32:  # pictures that were drawn before there were purposes stay as they are
        return np.random.default_rng((seed, *key[1:]))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
