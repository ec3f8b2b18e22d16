"""Checks of chapter 8: words as numbers, patches that look at words, guidance, and a rise measured clip by clip."""

import numpy as np

from ...autograd import softmax
from ...data.grammar import VOCABULARY
from ...diffusion import guided
from ...models import Tokenizer
from .exercise import agree, agree_all, different, exercise


@exercise
def ch08_encode(answer, generator):
    words = [VOCABULARY[place] for place in generator.permutation(len(VOCABULARY))[:12]]
    counts, spare = different(generator, 4, 0, 7), int(generator.integers(1, 4))
    captions = [" ".join(generator.choice(words, count)) for count in counts]
    tokenizer = Tokenizer(words, max_words=max(counts) + spare)
    agree("the tokens", answer(captions, words, tokenizer.length), tokenizer.encode(captions))


@exercise
def ch08_cross(answer, generator):
    patches, there, width, value_width = different(generator, 4, 2, 10)
    present = generator.permutation(np.arange(there + 3) < there)
    q = generator.standard_normal((patches, width)) * 2
    k, v = (generator.standard_normal((len(present), d)) * 2 for d in (width, value_width))
    weights = softmax(q @ k[present].T / np.sqrt(width)).data
    agree("what the patches see", answer(q, k, v, present), weights @ v[present])


@exercise
def ch08_guide(answer, generator):
    shape = different(generator, 5, 2, 7)
    both = generator.standard_normal((2, *shape))
    scale = generator.uniform(0, 5, shape[:2])
    asked = guided(lambda x, level, which: which, both[0], both[1], scale)
    agree("the guided prediction", answer(*both, scale), asked(np.zeros(shape), np.zeros(shape[:2])))


@exercise
def ch08_rise(answer, generator):
    (clips,) = different(generator, 1, 5, 12)
    right = generator.uniform(0.2, 1.5, clips)
    rises = generator.normal(0.05, 0.03, clips)
    expected = {"the mean rise": rises.mean(), "the standard error": rises.std(ddof=1) / np.sqrt(clips)}
    agree_all("return two numbers: the mean rise and its standard error", answer(right, right + rises), expected)
