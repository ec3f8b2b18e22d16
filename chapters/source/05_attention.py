# %% [markdown]
r"""
# 5. Attention, its gradient, and why softmax is tiled

*About 60 minutes with the exercises. Runs in a minute.*

**You'll do:** write [attention](glossary.md#attention) as two loops and as three lines; look at where a patch of a clip looks; derive the
gradient and check it; compute a softmax without ever seeing all of its scores; measure the memory that this saves.

**You'll learn:** what [queries, keys and values](glossary.md#query-key-and-value) are; why scores are divided by the root of the width; how
[online softmax](glossary.md#online-softmax) works, the idea behind [FlashAttention](references.md#dao-2022); why the backward pass
computes the weights a second time, and gains by it.

**You need:** matrix products, softmax, and [pullbacks](glossary.md#pullback) from [chapter 1](01_autograd.ipynb).

![Scores of attention, tile by tile, with a running maximum and sum](pictures/05.svg)
"""

# %%
import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base.backend import blas_threads
from minivdit.data import CaptionedClips, DigitMotion, digit_source
from minivdit.lab.lessons import check, size
from minivdit.models.patches import patchify
from minivdit.models.patterns import labels

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## A lookup that can be differentiated

A dictionary compares a query with every key and hands out the value of the one that fits. Attention does the same softly. It
hands out *every* value, weighted by how well its key fits. The fit is a dot product, the *score*.
[Softmax](glossary.md#softmax) turns all scores of a query into weights that add up to 1:

$$o_i = \sum_j w_{ij}\, v_j, \qquad
w_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt d)}{\sum_l \exp(q_i \cdot k_l / \sqrt d)}.$$

Here $q_i$ is query $i$ and $o_i$ the output for it, $k_j$ and $v_j$ are key and value $j$, and $d$ is the width of queries and
keys. The simple loop, for `q`
(Nq, d), `k` (Nk, d), `v` (Nk, dv):
"""


# %%
def attention_by_loops(q, k, v):
    output = np.zeros((len(q), v.shape[1]))
    for i in range(len(q)):
        fits = np.array([np.exp(np.dot(q[i], k[j]) / np.sqrt(len(q[i]))) for j in range(len(k))])
        for j in range(len(k)):
            output[i] += fits[j] / fits.sum() * v[j]
    return output


# %% [markdown]
r"""
Vectorised, the loops become two matrix products with a softmax between.
"""


# %%
def attention_by_products(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[-1])  # (Nq, Nk)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights @ v, weights


q, k, v = (generator.standard_normal(shape) for shape in ((7, 4), (9, 4), (9, 5)))
output, weights = attention_by_products(q, k, v)
assert np.allclose(output, attention_by_loops(q, k, v))
assert np.allclose(output, ag.simple_attention(q, k, v).data)  # the library's simple twin

# %% [markdown]
r"""
Now on a clip, with nothing trained. We cut a moving digit into patches of 4x4 pixels, and each patch is query, key and value at
once. (Queries and keys are doubled, so that the weights differ more.) So a patch of the digit in one frame looks for patches like
itself.

