# %% [markdown]
r"""
# 15. The systems: Sora to CogVideoX, each idea in miniature

*About 75 minutes with the exercises. Runs in a minute.*

**You'll do:** take one idea from each of nine systems, run it in miniature with this library's parts, and put a number
on it: what it costs, who sees whom, what it changes.

**You'll learn:** which of these ideas are documented, by whom, and which are a sentence on a web page; why the field
went from attention in turn to joint attention; what causal autoencoders, expert modulation and stratified levels are
for.

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
from minivdit.lab.evaluation import seam, track
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

Read this table before you believe anybody's diagram, this chapter's included. Four of the nine are products, and of
these hardly more is public than what their makers chose to announce.

| system | what is public | the idea we take | what isn't public |
|---|---|---|---|
| **Sora** (OpenAI, 2024) | [a report](references.md#brooks-2024) that says it leaves model and implementation details out | space-time patches; native sizes and lengths | more of the architecture than "a diffusion transformer on patches"; sizes, data, cost |
| **Luma** Dream Machine (2024) | [a launch page](references.md#luma-2024): a transformer trained directly on videos | start and end frames, loops | all the rest |
| **Kling** (Kuaishou, 2024) | [announcements](references.md#kuaishou-2024): diffusion transformer, 3D VAE, joint space-time attention; later research papers by the team, not a report on that model | compression in time; joint attention | sizes, training, data |
| **Runway** Gen-3 (2024) | [an announcement](references.md#runway-2024): trained on videos and images together, with temporally dense captions | captions along the clip; a brush | architecture, all numbers |
| **Open-Sora** (HPC-AI Tech) | code, weights, reports: [1.x](references.md#zheng-2024), [2.0](references.md#peng-2025) | attention in turn, windows, full; masks | little |
| **Open-Sora Plan** (Peking University and others) | code, weights, [report](references.md#lin-2024) | Skiparse; causal cache | little |
| **Mira** (Tencent ARC Lab, 2024) | code, weights, [paper on its data](references.md#ju-2024) | longer clips, structured captions | little |
| **CogVideo** (Tsinghua University, 2022) | [paper](references.md#hong-2022), code, weights | key frames, then frames between | little |
| **CogVideoX** (Zhipu AI and Tsinghua, 2024) | [paper](references.md#yang-2024), code, weights | causal 3D VAE, expert adaLN, joint attention, stratified levels | the data |

## Sora: any size, any length

A transformer doesn't know how many tokens it gets. If a clip is cut into [patches](glossary.md#patch), and each carries
its position, one network takes a picture (a clip of one frame), a wide clip and a long one. To train on all of them
there are three ways, as Open-Sora's report 1.1 lists: masks in one batch, padding, or *buckets*: a batch has one shape.
This project has buckets, `MixedClips`.

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
The network runs on all of these shapes. Whether it is *good* on them is another matter: the weights `small` were
trained on 8 frames of 32x32 only. Their error on real clips, relative to that shape, and what they draw:
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
That is what Sora's report argues for the other way round: train on native sizes, and framing and composition get
better.

## Open-Sora and Open-Sora Plan: who sees whom, at what price

Two open projects, and in their reports the same road:

- **Open-Sora** 1.0 put an attention over time after each one inside frames (STDiT, after Latte). Its report says that
  at equal steps full attention did best in their trials, and that price decided. 1.3 went to shifted windows, 2.0 to
  full attention with text and video in one sequence (MMDiT, [Esser et al. 2024](references.md#esser-2024)).
- **Open-Sora Plan** 1.2 had full attention, found it too dear, and 1.3 brought *Skiparse*: every k-th token, then, in
  the next block, every k-th run of k tokens.
- **Kling** and **CogVideoX** are joint.

Here all are patterns, and the same code puts a price on each. The clip: 49 frames of 480x720 as the smaller CogVideoX
sees it, 13 x 30 x 45 tokens of width 1,920. How far tokens are from each other we measure on a small grid, where all
pairs can be listed.
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
Read both panels together. Scores shrink to a quarter with `skip:4`, yet any two tokens are two blocks apart at most.
Frame and time in turn is cheaper still, and there too any two tokens are two blocks apart at most; but fewer are linked directly
(its distance is the larger one), and none of the direct links joins different places of different frames. The measure doesn't know which links a moving thing needs. That takes training
with equal budgets: `minivdit compare`.

## CogVideoX, Open-Sora Plan: a causal autoencoder in space and time

This project's autoencoder shrinks frames one by one; time isn't compressed. The big systems compress time as well, 4
frames to one in CogVideoX (Kling's announcement says "3D VAE", not by how much). **Claim.** That pays twice, because scores grow with the square.
"""

