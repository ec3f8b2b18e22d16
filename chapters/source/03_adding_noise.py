# %% [markdown]
r"""
# 3. Adding noise: the forward process

*About 60 minutes with the exercises. Runs in half a minute.*

**You'll do:** add noise to digits and clips, step by step and then in one jump. Compare four
[noise schedules](glossary.md#noise-schedule) by eye, by a formula, and by a judge that reads digits. Give every frame a noise
level of its own.

**You'll learn:** why a [diffusion process](glossary.md#diffusion-process) is two curves and nothing else; why the
[signal-to-noise ratio](glossary.md#signal-to-noise-ratio), and not the step number, says how hard a sample is; why larger
pictures and longer clips need more noise; what a network can be asked to predict.

**You need:** NumPy, mean and variance. Nothing is trained here. [Chapter 4](04_removing_noise.ipynb) removes the noise again.

![A clip and noise, mixed by two curves](pictures/03.svg)
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.diffusion import Process, make, training_levels
from minivdit.lab.evaluation import load_judge
from minivdit.lab.lessons import check, size

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

source = digit_source("strokes", split="test")
digit = source.draw(generator, [5])[0] * 2 - 1  # (28, 28) in [-1, 1], black to white


def show(axes, image, title=""):
    axes.imshow(image, cmap="gray", vmin=-2, vmax=2)  # noise reaches beyond [-1, 1]: a wider range shows it
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)


# %% [markdown]
r"""
## A little noise, a thousand times

