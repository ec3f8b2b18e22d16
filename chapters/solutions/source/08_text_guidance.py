# %% [markdown]
r"""
# Solutions to chapter 8

Worked answers to the exercises of [chapter 8](../08_text_guidance.ipynb). Try them yourself first.
"""

# %%
from collections import Counter
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.diffusion import interval
from minivdit.generation import TextToVideo
from minivdit.lab.display import draw_strip
from minivdit.lab.evaluation import observe, prompt_metrics, read_captions
from minivdit.lab.lessons import check, size
from minivdit.models import CaptionReader, TextEncoder, Tokenizer
from minivdit.nn.optim import AdamW

# %% [markdown]
r"""
**1. From words to pieces.** Count the pairs, then go from left to right. A merged pair is a new token, so three equal
tokens in a row become two, not one.
"""


# %%
def merge_pair(tokens, new):
    (pair, _), *_ = Counter(pairwise(tokens)).most_common(1)
    merged = []
    for token in tokens:
        if merged and (merged[-1], token) == pair:
            merged[-1] = new
        else:
            merged.append(token)
    return merged


check.ch08_merge(merge_pair)

# %% [markdown]
r"""
**2. Cross-attention for a whole batch.** Padding must drop out of both sums, so we multiply its exponentials by 0. The
number that is subtracted from all scores cancels, so it may be their maximum, padding included. Without a word the sum
is 0, and 0 / 0 has to be avoided. (A *score* of 0 for padding wouldn't do: its exponential is 1.)
"""


# %%
def look_at_words(q, k, v, present):
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])  # (B, h, N, L)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True)) * present[:, None, None]
    total = weights.sum(axis=-1, keepdims=True)
    return weights @ v / np.where(total > 0, total, 1)


check.ch08_cross(look_at_words)

# %% [markdown]
r"""
**3. Guidance that doesn't spread.** The guidance scale belongs to a frame, the standard deviation to a whole clip. Both
are broadcast over the remaining axes.
"""


# %%
def guide(conditional, unconditional, scale, phi):
    guided = unconditional + scale[:, :, None, None, None] * (conditional - unconditional)
    ratio = conditional.std(axis=(1, 2, 3, 4), keepdims=True) / guided.std(axis=(1, 2, 3, 4), keepdims=True)
    return phi * ratio * guided + (1 - phi) * guided


check.ch08_guide(guide)

# %% [markdown]
r"""
**4. Is the rise real?** Subtract first, clip by clip. An easy clip is easy with either caption, and this part of the
spread drops out. If you compare two means, each with its own error, it stays in, and hides most rises.
"""


# %%
def rise_of(right, wrong):
    rise = wrong - right
    return rise.mean(), rise.std(ddof=1) / np.sqrt(len(rise))


check.ch08_rise(rise_of)

# %% [markdown]
r"""
**5. Train: cure the waves.** The words drown the waves, so make the words shorter at the start: 0.3 times as long. Nothing else
changes. (At 0.1 the waves are loud enough, but the words begin so small that they take longer to tell apart. Try it.)
"""

# %%
four = CaptionReader.ANSWERS[:4]
tokenizer = Tokenizer(("a", "and", *"0123", *four), max_words=8)


def trained_reader(shorter, steps=200, seed=0):
    generator = np.random.default_rng(seed)
    text = TextEncoder(len(tokenizer), 32, 2, 2, generator, "sincos")
    text.embedding.table.data *= shorter
    reader = CaptionReader(text, 2, generator)
    optimizer = AdamW(reader.parameters(), 3e-3)
    for _ in range(steps):
        digits = np.array([generator.permutation(4)[:2] for _ in range(32)])
        directions = generator.integers(4, size=(32, 2))
        told = [f"a {a} {four[p]} and a {b} {four[q]}" for (a, b), (p, q) in zip(digits, directions)]
        answer = reader(tokenizer.encode(told), digits)
        parameters = reader.parameters()
        found = ag.gradients(ag.cross_entropy(answer, directions), parameters.values())
        optimizer.step(dict(zip(parameters, found)))
    return reader


reader = trained_reader(shorter=0.3)


def which_way(captions, digits):
    with ag.no_grad():
        return reader(tokenizer.encode(captions), digits).data.argmax(axis=-1)


check.ch08_bind(which_way)

# %% [markdown]
r"""
**6. Break it: a negative scale.** A first guess may be that "not up" means "down". The equation says something else.
The direction of $u-c$ is the one in which the caption becomes *less likely*. Clips that move left or right are as far
from "up" as those that move down, and so is a clip that shows no readable digit at all.
"""

# %%
model = TextToVideo.load("small")
OPPOSITE = {"right": "left", "left": "right", "up": "down", "down": "up"}
asked = [(digit, direction) for digit in range(10) for direction in OPPOSITE][: size(24, 4)]
captions = [f"a {digit} moving {direction}" for digit, direction in asked]
opposite = [f"a {digit} moving {OPPOSITE[direction]}" for digit, direction in asked]
steps = size(24, 2)


def share(what, captions, video):
    seen = observe(video, model.settings.digit_size, 1)
    return prompt_metrics(seen, read_captions(captions, model.settings.size))[what].mean()


figure, rows = plt.subplots(3, 1, figsize=(8, 3.3), layout="constrained")
for axes, scale in zip(rows, (1, 0, -1)):
    video = model.generate(captions, seed=5, steps=steps, guidance_scale=scale)
    print(f"scale {scale:2}: {share('direction', captions, video):4.0%} in the direction of the caption, "
          f"{share('direction', opposite, video):4.0%} in the opposite one, "
          f"{share('digit', captions, video):4.0%} with its digit")  # fmt: skip
    draw_strip(axes, video[1], label=f"scale {scale}")
figure.suptitle(f"'{captions[1]}'", fontsize=10)
plt.show()

# %% [markdown]
r"""
With scale 0 the network draws any clip. With scale -1 it never goes in the caption's direction. The opposite direction
comes no more often than with scale 0, as far as 24 prompts can tell (the clip shown goes that way). So it is driven
away from what the caption describes, but not towards anything else. To get the opposite direction you must ask for it.
A [negative prompt](../glossary.md#negative-prompt) does both: it leads to one caption and away from another.

**7. Open.** A first look: some intervals, and the share of right prompts.
"""

# %%
for low, high in ((0.01, 0.5), (0.2, 0.9), (0.5, 0.9), (0.7, 1.0)):
    video = model.generate(captions, seed=5, steps=steps, guidance_scale=interval(3.0, low, high))
    print(f"guided from {low} to {high}: {share('obeys', captions, video):4.0%} right")

# %% [markdown]
r"""
Nearly all are right, so these prompts can't tell the intervals apart. One would expect the upper part of the levels to
matter more: at high levels the caption decides what the clip becomes, and at low levels little is left to decide. To
see that, one needs more prompts, or harder ones, such as those with two digits. The gain has two parts: steps
without guidance take half the time, and latents spread less.
"""
