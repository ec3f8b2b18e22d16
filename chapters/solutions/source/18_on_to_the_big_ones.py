# %% [markdown]
r"""
# Solutions to chapter 18

Worked answers to the exercises of [chapter 18](../18_on_to_the_big_ones.ipynb). Try them yourself first.
"""

# %%
from unittest.mock import patch

import numpy as np

from minivdit.generation import TextToVideo
from minivdit.lab.lessons import check, installed
from minivdit.models.patches import rotary_angles

# %% [markdown]
r"""
**1. A convolution's weight.** The two axes of channels move from the front to the end, and they are exchanged.
"""


# %%
def conv_from_torch(weight):
    space = range(2, weight.ndim)
    return weight.transpose(*space, 1, 0)


check.ch18_conv(conv_from_torch)

# %% [markdown]
r"""
**2. Other pairs.** A head's columns are two halves. Write them as a table with 2 rows and d/2 columns. Then a pair is a
column of the table. If we read the table column by column, the entries of a pair are neighbours.
"""


# %%
def interleaved(weight, heads):
    inputs, width = weight.shape
    table = weight.reshape(inputs, heads, 2, width // heads // 2)
    return table.swapaxes(-1, -2).reshape(inputs, width)


check.ch18_pairs(interleaved)

# %% [markdown]
r"""
We can check that the scores stay the same: rotate halves here, rotate neighbours there, and compare the products.
"""

# %%
generator = np.random.default_rng(0)
tokens, inputs, head_width = generator.standard_normal((5, 8)), 8, 12
to_q, to_k = generator.standard_normal((2, inputs, head_width))
cos, sin = (table[:, 0] for table in rotary_angles((5, 1, 1), head_width))


def halves(x):
    a, b = np.split(x, 2, axis=1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=1)


def neighbours(x):
    a, b = x[:, ::2], x[:, 1::2]
    return np.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(x.shape)


here = halves(tokens @ to_q) @ halves(tokens @ to_k).T
there = neighbours(tokens @ interleaved(to_q, 1)) @ neighbours(tokens @ interleaved(to_k, 1)).T
assert np.allclose(here, there)
assert not np.allclose(here, neighbours(tokens @ to_q) @ neighbours(tokens @ to_k).T)  # and without it they don't

# %% [markdown]
r"""
**3. Back from sigma.** Solve $\sigma = s t / (1 + (s-1) t)$ for $t$. The result is $t = \sigma / (s - (s-1) \sigma)$,
the same formula with $1/s$ for $s$.
"""


# %%
def levels_from_timesteps(timesteps, shift):
    sigma = timesteps / 1000
    return sigma / (shift - (shift - 1) * sigma)


check.ch18_unshift(levels_from_timesteps)

# %% [markdown]
r"""
**4. Does it fit?** Each part is divided by the number of GPUs if the stage is high enough.
"""


# %%
def bytes_on_each(parameters, gpus, stage):
    total = 0
    for part, from_stage in ((12, 1), (2, 2), (2, 3)):  # optimiser, gradients, weights
        total += part * parameters / (gpus if stage >= from_stage else 1)
    return total


check.ch18_memory(bytes_on_each)

# %% [markdown]
r"""
CogVideoX-5B's transformer on 8 GPUs, stage by stage:
"""

# %%
for stage in range(4):
    print(f"stage {stage}: {bytes_on_each(5_570_283_072, 8, stage) / 2**30:5.1f} GiB on each")

# %% [markdown]
r"""
**5. Break the bridge.** We make these changes in the PyTorch twin of the benchmarks, which computes the same. So we
needn't write the module again.
"""

# %%
if installed("torch"):
    import torch
    import torch.nn.functional as F

    from minivdit.lab.benchmarks import torch_twin

    model = TextToVideo.load("joint")
    tokens = model.tokenizer.encode(["a 3 moving right"])
    noisy = generator.standard_normal((1, 16, 8, 8, 12), dtype=np.float32)
    levels = np.full((1, 16), 0.6, np.float32)
    gelu, text_block = F.gelu, torch_twin.TextBlock.forward

    def predict(change=lambda twin: None):
        twin = torch_twin.load(
            torch_twin.VideoDiT(model.transformer.config, len(model.tokenizer)), model.transformer.state_dict()
        )
        with torch.no_grad():
            change(twin)
            return twin(*map(torch.from_numpy, (noisy, levels, tokens)))

    def wrong_eps(twin):
        for module in twin.modules():
            if isinstance(module, torch.nn.RMSNorm):
                module.eps = 1e-5

    def not_transposed(twin):
        for module in twin.modules():
            if isinstance(module, torch.nn.Linear) and module.in_features == module.out_features:
                module.weight.copy_(module.weight.T.clone())

    right = predict()

    def report(name, wrong):
        print(f"{name:36} changes the prediction by {(wrong - right).abs().max() / right.abs().max():.1e}")

    report("eps 1e-5 in the RMS norms", predict(wrong_eps))
    with patch.object(F, "gelu", lambda x, approximate: gelu(x)):
        report("the exact GELU", predict())
    with patch.object(torch_twin.TextBlock, "forward", lambda block, x, mask, tables: text_block(block, x, mask)):
        report("no positions in the caption", predict())
    report("square weights not transposed", predict(not_transposed))

# %% [markdown]
r"""
If you forget all transpositions, `load_state_dict` raises an error, because it compares shapes. But `attention.out`,
`cross_attention.q`, `level_out` and `text_pooled` are square. If only these aren't transposed, everything loads without
an error, and the prediction is wrong. The other three changes don't change a shape either. The wrong eps and the wrong
GELU change so little that you'd see nothing in a clip. But the network would be slightly worse than the one that was
trained. Only the comparison of numbers shows it.
"""

# %% [markdown]
r"""
**6. Further.** These are the differences between a `SequenceBlock` and a `CogVideoXBlock`:

- there is one modulation for the whole clip there, and one for each frame here. Give all frames the same level;
- there, `norm1` and `norm2` each have a weight for 6 parts of modulation (3 for tokens, 3 for words). Here one weight
  has 6 parts for tokens, and one has 6 parts for words. Slices of our two weights fill theirs;
- its first two layer norms have a learnt scale and shift. Set them to 1 and 0. Their eps is 1e-5 by default. Pass
  `norm_eps=1e-6`;
- queries and keys are normalised by layer norm there, by RMS norm here. **This can't be translated**: layer norm takes
  the mean away. Build both without (`qk_norm=False`);
- rotary pairs differ, as in exercise 2. There q, k and v have a linear layer each. Cut our `qkv` in three.

So without the norms of q and k, slices and transpositions are enough, in about as many lines as `to_torch` and its
inverse. With these norms, the two blocks are different functions.
"""
