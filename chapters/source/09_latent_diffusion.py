# %% [markdown]
r"""
# 9. Latent diffusion: the autoencoder, and what compression buys

*About 60 minutes with the exercises. Runs in about a minute.*

**You'll do:** squeeze frames into a quarter of their numbers, by averaging, by the best linear code and by a network;
train a small autoencoder; look at latents, add noise to them and decode; find out what is lost; compare the cost of
diffusion in pixels and in latents.

**You'll learn:** what an [autoencoder](glossary.md#autoencoder) keeps and what it throws away; why
[latents](glossary.md#latents) are scaled to standard deviation 1 before a diffusion model sees them; what compression buys
and what it doesn't; why large systems compress time, too.

**You need:** [chapter 3](03_adding_noise.ipynb), convolutions from [chapter 2](02_layers_and_learning.ipynb), and the word
[token](glossary.md#token).

![An encoder makes frames small, a decoder large again; diffusion works between](pictures/09.svg)
"""

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base import machine
from minivdit.base.backend import blas_threads
from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.data.digits import resize
from minivdit.diffusion import make
from minivdit.generation import TextToVideo
from minivdit.lab.display import draw_strip
from minivdit.lab.evaluation import load_judge
from minivdit.lab.lessons import check, size
from minivdit.models import Autoencoder, AutoencoderConfig, VideoDiT, VideoDiTConfig, costs
from minivdit.training.loop import Run, train
from minivdit.training.settings import TrainingSettings
from minivdit.training.tasks import AutoencoderLoss, AutoencoderTask

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

learning, testing = digit_source("strokes", split="train"), digit_source("strokes", split="test")
form = {"size": (32, 32), "num_frames": 8, "digit_size": 16, "num_digits": (1,)}
clips = CaptionedClips(testing, **form).batch(generator, size(48, 8)).video  # (B, 8, 32, 32, 1) in [0, 1]
known = CaptionedClips(learning, **form).batch(generator, size(48, 8)).video  # what a code may be fitted to
print(f"{clips[0].size:,} numbers a clip, {np.mean(clips < 0.02):.0%} of them black")

# %% [markdown]
r"""
## How near is near? Decibels

A *code* turns a clip into fewer numbers, and these numbers into a clip again. It is judged by the squared error between
the two clips. This error is usually quoted as *peak signal-to-noise ratio*, [PSNR](glossary.md#psnr), in decibels:

$$\mathrm{PSNR}(a, b) = 10 \log_{10} \frac{\text{peak}^2}{\text{MSE}(a, b)}, \qquad
\mathrm{MSE}(a, b) = \frac1n \sum_i (a_i - b_i)^2,$$

where the peak is the largest possible value, here 1. Ten decibels more mean a tenth of the error. First we write it as
a loop, then in one line:
"""


# %%
def psnr_by_loop(a, b):
    total = 0.0
    for x, y in zip(a.ravel(), b.ravel()):
        total += float(x - y) ** 2
    return 10 * np.log10(1 / (total / a.size))


def psnr(a, b):
    return 10 * np.log10(1 / ((a - b) ** 2).mean())


assert np.isclose(psnr_by_loop(clips[0], clips[1]), psnr(clips[0], clips[1]), rtol=1e-4)
print(f"a black screen instead of the clips: {psnr(np.zeros_like(clips), clips):.1f} dB")

# %% [markdown]
r"""
The printed number is the floor. It isn't 0, since most of a frame is black, and black is a good guess there. Decibels
say nothing without their floor.

## Three ways to keep a quarter

**Average.** Keep the mean of each block of 2 x 2 pixels, and fill the block with it again. This is a loop over blocks,
and then the vectorised form:
"""


# %%
def average_by_loops(frame, factor):  # (H, W) -> (H, W)
    kept = np.empty_like(frame)
    for y in range(0, frame.shape[0], factor):
        for x in range(0, frame.shape[1], factor):
            kept[y : y + factor, x : x + factor] = frame[y : y + factor, x : x + factor].mean()
    return kept


