# %% [markdown]
r"""
# Solutions to chapter 12

Worked answers to the exercises of [chapter 12](../12_the_bill.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check
from minivdit.lab.lessons.ch12 import stills, stills_flops
from minivdit.models import costs
from minivdit.models.patterns import average_attention_distance

# %% [markdown]
r"""
**1. Looking back.** Frame t looks at itself and at the `back` frames before it. But only t frames come before frame t,
so it looks at most at these. Each pair of frames has (H W)² pairs of tokens.
"""


# %%
def pairs_looking_back(grid, back):
    frames, places = grid[0], grid[1] * grid[2]
    return sum(1 + min(t, back) for t in range(frames)) * places**2


check.ch12_pairs(pairs_looking_back)

# %% [markdown]
r"""
**2. A block that reads.** Let the clip have N tokens, the caption M words, and let r be the ratio. Self-attention's
four projections cost 8 N d². The MLP's two products cost 4 r N d² together. In cross-attention queries and output are
made from N tokens (4 N d²), and keys and values from M words (4 M d²). Each of the N x M pairs costs 4 d, as in
self-attention.
"""


# %%
def block(tokens, width, ratio, words):
    own = (8 + 4 * ratio) * tokens * width**2 + 4 * tokens**2 * width
    cross = 4 * (tokens + words) * width**2 + 4 * tokens * words * width
    return own + cross


check.ch12_block(block)

# %% [markdown]
r"""
**3. What a budget buys.** Add frames until the next one would be too expensive. The formula for quadratic equations
gives the number at once, but it is easier to get wrong.
"""


# %%
def longest(budget, places, width):
    cost = lambda n: 24 * n * width**2 + 4 * n**2 * width
    frames = 0
    while cost((frames + 1) * places) <= budget * cost(places):
        frames += 1
    return frames


check.ch12_longest(longest)

# %% [markdown]
r"""
**4. Train within a budget.** Look at what has to be linked: the same place in all frames, and nothing else. `time`
links just that, for 8 pairs a token instead of 288. So more of the budget is left for steps. Each frame has a
signal-to-noise ratio of 1. The mean of eight frames has a ratio of 8, so the error of the best guess is 1 / (1 + 8).

`joint` contains the solution as well, but it must first *learn* which 8 of 288 tokens to look at. It doesn't get
that far within the budget. And `frame` stays at 1/2, because it never sees another frame.
"""


# %%
def choose():
    return ("time",), 8, 200, 0.03


for patterns, width, steps in ((("time",), 8, 200), (("joint",), 8, 100), (("frame",), 8, 200)):
    error, flops = stills(patterns, width, steps, 0.03), stills_flops(patterns, width, steps)
    print(f"{patterns[0]:6} error {error:.3f} for {flops / 1e9:.1f} GFLOPs")
check.ch12_budget(choose)

# %% [markdown]
r"""
**5. Break it.** Without a shift the distance is infinite: information never leaves its box, however many blocks follow.
`frame` fails in the same way, and its boxes are the frames. A second partition repairs this if its borders lie
elsewhere along *every* axis. Boxes that are longer along one axis only don't repair it, because nothing crosses the
borders along the other two. Boxes of side 3 repair it, and they are cheap.
"""

# %%
grid = (8, 8, 8)
for patterns in (
    ["window:4x4x4"],
    ["window:4x4x4", "window:8x4x4"],
    ["window:4x4x4", "window:3x3x3"],
    ["window:4x4x4", "window:8x8x8"],
):
    pairs = np.mean([costs.score_pairs(pattern, grid) for pattern in patterns]) / costs.score_pairs("joint", grid)
    print(
        f"{', '.join(patterns):28}{pairs:>7.1%} of the pairs, distance {average_attention_distance(patterns, grid):.2f}"
    )
assert np.isinf(average_attention_distance(["window:4x4x4"], grid))
assert np.isinf(average_attention_distance(["window:4x4x4", "window:8x4x4"], grid))
assert np.isfinite(average_attention_distance(["window:4x4x4", "window:3x3x3"], grid))

# %% [markdown]
r"""
**6. An open question.** There is no right answer. A digit that moves is at *another* place in the next frame. `time`
alone never links these two places directly, but a window of 2 frames and a few places does. A camera that pans moves
everything by the same step, so it helps to compare whole frames. One `joint` block among five cheap ones computes
little more than a sixth of the pairs of six `joint` blocks. The measurement that would decide is chapter 10's:
consistency and motion at equal training FLOPs, for several seeds.
"""
