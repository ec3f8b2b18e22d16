# %% [markdown]
r"""
# 8. Text guidance: captions, cross-attention, classifier-free guidance

*About 60 minutes with the exercises. Runs in two minutes.*

**You'll do:** turn words into vectors and let patches of a clip look at them; measure how much worse the network gets
with a wrong caption; raise the guidance scale from 0 to a value that is far too large; and repeat the experiment that
explained a real failure of this project.

**You'll learn:** the two paths by which a caption [conditions](glossary.md#conditioning) the network; how to *measure*
whether it is used; what [classifier-free guidance](glossary.md#classifier-free-guidance) buys and what it costs; how a
caption becomes a [bag of words](glossary.md#bag-of-words), and why no error says so.

**You need:** [chapter 3](03_adding_noise.ipynb) and [chapter 5](05_attention.ipynb).
[Chapter 7](07_the_transformer_block.ipynb), the transformer block, helps.

![A caption becomes keys and values; guidance goes further along a difference](pictures/08.svg)
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.data import CaptionedClips, describe, digit_source
from minivdit.data.grammar import DIRECTIONS
from minivdit.diffusion import Process, guided, interval, level_matrix, make, sample
from minivdit.generation import TextToVideo
from minivdit.lab.display import draw_strip
from minivdit.lab.evaluation import Estimate, observe, prompt_metrics, read_captions
from minivdit.lab.lessons import check, size
from minivdit.models import CaptionReader, TextEncoder, Tokenizer
from minivdit.models.text import PAD, key_times
from minivdit.nn import Module
from minivdit.nn.optim import AdamW

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)
source = digit_source("strokes", split="test")  # digits that the shipped weights weren't trained on: those were MNIST's
model = TextToVideo.load("small")  # 32 x 32 pixels, 8 frames, one digit

# %% [markdown]
r"""
## Words to numbers

