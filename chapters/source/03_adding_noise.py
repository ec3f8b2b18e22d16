# %% [markdown]
r"""
# 3. Adding noise: the forward process

*About 60 minutes with the exercises. Runs in half a minute.*

**You'll do:** add noise to digits and clips, step by step and then in one jump. Compare four
[noise schedules](glossary.md#noise-schedule) by eye, by a formula, and by a judge that reads digits. Give every frame a noise
level of its own.

**You'll learn:** why two curves describe a [diffusion process](glossary.md#diffusion-process) completely; why the
[signal-to-noise ratio](glossary.md#signal-to-noise-ratio), and not the step number, says how hard it is to see the
clean sample; why larger pictures and longer clips need more noise; what a network can be asked to predict.

**You need:** NumPy, mean and variance. This chapter trains nothing. [Chapter 4](04_removing_noise.ipynb) removes the
noise again.

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

where $\epsilon_k$ is new noise from a standard normal distribution, and $\beta_k$ is the variance of the noise that is
added. With the factor $\sqrt{1-\beta_k}$ a variance of 1 stays 1, since $(1-\beta_k) \cdot 1 + \beta_k = 1$. The simple
loop:
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

Every step is a weighted sum of the last picture and independent noise. The factors of the clean picture multiply, which
gives a product of the $\sqrt{1-\beta_i}$. The variances of independent noises add up. If the noise has variance $v$
before a step, it has variance $(1-\beta_k)\,v + \beta_k$ after it. Then $1 - v$ becomes $1 - (1-\beta_k)\,v - \beta_k =
(1-\beta_k)(1-v)$. At first there is no noise, so $1 - v$ begins at 1. After $k$ steps it is the product of all $1 -
\beta_i$. So

$$x_k = \sqrt{\bar\alpha_k}\; x_0 + \sqrt{1 - \bar\alpha_k}\; \epsilon, \qquad \bar\alpha_k = \prod_{i \le k} (1 - \beta_i),$$

where $\epsilon$ is drawn only once. To check this, we send many copies of one pixel of value 0.8 through the loop.
Their mean and their [standard deviation](glossary.md#standard-deviation) must be those of the jump.
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
among the most common mistakes in diffusion code. You can't see them, since a picture that is one step too clean looks
the same. The library has no step numbers. Instead, it has a [noise level](glossary.md#noise-level) $t$ from 0 (clean)
to 1 (pure noise). In DDPM, timestep $k$ is the level $k/1000$.

## A diffusion process is two curves

**Claim.** All the usual processes have the form

$$x_t = \alpha(t)\; c + \sigma(t)\; \epsilon$$

with the clean sample $c$ and noise $\epsilon$. Only the two curves $\alpha$ and $\sigma$ differ between them. In the
library, `curve.mix(clean, noise, level)` computes $x_t$.

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
The linear schedule and its zero-terminal form differ only near the end. The right panel shows alpha against sigma,
without the level. Three processes follow the same quarter circle, at different speeds. [Rectified
flow](glossary.md#rectified-flow) takes the straight line. We now mix the same digit with the same noise by each
process:
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

Look at level 0.5. In the top row the digit is gone. In the bottom row one can almost read it. So the level alone
doesn't say how noisy a picture is. The ratio of the two variances does. It goes over many powers of ten, so we draw it
in [decibels](glossary.md#decibel), where 10 dB are a factor of 10:

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
**Claim.** Where two processes have the same ratio, they make the same picture, up to a factor.

Take the cosine process at some level. Find the level at which rectified flow has the same ratio. Mix the same digit
with the same noise in both, and divide each picture by its own $\alpha$:

$$\frac{x_t}{\alpha} = c + \frac{\sigma}{\alpha}\, \epsilon$$

Both have the same $\sigma/\alpha$, so the two pictures must be equal.
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
So all schedules make the same noisy pictures. A schedule only decides how much training, and how many steps of
sampling, each ratio gets. Whether a digit can still be read must then depend on the ratio alone. We check this with the
[judge](glossary.md#judge), the small network of this package that reads digits. (It wasn't trained on this much noise,
so you may still read a digit where the judge fails. The judge can also answer "no digit", and does so for strong noise.
Therefore it can read fewer digits than one would by guessing.)
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
On the left, the schedules have different curves (only the linear one and its zero-terminal form are alike here). On the
right, all curves coincide. The linear schedule spends most of its levels where the judge can't read anything. The
cosine schedule was proposed because the linear one spends so many levels on nearly pure noise.

## Larger pictures need more noise

**Claim.** At the same level, one can see more in a larger picture.

Neighbouring pixels of a picture are alike. Neighbouring pixels of noise are independent. Average blocks of $n$ pixels.
The picture changes little, and the standard deviation of the noise shrinks to

$$\frac{\sigma}{\sqrt{n}}$$

With blocks of 2 x 2 it is halved, so the SNR grows by a factor of 4, about 6 dB. A network can average pixels, too, so
it sees through more noise in a larger picture.
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
The same holds along time. If a digit stands still for 16 frames, one can average over the frames. This multiplies the
SNR by another factor of 16. So models of large pictures and long clips *shift* their levels towards noise. In rectified
flow, a shift by $s$ divides $\alpha / \sigma$ by $s$ at every level:

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

**Claim.** The linear schedule never reaches pure noise. A little of the clip is left at level 1, and this harms the
samples.
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
A single pixel shows nothing, since alpha is less than a hundredth at level 1. But the mean over a clip of 64 x 64
pixels and 16 frames tells white clips from black ones quite well (left panel). A network learns to use this mean. In
training, the "pure noise" contains a hint about the brightness. In [sampling](glossary.md#sampling) we start from noise
without such a hint. Its mean is near 0, so the clips get a medium brightness, whatever the caption says. With
`zero_terminal_snr` there is no hint in training either (right panel). (We drew the mean of the noise directly from its
distribution. This saves us 65,536 random numbers for each clip.)

## Frames: a noise level for each

A clip is an array (B, T, H, W, C): clips, frames, height, width, channels. In this project every frame of a clip has
its own level. So the levels form an array (B, T), and frame $\tau$ of clip $b$ is mixed by its level $t_{b\tau}$:

$$x_{b\tau} = \alpha(t_{b\tau})\; c_{b\tau} + \sigma(t_{b\tau})\; \epsilon_{b\tau}$$
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
A network that is trained on all such mixtures can draw a clip from nothing, continue a picture, or fill a gap. These
tasks differ only in their levels. [Chapter 14](14_every_ability.ipynb) does all of them. The next cell draws levels as
training does. Some clips have one level for all frames. In some clips a few frames are given (dark). In others each
frame has its own level.
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

(On the quarter circle, $\alpha$ and $\sigma$ are the cosine and the sine of an angle. There the velocity is the
derivative of $x$ by this angle.)

**Claim.** It is enough to know one of the three. Since $x$ is known, each answer gives the other two.
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
But an error of the network has different effects in the three cases. Let its answer be off by a small error $e$. From a
predicted noise we get the clean clip as $(x - \sigma\epsilon)/\alpha$, so $e$ is multiplied by $\sigma/\alpha$ (the
sign doesn't matter here). From a predicted velocity we get it as $x - \sigma v$ in rectified flow, and as $\alpha x -
\sigma v$ on the quarter circle. So the error of the clean clip is

$$e \;\;\text{(predicting clean)}, \qquad \frac{\sigma}{\alpha}\, e \;\;\text{(noise)}, \qquad \sigma\, e
\;\;\text{(velocity)}$$

The error by noise prediction becomes very large where little signal is left:
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
Where alpha is 0, as at level 1 of rectified flow, a noise prediction says nothing about the clip. The library raises an
error there. Predicting clean has a similar problem at the other end. Samplers need the noise, too. Computed from a
predicted clean clip, it is off by $e\,\alpha/\sigma$, which becomes very large near level 0. With velocity, the clean
clip is off by $e\,\sigma$ and the noise by $e\,\alpha$. Neither factor is ever above 1. Therefore velocity is the usual
choice.

## Exercises

Worked solutions are in [solutions/03_adding_noise](solutions/03_adding_noise.ipynb).

**1. Add more noise.** `x` (B, T, H, W, C) is a clip that rectified flow has mixed at the levels `here` (B, T), all
below 1. Bring it to the levels `there` (B, T), each of which is at least as high, with new noise `fresh` (B, T, H, W,
C). First multiply $x$ so that the clean part is right. Then add as much of `fresh` as is missing. Variances add up, as
in the first section.
"""


