# %% [markdown]
r"""
# 17. Beyond one machine: ranks, messages, and the same bits

*About 90 minutes with the exercises. Runs in under a minute.*

**You'll do:** let four ranks add up arrays, first naively, then in a ring, and count every byte they send. Train on 1,
2 and 4 ranks and get the same bits. Divide the tokens of one clip among ranks in two ways. Run the same functions with
MPI.

**You'll learn:** what a [rank](glossary.md#rank) is, and what it can't see. Why the order of a sum changes its bits.
What data parallel and sequence parallel training send, and what their gradients are. When more ranks pay, from one
formula.

**You need:** [chapter 2](02_layers_and_learning.ipynb), the online softmax of [chapter 5](05_attention.ipynb), and
FLOPs from [chapter 12](12_the_bill.ipynb). MPI isn't needed. One cell uses it, and prints a message if it is missing.

![Four ranks, each with a quarter of the work; gradients go round in a ring, tokens are exchanged for heads](pictures/17.svg)
"""

# %%
import hashlib
import inspect
import itertools
import queue
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base.ranks import Ranks
from minivdit.lab.lessons import check, mpiexec, size
from minivdit.models import VideoDiT, VideoDiTConfig, costs
from minivdit.nn.optim import simple_adamw
from minivdit.training.spread import Spread

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

# %% [markdown]
r"""
## Ranks and messages

A cluster is many computers with a network between them. One program is started on all of them, many times. Each of
these processes is a *[rank](glossary.md#rank)* and has a number from 0 to $N - 1$. It has memory of its own. It learns
what another rank knows only from a *message*.

A notebook is one process. So here a rank is a thread that keeps to the rules: it uses only its own variables, and
`send` copies what it sends. `send` also counts bytes. (Sending to itself is free.) The base class has `part(n)`: which
of n things this rank works on.
"""


# %%
class Rank(Ranks):
    """One of `size` ranks. mail: for each pair (from, to) the messages on their way."""

    def __init__(self, rank, size, mail):
        self.rank, self.size, self.mail, self.sent = rank, size, mail, 0

    def send(self, to, array):
        self.sent += array.nbytes * (to != self.rank)
        self.mail[self.rank, to].put(array.copy())

    def receive(self, source):
        return self.mail[source, self.rank].get(timeout=10)


def on_ranks(size, program, *inputs, kind=Rank):
    """program(rank, *inputs) on each of `size` ranks at the same time: what it returns there, in the order of ranks."""
    mail = {pair: queue.Queue() for pair in itertools.product(range(size), repeat=2)}
    ranks = [kind(number, size, mail) for number in range(size)]
    with ThreadPoolExecutor(size) as threads:
        return list(threads.map(lambda rank: program(rank, *inputs), ranks))


# %% [markdown]
r"""
All ranks run the same program. Only their numbers differ. Here each rank tells the next one, in a circle, which of ten
parts (*shards*) of a batch it works on.
"""


# %%
def hello(rank):
    rank.send((rank.rank + 1) % rank.size, np.array(rank.part(10)))
    heard = rank.receive((rank.rank - 1) % rank.size)
    return f"rank {rank.rank} has shards {list(rank.part(10))} and hears of {heard.tolist()}"


print("\n".join(on_ranks(4, hello)))

# %% [markdown]
r"""
## Adding up over ranks

The gradient of a batch is the sum of the gradients of its parts. So each rank works on a part. Then each has an array,
and all need the sum of the arrays. This operation is *[all-reduce](glossary.md#all-reduce)*. In the naive way all send
their arrays to rank 0, which adds them and sends the sum back.
"""


# %%
def add_naively(rank, x):
    """The sum of the arrays x of all ranks, on all of them."""
    if rank.rank > 0:
        rank.send(0, x)
        return rank.receive(0)
    total = x
    for other in range(1, rank.size):
        total = total + rank.receive(other)
    for other in range(1, rank.size):
        rank.send(other, total)
    return total


# %% [markdown]
r"""
Let $V$ be the bytes of an array. Rank 0 receives $(N-1)V$ and then sends $(N-1)V$, while all others wait.

**The ring.** Cut each array into $N$ slices. In every round a rank sends *one slice* to the next rank and receives one
from the rank before. In the first $N - 1$ rounds it adds the slice that it receives to its own, and sends this sum in
the next round. Then each rank has one slice of the finished sum. This half is
*[reduce-scatter](glossary.md#reduce-scatter)*. In the other $N - 1$ rounds finished slices go round the ring. This half
is *all-gather*. In round $t$, counted from 0, rank $r$ sends slice $(r - 1 - t) \bmod N$.
"""


