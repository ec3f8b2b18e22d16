"""Checks of chapter 12: counting pairs and FLOPs, what a budget buys, a training within a budget."""

import functools

import numpy as np

from ... import autograd as ag
from ...base.backend import blas_threads
from ...models import VideoDiT, VideoDiTConfig
from ...models.costs import block_flops, clip_cost
from ...nn.optim import AdamW
from .exercise import Wrong, agree, different, exercise

STILLS, CLIPS = (8, 6, 6), 4  # T, H, W of the clips in `stills`; clips in a batch
BUDGET, WANTED = 4e9, 0.125  # FLOPs of a training on stills; mean squared error to reach with them


def stills_flops(patterns, width, steps):
    """The training FLOPs of `stills`."""
    return steps * clip_cost(_network(patterns, width), STILLS, CLIPS, words=1, vocabulary=2).training_flops


def _network(patterns, width):
    return VideoDiTConfig(1, (1, 1, 1), width, len(patterns), heads=2, text_depth=0, patterns=patterns)


@functools.cache
def stills(patterns, width, steps, rate):
    """Train a small VideoDiT to denoise clips that show one still picture in all 8 frames.

    patterns: tuple of names, one for each block. width: a multiple of 4. rate: AdamW's highest learning rate.
    Returns the mean squared error on new clips. Pictures and noise have variance 1, and the network sees half their
    sum: from all frames the best possible error is 1 / 9, from one frame 1 / 2.
    """
    generator = np.random.default_rng(0)
    model = VideoDiT(_network(patterns, width), 2, generator)
    parameters = model.parameters()
    optimiser = AdamW(parameters, rate)

    def loss(clips):
        picture = generator.standard_normal((clips, 1, *STILLS[1:], 1), dtype=np.float32)
        clean = picture.repeat(STILLS[0], axis=1)  # (B, T, H, W, 1)
        noisy = (clean + generator.standard_normal(clean.shape, dtype=np.float32)) / 2
        level, words = np.full((clips, STILLS[0]), 0.5, np.float32), np.ones((clips, 1), np.int32)
        return ag.mean_squared_error(model(noisy, level, words), clean)

    with blas_threads(1):  # products this small are quicker with one
        for step in range(steps):
            gradients = ag.gradients(loss(CLIPS), list(parameters.values()))
            now = rate * min(1, (step + 1) / 10, 3 * (1 - step / steps))  # a short rise, then down in the last third
            optimiser.step(dict(zip(parameters, gradients)), now)
        with ag.no_grad():
            return float(loss(64).data)


@exercise("pairs_looking_back")
def ch12_pairs(answer, generator):
    grid, back = tuple(different(generator, 3, 2, 10)), int(generator.integers(0, 5))
    frame = np.indices(grid)[0].ravel()
    away = frame[:, None] - frame
    agree("the number of pairs", answer(grid, back), np.count_nonzero((away >= 0) & (away <= back)))


@exercise("block")
def ch12_block(answer, generator):
    tokens, width, ratio, words = (int(n) for n in generator.integers(2, 500, 4))
    expected = block_flops(tokens, width, mlp_ratio=ratio, words=words)
    agree("the FLOPs", answer(tokens, width, ratio, words), expected)


@exercise("longest")
def ch12_longest(answer, generator):
    places, width, frames = (int(n) for n in generator.integers(2, 60, 3))
    least, most = (block_flops(n * places, width) / block_flops(places, width) for n in (frames, frames + 1))
    budget = least + float(generator.uniform(0.1, 0.9)) * (most - least)
    agree("the number of frames", answer(budget, places, width), frames)


@exercise("choose")
def ch12_budget(answer, generator):
    try:
        patterns, width, steps, rate = answer()
        if isinstance(patterns, str):
            raise TypeError
    except (TypeError, ValueError):
        raise Wrong("return four things: a tuple of patterns, the width, the steps, the rate") from None
    patterns, width, steps = tuple(patterns), int(width), int(steps)
    flops = stills_flops(patterns, width, steps)
    if flops > BUDGET:
        raise Wrong(f"that training costs {flops:.2g} FLOPs, and the budget is {BUDGET:.2g}")
    error = stills(patterns, width, steps, float(rate))
    if not error <= WANTED:
        raise Wrong(f"an error of {error:.3f}; at most {WANTED} is wanted (all frames: 0.111, one frame: 0.5)")