# %%
def noisier(x, fresh, here, there):
    pass  # fill me in, about 5 lines


check.ch03_noisier(noisier)

# %% [markdown]
r"""
**2. From alpha_bar back to beta.** `alpha_bar` (K,) holds $\bar\alpha_1$ to $\bar\alpha_K$ of any schedule. Return the
`beta` (K,) of its steps. Before the first step there is no noise, so $\bar\alpha_0 = 1$. If a beta is above 0.999,
return 0.999 instead, so that a schedule that ends at 0 works, too ([Nichol and Dhariwal
2021](references.md#nichol-2021) do the same).
"""


# %%
def beta_of(alpha_bar):
    pass  # fill me in, about 2 lines


check.ch03_beta(beta_of)

# %% [markdown]
r"""
**3. Which level?** Rectified flow is shifted by `shift`, a number. `decibels` is an array of signal-to-noise ratios.
Return the levels at which the shifted flow has these ratios.
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
**5. Break it and explain.** Someone forgets to scale the pixels: they go from -4 to 4 instead of from -1 to 1. In
rectified flow, find the level at which the judge reads half of the digits, once with pixels from -1 to 1 and once with
pixels from -4 to 4. Write your own `share_read` for this. (Before the judge reads, divide by alpha, then in the second
case by 4, and bring the pixels from [-1, 1] to [0, 1].) Which shift has the same effect as the large pixels? With large
pixels, is the task of a network at level 0.5 harder or easier?

**6. A question to explore.** Design a schedule of your own: a class with the methods `alpha(level)`, `sigma(level)` and
`mix(clean, noise, level)`, as `share_read` and `decibels` use them. For example, find the ratio above which the judge
reads all digits and the ratio below which it reads none, and let the decibels fall evenly from a little above the first
to a little below the second. Compare your schedule with the four of this chapter. What would you choose for clips of
128 x 128 pixels, and why?
"""

