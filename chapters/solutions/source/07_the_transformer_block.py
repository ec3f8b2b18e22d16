# %% [markdown]
r"""
# Solutions to chapter 7

Worked answers to the exercises of [chapter 7](../07_the_transformer_block.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Layer norm.** Mean and variance of each row, so over the last axis; `keepdims` lets them be broadcast back. The
variance is the plain mean of squares (`ddof=0`), and eps stands under the root.
"""


# %%
def layer_norm(x):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)


check.ch07_layer_norm(layer_norm)

# %% [markdown]
r"""
**2. Modulation by frame.** An axis of length 1 where `x` has its tokens: all tokens of a frame share its row. And 1 + scale, so
that zeros change nothing.
"""


# %%
def modulate(x, shift, scale):
    return layer_norm(x) * (1 + scale[:, :, None, :]) + shift[:, :, None, :]


check.ch07_modulate(modulate)

# %% [markdown]
r"""
**3. The pullback of a gate.** The gate was used once by each token of its frame, so its gradient is summed over the tokens. The
stream's gradient is `grad` itself, whatever the gate: that is the main road on which gradients reach the first block.
"""


# %%
def gate_pullback(x, gate, branch, grad):
    return grad, (grad * branch).sum(axis=2, keepdims=True), grad * gate


check.ch07_gate(gate_pullback)

# %% [markdown]
r"""
**4. How many weights?** In units of width²: modulation 6; self-attention 3 for queries, keys and values and 1 for its output;
cross-attention 1 for queries, 2 for keys and values, 1 for its output; the MLP `ratio` up and `ratio` down.
"""


# %%
def matrix_parameters(width, ratio):
    return (6 + 4 + 4 + 2 * ratio) * width**2


check.ch07_parameters(matrix_parameters)
