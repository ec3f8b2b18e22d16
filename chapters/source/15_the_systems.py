# %% [markdown]
r"""
# 15. The systems: Sora to CogVideoX, each idea in miniature

*About 100 minutes with the exercises. Runs in half a minute.*

**You'll do:** take one idea from each of nine systems, run it in miniature with this library's parts, and measure it: what
it costs, which tokens it links, what it changes. In the exercises, train a small causal compressor.

**You'll learn:** which of these ideas are documented, and which are a sentence on a web page. Why the field went from
[factorised](glossary.md#factorised-attention) to [full attention](glossary.md#full-attention). What causal autoencoders,
[expert modulation](glossary.md#expert-modulation) and [stratified](glossary.md#stratified-sampling) noise levels are for.

**You need:** [chapter 11](11_joint_attention.ipynb), [chapter 12](12_the_bill.ipynb) and [chapter 14](14_every_ability.ipynb).

![Nine ideas of nine systems, by the part that they change](pictures/15.svg)
"""

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base import machine
from minivdit.data import CaptionedClips, DigitMotion, MixedClips, digit_source
from minivdit.generation import TextToVideo
from minivdit.lab.display.strips import draw_strip
from minivdit.lab.evaluation import seam
from minivdit.lab.lessons import check, size
from minivdit.models import costs
from minivdit.models.patches import patch_grid, patchify
from minivdit.models.patterns import average_attention_distance, reachable, with_occurrences

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

model = TextToVideo.load("small")  # 32 x 32 pixels, 8 frames
settings = model.settings
source = digit_source("strokes", split="test")
steps = size(16, 2)  # of sampling; few, for time's sake: see `settings.steps` for what is better


def clips_of(frames, height, width):
    return CaptionedClips(source, (height, width), frames, settings.digit_size, num_digits=(1,), synonyms=False)


def losses(clips, level, captions=None):
    """The error of what the network predicts, for each of some real clips at noise levels (B,): (B,)."""
    latents = model.autoencoder.encode(clips.video)
    noise = np.random.default_rng(1).standard_normal(latents.shape, dtype=np.float32)
    level = np.repeat(np.asarray(level, np.float32)[:, None], latents.shape[1], axis=1)  # (B, T)
    x = settings.process.mix(latents, noise, level).astype(np.float32)
    with ag.no_grad():
        told = model.tokenizer.encode(captions or clips.captions)
        prediction = model.transformer(x, level, told).data
    wanted = settings.process.target(latents, noise, level)
    return ((prediction - wanted) ** 2).mean(axis=(1, 2, 3, 4))


# %% [markdown]
r"""
## Who says what

Read this table before you believe anybody's diagram, this chapter's included. Four of the nine are products. Of these, hardly
more is public than what their makers chose to announce.

| system | what is public | the idea we take | what isn't public |
|---|---|---|---|
| **Sora** (OpenAI, 2024) | [a report](references.md#brooks-2024) that says it leaves model and implementation details out | space-time patches; native sizes and lengths | more of the architecture than "a diffusion transformer on patches"; sizes, data, cost |
| **Luma** Dream Machine (2024) | [a launch page](references.md#luma-2024): a transformer trained directly on videos | start and end frames, loops | all the rest |
| **Kling** (Kuaishou, 2024) | [announcements](references.md#kuaishou-2024): diffusion transformer, 3D VAE, joint space-time attention; later research papers by the team, not a report on that model | compression in time; joint attention | sizes, training, data |
| **Runway** Gen-3 (2024) | [an announcement](references.md#runway-2024): trained on videos and images together, with temporally dense captions | captions along the clip; a brush | architecture, all numbers |
| **Open-Sora** (HPC-AI Tech) | code, weights, reports: [1.x](references.md#zheng-2024), [2.0](references.md#peng-2025) | factorised, window and full attention; masks | little |
| **Open-Sora Plan** (Peking University and others) | code, weights, [report](references.md#lin-2024) | Skiparse; causal cache | little |
| **Mira** (Tencent ARC Lab, 2024) | code, weights, [paper on its data](references.md#ju-2024) | longer clips, structured captions | little |
| **CogVideo** (Tsinghua University, 2022) | [paper](references.md#hong-2022), code, weights | key frames, then frames between | little |
| **CogVideoX** (Zhipu AI and Tsinghua, 2024) | [paper](references.md#yang-2024), code, weights | causal 3D VAE, expert adaLN, joint attention, stratified levels | the data |

## Sora: any size, any length

A transformer takes any number of tokens. If a clip is cut into [patches](glossary.md#patch), and each carries its position,
one network takes a picture (a clip of one frame), a wide clip and a long one. Open-Sora's report 1.1 lists three ways to
train on all of them: masks in one batch, padding, or [buckets](glossary.md#bucket), where each batch has one shape. This
project has buckets, `MixedClips`.

**Claim.** If each batch has as many clips as fit into the main shape's pixels, every batch costs about the same in all
that is in proportion to tokens.
"""

