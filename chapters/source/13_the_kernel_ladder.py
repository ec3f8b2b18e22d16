# %% [markdown]
r"""
# 13. The kernel ladder: attention on a CPU and on a GPU, rung by rung

*About 100 minutes with the exercises. Runs in three quarters of a minute, most of it for compiling.*

**You'll do:** make attention several times faster on one core. Run the project's own CUDA kernels on your CPU, thread by
thread, and count what they read. Plant a bug and see it caught. Find bank conflicts from a kernel's real addresses. Work
out for three GPUs what limits each rung.

**You'll learn:** why the plain way of computing attention waits for memory. What [arithmetic
intensity](glossary.md#arithmetic-intensity) and a [roofline](glossary.md#roofline) are. How tiles, registers, tensor
cores, swizzles and asynchronous copies each remove one reason for being slow.

**You need:** [chapter 5](05_attention.ipynb) (online softmax), Numba (`pip install 'minivdit[fast]'`), and a C++
compiler (`g++`). You need no GPU. The last section times the kernels on a GPU if there is one, and says "not measured"
if there is none.

![Registers, shared memory, cache and global memory, with their sizes](pictures/13.svg)
"""

# %%
import itertools
import math
import re
import time
from collections import Counter

import matplotlib.pyplot as plt
import numba
import numpy as np

from minivdit import autograd as ag
from minivdit.autograd.compiled.scalars import exp, larger
from minivdit.base import backend
from minivdit.base.backend import gpu_problem
from minivdit.kernels import attention, source, whole_source
from minivdit.kernels.catalogue import FILES
from minivdit.kernels.compile import SHARED_BYTES
from minivdit.kernels.emulate import Emulation, EmulationError
from minivdit.lab.benchmarks import kernel_attention_check as example
from minivdit.lab.lessons import check

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)


# %% [markdown]
r"""
## First on a CPU

For each query $i$, attention computes all scores, their softmax, and the average of the values:

$$o_i = \sum_j \frac{e^{q_i \cdot k_j}}{\sum_l e^{q_i \cdot k_l}}\, v_j.$$

($q$ is divided by $\sqrt{d}$ beforehand, where $d$ is the width of the head.) Here is this formula as a loop, for one head.
[Numba](https://numba.pydata.org) turns the Python loop into machine code.
"""

# %%
TOKENS, WIDTH = 2048, 32
q, k, v = np.random.default_rng(1).standard_normal((3, TOKENS, WIDTH), dtype=np.float32)
q /= np.sqrt(np.float32(WIDTH))
times = {}


def measure(name, function):
    """Milliseconds on one core, the best of five, and whether the result is right."""
    scores = np.exp(q @ k.T)
    expected, out = scores / scores.sum(axis=1, keepdims=True) @ v, np.empty_like(q)
    function(q, k, v, out)  # the first call compiles
    seconds = []
    with backend.blas_threads(1):
        for _ in range(5):
            started = time.thread_time()
            function(q, k, v, out)
            seconds.append(time.thread_time() - started)
    assert abs(out - expected).max() < 1e-5
    times[name] = 1000 * min(seconds)
    print(f"{name:12}{times[name]:7.1f} ms")


@numba.njit
def loop(q, k, v, out):
    weights = np.empty(len(k), q.dtype)
    for i in range(len(q)):
        highest = -np.inf
        for j in range(len(k)):
            score = np.float32(0)
            for c in range(q.shape[1]):
                score += q[i, c] * k[j, c]
            weights[j] = score
            highest = max(highest, score)
        total = np.float32(0)
        out[i] = 0
        for j in range(len(k)):
            weights[j] = math.exp(weights[j] - highest)
            total += weights[j]
            for c in range(v.shape[1]):
                out[i, c] += weights[j] * v[j, c]
        for c in range(v.shape[1]):
            out[i, c] /= total


measure("loop", loop)

# %% [markdown]
r"""
**Products.** In the loop, every score reads a whole row of the keys again. A library for matrix products (BLAS) keeps
pieces of both matrices in registers, so that each number it reads serves many multiply-adds. Numba hands `np.dot` to
such a library. `FAST` lets the compiler add numbers in another order than the code says. Then it can work on 8 or 16 of
them at a time.
"""

# %%
FAST = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}


@numba.njit(**FAST)
def products(q, k, v, out):
    scores = np.dot(q, k.T)  # all N x N of them
    for i in range(len(q)):
        highest = scores[i, 0]
        for j in range(1, len(k)):
            highest = max(highest, scores[i, j])
        total = np.float32(0)
        for j in range(len(k)):
            scores[i, j] = math.exp(scores[i, j] - highest)
            total += scores[i, j]
        for j in range(len(k)):
            scores[i, j] /= total
    np.dot(scores, v, out)


measure("products", products)