# %%
for name, frames in (("frames one by one", 49), ("4 to 1 in time, the first alone", 1 + 48 // 4)):
    n = frames * 30 * 45
    block = costs.block_flops(n, width)
    print(f"{name:32}{frames:>3} latent frames, {n:>6,} tokens, {machine.amount(block, 'FLOPs')} a block")

# %% [markdown]
r"""
The first frame stands alone so that a picture is a clip. That asks for *causal* convolutions: a frame sees itself and
earlier ones only. The simple loop, for one number a frame, with the first frame repeated before the beginning:
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
That last check is Open-Sora Plan's *causal cache*: with the last k - 1 frames of a chunk kept, in each layer, a clip of
any length is encoded in pieces, with no seams and no overlaps.

## CogVideoX: expert adaptive layer norm

CogVideoX puts text and video into *one* sequence and lets attention run over both. But numbers that describe words and
numbers that describe patches differ in kind. So each kind has a shift and a scale of its own (an *expert*) in every
modulation, made from the same noise level. In this project text comes in by cross-attention instead, and never meets
that trouble.

**Claim.** After layer norm the two kinds still differ channel by channel; one shared shift and scale can't bring both
to the same statistics, two can. We take the words and the patches of the `small` network, and give each way its best:
to make every channel of all tokens mean 0, deviation 1.
"""

# %%
made = clips_of(*main).batch(np.random.default_rng(2), size(16, 4))
with ag.no_grad():
    tokens_of_text = model.tokenizer.encode(made.captions)
    text = model.transformer.text(tokens_of_text)[0].data[tokens_of_text != 0]  # (words, D)
    noisy = generator.standard_normal(model.autoencoder.encode(made.video).shape, dtype=np.float32)
    video = model.transformer.patch_in(patchify(noisy, model.transformer.config.patch_size)).data
video = video.reshape(-1, text.shape[1])[: len(text)]  # as many patches as words


def normalised(x, shift, scale):
    return ag.normalise_and_modulate(x[None], shift[None, None], scale[None, None]).data[0]  # (tokens, D)


def best(x):
    """The shift and scale with which layer norm of these tokens gets mean 0, deviation 1 in each channel."""
    plain = normalised(x, np.zeros(x.shape[1], np.float32), np.zeros(x.shape[1], np.float32))
    return -plain.mean(axis=0) / plain.std(axis=0), 1 / plain.std(axis=0) - 1  # modulate: x (1 + scale) + shift


shared = best(np.concatenate([text, video]))
gaps = {}
for name, for_text, for_video in (("shared", shared, shared), ("experts", best(text), best(video))):
    words, patches = normalised(text, *for_text), normalised(video, *for_video)
    gaps[name] = np.abs(words.mean(axis=0) - patches.mean(axis=0))
    print(f"{name:8} mean distance between words and patches, a channel: {gaps[name].mean():.3f} deviations")
assert gaps["experts"].max() < 1e-3 < gaps["shared"].mean()

figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
axes.plot(np.sort(gaps["shared"])[::-1], label="one shift and scale for both")
axes.plot(np.sort(gaps["experts"])[::-1], "--", label="one for each (experts)")
axes.set(xlabel="channel, sorted", ylabel="distance of the means", title="words and patches after modulation")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
r"""
(These two kinds were never trained to share a sequence, so the gap is larger than it would be in CogVideoX. The paper
shows by ablation that experts helped there.)

## CogVideoX: levels in strata

Training draws a noise level for each clip. The loss depends strongly on it, so a batch's loss jumps about, just because
of its levels. CogVideoX divides the range into as many intervals as there are workers, each of which draws in its own
(*explicit uniform sampling*). **Claim.** The mean stays, the jumps shrink several times.
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
right.set(xlabel="mean loss of a batch of 16", yticks=(), title="the same network, only other levels")
right.legend(fontsize=8)
plt.show()
random, strata = spread.values()
print(f"deviation of a batch's loss: at random {random:.4f}, in strata {strata:.4f}, {random / strata:.0f} times less")
assert strata < random / 2

# %% [markdown]
r"""
It also adopts zero-terminal SNR and velocity prediction ([chapter 3](03_adding_noise.ipynb)), and its larger model rotary positions in
three axes ([chapter 6](06_patches_and_positions.ipynb); the smaller one has fixed sines and cosines).

## Open-Sora's masks, Luma's loops: frames with level 0

Open-Sora 1.1 gave frames that are known timestep 0, found that a network that never saw mixed timesteps can't use them,
and trained with random masks: first frames, last ones, both ends, any. That is `diffusion.training_levels` here, nearly
word for word. Luma offers start and end frames and loops, and doesn't say how. With levels for each frame both are one
line: draw one frame more than wanted, with the same picture at both ends, leave out the last, and the clip closes. How well, `seam` measures: the jump from last frame to first,
against a median step.
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

figure, rows = plt.subplots(3, 1, figsize=(9, 3.9), layout="constrained")
for axes, drawn, name in zip(
    rows, (plain, np.concatenate([loop, loop], axis=1), between), ("clip", "loop, twice", "ends given")
):
    draw_strip(axes, drawn[0], label=name)
plt.show()

# %% [markdown]
r"""
[Chapter 14](14_every_ability.ipynb) has the rest of this family.

## CogVideo: key frames, then frames between

CogVideo, the oldest here, isn't a diffusion model: it writes a clip as a sequence of discrete tokens, one after the
other, 9 billion parameters guessing the next. Two of its ideas outlived that: tell the model the *frame rate*, and draw
few frames far apart first, then fill in between, again and again. In miniature: 4 frames at a fast pace, to 7, to 13.
"""

# %%
sparse = model.generate("a 0 moving quickly right", num_frames=4, seed=2, steps=steps)
dense = model.interpolate(sparse, "a 0 moving right", steps=steps)
denser = model.interpolate(dense, "a 0 moving slowly right", steps=steps)
assert np.array_equal(denser[:, ::4], sparse) and denser.shape[1] == (sparse.shape[1] - 1) * 4 + 1
figure, rows = plt.subplots(3, 1, figsize=(9, 3.6), layout="constrained")
for axes, drawn in zip(rows, (sparse, dense, denser)):
    draw_strip(axes, drawn[0], label=f"{drawn.shape[1]} frames")
plt.show()

# %% [markdown]
r"""
**Claim.** Frame after frame is dear when each frame is a diffusion of its own; all at once isn't. Suppose each needs
the same number of steps, and attention runs over what is there so far. Pairs of frames that attention computes, for one
step:
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
(A language model keeps the keys and values of what is fixed, and pays for the new frame only; then one after the other
comes to about half of all at once for a single pass, but a clip of T frames waits for T of them.)

## Runway: captions along the clip, and a brush

"Temporally dense captions" says the announcement: the text tells what happens when. Here a caption with "then" becomes
one caption for each frame ([chapter 14](14_every_ability.ipynb)). A motion brush paints where things may move; how theirs works isn't public. The
nearest thing here is inpainting: outside the brushed part every pixel is given. **Claim.** Nothing leaks.
"""

# %%
turning = model.generate(["a 4 moving right, then up"] * size(4, 1), seed=4, steps=steps)
path = track(turning, settings.digit_size).positions[:, 0]  # (B, T, 2), as (y, x); NaN where lost
half = path.shape[1] // 2
for name, part in (("first", path[:, :half]), ("second", path[:, half:])):
    down, right = np.nanmean(np.diff(part, axis=1), axis=(0, 1))
    print(f"in the {name} half: {right:+.1f} pixels a frame to the right, {-down:+.1f} up")

still = clips_of(*main).render(np.random.default_rng(3), [[DigitMotion(6, "right", "slow")]]).video
brushed = np.zeros((32, 32), bool)
brushed[:, :24] = True
moved = model.inpaint(still, brushed, "a 6 moving quickly up", seed=5, steps=steps)
outside = np.abs(moved - still)[:, :, ~brushed].max()
print(f"largest change outside the brush: {outside}")
assert outside == 0
figure, rows = plt.subplots(3, 1, figsize=(9, 3.3), layout="constrained")
for axes, drawn, name in zip(rows, (turning, still, moved), ("right, then up", "given", "under the brush")):
    draw_strip(axes, drawn[0], label=name)
plt.show()

# %% [markdown]
r"""
(The weights `small` never saw a clip that turns; what the tracker says is what it says.)

## Mira: longer clips, structured captions

Mira trained for length: its README lists 120 frames of 128x80 and 60 of 384x240. Length and size trade against each
other in tokens. And its data set has *structured* captions: descriptions from four points of view, and a dense one.
Which part of a caption does a network use? Drop one at a time and see how the error on real clips rises, clip for clip. Read it
with care: a caption without digit or direction is one that the network never saw, and one without "slowly" or "quickly" isn't
silent about the speed but says *normal*, which for slow and fast clips is false.
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
figure, axes = plt.subplots(figsize=(6.5, 2.4), layout="constrained")
for place, (name, captions) in enumerate(fields.items()):
    rise = losses(clips, level, captions) / full.mean() - full / full.mean()
    error = 2 * rise.std(ddof=1) / count**0.5
    axes.barh(place, rise.mean(), xerr=error, color="C0", capsize=3)
    print(f"without {name:11} the error rises by {rise.mean():+.1%} (give or take {error:.1%})")
axes.set_yticks(range(len(fields)), [f"without {name}" for name in fields])
axes.invert_yaxis()
axes.set(xlabel="rise of the error at level 0.7, as a share", title=f"{count} real clips")
axes.grid(alpha=0.3, axis="x")
plt.show()

# %% [markdown]
r"""
## Exercises

Worked solutions are in [solutions/15_the_systems](solutions/15_the_systems.ipynb).

**1. A causal layer that halves time.** From `x` (T, C) with odd T and `kernel` (3,), newest first: the causal
convolution, with the first frame repeated before the beginning, at times 0, 2, 4, ... only: (1 + (T - 1) / 2, C).
"""


# %%
def causal_half(x, kernel):
    pass  # fill me in, about 3 lines


check.ch15_causal(causal_half)

# %% [markdown]
r"""
**2. Tokens of CogVideoX.** For a clip of `frames` frames (one more than a multiple of `in_time`), `height` and `width`:
the number of tokens, if the autoencoder makes one latent frame of the first frame, one of each `in_time` further ones,
shrinks height and width by `in_space`, and a patch is 1 x `side` x `side`.
"""


# %%
def number_of_tokens(frames, height, width, in_time, in_space, side):
    pass  # fill me in, about 2 lines


check.ch15_tokens(number_of_tokens)

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
**4. Strata.** Noise levels (batch,) in [0, 1), exactly one in each of `batch` equal intervals, anywhere in it, in
random order (else the first clip of every batch would be the cleanest), from a NumPy `generator`.
"""


# %%
def stratified_levels(batch, generator):
    pass  # fill me in, about 2 lines


check.ch15_strata(stratified_levels)

# %% [markdown]
r"""
## In practice

- What is documented best is what is open: for [Open-Sora](references.md#zheng-2024), [Open-Sora
  Plan](references.md#lin-2024), [CogVideoX](references.md#yang-2024) and [HunyuanVideo](references.md#kong-2024) you
  can read the code. Of Sora, Luma, Kling and Runway you know what they announced; diagrams of their insides are
  guesses.
- The ideas travel: causal 3D autoencoders, joint attention, rectified flow and level-0 frames are by now found together
  in most open systems.
- A miniature shows what an idea *does*. Whether it makes better clips at scale, only its authors' ablations say.

## Further reading

- The reports themselves: Open-Sora's `docs/report_01.md` to `report_04.md`, Open-Sora Plan's `docs/Report-v1.3.0.md`.
- Here: `examples/results/tried.md`, what was tried in this project, and what didn't help.

Next: [chapter 16](16_capstone.ipynb), the capstone.
"""