# %%
shapes = {(8, 32, 32): 0.4, (1, 32, 32): 0.2, (8, 32, 64): 0.2, (16, 32, 32): 0.1, (4, 64, 32): 0.1}
main, *others = shapes
mixed = MixedClips(clips_of(*main), [(shapes[shape], clips_of(*shape)) for shape in others])
most, factor = 8 * math.prod(main), model.autoencoder.config.factor
for _ in range(8):
    batch = mixed.batch(generator, batch_size=8)
    clips, frames, height, width, _ = batch.video.shape
    grid = patch_grid((frames, height // factor, width // factor), model.transformer.config.patch_size)
    print(f"{clips:>3} clips of {frames:>2} x {height} x {width}: {clips * math.prod(grid):,} tokens")
    assert clips * frames * height * width <= most

# %% [markdown]
r"""
The network runs on all of these shapes. Whether it is *good* on them is another question. The weights `small` were trained
on 8 frames of 32x32 only. Here is their error on real clips, relative to that shape, and what they draw.

**What to look at:** the first strip is the shape of training. In the second, look for a digit that isn't one piece. In the
third, look at the last four frames, which are later than any frame in training.
"""

# %%
some = size(8, 2)
level = (np.arange(some) + 0.5) / some
own = losses(clips_of(*main).batch(np.random.default_rng(5), some), level).mean()
for shape in shapes:
    ratio = losses(clips_of(*shape).batch(np.random.default_rng(5), some), level).mean() / own
    print(f"{shape[0]:>2} frames of {shape[1]} x {shape[2]}: {ratio:5.2f} times the error on the shape of training")

figure, rows = plt.subplots(3, 1, figsize=(9, 4), layout="constrained", height_ratios=(1, 1, 1))
for axes, (frames, height, width) in zip(rows, ((8, 32, 32), (8, 32, 48), (12, 32, 32))):
    drawn = model.generate("a 3 moving right", frames, (height, width), seed=1, steps=steps)
    draw_strip(axes, drawn[0], label=f"{frames} x {height} x {width}")
figure.suptitle("'a 3 moving right', one network, three shapes (trained on the first)", fontsize=10)
plt.show()

# %% [markdown]
r"""
Sora's report draws the conclusion: train on native sizes, and framing and composition get better.

## Open-Sora and Open-Sora Plan: which tokens are linked, at what price

The reports of two open projects tell a similar story:

- **Open-Sora** 1.0 had factorised attention (STDiT, after Latte). Its report says that full attention did best in their trials at
  equal steps, but cost too much. Version 1.3 had shifted windows. Version 2.0 has full attention, with text and video in one
  sequence (MMDiT, [Esser et al. 2024](references.md#esser-2024)).
- **Open-Sora Plan** 1.2 had full attention and found it too expensive. Version 1.3 brought [Skiparse](glossary.md#skiparse): every
  k-th token, and in the next block every k-th run of k tokens.
- **Kling** and **CogVideoX** have full attention.

Here all of these are patterns, and the same code puts a price on each. The clip has 49 frames of 480x720. The smaller
CogVideoX sees it as 13 x 30 x 45 tokens of width 1,920. The [distance](glossary.md#average-attention-distance) between tokens
is measured on a small grid, where all pairs can be listed.

**What to look at:** compare the two bars of a pattern. Which pattern is short on both sides?
"""

# %%
grid, width, small_grid = (13, 30, 45), 1920, (8, 8, 8)
tokens = math.prod(grid)
roads = {
    "each frame alone": (["frame"] * 2, "the problem"),
    "frame, time": (["frame", "time"], "Latte, Open-Sora 1.0 to 1.2"),
    "shifted windows": (["window:4x4x4"] * 2, "in Open-Sora 1.3"),
    "skip 4, both ways": (["skip:4"] * 2, "Open-Sora Plan 1.3"),
    "joint": (["joint"] * 2, "Kling, CogVideoX, Open-Sora 2.0"),
}
joint = costs.block_flops(tokens, width)
table = {}
print(f"{'pattern':20}{'scores':>8}{'block':>8}{'distance':>10}{'seen after 2':>14}")
for name, (patterns, _) in roads.items():
    pairs = np.mean(
        [costs.score_pairs(pattern, grid, occurrence) for pattern, occurrence in with_occurrences(patterns)]
    )
    price = costs.block_flops(tokens, width, pairs) / joint
    seen = reachable(patterns, small_grid).mean()
    table[name] = price, average_attention_distance(patterns, small_grid), seen
    print(f"{name:20}{pairs / tokens**2:>8.1%}{price:>8.1%}{table[name][1]:>10.2f}{seen:>14.0%}")
assert table["joint"][0] == 1 and np.isinf(table["each frame alone"][1])
assert table["skip 4, both ways"][2] == table["frame, time"][2] == 1

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 2.9), layout="constrained", sharey=True)
place = np.arange(len(table))
left.barh(place, [price for price, _, _ in table.values()])
left.set_yticks(place, [f"{name}\n({who})" for name, (_, who) in roads.items()], fontsize=8)
left.set(xlabel="FLOPs of a block (joint: 1)", title=f"price: {tokens:,} tokens of width {width:,}")
right.barh(place, [min(far, 4) for _, far, _ in table.values()], color="C1", hatch="//")
right.set(xlabel="average attention distance", title="distance: 8 x 8 x 8 tokens", xlim=(0, 4))
right.annotate("never", (3.1, 0), va="center", fontsize=9, bbox=dict(facecolor="w", edgecolor="none"))
left.invert_yaxis()
plt.show()

