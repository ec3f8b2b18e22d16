# %% [markdown]
r"""
# 4. Removing it: from noise back to a clip

*About 110 minutes with the exercises. Runs in about two minutes.*

**You'll do:** compute the best possible answer to "what was there before the noise?". Train a tiny network to give it for
points in the plane. Go from noise back to points, by hand and with the library. Check the theory by numbers. Then do the
same with clips, and compare samplers by pictures and by numbers.

**You'll learn:** why the best guess is an average, and hence a blur; what a [sampler](glossary.md#sampler) does with
the pair (clean, noise), and why any prediction goes with any sampler; how many steps are enough; why a network can be
trained on single paths; what the score is; why an ODE and an SDE give samples of the same distribution; where DDPM's
loss comes from.

**You need:** [chapter 3](03_adding_noise.ipynb); gradients and layers as in chapters [1](01_autograd.ipynb) and
[2](02_layers_and_learning.ipynb).

![Ways from noise to clips along a velocity](pictures/04.svg)
"""

# %%
import itertools
import time

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base.backend import blas_threads
from minivdit.data import CaptionedClips, digit_source, parse
from minivdit.diffusion import SAMPLERS, Process, make, sample, steps, uniform_levels
from minivdit.generation import TextToVideo
from minivdit.lab.display import draw_strip
from minivdit.lab.evaluation import Estimate, identity_metrics, observe, prompt_metrics, read_captions
from minivdit.lab.lessons import check, size
from minivdit.lab.lessons.ch04 import moons
from minivdit.nn import Linear, Module
from minivdit.nn.optim import AdamW

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## Data small enough to see

A clip is a point in a space of thousands of dimensions. We can't draw this space, so we begin with two dimensions. Our
data are points of a plane where a digit has ink. If all goes well, noise will turn into points that form a digit.

The library's arrays are (B, T, ...), with a [noise level](glossary.md#noise-level) for each clip and frame. A point is a "clip" of
one frame with two numbers: (B, 1, 2).
"""

# %%
image = digit_source("strokes", split="test").draw(generator, [3])[0]  # (28, 28)


def draw_points(generator, count):  # -> (count, 1, 2)
    place = generator.choice(image.size, size=count, p=image.ravel() / image.sum())
    y, x = np.unravel_index(place, image.shape)
    points = np.stack([x, y], axis=-1) + generator.random((count, 2))
    return (((points - 14) / 6)[:, None] * [1, -1]).astype(np.float32)


def scatter(axes, points, title="", **style):
    axes.plot(*points.reshape(-1, 2).T, ".", **{"markersize": 2, "alpha": 0.5, **style})
    axes.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize=9)


curve = make("ddpm_linear")  # the process of the DDPM paper
points = draw_points(generator, 1000)
noise = generator.standard_normal(points.shape, dtype=np.float32)
figure, panels = plt.subplots(1, 5, figsize=(9.5, 2.2), layout="constrained")
for axes, t in zip(panels, (0, 0.1, 0.25, 0.5, 1)):
    scatter(axes, curve.mix(points, noise, t), f"level {t}")
plt.show()

# %% [markdown]
r"""
## The best guess is an average

A network sees a noisy $x$ and the level, and is asked for the clean point. Many clean points could have become this
$x$. The loss is the mean square of the error. The one answer with the smallest mean square distance from many points is
their mean. So

**Claim.** The best answer is the *average* of all clean points, each weighted by how likely it is to have become $x$.

A point $c_i$ becomes $x$ if the noise was $(x - \alpha c_i)/\sigma$. Normal noise has a likelihood in proportion to
$e^{-|\text{noise}|^2/2}$. So for a finite data set we can compute this average without a network:

$$\hat c(x) = \mathrm{E}\,[\,c \mid x\,] = \frac{\sum_i w_i\, c_i}{\sum_i w_i}, \qquad
w_i = \exp\Big(\!-\frac{|x - \alpha c_i|^2}{2\sigma^2}\Big)$$

As a simple loop:
"""


# %%
def best_guess_by_loops(x, data, alpha, sigma):  # (n, 2), (m, 2) -> (n, 2)
    guess = np.zeros_like(x)
    for i in range(len(x)):
        total = 0.0
        for point in data:
            weight = np.exp(-(((x[i] - alpha * point) / sigma) ** 2).sum() / 2)
            guess[i] += weight * point
            total += weight
        guess[i] /= total
    return guess


def best_guess(x, data, alpha, sigma):
    square = ((x[:, None] - alpha * data) ** 2).sum(axis=-1) / sigma**2  # (n, m)
    weights = ag.softmax(-square / 2).data
    return weights @ data


data = draw_points(generator, size(2000, 200))[:, 0]
t = 0.25
alpha, sigma = curve.alpha(t), curve.sigma(t)
few = curve.mix(points, noise, t)[:10, 0]
assert np.allclose(best_guess_by_loops(few, data, alpha, sigma), best_guess(few, data, alpha, sigma), atol=1e-4)

# %% [markdown]
r"""
The vectorised form is a softmax of squared distances, times the data. [Attention](05_attention.ipynb) has the same
form.
"""

# %%
figure, panels = plt.subplots(1, 4, figsize=(9.5, 2.7), layout="constrained")
for axes, t in zip(panels, (0.08, 0.2, 0.4, 0.8)):
    x = curve.mix(points, noise, t)[:150, 0]
    guess = best_guess(x, data, curve.alpha(t), curve.sigma(t))
    scatter(axes, data, f"level {t}", color="0.8")
    axes.plot(*np.stack([x, guess]).transpose(2, 0, 1), color="C0", linewidth=0.4)
    axes.plot(*guess.T, "o", color="C2", markersize=2.5)
figure.suptitle("lines: from noisy points to their best guesses (dots)", fontsize=10)
plt.show()

# %% [markdown]
r"""
At low noise the guesses lie on the digit. At high noise almost nothing is known, and all guesses lie near the mean of
the data. There may be no ink at the mean: for a 0, it lies in the hole. So a best guess isn't a sample. We must go a
small step towards the guess, and then guess again. That is why diffusion takes many steps.

