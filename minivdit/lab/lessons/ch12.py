"""Checks of chapter 12: counting pairs and FLOPs."""

from ...models.costs import block_flops, score_pairs
from .exercise import agree, different, exercise


def _grid(generator):
    return tuple(different(generator, 3, 2, 10))


@exercise
def ch12_pairs(answer, generator):
    grid = _grid(generator)
    agree("the number of pairs", answer(grid), score_pairs("frame", grid) + score_pairs("time", grid))


@exercise
def ch12_block(answer, generator):
    tokens, width = generator.integers(2, 500, 2)
    agree("the FLOPs", answer(int(tokens), int(width)), block_flops(int(tokens), int(width)))


@exercise
def ch12_crossing(answer, generator):
    width = int(generator.integers(2, 500))
    scores, rest = (lambda n: 4 * n**2 * width), (lambda n: 24 * n * width**2)
    tokens = next(n for n in range(1, 10_000) if scores(n) >= rest(n))
    agree("the number of tokens", answer(width), tokens)


@exercise
def ch12_ratio(answer, generator):
    frames, places, width = (int(n) for n in generator.integers(2, 60, 3))
    expected = block_flops(frames * places, width) / block_flops(places, width)
    agree("the ratio", answer(frames, places, width), expected)