# %% [markdown]
r"""
With `skip:4` only a quarter of the scores remain, and yet any two tokens are at most two blocks apart. Factorised attention
is cheaper still, and its tokens are at most two blocks apart as well. But fewer of them are linked directly. And no direct link joins
different places of different frames, which is where a moving thing is. The distance doesn't know which links a clip needs. To
know that, one has to train with equal budgets: `minivdit compare`.

## CogVideoX, Open-Sora Plan: a causal autoencoder in space and time

The autoencoder of the weights `small` compresses each frame by itself. (The preset `causal` has the other kind.) The big systems compress time as well, in CogVideoX 4 frames
to one. (Kling's announcement says "3D VAE", but not by how much.) **Claim.** The cost of a block falls by more than the
number of tokens, because the scores grow with its square.
"""

# %%
for name, frames in (("frames one by one", 49), ("4 to 1 in time, the first alone", 1 + 48 // 4)):
    n = frames * 30 * 45
    block = costs.block_flops(n, width)
    print(f"{name:32}{frames:>3} latent frames, {n:>6,} tokens, {machine.amount(block, 'FLOPs')} a block")

# %% [markdown]
r"""
The first frame stands alone so that a picture can be a clip of one frame. That takes [causal
convolutions](glossary.md#causal-convolution). With a kernel $w$ of $k$ numbers, newest first, the output at time $t$ is

$$y_t = \sum_{j=0}^{k-1} w_j\, x_{\max(t - j,\, 0)}.$$

It depends on no later frame, and the first frame is repeated before the beginning. First as a loop, for one number a frame:
"""


# %%
def causal_by_loop(x, kernel):
    """x (T,), kernel (k,), newest first: y[t] = sum_j kernel[j] x[t - j]."""
    y = np.zeros_like(x)
    for t in range(len(x)):
        for j in range(len(kernel)):
            y[t] += kernel[j] * x[max(t - j, 0)]
    return y


def causal(x, kernel, cache=None):
    """The same for a chunk (T, ...); cache: the k - 1 frames before it. Returns the chunk's output, and its cache."""
    before = np.repeat(x[:1], len(kernel) - 1, axis=0) if cache is None else cache
    whole = np.concatenate([before, x])
    y = sum(kernel[j] * whole[len(kernel) - 1 - j : len(whole) - j] for j in range(len(kernel)))
    return y, whole[len(whole) - (len(kernel) - 1) :]


x, kernel = generator.standard_normal(17), generator.standard_normal(3)
whole, _ = causal(x, kernel)
assert np.allclose(whole, causal_by_loop(x, kernel))
assert np.allclose(whole[:1], causal(x[:1], kernel)[0])  # a picture is the beginning of a clip

changed = x.copy()
changed[9] += 1
assert np.array_equal(np.flatnonzero(causal(changed, kernel)[0] != whole), [9, 10, 11])  # nothing before frame 9

parts, cache = [], None
for chunk in np.split(x, [5, 6, 12]):  # a long clip in pieces of any length, as it comes
    part, cache = causal(chunk, kernel, cache)
    parts.append(part)
assert np.allclose(np.concatenate(parts), whole)
print("chunks of 5, 1, 6 and 5 frames give what the whole clip gives")

# %% [markdown]
r"""
The last check is Open-Sora Plan's *causal cache*. Each layer keeps the last k - 1 frames of a chunk. So a clip of any length
can be encoded in pieces, with no seams and no overlaps.

## CogVideoX: expert adaptive layer norm

CogVideoX puts text and video into *one* sequence, and attention runs over both. But words and patches have different
statistics. So each kind has a shift and a scale of its own (an *expert*) in every [modulation](glossary.md#modulation):

$$y = \mathrm{norm}(x)\,(1 + \mathrm{scale}_{\text{kind}}) + \mathrm{shift}_{\text{kind}}.$$

In this project text usually comes in by cross-attention, and needs no experts.

**Claim.** A shift and a scale that are shared leave words and patches far apart. We take the words and the patches of the
`small` network and ask for mean 0 and standard deviation 1 in every channel. On the batch where they are fitted, experts reach
that by construction. So we fit them on one batch and measure on another.
"""


# %%
def words_and_patches(seed):
    """Rows of numbers of width D as the network's blocks get them: words of captions, and as many patches of latents."""
    made = clips_of(*main).batch(np.random.default_rng(seed), size(64, 8))
    with ag.no_grad():
        tokens = model.tokenizer.encode(made.captions)
        text = model.transformer.text(tokens)[0].data[tokens != 0]  # (words, D)
        latents = model.autoencoder.encode(made.video)
        patches = model.transformer.patch_in(patchify(latents, model.transformer.config.patch_size)).data
    patches = patches.reshape(-1, text.shape[1])
    return text, patches[np.random.default_rng(seed).permutation(len(patches))[: len(text)]]


def normalised(x, shift, scale):
    return ag.normalise_and_modulate(x[None], shift[None, None], scale[None, None]).data[0]  # (tokens, D)


def best(x):
    """The shift and scale with which layer norm of these tokens gets mean 0, standard deviation 1 in each channel."""
    plain = normalised(x, np.zeros(x.shape[1], np.float32), np.zeros(x.shape[1], np.float32))
    return -plain.mean(axis=0) / plain.std(axis=0), 1 / plain.std(axis=0) - 1  # modulate: x (1 + scale) + shift


text, video = words_and_patches(2)
shared, gaps = best(np.concatenate([text, video])), {}
for name, for_text, for_video in (("shared", shared, shared), ("experts", best(text), best(video))):
    new_text, new_video = words_and_patches(3)
    words, patches = normalised(new_text, *for_text), normalised(new_video, *for_video)
    gaps[name] = np.abs(words.mean(axis=0) - patches.mean(axis=0)).mean()
    print(f"{name:8} mean distance of words and patches, in a channel of a new batch: {gaps[name]:.2f}")
assert gaps["experts"] < gaps["shared"] / 2

# %% [markdown]
r"""
(The `small` network was never trained on both kinds in one sequence. So the distance is larger than in CogVideoX. Its paper shows
by ablation that experts helped.)

## CogVideoX: noise levels in strata

Training draws a noise level for each clip. The loss depends strongly on the level, so the loss of a batch varies just because
of its levels. CogVideoX divides the range into as many intervals as there are workers, and each worker draws in its own
(*explicit uniform sampling*). For a batch of $B$ clips:

$$t_b = \frac{\pi(b) + u_b}{B}, \qquad u_b \sim U(0, 1), \quad \pi \text{ a random order of } 0, \ldots, B - 1.$$

**Claim.** The mean of the loss stays, and its standard deviation shrinks several times.

**What to look at:** at the left, the steeper the curve, the more a level matters. At the right, both histograms have the same
middle. The one with strata is narrow, and nothing else about the training has changed.
"""

# %%
count = size(24, 4)
levels = (np.arange(count) + 0.5) / count
curve_of_loss = np.zeros(count)
for seed in range(size(2, 1)):
    clips = clips_of(*main).batch(np.random.default_rng(seed), count)
    curve_of_loss += losses(clips, levels) / size(2, 1)


def batch_losses(stratified, batch=16, batches=2000):
    draws = generator.random((batches, batch))
    if stratified:
        draws = (np.arange(batch) + draws) / batch  # one in each interval
    return np.interp(draws, levels, curve_of_loss).mean(axis=1)


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.7), layout="constrained")
left.plot(levels, curve_of_loss, "o-", markersize=4)
left.set(xlabel="noise level", ylabel="loss", title="the loss depends on the level (small)")
bins = np.linspace(*np.quantile(batch_losses(False), (0.001, 0.999)), 50)
spread = {}
for name, stratified, hatch in (("each clip at random", False, ""), ("one in each stratum", True, "//")):
    values = batch_losses(stratified)
    spread[name] = values.std()
    right.hist(values, bins, density=True, alpha=0.6, hatch=hatch, label=name)
