"""Noise levels: one for each frame of each clip, (B, T), in training and along the way of sampling.

Because a frame can have its own level, one network learns every task: a frame at level 0 is a frame
that is given, and the others are drawn to fit it.
"""

from statistics import NormalDist

import numpy as np

from ..base.errors import InputError
from .curves import checked, checked_shift, shifted


def uniform_levels(steps, highest=1.0, shift=1.0):
    """Levels from `highest` down to 0 in equal steps: float32 (steps + 1,).

    shift > 1 spends more of the steps on heavy noise, as a curve trained with that shift would.
    """
    if steps < 1:
        raise InputError(f"sampling takes at least 1 step; got {steps}")
    levels = np.linspace(checked(highest), 0, int(steps) + 1)
    return shifted(levels, checked_shift(shift)).astype(np.float32)


def level_matrix(steps, batch, num_frames, given=None, highest=1.0, shift=1.0, given_level=0.0):
    """Levels for sampling, float32 (steps + 1, batch, num_frames): falling, but `given_level` in given frames.

    given: boolean (num_frames,) or (batch, num_frames), True where a frame is given; None for none. given_level: 0
    shows given frames as they are. Under a little noise their small errors count for less, which helps where drawn
    frames are given in turn ("noise conditioning augmentation", Ho et al. 2022; Chen et al. 2024).
    """
    given = np.zeros(num_frames, bool) if given is None else np.asarray(given, bool)
    if given.shape not in ((num_frames,), (batch, num_frames)):
        raise InputError(
            f"'given' says for each frame whether it is given: shape ({num_frames},) or ({batch}, {num_frames}), "
            f"not {given.shape}"
        )
    levels = uniform_levels(steps, highest, shift)[:, None, None]
    return np.where(np.broadcast_to(given, (batch, num_frames)), np.float32(checked(given_level)), levels)


def resampled(levels, times, low=0.5, high=0.8):
    """The same way down, but `times` times back from `low` to `high` and down again: levels (steps + 1 + more, ...).

    levels: (steps + 1, ...), falling. What is decided between the two levels is decided anew, and sees each time what
    else has been decided since. So it fits better what is given (RePaint, Lugmayr et al. 2022), and errors of the
    first way down are forgotten ("restart sampling", Xu et al. 2023). The nearest levels that are there are taken.
    Levels that begin at `low` or below stay as they are.
    """
    if times < 0:
        raise InputError(f"the way down is gone again 0 times or more; got {times}")
    heaviest = levels.reshape(len(levels), -1).max(axis=1)
    first, last = (int(np.abs(heaviest - level).argmin()) for level in (high, low))
    again = [levels[first : last + 1]] * times if first < last else []
    return np.concatenate([levels[: last + 1], *again, levels[last + 1 :]])


def training_levels(
    generator,
    batch,
    num_frames,
    *,
    shared=0.6,
    given=0.2,
    independent=0.2,
    distribution="logit_normal",
    mean=0.0,
    deviation=1.0,
    stratified=False,
    shift=1.0,
):
    """Noise levels for a training batch: float32 (batch, num_frames).

    Each clip is, with these chances (made to add up to 1):
      shared       one level for all frames: making a clip from text alone;
      given        some frames at level 0, one level for the rest: the first frames, the last, both ends, or any
                   subset, a quarter of the time each; few more often than many, and one frame at least is left to draw;
      independent  a level of its own for each frame: any order of denoising, long rollouts.
    A clip of one frame is always `shared`.

    distribution: 'logit_normal' (sigmoid of a normal with this mean and deviation; Esser et al. 2024)
    or 'uniform' on [0, 1).
    stratified: a level that a clip's frames share is drawn from that clip's own of `batch` equally likely parts of the
    distribution, so that each batch has light and heavy noise in their due shares, and steps differ less by chance.
    shift: moves all levels towards noise, as in uniform_levels.
    """
    kind = generator.choice(3, size=batch, p=checked_chances(shared, given, independent))
    every = _draw(generator, (batch, num_frames), distribution, mean, deviation)
    if stratified:
        every[:, 0] = _quantiles(_parts(generator, batch), distribution, mean, deviation)
    levels = np.where(kind[:, None] == 2, every, every[:, :1])
    if num_frames > 1:
        levels = np.where((kind[:, None] == 1) & _given_frames(generator, batch, num_frames), 0, levels)
    else:
        levels = every
    return shifted(levels, checked_shift(shift)).astype(np.float32)


def checked_chances(shared, given, independent):
    """The chances of the three kinds, made to add up to 1: float64 (3,). InputError if one is negative or all are 0."""
    chances = np.array([shared, given, independent], np.float64)
    if not ((chances >= 0).all() and 0 < chances.sum() < np.inf):
        raise InputError(f"shared, given, independent are chances: none negative, not all 0; got {chances.tolist()}")
    return chances / chances.sum()


def _draw(generator, shape, distribution, mean, deviation):
    if distribution == "uniform":
        return generator.random(shape)
    if distribution == "logit_normal":
        return 1 / (1 + np.exp(-(mean + deviation * generator.standard_normal(shape))))
    raise InputError(f"{distribution!r} is not a distribution of levels; choose logit_normal or uniform")


def _parts(generator, count):
    """One random number from each of `count` equal parts of (0, 1), in random order: float64 (count,)."""
    return (generator.permutation(count) + 1 - generator.random(count)) / (count + 1e-6)


def _quantiles(shares, distribution, mean, deviation):
    """The levels below which these shares of the distribution lie."""
    if distribution == "uniform":
        return shares
    normal = np.array([NormalDist().inv_cdf(share) for share in shares])
    return 1 / (1 + np.exp(-(mean + deviation * normal)))


def _given_frames(generator, batch, num_frames):
    """Boolean (batch, num_frames): between 1 and num_frames - 1 frames of each clip, in one of four ways."""
    frame = np.arange(num_frames)
    count = np.ceil((num_frames - 1) * (1 - generator.random((batch, 1))) ** 2)  # the square: few more often
    first, last = frame < count, frame >= num_frames - count
    both = np.maximum(count, min(2, num_frames - 1))
    ends = (frame < (both + 1) // 2) | (frame >= num_frames - both // 2)
    # The `count` frames with the smallest of num_frames random numbers are a uniform random subset.
    subset = generator.random((batch, num_frames)).argsort(axis=1).argsort(axis=1) < count
    return np.choose(generator.integers(4, size=(batch, 1)), [first, last, ends, subset])
