# %% [markdown]
r"""
# 5. Attention, its gradient, and why softmax is tiled

*About 60 minutes with the exercises. Runs in a minute.*

**You'll do:** write [attention](glossary.md#attention) as two loops and as three lines; see which patches a patch of a
clip attends to; derive the gradient and check it; compute a softmax without holding all of its scores at once; measure
the memory that this saves.

**You'll learn:** what [queries, keys and values](glossary.md#query-key-and-value) are; why scores are divided by the
root of the width; how [online softmax](glossary.md#online-softmax) works, the idea behind
[FlashAttention](references.md#dao-2022); why the backward pass computes the weights a second time, and what is gained
by it.

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

A dictionary compares a query with its keys and returns the value of the key that is equal. Attention returns a weighted
sum of *all* values. The weight of a value depends on how well its key fits the query. A dot product of query and key,
the *score*, measures this. [Softmax](glossary.md#softmax) turns all scores of a query into weights that add up to 1:

$$o_i = \sum_j w_{ij}\, v_j, \qquad
w_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt d)}{\sum_l \exp(q_i \cdot k_l / \sqrt d)}.$$

Here $q_i$ is query $i$ and $o_i$ is its output. $k_j$ and $v_j$ are key and value $j$, and $d$ is the width of queries
and keys. The simple loop takes `q` (Nq, d), `k` (Nk, d) and `v` (Nk, dv):
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
Vectorised, the loops become two matrix products with a softmax between them.
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
Now we apply attention to a clip, without any training. We cut a moving digit into patches of 4x4 pixels. Each patch is
query, key and value at once. (Queries and keys are doubled, so that the weights differ more.) So a patch of the digit
in one frame gives large weights to patches like itself. We say that a query *looks at* keys with large weights.

**What to look at.** Find the brightest cell in each frame. Does it follow the digit? In which frames is it bright, and
in which is it dark?
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
The patch finds itself two frames before and two frames after, since the digit moves by about a whole patch in two
frames. In the frames between, the edges of the patches cut the same stroke at another place. Then no patch is quite
like it. So raw pixels are poor keys.

In a transformer, each patch becomes a vector, called a *token* ([chapter 6](06_patches_and_positions.ipynb)). Queries,
keys and values are three learnt linear maps of the tokens. So the network learns which tokens are alike: those with the
same stroke, those of the same digit, or whatever lowers the loss.

## Why divide by the root of the width

Large networks compute several attentions side by side, called [heads](glossary.md#head). **Claim.** Without the factor
$1/\sqrt d$, each query of a wide head looks at nearly one key only.

A dot product is a sum of $d$ products. If the entries are independent, with mean 0 and variance 1, each product has
mean 0 and the variance $\mathrm{E}[q_n^2]\,\mathrm{E}[k_n^2] = 1$. The variances add up:

$$\mathrm{Var}(q \cdot k) = \sum_{n=1}^{d} \mathrm{Var}(q_n k_n) = d, \qquad \mathrm{Var}\big(q \cdot k / \sqrt d\big) = 1.$$

So without the division the scores grow with the width. Softmax of large scores gives nearly all weight to the largest
one. Its gradient is then nearly 0, and the network learns hardly anything. With the division, scores have variance 1 at
any width.
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

Write $S = q k^T \cdot \text{scale}$ with $\text{scale} = 1/\sqrt d$, then $P = \text{softmax}(S)$ and $O = P v$. Write
$dX$ for the gradient that belongs to $X$ ([chapter 1](01_autograd.ipynb) wrote it with a bar). We go backwards through
the three steps. $S$ and $O$ are matrix products. The pullback of a product multiplies by the other factor, transposed.
Between them is softmax, row by row. Chapter 1 derived its pullback, $\bar s_j = w_j\,(\bar w_j - \sum_i \bar w_i w_i)$.
Together:

$$dP = dO\, v^T, \quad dv = P^T dO, \quad dS = P \circ (dP - \text{rowsum}(dP \circ P)),$$
$$dq = dS\, k \cdot \text{scale}, \quad dk = dS^T q \cdot \text{scale}$$

Here $\circ$ multiplies entry by entry, and rowsum adds up each row. The engine finds these gradients by itself if we
write attention with its operations. The library's `simple_attention` is one operation with these formulas as its
pullback. Both must give the same gradients, and `simple_attention` must pass a [gradient
check](glossary.md#gradient-check).
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
The term $\text{rowsum}(dP \circ P)$, one number for each query, seems to need the whole of $P$. But there is another
way to compute it. Since $dP_{ij} = dO_i \cdot v_j$ and $O_i = \sum_j P_{ij} v_j$,

$$\sum_j dP_{ij}\, P_{ij} = dO_i \cdot \sum_j P_{ij}\, v_j = dO_i \cdot O_i,$$

which needs only the output and its gradient. The tiled form below uses this.
"""