right.set(xlabel="mean loss of a batch of 16", ylabel="density", title="the same network, only other levels")
right.legend(fontsize=8)
left.grid(alpha=0.3)
plt.show()
random, strata = spread.values()
print(
    f"standard deviation of a batch's loss: at random {random:.4f}, in strata {strata:.4f} ({random / strata:.0f} times less)"
)
assert strata < random / 2

# %% [markdown]
r"""
CogVideoX also has zero-terminal SNR and velocity prediction ([chapter 3](03_adding_noise.ipynb)). Its larger model has rotary
positions along three axes ([chapter 6](06_patches_and_positions.ipynb)); the smaller one has fixed sines and cosines.

## Open-Sora's masks, Luma's loops: frames with level 0

Open-Sora 1.1 gave known frames timestep 0. A network that had never seen mixed timesteps couldn't use them. So they
trained with random masks: first frames, last ones, both ends, any. `diffusion.training_levels` does the same here. Luma
offers start and end frames and loops, and doesn't say how. With a noise level for each frame both are easy. For a loop, draw
one frame more than wanted, with the same picture at both ends, and leave out the last.

`seam` measures the jump from the last frame to the first, relative to the median step between neighbours.

**What to look at:** the loop is drawn twice, once in each row. Go from the end of the first row to the beginning of the second:
is that step like the others? In the last row the two ends are given, and the frames between them are drawn.
"""

