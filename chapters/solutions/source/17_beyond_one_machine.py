# %% [markdown]
r"""
# Solutions to chapter 17

Worked answers to the exercises of [chapter 17](../17_beyond_one_machine.ipynb). Try them yourself first.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from minivdit.lab.lessons import check

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
**1. The same bits.** It doesn't matter which rank holds which shard. Put all shards in one list, in order, and add from
left to right. It would be wrong to add the shards of each rank first, because $(a \oplus b) \oplus (c \oplus d)$ can
differ from $((a \oplus b) \oplus c) \oplus d$.
"""


# %%
def part(count, rank, size):
    return slice(count * rank // size, count * (rank + 1) // size)


def slices_of_the_sum(held):
    total, *others = [shard for shards in held for shard in shards]
    for other in others:
        total = total + other
    return [total[part(len(total), rank, len(held))] for rank in range(len(held))]


check.ch17_bits(slices_of_the_sum)

# %% [markdown]
r"""
**2. The gradient of a gather.** A row was copied to all ranks, so its gradient is the sum of the gradients of all
copies. Then each rank gets its own rows, so this is a reduce-scatter. With matrices: the gather stacks $N$ copies of
the whole array, $y = (I; I; \dots; I)\,x$, and the transpose of this matrix adds them up.
"""


# %%
def gather_pullback(grads):
    total = sum(grads)
    return [total[part(len(total), rank, len(grads))] for rank in range(len(grads))]


check.ch17_gather(gather_pullback)

# %% [markdown]
r"""
**3. Heads for tokens.** Each rank receives from every rank a piece with its own heads. It joins the pieces along the
tokens, in the order of the ranks.
"""


# %%
def heads_for_tokens(parts):
    heads = [part(parts[0].shape[1], rank, len(parts)) for rank in range(len(parts))]
    return [np.concatenate([tokens[:, mine] for tokens in parts]) for mine in heads]


check.ch17_heads(heads_for_tokens)

# %% [markdown]
r"""
**4. Join finished parts.** The weight of a part is what all its exponentials add up to, $e^{\lambda_i}$. For all keys
together $\lambda = \log \sum_i e^{\lambda_i}$ and

$$o = \sum_i e^{\lambda_i - \lambda}\, o_i .$$

`np.logaddexp` subtracts the larger number before it takes exponentials, so numbers of some thousands don't overflow.
And $e^{-\infty} = 0$ leaves out a part without a key.
"""


# %%
def join(outputs, logs):
    log = np.logaddexp.reduce(logs)
    return sum(np.exp(one - log) * output for one, output in zip(logs, outputs)), log


check.ch17_join(join)

# %% [markdown]
r"""
**5. Does it pay?** A message holds the numbers of $n/N$ tokens in $1/N$ of the heads, that is $nD/N^2$ of them.
"""


# %%
def attention_seconds(tokens, width, ranks, speed, bandwidth, latency):
    computing = 4 * tokens**2 * width / ranks / speed
    message = 4 * tokens * width / ranks**2
    sending = 4 * (ranks - 1) * (message / bandwidth + latency)
    return computing, sending


check.ch17_seconds(attention_seconds)

# %% [markdown]
r"""
On 8 of the chapter's assumed machines with a Gigabit Ethernet:
"""

# %%
lengths = 2 ** np.arange(8, 19)
times = np.array([attention_seconds(float(n), 1024, 8, 50e9, 125e6, 50e-6) for n in lengths])
crossing = lengths[np.argmax(times[:, 0] > times[:, 1])]

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.loglog(lengths, times[:, 0], "o-", label="computing")
axes.loglog(lengths, times[:, 1], "s--", label="sending")
axes.set(xlabel="tokens", ylabel="seconds", title="one attention forward, 8 ranks, width 1024")
axes.grid(alpha=0.3)
axes.legend()
plt.show()
print(f"from {crossing:,} tokens on computing takes longer than sending")

# %% [markdown]
r"""
When the length doubles, the time of computing grows by a factor of 4, and that of sending by nearly 2. So the lines
cross once. Beyond this length the share of sending becomes smaller and smaller. Without latency they cross where $4 n^2
D / (N s) = 16\,(N-1)\, n D / (N^2 b)$, that is at $n = 4\,\frac{N-1}{N} \cdot \frac{s}{b}$: neither the width nor,
nearly, the number of ranks matters.
"""

# %%
assert np.isclose(4 * 7 / 8 * 50e9 / 125e6, 1400)
assert crossing == 2048  # the first power of two beyond it

# %% [markdown]
r"""
**6. Break it: listen first.** All ranks wait for a message that nobody sends. After 10 seconds the error `queue.Empty`
ends it. A cluster would wait without end. This is a *deadlock*: each rank waits for its neighbour, all around the
circle.

If `send` waits for the receiver, the unchanged ring stops, too, because all send and none receives. The solution is to
break the circle: ranks with an even number send first, and ranks with an odd number receive first. Then every message
finds a receiver. This also works with an odd number of ranks, because one pair of sender and receiver is enough to
begin. MPI's `Sendrecv` and `isend` avoid the deadlock for you. We try the three orders. A message goes through only if
one rank is at its send and the next one is at its receive.
"""


# %%
def went_through(size, sends_first):
    """Whether all ranks of a ring get on, where `send` waits until the message is received."""
    todo = [["send", "receive"] if sends_first(rank) else ["receive", "send"] for rank in range(size)]
    while meeting := [r for r in range(size) if todo[r][:1] == ["send"] and todo[(r + 1) % size][:1] == ["receive"]]:
        del todo[meeting[0]][0], todo[(meeting[0] + 1) % size][0]
    return not any(todo)


for size in (4, 5):
    outcomes = [went_through(size, first) for first in (lambda r: False, lambda r: True, lambda r: r % 2 == 0)]
    print(f"{size} ranks: receive first {outcomes[0]}, send first {outcomes[1]}, in turn {outcomes[2]}")
    assert outcomes == [False, False, True]

# %% [markdown]
r"""
**7. A plan for 1,000 GPUs.** This is one plan of many. We have 125 machines of 8 GPUs, and mixed precision takes 16
bytes a weight in training.

- *Memory.* 10 billion weights take 160 GB. Spread over the 8 GPUs of a machine they take 20 GB each. One GPU alone
  can't hold them, so they must be spread (stage 3) over several GPUs, and we take the 8 of a machine. Spread over all
  1,000 they take 0.16 GB each, but then gathering crosses the slower network.
- *A clip.* 100,000 tokens through 10 billion weights take $6 \cdot 10^{10} \cdot 10^5 = 6 \cdot 10^{15}$ FLOPs. With 48
  blocks of width 4,096 the scores take $3 \cdot 4\, n^2 D \cdot 48 \approx 2.4 \cdot 10^{16}$ on top. This takes over a
  minute on one GPU, and the activations don't fit into its memory beside the 20 GB. So the 8 GPUs of a machine share a
  clip (Ulysses, over the fast network).
- *The batch.* With one clip a machine, a step has 125 clips, or 12.5 million tokens.
- *Sending.* The cell below computes it: gradients in 16 bits between machines, of which each GPU sends an eighth, and
  inside a machine the exchanges of Ulysses and the gathering of weights.
- *Failures.* One GPU fails once in 1,826 days. So one of a thousand fails about every 44 hours, and other parts fail,
  too. Suppose that saving takes a minute, and that a failure costs on average half the interval between saves. Then
  saving every hour or two loses least. The best interval is about $\sqrt{2 \cdot \text{time to save} \cdot \text{time
  between failures}}$.
"""

# %%
P, n, D, layers, gpus, machines = 10e9, 100_000, 4096, 48, 8, 125
speed, inside, between = 400e12, 400e9, 50e9
computing = (6 * P * n + 3 * 4 * n**2 * D * layers) / gpus / speed
exchanges = 3 * layers * 4 * (gpus - 1) / gpus**2 * n * D * 2  # bytes, 16-bit: forward, backward, and forward again
gathering = 3 * 2 * P * (gpus - 1) / gpus  # stage 3 inside a machine: weights twice, gradients once
gradients = 2 * (machines - 1) / machines * 2 * P / gpus  # between machines
sending = exchanges / inside + gathering / inside + gradients / between
print(f"computing {computing:.1f} s; exchanging tokens {exchanges / inside:.2f} s, weights {gathering / inside:.2f} s, "
      f"gradients between machines {gradients / between:.2f} s")  # fmt: skip
print(f"efficiency at least {computing / (computing + sending):.0%}, more where sending and computing overlap")
between_failures = 5 * 365.25 * 24 / 1000
print(f"a failure every {between_failures:.0f} hours; save every {(2 * between_failures / 60) ** 0.5:.1f} hours")
assert computing > sending

# %% [markdown]
r"""
The first line decides, because computing takes much longer than sending. Each GPU has 12,500 tokens. By the chapter's
rule 10,667 would be enough even if every gradient had to cross the slower network. Measure before you believe it,
because no GPU reaches its full speed in everything.
"""