This is the idea of [DDPM](references.md#ho-2020): shrink the picture a little and add a little noise, again and again. The
number of a step, $k$, is called its [timestep](glossary.md#timestep):

$$x_k = \sqrt{1-\beta_k}\; x_{k-1} + \sqrt{\beta_k}\; \epsilon_k$$

where $\epsilon_k$ is fresh noise from a standard normal distribution, and $\beta_k$ is the variance of what is added. The
picture is shrunk by just so much that a variance of 1 stays 1. The simple loop:
"""

# %%
beta = np.linspace(1e-4, 0.02, 1000)  # the schedule of the DDPM paper

x, seen = digit, {}
for k in range(1000):
    x = np.sqrt(1 - beta[k]) * x + np.sqrt(beta[k]) * generator.standard_normal(x.shape)
    seen[k + 1] = x

figure, panels = plt.subplots(1, 7, figsize=(9, 1.7), layout="constrained")
for axes, k in zip(panels, (0, 50, 100, 200, 400, 600, 1000)):
    show(axes, seen.get(k, digit), f"{k} steps")
plt.show()

# %% [markdown]
r"""
**Claim.** There is no need to go step by step. One jump reaches step $k$.

Every step is a weighted sum of the picture so far and independent noise. The weights on the picture multiply. The variances
of independent noises add up: from a noise of variance $v$, a step makes one of variance $(1-\beta_k)\,v + \beta_k$. So
$1 - v$ is multiplied by $1-\beta_k$. It begins at 1, as no noise is there at first. So after $k$ steps

$$x_k = \sqrt{\bar\alpha_k}\; x_0 + \sqrt{1 - \bar\alpha_k}\; \epsilon, \qquad \bar\alpha_k = \prod_{i \le k} (1 - \beta_i),$$

with one single noise $\epsilon$. To check it, we send many copies of one pixel of value 0.8 through the loop. Their mean and
their [standard deviation](glossary.md#standard-deviation) must be those of the jump.
"""

# %%
alpha_bar = np.cumprod(1 - beta)
copies, value, k = size(20_000, 2_000), 0.8, 300

walked = np.full(copies, value)
for i in range(k):
    walked = np.sqrt(1 - beta[i]) * walked + np.sqrt(beta[i]) * generator.standard_normal(copies)
mean, deviation = np.sqrt(alpha_bar[k - 1]) * value, np.sqrt(1 - alpha_bar[k - 1])

print(f"loop: mean {walked.mean():.3f}, standard deviation {walked.std():.3f}")
print(f"jump: mean {mean:.3f}, standard deviation {deviation:.3f}")
assert abs(walked.mean() - mean) < 5 * deviation / copies**0.5  # as near as so many copies can tell
assert abs(walked.std() / deviation - 1) < 5 / (2 * copies) ** 0.5

# %% [markdown]
r"""
Note the index: `alpha_bar[k - 1]` is the product after `k` steps, because Python counts from 0. Off-by-one errors are
among the most common mistakes in diffusion code. They are hard to see, since a picture that is one step too clean looks the
same. The library has no step numbers. Instead, a [noise level](glossary.md#noise-level) $t$ goes from 0 (clean) to 1 (pure
noise). In DDPM, timestep $k$ is the level $k/1000$.

## A diffusion process is two curves

**Claim.** All the usual processes have the form

$$x_t = \alpha(t)\; c + \sigma(t)\; \epsilon$$

with the clean sample $c$ and noise $\epsilon$. They differ in the two curves only. In the library this is
`curve.mix(clean, noise, level)`.

| in the library | $\alpha$ and $\sigma$ | source |
|---|---|---|
| `ddpm_linear` | $\alpha = \sqrt{\bar\alpha}$ from the linear $\beta$ above, $\alpha^2 + \sigma^2 = 1$ | [Ho et al. 2020](references.md#ho-2020) |
| `ddpm_cosine` | $\bar\alpha$ close to $\cos^2(\tfrac{\pi}{2} t)$ at level $t$, $\alpha^2 + \sigma^2 = 1$ | [Nichol and Dhariwal 2021](references.md#nichol-2021) |
| `zero_terminal_snr` | the linear one, moved so that it ends at exactly 0 | [Lin et al. 2023](references.md#lin-2023) |
| `rectified_flow` | $\alpha = 1 - t$, $\sigma = t$ | [Liu et al. 2022](references.md#liu-2022) |
"""

# %%
curves = {name: make(name) for name in ("ddpm_linear", "ddpm_cosine", "zero_terminal_snr", "rectified_flow")}
styles = dict(zip(curves, ("-", "--", ":", "-.")))
level = np.linspace(0, 1, 501)

assert np.isclose(curves["ddpm_linear"].alpha(k / 1000), np.sqrt(alpha_bar[k - 1]))  # the loop above, as a curve

figure, panels = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
for name, curve in curves.items():
    alpha, sigma = curve.alpha(level), curve.sigma(level)
    panels[0].plot(level, alpha, styles[name], label=name)
    panels[1].plot(level, sigma, styles[name], label=name)
    panels[2].plot(alpha, sigma, styles[name], label=name)
panels[0].set(title="how much of the clip is left", xlabel="noise level", ylabel="alpha")
panels[1].set(title="how much noise there is", xlabel="noise level", ylabel="sigma")
panels[2].set(title="the way from clean to noise", xlabel="alpha", ylabel="sigma", aspect="equal")
panels[0].legend(fontsize=8)
for axes in panels:
    axes.grid(alpha=0.3)
plt.show()

# %% [markdown]
r"""
The linear schedule and its zero-terminal form differ only near the end. The right panel leaves out the time and shows alpha
against sigma. Three processes follow the same quarter circle at different speeds. [Rectified
flow](glossary.md#rectified-flow) takes the straight line. This is what they do to the same digit with the same noise:
"""

# %%
noise = generator.standard_normal(digit.shape)
shown = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
figure, rows = plt.subplots(len(curves), len(shown), figsize=(8, 5), layout="constrained")
for row, (name, curve) in zip(rows, curves.items()):
    for axes, t in zip(row, shown):
        show(axes, curve.mix(digit, noise, t), f"level {t}")
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
r"""
## What counts is the signal-to-noise ratio

Look at level 0.5. In the top row the digit is gone. In the bottom row it can almost be read. So a level by itself says little.
What matters is the ratio of the two variances. It spans many powers of ten, so we draw it in
[decibels](glossary.md#decibel), where 10 dB are a factor of 10:

$$\mathrm{SNR}(t) = \frac{\alpha(t)^2}{\sigma(t)^2}, \qquad \text{in decibels: } 10 \log_{10} \mathrm{SNR}
= 20 \log_{10} \frac{\alpha}{\sigma}$$
"""

# %%
inner = np.linspace(0.005, 0.995, 199)


def decibels(curve, level):
    return 20 * np.log10(curve.alpha(level) / curve.sigma(level))


figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for name, curve in curves.items():
    axes.plot(inner, decibels(curve, inner), styles[name], label=name)
axes.axhline(0, color="0.6", linewidth=1)
axes.annotate("as much noise as signal", (0.63, 1.5), fontsize=8, color="0.35")
axes.set(xlabel="noise level", ylabel="signal to noise (dB)", title="the same level means different things")
axes.grid(alpha=0.3)
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
**Claim.** Two processes with equal ratios show the same picture, up to a factor.

Take the cosine process at some level. Find the level at which rectified flow has the same ratio. Mix the same digit with the
same noise in both. Divided by its own $\alpha$, each picture is

$$\frac{x_t}{\alpha} = c + \frac{\sigma}{\alpha}\, \epsilon$$

so they must agree.
"""

# %%
cosine, flow = curves["ddpm_cosine"], curves["rectified_flow"]
t = 0.37
ratio = cosine.alpha(t) / cosine.sigma(t)
same = 1 / (1 + ratio)  # (1 - same) / same = ratio
print(f"cosine at {t} is rectified flow at {same:.3f}: both {decibels(cosine, t):.2f} dB")

one, other = cosine.mix(digit, noise, t) / cosine.alpha(t), flow.mix(digit, noise, same) / flow.alpha(same)
assert np.allclose(one, other)

# %% [markdown]
r"""
So a schedule doesn't choose *which* noisy pictures there are. It chooses how much training, and how many steps of sampling,
each ratio gets. Whether a digit can still be read must then depend on the ratio alone. We ask the
[judge](glossary.md#judge), the small network of this package that reads digits. (It wasn't trained on this much noise. You
may still read a digit where it fails. It has an eleventh answer, "no digit", and gives it for strong noise. So its share
falls below guessing.)
"""

# %%
judge = load_judge()
labels = np.arange(size(200, 20)) % 10
digits = source.draw(generator, labels)  # the judge reads pixels in [0, 1]


def share_read(curve, level):
    x = curve.mix(digits, generator.standard_normal(digits.shape), level)
    windows = np.clip(x / curve.alpha(level), 0, 1).astype(np.float32)
    return (judge.read(windows)[0].argmax(-1) == labels).mean()


levels_read = np.linspace(0.02, 0.98, size(21, 5))
read = {name: [share_read(curve, t) for t in levels_read] for name, curve in curves.items()}
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", sharey=True)
for name, curve in curves.items():
    left.plot(levels_read, read[name], styles[name], label=name)
    right.plot(decibels(curve, levels_read), read[name], styles[name], label=name)
left.set(xlabel="noise level", ylabel="share of digits read", title="by level: four curves")
right.set(xlabel="signal to noise (dB)", title="by ratio: one curve", xlim=(-20, 25))
right.invert_xaxis()
for axes in (left, right):
    axes.axhline(0.1, color="0.6", linewidth=1)
    axes.grid(alpha=0.3)
left.annotate("guessing", (0.02, 0.12), fontsize=8, color="0.35")
left.legend(fontsize=8)
plt.show()
print(f"without noise the judge reads {(judge.read(digits)[0].argmax(-1) == labels).mean():.0%}")

# %% [markdown]
r"""
On the left, each schedule has its own curve. On the right they fall together. The linear schedule spends a good part of its
levels where nothing can be read any more. That is why the cosine schedule was proposed.

## Larger pictures need more noise

**Claim.** The same level hides less in a larger picture.

Neighbouring pixels of a picture are alike. Those of noise are not. Average blocks of $n$ pixels: the picture stays much as it
was, and the standard deviation of the noise shrinks to

$$\frac{\sigma}{\sqrt{n}}$$

With blocks of 2 x 2 it is halved, so the SNR grows by a factor of 4, about 6 dB. A network can average, too.
"""


# %%
def halve(image):  # (H, W) -> (H/2, W/2)
    height, width = image.shape
    return image.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


large = source.draw(generator, [3], size=80)[0] * 2 - 1
x = flow.mix(large, generator.standard_normal(large.shape), 0.8)
once, twice = halve(x), halve(halve(x))
noise_left = [np.std(halve(a) - halve(b)) for a, b in ((x, 0.2 * large), (once, 0.2 * halve(large)))]
assert np.allclose([0.8 / 2, 0.8 / 4], noise_left, rtol=0.1)

figure, panels = plt.subplots(1, 3, figsize=(7.5, 2.7), layout="constrained")
for axes, image in zip(panels, (x, once, twice)):
    spread = np.abs(image).max()
    axes.imshow(image, cmap="gray", vmin=-spread, vmax=spread)
    axes.set(xticks=[], yticks=[], title=f"{image.shape[0]} x {image.shape[1]}")
figure.suptitle("one picture at level 0.8, averaged twice", fontsize=10)
plt.show()

# %% [markdown]
r"""
The same holds along time. In a clip of 16 frames of a digit that stands still, averaging gains another factor of 16. So
models of large pictures and long clips *shift* their levels towards noise. On rectified flow, a shift by $s$ divides
$\alpha / \sigma$ by $s$ at every level:

$$\frac{\alpha_s(t)}{\sigma_s(t)} = \frac{1}{s} \cdot \frac{1 - t}{t}$$
"""

# %%
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for shift, style in ((1, "-"), (3, "--"), (9, ":")):
    moved = make("rectified_flow", shift=shift)
    assert np.allclose(moved.alpha(inner) / moved.sigma(inner), flow.alpha(inner) / flow.sigma(inner) / shift)
    axes.plot(inner, moved.sigma(inner), style, label=f"shift {shift}")
axes.set(xlabel="noise level", ylabel="sigma", title="rectified flow, shifted towards noise")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
r"""
## What leaks through at the end

**Claim.** The linear schedule never reaches pure noise, and that matters.
"""

# %%
for name, curve in curves.items():
    print(f"{name:18} alpha at level 1: {curve.alpha(1.0):.5f}")

pixels, trials = 64 * 64 * 16, size(400, 20)  # one clip
figure, panels = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained", sharey=True)
bins = np.linspace(-0.025, 0.025, 41)
for axes, name in zip(panels, ("ddpm_linear", "zero_terminal_snr")):
    for brightness, hatch in ((-1, "//"), (1, "..")):
        average_noise = generator.standard_normal(trials) / pixels**0.5  # so the mean of that much noise is distributed
        means = curves[name].alpha(1.0) * brightness + average_noise
        axes.hist(means, bins, alpha=0.6, hatch=hatch, label="white clips" if brightness > 0 else "black clips")
    axes.set(title=f"{name} at level 1", xlabel="mean of all pixels")
    axes.legend(fontsize=8)
panels[0].set_ylabel("clips")
plt.show()

# %% [markdown]
r"""
A single pixel shows nothing: alpha is less than a hundredth at level 1. But the mean over a clip of 64 x 64 pixels and 16
frames tells white from black quite well (left), and a network finds that out. In training, its "pure noise" contains a hint
about the brightness. In [sampling](glossary.md#sampling) we start from noise without a hint. Then the clips get a medium
brightness, whatever the caption asks. With `zero_terminal_snr` the hint is gone (right). (We drew the mean of the noise from
its own distribution, instead of 65,536 pixels for each clip.)

## Frames: a noise level for each

A clip is an array (B, T, H, W, C): clips, frames, height, width, channels. In this project every frame of a clip has a level
of its own. So the levels form an array (B, T):

$$x_{b\tau} = \alpha(t_{b\tau})\; c_{b\tau} + \sigma(t_{b\tau})\; \epsilon_{b\tau}$$

for frame $\tau$ of clip $b$.
"""

# %%
clips = CaptionedClips(source, size=(20, 32), num_frames=6, digit_size=16, num_digits=(1,))
made = clips.render(np.random.default_rng(0), [[DigitMotion(7, "right", "fast")]])
clean = np.repeat(made.video * 2 - 1, 4, axis=0)  # the same clip four times, (4, 6, 20, 32, 1)
noise = generator.standard_normal(clean.shape, dtype=np.float32)

frame = np.arange(6)
level = np.stack(
    [
        np.full(6, 0.6),  # all alike: a clip from text alone
        np.where(frame == 0, 0, 0.6),  # the first frame is given: a picture comes to life
        np.where((frame == 0) | (frame == 5), 0, 0.6),  # both ends are given: what happens between?
        frame / 5,  # ever noisier: the future is less certain than the past
    ]
)  # (4, 6)
x = flow.mix(clean, noise, level)

for clip in range(4):  # quick check: each frame by itself is mixed by its own level
    for t in range(6):
        expected = (1 - level[clip, t]) * clean[clip, t] + level[clip, t] * noise[clip, t]
        assert np.allclose(x[clip, t], expected, atol=1e-6)

figure, rows = plt.subplots(4, 6, figsize=(9, 4.6), layout="constrained")
for row, clip, levels, name in zip(rows, x, level, ("all alike", "first given", "ends given", "rising")):
    for t, axes in enumerate(row):
        show(axes, clip[t, :, :, 0], f"{levels[t]:.2f}")
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
figure.suptitle("one clip under four choices of noise levels (above each frame)", fontsize=10)
plt.show()

# %% [markdown]
r"""
A network that is trained on all such mixtures can draw a clip from nothing, continue a picture, or fill a gap. These tasks
differ only in their levels. [Chapter 14](14_every_ability.ipynb) does all of them. Here are the levels that training draws:
some clips have one level for all frames, in some a few frames are given (dark), and in some each frame has its own.
"""

# %%
drawn = training_levels(generator, batch=24, num_frames=8)
drawn = drawn[np.lexsort(drawn.T)]
figure, axes = plt.subplots(figsize=(7.5, 3), layout="constrained")
picture = axes.imshow(drawn.T, cmap="cividis", vmin=0, vmax=1, aspect="auto")
axes.set(xlabel="clip of a training batch", ylabel="frame", title="noise levels that training draws")
figure.colorbar(picture, ax=axes, label="noise level")
plt.show()

# %% [markdown]
r"""
## What is the network asked?

The network sees $x$ and the level. It may be asked for the noise, for the clean clip, or for the
[velocity](glossary.md#velocity), which says how $x$ changes when the level grows:

$$v = \epsilon - c \;\;\text{(rectified flow)}, \qquad v = \alpha\, \epsilon - \sigma\, c \;\;\text{(where }
\alpha^2 + \sigma^2 = 1)$$

(The second is the derivative along the quarter circle, by its angle.)

**Claim.** The three questions are one. Since $x$ is known, each answer gives the other two.
"""

# %%
for name in ("ddpm_cosine", "rectified_flow"):
    curve, t = curves[name], np.full((4, 6), 0.4)
    x = curve.mix(clean, noise, t)
    for kind in ("noise", "clean", "velocity"):
        process = Process(curve, kind)
        answer = process.target(clean, noise, t)
        got_clean, got_noise = process.to_clean_and_noise(answer, x, t)
        assert np.allclose(got_clean, clean, atol=1e-5) and np.allclose(got_noise, noise, atol=1e-5)
        print(f"{name:15} {kind:9} variance of the target {answer.var():.2f}")

# %% [markdown]
r"""
But they don't forgive errors equally. Let the answer be off by a small error $e$. From a predicted noise we get the clean clip
as $(x - \sigma\epsilon)/\alpha$, so $e$ is multiplied by $\sigma/\alpha$ (signs don't matter here). The clean clip is off by

$$e \;\;\text{(predicting clean)}, \qquad \frac{\sigma}{\alpha}\, e \;\;\text{(noise)}, \qquad \sigma\, e
\;\;\text{(velocity)}$$

The second one explodes when little signal is left:
"""

# %%
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for kind, style in (("noise", "-"), ("clean", "--"), ("velocity", ":")):
    amplified = []
    for t in inner:
        x, at = np.zeros((1, 1, 1, 1, 1)), np.full((1, 1), t)
        off, _ = Process(flow, kind).to_clean_and_noise(np.ones_like(x), x, at)
        amplified.append(abs(off.item()))
    axes.semilogy(inner, amplified, style, label=f"predict {kind}")
axes.set(xlabel="noise level", ylabel="error of the clean clip", title="an error of 1 in the answer (rectified flow)")
axes.set_ylim(0.005, 300)
axes.grid(alpha=0.3)
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
Where alpha is 0, as at level 1 of rectified flow, a noise prediction says nothing about the clip. The library refuses it there.
Predicting clean has the same trouble at the other end. Samplers need the noise, too, and it is then off by
$e\,\alpha/\sigma$, which explodes near level 0. With velocity, the clean clip is off by $e\,\sigma$ and the noise by
$e\,\alpha$. Both are harmless at both ends. That is why velocity is the usual choice.

## Exercises

Worked solutions are in [solutions/03_adding_noise](solutions/03_adding_noise.ipynb).

**1. Add more noise.** `x` (B, T, H, W, C) is a clip that rectified flow has mixed at the levels `here` (B, T). Bring it to the
levels `there` (B, T), which are nowhere lower, with fresh noise `fresh` (B, T, H, W, C). (`here` is below 1.) Shrink
$x$ so that the clean part is right, then add as much fresh noise as is missing. Variances add up, as in the first section.
"""


# %%
def noisier(x, fresh, here, there):
    pass  # fill me in, about 5 lines


check.ch03_noisier(noisier)

# %% [markdown]
r"""
**2. From alpha_bar back to beta.** `alpha_bar` (K,) is what is left after each step, from any schedule. Return the `beta` (K,)
of the steps that lead there. Before the first step all is clean. No beta may be above 0.999, so that a schedule that ends at 0
works, too ([Nichol and Dhariwal 2021](references.md#nichol-2021) do it like this).
"""


# %%
def beta_of(alpha_bar):
    pass  # fill me in, about 2 lines


check.ch03_beta(beta_of)

# %% [markdown]
r"""
**3. Which level?** Rectified flow is shifted by `shift`, a number. At which levels does its signal-to-noise ratio have the
values `decibels`, an array?
"""


# %%
def level_of(decibels, shift):
    pass  # fill me in, about 2 lines


check.ch03_level_of(level_of)

# %% [markdown]
r"""
**4. The clean clip from a velocity**, for rectified flow: `x` and `velocity` are (B, T, H, W, C), `level` is (B, T).
Don't divide by anything.
"""


# %%
def clean_of(x, velocity, level):
    pass  # fill me in, about 2 lines


check.ch03_clean(clean_of)

# %% [markdown]
r"""
**5. Break it and explain.** Someone forgets to scale the pixels: they go from -4 to 4 instead of from -1 to 1. On rectified
flow, find the level at which the judge reads half of the digits, with both kinds of pixels. Write a `share_read` of your
own for this. (Before it reads, divide by alpha, then by 4, and bring the pixels to [0, 1].) Which shift has the same
effect? Would a network have more work or less at level 0.5?

**6. A question to explore.** Design a schedule of your own: a class with the methods `alpha(level)`, `sigma(level)` and
`mix(clean, noise, level)`, as `share_read` and `decibels` use them. For example, spread the
levels evenly over the decibels between which the judge goes from reading all to reading nothing. Compare it with the four in
the pictures of this chapter. What would you choose for clips of 128 x 128 pixels, and why?
"""

# %% [markdown]
r"""
## In practice

- **Stable Diffusion 3** uses rectified flow, draws training levels from a logit-normal distribution (normal numbers,
  brought between 0 and 1 by the logistic function), and shifts them
  with the resolution ([Esser et al. 2024](references.md#esser-2024)). The library's `training_levels` and `shift`
  are both from there.
- **CogVideoX** predicts the velocity on a schedule with zero terminal signal-to-noise ratio
  ([Yang et al. 2024](references.md#yang-2024)).
- **Open-Sora** moved from DDPM to rectified flow with version 1.2, and shifts the levels with the resolution and the number
  of frames ([Zheng et al. 2024](references.md#zheng-2024)). The setting `diffusion.shift_tokens` does this here.
- **A level for each frame** was studied as *diffusion forcing* ([Chen et al. 2024](references.md#chen-2024)).

## Further reading

- [Sohl-Dickstein et al. 2015](references.md#sohl-dickstein-2015), where it began; [Ho et al.
  2020](references.md#ho-2020), where it began to work well.
- [Kingma et al. 2021](references.md#kingma-2021): the log of the signal-to-noise ratio as the natural time.
- [Hoogeboom et al. 2023](references.md#hoogeboom-2023): more noise for larger pictures.
- [Salimans and Ho 2022](references.md#salimans-2022): velocity prediction.
- Here: `minivdit/diffusion/curves.py`, `process.py` and `levels.py`.

Next: [chapter 4](04_removing_noise.ipynb), in which the noise is taken away again.
"""