## A network that guesses

A sum over all data is too slow for real videos. Also, at low levels its guesses are copies of training data, and we
want new clips. A network is a smooth function, so it fills the gaps between the data. Ours has four linear layers, with
[SiLU](glossary.md#silu), a smooth bend, between them. Its inputs are the point, and sines and cosines of the level. As
in the DDPM paper it predicts the noise. Chapter 3 showed that the clean point follows from this. The loss is

$$L = \mathrm{E}_{c,\,\epsilon,\,t}\, \big|\,\epsilon - \hat\epsilon(\alpha c + \sigma\epsilon,\; t)\,\big|^2$$
"""


# %%
class PointNet(Module):
    """x (B, 1, 2), noise_level (B, 1) -> (B, 1, 2)."""

    def __init__(self, generator, width=96):
        sizes = (2 + 8, width, width, width)
        self.layers = [Linear(a, b, generator) for a, b in itertools.pairwise(sizes)]
        self.output = Linear(width, 2, generator, zero=True)

    def forward(self, x, noise_level):
        angle = noise_level[..., None] * np.pi * 2.0 ** np.arange(-1, 3, dtype=np.float32)
        x = np.concatenate([x, np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)
        for layer in self.layers:
            x = ag.silu(layer(x))
        return self.output(x)


@blas_threads(1)  # products this small are faster without a second thread
def train(process, updates, batch=512):
    generator = np.random.default_rng(1)
    network = PointNet(generator)
    parameters = network.parameters()
    optimiser = AdamW(parameters)
    for update in range(updates):
        clean = draw_points(generator, batch)
        noise = generator.standard_normal(clean.shape, dtype=np.float32)
        level = generator.random((batch, 1), dtype=np.float32)
        answer = network(process.mix(clean, noise, level), level)
        loss = ag.mean_squared_error(answer, process.target(clean, noise, level))
        gradients = dict(zip(parameters, ag.gradients(loss, list(parameters.values()))))
        optimiser.step(gradients, learning_rate=2e-3 * (1 - update / updates))

    @blas_threads(1)
    def denoise(x, noise_level):
        with ag.no_grad():
            return network(x, noise_level).data

    return denoise


started = time.perf_counter()
process = Process(curve, "noise")  # the two curves, and what the network predicts
predict_noise = train(process, size(4000, 50))
print(f"trained in {time.perf_counter() - started:.0f} seconds")

# %% [markdown]
r"""
A training step mixes, predicts, compares and changes the weights. It needs no sampler. Is the network good? The loss
alone doesn't say, since even the best guess has an error. But here we can compute that error.
"""

# %%
grid = np.linspace(0.02, 1, size(25, 4))
network_error, best_error = [], []
for t in grid:
    clean, level = draw_points(generator, 1000), np.full((1000, 1), t, np.float32)
    noise = generator.standard_normal(clean.shape, dtype=np.float32)
    x = curve.mix(clean, noise, level)
    network_error.append(((predict_noise(x, level) - noise) ** 2).mean())
    clean_guess = best_guess(x[:, 0], draw_points(generator, 4000)[:, 0], curve.alpha(t), curve.sigma(t))
    noise_guess = (x[:, 0] - curve.alpha(t) * clean_guess) / curve.sigma(t)
    best_error.append(((noise_guess - noise[:, 0]) ** 2).mean())

figure, axes = plt.subplots(figsize=(6.5, 3), layout="constrained")
axes.plot(grid, network_error, "-", label="network")
axes.plot(grid, best_error, "--", label="best possible (from 4,000 points)")
axes.set(xlabel="noise level", ylabel="mean squared error", title="predicting the noise", ylim=(0, None))
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
r"""
The lines lie close together, so the network is nearly as good as possible. A loss that no longer falls needn't mean
that a model is bad. The loss is largest at *low* levels, where the noise is too weak to be seen. So compare losses only
at the same level.

## Sampling: DDPM

A step of the forward process added noise. We can't subtract that noise, since nobody knows it. But if the clean point
$c$ were known, Bayes' rule would give the distribution of $x_{k-1}$. It is normal, with this mean and variance ([Ho et
al. 2020](references.md#ho-2020), equation 7):

$$\frac{\sqrt{\bar\alpha_{k-1}}\,\beta_k\,c+\sqrt{1-\beta_k}\,(1-\bar\alpha_{k-1})\,x_k}{1-\bar\alpha_k},
\qquad\tilde\beta_k=\frac{1-\bar\alpha_{k-1}}{1-\bar\alpha_k}\,\beta_k$$

DDPM puts its guess $\hat c=(x_k-\sqrt{1-\bar\alpha_k}\,\hat\epsilon)/\sqrt{\bar\alpha_k}$ in the place of $c$, and
draws $x_{k-1}$ from this distribution. With $\bar\alpha_k = (1-\beta_k)\,\bar\alpha_{k-1}$, the mean becomes simpler:

$$x_{k-1}=\frac{1}{\sqrt{1-\beta_k}}\Big(x_k-\frac{\beta_k}{\sqrt{1-\bar\alpha_k}}\,\hat\epsilon\Big)+\sqrt{\tilde\beta_k}\;z$$

where $\hat\epsilon$ is the predicted noise and $z$ is fresh noise.
"""

# %%
beta = np.linspace(1e-4, 0.02, 1000)
alpha_bar = np.cumprod(1 - beta)
before = np.concatenate([[1.0], alpha_bar[:-1]])  # alpha_bar one step earlier: before the first step all is clean

start = generator.standard_normal((1000, 1, 2), dtype=np.float32)
x, fresh, seen = start, np.random.default_rng(2), {}
for k in reversed(range(1000)):  # k counts from 0: entry k belongs to step k + 1, at level (k + 1) / 1000
    if k + 1 in (1000, 600, 300, 150, 50):
        seen[k + 1] = x
    predicted = predict_noise(x, np.full((len(x), 1), (k + 1) / 1000, np.float32))
    mean = (x - beta[k] / np.sqrt(1 - alpha_bar[k]) * predicted) / np.sqrt(1 - beta[k])
    standard_deviation = np.sqrt((1 - before[k]) / (1 - alpha_bar[k]) * beta[k])
    x = (mean + standard_deviation * fresh.standard_normal(x.shape, dtype=np.float32)).astype(np.float32)

figure, panels = plt.subplots(1, 6, figsize=(10, 2), layout="constrained")
for axes, (k, moment) in zip(panels, {**seen, 0: x}.items()):
    scatter(axes, moment, f"before step {k}" if k else "at the end")
plt.show()

# %% [markdown]
r"""
Noise became a digit. **Claim.** The library's `ddpm` does the same, though it knows neither beta nor step numbers. It
sees two levels and the pair (clean, noise). We use the same start and the same fresh noise:
"""

# %%
by_library = sample(
    predict_noise, start, uniform_levels(1000), process, sampler="ddpm", generator=np.random.default_rng(2)
)
difference = np.abs(by_library - x).max()
print(f"largest difference after 1,000 steps: {difference:.5f}")
assert difference < 0.02

# %% [markdown]
r"""
The two levels needn't be neighbours. So one can also sample in 50 steps.

## Any prediction, any sampler

All samplers here begin a step in the same way: they compute the pair (clean, noise) from the prediction and $x$. They
differ in how they make $x$ for the next level:

| sampler | how the next `x` is made | |
|---|---|---|
| `ddim` | the same pair, mixed at the next level | [Song et al. 2020](references.md#song-2020) |
| `ddpm` | partly the same noise, partly fresh noise | [Ho et al. 2020](references.md#ho-2020) |
| `euler` | straight on along the [velocity](glossary.md#velocity) | [Liu et al. 2022](references.md#liu-2022) |
| `dpm_solver` | as ddim, with `clean` extrapolated from the last two steps | [Lu et al. 2022](references.md#lu-2022) |

For `ddim`, from level $t$ to level $s$:

$$x_s = \alpha(s)\, \hat c(x_t) + \sigma(s)\, \hat\epsilon(x_t)$$

As a simple loop:
"""

# %%
levels = uniform_levels(20)
x = start
for now, after in itertools.pairwise(levels):
    at = np.full((len(x), 1), now)
    clean, noise = process.to_clean_and_noise(predict_noise(x, at), x, at)
    x = process.mix(clean, noise, np.full((len(x), 1), after))

by_library = sample(predict_noise, start, levels, process, sampler="ddim")
assert np.allclose(x, by_library, atol=1e-3)

# %% [markdown]
r"""
**Claim.** It makes no difference to a sampler whether a network predicts noise, velocity or the clean point. We turn our
network's answer into the two others, and tell the sampler which one it gets.
"""


# %%
def predicting(kind):
    def denoise(x, noise_level):
        pair = process.to_clean_and_noise(predict_noise(x, noise_level), x, noise_level)
        return Process(curve, kind).target(*pair, noise_level)

    return denoise


for sampler in SAMPLERS:
    ends = [
        sample(
            predicting(kind),
            start,
            levels,
            Process(curve, kind),
            sampler=sampler,
            generator=np.random.default_rng(3),
        )
        for kind in ("noise", "velocity", "clean")
    ]
    apart = max(np.abs(end - ends[0]).max() for end in ends)
    print(f"{sampler:11} three predictions, largest difference {apart:.5f}")
    assert apart < 0.02

# %% [markdown]
r"""
In *training* the choice matters: it decides how much an error counts at each level.

Which paths do points take? `steps` yields each step, so we can record them. Look at the three paths from one star.
`ddim` draws no noise after the start, so all three are the same. `ddpm` draws fresh noise in each step, so they differ.
"""

# %%
figure, panels = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for axes, sampler in zip(panels, ("ddim", "ddpm")):
    scatter(axes, data, f"{sampler}: 2 starts (stars), 3 times each", color="0.85")
    apart = start[[start[:50, 0, 0].argmin(), start[:50, 0, 0].argmax()]]  # the leftmost and the rightmost of 50
    repeated = np.repeat(apart, 3, axis=0)
    walk = steps(
        predict_noise,
        repeated,
        uniform_levels(40),
        process,
        sampler=sampler,
        generator=np.random.default_rng(4),
    )
    way = np.stack([repeated, *(step.x for step in walk)])[:, :, 0]  # (steps + 1, 6, 2)
    for i in range(6):
        axes.plot(*way[:, i].T, color=f"C{i // 3}", linewidth=0.8)
        axes.plot(*way[-1, i], "o", color=f"C{i // 3}", markersize=5)
    axes.plot(*way[0, ::3].T, "k*", markersize=9)
plt.show()

# %% [markdown]
r"""
## How many steps?

How far is a set of drawn points from a set of real ones? The [energy distance](glossary.md#energy-distance) ([Székely
and Rizzo 2013](references.md#szekely-2013)) compares the distances between the two sets with the distances within each.
For points $a, a'$ of one set and $b, b'$ of the other:

$$D = 2\,\mathrm{E}\,|a - b| - \mathrm{E}\,|a - a'| - \mathrm{E}\,|b - b'|$$

It is 0 only if both distributions are the same. As a loop, then vectorised:
"""


# %%
def mean_distance_by_loops(a, b):
    return sum(np.sqrt(((p - q) ** 2).sum()) for p in a for q in b) / (len(a) * len(b))


def mean_distance(a, b):
    return np.linalg.norm(a[:, None] - b, axis=-1).mean()


def energy_distance(a, b):
    return 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)


assert np.isclose(mean_distance_by_loops(data[:20], start[:30, 0]), mean_distance(data[:20], start[:30, 0]), rtol=1e-4)

real = draw_points(generator, 1000)[:, 0]
floor = np.mean([energy_distance(draw_points(generator, 1000)[:, 0], real) for _ in range(size(8, 2))])
print(f"real points against other real points: {floor:.4f}; noise against real points:", end=" ")
print(f"{energy_distance(start[:, 0], real):.4f}")

# %% [markdown]
r"""
The first number is the *floor*: two sets of 1,000 real points differ by about that much, by chance. A sampler below the
floor is only lucky. We compare all samplers on two networks: ours, and one that is trained on rectified flow and
predicts velocity.
"""

# %%
flow = Process(make("rectified_flow"), "velocity")
predict_velocity = train(flow, size(4000, 50))
counts = [2, 4, 8, 16, 32, 64, 128][: size(7, 3)]
styles = dict(zip(SAMPLERS, ("o-", "s--", "^:", "d-.")))
distance, drawn = {}, {}
figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.5), layout="constrained", sharey=True)
for axes, denoise, each in zip(panels, (predict_noise, predict_velocity), (process, flow)):
    name = each.curve.name
    for sampler, style in styles.items():
        for count in counts:
            end = sample(
                denoise,
                start,
                uniform_levels(count),
                each,
                sampler=sampler,
                generator=np.random.default_rng(5),
            )
            drawn[name, sampler, count] = end
            distance[name, sampler, count] = energy_distance(end[:, 0], real)
        axes.loglog(counts, [distance[name, sampler, n] for n in counts], style, label=sampler)
    axes.axhline(floor, color="0.5", linewidth=1)
    axes.set(title=f"{name}, predicting {each.prediction}", xlabel="steps")
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
panels[0].set_ylabel("energy distance to real points")
panels[1].annotate("floor: real against real", (counts[0], floor), (0, 3), textcoords="offset points", fontsize=8)
panels[0].legend(fontsize=8)
plt.show()

for name in (curve.name, flow.curve.name):
    nearest = [min(SAMPLERS, key=lambda sampler: distance[name, sampler, n]) for n in counts]
    print(f"{name}, nearest:", ", ".join(f"{n} steps {sampler}" for n, sampler in zip(counts, nearest)))
for name, sampler in ((flow.curve.name, "euler"), (flow.curve.name, "dpm_solver"), (curve.name, "ddpm")):
    enough = [n for n in counts if distance[name, sampler, n] < 1.5 * floor]
    print(f"{name}, {sampler}: near the floor", f"from {enough[0]} steps" if enough else "at none of these")
assert np.allclose(drawn[flow.curve.name, "euler", 8], drawn[flow.curve.name, "ddim", 8], atol=1e-3)

# %% [markdown]
r"""
The picture and the lines below it show:

- With many steps all samplers reach nearly the same distribution. The rest is chance and the network's error.
- With few steps no sampler is always the best. `ddpm` needs the most steps on both networks.
- On rectified flow (right), `dpm_solver` is nearest from 4 steps on. With only 2 steps it never extrapolates, so it has
  no advantage.
- On the linear schedule (left), the first guess at clean is poor, since a noise prediction is divided by a tiny alpha.
  `dpm_solver` extrapolates from this guess. With few steps, `euler` may be better there.
- On rectified flow, `euler` and `ddim` are the same (the last line of the cell checks it). On other curves they aren't.
- For every sampler, a step costs one call of the network. So compare samplers at equal steps.

Now the points themselves:
"""

# %%
few_counts = [n for n in (2, 4, 8, 32) if n in counts]
figure, rows = plt.subplots(3, len(few_counts), figsize=(7.5, 5.8), layout="constrained")
for row, sampler in zip(rows, ("ddpm", "euler", "dpm_solver")):
    for axes, count in zip(row, few_counts):
        scatter(axes, drawn[flow.curve.name, sampler, count], f"{count} steps", markersize=1.5)
    row[0].set_ylabel(sampler, rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
r"""
With 2 steps many points lie between the strokes: they are close to the averages that we saw above.

## What a network learns: the marginal velocity

Take rectified flow. One clean point $c$ and one noise $\epsilon$ make a [conditional
path](glossary.md#conditional-path), a straight line with a constant velocity:

$$x_t = (1-t)\,c + t\,\epsilon, \qquad v = \frac{dx_t}{dt} = \epsilon - c$$

Many such lines pass through one place $x$, each with its own velocity. The mean of these velocities is the
[marginal velocity](glossary.md#marginal-velocity):

$$u(x, t) = \mathrm{E}\,[\,v \mid x_t = x\,]$$

A sampler needs $u$. But training never computes $u$. It only shows the network single lines.

**Claim.** Single lines are enough. For any network $f$, the loss on single lines is the loss on $u$ plus a number that
doesn't depend on $f$. So both losses have the same gradient.

$$\mathrm{E}\,|f(x_t) - v|^2 = \mathrm{E}\,|f(x_t) - u(x_t)|^2 + \mathrm{E}\,|v - u(x_t)|^2$$

(Write $f - v = (f-u) + (u-v)$ and take the square. The mixed term, $2\,\mathrm{E}\,[(f-u)\cdot(u-v)]$, is 0: at a fixed
$x$ the first factor is fixed and the second has mean 0.) Training a network this way is called [flow
matching](glossary.md#flow-matching) ([Lipman et al. 2023](references.md#lipman-2023)). For a finite data set, the best
guess above gives $u$ exactly. So we can compare both gradients. Each is a mean over randomly drawn lines:
"""


# %%
few_data = data[: size(200, 40)]


def guesses(x, t):  # x (n, 2), t a number or (n, 1) -> the best guesses of clean and noise, (n, 2) each
    level = np.broadcast_to(t, (len(x), 1))[:, None]
    square = (((x[:, None] - (1 - level) * few_data) / level) ** 2).sum(axis=-1)
    clean = ag.softmax(-square / 2).data @ few_data
    return clean, (x - (1 - t) * clean) / t


def marginal_velocity(x, t):
    clean, noise = guesses(x, t)
    return noise - clean


network = PointNet(np.random.default_rng(7))
network.output.weight.data = 0.1 * np.random.default_rng(8).standard_normal((96, 2)).astype(np.float32)
weights = list(network.parameters().values())
total, lines = np.zeros((2, sum(w.data.size for w in weights))), size(2000, 200)
for round_ in range(1, size(65, 3)):
    clean = few_data[generator.integers(len(few_data), size=lines)]
    noise, t = generator.standard_normal((lines, 2)), generator.uniform(0.05, 1, (lines, 1))
    x = (1 - t) * clean + t * noise
    inputs = [array[:, None].astype(np.float32) for array in (x, t[:, 0])]
    for row, target in enumerate((noise - clean, marginal_velocity(x, t))):
        loss = ag.mean_squared_error(network(*inputs), target[:, None].astype(np.float32))
        total[row] += np.concatenate([gradient.ravel() for gradient in ag.gradients(loss, weights)])
    apart = np.linalg.norm(total[0] - total[1]) / np.linalg.norm(total[1])
    if round_ in (1, 4, 16, 64):
        print(f"{round_ * lines:7,} lines: the two gradients differ by {apart:.1%}")
assert apart < size(0.05, 1)

# %% [markdown]
r"""
The difference is only chance: with four times as many lines it falls to about half.

## Score, noise, velocity, clean: one answer in four forms

The [score](glossary.md#score), $\nabla \log p_t(x)$, is the direction in which the density $p_t$ of noisy points grows
fastest. **Claim** ([Tweedie's formula](glossary.md#tweedies-formula), [Efron 2011](references.md#efron-2011)): the
score is minus the best guess of the noise, divided by $\sigma$. So each of the four answers gives the others:

| | from the clean guess $\hat c$ |
|---|---|
| noise | $\hat\epsilon = (x - \alpha\hat c)/\sigma$ |
| velocity | $\alpha'\hat c + \sigma'\hat\epsilon$, $'$: the derivative by $t$ (quarter circle: by the angle) |
| score | $-\hat\epsilon/\sigma$ |

Here we know the density. Noise turns each data point into a normal distribution with mean $\alpha c_i$ and standard
deviation $\sigma$, and $p_t$ is the mean of these. With the weights $w_i$ of the best guess,

$$\nabla\log p_t=-\frac{\sum_iw_i\,(x-\alpha c_i)/\sigma^2}{\sum_iw_i}=-\frac{x-\alpha\hat c}{\sigma^2}=-\frac{\hat\epsilon}{\sigma}$$

We check this by central differences:
"""


# %%
def log_density(x, t):  # up to a constant
    square = ((x[:, None] - (1 - t) * few_data) ** 2).sum(axis=-1) / t**2
    return np.log(np.exp(-square / 2).mean(axis=1))


t, step = 0.3, 1e-4
x = (1 - t) * few_data[:50] + t * generator.standard_normal((len(few_data[:50]), 2))
score = np.stack(
    [(log_density(x + move, t) - log_density(x - move, t)) / (2 * step) for move in step * np.eye(2)], axis=-1
)
clean_guess, noise_guess = guesses(x, t)
assert np.allclose(score, -noise_guess / t, atol=1e-3)
print("score and -noise / sigma, three points:")
print(np.round(np.stack([score, -noise_guess / t], axis=1)[:3], 3))

# %% [markdown]
r"""
## ODE and SDE: different paths, one distribution

A sampler without fresh noise solves an ordinary differential equation, the
[probability flow ODE](glossary.md#probability-flow-ode), $dx = u\,dt$, from $t = 1$ down to 0. A sampler with fresh noise
solves a [stochastic differential equation](glossary.md#stochastic-differential-equation) (SDE). In each small step of length $h$
it also moves the point along the score and adds fresh noise $z$ ([Song et al. 2021](references.md#song-2021)):

$$x \leftarrow x - h\,u + h\,\tfrac{g^2}{2}\,\nabla \log p_t(x) + g\sqrt{h}\; z$$

**Claim.** For any $g$, the points have the same distribution at each $t$: that of data mixed with noise. Only single
paths differ. The noise spreads the points, and the score brings them together by the same amount. We take $g^2 = 2t$,
so the score term is $-h\,\hat\epsilon$. We need no network, since $u$ is known.
"""

# %%
marks, count = (0.75, 0.5, 0.25, 0.05), size(600, 60)
first = generator.standard_normal((count, 2))
samples = {}
for name, noisy in (("ODE", 0), ("SDE", 1)):
    x, fresh, times = first, np.random.default_rng(9), np.linspace(1, 0.05, size(191, 20))
    for now, after in itertools.pairwise(times):
        h, (clean, noise) = now - after, guesses(x, now)
        push = np.sqrt(2 * now * h) * fresh.standard_normal(x.shape) - h * noise
        x = x - h * (noise - clean) + noisy * push
        for mark in marks:
            if after <= mark < now:
                samples[name, mark] = x


def mixed(generator, t):  # what the forward process makes
    clean = few_data[generator.integers(len(few_data), size=count)]
    return (1 - t) * clean + t * generator.standard_normal((count, 2))


figure, rows = plt.subplots(3, 4, figsize=(8, 6), layout="constrained")
print("energy distance to the forward process; floor: two draws of the forward process")
for column, mark in zip(rows.T, marks):
    forward, other = (mixed(np.random.default_rng(seed), mark) for seed in (1, 2))
    shown = {"forward": forward, "ODE": samples["ODE", mark], "SDE": samples["SDE", mark]}
    for axes, (name, points_now) in zip(column, shown.items()):
        scatter(axes, points_now, f"{name}, t = {mark}", markersize=1.5)
    away = {name: energy_distance(shown[name], forward) for name in ("ODE", "SDE")}
    nothing = energy_distance(other, forward)
    print(f"t = {mark:4}: " + ", ".join(f"{name} {value:.4f}" for name, value in away.items()), f"floor {nothing:.4f}")
    assert size(max(away.values()) < 5 * nothing + 0.005, True)
plt.show()
apart = np.abs(samples["ODE", 0.05] - samples["SDE", 0.05]).mean()
print(f"but from the same start the two paths end {apart:.2f} apart, on average")

# %% [markdown]
r"""
In each column, the three pictures show the same distribution, except for chance and the error of finite steps. So the
ODE and the SDE sample the same model. The ODE needs fewer steps, since its paths are smooth. The SDE reduces earlier
errors: fresh noise replaces a part of $x$, errors included, and later steps denoise it again.

## Where DDPM's loss comes from

The DDPM paper began with a bound. A model that samples in $K$ steps gives each clean point $c$ a likelihood $p(c)$.
Nobody can compute it, but one can compute the [evidence bound](glossary.md#evidence-bound) ([Ho et al.
2020](references.md#ho-2020), equation 5). Here $q$ is the forward process, $p$ the model's steps, and KL the [KL
divergence](glossary.md#kl-divergence):

$$-\log p(c) \;\le\; \underbrace{\mathrm{KL}\big(q(x_K|c)\,\|\,\mathcal N(0,1)\big)}_{\text{what is left at the end}}
+ \sum_{k=2}^{K} \mathrm{E}\,\underbrace{\mathrm{KL}\big(q(x_{k-1}|x_k,c)\,\|\,p(x_{k-1}|x_k)\big)}_{\text{step } k}
-\underbrace{\mathrm{E}\log p(c|x_1)}_{\text{step 1}}$$

In step $k$ both distributions are normal with the same variance $\tilde\beta_k$. So their divergence is the squared
distance of their means, over $2\tilde\beta_k$. The means differ by $\beta_k\,(\epsilon -
\hat\epsilon)/\sqrt{(1-\beta_k)(1-\bar\alpha_k)}$, as the formula for $x_{k-1}$ shows. So

$$\text{step } k = w_k\, \mathrm{E}\,|\epsilon - \hat\epsilon|^2, \qquad w_k = \frac{\beta_k^2}{2\tilde\beta_k (1-\beta_k)(1-\bar\alpha_k)}$$

**Claim.** With the best guess, the bound comes down to the true value as the steps get smaller. We take numbers instead
of points, from two normal distributions around -1 and 1. For these the best guess and $p(c)$ are known. The steps are
even in the logarithm of the signal-to-noise ratio ([chapter 3](03_adding_noise.ipynb)).
"""

# %%
width = 0.3  # the standard deviation of each of the two


def two_peaks(count):
    return generator.choice([-1.0, 1.0], count) + width * generator.standard_normal(count)


def guess_clean(x, alpha, sigma):
    """The mean of the clean number given x: that of each peak, weighted by how likely the peak is."""
    variance = alpha**2 * width**2 + sigma**2
    means = [side + alpha * width**2 / variance * (x - alpha * side) for side in (-1, 1)]
    right = 1 / (1 + np.exp(-2 * alpha * x / variance))
    return (1 - right) * means[0] + right * means[1]


def normal_log(x, mean, variance):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


clean = two_peaks(size(4000, 400))
truth = -np.logaddexp(*(normal_log(clean, side, width**2) for side in (-1, 1))).mean() + np.log(2)
bounds, chains = {}, (10, 30, 100, 300, 1000)[: size(5, 2)]
for count in chains:
    log_ratio = np.linspace(9, -9, count)  # of signal to noise: alpha_bar / (1 - alpha_bar)
    alpha_bar = 1 / (1 + np.exp(-log_ratio))
    # What is left at the end: KL of a normal distribution, mean sqrt(alpha_bar) * clean, from the standard one.
    bound = 0.5 * (alpha_bar[-1] * (clean**2).mean() - alpha_bar[-1] - np.log(1 - alpha_bar[-1]))
    for k in range(count):
        alpha, sigma = np.sqrt(alpha_bar[k]), np.sqrt(1 - alpha_bar[k])
        noise = generator.standard_normal(clean.shape)
        x = alpha * clean + sigma * noise
        guess = guess_clean(x, alpha, sigma)
        if k == 0:
            # Step 1 draws around the guess; the variance is ours to choose.
            bound -= normal_log(clean, guess, sigma**2 / alpha**2).mean()
        else:
            beta = 1 - alpha_bar[k] / alpha_bar[k - 1]
            spread = beta * (1 - alpha_bar[k - 1]) / (1 - alpha_bar[k])
            weight = beta**2 / (2 * spread * (1 - beta) * (1 - alpha_bar[k]))
            bound += weight * ((noise - (x - alpha * guess) / sigma) ** 2).mean()
    bounds[count] = bound
    print(f"{count:4} steps: bound {bound:.3f}, true value {truth:.3f}")
assert all(bound > truth - 0.03 for bound in bounds.values()) and bounds[chains[-1]] < bounds[chains[0]]
assert size(bounds[chains[-1]] < truth + 0.05, True)

beta = np.linspace(1e-4, 0.02, 1000)  # the paper's steps
alpha_bar = np.cumprod(1 - beta)
spread = beta[1:] * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])
weights = beta[1:] ** 2 / (2 * spread * (1 - beta[1:]) * (1 - alpha_bar[1:]))
print(f"in the paper, the weight of step 2 is {weights[0]:.3f}, that of step 1,000 {weights[-1]:.4f}")

# %% [markdown]
r"""
The bound is never below the true value, and comes close to it. In the paper's chain, the weights of the steps near
clean are tens of times as large as those near pure noise. But the steps at high noise decide what a picture shows. DDPM
drops the weights and takes the mean of the squared errors. This loss is no longer a bound, but the pictures are better.
It is the loss that we trained with.

## Now with clips

Only the network changes. The weights `small` are a transformer that predicts velocity on a shifted rectified flow. Its
"points" are compressed clips of 8 x 8 x 8 x 4 numbers ([latents](09_latent_diffusion.ipynb)), and it also reads a
caption ([chapter 8](08_text_guidance.ipynb)). The loop, the levels and the samplers are the same. (`guidance_scale=1`
turns guidance off. Chapter 8 says what that is.)
"""

# %%
model = TextToVideo.load("small")
settings = model.settings
print(f"{settings.prediction} on {settings.curve}, shift {settings.shift:g}; weights {model.fingerprint()}")

caption = "a 3 moving right"
way = list(model.denoise(caption, seed=3, steps=size(20, 3), sampler="euler", guidance_scale=1))
shown = [way[index] for index in np.linspace(0, len(way) - 1, 5).round().astype(int)]
figure, rows = plt.subplots(len(shown), 2, figsize=(10, 4), layout="constrained")
for (left, right), step in zip(rows, shown):
    draw_strip(left, model.decode(step.x)[0], label=f"step {step.index + 1}")
    draw_strip(right, model.decode(step.clean)[0])
rows[0, 0].set_title("x, decoded", fontsize=10)
rows[0, 1].set_title("the best guess at clean, decoded", fontsize=10)
plt.show()

# %% [markdown]
r"""
The first row on the right shows a blur. As in the plane, the best guess is an average of all clips that fit. But the
blur is already near the place where the digit will be. At level 1, $x$ says nothing about the clip, so a perfect
network couldn't know the place. Ours was hardly trained at this level, and chooses a place at once. The next steps
decide the strokes.

How many steps does a clip need? One caption, one start, three samplers:
"""

# %%
clip_counts = [1, 2, 4, 8][: size(4, 2)]
samplers = ("ddpm", "euler", "dpm_solver")
figure, grid = plt.subplots(len(clip_counts), 3, figsize=(10, 2.9), layout="constrained")
for row, count in zip(grid, clip_counts):
    for axes, sampler in zip(row, samplers):
        clip = model.generate(caption, seed=3, steps=count, sampler=sampler)
        draw_strip(axes, clip[0], label=f"{count}" if sampler == samplers[0] else None)
for axes, sampler in zip(grid[0], samplers):
    axes.set_title(sampler, fontsize=10)
figure.supylabel("steps", fontsize=9)
plt.show()

# %% [markdown]
r"""
One clip may be lucky, so we count with the judge and the tracker of [chapter 0](00_start_here.ipynb). Are digit and
direction as the caption asks? Is the same digit read in every frame? Real clips give the ceiling.
"""

# %%
asked = [f"a {digit} moving {way}" for digit in range(10) for way in ("right", "up", "left", "down")][:: size(1, 10)]


def score(videos):
    seen = observe(videos, digit_size=settings.digit_size, digits=1)
    prompt = prompt_metrics(seen, read_captions(asked, videos.shape[2:4]))["obeys"]
    return Estimate.share(prompt), Estimate.share(identity_metrics(seen)["one_class"])


clips = CaptionedClips(
    digit_source("strokes", split="test"),
    size=settings.size,
    num_frames=settings.num_frames,
    digit_size=settings.digit_size,
    num_digits=(1,),
)
ceiling = score(clips.render(generator, [parse(caption) for caption in asked]).video)

started = time.perf_counter()
found = {
    (sampler, count): score(model.generate(asked, seed=11, steps=count, sampler=sampler))
    for sampler in samplers
    for count in clip_counts
}
print(f"{len(found)} times {len(asked)} clips in {time.perf_counter() - started:.0f} seconds")

# %%
figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.3), layout="constrained", sharey=True)
for number, (axes, title) in enumerate(zip(panels, ("as the caption asks", "one digit in all frames"))):
    for place, sampler in enumerate(samplers):
        shares = [found[sampler, count][number] for count in clip_counts]
        means = np.array([share.mean for share in shares])
        ranges = np.transpose([[share.mean - share.low, share.high - share.mean] for share in shares])
        axes.errorbar(
            np.arange(len(means)) + 0.1 * (place - 1), means, ranges, fmt=styles[sampler], capsize=3, label=sampler
        )
    axes.axhline(ceiling[number].mean, color="0.5", linewidth=1)
    axes.set(title=title, xlabel="steps", ylim=(0, 1.03))
    axes.set_xticks(range(len(clip_counts)), [str(n) for n in clip_counts])
    axes.grid(alpha=0.3)
panels[0].set_ylabel(f"share of {len(asked)} clips")
panels[1].legend(fontsize=8, loc="lower right")
plt.show()
for name, share in zip(("as the caption asks", "one digit in all frames"), ceiling):
    print(f"real clips, {name}: {share.mean:.0%} (the grey lines)")

# %% [markdown]
r"""
The bars are 95% [confidence intervals](glossary.md#confidence-interval). Where two bars don't overlap, the samplers
differ. Where they overlap, we can't say. One step isn't enough, and the first few more steps gain the most. The
default of these weights is `ddpm`, with more steps than here. In the plane it needed the most steps. But fresh noise
reduces errors that the network made earlier. A sampler without fresh noise keeps them to the end ([Karras et al.
2022](references.md#karras-2022)).

## Exercises

Worked solutions are in [solutions/04_removing_noise](solutions/04_removing_noise.ipynb).

**1. How uncertain is the best guess?** Return, for each of the points `x` (n, d), the mean squared distance of the
clean points `data` (m, d) from the best guess, weighted by $w_i$ as above: $\mathrm{E}\,[\,|c - \hat c(x)|^2 \mid
x\,]$, an array (n,). No network can have a smaller loss at $x$. Your function must also work if sigma is so small that
all $w_i$, computed directly, are rounded to 0.
"""


# %%
def uncertainty(x, data, alpha, sigma):
    pass  # fill me in, about 6 lines


check.ch04_uncertainty(uncertainty)

# %% [markdown]
r"""
**2. A step of DDIM** for rectified flow. `x` (B, T, H, W, C) is at the levels `here`, all below 1, and a network has
predicted `noise`. Return $x$ at the levels `there`. Both arrays of levels are (B, T).
"""


# %%
def ddim_step(x, noise, here, there):
    pass  # fill me in, about 3 lines


check.ch04_ddim_step(ddim_step)

# %% [markdown]
r"""
**3. DDPM in fewer steps.** Of the 1,000 timesteps we keep only J. `alpha_bar` (J,) holds their $\bar\alpha$, from clean
to noisy. Return an array (J,), the standard deviation of the fresh noise in each step. Entry j is for the step from
kept timestep j to the kept one before it. Entry 0 is for the step to the clean point, and is 0. First find the beta of
such a long step.
"""


# %%
def deviations(alpha_bar):
    pass  # fill me in, about 3 lines


check.ch04_deviations(deviations)

# %% [markdown]
r"""
**4. Energy distance without bias.** The floor above isn't 0, since `mean_distance(a, a)` counts each point's distance
to itself, which is 0. Leave these pairs out of the mean, for both sets. `a` is (n, d) and `b` is (m, d). Return one
number, which may be below 0.
"""


# %%
def energy(a, b):
    pass  # fill me in, about 5 lines


check.ch04_energy(energy)

# %% [markdown]
r"""
**5. Train your own.** The data are two half-moons. A label, 0 or 1, says which one, like a caption of one word. Train a
network on rectified flow that also reads the label (a few seconds are enough). `predict` calls it. The check samples
400 points of each label in 20 steps of Euler. The mean energy distance (exercise 4) of both labels must be below 0.03.
"""

# %%
figure, axes = plt.subplots(figsize=(3, 2.4), layout="constrained")
for label in (0, 1):
    scatter(axes, moons(generator, np.full(300, label)), "two half-moons: (n,) labels to (n, 2) points")


def predict(x, level, label):  # (n, 2), (n,), (n,) -> the velocity (n, 2)
    pass  # train a network before, about 30 lines


check.ch04_train(predict)

# %% [markdown]
r"""
**6. Break it and explain.** Sample from your network of exercise 5, but start from noise with half the standard
deviation, then with twice. What happens to the moons? Do the same with `ddpm` instead of Euler. (The library's points
are (B, 1, 2) and its levels (B, 1), so write a small function around `predict`.) Which sampler suffers less from the
wrong start, and why?

**7. A question to explore.** You may call the network 8 times. Where should the levels lie? Try even levels, then more
of them near noise, then more near clean, each with Euler and with `dpm_solver`. Is the answer the same for the digit of
this chapter?
"""

# %% [markdown]
r"""
## In practice

- **Steps.** DDPM took 1,000 ([Ho et al. 2020](references.md#ho-2020)). DDIM showed that 50 to 100 are enough ([Song et
  al. 2020](references.md#song-2020)), DPM-Solver++ that 15 to 20 are ([Lu et al. 2022](references.md#lu-2022)).
  Progressive distillation trains a network to do two steps in one, again and again ([Salimans and Ho
  2022](references.md#salimans-2022)).
- **Where the steps lie** matters, too. [Karras et al. 2022](references.md#karras-2022) separate curves, levels and
  solver, as this project does, and compare choices for each.
- **Shifted levels.** Stable Diffusion 3 spends more steps on heavy noise for larger pictures ([Esser et al.
  2024](references.md#esser-2024)); `uniform_levels(steps, shift=3)` does the same. The curve of the shipped weights
  contains that shift.

## Further reading

- [Song et al. 2021](references.md#song-2021): samplers as solvers of differential equations, with and without noise.
- Here: `minivdit/diffusion/samplers.py`, where a sampler is a rule of a few lines, and `process.py`.

Next: [chapter 5](05_attention.ipynb), what the network is made of.
"""