# %%
def add_in_a_ring(rank, x, rounds=None):
    slices = [x[rank.part(len(x), number)] for number in range(rank.size)]
    after, before = (rank.rank + 1) % rank.size, (rank.rank - 1) % rank.size
    for t in range(2 * (rank.size - 1) if rounds is None else rounds):
        rank.send(after, slices[(rank.rank - 1 - t) % rank.size])
        place, came = (rank.rank - 2 - t) % rank.size, rank.receive(before)
        slices[place] = slices[place] + came if t < rank.size - 1 else came
    return np.concatenate(slices)


# %% [markdown]
r"""
We watch it with arrays of ones. Then each number says how many ranks it already contains.

**What to look at.** Follow column 0. Each round its largest number grows and moves to the next rank. Which rank
finishes it?
"""

# %%
figure, panels = plt.subplots(1, 7, figsize=(9.5, 1.9), layout="constrained", sharey=True)
for rounds, axes in enumerate(panels):
    counts = np.array(on_ranks(4, add_in_a_ring, np.ones(4), rounds))
    axes.imshow(counts, cmap="cividis", vmin=0, vmax=4)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, f"{count:.0f}", ha="center", va="center", color="k" if count > 2 else "w")
    axes.set(xticks=range(4), yticks=range(4), title=f"{rounds} round{'s' * (rounds != 1)}")
    axes.set_xlabel("slice")
panels[0].set_ylabel("rank")
plt.show()

# %% [markdown]
r"""
After 3 rounds the diagonal is full: rank $r$ owns slice $r$ of the sum. After 6 rounds every rank has every slice.

**Claim.** No rank of the ring sends more than $2V$, however many there are. In each of $2(N-1)$ rounds it sends a slice
of $V/N$ bytes:

$$V_{\text{ring}} = 2\,(N-1)\,\frac{V}{N} = 2\,\frac{N-1}{N}\,V \;<\; 2V.$$

No method sends less ([Patarasuk and Yuan 2009](references.md#patarasuk-2009)). At least $N - 1$ ranks have to send
their array, and $N - 1$ ranks have to receive the sum. That is $2(N-1)V$ in all, or $2(N-1)V/N$ for each of $N$. We
count.
"""

# %%
own = generator.standard_normal((12, 5040), dtype=np.float32)  # an array for each of up to 12 ranks; V = 20,160 bytes


def sum_and_sent(rank, add):
    return add(rank, own[rank.rank]), rank.sent / own[0].nbytes  # in units of V


counted = {add_naively: [], add_in_a_ring: []}
ranks = np.arange(2, 13)
for N in ranks:
    for add, most in counted.items():
        totals, sent = zip(*on_ranks(N, sum_and_sent, add))
        assert all(np.allclose(total, own[:N].sum(axis=0), atol=1e-5) for total in totals)
        most.append(max(sent))
assert np.allclose(counted[add_naively], ranks - 1)
assert np.allclose(counted[add_in_a_ring], 2 * (ranks - 1) / ranks, atol=0.01)

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(ranks, counted[add_naively], "s--", label="by way of rank 0")
axes.plot(ranks, counted[add_in_a_ring], "o-", label="in a ring")
axes.plot(ranks, 2 * (ranks - 1) / ranks, "k:", label="2 (N - 1) / N")
axes.set(xlabel="ranks N", ylabel="sent by the busiest rank, in V", title="all-reduce: bytes counted")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
r"""
The counted points lie on the formula's dotted line.

## The order of a sum

**Claim.** A sum of float32 numbers depends on the order.
"""

# %%
a, b, c = np.float32([1e8, -1e8, 1])
print(f"(a + b) + c = {(a + b) + c:g}    a + (b + c) = {a + (b + c):g}    neighbours of a are {np.spacing(a):g} away")
assert (a + b) + c == 1 and a + (b + c) == 0

# %% [markdown]
r"""
Near $10^8$ float32 numbers are 8 apart, so $b + 1$ is rounded to $b$. In general an addition, written $\oplus$, returns
the number nearest to the true sum. This is the true sum times $1 + \delta$ with $|\delta| \le u = 2^{-24}$ ([Goldberg
1991](references.md#goldberg-1991)). Insert this twice and drop products of two $\delta$:

$$(a \oplus b) \oplus c \;=\; \big((a + b)(1 + \delta_1) + c\big)(1 + \delta_2) \;\approx\; (a + b + c)(1 + \delta_2) + (a + b)\,\delta_1.$$

In the other order the last term is $(b + c)\,\delta_1'$. So the two results can differ by about $u$ times the larger of
$|a+b|$ and $|b+c|$. Usually this changes the last bit. In the example $|b + c|$ is about $10^8$.

The ring adds each slice in another order, and this order depends on $N$. So the same training on 2 and on 4 machines
gives different bits. This project wants the same bits. Then a test can ask for *equal* instead of *nearly equal*, and
finds a wrong term of size $10^{-6}$. The order must depend on what is summed, not on who sums. A batch is cut into
*[shards](glossary.md#shard)*, as many as you like. Each rank owns a slice of the sum. It receives this slice of *every
shard's gradient*, and adds in the order of the shards. The exchange in which every rank sends something to every other
is *[all-to-all](glossary.md#all-to-all)*.
"""


