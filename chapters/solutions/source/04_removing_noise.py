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
**1. How uncertain is the best guess?** Only the ratios of the weights count, so you may subtract the largest exponent.
Then one weight is 1, and the sum can't be 0. The result is the variance of the clean points from which $x$ may have
come.
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
**2. A step of DDIM.** Solve $x = (1-t)\,c + t\,n$ for the clean clip $c$. Then mix the same pair at the other level.
"""


# %%
def ddim_step(x, noise, here, there):
    here, there = (level[:, :, None, None, None] for level in (here, there))
    clean = (x - here * noise) / (1 - here)
    return (1 - there) * clean + there * noise


check.ch04_ddim_step(ddim_step)

# %% [markdown]
r"""
**3. DDPM in fewer steps.** From $\bar\alpha_k = \bar\alpha_{k-1}(1-\beta_k)$, the beta of a long step is $1 -
\bar\alpha_k/\bar\alpha_{k-1}$, where $k-1$ is the step before among those that are kept. Before the first step there is
no noise, so alpha_bar is 1 there, and the standard deviation of entry 0 is 0.
"""


# %%
def deviations(alpha_bar):
    before = np.concatenate([[1.0], alpha_bar[:-1]])
    beta = 1 - alpha_bar / before
    return np.sqrt((1 - before) / (1 - alpha_bar) * beta)


check.ch04_deviations(deviations)

# %% [markdown]
r"""
**4. Energy distance without bias.** The distances that are left out are 0, so the sum over all pairs stays the same.
Divide it by the number of pairs of different points.
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
**5. Train your own.** This is the network of the chapter with one more input for each label. It learns the velocity of
rectified flow.
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
Try it with a tenth of the updates, too. Then the energy distance is too large. If the network doesn't read the label,
it learns both moons together, and its points lie on both of them for either label.

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
Euler follows the ODE, which takes each point along its own path. If the noise is too narrow, the points end in the
middle of each moon, and the tips stay empty. If the noise is too wide, many points end at the tips, and the line is
blurred. `ddpm` adds fresh noise in each step and shrinks the old $x$, so it forgets the start. Here it forgets the
start completely in the first step. At level 1 there is nothing of the clean point in $x$, so this step keeps none of
the old noise. In this way an SDE removes errors.

**7. Eight calls.** There is no one answer, so measure. The paths of rectified flow are nearly straight where the
network is sure of the clean point. They bend where several clean points are possible. The digit has many strokes, each
moon only one arc. Put more steps where paths bend. Levels that are best for the moons needn't be best for the digit.
Compare over several seeds, since the energy distance of 400 points is uncertain, too.
"""