# %% [markdown]
r"""
**Fused.** The scores take 16 MB. They are written to memory and read again, three times. With [tiles](glossary.md#tile) of
128 x 128 scores and the online softmax of [chapter 5](05_attention.ipynb) they never leave the cache. Keep a running maximum
$m$, sum $l$ and output $o$. A tile with scores $s_j$ and values $v_j$ changes them to

$$m' = \max\bigl(m, \max_j s_j\bigr), \qquad l' = e^{m - m'} l + \sum_j e^{s_j - m'}, \qquad o' = e^{m - m'} o + \sum_j e^{s_j - m'} v_j.$$

The factor $e^{m - m'}$ is `shrink` in the code. At the end the output is $o / l$.
"""

# %%
TILE = 128


def fused_with(exp):
    """The fused loop with this exponential."""

    @numba.njit(**FAST)
    def fused(q, k, v, out):
        k_tiles = np.ascontiguousarray(k.reshape(-1, TILE, q.shape[1]).transpose(0, 2, 1))
        scores, share = np.empty((TILE, TILE), q.dtype), np.empty((TILE, v.shape[1]), q.dtype)
        highest, total = np.empty(TILE, q.dtype), np.empty(TILE, q.dtype)
        for first in range(0, len(q), TILE):
            rows = out[first : first + TILE]
            rows[:], highest[:], total[:] = 0, -1e30, 0
            for tile in range(len(k_tiles)):
                np.dot(q[first : first + TILE], k_tiles[tile], scores)
                for i in range(TILE):
                    higher = highest[i]
                    for j in range(TILE):
                        higher = larger(higher, scores[i, j])
                    shrink = exp(highest[i] - higher)
                    subtotal = np.float32(0)
                    for j in range(TILE):
                        scores[i, j] = exp(scores[i, j] - higher)
                        subtotal += scores[i, j]
                    highest[i], total[i] = higher, total[i] * shrink + subtotal
                    for c in range(v.shape[1]):
                        rows[i, c] *= shrink
                np.dot(scores, v[tile * TILE : (tile + 1) * TILE], share)
                for i in range(TILE):
                    for c in range(v.shape[1]):
                        rows[i, c] += share[i, c]
            for i in range(TILE):
                for c in range(v.shape[1]):
                    rows[i, c] /= total[i]

    return fused


measure("fused", fused_with(math.exp))

# %% [markdown]
r"""
**A vectorised exponential.** Most of the time that is left goes into `math.exp`, which is called for each score. There
is a faster way. Let $n$ be $x / \ln 2$, rounded to a whole number, and let $r = x - n \ln 2$ be the small rest. Then

$$e^x = 2^n\, e^r.$$

For so small an $r$ a polynomial of degree 7 is exact to the last bit. And $2^n$ needs no power function: 8 bits of a
float hold its exponent, and $n$ is added to these bits. So `exp` in `minivdit/autograd/compiled/scalars.py` has only
sums, products and shifts. A compiler does these for 8 or 16 scores at a time.
"""

# %%
measure("exponential", fused_with(exp))


def in_minivdit(kernels):
    """The project's attention, NumPy's or the compiled one, as `measure` calls it."""

    def attention(q, k, v, out):
        backend.use("cpu", kernels=kernels)
        out[:] = ag.attention(q[None], k[None], v[None], scale=1.0).data[0]
        backend.use("cpu")

    return attention


measure("NumPy", in_minivdit(kernels=False))
measure("minivdit", in_minivdit(kernels=True))
flops = 4 * TOKENS**2 * WIDTH
print(f"{flops / times['exponential'] / 1e6:.0f} GFLOP/s; each rung is faster than the last by", end=" ")
rungs = [times[name] for name in ("loop", "products", "fused", "exponential")]
print(", ".join(f"{slow / fast:.1f}" for slow, fast in itertools.pairwise(rungs)))
assert rungs[0] > 4 * rungs[3] and rungs[2] > rungs[3]

# %% [markdown]
r"""
On a CPU, minivdit uses the last rung (`minivdit/autograd/compiled/attention_loops.py`). There the same loop also
handles masks, normalises and rotates queries and keys, and has a backward pass. The NumPy version uses tiles, too, but
it makes a separate NumPy call for each pass over a tile.

A plain kernel on a GPU is slow for the same reasons. It reads numbers too often, from too slow a memory, and it writes
all scores to that memory. The first rungs on a GPU remove these reasons. The later rungs do by hand what a CPU does by
itself, such as fetching numbers before they are needed. Here is the whole ladder of [kernels](glossary.md#kernel):
"""

# %%
LADDER = [name for name in FILES if name.startswith("attention_forward")]
for name in LADDER:
    idea = re.search(r"rung \w+: (.*?)\.\n", source(name)).group(1)
    print(f"{name:34}{idea}")