# %%
def all_to_all(rank, arrays):
    """arrays: one for each rank. Returns one from each rank."""
    for to in range(rank.size):
        rank.send(to, arrays[to])
    return [rank.receive(source) for source in range(rank.size)]


def add_in_order(rank, shards):
    """shards: the arrays (P,) of this rank's shards. Returns this rank's slice of the sum over the shards of all ranks."""
    parts = [rank.part(len(shards[0]), to) for to in range(rank.size)]
    came = all_to_all(rank, [np.stack([shard[part] for shard in shards]) for part in parts])
    total, *others = np.concatenate(came)
    for other in others:
        total = total + other
    return total


def add_own_then_ring(rank, shards):
    total, *others = shards
    for other in others:
        total = total + other
    return add_in_a_ring(rank, total)


# %% [markdown]
r"""
We add twelve shards on 1 to 12 ranks. We count how many of 5,040 numbers get other bits than on one rank, and what a
rank sends.
"""


# %%
def sum_of_shards(rank, add):
    return add(rank, list(own[rank.part(12)])), rank.sent / own[0].nbytes


(in_ring, _), *_ = on_ranks(1, sum_of_shards, add_own_then_ring)
(in_order, _), *_ = on_ranks(1, sum_of_shards, add_in_order)
assert np.array_equal(in_ring, in_order)  # on one rank both are the plain loop
alone = in_order

print("ranks   ring: other bits, sent      in order: other bits, sent")
for N in (2, 3, 4, 12):
    in_ring, ring_sent = on_ranks(N, sum_of_shards, add_own_then_ring)[0]  # rank 0 has the whole sum
    slices, order_sent = zip(*on_ranks(N, sum_of_shards, add_in_order))
    in_order = np.concatenate(slices)
    print(
        f"{N:5}{(in_ring != alone).mean():15.0%}{ring_sent:11.2f} V{(in_order != alone).mean():18.0%}{order_sent[0]:12.2f} V"
    )
    assert np.array_equal(in_order, alone) and not np.array_equal(in_ring, alone)

# %% [markdown]
r"""
Added in order, no bit differs. What does this cost? With $S$ shards a rank has $S/N$ of them. Of each it sends $N - 1$
slices of $V/N$ bytes:

$$V_{\text{in order}} = \frac{S}{N}\,(N-1)\,\frac{V}{N} = \frac{S}{N} \cdot \frac{N-1}{N}\,V.$$

With $S = N$ this is what the first half of the ring sends. (No rank has the whole sum yet. The ring's column has both
halves.) With $S > N$ it is more, because a rank may not add its own shards first.

## Training on several ranks

**[Data parallel](glossary.md#data-parallel).** All ranks have the same weights $\theta$. A batch has $S$ shards of equal
size with the losses $L_s$. Then

$$\nabla_\theta \Big(\frac{1}{S} \sum_{s} L_s\Big) = \frac{1}{S} \sum_{s} \nabla_\theta L_s.$$

Each rank computes the gradients of its shards, all get the sum, and all make the same step. No rank sends data: each
makes its own shards, with a seed from the numbers of step and shard.

**ZeRO.** Adam keeps two averages for each weight. In plain data parallel training every rank keeps all averages, and
all compute the same. Instead, let each rank keep and update only its slice, and then gather the weights. This is stage
1 of *[ZeRO](glossary.md#zero)* ([Rajbhandari et al. 2020](references.md#rajbhandari-2020)). It fits the sum in order,
which gives each rank just its slice. Gathering weights replaces the ring's second half, so it costs nothing extra.
"""


# %%
def gradient(weights, step, shard):
    """Of the loss of a small network on one shard of the batch of this step: (P,)."""
    draw = np.random.default_rng([step, shard])
    x = draw.standard_normal((16, 4), dtype=np.float32)
    target = np.sin(x[:, :2] + x[:, 2:])  # (16, 2)
    first, second = (
        ag.Tensor(w, requires_grad=True) for w in (weights[:256].reshape(4, 64), weights[256:].reshape(64, 2))
    )
    loss = ag.mean_squared_error(ag.gelu(x @ first) @ second, target)
    return np.concatenate([grad.reshape(-1) for grad in ag.gradients(loss, [first, second])])