# %%
plain = model.generate("a 7 moving down", seed=3, steps=steps)
loop = model.loop("a 7 moving down", seed=3, steps=steps)
for name, drawn in (("an ordinary clip", plain), ("a loop", loop)):
    jump, step = seam(drawn)
    print(f"{name:17} jump at the seam {jump[0] / step[0]:.2f} median steps")
ends = {0: plain[:, 0], 7: plain[:, 4]}
between = model.keyframes(ends, "a 7 moving down", 8, seed=3, steps=steps)
assert all(np.array_equal(between[:, time], image) for time, image in ends.items())  # bit for bit

figure, rows = plt.subplots(2, 1, figsize=(9, 3.6), height_ratios=(2, 1), layout="constrained")
draw_strip(rows[0], np.concatenate([loop, loop], axis=1)[0], label="loop, twice", rows=2)
draw_strip(rows[1], between[0], label="ends given")
plt.show()

# %% [markdown]
r"""
[Chapter 14](14_every_ability.ipynb) has the rest of this family.

## CogVideo: key frames, then frames between

CogVideo, the oldest here, isn't a diffusion model. It writes a clip as a sequence of discrete tokens, one after the other,
with 9 billion parameters. Two of its ideas are still in use. Tell the model the *frame rate*. And draw a few
[keyframes](glossary.md#keyframe) first, then the frames between them, again and again. In miniature: 4 frames, then 7, then 13.
"""

