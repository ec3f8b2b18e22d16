"""Checks of chapter 8: pieces of words, patches that look at words, guidance, a rise clip by clip, a reader trained."""

from collections import Counter
from itertools import pairwise

import numpy as np

from ...autograd import softmax
from ...diffusion import guided
from ...models import CaptionReader
from .exercise import Wrong, agree, agree_all, different, exercise, shaped

DIRECTIONS = CaptionReader.ANSWERS[:4]  # right, left, up, down
ENOUGH = 0.9  # of the directions right; a bag of words gets 5/8


@exercise("merge_pair")
def ch08_merge(answer, generator):
    while True:  # until one pair is the most frequent one
        tokens = [int(token) for token in generator.integers(2, 6, size=24)]
        if generator.random() < 0.5:  # pairs of equals, and three in a row
            tokens[4:9], tokens[15:18] = [tokens[4]] * 5, [tokens[4]] * 3
        (pair, most), (_, second) = Counter(pairwise(tokens)).most_common(2)
        if most > second:
            break
    merged, new = [], int(generator.integers(10, 20))
    for token in tokens:
        if merged and (merged[-1], token) == pair:
            merged[-1] = new
        else:
            merged.append(token)
    agree("the tokens", answer(tokens, new), merged)


@exercise("look_at_words")
def ch08_cross(answer, generator):
    clips, heads, patches, length, width, value_width = different(generator, 6, 2, 9)
    present = generator.random((clips, length)) < 0.6
    present[0], present[1, 0] = False, True  # the first clip has no word, the second has one at least
    q, k, v = (
        generator.standard_normal((clips, heads, *shape)) * 2
        for shape in ((patches, width), (length, width), (length, value_width))
    )
    expected = np.zeros((clips, heads, patches, value_width))
    for clip, words in enumerate(present):
        for head in range(heads if words.any() else 0):
            weights = softmax(q[clip, head] @ k[clip, head, words].T / np.sqrt(width)).data
            expected[clip, head] = weights @ v[clip, head, words]
    agree("what the patches see", answer(q, k, v, present), expected)


@exercise("guide")
def ch08_guide(answer, generator):
    shape = different(generator, 5, 2, 7)
    both = generator.standard_normal((2, *shape))
    both[0] *= generator.uniform(0.5, 2, (shape[0], 1, 1, 1, 1))  # the clips differ in their standard deviation
    scale, phi = generator.uniform(0, 5, shape[:2]), float(generator.uniform(0.1, 0.9))
    asked = guided(lambda x, level, which: which, both[0], both[1], scale)(np.zeros(shape), np.zeros(shape[:2]))
    expected = [(phi * np.std(c) / np.std(g) + 1 - phi) * g for c, g in zip(both[0], asked)]
    agree("the guided prediction", answer(*both, scale, phi), np.stack(expected))


@exercise("rise_of")
def ch08_rise(answer, generator):
    (clips,) = different(generator, 1, 5, 12)
    right = generator.uniform(0.2, 1.5, clips)
    rises = generator.normal(0.05, 0.03, clips)
    expected = {"the mean rise": rises.mean(), "the standard error": rises.std(ddof=1) / np.sqrt(clips)}
    agree_all("return two numbers: the mean rise and its standard error", answer(right, right + rises), expected)


@exercise("which_way")
def ch08_bind(answer, generator):
    digits = np.array([generator.permutation(4)[:2] for _ in range(64)])
    directions = generator.integers(4, size=digits.shape)
    captions = [
        f"a {a} {DIRECTIONS[one]} and a {b} {DIRECTIONS[other]}" for (a, b), (one, other) in zip(digits, directions)
    ]
    turned = generator.random(64) < 0.5  # asked for in the other order
    digits[turned], directions[turned] = digits[turned, ::-1], directions[turned, ::-1]
    got = shaped("the directions, one for each digit", answer(captions, digits), directions.shape)
    share = (got == directions).mean()
    if share < ENOUGH:
        raise Wrong(
            f"{share:.0%} of the directions are right; {ENOUGH:.0%} are to be reached, and a bag of words has 62%"
        )