# %% [markdown]
r"""
## A GPU in four numbers

A GPU has dozens of [multiprocessors](glossary.md#multiprocessor). Each runs *blocks* of threads. In a block, 32 threads
at a time (a [warp](glossary.md#warp)) run in step. The threads of a block share a small fast memory, the [shared
memory](glossary.md#shared-memory). The large [global memory](glossary.md#global-memory) is far away and slow. Here are
three GPUs with the peak rates of their data sheets. No program quite reaches these rates.

| | 16-bit tensor cores | fp32 | global memory | multiprocessors |
|---|---|---|---|---|
| T4 (2018, sm_75) | 65 TFLOP/s | 8.1 TFLOP/s | 320 GB/s | 40 |
| A100, 40 GB (2020, sm_80) | 312 | 19.5 | 1,555 | 108 |
| H100 SXM (2022, sm_90) | 989 | 67 | 3,350 | 132 |

How many FLOPs can be done while one byte arrives? We divide rates by bandwidth.
"""

# %%
GPUS = {  # peak FLOP/s of 16-bit tensor cores and of fp32, and bytes a second of global memory
    "T4": (65e12, 8.1e12, 320e9),
    "A100": (312e12, 19.5e12, 1555e9),
    "H100": (989e12, 67e12, 3350e9),
}
for name, (tensor, plain, bandwidth) in GPUS.items():
    print(f"{name:5} {tensor / bandwidth:4.0f} FLOPs a byte keep the tensor cores busy, {plain / bandwidth:3.0f} fp32")

# %% [markdown]
r"""
A program that does fewer FLOPs for each byte than these numbers waits for memory, however fast the arithmetic is. The
number of FLOPs that a program does for each byte that it moves is its *arithmetic intensity* $I$. With the peak rate
$F$ and the bandwidth $B$ of the GPU, the *roofline* ([Williams et al. 2009](references.md#williams-2009)) is

$$\text{FLOP/s} \le \min(F,\ I B).$$

This is an upper bound. A program can be slower for many other reasons, and each rung removes one.

## Rung 1: as the formula is written

Rung 1 has three kernels: scores, softmax, weights times values. In the first, each thread computes one score. This is
its source:
"""

# %%
naive = source("attention_forward_1_naive")
start = naive.index("template <int WIDTH>")
print(naive[start : naive.index("\n}", start) + 2])

# %% [markdown]
r"""
`Emulation` runs the kernel without a GPU. It compiles the same file with `g++`, with a header that defines CUDA's words
for a CPU. The threads take turns on the CPU, and wait for each other where the kernel says so. The result must agree
with attention in float64:
"""


# %%
def close(errors):
    return all(error.largest <= max(1e-4 * max(1, error.size), 2 * error.plain) for error in errors.values())


runner = Emulation(traced_threads=2)
errors = example.errors("attention_forward_1_naive", 3, 4, 32, None, 0, runner, heads=1)
print("\n".join(runner.trace))
print({name: f"{error.largest:.1e}" for name, error in errors.items()})
assert close(errors)

# %% [markdown]
r"""
The trace shows what two threads of each kernel did, for 3 queries and 4 keys. Now let them report what they *read*. The
emulation compiles any text that we give it. So to each read in the source we add a note that says how many bytes are
read. Then we run the kernel and add up the notes.
"""


# %%
def listening(name, reads):
    """The source of a kernel in which each of these expressions leaves a line in the trace: {expression: words}."""
    text = whole_source(name)
    for expression, words in reads.items():
        assert expression in text, expression
        text = text.replace(expression, f"(TRACE({words}), {expression})")
    return text


def counted(name, reads, tokens, width=32, threads=128):
    """Bytes that block 0 of each of the kernel's functions asks for: {function: (blocks, {'global': bytes, ...})}."""
    runner = Emulation(traced_threads=threads, sources={name: listening(name, reads)})
    assert close(example.errors(name, tokens, tokens, width, None, 0, runner, heads=1))  # listening changes nothing
    found = {}
    for line in runner.trace:
        if line.startswith("===="):
            function, blocks = re.match(r"==== (\w+)\S*: (\d+) blocks", line).groups()
            of_block_0 = Counter()
            found[function.removeprefix(f"{name}_")] = int(blocks), of_block_0
        for memory, bytes_read in re.findall(r"(global|shared) (\d+)", line):
            of_block_0[memory] += int(bytes_read)
    return found


N, d = 128, 32
reads_of_rung_1 = ("q[channel]", "k[channel]", "scores[key]", "weights[key]", "v[key * a.v.token]")
naive_reads = {expression: '"global 4"' for expression in reads_of_rung_1}
by_function = counted("attention_forward_1_naive", naive_reads, N)
asked = {function: blocks * read["global"] for function, (blocks, read) in by_function.items()}
print(asked)
assert asked["scores"] == asked["output"] == 4 * 2 * N**2 * d  # two numbers for each multiply-add
assert asked["softmax"] == 4 * 4 * N**2  # each score: for the maximum, for the sum, read and written as a weight

flops = 4 * N**2 * d
print(f"{flops / sum(asked.values()):.2f} FLOPs for each byte asked for")