# %%
q, k, v = arrays
output, weights = attention_by_products(q, k, v)
assert np.allclose(((cotangent @ v.T) * weights).sum(axis=1), (cotangent * output).sum(axis=1))

# %% [markdown]
r"""
## The trouble: N times N

`scores` has an entry for each pair of tokens. For $N$ tokens these are $N^2$ entries of 4 bytes, for each head of each
clip. A clip with twice the frames has four times the scores. (Some articles say that this cost grows *exponentially*.
But $N^2$ is *quadratic* growth. If it grew exponentially, each additional frame would multiply the cost by the same
factor.)
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
The last line is a clip of 49 frames of 480x720 pixels, as [CogVideoX](references.md#yang-2024) cuts it into tokens.
Each layer of CogVideoX has dozens of heads. But the output of a head is only (N, d). Do we need all scores at once?

## Softmax without seeing all scores

**Claim.** Attention can be computed key by key. For each query one needs to remember only two numbers and one row.

There is one difficulty. `exp` of a large score overflows, so one subtracts the largest score first. But the largest
score is known only after all keys. The solution is to subtract the largest score *so far*, and to correct the sums when
a larger one comes. After some keys, let $m$ be their largest score, $l$ the sum of $e^{s_j - m}$, and the row $o$ the
sum of $e^{s_j - m}\, v_j$. A new key has the score $s$ and the value $v$. Then

$$m' = \max(m, s), \qquad l' = e^{m - m'}\, l + e^{s - m'}, \qquad o' = e^{m - m'}\, o + e^{s - m'}\, v.$$

The factor $e^{m-m'}$ turns every old term $e^{s_j-m}$ into $e^{s_j-m'}$. After the last key, the output is $o / l$. In
the code, $m$, $l$ and $o$ are `top`, `total` and `out`:
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
At each dotted line a new maximum comes. The old sum shrinks, since its terms are now relative to the new maximum. The
new key adds 1. So the sum falls only where it loses more than 1.

Vectorised, the loop takes all queries together, and a group of keys at a time, called a *tile*. Nothing else changes.
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

The pullback needs the weights $P$, but we haven't kept them. **Claim.** With two numbers for each query, $m$ and $l$,
we can compute any tile of $P$ again:

$$P_{ij} = e^{S_{ij} - m_i} / l_i,$$

with $S$ computed again from `q` and `k`. We also use that $\text{rowsum}(dP \circ P)$ is $\text{rowsum}(dO \circ O)$,
as shown above.
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
The library's `ag.attention` consists of these two loops. It also has tiles of queries, computes many heads and clips at
once, and allows masks (see below). Its tests compare it with `simple_attention`.

## Measured

**Claim.** With tiles, memory grows with $N$ instead of $N^2$, and the time grows little or not at all. The backward
pass has one matrix product more (5 instead of 4). But tiles stay in the processor's cache, which saves time.

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
On the machine of these outputs the tiled form is even faster. But in both forms the number of operations still grows
with $N^2$. A clip twice as long is four times the work. Tiling makes long clips *possible*, not cheap. [Attention
patterns](glossary.md#attention-pattern) make them cheaper, since not every token looks at every other one ([chapter
12](12_the_bill.ipynb)).

## Who may look at whom

A [mask](glossary.md#mask) says which keys a query may look at. One rule gives all masks of this project: key $j$ is
visible to query $i$ if `key_time[j] <= query_time[i]`. If the times are frame numbers, attention is
[causal](glossary.md#causal): no frame sees a later one. [Padding](glossary.md#padding), tokens that only fill up an
array, gets a time later than all others, so no query sees it.
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

**1. Grouped queries.** To save memory, large models have fewer heads of keys and values than heads of queries. `q` is
(h, Nq, d), `k` (g, Nk, d) and `v` (g, Nk, dv), where g divides h. The first h/g heads of queries look at head 0 of keys
and values, the next h/g at head 1, and so on. Return the output (h, Nq, dv). Scores of several thousand must not cause
an overflow.
"""


