# %% [markdown]
r"""
# Solutions to chapter 3

Worked answers to the exercises of [chapter 3](../03_adding_noise.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.data import digit_source
from minivdit.diffusion import make
from minivdit.lab.evaluation import load_judge
from minivdit.lab.lessons import check, size

# %% [markdown]
r"""
**1. Add more noise.** The clean part has weight $1-s$ at level $s$ and $1-t$ at level $t$, so $x$ is multiplied by $r =
(1-t)/(1-s)$. Its noise then has variance $r^2 s^2$, but $t^2$ is wanted. The difference $t^2 - r^2 s^2$ is the variance
of the noise to add. Give the levels three more axes of length 1 after (B, T). NumPy then stretches them over height,
width and channels.
"""


# %%
def noisier(x, fresh, here, there):
    here, there = (level[:, :, None, None, None] for level in (here, there))
    ratio = (1 - there) / (1 - here)
    return ratio * x + np.sqrt(there**2 - (ratio * here) ** 2) * fresh


check.ch03_noisier(noisier)

# %% [markdown]
r"""
**2. From alpha_bar back to beta.** $\bar\alpha_k = \bar\alpha_{k-1}\,(1-\beta_k)$, and $\bar\alpha_0 = 1$. If alpha_bar
ends at 0, the last beta would be 1. Such a step keeps nothing of the picture, so no step back could be computed from
it.
"""


# %%
def beta_of(alpha_bar):
    before = np.concatenate([[1.0], alpha_bar[:-1]])
    return np.minimum(1 - alpha_bar / before, 0.999)


check.ch03_beta(beta_of)

# %% [markdown]
r"""
**3. Which level?** $\alpha/\sigma = 10^{d/20}$ must be $(1-t)/(s\,t)$. So $1/t = 1 + s\,10^{d/20}$. The number is 20
and not 10, since decibels compare variances, and a variance is the square of a curve.
"""


# %%
def level_of(decibels, shift):
    return 1 / (1 + shift * 10 ** (decibels / 20))


check.ch03_level_of(level_of)

# %% [markdown]
r"""
**4. The clean clip from a velocity.** $x = (1-t)\,c + t\,n$ and $v = n - c$, so $x - t v = c$. This goes back from `x`
along the straight line, for the time `t`. There is no division, so it works at every level.
"""


# %%
def clean_of(x, velocity, level):
    return x - level[:, :, None, None, None] * velocity


check.ch03_clean(clean_of)

# %% [markdown]
r"""
**5. Pixels that are four times too large.** The clean part is four times as large, so $\alpha/\sigma$ is in effect
multiplied by 4. A shift of 1/4 does the same.
"""

# %%
judge, source, flow = load_judge(), digit_source("strokes", "test"), make("rectified_flow")
labels = np.arange(size(300, 20)) % 10
clean = source.draw(np.random.default_rng(0), labels) * 2 - 1
noise = np.random.default_rng(1).standard_normal(clean.shape)


def share_read(factor, curve, level):
    x = curve.mix(factor * clean, noise, level) / curve.alpha(level) / factor
    pixels = np.clip((x + 1) / 2, 0, 1).astype(np.float32)
    return (judge.read(pixels)[0].argmax(-1) == labels).mean()


levels = np.linspace(0.02, 0.95, size(60, 6))
for name, factor, curve in (
    ("pixels in [-1, 1]", 1, flow),
    ("pixels in [-4, 4]", 4, flow),
    ("pixels in [-1, 1], shift 1/4", 1, make("rectified_flow", shift=0.25)),
):
    shares = np.array([share_read(factor, curve, level) for level in levels])
    print(f"{name:29} half are read up to level {levels[shares >= 0.5].max(initial=0):.2f}")
assert np.allclose(share_read(4, flow, 0.5), share_read(1, make("rectified_flow", shift=0.25), 0.5))

# %% [markdown]
r"""
With the large pixels a digit can be read up to a much higher level. So at level 0.5 one sees the digit well, and the
task of the network is easier. But then all hard ratios lie at the highest levels, and get few steps and little
training. Therefore [chapter 9](../09_latent_diffusion.ipynb) scales latents, compressed clips, to standard deviation 1
before noise is added.

**6. Your own schedule.** Let the decibels fall evenly from $d_0$ at level 0 to $d_1$ at level 1. With $r = 10^{d/20}$,
the curves $\alpha = r/\sqrt{1+r^2}$ and $\sigma = 1/\sqrt{1+r^2}$ have this ratio and $\alpha^2+\sigma^2 = 1$. Check
both ends. Is level 0 clean enough, and is level 1 nearly pure noise? With twice the height and width there are four
times as many pixels to average over. So the same difficulty is about 6 dB lower.
"""