# %% [markdown]
r"""
**Claim.** Rung 1 asks for about four bytes for every FLOP. Caches serve a part of these requests, since neighbouring
threads ask for the same numbers at the same time. But even if each number came from memory only once, the N² scores
cost too much. They are written, read for the maximum, read for the sum, written as weights, and read once more. These
are 20 bytes for each score, and a score and its share of the output take 4 d FLOPs. So

$$I \le \frac{4 d}{20} = \frac{d}{5} \text{ FLOPs a byte},$$

far below what the tensor cores in the table need. And all scores have to fit into memory.

## Rung 2: online softmax, one thread a query

This rung is the online softmax as a kernel. A thread keeps a running maximum, a sum and its row of the output in
registers, so no score ever reaches memory. The 64 threads of a block look at the same keys. Together they fetch a tile
of keys and values into shared memory. Each thread waits at a *barrier* until all threads have reached it. Then they
read the tile in shared memory. This is what the first thread does:
"""

# %%
runner = Emulation(traced_threads=1)
errors = example.errors("attention_forward_2_online", 6, 5, 32, None, 3, runner, heads=1)
print("\n".join(line.replace("thread 0   ", "") for line in runner.trace))
assert close(errors)

# %% [markdown]
r"""
There are two barriers for each tile. After the first, all threads have read the tile before, so it may be overwritten.
After the second, all threads have written their part of the new tile, so it may be read.

**Claim.** A block of $R$ queries asks global memory for about $R$ times fewer bytes than $R$ separate threads would.
Each block reads its own queries once, and all keys and values once. For $N$ tokens, width $d$ and $b$ bytes a number,
all blocks together ask for

$$b\, d\, \bigl(N + 2 \lceil N / R \rceil N\bigr) \text{ bytes}.$$

First the simple loop, then this formula:
"""


# %%
def bytes_read_by_loop(tokens, width, own, bytes_each):
    total = 0
    for first in range(0, tokens, own):  # a block for each tile of queries
        total += min(own, tokens - first) * width * bytes_each
        for _ in range(tokens):  # every key, every value
            total += 2 * width * bytes_each
    return total