def train(rank, steps, spread, shards=4):
    """The weights after each step, and the bytes of Adam's averages on this rank. spread: as ZeRO does, or plainly."""
    weights = 0.3 * np.random.default_rng(0).standard_normal(384, dtype=np.float32)  # the same on all ranks
    own = rank.part(len(weights)) if spread else range(len(weights))
    mean = square = np.zeros(len(own), np.float32)
    history = []
    for step in range(1, steps + 1):
        gradients = [gradient(weights, step, shard) for shard in rank.part(shards)]
        total = add_in_order(rank, gradients) if spread else add_own_then_ring(rank, gradients)
        new, mean, square = simple_adamw(weights[own], total / shards, mean, square, step, rate=0.01)
        weights = np.concatenate(all_to_all(rank, [new] * rank.size)) if spread else new
        history.append(weights)
    return np.array(history), mean.nbytes + square.nbytes


# %% [markdown]
r"""
**Claim.** The spread training gives the same bits on 1, 2 and 4 ranks. The plain one doesn't, and the difference grows
with the steps.
"""

# %%
STEPS = size(300, 20)
trainings = {(N, spread): on_ranks(N, train, STEPS, spread) for N in (1, 2, 4) for spread in (True, False)}

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for spread, style, name in ((False, "C1", "added in a ring"), (True, "C0", "added in order of shards")):
    two, four = (trainings[N, spread][0][0] for N in (2, 4))
    axes.plot(np.abs(two - four).max(axis=1), style, label=name, linewidth=2)
axes.set(xlabel="step", ylabel="largest difference", title="weights on 2 ranks against weights on 4")
axes.set_yscale("symlog", linthresh=1e-8)
axes.grid(alpha=0.3)
axes.legend()
plt.show()

for N in (1, 2, 4):
    assert all(np.array_equal(history, trainings[1, True][0][0]) for history, _ in trainings[N, True])
    print(f"N = {N}: bytes of Adam's averages on rank 0: {trainings[N, False][0][1]} plainly, "
          f"{trainings[N, True][0][1]} spread")  # fmt: skip

# %% [markdown]
r"""
The lower line is exactly 0. The other begins with one rounding and grows, because training magnifies small differences.
Neither result is worse. But only with equal bits can you stop on 4 ranks, go on with 2, and check the result.

**The memory.** In float32 a weight, its gradient, and Adam's two averages take 4 bytes each, and so does the running
average of the weights that we draw with. For $P$ parameters each of $N$ ranks holds, beside activations,

$$M_{\text{plain}} = (4 + 4 + 8 + 4)\,P = 20\,P, \qquad M_{\text{spread}} = 8\,P + \frac{12\,P}{N}.$$

The library's `Spread` ends slices where a parameter ends, because Muon needs whole matrices. So slices aren't quite
equal. We ask it which rank owns what of a transformer, and take the one that owns most.
"""

# %%
parameters = VideoDiT(VideoDiTConfig(), costs.TOKENS, generator).parameters()
P = sum(parameter.size for parameter in parameters.values())
for N in (1, 2, 4, 8, 16):
    most = max(sum(parameter.size for parameter in Spread(parameters, Rank(r, N, {})).own.values()) for r in range(N))
    even, fullest = (8 + 12 / N) * P, 8 * P + 12 * most
    print(f"N = {N:>2}: 8 P + 12 P / N = {even / 1e6:5.1f} MB; the library's fullest rank has {fullest / 1e6:5.1f} MB")
    assert fullest < 1.1 * even

# %% [markdown]
r"""
## The same with MPI

MPI is the standard for messages between processes ([MPI Forum 2023](references.md#mpi-forum-2023)). The command
`mpiexec -n 4 python program.py` starts four processes, here or on many machines. The functions above need nothing but
`send`, `receive` and `part`. So we write them into a file, unchanged, beside a `Rank` that sends with MPI. `isend`
means: send, and don't wait until it has arrived.
"""

# %%
HEAD = """
import hashlib
import numpy as np
from mpi4py import MPI
from minivdit import autograd as ag
from minivdit.base.ranks import Ranks
from minivdit.nn.optim import simple_adamw


class Rank(Ranks):
    def __init__(self, world):
        self.rank, self.size, self.world, self.on_the_way = world.rank, world.size, world, []

    def send(self, to, array):
        self.on_the_way.append(self.world.isend(array, dest=to))

    def receive(self, source):
        return self.world.recv(source=source)

"""
TAIL = """
rank = Rank(MPI.COMM_WORLD)
history, _ = train(rank, 20, spread=True)
if rank.rank == 0:
    print(f"mpiexec -n {rank.size}:", hashlib.sha256(history[-1].tobytes()).hexdigest()[:16])
"""
program = "\n\n".join([HEAD, *map(inspect.getsource, (all_to_all, add_in_order, gradient, train)), TAIL])
fingerprint = hashlib.sha256(trainings[1, True][0][0][19].tobytes()).hexdigest()[:16]
print("the notebook:", fingerprint)
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "program.py").write_text(program)
    for N in (1, 2, 4):
        command = mpiexec(N)
        if command is None:
            break
        done = subprocess.run([*command, "program.py"], cwd=folder, capture_output=True, text=True)
        print(done.stdout or done.stderr, end="")
        assert done.returncode or fingerprint in done.stdout