A network takes numbers. So each word of the grammar gets one: its place in a list, plus 2. The number 1 starts every
caption, so that patches have something to look at even if it is empty. The number 0 is [padding](glossary.md#padding):
it fills the captions up to equal length. First the simple loop, then the library's tokenizer:
"""

# %%
captions = ["a 3 moving right", "the digit seven drifts slowly up and to the left", ""]
by_hand = np.zeros((len(captions), model.tokenizer.length), int)
for row, caption in enumerate(captions):
    by_hand[row, 0] = 1
    for place, word in enumerate(caption.split(), start=1):
        by_hand[row, place] = 2 + model.tokenizer.words.index(word)
tokens = model.tokenizer.encode(captions)
assert np.array_equal(tokens, by_hand)
for numbers in tokens:
    print(*numbers)

# %% [markdown]
r"""
The numbers mean nothing by themselves: 14 isn't twice 7. So the [text encoder](glossary.md#text-encoder) first replaces
each number $n$ by row $n$ of a learnt table $E$, its [embedding](glossary.md#embedding). To pick a row is to multiply by a
[one-hot](glossary.md#one-hot) vector $e_n$, which is 1 at place $n$ and 0 elsewhere:

$$\text{embedding}(n) = e_n^\top E.$$

This is a matrix product, so its pullback is the one of [chapter 1](01_autograd.ipynb).
"""

# %%
table = model.transformer.text.embedding.table.data  # (words, width)
one_hot = np.eye(len(table), dtype=np.float32)[tokens]  # (B, L, words)
assert np.array_equal(one_hot @ table, table[tokens])

# %% [markdown]
r"""
## Words that see each other

A caption says more than its single words do: "3" and "right" together tell what moves where. So the rows pass through a
small transformer, in which words look at each other. Two things come out: a vector for each word, (B, L, width), and
their mean, (B, width).

**Predict.** Are two captions far apart if they mean different things, and close if only the wording differs? We print
the distances between their means, and between the vectors of the word for the digit.

**What to look at.** Which direction is nearest to "right"? Is any pair so close that the network could confuse the two?
"""


# %%
def read(captions, place):
    """The vector of the word at this place of each caption, and the mean of all words: (B, D) both."""
    with ag.no_grad():
        words, mean = model.transformer.text(model.tokenizer.encode(captions))
    return {"the digit's word": words.data[:, place], "the mean": mean.data}


directions = list(DIRECTIONS)
same = read([f"a 3 moving {direction}" for direction in directions], place=2)
other_words = read([f"the digit three is drifting {direction}" for direction in directions], place=3)


def distances(first, second):
    return np.linalg.norm(first[:, None] - second[None], axis=-1)


for name in same:
    apart, reworded = distances(same[name], same[name]), distances(same[name], other_words[name])
    print(f"{name}, a 3 moving ...".ljust(36), *(f"{direction:>6}" for direction in directions[:4]))
    for direction, row in zip(directions[:4], apart):
        print(direction.rjust(36), *(f"{distance:6.2f}" for distance in row[:4]))
    found = (reworded.argmin(axis=1) == np.arange(len(directions))).sum()
    print(f"the same direction in other words is up to {np.diagonal(reworded).max():.2f} away; it is the nearest of all "
          f"{len(directions)} for {found} captions of {len(directions)}\n")  # fmt: skip

# %% [markdown]
r"""
Two wordings of one direction may be further apart than two directions. Still the nearest caption nearly always means
the same, and for the digit's word always. So a distance alone doesn't say what the network can tell apart. What it
*uses* is measured below.

Closeness has done harm before. In an early training of this project the means of "left" and "right" were 0.09 apart,
and "up" was 1.8 away from both. So clips went left or right by chance (`examples/results/tried.md`). A table of
distances takes seconds. Make one before you look for the fault in the transformer.

## Patches look at words

[Cross-attention](glossary.md#cross-attention) is the attention of [chapter 5](05_attention.ipynb) with two sources. The
queries come from the patches, the keys and values from the words. In one head, patch $i$ receives

$$o_i = \sum_j w_{ij}\, v_j, \qquad
w_{ij} = \frac{m_j \exp(q_i \cdot k_j / \sqrt d)}{\sum_l m_l \exp(q_i \cdot k_l / \sqrt d)},$$

where $q_i$ is the query of the patch, $k_j$ and $v_j$ are the key and the value of word $j$, $d$ is the width of a head, and
$m_j$ is 1 for a word and 0 for padding. The simple loop, for one clip with the weights of the first block (`fit / fit.sum()`
is $w_{ij}$):
"""

# %%
cross = model.transformer.blocks[0].cross_attention
with ag.no_grad():
    words = model.transformer.text(tokens)[0].data  # (B, L, D)
patches = generator.standard_normal((len(tokens), 5, words.shape[-1]), dtype=np.float32)  # five made-up patches
heads, width = cross.heads, words.shape[-1] // cross.heads


def normalised(x, weight):  # QK-norm, as in self-attention
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6) * weight


def cross_by_loops(x, words, present):
    """Patches (N, D), words (L, D), present (L,) -> output (N, D) and the weights (heads, N, L)."""
    weights, seen = np.zeros((heads, len(x), len(words))), np.zeros_like(x)
    keys, values = np.split(words @ cross.kv.weight.data, 2, axis=-1)
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        k = normalised(keys[:, part], cross.k_norm.weight.data)
        for i in range(len(x)):
            q = normalised((x[i] @ cross.q.weight.data)[part], cross.q_norm.weight.data)
            fit = np.array([np.exp(q @ k[j] / np.sqrt(width)) if present[j] else 0 for j in range(len(words))])
            weights[h, i] = fit / fit.sum()
            seen[i, part] = weights[h, i] @ values[:, part]
    return seen @ cross.out.weight.data + cross.out.bias.data, weights


visible = key_times(tokens != PAD)
with ag.no_grad():
    at_once = cross(patches, words, visible).data  # the library, all clips at once
for clip in range(len(tokens)):
    by_loops, weights = cross_by_loops(patches[clip], words[clip], tokens[clip] != PAD)
    assert np.allclose(by_loops, at_once[clip], atol=1e-3)
    assert np.allclose(weights.sum(axis=-1), 1) and not weights[..., tokens[clip] == PAD].any()

# %% [markdown]
r"""
Padding gets the weight 0, because $m_j$ removes its term from both sums. The output is *added* to the patch. The last
matrix of cross-attention starts at zero, so a fresh block adds nothing from the words.

The caption has a second path. The mean of the words is added to the vector that describes the [noise
level](glossary.md#noise-level), and this sum shifts and scales the normalised tokens before attention and before the
MLP ([adaLN](glossary.md#adaln-zero)). On this path all patches of a frame get the same numbers. Only cross-attention
lets each patch choose its own words.

## Is the text used?

A network that ignores its captions raises no error. It draws good clips, but of something else. To find this out from
generated clips takes long.

**Claim.** The loss shows sooner whether the text is used. Take real clips. Compute the loss with the right caption and
with a wrong one, with the same noise $\epsilon$ at the same noise level $t$. For clip $b$ the rise is

$$r_b(t) = \big\lVert f(x_t, t, \text{wrong}_b) - v_b \big\rVert^2 - \big\lVert f(x_t, t, \text{right}_b) - v_b \big\rVert^2,$$

where $f$ is the network, $x_t$ the noisy clip, $v_b$ the velocity that it should predict, and $\lVert\cdot\rVert^2$ is
the mean of the squares of all entries. We subtract for each clip, and average afterwards. The reason: losses vary far
more from clip to clip than from caption to caption, and what varies from clip to clip cancels in the difference.

**What to look at.** Guess first: at which noise level does a wrong caption cost most? Then look where each curve has
its peak, which curve is highest, and whether an interval touches the line at 0.
"""


# %%
def losses(model, clean, captions, level, seed=0):
    """Error of the velocity for each clip (B,), all frames at one noise level. clean: latents."""
    process = model.settings.process
    noise = np.random.default_rng(seed).standard_normal(clean.shape, dtype=np.float32)
    levels = np.full(clean.shape[:2], level, np.float32)
    x = process.mix(clean, noise, levels).astype(np.float32)
    wanted, found = process.target(clean, noise, levels), []
    tokens = model.tokenizer.encode(captions)
    for start in range(0, len(x), 8):  # eight clips at a time
        part = slice(start, start + 8)
        with ag.no_grad():
            found.append(model.transformer(x[part], levels[part], tokens[part]).data)
    return ((np.concatenate(found) - wanted) ** 2).mean(axis=(1, 2, 3, 4))


def real(model, count, digits):
    settings = model.settings
    clips = CaptionedClips(
        source, settings.size, settings.num_frames, settings.digit_size, num_digits=(digits,), synonyms=False
    ).batch(np.random.default_rng(1), count)
    return clips, model.autoencoder.encode(clips.video)


OPPOSITE = {name: next(w for w, step in DIRECTIONS.items() if step == (-y, -x)) for name, (y, x) in DIRECTIONS.items()}


def other_digits(motions):
    free = [digit for digit in range(10) if digit not in [motion.digit for motion in motions]]
    return [motion._replace(digit=free[(motions[0].digit + k) % len(free)]) for k, motion in enumerate(motions)]


def opposite_directions(motions):
    return [motion._replace(direction=OPPOSITE[motion.direction]) for motion in motions]


clips, clean = real(model, size(48, 4), digits=1)
wrong = {
    "another digit": [describe(other_digits(motions)) for motions in clips.labels],
    "opposite direction": [describe(opposite_directions(motions)) for motions in clips.labels],
    "no caption": [""] * len(clips.captions),
}
shown_levels = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95)
right = {level: losses(model, clean, clips.captions, level) for level in shown_levels}
rise = {
    (name, level): Estimate.average(losses(model, clean, told, level) - right[level])
    for name, told in wrong.items()
    for level in shown_levels
}

figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for (name, _), style in zip(wrong.items(), ("o-", "s--", "^:")):
    points = [rise[name, level] for level in shown_levels]
    mean = np.array([point.mean for point in points])
    spread = [mean - [point.low for point in points], [point.high for point in points] - mean]
    axes.errorbar(shown_levels, mean, spread, fmt=style, capsize=3, label=name)
axes.axhline(0, color="0.6", linewidth=1)
axes.set(xlabel="noise level", ylabel="rise of the loss", title="what a wrong caption costs (95% intervals)")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
for name in wrong:
    worst = max(shown_levels, key=lambda level: rise[name, level].mean)
    print(f"{name:19} costs most at level {worst}: +{rise[name, worst].mean:.3f} on {right[worst].mean():.3f}")

# %% [markdown]
r"""
At low noise the clip itself shows the digit and its direction. So the caption is hardly missed, although an opposite
direction already hurts. With more noise the caption says what the clip no longer shows, and a wrong one hurts more. Near pure noise it hurts less again: neither clip nor
caption tells where the digit starts or how it is written, so even the right caption yields a blur. A network that
ignores its text would give a flat line at 0.

Which of the two paths carries what? We give the wrong caption to one of them only, at noise level 0.85.
"""


# %%
class TwoTexts(Module):
    """Stands in for the text encoder: words of the captions given, the mean of others."""

    def __init__(self, text, tokens_for_mean):
        self.text, self.tokens_for_mean, self.at = text, tokens_for_mean, 0

    def forward(self, tokens):
        part = self.tokens_for_mean[self.at : self.at + len(tokens)]
        self.at += len(tokens)
        return self.text(tokens)[0], self.text(part)[1]


def with_mean_of(captions, told):
    text = model.transformer.text
    model.transformer.text = TwoTexts(text, model.tokenizer.encode(captions))
    try:
        return losses(model, clean, told, 0.85) - right[0.85]
    finally:
        model.transformer.text = text


for name in ("another digit", "opposite direction"):
    in_words = Estimate.average(with_mean_of(clips.captions, wrong[name]))
    in_mean = Estimate.average(with_mean_of(wrong[name], clips.captions))
    print(
        f"{name:19} in both {rise[name, 0.85].mean:+.3f}, in the words only {in_words.mean:+.3f}, "
        f"in the mean only {in_mean.mean:+.3f}"
    )

# %% [markdown]
r"""
Everything goes through cross-attention. The architecture doesn't decide which path a
trained network uses. One has to measure it.

## Guidance

**Claim.** A network that was trained with *and* without captions can follow them more closely than it was trained to.

In training, one caption in ten, chosen at random, is replaced by an empty one. So the same network predicts with a
caption and without. In sampling we compute both, and combine them:

$$\text{guided} = u + s\,(c - u),$$

where $c$ is the prediction with the caption, $u$ the prediction without, and $s$ the [guidance
scale](glossary.md#guidance-scale). The scale $s = 0$ ignores the caption. With $s = 1$ we get $c$. With $s > 1$ we go
beyond $c$, further away from $u$. First the simple loop, then the library:
"""

# %%
x = generator.standard_normal((2, 8, 8, 8, 4), dtype=np.float32)
levels = np.full((2, 8), 0.7, np.float32)
told = model.tokenizer.encode(["a 3 moving right", "a 7 moving up"])
empty = model.tokenizer.encode(["", ""])


def network(x, level, tokens):
    with ag.no_grad():
        return model.transformer(x, level, tokens).data


at_once = guided(network, told, empty, 3.0)(x, levels)
for clip in range(2):
    one = slice(clip, clip + 1)
    c, u = network(x[one], levels[one], told[one]), network(x[one], levels[one], empty[one])
    assert np.allclose(u + 3.0 * (c - u), at_once[one], atol=1e-3)

# %% [markdown]
r"""
Why should $s$ be larger than 1? The reason is Bayes' rule. Let $x$ be the noisy clip and $y$ the caption, and let $c$
and $u$ be guesses of the *clean* clip. The best guess is tied to the [score](glossary.md#score) ([chapter
4](04_removing_noise.ipynb)): $c = (x + \sigma^2\, \nabla_x \log p(x \mid y)) / \alpha$, and the same for $u$ with
$p(x)$. Bayes' rule says $\log p(x \mid y) = \log p(y \mid x) + \log p(x) - \log p(y)$, and $\log p(y)$ has no gradient
in $x$. So the difference of the two is

$$c - u = \frac{\sigma^2}{\alpha}\, \nabla_x \big[\log p(x \mid y) - \log p(x)\big]
= \frac{\sigma^2}{\alpha}\, \nabla_x \log p(y \mid x).$$

So $c - u$ points to where the caption becomes *more likely*. With scale $s$, the score at each noise level is that of
$p(x)\, p(y \mid x)^s$: the larger $s$, the more a clip has to look like its caption and like no other.

In one dimension all of it can be computed exactly. A "clip" is then a single number. There are two kinds of them,
around $-1$ and around $+1$, and the "caption" asks for the kind around $+1$. We first check the equation for $c - u$
with central differences.
"""

# %%
curve = make("rectified_flow")
SPREAD = 0.8


def terms(x, level):
    """alpha, sigma, the variance of x (all kinds alike), and how likely +1 is. x (B, 1, 1, 1, 1), level (B, 1)."""
    t = level[:, :, None, None, None]
    alpha, sigma = curve.alpha(t), curve.sigma(t)
    variance = (alpha * SPREAD) ** 2 + sigma**2
    return alpha, sigma, variance, 1 / (1 + np.exp(-2 * alpha * x / variance))


def exact(x, level, wanted):
    """The best possible prediction of the clean number; wanted (B,): +1, or 0 for either kind. x (B, 1, 1, 1, 1)."""
    alpha, _, variance, share = terms(x, level)
    kinds = [k + alpha * SPREAD**2 / variance * (x - alpha * k) for k in (-1, 1)]
    return np.where(wanted.reshape(-1, 1, 1, 1, 1) == 1, kinds[1], (1 - share) * kinds[0] + share * kinds[1])


x, level, ask = generator.standard_normal((5, 1, 1, 1, 1)), np.full((5, 1), 0.6), np.ones(5)
alpha, sigma, *_ = terms(x, level)
slope = (np.log(terms(x + 1e-4, level)[3]) - np.log(terms(x - 1e-4, level)[3])) / 2e-4  # of log p(y | x)
assert np.allclose(exact(x, level, ask) - exact(x, level, 0 * ask), sigma**2 / alpha * slope)

# %% [markdown]
r"""
Now sample with four scales.

**What to look at.** The solid bell is the kind that we asked for, the dotted bell the other one. In which panel do the bars
fill the solid bell exactly? In the panels after it, watch two things: what is left on the wrong side of 0, and where the
middle of the bars has gone.
"""

# %%
numbers = size(4000, 400)
start = generator.standard_normal((numbers, 1, 1, 1, 1))
figure, panels = plt.subplots(1, 4, figsize=(9.5, 2.4), layout="constrained", sharey=True)
bins, deviations = np.linspace(-4, 5, 46), []
for axes, scale in zip(panels, (0, 1, 2, 5)):
    denoise = guided(exact, np.ones(numbers), np.zeros(numbers), scale)
    drawn = sample(denoise, start, level_matrix(40, numbers, 1), Process(curve, "clean"), sampler="ddim").ravel()
    deviations.append(drawn.std())
    axes.hist(drawn, bins, density=True, alpha=0.7)
    for middle, style in ((-1, ":"), (1, "-")):
        bell = np.exp(-((bins - middle) ** 2) / (2 * SPREAD**2)) / (SPREAD * np.sqrt(2 * np.pi))
        axes.plot(bins, bell, style, color="0.3", linewidth=1)
    axes.set_title(f"scale {scale}: wrong side {(drawn < 0).mean():.1%}", fontsize=9)
plt.show()
print("deviation of what is drawn:", ", ".join(f"{value:.2f}" for value in deviations))
assert abs(deviations[1] - SPREAD) < 0.1  # scale 1 draws the kind as it is

# %% [markdown]
r"""
Scale 0 draws both kinds. Scale 1 draws exactly the kind that was asked for, and so some of its numbers lie on the wrong
side. Larger scales clear the wrong side, but what they draw is no longer that kind: it is narrower, and pushed away
from the other one. So guidance makes it more certain that a draw fits its caption. The price is that draws vary less,
and are less like the data.

Now we do the same with clips, all from the same noise.

**What to look at.** Compare the rows from top to bottom. In which row can you first read the digit? In which does it
first move up? In which do the strokes begin to break?
"""

# %%
prompt, scales = "an 8 moving up", (0, 1, 2, 4, 8)
steps = size(24, 2)
figure, rows = plt.subplots(len(scales), 1, figsize=(8, 5.4), layout="constrained")
for axes, scale in zip(rows, scales):
    clip = model.generate(prompt, seed=3, steps=steps, guidance_scale=scale)[0]
    draw_strip(axes, clip, label=f"scale {scale}")
figure.suptitle(f"'{prompt}' from one seed", fontsize=10)
plt.show()

# %% [markdown]
r"""
One seed proves nothing, so we count right clips over many prompts, as in chapter 0. We also watch the standard
deviation of the latents. If it is larger than that of real clips, guidance is overdone.
"""

# %%
asked = [
    f"a {digit} moving {direction}" for digit in range(10) for direction in ("right", "up", "down and left", "left")
]
asked = asked[: size(24, 4)]
deviation_of_real = clean.std()
table_of_scales = {}
for scale in scales:
    *_, last = model.denoise(asked, seed=5, steps=steps, guidance_scale=scale)
    seen = observe(model.decode(last.x), model.settings.digit_size, 1)
    share = Estimate.share(prompt_metrics(seen, read_captions(asked, model.settings.size))["obeys"])
    table_of_scales[scale] = share, last.x.std() / deviation_of_real
    print(f"scale {scale}: right {share.mean:4.0%} ({share.low:.0%} to {share.high:.0%}), "
          f"deviation {table_of_scales[scale][1]:.2f} of that of real latents")  # fmt: skip

# %% [markdown]
r"""
Without guidance (scale 1) most clips are right already. So few prompts can't tell the scales from 1 to 4 apart. From 2
on, the latents spread further than real ones do. At the largest scale the strokes come apart, and many clips are wrong. Guidance also doubles the cost of every step,
since the network is called with and without the caption. It need not act at all noise levels: `interval` switches it on
between two of them, here 0.2 and 0.9.
"""

# %%
scale_at = interval(3.0, 0.2, 0.9)
print([float(scale_at(np.array([[level]]))[0, 0]) for level in (0.1, 0.5, 0.95)])

# %% [markdown]
r"""
## Bags of words

So the text is used. But does the network know which words belong together? The weights `joint` can draw two digits. We
give them captions with the two directions exchanged: "a 3 moving up and a 7 moving right" instead of "a 3 moving right
and a 7 moving up". The words are the same. Only which digit moves where is different.

**What to look at.** Compare the first line with the other two. If exchanged directions cost almost nothing, the network
knows the words, but not which of them belong together.
"""

# %%
large = TextToVideo.load("joint")  # 64 x 64 pixels, 16 frames, one or two digits
pairs, clean_pairs = real(large, size(24, 3), digits=2)


def exchanged(motions):
    first, second = motions
    return [first._replace(direction=second.direction), second._replace(direction=first.direction)]


# Only clips in which the exchange says something else.
kept = [clip for clip, (first, second) in enumerate(pairs.labels) if first.direction != second.direction]
clean_pairs, motions = clean_pairs[kept], [pairs.labels[clip] for clip in kept]
truth = [describe(each) for each in motions]
level = 0.85
base = losses(large, clean_pairs, truth, level)
costs_of_error = {}
for name, change in (
    ("directions exchanged", exchanged),
    ("other digits", other_digits),
    ("opposite directions", opposite_directions),
):
    told = [describe(change(each)) for each in motions]
    costs_of_error[name] = Estimate.average(losses(large, clean_pairs, told, level) - base)
for name, cost in costs_of_error.items():
    print(f"{name:20} {cost.mean:+.4f} ({cost.low:+.4f} to {cost.high:+.4f}) on a loss of {base.mean():.3f}")
print(f"positions of the words in these weights: {large.transformer.config.text_positions}")
share_of_opposite = costs_of_error["directions exchanged"].mean / costs_of_error["opposite directions"].mean
print(f"an exchange costs {share_of_opposite:.1%} of what opposite directions cost")

# %% [markdown]
r"""
After an exchange the caption says of each digit what is true of the other, so it should cost something. It didn't
always. The first weights of this project that drew two digits had these rises at the same noise level, after 10,000
steps and on 48 clips (`examples/results/tried.md`):

| directions exchanged | other digits | opposite directions |
|---|---|---|
| -0.0006 | +0.024 | +0.304 |

They knew the digits and the directions of a caption, but not which digit goes in which direction. The caption was a
*bag of words*. There was no error, the loss fell as it should, and one prompt in ten came out right. Guidance couldn't
help, since it only strengthens what the network knows.

What had gone wrong? The encoder must *bind* "right" to its "3": it must know that they belong together. For that it
must know where each word stands. The encoder of that time got the places as waves: a vector for each place was *added*
to the word ([Vaswani et al. 2017](references.md#vaswani-2017), [chapter 6](06_patches_and_positions.ipynb)). We compare
the length of the vector of a word with that of the waves:
"""

# %%
fresh = TextEncoder(len(model.tokenizer), 128, 2, 4, np.random.default_rng(0), positions="sincos")
length = np.linalg.norm(fresh.embedding.table.data, axis=1).mean()
print(f"length of a word: {length:.1f}; of the waves added to it: 1.0")

# %% [markdown]
r"""
The waves are small beside the words, so the encoder hardly notices them. The vectors of the words had been made longer
for a reason: it was one of three changes that ended the confusion of left and right. (Which of the three did it, nobody
measured.) So the cure of one fault had caused the other.

*Rotary* positions ([chapter 6](06_patches_and_positions.ipynb)) leave the words as they are. They turn queries and keys
instead, so that a score depends on how far apart two words stand.

**Claim.** With rotary positions a text encoder learns to bind in a number of steps in which it doesn't with added
waves. We need no video model to see that. We train the encoder with a small *reader* behind it, which gets a caption
and a digit, and answers with the digit's direction.

A bag of words can only guess between the two directions that it holds. In 1 caption of 4 they are equal, and the guess is right.
Otherwise it is right half of the time:

$$\tfrac14 \cdot 1 + \tfrac34 \cdot \tfrac12 = \tfrac58.$$

**What to look at.** Which row of the table stays near 62%? Which passes it, and after how many steps?
"""

# %%
four = CaptionReader.ANSWERS[:4]  # right, left, up, down
reader_tokenizer = Tokenizer(("a", "and", *"0123", *four), max_words=8)


def learning_curve(positions, steps, seed=0):
    """Share of right answers in each step of training."""
    generator = np.random.default_rng(seed)
    text = TextEncoder(len(reader_tokenizer), 32, 2, 2, generator, positions)
    reader, right = CaptionReader(text, 2, generator), []
    optimizer = AdamW(reader.parameters(), 3e-3)
    for _ in range(steps):
        digits = np.array([generator.permutation(4)[:2] for _ in range(32)])
        asked_for = generator.integers(4, size=(32, 2))
        told = [f"a {a} {four[p]} and a {b} {four[q]}" for (a, b), (p, q) in zip(digits, asked_for)]
        answer = reader(reader_tokenizer.encode(told), digits)  # (B, 2, 11)
        right.append((answer.data.argmax(axis=-1) == asked_for).mean())
        parameters = reader.parameters()
        found = ag.gradients(ag.cross_entropy(answer, asked_for), parameters.values())
        optimizer.step(dict(zip(parameters, found)))
    return np.array(right)


steps_learnt = size(200, 20)
learnt = {positions: learning_curve(positions, steps_learnt) for positions in ("rotary", "sincos")}
marks = [steps_learnt // 8 * part for part in (1, 2, 4, 6, 8)]
print("right answers up to step".ljust(26), *(f"{mark:>5}" for mark in marks))
for positions, right_share in learnt.items():
    print(positions.ljust(26), *(f"{right_share[max(0, mark - 10) : mark].mean():5.0%}" for mark in marks))
last_share = {name: values[-size(30, 5) :].mean() for name, values in learnt.items()}
print("; ".join(f"{name}: {share:.0%} right at the end" for name, share in last_share.items()))
assert steps_learnt < 200 or (last_share["rotary"] > 0.95 and last_share["sincos"] < 0.75)

# %% [markdown]
r"""
This took two hundred steps and some seconds. The training of the whole video model hadn't learnt it in 10,000 steps.
The text encoder has rotary positions by default now.

An encoder that *can* bind needn't learn to do so inside a video model. In an early training of the preset `full`, the
words had rotary positions, but clips of other shapes and clips that turn took part from the start. After 2,500 steps an
exchange of directions cost no more than 0.0015. Most of a clip can be denoised without the words, so the loss on
latents makes the network learn them last.

So the encoder learns to read *before* the video model is trained. The reader above is the library's `CaptionReader`. In
`minivdit train full` it is a stage of its own, between autoencoder and transformer, and takes a minute or two. After
this stage, and with other shapes and turns left to the end of the training, an exchange cost 0.028 by step 1,600: each
digit was bound to its direction. Both changes were needed. With reading first, but shapes and turns from the start, an
exchange cost 0.001 at step 1,400 (`examples/results/tried.md`). Large systems do the same: their text encoders have
been trained on much text before they see a picture.

## Exercises

Worked solutions are in [solutions/08_text_guidance](solutions/08_text_guidance.ipynb).

**1. From words to pieces.** Large systems don't list words. They begin with letters and merge, again and again, the pair of
neighbours that occurs most often: *byte-pair encoding*. Do one merge. `tokens` is a list of integers. Count every place where
two stand side by side, find the pair that occurs most often, and go from left to right: replace each occurrence of the pair
by the number `new`. Return the list.
"""


# %%
def merge_pair(tokens, new):
    pass  # fill me in, about 8 lines


check.ch08_merge(merge_pair)

# %% [markdown]
r"""
**2. Cross-attention for a whole batch.** You get `q` (B, h, N, d), `k` (B, h, L, d), `v` (B, h, L, dv), and `present`
(B, L), which is True where there is a word. Return what the patches receive (B, h, N, dv). In a clip without a single
word, they receive zeros. No loops.
"""


# %%
def look_at_words(q, k, v, present):
    pass  # fill me in, about 5 lines


check.ch08_cross(look_at_words)

# %% [markdown]
r"""
**3. Guidance that doesn't spread.** You saw that guided latents spread too far. [Lin et al.
2023](references.md#lin-2023) scale the guided prediction $g$ so that in each clip its standard deviation is that of
$c$. Then they mix both: $\phi\, g\,\mathrm{std}(c)/\mathrm{std}(g) + (1 - \phi)\, g$. Return this mixture.
`conditional` ($c$) and `unconditional` ($u$) are (B, T, H, W, C). `scale` (B, T) is the guidance scale of each frame,
and `phi` is a number.
"""


# %%
def guide(conditional, unconditional, scale, phi):
    pass  # fill me in, about 4 lines


check.ch08_guide(guide)

# %% [markdown]
r"""
**4. Is the rise real?** `right` and `wrong` (n,) are the losses of the same n clips with the right and with a wrong caption.
Return the mean rise and its standard error: the standard deviation of the rises, with n - 1 in its denominator, over $\sqrt n$.
Does it matter whether you subtract first?
"""


# %%
def rise_of(right, wrong):
    pass  # fill me in, about 2 lines


check.ch08_rise(rise_of)

# %% [markdown]
r"""
**5. Train: cure the waves.** With `positions="sincos"` the encoder stayed a bag of words. Make it learn to bind, with
the waves: keep `positions="sincos"`, the width, the depth and the 200 steps. Change something else, before the training
or in it. Begin with a copy of `learning_curve` that returns the reader. Then fill in `which_way`: it gets `captions`, a
list of B strings such as `"a 2 left and a 0 up"`, and `digits` (B, 2), the digits in each. It returns the directions
(B, 2), as places in `four`. **To reach: 90%.**
"""


# %%
def which_way(captions, digits):
    pass  # train a reader first; then about 2 lines


check.ch08_bind(which_way)

# %% [markdown]
r"""
**6. Break it: a negative scale.** Guidance with $s = -1$ goes away from the caption. Will "a 5 moving up" move down? Say what
you expect, and why. Then draw 24 prompts and count the directions. Look at single frames, too, and explain what you see with
the equation of $c - u$.

**7. Open.** `interval(3.0, low, high)` guides only between two noise levels. Find the smallest interval with which the
share of right prompts is as high as with guidance at all levels. Where does it lie? What would you measure to see what
a small interval gains?

## In practice

- In **Stable Diffusion** the picture attends to the text by cross-attention ([Rombach et al.
  2022](references.md#rombach-2022)). **DiT** put its class label into adaLN alone ([Peebles and Xie
  2023](references.md#peebles-2023)). **CogVideoX** takes neither path: words and patches stand in one sequence and look
  at each other ([Yang et al. 2024](references.md#yang-2024)).
- **Text encoders** of large systems are often language models such as T5. They were trained on text alone, and aren't trained
  further. **Imagen** found that a larger text encoder helps more than a larger image model, and that large guidance scales
  drive pixels out of their range ([Saharia et al. 2022](references.md#saharia-2022)).
- **Guidance** is due to [Ho and Salimans 2022](references.md#ho-2022). At heavy noise it costs variety, and at light
  noise it does little. This is the reason for `interval` ([Kynkäänniemi et al. 2024](references.md#kynkaanniemi-2024)).
  A [negative prompt](glossary.md#negative-prompt) takes the place of the empty caption in $u$.
- **Bags of words** aren't a fault of toys only. Large vision-language models trained on pairs of pictures and captions behave
  like that, too ([Yuksekgonul et al. 2022](references.md#yuksekgonul-2022)).

## Further reading

- `examples/results/tried.md`: both stories of this chapter with all their figures. `minivdit/models/text.py` and
  `minivdit/diffusion/guidance.py`.
- The test in `tests/models/test_text.py` that keeps captions from becoming bags of words again.

Next: [chapter 9](09_latent_diffusion.ipynb), latent diffusion; or [the map](README.md#the-map).
"""
