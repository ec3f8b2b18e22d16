"""Checks of chapter 15: causal compression of time, tokens, Skiparse, levels in strata."""

import numpy as np

from ...models.patterns import labels
from .exercise import Wrong, agree, agree_all, different, exercise


@exercise
def ch15_causal(answer, generator):
    frames, channels = different(generator, 2, 2, 7)
    x, kernel = generator.standard_normal((2 * frames + 1, channels)), generator.standard_normal(3)
    padded = np.concatenate([x[:1], x[:1], x])
    whole = np.stack([kernel @ padded[t : t + 3][::-1] for t in range(len(x))])
    agree("the halved clip", answer(x.copy(), kernel), whole[::2])


@exercise
def ch15_tokens(answer, generator):
    rounds, in_time, in_space, side, rows, columns = (int(n) for n in generator.integers(1, 9, 6))
    in_time += 1
    frames, height, width = 1 + rounds * in_time, rows * in_space * side, columns * in_space * side
    expected = (1 + rounds) * rows * columns
    agree("the number of tokens", answer(frames, height, width, in_time, in_space, side), expected)


@exercise
def ch15_skiparse(answer, generator):
    k = int(generator.integers(2, 6))
    tokens = k * k * int(generator.integers(1, 4)) + int(generator.integers(0, k))
    expected = {
        f"the groups of every {k}-th of the {name}": labels(f"skip:{k}", (tokens, 1, 1), block)
        for block, name in enumerate(("tokens", "runs"))
    }
    agree_all("return two arrays. Is the stub filled in?", answer(tokens, k), expected)


@exercise
def ch15_strata(answer, generator):
    batch = int(generator.integers(8, 30))
    draws = [answer(batch, generator) for _ in range(40)]
    for level in draws:
        agree("the number of levels", np.size(level) if level is not None else None, batch)
        place = np.floor(np.asarray(level, float) * batch)
        if not np.array_equal(np.sort(place), np.arange(batch)):
            raise Wrong(f"not every one of the {batch} intervals has exactly one level")
    levels = np.array(draws)  # (draws, batch)
    within = levels * batch - np.floor(levels * batch)
    if abs(within.mean() - 0.5) > 0.1 or not 0.2 < within.std() < 0.38:  # uniform: 0.5 and 0.289
        raise Wrong("inside its interval a level can be anywhere, all places equally likely")
    if np.abs(levels.mean(axis=0) - 0.5).max() > 0.3 or np.array_equal(levels[0], levels[1]):
        raise Wrong("the order isn't random: a clip's place in the batch tells its level")
