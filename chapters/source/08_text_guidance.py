# %% [markdown]
r"""
# 8. Text guidance: captions, cross-attention, classifier-free guidance

*About 60 minutes with the exercises. Runs in two minutes.*

**You'll do:** turn words into vectors and let patches of a clip look at them; measure how much worse the network gets with a
wrong caption; turn the knob of guidance from nothing to far too much; and repeat the experiment that explained a real
failure of this project.

**You'll learn:** the two ways by which text enters; how to *measure* whether it is used; what
[classifier-free guidance](glossary.md#classifier-free-guidance) buys and what it costs; how a caption becomes a
[bag of words](glossary.md#bag-of-words), and why nothing crashes when it does.

**You need:** [chapter 3](03_adding_noise.ipynb) and [chapter 5](05_attention.ipynb); the transformer block ([chapter 7](07_the_transformer_block.ipynb))
helps.

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

A network takes numbers, so each word of the grammar gets one: its place in a list. 1 starts every caption, so that
an empty caption is still something to look at; 0 fills up to equal length. The simple loop, and the library's:
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
print(tokens)

# %% [markdown]
r"""
The numbers mean nothing: 14 isn't twice 7. So the first thing the [text encoder](glossary.md#text-encoder) does is
replace each number by a row of a table, the *embedding*, which is learnt. Picking a row is the same as multiplying with a
vector of zeros and a single one, and that is how its gradient comes about.
"""

# %%
table = model.transformer.text.embedding.table.data  # (words, width)
one_hot = np.eye(len(table), dtype=np.float32)[tokens]  # (B, L, words)
assert np.array_equal(one_hot @ table, table[tokens])

# %% [markdown]
r"""
## Words that see each other

"3" and "right" say more together than apart. So the rows pass through a small transformer, in which words look at each
other. Out come a vector for each word, (B, L, width), and the mean of them, (B, width). **Claim.** After training, the
means lie apart where the meaning differs, and close where only the words do. We draw the distances between captions.
"""


# %%
def text_mean(captions):
    with ag.no_grad():
        return model.transformer.text(model.tokenizer.encode(captions))[1].data


ways = list(DIRECTIONS)
same = [f"a 3 moving {way}" for way in ways]
other_words = [f"the digit three is drifting {way}" for way in ways]


def distances(first, second):
    return np.linalg.norm(text_mean(first)[:, None] - text_mean(second)[None], axis=-1)


apart, synonyms = distances(same, same), np.diagonal(distances(same, other_words))
nearest = apart[~np.eye(len(ways), dtype=bool)].min()
figure, axes = plt.subplots(figsize=(5.4, 4.2), layout="constrained")
picture = axes.imshow(apart, cmap="cividis")
axes.set_xticks(range(len(ways)), ways, rotation=60, ha="right", fontsize=8)
axes.set_yticks(range(len(ways)), ways, fontsize=8)
axes.set_title("distance between the vectors of 'a 3 moving ...'", fontsize=10)
figure.colorbar(picture, ax=axes)
plt.show()
print(f"two ways are at least {nearest:.2f} apart; the same way in other words is {synonyms.max():.2f} apart at most")

# %% [markdown]
r"""
This picture once looked different. In an early training of this project left and right were 0.09 apart and up 1.8 away
from both: the two had become one word, "sideways" (a trace of that is still there among right, left, up and down: opposite ways are
nearer to each other than ways at right angles; among the slanted ones it is the other way round), and clips went either way (`examples/results/tried.md` tells how that was
found). A distance matrix costs nothing; look at it before you blame the transformer.

## Patches look at words

*Cross-attention* is the attention of [chapter 5](05_attention.ipynb) with queries from one place and keys and values from
another: patches ask, words answer. The simple loop, for one clip with the weights of the first block:
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
Padding gets no weight: an exponential that is never counted. The output is *added* to the patch, and its last matrix starts
at zero, so that a fresh block doesn't know that there is text.