# %%
sparse = model.generate("a 0 moving quickly right", num_frames=4, seed=2, steps=steps)
dense = model.interpolate(sparse, "a 0 moving right", steps=steps)
denser = model.interpolate(dense, "a 0 moving slowly right", steps=steps)
assert np.array_equal(denser[:, ::4], sparse) and denser.shape[1] == (sparse.shape[1] - 1) * 4 + 1
print("frames:", " to ".join(str(drawn.shape[1]) for drawn in (sparse, dense, denser)))

# %% [markdown]
r"""
**Claim.** To draw one frame after the other by diffusion costs much more than to draw all at once. Suppose that each frame
needs the same number of sampling steps, and that attention runs over the frames that are there so far. Then one after the
other takes

$$\sum_{t=1}^{T} t^2 \approx \frac{T^3}{3}$$

pairs of frames for each step, and all at once takes $T^2$:
"""

# %%
print(f"{'frames':>7}{'one after the other':>22}{'halving the gaps':>19}{'all at once':>14}")
for frames in (9, 17, 33, 65):
    one_by_one = sum(t**2 for t in range(1, frames + 1))
    halving, shown = 0, 3
    while shown <= frames:  # 3, 5, 9, ... frames, the known ones among them
        halving += shown**2
        shown = 2 * shown - 1
    print(f"{frames:>7}{one_by_one:>22,}{halving:>19,}{frames**2:>14,}")
    assert frames**2 < halving < 1.5 * frames**2 < one_by_one

# %% [markdown]
r"""
A language model does better. It keeps the keys and values of the earlier frames, so frame t costs only t pairs: T² / 2 for the
whole clip. But each frame must wait for the one before it.

## Runway: captions along the clip, and a brush

"Temporally dense captions", says the announcement: the text tells what happens when. Here a caption with "then" becomes one
caption for each frame ([chapter 14](14_every_ability.ipynb)). A motion brush paints where things may move. How Runway's works
isn't public. The nearest thing here is [inpainting](glossary.md#inpainting): every pixel outside the brush is given.
**Claim.** Nothing outside the brush changes.
"""

# %%
still = clips_of(*main).render(np.random.default_rng(3), [[DigitMotion(6, "right", "slow")]]).video
brushed = np.zeros((32, 32), bool)
brushed[:, :24] = True
moved = model.inpaint(still, brushed, "a 6 moving quickly up", seed=5, steps=steps)
outside = np.abs(moved - still)[:, :, ~brushed].max()
print(f"largest change outside the brush: {outside}")
assert outside == 0

# %% [markdown]
r"""
## Mira: longer clips, structured captions

Mira trained for length: its README lists 120 frames of 128x80 and 60 of 384x240. For the same number of tokens, a longer clip
must be smaller. And its data set has *structured* captions: descriptions from four points of view, and a dense one.

Which part of a caption does a network use? We drop one part at a time and see how much the error on real clips rises.

**What to look at:** a rise that is larger than its uncertainty. And beware: the network has never seen a caption without
a digit or a direction. A caption without "slowly" or "quickly" says *normal* speed, which is false for slow and fast clips.
"""

# %%
pixels = [frames * height * width for frames, height, width in ((120, 80, 128), (60, 240, 384))]
print(f"the larger, shorter clip has {pixels[1] / pixels[0]:.1f} times the pixels of the longer one")

count = size(40, 4)
clips = clips_of(*main).batch(np.random.default_rng(9), count)
level = np.full(count, 0.7)
full = losses(clips, level)


def without(*words):
    return [" ".join(word for word in caption.split() if word not in words) for caption in clips.captions]