def bytes_read(tokens, width, own, bytes_each):
    blocks = -(-tokens // own)
    return bytes_each * width * (tokens + 2 * blocks * tokens)


for tokens, width, own in ((128, 32, 64), (1000, 64, 128), (65, 32, 64)):
    assert bytes_read(tokens, width, own, 4) == bytes_read_by_loop(tokens, width, own, 4)

row = "row(work.batch, work.head, first + key)[channel]"
online_reads = {
    f"a.k.{row}": '"global 4"',
    f"a.v.{row}": '"global 4"',
    "a.q.row(work.batch, work.head, query)[channel]": '"global 4"',
    "shared.q[channel][thread] * shared.k[key][channel]": '"shared 4, shared 4"',
    "weight * shared.v[key][channel]": '"shared 4"',
}
((blocks, read),) = counted("attention_forward_2_online", online_reads, N, threads=64).values()
online_shared = blocks * read["shared"]
print(f"asked of global memory: {blocks * read['global']:,} bytes, rung 1: {sum(asked.values()):,}")
assert blocks * read["global"] == bytes_read(N, d, attention.ONLINE_TILES[d][0], 4)
print(f"of shared memory: {online_shared:,} bytes, {flops / online_shared:.2f} FLOPs a byte")

# %% [markdown]
r"""
Now shared memory is the bottleneck: every multiply-add takes one or two numbers from it. Rung 3 will change that.

But first, are the barriers needed? Take one away. On a GPU most runs would still be right, because warps usually keep
pace with each other. So such a bug can stay hidden for a long time. The emulation makes it visible: one warp runs ahead
as far as the barriers let it, and shared memory is full of NaN at first.
"""

# %%
barrier = "__syncthreads(); // all have written this one"
text = whole_source("attention_forward_2_online")
assert text.count(barrier) == 1
runner = Emulation(sources={"attention_forward_2_online": text.replace(barrier, "")})
try:
    errors = example.errors("attention_forward_2_online", 70, 50, 32, None, 0, runner, heads=1)
    caught = not close(errors)
    print("largest error of the output:", errors["out"].largest)
except EmulationError as error:
    caught = True
    print(error)
assert caught

# %% [markdown]
r"""
## Rung 3: tiles in registers

A thread now computes a tile of 8 rows by 4 columns of scores instead of one score. For each channel it reads 8 + 4
numbers and does 32 multiply-adds.

**Claim.** A tile of $R$ rows by $C$ columns in registers needs

$$\frac{R + C}{R\, C}$$

reads for each multiply-add. A single score needs 2.
"""

# %%
tile_reads = {
    "four(&b[my_column(j)][channel])": '"shared 16"',
    "four(&a[my_row(i)][channel])": '"shared 16"',
    "four(&weights[my_row(i)][depth])": '"shared 16"',
    "b[depth + d][my_column(j)]": '"shared 4"',
    "four(rows.row(work.batch, work.head, first + row) + column)": '"global 16"',
}
((blocks, read),) = counted("attention_forward_3_tiles", tile_reads, N).values()
assert blocks * read["global"] == bytes_read(N, d, attention.FORWARD_TILES[d][0], 4)
tiles_shared = blocks * read["shared"]

R, C, columns = 64 // 8, 64 // 16, d // 16  # rows and columns a thread: of the scores; of the output
expected = 4 * (flops / 4) * ((R + C) / (R * C) + (R + columns) / (R * columns))
print(f"of shared memory: rung 2 {online_shared:,} bytes, rung 3 {tiles_shared:,}, by the claim {expected:,.0f}")
assert tiles_shared == expected

figure, axes = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
labels = ["rung 1", "rung 2", "rung 3"]
values = np.array(
    [
        [sum(asked.values()), bytes_read(N, d, 64, 4), bytes_read(N, d, 64, 4)],
        [0, online_shared, tiles_shared],
    ]
)
for offset, numbers, name, hatch in zip((-0.2, 0.2), values / flops, ("global memory", "shared memory"), ("", "//")):
    bars = axes.barh(np.arange(3) + offset, numbers, 0.4, label=name, hatch=hatch)
    axes.bar_label(bars, [f"{number:.2f}" for number in numbers], padding=3, fontsize=8)
axes.set_yticks(range(3), labels)
axes.invert_yaxis()
axes.set(xlabel="bytes asked for each FLOP (counted)", title=f"{N} tokens, head width {d}", xlim=(0, 5))
axes.legend()
plt.show()

# %% [markdown]
r"""
## Rung 4: tensor cores

A [tensor core](glossary.md#tensor-core) multiplies whole small matrices. The instruction `mma.sync` multiplies 16 x 16 by
16 x 8 numbers of 16 bits, which are spread over the registers of a warp, and adds in float32. Scores become weights in
registers and never go to shared memory.

16-bit numbers are coarse. So this project compares a kernel with plain arithmetic in the same 16-bit format. The
kernel's error against float64 may be at most twice the error of plain arithmetic. (NumPy has no bfloat16.
`kernels/formats.py` makes its bits by hand.)
"""

# %%
for dtype in ("float16", "bfloat16"):
    errors = example.errors(
        "attention_forward_4_tensor_cores", 65, 65, 64, None, 0, Emulation(), heads=1, dtype=dtype, steepness=4
    )
    print(f"{dtype:9} kernel {errors['out'].largest:.1e}, plain arithmetic {errors['out'].plain:.1e}")
    assert close(errors)

# %% [markdown]
r"""
## Rung 5: banks and swizzles

Shared memory has 32 *banks*. Word $w$ (4 bytes) is in bank $w \bmod 32$. In one turn each bank delivers one word, to
all threads that want this word. If threads want different words of one bank, they wait for each other: a [bank
conflict](glossary.md#bank-conflict).

A row of 64 numbers of 16 bits is 128 bytes. It fills all 32 banks exactly once. The instruction `ldmatrix`, which feeds
the tensor cores, reads 8 pieces of 16 bytes at a time, from the same columns of 8 *consecutive rows*. So all 8 pieces
begin at the same bank. Rung 4 pads each row, so that the next one begins at another bank. Rung 5
[swizzles](glossary.md#swizzle): it stores piece $p$ of row $r$ at place $p \oplus (r \bmod 8)$, written `p ^ (r % 8)`.
That costs no memory.

The emulation has no banks. But its *addresses* are those of the real kernel, and from these we can count the turns
ourselves.
"""


# %%
def turns(addresses, bytes_each):
    """How many turns shared memory takes for pieces of so many bytes at these addresses (in bytes)."""
    words = {address // 4 + i for address in addresses for i in range(bytes_each // 4)}
    return max(Counter(word % 32 for word in words).values())


PIECE = "tile.piece(row + my_lane() / 16 * 8 + my_lane() % 8, 2 * step + my_lane() / 8 % 2)"  # what ldmatrix reads


def addresses_of(name, edit=lambda text: text):
    """(calls, 8): addresses of the 8 pieces that ldmatrix reads at a time, as warp 0 asks for keys."""
    text = edit(listening(name, {PIECE: f'"ldmatrix at %u", address_in_shared({PIECE})'}))
    runner = Emulation(traced_threads=32, sources={name: text})
    assert close(example.errors(name, 64, 64, 64, None, 0, runner, heads=1))  # wherever pieces lie, the result is right
    by_thread = [[] for _ in range(32)]
    for thread, address in re.findall(r"thread (\d+) .*ldmatrix at (\d+)", "\n".join(runner.trace)):
        by_thread[int(thread)].append(int(address))
    return np.array(by_thread).T.reshape(-1, 8)  # lanes 0 to 7 bring the rows of the first small matrix, and so on


unswizzled = lambda text: text.replace("(piece % 8 ^ turn)", "(piece % 8)")
layouts = {
    "as it comes": addresses_of("attention_forward_5_swizzled", unswizzled),
    "padded (rung 4)": addresses_of("attention_forward_4_tensor_cores"),
    "swizzled (rung 5)": addresses_of("attention_forward_5_swizzled"),
}
figure, panels = plt.subplots(1, 3, figsize=(9.5, 2.7), layout="constrained", sharey=True)
for axes, (name, calls) in zip(panels, layouts.items()):
    needed = [turns(call, 16) for call in calls]
    grid = np.zeros((8, 32))
    for piece, address in enumerate(calls[-1]):
        grid[piece, address // 4 % 32 : address // 4 % 32 + 4] = 1
    axes.imshow(grid, cmap="cividis", aspect="auto", vmin=0, vmax=1)
    axes.set(title=f"{name}: turns: {max(needed)}", xlabel="bank", xticks=(0, 8, 16, 24, 31))
    print(f"{name:18} {len(calls)} reads of 8 pieces, turns each: {sorted(set(needed))}")
panels[0].set_ylabel("piece")
figure.suptitle("which banks the 8 pieces of one read lie in (yellow)", fontsize=10)
plt.show()
assert {turns(call, 16) for call in layouts["as it comes"]} == {8}
assert {turns(call, 16) for call in layouts["padded (rung 4)"]} == {1}
assert {turns(call, 16) for call in layouts["swizzled (rung 5)"]} == {1}

# %% [markdown]
r"""
The results of all three are the same. On a GPU only the time differs: eight turns for each read instead of one.

## Rung 6: copies that don't wait

In rungs 4 and 5 all threads load a tile, and then all multiply. The instruction `cp.async` starts a copy, and the
thread goes on at once. With two buffers, the next tile arrives while this one is multiplied. Now the program must say
where it waits for a copy. If it reads before the copy is complete, it gets old numbers. A GPU doesn't promise when a
copy lands, so the emulation runs both extremes: as late as the waits allow, and at once.
"""

# %%
late, at_once = (
    example.errors("attention_forward_6_async", 200, 200, 64, None, 0, Emulation(copies_land_late=late), heads=1)
    for late in (True, False)
)
assert close(late) and close(at_once) and late == at_once
print("the same errors to the last bit:", late == at_once)


def timeline(tiles, load, multiply, overlapped):
    """When each tile's loading and multiplying begin, and when all is done; a model, in arbitrary units."""
    loads, products, free = [0.0], [], 0.0
    for tile in range(tiles):
        products.append(max(loads[tile] + load, free))
        free = products[tile] + multiply
        loads.append(products[tile] if overlapped else free)  # of the next tile
    return loads[:tiles], products, free


figure, panels = plt.subplots(2, 1, figsize=(8, 2.6), layout="constrained", sharex=True)
for axes, overlapped in zip(panels, (False, True)):
    loads, products, end = timeline(6, 2.0, 3.0, overlapped)
    axes.broken_barh([(begin, 2.0) for begin in loads], (0, 0.8), color="C0", edgecolor="k")
    axes.broken_barh([(begin, 3.0) for begin in products], (1, 0.8), color="C1", edgecolor="k", hatch="//")
    axes.set_yticks((0.4, 1.4), ("load", "multiply"))
    axes.set_title(f"{'two buffers' if overlapped else 'one buffer'}: {end:.0f} units", fontsize=9)
    assert end == (2 + 6 * 3 if overlapped else 6 * (2 + 3))
panels[1].set_xlabel("time (a model: loading a tile takes 2 units, multiplying it 3)")
plt.show()

# %% [markdown]
r"""
With one buffer the two times add up. With two buffers, only the longer time counts after the first tile. The times in
this picture are made up; we don't know how long loading and multiplying take on a given GPU.

Rung 7 gives each warp 32 queries, so that each number it reads serves twice as many products. It also computes
exponentials while the tensor cores multiply. Rung 8 uses an instruction of the H100 with which four warps together
multiply numbers that are still in shared memory. In rung 9 some warps only load, and others only multiply. (Rung 4b is
for float32 on tensor cores: it splits each number into two of 16 bits.)

## How many blocks beside each other?

While one block waits, another block can compute, if both fit on the multiprocessor. **Claim.** With $M$ bytes of shared
memory, $T$ threads and $G$ registers on a multiprocessor, and $m$, $t$ and $g$ of them needed by a block, the number of
blocks is

$$\min\bigl(\lfloor M / m \rfloor,\ \lfloor T / t \rfloor,\ \lfloor G / g \rfloor\bigr).$$

The next cell computes the first two of these bounds, from the same descriptions of the kernels that the launcher uses.
(The compiler decides on registers. `minivdit kernels compile` prints them if NVIDIA's compiler is installed.)
"""

# %%
MULTIPROCESSORS = {"75": (64, 1024), "80": (164, 2048), "90": (228, 2048)}  # KB of shared memory; threads


def blocks_beside(file, width, architecture):
    """At most so many blocks of the file's last function on one multiprocessor, registers left out; 0: can't run."""
    if file.target(architecture) is None or file.functions[-1].shared_bytes(width) > SHARED_BYTES[architecture]:
        return 0
    kilobytes, threads = MULTIPROCESSORS[architecture]
    reserved = 1024 if int(architecture) >= 80 else 0  # of each block, by CUDA itself
    needed = file.functions[-1].shared_bytes(width) + reserved
    return min(kilobytes * 1024 // needed if needed else 10**9, threads // file.functions[-1].threads)


print(f"head width 64{'':22}{'shared memory':>14}{'threads':>9}{'sm_75':>8}{'sm_80':>8}{'sm_90':>8}")
for name in LADDER:
    function = FILES[name].functions[-1]
    found = [blocks_beside(FILES[name], 64, architecture) for architecture in MULTIPROCESSORS]
    cells = "".join(f"{blocks or '-':>8}" for blocks in found)
    print(f"{name:35}{function.shared_bytes(64):>14,}{function.threads:>9}{cells}")

assert FILES["attention_forward_5_swizzled"].functions[-1].shared_bytes(64) == 2 * 3 * 64 * 64 + 4 * 64

# %% [markdown]
r"""
(A `-` means that the rung doesn't run on that GPU.) Compare the columns of shared memory: swizzling (5) needs less than
padding (4). Two buffers (6) need more, so fewer blocks fit.

## The whole ladder under the roof

The number of queries in a block decides how many bytes a rung asks of global memory. `bytes_read` computes them; above
it agreed with what we counted in rungs 2 and 3. Each rung gets a bar with two ends. At the left end, every request goes
to memory. At the right end, the L2 cache serves all repeated requests, so that each number comes from memory once. The
truth lies between the two, because blocks that run at the same time read the same keys.
"""

# %%
OWN = {  # queries of a block, from the launcher's tables; bytes of a number
    "attention_forward_2_online": (attention.ONLINE_TILES, 4),
    "attention_forward_3_tiles": (attention.FORWARD_TILES, 4),
    "attention_forward_4_tensor_cores": (attention.HALVES_TILES, 2),
    "attention_forward_7_trimmed": (attention.TRIMMED_TILES, 2),
    "attention_forward_8_wgmma": (attention.WARPGROUP_TILES, 2),
}
tokens, width = 4096, 64
work = 4 * tokens**2 * width
intensity = {"attention_forward_1_naive": (work / (4 * (4 * tokens**2 * width + 4 * tokens**2)), width / 5)}
for name, (tiles, bytes_each) in OWN.items():
    once = 4 * tokens * width * bytes_each  # q, k, v and the output
    written = tokens * width * bytes_each
    intensity[name] = work / (bytes_read(tokens, width, tiles[width][0], bytes_each) + written), work / once

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
reach = np.logspace(-1, 4, 200)
for (name, (tensor, plain, bandwidth)), style in zip(GPUS.items(), (":", "--", "-")):
    axes.loglog(reach, np.minimum(tensor, bandwidth * reach) / 1e12, style, color="C0", label=f"{name}, tensor cores")
    axes.loglog(reach, np.minimum(plain, bandwidth * reach) / 1e12, style, color="C1", label=f"{name}, fp32")
for place, (name, (least, most)) in enumerate(intensity.items()):
    height = 0.025 * 2**place
    axes.plot([least, most], [height, height], "k-|", linewidth=1)
    axes.annotate(
        "rung " + name.split("_")[2],
        (least, height),
        (-4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=8,
    )
axes.set(xlabel="FLOPs a byte of global memory", ylabel="at most TFLOP/s", ylim=(0.015, 2000), xlim=(0.05, 1e4))
axes.set_title(
    f"{tokens:,} tokens, head width {width}; bars: no request cached ... all repeated ones cached", fontsize=10
)
axes.grid(alpha=0.3)
axes.legend(fontsize=7, loc="upper left")
plt.show()
for name, (least, most) in intensity.items():
    print(f"{name:34}{least:8.2f} to {most:8.1f} FLOPs a byte")

# %% [markdown]
r"""
How to read the figure: follow a bar up to the roof of your GPU. If it meets the slope, memory is the limit. If it meets
the flat part, arithmetic is.

- Rung 1 meets the slope of every GPU at its left end.
- Rungs 2 and 3 lie right of the corners of all three fp32 roofs. Memory no longer limits them.
- The rungs with tensor cores have a higher roof, whose corner lies further right. They reach it only if the L2 cache
  serves many requests.

The picture leaves out other limits: shared memory (the reason for rung 3), bank conflicts (5), waiting (6), exponentials
(7), and the number of instructions (8).

## Measured, if there is a GPU
"""

# %%
problem = gpu_problem()
if problem:
    print(f"no GPU here: not measured. ({problem})")
else:
    from minivdit.base import backend
    from minivdit.lab.benchmarks import gpu

    backend.use("gpu")
    for name in LADDER:
        gpu.measure_kernel(name, "S2", print)
    backend.use("cpu")

# %% [markdown]
r"""
`minivdit bench gpu` measures all rungs, forward and backward, beside PyTorch's attention. Its report names the machine and
the date. `kernels/README.md` has the table.

## Exercises

Worked solutions are in [solutions/13_the_kernel_ladder](solutions/13_the_kernel_ladder.ipynb).

**1. Backwards, a tile at a time.** The forward pass has kept its output `out` (n, dv) and, for each query, the
logarithm of the sum of the exponentials of its scores, `log_sum` (n,). The backward pass gets `grad` (n, dv), the
gradient of the output. A block has one tile of the keys and values, `k` (m, d) and `v` (m, dv), and no others. Return
the gradients of these two. Queries `q` (n, d) are scaled already. (Chapter 5 has the formula for all keys at once.
Which sums over *all* keys does it need? Where do you find them here?)
"""


# %%
def tile_gradients(q, k, v, out, log_sum, grad):
    pass  # fill me in, about 5 lines


check.ch13_backward(tile_gradients)

# %% [markdown]
r"""
**2. What a causal kernel reads.** There are `tokens` queries and as many keys, and query i may look at keys 0 to i. A
block takes `own` queries and fetches `tile` keys and values at a time. It skips a tile that none of its queries may
look at. How many bytes of q, k and v does the kernel ask of global memory for one head? (The last block and the last
tile may be shorter.)
"""


# %%
def causal_traffic(tokens, width, own, tile, bytes_each):
    pass  # fill me in, about 6 lines


check.ch13_causal(causal_traffic)

# %% [markdown]
r"""
**3. How much padding?** A row has `row` words of shared memory. A warp reads the first `piece` words (1, 2 or 4) of
each of 32 / `piece` consecutive rows. `row` is a multiple of `piece`. Some words are added to the end of every row, in
whole pieces, so that the 32 words that are read lie in 32 different banks. What is the least number of words to add?
"""


# %%
def least_padding(row, piece):
    pass  # fill me in, about 4 lines


check.ch13_padding(least_padding)

# %% [markdown]
r"""
**4. How large a tile?** For one head of `tokens` tokens, a kernel asks for the bytes of q, k and v that `bytes_read`
gives, and writes the output once. All numbers have `bytes_each` bytes. It does 4 N² d FLOPs. No cache helps. What is
the least number of queries in a block such that the roofline lets it reach `peak` FLOP/s at `bandwidth` bytes a second?
(Does the width matter?)
"""


# %%
def least_queries(tokens, width, bytes_each, peak, bandwidth):
    pass  # fill me in, about 4 lines


check.ch13_tile(least_queries)

# %% [markdown]
r"""
**5. Beside each other, for real.** How many blocks fit on one multiprocessor, if all limits count? A block has
`threads` threads (a multiple of 32) and needs `shared` bytes of shared memory. Each thread needs `registers` registers.
A warp gets its registers in portions of 256. The dict `limits` says what a multiprocessor has: 'threads', 'shared',
'registers', and the largest number of 'blocks' that it runs.
"""


# %%
def blocks_that_fit(threads, shared, registers, limits):
    pass  # fill me in, about 5 lines


check.ch13_blocks(blocks_that_fit)

# %% [markdown]
r"""
**6. Break it.** We took away rung 2's second barrier. Now take away the first, the line with
`// all have read the tile before`. Say first: which thread can overwrite what which other thread still needs? With 70
queries, from how many keys on can a test notice this? (A tile has 64 keys at width 32.) Then run the kernel with 50,
64, 65 and 200 keys. What does the test with 50 keys tell you?

**7. An open question.** A language model that writes a text has *one* query for each new word, and 10,000 keys. Which
rungs help then, and which don't? Begin with the arithmetic intensity. What can you divide among the multiprocessors, if
there is only one query?
"""

# %% [markdown]
r"""
## In practice

- **FlashAttention** ([Dao et al. 2022](references.md#dao-2022)) is rungs 2 to 4 for training, forward and backward. In
  version 2 ([Dao 2023](references.md#dao-2023)) each warp has its own queries, as in rung 4. Version 3 ([Shah et al.
  2024](references.md#shah-2024)) uses the asynchronous instructions of the H100, as rung 8 does.
- **Cloud notebooks** often offer a T4 (sm_75). Rungs 1 to 3 run on it, and rungs 4 and 5 in float16.
- **What the emulation can't show.** It finds wrong results, missing barriers and reads out of bounds. It can't say how
  fast a kernel is: only a GPU can.

## Further reading

- `kernels/README.md`, and the head of each file in `kernels/`: idea, intensity, expected limit.
- [NVIDIA's CUDA C++ programming guide](references.md#nvidia-cuda): banks, barriers, and what each architecture has.
- [Milakov and Gimelshein 2018](references.md#milakov-2018), where online softmax comes from.

Next: [chapter 14](14_every_ability.ipynb), every ability from one network.
"""