# %% [markdown]
r"""
The fingerprint is a hash of all weights after 20 steps. If one bit were different, it would be different, too. The
library's training works in the same way. `mpiexec -n 2 minivdit train full` and the command without `mpiexec` run the
same lines, those of `minivdit/training/gradients.py` and `minivdit/training/spread.py`. (Every rank needs a shard, and
the presets cut a batch into two.)

## All-to-all, and its gradient

A clip may be too long for one machine. Then its *tokens* are spread over ranks. Attention mixes tokens, so ranks send
messages inside the network, and gradients must go back through these messages. (From here on $n$ counts tokens. $N$,
which counted tokens in other chapters, counts ranks.)

Write the entries of all ranks as one long vector $x$. All-to-all moves entries and changes none. So it is a matrix
$\Pi$ with a single 1 in every row and column: $y = \Pi x$. The loss is the sum of what all ranks contribute, $L =
\sum_r L_r(y_r)$. By the chain rule

$$\bar x = \Pi^{\mathsf T}\, \bar y, \qquad \Pi^{\mathsf T} = \Pi^{-1},$$

where a bar denotes the gradient. **The [pullback](glossary.md#pullback) of all-to-all is the all-to-all that sends
everything back.** The library has it as `ag.all_to_all`. Our `Rank` only needs a method that it can call.
"""


# %%
class Speaking(Rank):
    def all_to_all(self, arrays, shapes, dtype=None):
        """For each rank a list of arrays; shapes: of those that will come. Ours bring their shape along."""
        for to, some in enumerate(arrays):
            for array in some:
                self.send(to, array)
        return [[self.receive(source) for _ in some] for source, some in enumerate(shapes)]


# %% [markdown]
r"""
We check it as in [chapter 1](01_autograd.ipynb): move all inputs a little in a random direction, and compare the change
of the whole loss with what the gradients say. Three ranks share 7 tokens and 5 heads of width 2.
"""

# %%
whole, direction = generator.standard_normal((2, 7, 5, 2))
weighing = generator.standard_normal((7, 5, 2))


def loss_on(rank, step):
    """This rank's share of the loss, and what its gradients say about a step along the direction."""
    mine, heads = rank.part(7), rank.part(5)
    x = ag.Tensor((whole + step * direction)[mine], requires_grad=True)  # some tokens, all heads
    y = ag.all_to_all(x, ranks=rank, cut=1, join=0, length=7)  # all tokens, some heads
    assert np.array_equal(y.data, (whole + step * direction)[:, heads])
    loss = (ag.gelu(y) * weighing[:, heads]).sum()
    (grad,) = ag.gradients(loss, [x])
    return float(loss.data), (grad * direction[mine]).sum()


(up, _), (down, _), (_, slope) = (np.sum(on_ranks(3, loss_on, h, kind=Speaking), axis=0) for h in (1e-5, -1e-5, 0))
print(f"change of the loss: {(up - down) / 2e-5:.8f}; by the gradients: {slope:.8f}")
assert np.isclose((up - down) / 2e-5, slope, rtol=1e-7)

# %% [markdown]
r"""
## One clip on several ranks

To spread the tokens of a clip is called *[sequence parallel](glossary.md#sequence-parallel)*. There are two ways.

**Ulysses** ([Jacobs et al. 2023](references.md#jacobs-2023)). Linear layers, norms and the MLP treat each token alone,
so each rank does its own $n/N$ of $n$ tokens. Only attention needs all tokens, but each [head](glossary.md#head) works
alone. So before attention ranks exchange tokens for heads, and afterwards heads for tokens.

**What to look at.** A cell is one token in one head, and its colour is the rank that has it. Which cells stay on their
rank?
"""