**What to look at.** Follow the yellow cells from frame to frame. Do they follow the digit? In which frames are they bright, and in
which not?
"""

# %%
source = digit_source("strokes", split="test")
clips = CaptionedClips(source, size=(32, 32), num_frames=5, digit_size=20, num_digits=(1,))
video = clips.render(np.random.default_rng(5), [[DigitMotion(4, "right", "fast")]]).video  # (1, 5, 32, 32, 1)
patches = patchify(video * 2 - 1, (1, 4, 4)).data[0]  # (320, 16): 5 frames of 8 x 8 patches

_, looks = attention_by_products(2.0 * patches, 2.0 * patches, patches)
ink = patches.reshape(5, 64, 16)[2]
query = 2 * 64 + int(ink.std(axis=1).argmax())  # in the middle frame, the patch with most contrast

figure, rows = plt.subplots(2, 5, figsize=(9, 3.9), layout="constrained")
for t, (above, below) in enumerate(rows.T):
    above.imshow(video[0, t, :, :, 0], cmap="gray")
    picture = below.imshow(
        looks[query].reshape(5, 8, 8)[t], cmap="cividis", vmin=0, vmax=looks[query].max(), extent=(0, 32, 32, 0)
    )
    above.set(title=f"frame {t}")
    for axes in (above, below):
        axes.set(xticks=[], yticks=[])
row, column = divmod(query % 64, 8)
rows[0, 2].add_patch(plt.Rectangle((4 * column - 0.5, 4 * row - 0.5), 4, 4, fill=False, edgecolor="C4", linewidth=2.5))
rows[0, 0].set_ylabel("clip")
rows[1, 0].set_ylabel("weights")
figure.colorbar(picture, ax=rows, label="weight", shrink=0.8)
figure.suptitle("the marked patch of frame 2, and where it looks in all frames", fontsize=10)
plt.show()

# %% [markdown]
r"""
The patch finds itself two frames before and two frames after, where the digit has moved by a whole patch. In the frames between,
the same stroke is cut differently, and no patch is quite like it. Raw pixels are poor keys.

In a transformer, queries, keys and values are three learnt linear maps of the tokens. So the network decides what "alike" means:
same stroke, same digit, or whatever lowers the loss.

## Why divide by the root of the width

