# %% [markdown]
r"""
# Solutions to chapter 13

Worked answers to the exercises of [chapter 13](../13_the_kernel_ladder.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.kernels import whole_source
from minivdit.kernels.emulate import Emulation, EmulationError
from minivdit.lab.benchmarks import kernel_attention_check as example
from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. Backwards, a tile at a time.** Two sums run over all keys. The first is the sum of exponentials. It is in
`log_sum`, so `exp(score - log_sum)` is the weight. The second is in the pullback of softmax: the sum of each weight
times its gradient. For a query this equals the dot product of its rows of `grad` and `out`, because `out` is the
weighted sum of all values. So each tile can be done by itself, and no N x N array is needed.
"""


# %%
def tile_gradients(q, k, v, out, log_sum, grad):
    weights = np.exp(q @ k.T - log_sum[:, None])  # (n, m)
    weights_grad = grad @ v.T
    scores_grad = weights * (weights_grad - (grad * out).sum(axis=1, keepdims=True))
    return scores_grad.T @ q, weights.T @ grad


check.ch13_backward(tile_gradients)

# %% [markdown]
r"""
**2. What a causal kernel reads.** The last query of a block decides how far the block reads. The tile that contains the
key of this query is fetched as a whole, unless the tokens end before. With many blocks and small tiles this is about
half of what `bytes_read` says.
"""


# %%
def causal_traffic(tokens, width, own, tile, bytes_each):
    numbers = tokens  # each query once
    for first in range(0, tokens, own):
        last = min(first + own, tokens) - 1
        keys = min((last // tile + 1) * tile, tokens)
        numbers += 2 * keys
    return bytes_each * width * numbers


check.ch13_causal(causal_traffic)

# %% [markdown]
r"""
**3. How much padding?** Count in pieces. The 32 banks are 32 / piece places for a piece, and this number is a power of
two. From one row to the next, the place moves on by the number of pieces in a row. If that number is odd, the rows
visit all places. If it is even, they visit some places twice. So a row with an even number of pieces needs one piece
more, and a row with an odd number needs none.
"""


# %%
def least_padding(row, piece):
    return 0 if row // piece % 2 else piece


check.ch13_padding(least_padding)

# %% [markdown]
r"""
**4. How large a tile?** With B blocks and b bytes a number, queries and output take 2 b d N bytes, and keys and values
2 B b d N. So the intensity is 4 N² d / (2 b d N (1 + B)) = 2 N / (b (1 + B)). The width d drops out. The loop tries
blocks of growing size.
"""


# %%
def least_queries(tokens, width, bytes_each, peak, bandwidth):
    for own in range(1, tokens + 1):
        blocks = -(-tokens // own)
        if 2 * tokens / (bytes_each * (1 + blocks)) * bandwidth >= peak:
            return own


check.ch13_tile(least_queries)

# %% [markdown]
r"""
**5. Beside each other, for real.** Registers come in portions of 256. For example, a warp of 32 threads with 33
registers each needs 1,056 registers, and gets 1,280.
"""


# %%
def blocks_that_fit(threads, shared, registers, limits):
    of_a_warp = -(-32 * registers // 256) * 256
    needed = {"threads": threads, "shared": shared, "registers": threads // 32 * of_a_warp, "blocks": 1}
    return min(limits[what] // needed[what] for what in limits)


check.ch13_blocks(blocks_that_fit)

# %% [markdown]
r"""
**6. Break it.** A fast warp writes the next tile while a slow one still reads this one. This can only happen if there
is a next tile, so a test can notice it from 65 keys on. With 50 keys the broken kernel gives the right result, and the
test tells nothing about this bug. Test sizes belong on both sides of every border: of a tile, of a block, of a warp.
"""

# %%
barrier = "__syncthreads(); // all have read the tile before"
text = whole_source("attention_forward_2_online")
assert text.count(barrier) == 1
found = {}
for keys in (50, 64, 65, 200):
    runner = Emulation(sources={"attention_forward_2_online": text.replace(barrier, "")})
    try:
        error = example.errors("attention_forward_2_online", 70, keys, 32, None, 0, runner, heads=1)["out"].largest
        found[keys] = not error < 1e-4
        print(f"{keys:>3} keys: largest error {error:.1e}")
    except EmulationError as error:
        found[keys] = True
        print(f"{keys:>3} keys: {error}")
assert found == {50: False, 64: False, 65: True, 200: True}

# %% [markdown]
r"""
**7. An open question.** With one query, each key and its value are 2 d numbers, and they are read for 4 d FLOPs. In 16
bits that is one FLOP a byte, whatever the tile is. So memory is the limit on every GPU. Tensor cores can't help, but
asynchronous copies do. What can be divided are the *keys*: each block takes some of them, and the partial results are
joined as in chapter 5. (This is known as flash decoding.) The intensity rises if several heads share their keys.
"""