# %%
tokens, heads, width = 12, 4, 8
token_owner, head_owner = (np.repeat(range(4), count // 4) for count in (tokens, heads))
figure, panels = plt.subplots(2, 1, figsize=(6.5, 3), layout="constrained", sharex=True)
owners = {
    "outside attention: some tokens, all heads": token_owner[None, :].repeat(heads, axis=0),
    "in attention: all tokens, some heads": head_owner[:, None].repeat(tokens, axis=1),
}
for axes, (name, owner) in zip(panels, owners.items()):
    axes.pcolormesh(owner, cmap=plt.matplotlib.colors.ListedColormap([f"C{i}" for i in range(4)]), edgecolors="w")
    for (head, token), rank in np.ndenumerate(owner):
        axes.text(token + 0.5, head + 0.5, rank, ha="center", va="center", color="w")
    axes.set(ylabel="head", title=name, yticks=[], xticks=[], ylim=(4, 0))
panels[1].set_xlabel("token")
plt.show()


# %%
def ulysses(rank, q, k, v):
    """q, k, v: Tensors (h, n / N, d), this rank's tokens. Returns the output of attention for them."""
    q, k, v = (ag.all_to_all(x, ranks=rank, cut=0, join=1, length=tokens) for x in (q, k, v))  # (h / N, n, d)
    return ag.all_to_all(ag.attention(q, k, v), ranks=rank, cut=1, join=0, length=heads)


# %% [markdown]
r"""
**[Ring attention](glossary.md#ring-attention)** ([Liu et al. 2023](references.md#liu-2023)). Queries stay on their
rank. Keys and values go round the ring. Each rank attends to those that have just arrived. It joins the parts by the
online softmax of [chapter 5](05_attention.ipynb): a maximum $m$, a sum $l$ and an output $o$ for each query, corrected
by $e^{m - m'}$ when a larger maximum $m'$ comes. A tile is now what a rank holds, and the network takes the place of
the slow memory.
"""


# %%
def ring_attention(rank, q, k, v):
    """The same for arrays."""
    m, l, o = -np.inf, 0.0, 0.0
    for turn in range(rank.size):
        scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])  # (h, n / N, n / N)
        higher = np.maximum(m, scores.max(axis=-1, keepdims=True))
        shrink, weights = np.exp(m - higher), np.exp(scores - higher)
        m, l, o = higher, l * shrink + weights.sum(axis=-1, keepdims=True), o * shrink + weights @ v
        if turn < rank.size - 1:
            rank.send((rank.rank + 1) % rank.size, np.stack([k, v]))
            k, v = rank.receive((rank.rank - 1) % rank.size)
    return o / l


# %% [markdown]
r"""
**Claim.** Both give the output of one process, and Ulysses also its gradients. Let $D = hd$ be the width of a token.
Ulysses exchanges four arrays (q, k, v and the output). Of each array a rank keeps $1/N$ and sends the rest. In the ring
a rank sends two arrays of $n/N$ tokens, $N - 1$ times. In bytes:

$$V_{\text{Ulysses}} = 4 \cdot \frac{N-1}{N} \cdot 4\,\frac{n D}{N}, \qquad
V_{\text{ring}} = 2\,(N - 1) \cdot 4\,\frac{n D}{N} = \frac{N}{2}\, V_{\text{Ulysses}}.$$
"""

# %%
qkv = generator.standard_normal((3, heads, tokens, width), dtype=np.float32)
cotangent = generator.standard_normal((heads, tokens, width), dtype=np.float32)
leaves = [ag.Tensor(x, requires_grad=True) for x in qkv]
alone = ag.attention(*leaves)
alone_grads = ag.gradients(alone, leaves, cotangent)


def shared_out(rank):
    mine = rank.part(tokens)
    q, k, v = (ag.Tensor(x[:, mine], requires_grad=True) for x in qkv)
    by_heads, sent = ulysses(rank, q, k, v), rank.sent
    grads = ag.gradients(by_heads, [q, k, v], cotangent[:, mine])
    before = rank.sent
    by_ring = ring_attention(rank, *qkv[:, :, mine])
    return by_heads.data, grads, by_ring, sent, rank.sent - before


for N in (2, 4):
    by_heads, grads, by_ring, sent_by_heads, sent_by_ring = zip(*on_ranks(N, shared_out, kind=Speaking))
    assert np.allclose(np.concatenate(by_heads, axis=1), alone.data, atol=1e-5)
    assert np.allclose(np.concatenate(by_ring, axis=1), alone.data, atol=1e-5)
    assert all(
        np.allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5) for pieces, whole in zip(zip(*grads), alone_grads)
    )
    expected = 16 * (N - 1) / N**2 * tokens * heads * width, 8 * (N - 1) / N * tokens * heads * width
    print(f"{N} ranks: Ulysses sends {sent_by_heads[0]} bytes a rank, formula {expected[0]:.0f}; "
          f"the ring {sent_by_ring[0]}, formula {expected[1]:.0f}")  # fmt: skip
    assert (sent_by_heads[0], sent_by_ring[0]) == expected