Large networks run several attentions side by side, called [heads](glossary.md#head). **Claim.** Without the scale, a wide head
looks at one single key.

A dot product is a sum of $d$ products. If the entries are independent, with mean 0 and variance 1, each product has the variance
$\mathrm{E}[q_n^2]\,\mathrm{E}[k_n^2] = 1$, and the variances add up:

$$\mathrm{Var}(q \cdot k) = \sum_{n=1}^{d} \mathrm{Var}(q_n k_n) = d, \qquad \mathrm{Var}\big(q \cdot k / \sqrt d\big) = 1.$$

So without the division scores grow with the width, and softmax of large scores is all or nothing. Its gradient is then nearly 0, and
nothing can be learnt. With the division, scores have variance 1 at any width.
"""

# %%
widths = 2 ** np.arange(1, 11)
largest = {"with the scale": [], "without": []}
for d in widths:
    q, k = generator.standard_normal((2, 64, d))
    for name, scale in zip(largest, (1 / np.sqrt(d), 1.0)):
        weights = ag.softmax(q @ k.T * scale).data
        largest[name].append(weights.max(axis=-1).mean())

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for (name, share), style in zip(largest.items(), ("o-", "s--")):
    axes.semilogx(widths, share, style, base=2, label=name)
axes.set(xlabel="width d of a head", ylabel="largest of 64 weights (mean)", ylim=(0, 1), title="all or nothing")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
r"""
## The gradient

Write $S = q k^T \cdot \text{scale}$ with $\text{scale} = 1/\sqrt d$, then $P = \text{softmax}(S)$ and $O = P v$. Write $dX$ for
the gradient that belongs to $X$ ([chapter 1](01_autograd.ipynb) wrote it with a bar). We go backwards through the three steps.
$S$ and $O$ are matrix products, and the pullback of a product is a product with the other factor, transposed. Between them stands
softmax, row by row. Its pullback is in chapter 1, $\bar s_j = w_j\,(\bar w_j - \sum_i \bar w_i w_i)$:

$$dP = dO\, v^T, \quad dv = P^T dO, \quad dS = P \circ (dP - \text{rowsum}(dP \circ P)),$$
$$dq = dS\, k \cdot \text{scale}, \quad dk = dS^T q \cdot \text{scale}$$

($\circ$ multiplies entry by entry.) The engine finds these gradients by itself if we write attention with its operations. The
library's `simple_attention` is one operation with these formulas as its pullback. Both must agree, and the second must pass a
[gradient check](glossary.md#gradient-check).
"""


# %%
def attention_of_parts(q, k, v):
    weights = ag.softmax(q @ k.transpose() * (1 / np.sqrt(q.shape[-1])))
    return weights @ v


arrays = [generator.standard_normal(shape) for shape in ((7, 4), (9, 4), (9, 5))]
cotangent = generator.standard_normal((7, 5))
leaves = [ag.Tensor(a, requires_grad=True) for a in arrays]
of_parts = ag.gradients(attention_of_parts(*leaves), leaves, cotangent)
as_one = ag.gradients(ag.simple_attention(*leaves), leaves, cotangent)
for a, b in zip(of_parts, as_one):
    assert np.allclose(a, b)
print(f"gradient check: {ag.gradcheck(ag.simple_attention, *arrays):.1e} of what is allowed")

# %% [markdown]
r"""
One term seems to need the whole of $P$: $\text{rowsum}(dP \circ P)$, one number for each query. It doesn't. Since
$dP_{ij} = dO_i \cdot v_j$ and $O_i = \sum_j P_{ij} v_j$,

$$\sum_j dP_{ij}\, P_{ij} = dO_i \cdot \sum_j P_{ij}\, v_j = dO_i \cdot O_i,$$

which needs the output only. The tiled form will use this.
"""

# %%
q, k, v = arrays
output, weights = attention_by_products(q, k, v)
assert np.allclose(((cotangent @ v.T) * weights).sum(axis=1), (cotangent * output).sum(axis=1))

# %% [markdown]
r"""
## The trouble: N times N

`scores` has an entry for each pair of tokens: $N^2$ of them, of 4 bytes each, for each head of each clip. Twice the frames mean
four times the scores. (The article that this project set out from says that the cost grows *exponentially*. It doesn't: $N^2$ is
*quadratic*. Exponential growth would multiply the cost with every frame that is added.)
"""

# %%
print(f"{'clip':34}{'tokens':>9}{'scores of one head':>22}")
for name, grid in (
    ("16 frames of 8 x 8 tokens", (16, 8, 8)),
    ("64 frames of 8 x 8 tokens", (64, 8, 8)),
    ("64 frames of 16 x 16 tokens", (64, 16, 16)),
    ("13 frames of 30 x 45 tokens", (13, 30, 45)),
):
    tokens = int(np.prod(grid))
    print(f"{name:34}{tokens:>9,}{4 * tokens**2 / 1e6:>19,.0f} MB")

# %% [markdown]
r"""
The last line is a clip of 49 frames of 480x720 pixels as [CogVideoX](references.md#yang-2024) sees it, and each of its
layers has dozens of heads. The output, though, is only (N, d). Do we need all scores at once?

## Softmax without seeing all scores

**Claim.** A softmax average can be computed from left to right, remembering two numbers and one row for each query.

The obstacle: `exp` overflows, so everybody subtracts the largest score. To know the largest one, you must have seen all. The way
out: subtract the largest *so far*, and when a larger one comes, repair the sums. After some keys we hold the maximum $m$, the sum
$l$ and the row $o$. A new key has the score $s$ and the value $v$. Then

$$m' = \max(m, s), \qquad l' = e^{m - m'}\, l + e^{s - m'}, \qquad o' = e^{m - m'}\, o + e^{s - m'}\, v.$$

The factor $e^{m-m'}$ turns every old term $e^{s_j-m}$ into $e^{s_j-m'}$. At the end the result is $o / l$. In the loop, $m$, $l$ and
$o$ are `top`, `total` and `out`:
"""


# %%
def online_attention(q, k, v):
    """One query (d,), keys (N, d), values (N, dv)."""
    top, total, out = -np.inf, 0.0, np.zeros(v.shape[1])
    history = []
    for key, value in zip(k, v):
        score = q @ key / np.sqrt(len(q))
        higher = max(top, score)
        shrink = np.exp(top - higher)  # 1 unless there is a new maximum
        total = total * shrink + np.exp(score - higher)
        out = out * shrink + np.exp(score - higher) * value
        top = higher
        history.append((score, top, total))
    return out / total, np.array(history)


long_q, long_k, long_v = (1.3 * generator.standard_normal(shape) for shape in ((1, 8), (40, 8), (40, 5)))
by_walking, history = online_attention(long_q[0], long_k, long_v)
assert np.allclose(by_walking, ag.simple_attention(long_q, long_k, long_v).data[0])

score, top, total = history.T
figure, (above, below) = plt.subplots(2, 1, figsize=(7, 3.8), layout="constrained", sharex=True)
above.bar(range(40), score, color="0.75", label="score")
above.step(range(40), top, "C1", where="mid", linewidth=2, label="largest so far")
above.set(ylabel="score", title="online softmax, one query, one key after the other")
above.legend(fontsize=8)
below.step(range(40), total, "C0", where="mid", linewidth=2)
below.set(xlabel="keys seen", ylabel="running sum")
for axes in (above, below):
    for key in np.flatnonzero(np.diff(top)) + 1:
        axes.axvline(key, color="C1", linestyle=":", linewidth=1)
plt.show()

# %% [markdown]
r"""
At each dotted line a new maximum comes, and what was summed so far shrinks, since it now counts relative to the new maximum. The
new key adds 1. So the sum falls only where it loses more than 1.

Vectorised, the loop takes a *tile* of keys at a time, and all queries together. Nothing else changes.
"""


# %%
def tiled_attention(q, k, v, tile):
    """Attention (Nq, d), (Nk, d), (Nk, dv) -> (Nq, dv), and for each query the maximum and the sum, (Nq, 1)."""
    top, total, out = -np.inf, 0.0, 0.0
    for start in range(0, len(k), tile):
        keys, values = k[start : start + tile], v[start : start + tile]
        scores = q @ keys.T / np.sqrt(q.shape[-1])  # (Nq, tile): the only array that big
        higher = np.maximum(top, scores.max(axis=1, keepdims=True))
        shrink, weights = np.exp(top - higher), np.exp(scores - higher)
        total = total * shrink + weights.sum(axis=1, keepdims=True)
        out = out * shrink + weights @ values
        top = higher
    return out / total, top, total


q, k, v = (generator.standard_normal(shape) for shape in ((50, 8), (83, 8), (83, 6)))
for tile in (1, 7, 32, 83):
    assert np.allclose(tiled_attention(q, k, v, tile)[0], ag.simple_attention(q, k, v).data)
assert np.allclose(tiled_attention(1e4 * q, k, v, 7)[0], ag.simple_attention(1e4 * q, k, v).data)  # nothing overflows

# %% [markdown]
r"""
## Backwards: compute it again

The pullback needs the weights $P$, and we never kept them. **Claim.** Two numbers for each query, $m$ and $l$, are enough to get any
tile of them back:

$$P_{ij} = e^{S_{ij} - m_i} / l_i,$$

with $S$ computed again from `q` and `k`. And $\text{rowsum}(dP \circ P)$ is $\text{rowsum}(dO \circ O)$, as shown above.
"""


# %%
def tiled_pullback(q, k, v, out, top, total, grad, tile):
    scale = 1 / np.sqrt(q.shape[-1])
    q_grad, k_grad, v_grad = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    along = (grad * out).sum(axis=1, keepdims=True)  # (Nq, 1)
    for start in range(0, len(k), tile):
        here = slice(start, start + tile)
        weights = np.exp(q @ k[here].T * scale - top) / total  # (Nq, tile), as in the forward pass
        scores_grad = weights * (grad @ v[here].T - along)
        v_grad[here] = weights.T @ grad
        k_grad[here] = scores_grad.T @ q * scale
        q_grad += scores_grad @ k[here] * scale
    return q_grad, k_grad, v_grad


leaves = [ag.Tensor(a, requires_grad=True) for a in (q, k, v)]
cotangent = generator.standard_normal((50, 6))
expected = ag.gradients(ag.simple_attention(*leaves), leaves, cotangent)
got = tiled_pullback(q, k, v, *tiled_attention(q, k, v, 16), cotangent, tile=16)
for a, b in zip(got, expected):
    assert np.allclose(a, b)

# %% [markdown]
r"""
The library's `ag.attention` is these two loops, with tiles over the queries as well, many heads and clips at once, and
masks. Its tests hold it equal to `simple_attention`.

## Measured

**Claim.** With tiles, memory grows with $N$ instead of $N^2$, and it costs little time or none. The backward pass has one matrix
product more (5 instead of 4), but tiles stay in the processor's cache.

We measure the peak of what NumPy allocates, and the time, for forward and backward together, on your machine.
"""


# %%
def measured(operation, tokens):
    """Peak bytes, and seconds at best of three, of forward and backward over so many tokens."""
    arrays = generator.standard_normal((3, 1, 4, tokens, 32), dtype=np.float32)  # (B, h, N, d): 4 heads

    @blas_threads(1)  # one processor core for both
    def once():
        leaves = [ag.Tensor(a, requires_grad=True) for a in arrays]
        output = operation(*leaves)
        ag.gradients(output, leaves, output.data)

    once()  # what the first call loads doesn't count
    tracemalloc.start()
    once()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    times = []
    for _ in range(size(3, 1)):
        started = time.perf_counter()
        once()
        times.append(time.perf_counter() - started)
    return peak, min(times)


counts = [256, 512, 1024, 2048][: size(4, 2)]
figures = {}
print(f"{'tokens':>7}{'simple':>12}{'tiled':>10}{'simple':>14}{'tiled':>11}")
for tokens in counts:
    for operation in (ag.simple_attention, ag.attention):
        figures[tokens, operation.__name__] = measured(operation, tokens)
    (peak, seconds), (tiled_peak, tiled_seconds) = (figures[tokens, name] for name in ("simple_attention", "attention"))
    print(
        f"{tokens:>7}{peak / 1e6:>9.1f} MB{tiled_peak / 1e6:>7.1f} MB"
        f"{1000 * seconds:>11.0f} ms{1000 * tiled_seconds:>8.0f} ms"
    )

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
for name, style in (("simple_attention", "s--"), ("attention", "o-")):
    for axes, which, factor in zip(panels, (0, 1), (1e-6, 1e3)):
        axes.plot(counts, [factor * figures[n, name][which] for n in counts], style, label=name)
scores_only = [4 * 4 * n**2 / 1e6 for n in counts]
panels[0].plot(counts, scores_only, ":", color="0.5", label="the scores alone")
panels[0].set(xlabel="tokens", ylabel="peak memory (MB)", title="memory")
panels[1].set(xlabel="tokens", ylabel="milliseconds", title="time, forward and backward")
for axes in panels:
    axes.set(xscale="log", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.set_xticks([], minor=True)
plt.show()

growth = [figures[counts[-1], name][0] / figures[counts[-2], name][0] for name in ("simple_attention", "attention")]
print(
    f"twice the tokens: {growth[0]:.1f} times the memory for the simple form, {growth[1]:.1f} times for the tiled one"
)
assert figures[counts[-1], "attention"][0] < figures[counts[-1], "simple_attention"][0]

# %% [markdown]
r"""
On the machine of these outputs the tiled form is even faster. But the arithmetic is still $N^2$ in both: a clip twice as long is
four times the work. Tiling makes long clips *possible*, not cheap.
[Attention patterns](glossary.md#attention-pattern) make them cheaper, in which not every token looks at every other; see
[chapter 12](12_the_bill.ipynb).

## Who may look at whom

All [masks](glossary.md#mask) of this project are one rule: key $j$ is visible to query $i$ if `key_time[j] <= query_time[i]`. If
the times are frame numbers, the clip is [causal](glossary.md#causal): nobody looks into the future. A key whose time is later
than all others is [padding](glossary.md#padding): no query sees it.
"""

# %%
frame = labels("frame", (4, 2, 2))  # 4 frames of 2 x 2 tokens: the frame of each of 16 tokens
visible = frame[None, :] <= frame[:, None]

q, k, v = generator.standard_normal((3, 16, 6))
masked = ag.attention(q, k, v, query_time=frame, key_time=frame).data
changed = v.copy()
changed[frame == 3] += 100.0  # the last frame becomes something else
after = ag.attention(q, k, changed, query_time=frame, key_time=frame).data
assert np.allclose(masked[frame < 3], after[frame < 3])  # earlier frames don't notice
assert not np.allclose(masked[frame == 3], after[frame == 3])

figure, axes = plt.subplots(figsize=(3.6, 3.4), layout="constrained")
axes.imshow(visible, cmap="cividis")
axes.set(xlabel="key (token)", ylabel="query (token)", title="yellow: may look (frames of 4 tokens)")
axes.set_xticks(range(0, 16, 4))
axes.set_yticks(range(0, 16, 4))
plt.show()

# %% [markdown]
r"""
## Exercises

Worked solutions are in [solutions/05_attention](solutions/05_attention.ipynb).

**1. Grouped queries.** Large models save memory by fewer heads of keys than of queries. `q` is (h, Nq, d), `k` (g, Nk, d) and `v`
(g, Nk, dv), where g divides h. The first h/g heads of queries look at head 0 of keys and values, the next h/g at head 1, and so on.
Return (h, Nq, dv). It has to survive scores of several thousand.
"""


# %%
def grouped_attention(q, k, v):
    pass  # fill me in, about 6 lines


check.ch05_attention(grouped_attention)

# %% [markdown]
r"""
**2. A pullback with a bias.** Some models add a learnt `bias` (Nq, Nk) to the scores: $S = q k^\top / \sqrt d + \text{bias}$. From
`grad` (Nq, dv), return the gradients of q, k, v and the bias.
"""


# %%
def attention_pullback(q, k, v, bias, grad):
    pass  # fill me in, about 6 lines


check.ch05_pullback(attention_pullback)

# %% [markdown]
r"""
**3. Bring parts together.** Keys were split over several machines. Each gave a triple for every query: its maximum `top` (Nq, 1),
the sum `total` of `exp(score - top)` (Nq, 1), and the sum `out` of `exp(score - top) * value` (Nq, dv), not divided by anything.
From the list of triples, return the triple for all keys, `out` still undivided. Some machines held no key at all: they gave `top`
-inf and zeros.
"""


# %%
def merge(parts):
    pass  # fill me in, about 5 lines


check.ch05_merge(merge)

# %% [markdown]
r"""
**4. A mask with a window.** A query sees its own frame and the `window` - 1 frames before it. Frame 0 is visible to all. From
`query_time` (Nq,) and `key_time` (Nk,), return the boolean array (Nq, Nk).
"""


# %%
def visible_to(query_time, key_time, window):
    pass  # fill me in, about 2 lines


check.ch05_visible(visible_to)

# %% [markdown]
r"""
**5. Break it: forget to shrink.** Take `* shrink` out of both lines of `online_attention`. For some inputs the result is still right.
For which? Make one input with a right and one with a wrong result, and say what that means for tests.

**6. Open.** Which `tile` is fastest for `tiled_attention` on your machine? Measure some sizes at several widths. What sets the limit on
either side?

## In practice

- **FlashAttention** does this on a GPU, with tiles in the fast memory next to the arithmetic units
  ([Dao et al. 2022](references.md#dao-2022)). There the point isn't only the size of memory: reading and writing the scores
  takes longer than computing them. `kernels/` holds a ladder of hand-written CUDA kernels from the naive form up.
- **Online softmax** is older: [Milakov and Gimelshein 2018](references.md#milakov-2018); that attention needs no
  quadratic memory was noted by [Rabe and Staats 2021](references.md#rabe-2021).
- **Several machines** can hold a part of the keys each and bring their results together as in exercise 3: *ring attention*
  ([Liu et al. 2023](references.md#liu-2023), and [chapter 17](17_beyond_one_machine.ipynb)).
- **Scores that grow.** Large models normalise queries and keys before the product, so that scores have a bound
  ([Dehghani et al. 2023](references.md#dehghani-2023)). So does this project, and since the bound is known, its tiled
  form can then do without the running maximum.

## Further reading

- [Vaswani et al. 2017](references.md#vaswani-2017), where scaled dot-product attention comes from.
- Here: `minivdit/autograd/attend.py`, both twins side by side; `kernels/README.md`, the ladder.

Next: [chapter 6](06_patches_and_positions.ipynb), space-time patches and positions.
"""
