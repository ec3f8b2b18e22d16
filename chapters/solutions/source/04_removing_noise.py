# %% [markdown]
r"""
# Solutions to chapter 4

Worked answers to the exercises of [chapter 4](../04_removing_noise.ipynb). Try them yourself first.
"""

# %%
import itertools

import numpy as np

from minivdit import autograd as ag
from minivdit.base.backend import blas_threads
from minivdit.diffusion import Process, make, sample, uniform_levels
from minivdit.lab.lessons import check
from minivdit.lab.lessons.ch04 import moons
from minivdit.nn import Linear, Module
from minivdit.nn.optim import AdamW

# %% [markdown]
r"""
**1. How uncertain is the best guess?** Only ratios of weights count, so the largest exponent may be subtracted: then one weight
is 1, and their sum can't be 0. The result is a variance, of the clean points that $x$ may have come from.
"""


# %%
def uncertainty(x, data, alpha, sigma):
    exponent = -((x[:, None] - alpha * data) ** 2).sum(axis=-1) / (2 * sigma**2)  # (n, m)
    weights = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    guess = weights @ data  # (n, d)
    return (weights * ((data - guess[:, None]) ** 2).sum(axis=-1)).sum(axis=1)


check.ch04_uncertainty(uncertainty)

# %% [markdown]
r"""
**2. A step of DDIM.** $x = (1-t)\,c + t\,n$ gives the clean clip; the same pair is then mixed at the other level.
"""


# %%
def ddim_step(x, noise, here, there):
    here, there = (level[:, :, None, None, None] for level in (here, there))
    clean = (x - here * noise) / (1 - here)
    return (1 - there) * clean + there * noise


check.ch04_ddim_step(ddim_step)

# %% [markdown]
r"""
**3. DDPM in fewer steps.** From $\bar\alpha_k = \bar\alpha_{k-1}(1-\beta_k)$, the beta of a long step is
$1 - \bar\alpha_k/\bar\alpha_{k-1}$, where $k-1$ is the step before among those that are kept. Before the first one all is clean,
so alpha_bar is 1 there, and the standard deviation 0.
"""


# %%
def deviations(alpha_bar):
    before = np.concatenate([[1.0], alpha_bar[:-1]])
    beta = 1 - alpha_bar / before
    return np.sqrt((1 - before) / (1 - alpha_bar) * beta)


check.ch04_deviations(deviations)

# %% [markdown]
r"""
**4. Energy distance without bias.** The sum over all pairs stays the same, since the left-out distances are 0. It is divided by the
number of pairs of different points.
"""


# %%
def energy(a, b):
    def total(p, q):
        return np.linalg.norm(p[:, None] - q, axis=-1).sum()

    n, m = len(a), len(b)
    return 2 * total(a, b) / (n * m) - total(a, a) / (n * (n - 1)) - total(b, b) / (m * (m - 1))


check.ch04_energy(energy)

# %% [markdown]
r"""
**5. Train your own.** The network of the chapter, with one more input for each label, and the target of rectified flow.
"""


# %%
class MoonNet(Module):
    """x (n, 2), level (n,), label (n,) -> velocity (n, 2)."""

    def __init__(self, generator, width=64):
        sizes = (2 + 8 + 2, width, width, width)
        self.layers = [Linear(a, b, generator) for a, b in itertools.pairwise(sizes)]
        self.output = Linear(width, 2, generator, zero=True)

    def forward(self, x, level, label):
        angle = level[:, None] * np.pi * 2.0 ** np.arange(-1, 3)
        x = np.concatenate([x, np.sin(angle), np.cos(angle), np.eye(2)[label]], axis=-1).astype(np.float32)
        for layer in self.layers:
            x = ag.silu(layer(x))
        return self.output(x)


generator = np.random.default_rng(0)
network = MoonNet(generator)
parameters = network.parameters()
optimiser = AdamW(parameters)
updates, batch = 2000, 256
with blas_threads(1):
    for update in range(updates):
        label, level = generator.integers(0, 2, batch), generator.random(batch)
        clean, noise = moons(generator, label), generator.standard_normal((batch, 2))
        x = (1 - level[:, None]) * clean + level[:, None] * noise
        loss = ag.mean_squared_error(network(x, level, label), (noise - clean).astype(np.float32))
        gradients = dict(zip(parameters, ag.gradients(loss, list(parameters.values()))))
        optimiser.step(gradients, learning_rate=2e-3 * (1 - update / updates))


@blas_threads(1)
def predict(x, level, label):
    with ag.no_grad():
        return network(x, level, label).data


check.ch04_train(predict)

# %% [markdown]
r"""
Try it with a tenth of the updates, too: then the figure isn't reached. And without the label the network learns both moons at
once, and draws points of both for either label.

**6. The wrong start.**
"""

# %%
process = Process(make("rectified_flow"), "velocity")
label = np.arange(800) % 2
real = moons(generator, label)
start = generator.standard_normal((800, 1, 2))


def denoise(x, noise_level):  # the library's points are (B, 1, 2), its levels (B, 1)
    return predict(x[:, 0], noise_level[:, 0], label)[:, None]


for sampler in ("euler", "ddpm"):
    for factor in (0.5, 1, 2):
        end = sample(
            denoise, factor * start, uniform_levels(40), process, sampler=sampler, generator=np.random.default_rng(1)
        )[:, 0]
        away = np.mean([energy(end[label == k], real[label == k]) for k in (0, 1)])
        print(f"{sampler:5} noise times {factor:3}: energy distance {away:.3f}")

# %% [markdown]
r"""
Euler follows the ODE, which takes each point along its own path. Noise that is too narrow ends in the middle of each moon and
leaves out the tips. Noise that is too wide crowds at the tips, and the line is blurred. `ddpm` adds fresh noise in each step and
shrinks what was there, so it forgets the start. Here it forgets all of it in the first step: at level 1 there is nothing of
the clean point in $x$, so this step keeps none of the old noise. That is how an SDE forgives.

**7. Eight calls.** There is no one answer, so measure. Paths on rectified flow are nearly straight where the network is sure, and
bend where it must choose (the digit has many strokes to choose from, the moon one arc). Steps belong where paths bend. An ordering of
spacings that you find on the moons needn't hold for the digit. And compare over several seeds, since the energy distance of 400
points is uncertain, too.
"""