# %% [markdown]
r"""
So with more ranks, each rank sends less in Ulysses, but not in the ring. But Ulysses needs a head for each rank, and
the ring doesn't. And a ring can compute with one part while the next is on its way. In both a rank keeps $1/N$ of all
activations. With the pattern `frame` each rank has whole frames, and nothing is sent.

The library takes Ulysses if there are enough heads, else the ring (`minivdit/models/over_ranks.py`). With
`mpiexec -n 4 minivdit sample "a 3 moving right" --frames 128` four ranks draw one clip. Each has all of the caption and
of the noisy clip, which are small, but only its own tokens.

## What scales, and what doesn't

A message of $v$ bytes takes $\ell + v/b$ seconds, with the *[latency](glossary.md#latency)* $\ell$ and the
*[bandwidth](glossary.md#bandwidth)* $b$. Computing takes FLOPs divided by the speed $s$. For data parallel training of
$P$ weights, a step on $n$ tokens takes $6 P n$ FLOPs: 2 for each weight and token forward, 4 backward ([chapter
12](12_the_bill.ipynb)'s count without scores). With the ring, $V = 4P$:

$$T(N) = \underbrace{\frac{6 P n}{N s}}_{\text{computing}} + \underbrace{2\,\frac{N-1}{N} \cdot \frac{4 P}{b} + 2\,(N-1)\,\ell}_{\text{sending}}.$$

There are two questions. *[Strong scaling](glossary.md#strong-scaling)*: if $n$ is fixed, how much sooner is a step
done? *[Weak scaling](glossary.md#weak-scaling)*: if $n/N$ is fixed, so that every rank has as much work as before, how
much longer does a step take? The *efficiency* is the share of $T(N)$ that computing takes. The network here has a
million weights, and the machines are assumed: 50 GFLOP/s each, a Gigabit Ethernet (125 MB/s) with 50 µs of latency.
"""


# %%
def step_seconds(P, n, N, speed=50e9, bandwidth=125e6, latency=50e-6):
    """(computing, sending) of a step of data parallel training."""
    return 6 * P * n / N / speed, 2 * (N - 1) / N * 4 * P / bandwidth + 2 * (N - 1) * latency


ranks = 2 ** np.arange(0, 11)
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.3), layout="constrained")
for n, style in ((1_000, "o-"), (16_000, "s--"), (256_000, "^-.")):
    seconds = np.array([step_seconds(1e6, n, N) for N in ranks])
    left.loglog(ranks, seconds[0].sum() / seconds.sum(axis=1), style, label=f"{n:,} tokens in all")
    seconds = np.array([step_seconds(1e6, n * N, N) for N in ranks])
    right.semilogx(ranks, seconds[:, 0] / seconds.sum(axis=1), style, label=f"{n:,} tokens a rank")
left.loglog(ranks, ranks, "k:", label="ideal")
left.set(xlabel="ranks", ylabel="times as fast as one", title="strong scaling: the batch is fixed")
right.set(xlabel="ranks", ylabel="efficiency", title="weak scaling: the batch grows", ylim=(0, 1.05))
for axes in (left, right):
    axes.set_xticks(ranks[::2], [str(N) for N in ranks[::2]])
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
On the left every line bends, then falls, because computing shrinks with $N$ and sending doesn't. On the right a line
first falls fast, then slowly, until the latency of $2(N-1)$ messages counts. How high a line lies depends on the tokens
of a rank. Set computing equal to sending, for many ranks and without latency. The weights cancel:

$$\frac{6 P\, n/N}{s} = \frac{8 P}{b} \quad\Longleftrightarrow\quad \frac{n}{N} = \frac{4}{3} \cdot \frac{s}{b}.$$

So what matters of a cluster is $s/b$, the FLOPs that a rank does while it sends one byte. **Attention** is different.
Each of $N$ ranks computes $4 n^2 D / N$ FLOPs forward, which grow with $n^2$. The bytes that it sends grow with $n$
only. So for a clip that is long enough, dividing its tokens pays on any network. Exercise 5 asks for the seconds.

For machines of your own, `mpiexec -n 2 minivdit bench mpi` measures $\ell$ and $b$. From these
`minivdit costs full --ranks 1,16,256` predicts a step.
"""

# %%
for name, speed, bandwidth in (
    ("these assumed machines", 50e9, 125e6),
    ("a GPU of 400 TFLOP/s, 50 GB/s", 400e12, 50e9),
):
    needed = 4 / 3 * speed / bandwidth
    print(f"{name}: {needed:,.0f} tokens a rank, and half of the time is spent computing")
    assert np.isclose(6 * 1e6 * needed / speed, 8 * 1e6 / bandwidth)

# %% [markdown]
r"""
## Exercises

Worked solutions are in [solutions/17_beyond_one_machine](solutions/17_beyond_one_machine.ipynb). Your functions get the
arrays of all ranks, which no rank of a cluster sees. As in `part`, rank $r$ of $N$ has, of $c$ entries, those from
$\lfloor c r / N \rfloor$ up to, but without, $\lfloor c (r + 1) / N \rfloor$.

