# %% [markdown]
r"""
# Solutions to chapter 7

Worked answers to the exercises of [chapter 7](../07_the_transformer_block.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit import autograd as ag
from minivdit.lab.lessons import check
from minivdit.models import VideoDiTConfig
from minivdit.models.patches import rotary_angles
from minivdit.models.patterns import partition
from minivdit.models.text import key_times
from minivdit.models.video_dit import Block

# %% [markdown]
r"""
**1. The pullback of layer norm.** Let $n$ be the normed row and $g$ the gradient of the output. The norm subtracts the
mean of $x$, so the mean of $g$ drops out. A longer $x$ gives the same $n$, so the part of $g$ along $n$ drops out, too:

$$dx = \frac{g - \overline{g} - n\, \overline{g\, n}}{\sqrt{\sigma^2 + \varepsilon}}$$
"""


# %%
def norm_pullback(x, grad):
    centred = x - x.mean(axis=-1, keepdims=True)
    root = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    normed = centred / root
    return (grad - grad.mean(axis=-1, keepdims=True) - normed * (grad * normed).mean(axis=-1, keepdims=True)) / root


check.ch07_norm(norm_pullback)

# %% [markdown]
r"""
**2. Fold it away.** The layer computes $(n \cdot (1 + \text{scale}) + \text{shift})\, W$. So $1 + \text{scale}$
multiplies the *rows* of $W$, and $\text{shift}\; W$ becomes the bias.
"""


# %%
def fold(shift, scale, weight):
    return (1 + scale)[:, None] * weight, shift @ weight


check.ch07_fold(fold)

# %% [markdown]
r"""
**3. The pullback of a dropped branch.** `keep / rate` is a constant, so it multiplies both gradients. All tokens of a
frame used the gate, so its gradient is summed over them. The gradient of x is `grad` itself, whatever the gate is. By
this path gradients reach the first block.
"""


# %%
def gate_pullback(x, gate, branch, keep, rate, grad):
    strength = (keep / rate)[:, None, None, None]
    through = strength * grad
    return grad, (through * branch).sum(axis=2, keepdims=True), through * gate


check.ch07_gate(gate_pullback)

# %% [markdown]
r"""
**4. How many weights?** In units of width²: modulation 6; self-attention 3 for queries, keys and values and 1 for its output;
cross-attention 1 for queries, 2 for keys and values, 1 for its output; the MLP `ratio` up and `ratio` down.
"""


# %%
def matrix_parameters(width, ratio, depth):
    others = depth * (4 + 4 + 2 * ratio) * width**2
    modulation = 6 * width**2
    return others + depth * modulation, others + modulation


check.ch07_parameters(matrix_parameters)

# %% [markdown]
r"""
**5. Break it: zeros in a row.** The output of attention is now 0 for every input, and so is the gate that multiplies
it. The gradient of the gate is a product with that output, so it is 0. The gradient of `attention.out` is a product
with the gate, so it is 0, too. Neither ever changes.
"""

# %%
generator = np.random.default_rng(0)
grid, width = (3, 4, 4), 48
block = Block(VideoDiTConfig(width=width, heads=4), generator)
block.attention.out.weight.data[:] = 0
x, wish = generator.standard_normal((2, 1, 3, 16, width), dtype=np.float32)
condition = generator.standard_normal((1, 3, 1, width), dtype=np.float32)
words = generator.standard_normal((1, 5, width), dtype=np.float32)
surroundings = dict(rotation=rotary_angles(grid, width // 4), part=partition("joint", grid))
parameters = block.parameters()
for step in range(6):
    output = block(x, condition, words, key_times(np.ones((1, 5), bool)), **surroundings)
    loss = ag.mean_squared_error(output, wish)
    slopes = dict(zip(parameters, ag.gradients(loss, parameters.values())))
    for name, slope in slopes.items():
        parameters[name].data -= slope
    gates = np.split(slopes["modulation.weight"], 6, axis=1)  # shift, scale, gate of attention; the same of the MLP
    print(f"step {step}: gradient of attention {any(slopes[n].any() for n in slopes if n.startswith('attention'))}, "
          f"of its gate {gates[2].any()}, of the MLP {slopes['mlp.up.weight'].any()}")  # fmt: skip
assert not gates[2].any() and not slopes["attention.qkv.weight"].any() and slopes["mlp.up.weight"].any()

# %% [markdown]
r"""
The MLP learns from step 1 on, and attention never does. A single layer of zeros can leave zero. Two in a row can't.
(Here the bias of `attention.out` is zero, too, as at every start.)

**6. Open.** A fair comparison gives each network its own best learning rate: try the same few rates for both, with
several seeds each, and compare the best rate of one with the best rate of the other. Say how many trainings that took.
Look at the whole curves, too: "later" and "never" look alike if you stop early.
"""