Text has a second way in. The mean of the words is added to what describes the [noise level](glossary.md#noise-level), and
shifts and scales every normalisation of every block (adaLN). Every frame gets the same there; a
*choice* of words for each patch only cross-attention can make.

## Is the text used?

A network that ignores its captions has no error to show: it draws fine clips of something else. Clips by themselves
take long to judge. **Claim.** A quicker sign is the loss on real clips with the right and with a wrong caption, same
noise, level by level. Only the *difference* counts, clip by clip; the loss itself varies far more from clip to clip.
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


def opposite_ways(motions):
    return [motion._replace(direction=OPPOSITE[motion.direction]) for motion in motions]


clips, clean = real(model, size(48, 4), digits=1)
wrong = {
    "another digit": [describe(other_digits(motions)) for motions in clips.labels],
    "opposite way": [describe(opposite_ways(motions)) for motions in clips.labels],
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
    print(f"{name:15} costs most at level {worst}: +{rise[name, worst].mean:.3f} on {right[worst].mean():.3f}")

# %% [markdown]
r"""
At low noise the clip tells what it shows, and the caption is hardly needed. With more noise the caption knows what the clip
doesn't show any more, and a wrong one hurts. Near pure noise it hurts less again: where the digit starts and how it is
written nobody knows there, so that even with the right caption the answer is a blur. A flat line at 0 would be a text that is ignored, with or without nice clips.

Which of the two ways in carries what? Give the wrong caption to one of them only.
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


for name in ("another digit", "opposite way"):
    in_words = Estimate.average(with_mean_of(clips.captions, wrong[name]))
    in_mean = Estimate.average(with_mean_of(wrong[name], clips.captions))
    print(
        f"{name:15} in both {rise[name, 0.85].mean:+.3f}, in the words only {in_words.mean:+.3f}, "
        f"in the mean only {in_mean.mean:+.3f}"
    )

# %% [markdown]
r"""
Nearly all of it goes through cross-attention, though a mean could well carry a single digit's way. Which path a network
takes isn't decided by the architecture alone; so it has to be measured.

## Guidance

**Claim.** A network that was trained with *and* without captions can be made to follow them more closely than it does.

Training hides every tenth caption. So the same network answers two questions, and in sampling we ask both:

$$\text{guided} = u + s\,(c - u), \qquad c \text{ with the caption, } u \text{ without}, \quad s \text{ the guidance scale.}$$

$s = 0$ ignores the caption, $s = 1$ is the network as it is, $s > 1$ goes on beyond it. Simple loop and library:
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
Why beyond 1? Even a perfect $c$ draws the caption's kind as it is, overlap with other kinds included, and a network's $c$ is
blurrier than that. By Bayes' rule, for guesses at the *clean* clip, $c - u$ is $\sigma^2/\alpha$ times the slope of
$\log p(\text{caption} \mid x)$: it points to where the caption becomes *more certain*. (For noise and velocity the sign is the
opposite one, and guiding them comes to the same.) In one dimension all can be computed exactly: two
kinds of numbers, around $-1$ and $+1$; we ask for $+1$.
"""

# %%
curve = make("rectified_flow")
SPREAD = 0.8


def exact(x, level, wanted):
    """The best possible prediction of the clean number; wanted (B,): +1, or 0 for either kind. x (B, 1, 1, 1, 1)."""
    t = level[:, :, None, None, None]
    alpha, sigma = curve.alpha(t), curve.sigma(t)
    variance = (alpha * SPREAD) ** 2 + sigma**2
    kinds = [k + alpha * SPREAD**2 / variance * (x - alpha * k) for k in (-1, 1)]
    share = 1 / (1 + np.exp(-2 * alpha * x / variance))  # how likely +1 is
    return np.where(wanted.reshape(-1, 1, 1, 1, 1) == 1, kinds[1], (1 - share) * kinds[0] + share * kinds[1])


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
(The solid bell is what was asked for, the dotted one the other kind.) Scale 1 draws exactly the kind that was asked
for, overlap included. A larger scale clears the wrong side, and what it draws is no longer the kind: it is shifted
away from the other one. Guidance isn't more truth; it trades truth and variety for certainty.

The same knob on clips, from the same noise:
"""

# %%
prompt, scales = "a 5 moving up", (0, 1, 2, 4, 8)
steps = size(24, 2)
figure, rows = plt.subplots(len(scales), 1, figsize=(8, 5.4), layout="constrained")
for axes, scale in zip(rows, scales):
    clip = model.generate(prompt, seed=3, steps=steps, guidance_scale=scale)[0]
    draw_strip(axes, clip, label=f"scale {scale}")
figure.suptitle(f"'{prompt}' from one seed", fontsize=10)
plt.show()

# %% [markdown]
r"""
One seed proves nothing; count, as in chapter 0. Beside the share that is right, we watch the latents: how far their deviation is
from that of real clips, a sign of overdone guidance.
"""

# %%
asked = [f"a {digit} moving {way}" for digit in range(10) for way in ("right", "up", "down and left", "left")]
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

figure, (left, right_panel) = plt.subplots(1, 2, figsize=(8.5, 2.9), layout="constrained")
shares = [table_of_scales[scale][0] for scale in scales]
mean = np.array([share.mean for share in shares])
left.errorbar(scales, mean, [mean - [s.low for s in shares], [s.high for s in shares] - mean], fmt="o-", capsize=3)
left.set(xlabel="guidance scale", ylabel="digit and way right", ylim=(0, 1.02), title=f"{len(asked)} prompts")
right_panel.plot(scales, [table_of_scales[scale][1] for scale in scales], "s--")
right_panel.axhline(1, color="0.6", linewidth=1)
right_panel.set(xlabel="guidance scale", ylabel="deviation / real", title="latents")
for axes in (left, right_panel):
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
r"""
The first steps of the knob are the large ones. Beyond them little is won, while the latents spread further than real ones
do, and at the largest scale the strokes come apart. Guidance doubles the cost of every step, and need not act at all levels:
`interval` switches it on between two of them only, here from 0.2 to 0.9.
"""

# %%
scale_at = interval(3.0, 0.2, 0.9)
print([float(scale_at(np.array([[level]]))[0, 0]) for level in (0.1, 0.5, 0.95)])

# %% [markdown]
r"""
## Bags of words

The text is used, then. But *how*? The weights `joint` draw two digits. Ask them with the two ways exchanged:
"a 3 moving up and a 7 moving right" for "a 3 moving right and a 7 moving up". The words are the same. Only who does
what is different.
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
    ("ways exchanged", exchanged),
    ("other digits", other_digits),
    ("opposite ways", opposite_ways),
):
    told = [describe(change(each)) for each in motions]
    costs_of_error[name] = Estimate.average(losses(large, clean_pairs, told, level) - base)
for name, cost in costs_of_error.items():
    print(f"{name:15} {cost.mean:+.4f} ({cost.low:+.4f} to {cost.high:+.4f}) on a loss of {base.mean():.3f}")
print(f"positions of the words in these weights: {large.transformer.config.text_positions}")
share_of_opposite = costs_of_error["ways exchanged"].mean / costs_of_error["opposite ways"].mean
print(f"an exchange costs {share_of_opposite:.1%} of what opposite ways cost")

# %% [markdown]
r"""
An exchange should cost something: it says of each digit what is true of the other. It wasn't always so. The first weights of
this project that drew two digits had these rises at the same level, after 10,000 steps and on 48 clips (`examples/results/tried.md`):

| ways exchanged | other digits | opposite ways |
|---|---|---|
| -0.0006 | +0.024 | +0.304 |

They knew which digits there are and which ways are gone, and nothing of who goes where: a *bag of words*. Nothing crashed, the
loss fell as it should, and one prompt in ten came out right. Guidance didn't help: there is no direction "more bound" to go
on in.

Why? Their words had other positions. To bind "right" to its "3", a word must find its *neighbour*, and for that it must know where words stand. Waves
for the positions ([Vaswani et al. 2017](references.md#vaswani-2017)) are added to the words. Look at the lengths of both:
"""

# %%
fresh = TextEncoder(len(model.tokenizer), 128, 2, 4, np.random.default_rng(0), positions="sincos")
length = np.linalg.norm(fresh.embedding.table.data, axis=1).mean()
print(f"length of a word: {length:.1f}; of the waves added to it: 1.0")

# %% [markdown]
r"""
The words drown their positions. It had a reason: longer words at the start were one of three changes after which left and right were
no longer one word (the story further up; which of the three did it wasn't measured). The cure of one illness brought the other. *Rotary* positions ([chapter 6](06_patches_and_positions.ipynb))
leave the words as they are and turn queries and keys, so that a fit depends on how far apart two words stand.

**Claim.** With rotary positions a text encoder learns to bind, in a time in which the added waves don't. You needn't train a
video model to see that: ask the encoder alone. A reader gets a caption and a digit, and answers with its way. A bag of
words can only guess between the two ways it holds. It is right when they are equal (1 in 4) and half of the time
otherwise: 5 in 8.
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
        ways = generator.integers(4, size=(32, 2))
        told = [f"a {a} {four[p]} and a {b} {four[q]}" for (a, b), (p, q) in zip(digits, ways)]
        answer = reader(reader_tokenizer.encode(told), digits)  # (B, 2, 11)
        right.append((answer.data.argmax(axis=-1) == ways).mean())
        parameters = reader.parameters()
        found = ag.gradients(ag.cross_entropy(answer, ways), parameters.values())
        optimizer.step(dict(zip(parameters, found)))
    return np.array(right)


steps_learnt = size(200, 20)
learnt = {positions: learning_curve(positions, steps_learnt) for positions in ("rotary", "sincos")}
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for (positions, right_share), style in zip(learnt.items(), ("-", "--")):
    smooth = np.convolve(right_share, np.ones(10) / 10, mode="valid")
    axes.plot(np.arange(len(smooth)) + 10, smooth, style, label=positions)
axes.axhline(5 / 8, color="0.6", linewidth=1)
axes.annotate("a bag of words is right 5 times in 8", (100, 0.52), fontsize=8, color="0.35")
axes.set(xlabel="step", ylabel="right (mean of 10 steps)", ylim=(0, 1.03), title="who goes where?")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
last_share = {name: values[-size(30, 5) :].mean() for name, values in learnt.items()}
print("; ".join(f"{name}: {share:.0%} right at the end" for name, share in last_share.items()))
assert steps_learnt < 200 or (last_share["rotary"] > 0.95 and last_share["sincos"] < 0.75)

# %% [markdown]
r"""
Two hundred steps, seconds on a laptop, for a question that 10,000 steps of a whole training hadn't answered. The text encoder has rotary
positions by default now. That it *can* bind doesn't say that a whole video model *will*, or when: with rotary words,
but other shapes and turning clips in the same training, an exchange of ways cost `full` no more than 0.0015 after 2,500 steps. Words are the last thing that a loss on
latents asks for: most of a clip can be denoised without them.

So let the encoder read *before* it draws. The reader above is the library's `CaptionReader`, which can be asked how fast,
too; a minute or two of it, with the whole language, is a stage of its own in `minivdit train full`, between
autoencoder and transformer. Begun like that, and with other shapes and turns put off to the end, a training had tied each digit
to its way by step 1,600: an exchange cost 0.028. Both changes were needed: with reading first, but shapes and turns from the
start, it cost 0.001 at step 1,400 (`examples/results/tried.md`). It is what large systems do, too: their text encoders have read a library before they see a picture.

## Exercises

Worked solutions are in [solutions/08_text_guidance](solutions/08_text_guidance.ipynb).

**1. A tokenizer.** From a list of captions (known words, single spaces), the list `words` and a `length`, the numbers
(B, length): 1 first, then for each word 2 + its place in `words`, then 0.
"""


# %%
def encode(captions, words, length):
    pass  # fill me in, about 5 lines


check.ch08_encode(encode)

# %% [markdown]
r"""
**2. Cross-attention with padding.** One head: `q` (N, d) of the patches, `k` (L, d) and `v` (L, dv) of the words, and `present`
(L,), True where there is a word. The usual scale.
"""


# %%
def look_at_words(q, k, v, present):
    pass  # fill me in, about 4 lines


check.ch08_cross(look_at_words)

# %% [markdown]
r"""
**3. Guidance with a scale for each frame.** `conditional` and `unconditional` are (B, T, H, W, C), `scale` is (B, T).
"""


# %%
def guide(conditional, unconditional, scale):
    pass  # fill me in, about 2 lines


check.ch08_guide(guide)

# %% [markdown]
r"""
**4. Is the rise real?** From the losses `right` and `wrong` of the same n clips, (n,) each: the mean rise and its standard
error (the deviation of the rises, with n - 1 in its denominator, over $\sqrt n$), as a pair. Think of what varies: clip to clip, or caption to caption on the same clip?
"""


# %%
def rise_of(right, wrong):
    pass  # fill me in, about 2 lines


check.ch08_rise(rise_of)

# %% [markdown]
r"""
## In practice

- **Stable Diffusion** lets the picture look at the text by cross-attention
  ([Rombach et al. 2022](references.md#rombach-2022)). **DiT** put its class label into adaLN alone
  ([Peebles and Xie 2023](references.md#peebles-2023)). **CogVideoX** lets its text in by neither way: words and patches
  stand in one sequence and look at each other ([Yang et al. 2024](references.md#yang-2024)).
- **Text encoders** of large systems are often language models trained on text alone, such as T5, and aren't trained further. **Imagen** found that a larger one helps more than
  a larger image model, and that large guidance scales drive pixels out of their range
  ([Saharia et al. 2022](references.md#saharia-2022)).
- **Guidance** is due to [Ho and Salimans 2022](references.md#ho-2022). At heavy noise it costs variety and at light noise it does
  little, hence `interval` ([Kynkäänniemi et al. 2024](references.md#kynkaanniemi-2024)).
- **Bags of words** are no toy illness: large vision-language models trained on pairs of pictures and captions behave like that,
  too ([Yuksekgonul et al. 2022](references.md#yuksekgonul-2022)).

## Further reading

- `examples/results/tried.md`: both stories of this chapter with all their figures. `minivdit/models/text.py` and
  `minivdit/diffusion/guidance.py`.
- The test in `tests/models/test_text.py` that keeps captions from becoming bags of words again.

Next: [chapter 9](09_latent_diffusion.ipynb), latent diffusion; or [the map](README.md#the-map).
"""