**1. The same bits.** `held` has a list for each rank: the gradients (P,) of its shards, float32. Shards are in order:
first those of rank 0. Return a list with each rank's slice of their sum, with the bits that one rank alone would get.
"""


# %%
def slices_of_the_sum(held):
    pass  # fill me in, about 4 lines


check.ch17_bits(slices_of_the_sum)

# %% [markdown]
r"""
**2. The gradient of a gather.** In an all-gather each rank has some rows, and all get the whole array (n, D). The loss
is the sum over ranks. `grads` has, for each rank, the gradient of its copy of the whole array (n, D). Return a list:
the gradient of each rank's rows. (Chapter 1 has the rule for values that are copied.)
"""


# %%
def gather_pullback(grads):
    pass  # fill me in, about 2 lines


check.ch17_gather(gather_pullback)

# %% [markdown]
r"""
**3. Heads for tokens.** `parts` has each rank's tokens with all heads, (n / N, h, d). Return a list of what each rank
has after Ulysses' exchange, (n, h / N, d). Neither n nor h need be divisible by N.
"""


# %%
def heads_for_tokens(parts):
    pass  # fill me in, about 3 lines


check.ch17_heads(heads_for_tokens)

# %% [markdown]
r"""
**4. Join finished parts.** A fast kernel returns attention to *its* part of the keys, already divided by $l_i$: outputs
$o_i$ (n, d), with $\lambda_i = m_i + \log l_i$ (n, 1). You get lists of both. Return the output for all keys, and its
$\lambda$. A $\lambda_i$ may be some thousands, or -inf for a part without a key (its output is 0).
"""


# %%
def join(outputs, logs):
    pass  # fill me in, about 3 lines


check.ch17_join(join)

# %% [markdown]
r"""
**5. Does it pay?** Take one forward pass of attention by Ulysses, with `tokens` in all, of `width` $D$ in float32.
Return the seconds of computing ($4 n^2 D$ FLOPs, divided among ranks), and those of sending. There are four exchanges,
one after the other. In each a rank sends $N - 1$ messages of equal size, one after the other.
"""


# %%
def attention_seconds(tokens, width, ranks, speed, bandwidth, latency):
    pass  # fill me in, about 4 lines


check.ch17_seconds(attention_seconds)

# %% [markdown]
r"""
**6. Break it: listen first.** In `add_in_a_ring` let every rank receive before it sends. What happens, and why? In our
`Rank`, `send` never waits. MPI's `send` of a large message waits until the other rank receives it. What happens to the
*unchanged* ring then? Find an order of sending and receiving that works with such a `send`.

**7. Open: a plan for 1,000 GPUs, on one page.** Train 10 billion weights on clips of 100,000 tokens. A GPU has 80 GB
and 400 TFLOP/s. A machine has eight. Each sends 400 GB/s inside its machine, and 50 GB/s to others. Say how many ranks
share a clip, how many hold the weights together, and how many clips a batch has. For each choice give bytes in memory,
bytes sent and the efficiency by this chapter's formulas. If a GPU fails once in five years, how often does one of a
thousand fail? How often do you save?

## In practice

- **Data parallel**: PyTorch's `DistributedDataParallel` sends gradients while the backward pass is still running ([Li
  et al. 2020](references.md#li-2020)). FSDP spreads weights and gradients as well, which is ZeRO's stage 3 ([Zhao et
  al. 2023](references.md#zhao-2023)). Both use NVIDIA's library NCCL.
- **Sequence parallel**: Open-Sora 2.0 has both ways ([its code](references.md#open-sora-code),
  `opensora/models/mmdit/distributed.py`). There `_rescale_out_lse` does exercise 4. Movie Gen trains 30 billion weights
  on up to 73,000 tokens, split in several ways ([Polyak et al. 2024](references.md#polyak-2024)).
- **Tensor parallel**: single matrices are split as well ([Shoeybi et al. 2019](references.md#shoeybi-2019)). This sends
  the most bytes, so it is used inside a machine.
- **The same bits** on any number of ranks are unusual: most libraries give up the order of sums for speed. Here
  `mpiexec -n 2 minivdit train full --out runs/full` can be stopped and continued without `mpiexec`.
  `examples/many_machines.sh` is a job script for Slurm.
- **If one rank fails**, the others would wait without end. So all stop, and training continues from the last
  checkpoint.

## Further reading

- `minivdit/base/ranks.py` has the exchanges, `minivdit/autograd/collectives.py` their pullbacks.
- [Rajbhandari et al. 2020](references.md#rajbhandari-2020) for memory, [Goldberg 1991](references.md#goldberg-1991) for
  rounding, [Gustafson 1988](references.md#gustafson-1988) for the two kinds of scaling.

Next: [chapter 18](18_on_to_the_big_ones.ipynb), on to large published models.
"""