def average(frames, factor):  # (n, H, W) -> (n, H, W)
    n, height, width = frames.shape
    small = frames.reshape(n, height // factor, factor, width // factor, factor).mean(axis=(2, 4))
    return small.repeat(factor, axis=1).repeat(factor, axis=2)


frames = clips.reshape(-1, 32, 32)
assert np.allclose(average_by_loops(frames[3], 2), average(frames, 2)[3])

# %% [markdown]
r"""
**The best linear code.** Cut frames into squares of 4 x 4 pixels, 16 numbers each, and keep 4 numbers for each. They
aren't 4 of the pixels but 4 weighted sums of all of them. Which sums lose least? The answer is known. Let $x$ be a
square as a vector, $\mu$ the mean of all squares, and $V$ a matrix with 4 perpendicular directions of length 1 as
columns. The code $z$ and the rebuilt square $\hat x$ are

$$z = V^\top (x - \mu), \qquad \hat x = V z + \mu.$$

The error is least if the directions are those in which the squares vary most. These are the eigenvectors of their
covariance with the largest eigenvalues ([principal components](glossary.md#principal-components), PCA). They are found
on training frames. `encode` and `decode` below are the two equations.
"""


# %%
def squares(frames, side=4):  # (n, H, W) -> (squares, side * side)
    n, height, width = frames.shape
    cut = frames.reshape(n, height // side, side, width // side, side)
    return cut.transpose(0, 1, 3, 2, 4).reshape(-1, side * side)


def together(cut, shape, side=4):
    n, height, width = shape
    return cut.reshape(n, height // side, width // side, side, side).transpose(0, 1, 3, 2, 4).reshape(shape)


class LinearCode:
    """encode: (n, d) -> (n, kept); decode: back. Fitted to rows of the same kind."""

    def __init__(self, rows, kept):
        self.mean = rows.mean(axis=0)
        spread, directions = np.linalg.eigh(np.cov((rows - self.mean).T))  # in rising order
        self.directions = directions[:, ::-1][:, :kept]  # (d, kept)

    def encode(self, rows):
        return (rows - self.mean) @ self.directions

    def decode(self, code):
        return code @ self.directions.T + self.mean


def linear(frames, kept):
    code = LinearCode(squares(known.reshape(-1, 32, 32)), kept)
    return together(code.decode(code.encode(squares(frames))), frames.shape)


assert np.array_equal(together(squares(frames), frames.shape), frames)
assert psnr(linear(frames, 16), frames) > 60  # with all 16 directions nothing is lost

figure, panels = plt.subplots(1, 8, figsize=(8, 1.4), layout="constrained")
for number, axes in enumerate(panels):
    direction = LinearCode(squares(known.reshape(-1, 32, 32)), 8).directions[:, number].reshape(4, 4)
    axes.imshow(direction, cmap="gray", vmin=-0.6, vmax=0.6)
    axes.set(xticks=[], yticks=[], title=f"{number + 1}")
figure.suptitle("the eight directions in which squares of 4 x 4 pixels vary most", fontsize=10)
plt.show()

# %% [markdown]
r"""
The first direction is the brightness of a square. Then come slopes, and then bends. They resemble the waves that JPEG
uses, but they were found in the data.

**A network.** The encoder is made of convolutions. Two of them halve height and width, so that in the end 4 numbers
(*channels*) are left for each square of 4 x 4 pixels. The decoder goes back. A network isn't tied to weighted sums: it
may learn what strokes look like. The network here belongs to the weights `small`.

**What to look at.** Compare each row with the first one. In which row do the strokes have stairs? In which are they
grey, and in which are they whole?
"""

# %%
model = TextToVideo.load("small")
autoencoder = model.autoencoder
latents = autoencoder.encode(clips)  # (B, T, h, w, C)
rebuilt = autoencoder.decode(latents)
print(f"{clips.shape} -> {latents.shape}: {clips.size / latents.size:g} times fewer numbers")
print(f"{autoencoder.parameter_count():,} weights, trained on digits from {model.notes['preset']['data']['digits']}")

ways = {
    "the frames": frames,
    "averaged": average(frames, 2),
    "linear code": linear(frames, 4),
    "autoencoder": rebuilt.reshape(frames.shape),
}
shown = np.linspace(0, len(frames) - 1, 7).astype(int)
figure, rows = plt.subplots(4, len(shown), figsize=(8.5, 5), layout="constrained")
for row, (name, made) in zip(rows, ways.items()):
    for axes, index in zip(row, shown):
        axes.imshow(made[index], cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()
decibels = {name: psnr(made, frames) for name, made in ways.items() if name != "the frames"}
for name, value in decibels.items():
    print(f"{name:12} {value:.1f} dB")
assert decibels["averaged"] < decibels["linear code"] < decibels["autoencoder"]

# %% [markdown]
r"""
**Claim.** If equally many numbers are kept, the network is better than any linear code of such squares, and the best
linear code is better than averages.

PCA *is* the best linear code for these squares. So the network owes its lead to two things: it isn't linear, and it
sees pixels beyond the edge of a square. It even leads on digits that aren't of the kind it was trained on.

## Train one

The encoder doesn't give the latents themselves, but a mean $\mu$ and a standard deviation $s$ for each of their
numbers. The decoder $D$ gets a *draw*, $z = \mu + s\,\epsilon$ with fresh noise $\epsilon$. So it must cope with
latents that are slightly off, and a diffusion model will give it such latents. The loss has three parts ([Kingma and
Welling 2014](references.md#kingma-2014), [Rombach et al. 2022](references.md#rombach-2022)):

$$\text{mean}\,(D(z) - x)^2 \;+\; 0.1\; \text{mean}\,|D(z) - x| \;+\; \beta\; \text{mean}\,\tfrac12 \big(\mu^2 + s^2 - 1 - \log s^2\big).$$

The first is the squared error. The second is the absolute error, which blurs edges less. The third, the
[divergence](glossary.md#divergence), is a small penalty for latents that aren't like standard normal noise. Its weight
$\beta$ is `kl` in the code. Without the penalty the encoder could make $\mu$ huge, and the noise of the draw would no
longer matter. Such an autoencoder is "variational": a [VAE](glossary.md#autoencoder).

All layers are convolutions, so the network works on frames of any size. We train on small crops, which is cheap, and test on whole
frames.

**What to look at.** On the right, compare points that keep the same number, so lie above each other: each circle with
the square, and the star with the circle below it. Where is the network far ahead, and where isn't it?
"""


# %%
def train_autoencoder(channels, steps):
    network = Autoencoder(AutoencoderConfig(latent_channels=channels, channels=(32, 64)), np.random.default_rng(0))
    crops = CaptionedClips(learning, size=(20, 20), num_frames=1, digit_size=16, num_digits=(1,))
    task = AutoencoderTask(network, crops, batch_size=16, loss=AutoencoderLoss(kl=3e-5))
    settings = TrainingSettings(steps=steps, batch=16, shards=2, learning_rate=1e-2, warmup=20, ema_decay=0.98)
    run = Run(task, settings)
    errors = [state.extras["squared_error"] for state in train(run)]
    task.finish(run)  # measures mean and deviation of each channel: see below
    for name, averaged in run.average.average.items():
        run.parameters[name].data = averaged
    return network, errors


steps = size(400, 5)
started = time.perf_counter()
own = {channels: train_autoencoder(channels, steps) for channels in (2, 4, 8)[: size(3, 1)]}
print(f"{len(own)} autoencoders, {steps} steps each: {time.perf_counter() - started:.0f} s")

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
for (channels, (_, errors)), style in zip(own.items(), ("-", "--", ":")):
    smooth = np.convolve(errors, np.ones(10) / 10, "valid") if len(errors) > 10 else errors
    left.semilogy(smooth, style, label=f"{channels} channels")
left.set(xlabel="step", ylabel="mean squared error", title="training, on crops")
left.legend(fontsize=8)
kept = np.arange(1, 13)
right.plot(kept / 16, [psnr(linear(frames, k), frames) for k in kept], "s--", markersize=4, label="linear code")
at = np.array(list(own)) / 16
ours = [psnr(network.decode(network.encode(clips)), clips) for network, _ in own.values()]
right.plot(at, ours, "o-", label=f"trained here, {steps} steps")
right.plot(4 / 16, decibels["autoencoder"], "k*", markersize=10, label="the shipped one")
right.axhline(psnr(np.zeros_like(clips), clips), color="0.6", linewidth=1)
right.annotate(
    "black screen", (0.45, psnr(np.zeros_like(clips), clips)), (0, 3), textcoords="offset points", fontsize=8
)
right.set(xlabel="numbers kept for each pixel", ylabel="PSNR (dB)", title="whole test frames")
right.legend(fontsize=8)
for axes in (left, right):
    axes.grid(alpha=0.3)
plt.show()
for channels, value in zip(own, ours):
    print(f"{channels} channels: network {value:.1f} dB, linear code {psnr(linear(frames, channels), frames):.1f} dB")

# %% [markdown]
r"""
With 4 channels the network is about 3 dB ahead: it has learnt what strokes look like. But the best linear code is
computed exactly, while a network has to be trained. With other numbers of channels, so short a training may end no
better than the linear code, or worse than a network with fewer channels. (The star is the shipped network, which had
many more steps.)

Nor are more channels simply better. The diffusion model has to learn to make everything that the autoencoder keeps.
Each further channel holds finer detail, which is harder to predict and matters less to the eye. The right number of
channels is the one with the best *generated* clips. It needn't be the one with the most decibels ([Dieleman
2025](references.md#dieleman-2025)).

## What a latent looks like

We draw a clip, and below it the channels of its latents, one in each row.

**What to look at.** Follow one channel from left to right. Can you see the digit, and that it moves? Does it keep its shape while
it moves?
"""

# %%
wanted = CaptionedClips(testing, **form, synonyms=False)
made = wanted.render(np.random.default_rng(1), [[DigitMotion(2, "right", "fast")]])
z = autoencoder.encode(made.video)[0]  # (T, 8, 8, 4)
figure, rows = plt.subplots(5, 1, figsize=(8.5, 5.4), layout="constrained")
draw_strip(rows[0], made.video[0], label="frames")
for channel, axes in enumerate(rows[1:]):
    row = np.concatenate(list(np.pad(z[..., channel], ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)), axis=1)
    axes.imshow(row[:, :-1], cmap="cividis", vmin=-3, vmax=3)
    axes.set(xticks=[], yticks=[])
    axes.set_ylabel(f"channel {channel}", rotation=0, ha="right", va="center", fontsize=8)
figure.suptitle(f"'{made.captions[0]}' and its latents", fontsize=10)
plt.show()

# %% [markdown]
r"""
The latents are still a film: in the 8 x 8 cells one sees where the digit is, and it moves. So latents aren't abstract
"concepts". They are coarse pictures with other colours. This is why patches, positions and attention suit them, as they
suit pixels. (The border around each picture comes from convolutions that see beyond the edge of the frame.)

**Claim.** If a digit moves by one square (4 pixels), its latents move by one cell. And each frame is encoded by itself.

The first statement holds where the convolutions don't see the edge of the frame.
"""

# %%
canvas = np.zeros((1, 1, 64, 64, 1), np.float32)  # larger than any frame it was trained on
canvas[0, 0, 24:40, 20:36, 0] = testing.draw(generator, [5], 16)[0]
moved = np.roll(canvas, 4, axis=3)  # 4 pixels to the right: one cell
before, after = autoencoder.encode(canvas), autoencoder.encode(moved)
assert np.allclose(before[:, :, 4:12, 4:11], after[:, :, 4:12, 5:12], atol=1e-4)

alone = np.concatenate([autoencoder.encode(made.video[:, t : t + 1]) for t in range(8)], axis=1)[0]
assert np.allclose(alone, z, atol=1e-4)

# %% [markdown]
r"""
A move of half a cell does something else. Then the *numbers* in the cells must say where in its square a stroke runs.
You saw this in the picture above: the latents flicker a little while the digit glides.

## Standard deviation 1, and why

The encoder's own numbers can be of any size. The library measures the mean $m_c$ and the standard deviation $s_c$ of
every channel $c$ once, after training. `encode` removes them, and `decode` puts them back:

$$z_c = \frac{z^{\text{raw}}_c - m_c}{s_c}.$$
"""

# %%
mean, deviation = autoencoder.latent_mean.data, autoencoder.latent_deviation.data
raw = latents * deviation + mean  # as they leave the encoder

by_loop = np.empty_like(raw)
for channel in range(raw.shape[-1]):
    by_loop[..., channel] = (raw[..., channel] - mean[channel]) / deviation[channel]
assert np.allclose(by_loop, (raw - mean) / deviation) and np.allclose(by_loop, latents, atol=1e-5)

with ag.no_grad():
    _, log_variance = autoencoder.distribution(clips.reshape(-1, 32, 32, 1))
unsure = np.exp(0.5 * log_variance.data).mean(axis=(0, 1, 2)) / deviation
print("channel        ", "".join(f"{channel:>8}" for channel in range(len(mean))))
print("mean           ", "".join(f"{value:8.2f}" for value in mean))
print("deviation      ", "".join(f"{value:8.2f}" for value in deviation))
print("drawn with     ", "".join(f"{value:8.2f}" for value in unsure), "  (encoder's deviation over the channel's)")
print("normalised, now", "".join(f"{value:8.2f}" for value in latents.std(axis=(0, 1, 2, 3))), "  (these test clips)")

# %% [markdown]
r"""
**Claim.** The standard deviation of the latents changes what a noise level means.

In [chapter 3](03_adding_noise.ipynb) only the ratio $\alpha / \sigma$ counted. For latents of standard deviation $s$,
the ratio of signal to noise is $s$ times as large. With rectified flow $\alpha / \sigma = (1-t)/t$. So raw latents at
noise level $t$ are as noisy as unit latents at another level $t'$:

$$s\,\frac{1-t}{t} = \frac{1-t'}{t'} \quad\Longrightarrow\quad t' = \frac{t}{t + s\,(1 - t)}.$$

**What to look at.** The black line is the ratio for latents of standard deviation 1. How many decibels below it does a
raw channel lie?
"""

# %%
flow = make("rectified_flow")
t, s = 0.5, float(deviation.mean())
same = t / (t + s * (1 - t))
noise = generator.standard_normal(latents.shape, dtype=np.float32)
unscaled, normalised = flow.mix(s * latents, noise, t), flow.mix(latents, noise, same)
assert np.allclose(unscaled / flow.sigma(t), normalised / flow.sigma(same), atol=1e-4)
print(f"raw latents (deviation {s:.2f}) at level {t} are as noisy as normalised ones at {same:.2f}")

level = np.linspace(0.01, 0.99, 99)
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
axes.plot(level, 20 * np.log10(flow.alpha(level) / flow.sigma(level)), "k-", label="normalised: all channels")
for channel, style in zip(range(len(mean)), ("--", ":", "-.", (0, (5, 1)))):
    ratio = deviation[channel] * flow.alpha(level) / flow.sigma(level)
    axes.plot(level, 20 * np.log10(ratio), linestyle=style, label=f"raw: channel {channel}")
axes.axhline(0, color="0.6", linewidth=1)
axes.set(xlabel="noise level", ylabel="signal to noise (dB)", title="rectified flow on latents")
axes.grid(alpha=0.3)
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
Without scaling, every channel has a noise schedule of its own, and all are noisier than the level says. No error tells
you so. Training spends its time at the wrong noise levels, and the channel with the smallest numbers is lost in noise
first. The mean matters, too: at heavy noise a constant is still visible, like the brightness that leaked in chapter 3.

## Noise in latents, decoded

From now on, diffusion adds noise to latents. What does a half-noisy latent look like? The upper row has noise in
pixels. The lower row has the same noise level in latents, decoded.

**What to look at.** At which level can you no longer read the upper digit, and at which the lower one? What do the errors look like:
snow, or strokes?
"""

# %%
shown = (0, 0.1, 0.2, 0.35, 0.5, 0.7, 1)
figure, rows = plt.subplots(2, len(shown), figsize=(9.5, 3.1), layout="constrained")
pixel_noise = generator.standard_normal(made.video.shape, dtype=np.float32)
latent_noise = generator.standard_normal(z[None].shape, dtype=np.float32)
for (above, below), t in zip(rows.T, shown):
    above.imshow(flow.mix(made.video * 2 - 1, pixel_noise, t)[0, 0, ..., 0], cmap="gray", vmin=-1, vmax=1)
    below.imshow(autoencoder.decode(flow.mix(z[None], latent_noise, t))[0, 0, ..., 0], cmap="gray", vmin=0, vmax=1)
    above.set_title(f"level {t}", fontsize=9)
    for axes in (above, below):
        axes.set(xticks=[], yticks=[])
rows[0, 0].set_ylabel("pixels")
rows[1, 0].set_ylabel("latents")
plt.show()

added = np.array([0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0])
hurt = [psnr(autoencoder.decode(latents + np.float32(a) * noise), clips) for a in added]
print(f"the draws of its training had noise of {unsure.min():.3f} to {unsure.max():.3f}")
for deviation, value in zip(added, hurt):
    print(f"noise of {deviation:<4} costs {decibels['autoencoder'] - value:.2f} dB")
figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
axes.semilogx(added, hurt, "o-", label="noise added to latents")
axes.axhline(decibels["autoencoder"], color="0.5", linestyle="--", label="no noise")
axes.axvspan(unsure.min(), unsure.max(), color="C1", alpha=0.3, label="noise it was trained with")
axes.set(xlabel="standard deviation of the noise (latents: 1)", ylabel="PSNR (dB)", title="how far off may latents be?")
axes.grid(alpha=0.3)
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
Noise in latents doesn't look like snow. The decoder turns every cell into what it knows best: pieces of strokes. In the
second picture, errors as large as the draws of its training (the band) cost next to nothing. Errors of 0.2, more than
four times as large, cost half a decibel. With larger errors the PSNR falls fast. So a diffusion model needn't predict
its latents exactly.

## What compression loses

It loses some **crispness**. To see how much, we compare how steep the edges are before and after. And it loses **small
digits**, since several thin strokes must share the 4 numbers that a square has for one thick stroke. We draw digits of
many sizes and let a judge like that of [chapter 2](02_layers_and_learning.ipynb) read them, before and after.
"""


# %%
def steepness(video):  # the mean size of the step from pixel to pixel
    return np.abs(np.diff(video, axis=2)).mean() + np.abs(np.diff(video, axis=3)).mean()


print(f"edges keep {steepness(rebuilt) / steepness(clips):.0%} of their steepness")
judge = load_judge()
sides = (16, 12, 10, 8, 6)
count = size(300, 20)


def share_read(frames, corners, side, labels):
    windows = [frame[y : y + side, x : x + side] for frame, (y, x) in zip(frames, corners)]
    windows = resize(np.rint(255 * np.stack(windows)).astype(np.uint8), 28)
    return (judge.read(windows.astype(np.float32) / 255)[0].argmax(-1) == labels).mean()


labels = np.arange(count) % 10
shares, examples = [], []
for side in sides:
    corners = generator.integers(0, 32 - side + 1, (count, 2))
    drawn = np.zeros((1, count, 32, 32, 1), np.float32)
    for frame, (y, x), digit in zip(drawn[0, ..., 0], corners, testing.draw(generator, labels, side)):
        frame[y : y + side, x : x + side] = digit
    through = autoencoder.decode(autoencoder.encode(drawn))
    shares.append([share_read(video[0, ..., 0], corners, side, labels) for video in (drawn, through)])
    y, x = corners[8]
    examples.append([video[0, 8, y : y + side, x : x + side, 0] for video in (drawn, through)])

figure = plt.figure(figsize=(9.5, 3), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=(1, 1.1))
axes = left.subplots()
axes.plot(sides, [share[0] for share in shares], "o-", label="before")
axes.plot(sides, [share[1] for share in shares], "s--", label="after")
axes.axhline(0.1, color="0.6", linewidth=1)
axes.annotate("guessing", (sides[0], 0.12), fontsize=8, color="0.35", ha="right")
axes.set(xlabel="pixels of a digit", ylabel="share read", ylim=(0, 1.02), xticks=sorted(sides))
axes.grid(alpha=0.3)
axes.legend()
for column, side, pair in zip(right.subplots(2, len(sides)).T, sides, examples):
    for axes, image, name in zip(column, pair, ("before", "after")):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        if side == sides[0]:
            axes.set_ylabel(name)
    column[0].set_title(f"{side} px", fontsize=9)
plt.show()
for side, (before, after) in zip(sides, shares):
    print(f"{side:2} pixels: {before:.0%} read before, {after:.0%} after")

# %% [markdown]
r"""
Read these numbers with care. Digits of 6 pixels are hard to read before anything is lost. And the autoencoder has seen
digits of 16 pixels only. So there are two causes: few numbers, and an unfamiliar size. One thing holds in any case:
*what the autoencoder loses, no diffusion model behind it can bring back.* So real clips that went through the
autoencoder are the ceiling for all generated ones. In large systems small faces and lettering suffer.

## What compression buys

Now we compute the cost. The cost of a transformer grows with the number of tokens, and that of attention with its
square ([chapter 12](12_the_bill.ipynb)). We count the FLOPs of one call of the network of `small` for one clip: on
latents in patches of 2 x 2 cells, as it is; on pixels in patches of 2 x 2; and on pixels in patches of 8 x 8.

**What to look at.** Compare the first row with the last one: tokens, numbers a token, cost.
"""

# %%
T, height, width = model.settings.num_frames, *model.settings.size
here = model.transformer.config
factor = autoencoder.config.factor


def on_pixels(side):
    return VideoDiTConfig(
        latent_channels=1, patch_size=(1, side, side), width=here.width, depth=here.depth, heads=here.heads
    )


variants = {
    "latents, 2 x 2": (here, (T, height // factor // 2, width // factor // 2)),
    "pixels, 2 x 2": (on_pixels(2), (T, height // 2, width // 2)),
    "pixels, 8 x 8": (on_pixels(8), (T, height // 8, width // 8)),
}
calls = 2 * model.settings.steps  # with and without the caption, each step
bill = {}
print(f"{'':16}{'tokens':>8}{'numbers a token':>17}{'a call':>14}{'a clip':>14}")
for name, (config, grid) in variants.items():
    cost = costs.clip_cost(config, grid)
    bill[name] = cost.forward_flops
    numbers = int(np.prod(config.patch_size)) * config.latent_channels
    clip = cost.sampling_flops(model.settings.steps)
    print(
        f"{name:16}{np.prod(grid):>8,}{numbers:>17}{machine.amount(bill[name], 'FLOPs'):>14}{machine.amount(clip, 'FLOPs'):>14}"
    )
decoder = costs.autoencoder_cost(autoencoder.config, T, (height, width)).layers[1]
print(f"pixels in 2 x 2 cost {bill['pixels, 2 x 2'] / bill['latents, 2 x 2']:.0f} times as much as latents in 2 x 2")
print(f"decoding costs {decoder.flops / (calls * bill['latents, 2 x 2']):.1%} of the {calls} calls, once a clip")

# %% [markdown]
r"""
**Claim.** What makes latent diffusion cheap isn't the autoencoder itself. It is the small number of tokens.

The last row costs the same as the first one, and it has no autoencoder at all. What differs is the work for each token.
On pixels, the network must get 64 numbers right. On latents, it must get 16 right. The decoder makes the 64 pixels of
them, with the fine detail that it has learnt once for all pictures. So few tokens give speed, and the autoencoder gives
*quality with few tokens*.

How much quality? Only a training can tell, and we haven't trained the last row. Diffusion on pixels isn't hopeless:
[Hoogeboom et al. 2023](references.md#hoogeboom-2023) make it work, with more noise for larger pictures and early downsampling.

That was the prediction. Now we measure the time of one call on one core. We use fresh weights, which take as long as
trained ones.
"""

# %%
tokens_of = model.tokenizer.encode(["a 2 moving right"])
took = {}
with blas_threads(1), ag.no_grad():
    for name, (config, grid) in list(variants.items())[:2]:
        network = VideoDiT(config, len(model.tokenizer), np.random.default_rng(0))
        side = config.patch_size[1]
        x = generator.standard_normal((1, T, grid[1] * side, grid[2] * side, config.latent_channels), dtype=np.float32)
        level = np.full((1, T), 0.5, np.float32)
        took[name] = np.inf
        for _ in range(size(4, 1)):
            started = time.perf_counter()
            network(x, level, tokens_of)
            took[name] = min(took[name], time.perf_counter() - started)
        print(f"{name:16} {1000 * took[name]:8.1f} ms")
first, second = took
print(f"measured {took[second] / took[first]:.0f} times, predicted {bill[second] / bill[first]:.0f} times")

# %% [markdown]
r"""
The two ratios needn't agree closely. Small products use a core less well than large ones, so the cheap call takes
longer than its FLOPs say.

## Time can be squeezed, too

Frames are encoded one by one here, so nothing is saved in time. Yet neighbouring frames are nearly alike. How much is
there to gain? We try it in miniature. The latents of 4 frames in a row at one cell are 16 numbers. We keep 4 numbers
for them, by the best linear code. This makes 4 times fewer numbers once more. We try clips that stand still and clips
that move, slower and faster.

**What to look at.** Go down the second column. Then compare it with the third, for which only every 4th frame is kept
and shown four times.
"""

# %%
block, channels = 4, latents.shape[-1]


def in_blocks(z):  # (B, T, h, w, C) -> rows of `block` frames at one cell
    b, t, h, w, c = z.shape
    return z.reshape(b, t // block, block, h, w, c).transpose(0, 1, 3, 4, 2, 5).reshape(-1, block * c)


def out_of_blocks(rows, shape):
    b, t, h, w, c = shape
    return rows.reshape(b, t // block, h, w, block, c).transpose(0, 1, 4, 2, 3, 5).reshape(shape)


in_time = LinearCode(in_blocks(autoencoder.encode(known)), channels)
print(f"{'':14}{'autoencoder':>12}{'and 4 frames in 1':>20}{'every 4th frame, held':>24}")
found = {}
for speed in ("still", "slow", "normal", "fast"):
    moving = {} if speed == "still" else {"speeds": (speed,)}
    video = CaptionedClips(testing, **form, **moving).batch(np.random.default_rng(2), size(32, 4)).video
    video = np.repeat(video[:, :1], 8, axis=1) if speed == "still" else video
    z = autoencoder.encode(video)
    squeezed = out_of_blocks(in_time.decode(in_time.encode(in_blocks(z))), z.shape).astype(np.float32)
    held = np.repeat(video[:, ::block], block, axis=1)
    held_text = "exact" if speed == "still" else f"{psnr(held, video):.1f} dB"
    found[speed] = [psnr(autoencoder.decode(made), video) for made in (z, squeezed)]
    print(f"{speed:14}{found[speed][0]:>9.1f} dB{found[speed][1]:>17.1f} dB{held_text:>24}")
assert found["still"][1] > found["slow"][1] > found["fast"][1]

# %% [markdown]
r"""
As soon as something moves, the code is better than leaving frames out. But the faster it moves, the worse the code
gets. (Clips that stand still lose something, too: the code was fitted to clips that move.) The reason: the code
combines a cell with *the same cell* in other frames, and there the digit has moved on. [Chapter
10](10_the_consistency_problem.ipynb) studies the same problem in attention. So large systems train 3-D convolutions,
which look around in space and time.

One detail of theirs is worth an exercise. Their convolutions are [causal](glossary.md#causal): a frame sees itself and
earlier frames only. The first frame then stands alone, and each *further* 4 frames become one latent frame. So a
picture is simply a clip of one frame, and long clips can be encoded piece by piece.

## Exercises

Worked solutions are in [solutions/09_latent_diffusion](solutions/09_latent_diffusion.ipynb).

**1. PSNR of the ink.** Black flatters every PSNR. `rebuilt` and `clips` (B, T, H, W, C) have values in [0, 1]. Return
the PSNR of each clip (B,), over only those pixels that aren't black in `clips` (above 0.02).
"""


# %%
def decibels_of_ink(rebuilt, clips):
    pass  # fill me in, about 4 lines


check.ch09_psnr(decibels_of_ink)

# %% [markdown]
r"""
**2. How many numbers?** `patches` (n, d) are to be kept by the best linear code, fitted to them. Return the smallest number of
directions that keeps at least `share` of their variance. (`np.linalg.svd` sorts by size, largest first. What does a singular value
have to do with a variance?)
"""


# %%
def numbers_needed(patches, share):
    pass  # fill me in, about 3 lines


check.ch09_linear(numbers_needed)

# %% [markdown]
r"""
**3. Moments in one pass.** The latents of a whole data set don't fit into memory. `batches` is a list of arrays (b, T, h, w, C), not all
of one length. Look at each batch once, and return the means (C,) and standard deviations (C,) of all of them together.
"""


# %%
def moments(batches):
    pass  # fill me in, about 6 lines


check.ch09_normalise(moments)

# %% [markdown]
r"""
**4. The same for DDPM.** There $x_t = \sqrt{\bar\alpha}\, z + \sqrt{1 - \bar\alpha}\, \epsilon$. Latents of standard
deviation `deviation` are mixed with noise at `alpha_bar`. Return the $\bar\alpha$ at which latents of standard
deviation 1 would be as noisy. Both arguments are arrays.
"""


# %%
def alpha_bar_as_seen(alpha_bar, deviation):
    pass  # fill me in, about 2 lines


check.ch09_level(alpha_bar_as_seen)

# %% [markdown]
r"""
**5. Tokens of a large system.** A causal autoencoder makes one latent frame of the first frame, and one of each further
4 frames. Height and width become 8 times smaller. Patches are 2 x 2 cells of one latent frame. Return the number of
tokens of a clip of `frames` frames (4 k + 1 of them) of `height` x `width` pixels (multiples of 16).
"""


# %%
def tokens_of_clip(frames, height, width):
    pass  # fill me in, about 1 line


check.ch09_tokens(tokens_of_clip)

# %% [markdown]
r"""
**6. Break it: no penalty, and one that is too large.** Train with `AutoencoderLoss(kl=0)` and with `kl=0.1`. What do
you expect of the standard deviation of the raw latents, of the encoder's draws, of the PSNR, and of the PSNR with noise
added to the latents? Measure all four, and explain.

**7. Open.** Which latents are easy for a diffusion model? Think of a number that you could compute from the latents
alone, before any diffusion model is trained. Compute it for 2, 4 and 8 channels. How would you find out whether your
number predicts this well?

## In practice

- **Latent diffusion** is from [Rombach et al. 2022](references.md#rombach-2022), the paper behind Stable Diffusion: 8 x
  8 pixels become one cell of 4 channels. **Stable Diffusion 3** has 16 channels, since pictures are rebuilt better with
  more channels. Its authors found that larger models profit more from them ([Esser et al.
  2024](references.md#esser-2024)).
- **Losses.** Real pictures have grain, and squared errors blur it. So the autoencoders of large systems are also
  trained with a perceptual loss ([Zhang et al. 2018](references.md#zhang-2018)) and against a discriminator ([Esser et
  al. 2021](references.md#esser-2021)). Ours needs neither: strokes have no grain.
- **Sora** compresses time as well as space before it cuts patches. By how much isn't published ([Brooks et al.
  2024](references.md#brooks-2024)).
- **Open-Sora** 1.0 and 1.1 compressed frame by frame, as we do, and kept every third frame only. Motion stuttered. In 1.2 a second,
  causal network squeezes the latents of 4 frames into one; from 1.3 on one network does both. The report on 1.2 also notes that each
  channel had to be normalised for rectified flow ([Zheng et al. 2024](references.md#zheng-2024)).
- **CogVideoX** ([Yang et al. 2024](references.md#yang-2024)) and **HunyuanVideo** ([Kong et al. 2024](references.md#kong-2024)) each
  train a causal 3-D autoencoder, 4 x 8 x 8 with 16 channels, after the pattern of MAGVIT-v2 ([Yu et al. 2023](references.md#yu-2023)).
- **LTX-Video** goes to 8 x 32 x 32 with 128 channels and no patches; its decoder does the last step of denoising
  ([HaCohen et al. 2024](references.md#hacohen-2024)).

## Further reading

- [Dieleman 2025](references.md#dieleman-2025): what latents are for, and how much to leave to which of the two networks.
- [Hinton and Salakhutdinov 2006](references.md#hinton-2006): autoencoders against PCA, on digits.
- Here: `minivdit/models/autoencoder.py`; `AutoencoderTask` in `minivdit/training/tasks.py`; `examples/results/tried.md`, channels and
  decibels of the 64 x 64 autoencoder.

Next: [chapter 10](10_the_consistency_problem.ipynb), the consistency problem; or [the map](README.md#the-map).
"""