# %% [markdown]
r"""
## In practice

- **Stable Diffusion 3** uses rectified flow. It draws training levels from a logit-normal distribution (normal numbers,
  brought between 0 and 1 by the logistic function), and shifts them with the resolution ([Esser et al.
  2024](references.md#esser-2024)). The library's `training_levels` and `shift` follow this paper.
- **CogVideoX** predicts the velocity on a schedule with zero terminal signal-to-noise ratio ([Yang et al.
  2024](references.md#yang-2024)).
- **Open-Sora** changed from DDPM to rectified flow in version 1.2, and shifts the levels with the resolution and the
  number of frames ([Zheng et al. 2024](references.md#zheng-2024)). In this project the setting `diffusion.shift_tokens`
  does so.
- **A level for each frame** was studied as *diffusion forcing* ([Chen et al. 2024](references.md#chen-2024)).

## Further reading

- [Sohl-Dickstein et al. 2015](references.md#sohl-dickstein-2015): the first diffusion model. [Ho et al.
  2020](references.md#ho-2020): the first one whose pictures were very good.
- [Kingma et al. 2021](references.md#kingma-2021): the logarithm of the signal-to-noise ratio takes the place of time.
- [Hoogeboom et al. 2023](references.md#hoogeboom-2023): more noise for larger pictures.
- [Salimans and Ho 2022](references.md#salimans-2022): velocity prediction.
- Here: `minivdit/diffusion/curves.py`, `process.py` and `levels.py`.

Next: [chapter 4](04_removing_noise.ipynb), which removes the noise again.
"""