fields = {
    "the digit": without(*map(str, range(10))),
    "direction": without("up", "down", "left", "right", "and"),
    "the adverb": without("slowly", "quickly", "fast"),
    "everything": [""] * count,
}
for name, captions in fields.items():
    rise = losses(clips, level, captions) / full.mean() - full / full.mean()
    error = 2 * rise.std(ddof=1) / count**0.5
    print(f"without {name:11} the error at level 0.7 rises by {rise.mean():+.1%} ± {error:.1%}")

# %% [markdown]
r"""
## Exercises

Worked solutions are in [solutions/15_the_systems](solutions/15_the_systems.ipynb).

**1. A layer that halves time, as the clip comes in.** The causal convolution with `kernel` (3,), newest first, at times 0, 2, 4, ...
of the *clip*. The clip comes in chunks `x` (T, C) of any length, 1 included. `state` is None for the first chunk, and
afterwards what you returned with the chunk before. Return the outputs of this chunk, and the state.
"""


# %%
def causal_half(x, kernel, state):
    pass  # fill me in, about 6 lines


check.ch15_causal(causal_half)

# %% [markdown]
r"""
**2. What padding wastes.** Clips of several shapes (T, H, W) go into one batch. Each is padded along all three axes to the largest
of the batch. What share of the batch is padding? (That is what buckets save.)
"""


# %%
def padded_share(shapes):
    pass  # fill me in, about 3 lines


check.ch15_waste(padded_share)

# %% [markdown]
r"""
**3. Skiparse.** The groups of `tokens` tokens for a step `k`, as two integer arrays (tokens,): labels 0 to k - 1 for
"every k-th token", and for "every k-th run of k tokens".
"""


# %%
def skiparse(tokens, k):
    pass  # fill me in, about 2 lines


check.ch15_skiparse(skiparse)

# %% [markdown]
r"""
**4. Strata, one in each.** Noise levels (batch,) in [0, 1): exactly one in each of `batch` equal intervals, anywhere in it,
from a NumPy `generator`. No clip's level may say anything about the level of another, beyond its interval being taken. (Our
`batch_losses` sorts the levels. Why would that harm a training?)
"""


# %%
def stratified_levels(batch, generator):
    pass  # fill me in, about 2 lines


check.ch15_strata(stratified_levels)

# %% [markdown]
r"""
**5. Train a causal compressor.** `clips` (500, 9, 6) are clips of 9 frames with 6 numbers each. A mixture of 3 hidden numbers makes
them, and a little noise. The hidden numbers wander, so a frame can't be guessed well from its neighbours. From these clips
learn two functions, by gradient descent or otherwise. `encode` turns clips (B, 9, 6) into latents (B, 5, 6), and latent t sees
only frames 0 to 2 t. `decode` turns latents into clips again.

To keep every second frame and interpolate the others gives an error of about 0.1. Reach 0.015 on clips that you haven't seen.
How can half the numbers be enough?
"""


# %%
def train_compressor(clips):
    pass  # fill me in, about 6 lines; return encode, decode


check.ch15_compress(train_compressor)

# %% [markdown]
r"""
**6. Break it.** In the chapter's `causal`, forget the cache: give every chunk `cache=None`. Which outputs are wrong, and by how much?
Now apply three such layers in a row. How far does the damage reach, and why does the first chunk stay right?

**7. An open question.** Choose a product from the first table. You can only ask it for clips. Which prompts and which
measurement could tell whether it has factorised or full attention? What else could explain the same result?
"""

# %% [markdown]
r"""
## In practice

- Of [Open-Sora](references.md#zheng-2024), [Open-Sora Plan](references.md#lin-2024), [CogVideoX](references.md#yang-2024) and
  [HunyuanVideo](references.md#kong-2024) you can read the code. Of Sora, Luma, Kling and Runway you know what was announced.
  Diagrams of their insides are guesses.
- Most open systems today combine causal 3D autoencoders, full attention, rectified flow and given frames at level 0.
- A miniature shows what an idea *does*. Whether it makes better clips at scale, only ablations at scale say.

## Further reading

- The reports themselves: Open-Sora's `docs/report_01.md` to `report_04.md`, Open-Sora Plan's `docs/Report-v1.3.0.md`.
- Here: `examples/results/tried.md`, what was tried in this project, and what didn't help.

Next: [chapter 16](16_capstone.ipynb), the capstone.
"""