# %%
def grouped_attention(q, k, v):
    pass  # fill me in, about 6 lines


check.ch05_attention(grouped_attention)

# %% [markdown]
r"""
**2. A pullback with a bias.** Some models add a learnt `bias` (Nq, Nk) to the scores: $S = q k^\top / \sqrt d +
\text{bias}$. Given the gradient `grad` (Nq, dv) of the output, return the gradients of q, k, v and the bias.
"""


# %%
def attention_pullback(q, k, v, bias, grad):
    pass  # fill me in, about 6 lines


check.ch05_pullback(attention_pullback)

# %% [markdown]
r"""
**3. Bring parts together.** The keys and values were split over several machines. Each machine returned three arrays:
for each query the largest score `top` (Nq, 1), the sum `total` of `exp(score - top)` (Nq, 1), and the sum `out` of
`exp(score - top) * value` (Nq, dv), which isn't divided by `total`. `parts` is the list of these triples. Return the
triple that one machine with all keys would return. A machine without keys returned -inf for `top` and zeros for the
other two.
"""


# %%
def merge(parts):
    pass  # fill me in, about 5 lines


check.ch05_merge(merge)

# %% [markdown]
r"""
**4. A mask with a window.** A query sees its own frame and the `window` - 1 frames before it. In addition, all queries
see frame 0. `query_time` (Nq,) and `key_time` (Nk,) are frame numbers. Return a boolean array (Nq, Nk) that is True
where the query sees the key.
"""


# %%
def visible_to(query_time, key_time, window):
    pass  # fill me in, about 2 lines


check.ch05_visible(visible_to)

# %% [markdown]
r"""
**5. Break it: forget to shrink.** Remove `* shrink` from both lines of `online_attention`. For some inputs the result
is still right. For which? Make one input with a right result and one with a wrong result. What follows for tests of
such code?

**6. Open.** Which `tile` is fastest for `tiled_attention` on your machine? Measure several tile sizes, each with
several widths d. Why are very small tiles slow, and why are very large ones?

## In practice

- **FlashAttention** does this on a GPU, with tiles in the fast memory next to the arithmetic units ([Dao et al.
  2022](references.md#dao-2022)). There, tiles save time as well as memory, since reading and writing the scores takes
  longer than computing them. The folder `kernels/` has hand-written CUDA kernels, from the simplest form to the
  fastest.
- **Online softmax** is older ([Milakov and Gimelshein 2018](references.md#milakov-2018)). [Rabe and Staats
  2021](references.md#rabe-2021) noted that attention doesn't need quadratic memory.
- **Several machines** can each hold a part of the keys, and bring their results together as in exercise 3. This is
  called *ring attention* ([Liu et al. 2023](references.md#liu-2023), and [chapter 17](17_beyond_one_machine.ipynb)).
- **Scores that grow.** Some large models normalise queries and keys before the product, so that the scores have a bound
  ([Dehghani et al. 2023](references.md#dehghani-2023)). This project does so, too. Since the bound is known, its tiled
  form then needs no running maximum.

## Further reading

- [Vaswani et al. 2017](references.md#vaswani-2017), where scaled dot-product attention comes from.
- Here: `minivdit/autograd/attend.py`, the simple and the tiled form side by side; `kernels/README.md`, about the CUDA
  kernels.

Next: [chapter 6](06_patches_and_positions.ipynb), space-time patches and positions.
"""
