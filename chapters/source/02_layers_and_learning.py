# %% [markdown]
r"""
# 2. Layers and learning: a digit judge

*About 80 minutes with the exercises. Runs in half a minute.*

**You'll do:** build linear layers and convolutions, as loops and in one line. Write the loss and the optimiser. Train a
network that reads digits. Make it learn a few digits by heart, on purpose. Find out which digits it confuses.

**You'll learn:** what a [module](glossary.md#module) is; why [cross entropy](glossary.md#cross-entropy) is the loss for
classes; what [AdamW](glossary.md#adamw) does with a gradient; why a network is tested on examples that it hasn't seen;
what even such a test doesn't tell you.

**You need:** gradients and pullbacks from [chapter 1](01_autograd.ipynb).

![An image goes through convolutions to ten logits; the loss changes the weights](pictures/02.svg)

Why a digit judge? Later chapters make clips of moving digits. Does "a 3 moving right" show a 3? The answer shouldn't
depend on who looks. So this project has a network that reads digits, the [judge](glossary.md#judge), in
`minivdit/lab/evaluation/judge.py`. Here we train a smaller one of the same kind. A program draws the digits for it,
stroke by stroke, so you needn't download anything.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

from minivdit import autograd as ag
from minivdit.base.backend import blas_threads
from minivdit.data import digit_source
from minivdit.lab.evaluation import DigitJudge
from minivdit.lab.evaluation.train_judge import disturb
from minivdit.lab.lessons import check, size
from minivdit.nn import Conv, Linear, Module, Parameter
from minivdit.nn.optim import AdamW

plt.style.use("seaborn-v0_8-colorblind")
generator = np.random.default_rng(0)

train, test = digit_source("strokes", "train"), digit_source("strokes", "test")
labels = np.arange(30) % 10
figure, panels = plt.subplots(3, 10, figsize=(8, 2.6), layout="constrained")
for axes, image in zip(panels.flat, train.draw(generator, labels)):
    axes.imshow(image, cmap="gray")
    axes.axis("off")
plt.show()
print(f"{len(train.images):,} images to learn from, {len(test.images):,} others to test with, 28 x 28 pixels")

# %% [markdown]
r"""
## A linear layer

In a [linear layer](glossary.md#linear-layer), each output is a weighted sum of all inputs, plus a bias. For row $r$ of the
inputs $x$ and output $o$, with weights $W$ and bias $b$:

$$y_{ro} = \sum_i x_{ri}\, W_{io} + b_o$$

As loops, for `x` (n, in), `weight` (in, out), `bias` (out,):
"""


# %%
def linear_by_loops(x, weight, bias):
    value = np.zeros((len(x), len(bias)))
    for row in range(len(x)):
        for output in range(len(bias)):
            for i in range(len(weight)):
                value[row, output] += x[row, i] * weight[i, output]
            value[row, output] += bias[output]
    return value


x, weight, bias = (generator.standard_normal(shape) for shape in ((5, 7), (7, 3), (3,)))
assert np.allclose(linear_by_loops(x, weight, bias), x @ weight + bias)
assert np.allclose(linear_by_loops(x, weight, bias), ag.linear(x, weight, bias).data)

# %% [markdown]
r"""
`ag.linear` is an operation: arrays go in, an array comes out. A *layer* is an object that keeps its weights. In this
project it is a `Module`. A weight is a `Parameter`, a Tensor with `requires_grad=True`. You needn't register weights. A
module finds them in its attributes, and the name of an attribute becomes part of the name of the weight.
"""


# %%
class TwoLayers(Module):
    def __init__(self, generator):
        self.hidden = Linear(28 * 28, 32, generator)
        self.output = Linear(32, 10, generator)
        self.temperature = Parameter(np.ones(()))

    def forward(self, images):
        x = ag.relu(self.hidden(images.reshape(len(images), -1)))
        return self.output(x) * self.temperature


two_layers = TwoLayers(generator)
for name, parameter in two_layers.parameters().items():
    print(f"{name:15}{parameter.shape!s:>11}")
print(f"together {two_layers.parameter_count():,} numbers")

# %% [markdown]
r"""
**Claim.** The initial weights must be neither too large nor too small. With variance $1/n$, where $n$ is the number of
inputs, the outputs of a layer are about as large as its inputs, however wide the layer is.

Here is why. A weight has mean 0 and is independent of its input, so one term $x_i W_{io}$ has the variance
$\mathrm{Var}(W_{io})\,\mathrm{E}\,[x_i^2]$. A sum of $n$ independent terms has $n$ times the variance of one term:

$$\mathrm{Var}(y_o) = n\, \mathrm{Var}(W_{io})\, \mathrm{E}\,[x_i^2]$$

With $\mathrm{Var}(W_{io}) = 1/n$, the variance of an output is the mean square of an input.

We send a signal through 20 linear layers three times. The [standard deviation](glossary.md#standard-deviation) of the
weights is first half the right one, then the right one, then twice the right one. Note the scale: from one grid line to
the next, the size grows by a factor of 100.
"""

# %%
signal = generator.standard_normal((64, 128))
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for factor, style in ((0.5, "v:"), (1, "o-"), (2, "^--")):
    stream, sizes = signal, [1.0]
    for _ in range(20):
        stream = stream @ (factor * Linear(128, 128, generator).weight.data)
        sizes.append(stream.std())
    axes.semilogy(sizes, style, markersize=4, label=f"standard deviation {factor} / root of width")
    if factor == 1:
        assert 0.3 < sizes[-1] < 3
axes.set(xlabel="layers", ylabel="size of the signal", title="first weights", xticks=range(0, 21, 5))
axes.grid(alpha=0.3)
axes.legend(fontsize=8)
plt.show()

# %% [markdown]
r"""
## A convolution

A linear layer on pixels has a weight for every pixel and every output. What it learns about a stroke on the left
doesn't help with the same stroke on the right. A [convolution](glossary.md#convolution) looks at a small window of the
image, and it has the same weights wherever this window is. These weights are its
[kernel](glossary.md#kernel-of-a-convolution) $K$. If the window moves on by $s$ pixels (the
[stride](glossary.md#stride)), the output at row $r$ and column $c$ is

$$y_{rc} = \sum_{i,j} K_{ij}\; \mathrm{image}_{rs+i,\; cs+j}$$

As loops, for an `image` (H, W) and one `kernel` (kh, kw):
"""


# %%
def convolve_by_loops(image, kernel, stride=1):
    rows = (image.shape[0] - kernel.shape[0]) // stride + 1
    columns = (image.shape[1] - kernel.shape[1]) // stride + 1
    value = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = image[row * stride :, column * stride :][: kernel.shape[0], : kernel.shape[1]]
            value[row, column] = (window * kernel).sum()
    return value


digit = train.draw(generator, [5])[0].astype(np.float64)
kernels = {
    "as it is": np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0.0]]),
    "upper edges": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1.0]]),
    "left edges": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1.0]]),
    "any change": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1.0]]),
}

# %% [markdown]
r"""
Vectorised, one array holds all windows, and the loops become one sum of products. The library's `ag.conv` takes many
images with several channels, (B, H, W, in), and many kernels at once, (kh, kw, in, out).
"""

# %%
figure, panels = plt.subplots(1, 4, figsize=(8, 2.3), layout="constrained")
for axes, (name, kernel) in zip(panels, kernels.items()):
    for stride in (1, 2):
        windows = np.lib.stride_tricks.sliding_window_view(digit, kernel.shape)[::stride, ::stride]
        by_loops = convolve_by_loops(digit, kernel, stride)
        assert np.allclose(by_loops, np.einsum("yxij,ij->yx", windows, kernel))
        by_library = ag.conv(digit[None, :, :, None], kernel[:, :, None, None], stride=stride).data
        assert np.allclose(by_loops, by_library[0, :, :, 0])
    shown = convolve_by_loops(digit, kernel)
    axes.imshow(shown, cmap="gray", vmin=-np.abs(shown).max(), vmax=np.abs(shown).max())
    axes.set(xticks=[], yticks=[])
    axes.set_title(name, fontsize=9)
figure.suptitle("one digit through four kernels (white: positive, black: negative)", fontsize=10)
plt.show()

# %% [markdown]
r"""
We chose these kernels by hand. A network learns its own. One kernel for the whole image has two advantages. There are
**few weights**. And if the digit moves, the output **moves with it** and doesn't change otherwise. The next cell checks
both.
"""

# %%
layer = Conv(1, 16, generator, kernel=(5, 5), stride=2, padding=2)  # the judge's first one
images = train.draw(generator, [3])[..., None]  # (1, 28, 28, 1)
moved = np.roll(images, (2, 4), axis=(1, 2))  # two down, four to the right: one and two steps of the stride
assert np.allclose(np.roll(layer(images).data, (1, 2), axis=(1, 2))[:, 3:-3, 3:-3], layer(moved).data[:, 3:-3, 3:-3])
same_size = 28 * 28 * 14 * 14 * 16
print(f"{layer.parameter_count()} weights; a linear layer from the same input to the same output has {same_size:,}")

# %% [markdown]
r"""
## The loss for classes: cross entropy

For each image the network gives ten numbers, the [logits](glossary.md#logits) $z$. Softmax turns them into
probabilities $p$. For image $r$ with the right digit $\ell_r$, the loss is minus the logarithm of the probability of
this digit. We take the mean over $n$ images:

$$p_{rk} = \frac{e^{z_{rk}}}{\sum_j e^{z_{rj}}}, \qquad L = -\frac{1}{n} \sum_r \log p_{r,\, \ell_r}$$

If the network is sure and right, the loss is nearly 0. If it gives each digit the same probability, the loss is $\log
10$. If it is sure and wrong, the loss is large. First as a loop, then vectorised:
"""


# %%
def cross_entropy_by_loop(logits, labels):
    total = 0.0
    for row, label in zip(logits, labels):
        probability = np.exp(row) / np.exp(row).sum()
        total -= np.log(probability[label])
    return total / len(logits)


def cross_entropy_vectorised(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)  # so that nothing overflows
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_probability[np.arange(len(labels)), labels].mean()


logits, answers = generator.standard_normal((6, 10)), generator.integers(0, 10, 6)
assert np.isclose(cross_entropy_by_loop(logits, answers), cross_entropy_vectorised(logits, answers))
assert np.isclose(cross_entropy_by_loop(logits, answers), ag.cross_entropy(logits, answers).item())
print(f"guessing costs log 10 = {np.log(10):.3f}: {cross_entropy_vectorised(np.zeros((6, 10)), answers):.3f}")

# %% [markdown]
r"""
**Claim.** The gradient of cross entropy is simple. Take the probabilities, subtract 1 at the right digit, and divide by
the number of images.

$$\frac{\partial L}{\partial z_{rk}} = \frac{1}{n}\, \big(p_{rk} - [k = \ell_r]\big)$$

where $[k = \ell_r]$ is 1 at the right digit, else 0. To derive it, write $\log p_{r,\ell_r} = z_{r,\ell_r} - \log
\sum_j e^{z_{rj}}$. Its slope along $z_{rk}$ is $[k = \ell_r] - p_{rk}$. So a step against the gradient raises the right
logit of each image and lowers the others. The change is larger if the right digit was less probable. An image that the
network already reads well hardly changes anything.
"""

# %%
leaf = ag.Tensor(logits, requires_grad=True)
(slope,) = ag.gradients(ag.cross_entropy(leaf, answers), [leaf])
assert np.allclose(slope, (ag.softmax(logits).data - np.eye(10)[answers]) / len(logits))
print(f"gradient check: {ag.gradcheck(lambda l: ag.cross_entropy(l, answers), logits):.1e} of what is allowed")

# %% [markdown]
r"""
## The optimiser: AdamW

The gradient points uphill. The simplest [optimiser](glossary.md#optimiser) goes against it: `weight -= rate *
gradient`. But the loss may have the shape of a narrow valley. It is steep across the valley and nearly flat along it. A
rate that is small enough for the steep direction is far too small for the flat one.

**Adam** keeps two running means for every weight: $m$ of the gradient $g$, and $v$ of its square. It divides $m$ by the
root of $v$. So each weight moves by about the [learning rate](glossary.md#learning-rate) $\eta$, whether its slope is
steep or flat. Both means start at zero, so at first they are too small. The second line below corrects this. The **W**
stands for [weight decay](glossary.md#weight-decay) $\lambda$: every weight shrinks a little in each step. In step $k$:

$$m \leftarrow \beta_1 m + (1-\beta_1)\, g, \qquad v \leftarrow \beta_2 v + (1-\beta_2)\, g^2$$

$$\hat m = \frac{m}{1-\beta_1^k}, \qquad \hat v = \frac{v}{1-\beta_2^k}$$

$$w \leftarrow (1 - \eta\lambda)\, w - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon}$$

Here $\beta_1$ and $\beta_2$, slightly below 1, say how long the means remember. The tiny $\varepsilon$ only prevents a
division by zero. Note that it isn't under the root.
"""


# %%
def adamw_steps(gradient_of, weight, steps, rate, decay=0.0, beta1=0.9, beta2=0.99, eps=1e-8):
    mean, square, path = np.zeros_like(weight), np.zeros_like(weight), [weight]
    for step in range(1, steps + 1):
        gradient = gradient_of(weight)
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        unbiased_mean, unbiased_square = mean / (1 - beta1**step), square / (1 - beta2**step)
        weight = (1 - rate * decay) * weight - rate * unbiased_mean / (np.sqrt(unbiased_square) + eps)
        path.append(weight)
    return np.array(path)


steepness = np.array([1.0, 60.0])  # a valley: 60 times as steep across as along
valley, start = (lambda w: steepness * w), np.array([-4.0, 1.5])

ours = adamw_steps(valley, start, 60, rate=0.3, decay=0.02)
weights = {"w": ag.Tensor(start.copy(), requires_grad=True)}
optimiser = AdamW(weights, learning_rate=0.3, weight_decay=0.02)
for _ in range(60):
    optimiser.step({"w": valley(weights["w"].data)})
assert np.allclose(ours[-1], weights["w"].data)  # the library's AdamW takes the same way

plain = [start]
for _ in range(60):
    plain.append(plain[-1] - 0.032 * valley(plain[-1]))  # a rate just under the one at which it flies off
plain = np.array(plain)

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
across, along = np.meshgrid(np.linspace(-1.8, 1.8, 100), np.linspace(-4.4, 1.5, 100))
axes.contour(along, across, 0.5 * (along**2 + 60 * across**2), np.geomspace(0.05, 90, 10), colors="0.8", linewidths=0.8)
axes.plot(*plain.T, "s--", markersize=3, label="plain steps")
axes.plot(*ours.T, "o-", markersize=3, label="AdamW")
axes.plot(0, 0, "k*", markersize=10)
axes.set(xlabel="along the valley", ylabel="across", title="60 steps down a narrow valley, to the star")
axes.legend()
plt.show()
print(f"after 20 steps, distance to the star: plain {np.hypot(*plain[20]):.2f}, AdamW {np.hypot(*ours[20]):.2f}")

# %% [markdown]
r"""
Plain steps jump from one side of the valley to the other, and come closer to the star only slowly. AdamW goes past the
star and comes back. In a real training each gradient comes from another random batch. With a constant rate the weights
then never come quite to rest. Therefore one lowers the learning rate towards the end.

## Train the judge

Now we have all parts. The judge has three convolutions, each of which halves height and width, and two linear layers.
Ours has a quarter of the channels of the judge in the package.
"""

# %%
judge = DigitJudge(generator, width=4, classes=10)
for name, parameter in judge.parameters().items():
    print(f"{name:25}{parameter.shape!s:>15}")
print(f"together {judge.parameter_count():,} numbers")

first = train.draw(generator, np.arange(200) % 10)
first_loss = ag.cross_entropy(judge(first), np.arange(200) % 10).item()
print(f"before any training the loss is {first_loss:.2f}; knowing nothing would cost {np.log(10):.2f}")


# %%
def accuracy(judge, images, labels):
    with ag.no_grad():
        return float((judge(images).data.argmax(axis=1) == labels).mean())


def train_on(judge, images, labels, steps, generator, change=None, every=10, watch=()):
    """Train with random batches of 64. watch: pairs (images, labels); yields (step, loss, accuracies on these)."""
    weights = judge.parameters()
    optimiser = AdamW(weights, learning_rate=3e-3)
    for step in range(1, steps + 1):
        pick = generator.integers(0, len(images), 64)
        batch = images[pick] if change is None else change(images[pick], generator)
        loss = ag.cross_entropy(judge(batch), labels[pick])
        optimiser.step(dict(zip(weights, ag.gradients(loss, weights.values()))))
        if step % every == 0 or step == 1:
            yield step, loss.item(), [accuracy(judge, *known) for known in watch]


def some(source, count, generator):
    """So many images of a source, (count, 28, 28) in [0, 1], no two the same, and their labels."""
    pick = generator.permutation(len(source.images))[:count]
    return source.images[pick] * np.float32(1 / 255), source.labels[pick].astype(int)


count = size(2000, 100)
test_images, test_labels = some(test, count, np.random.default_rng(1))
many_images, many_labels = some(train, count, np.random.default_rng(2))

steps = size(300, 10)
with blas_threads(1):
    history = list(
        train_on(judge, many_images, many_labels, steps, generator, watch=[(test_images[:500], test_labels[:500])])
    )
    reached = accuracy(judge, test_images, test_labels)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.9), layout="constrained")
left.semilogy([h[0] for h in history], [h[1] for h in history], "o-", markersize=3)
left.axhline(np.log(10), color="0.6", linestyle=":")
left.set(xlabel="step", ylabel="loss of the batch", title="cross entropy (dotted: knowing nothing)")
right.plot([h[0] for h in history], [h[2][0] for h in history], "o-", markersize=3)
right.set(xlabel="step", ylabel="share of test digits read", ylim=(0, 1.02), title="accuracy")
for axes in (left, right):
    axes.grid(alpha=0.3)
plt.show()
uncertain = np.sqrt(reached * (1 - reached) / count)
print(f"reads {reached:.1%} of {count:,} test digits, give or take {uncertain:.1%} (one standard error)")
assert reached > size(0.9, 0)

# %% [markdown]
r"""
State the uncertainty of every accuracy, as the line above does after "give or take". A share $p$ that was counted on
$n$ digits has the [standard error](glossary.md#standard-error)

$$\sqrt{\frac{p\,(1-p)}{n}}$$

If 90% of 100 test digits are read, the standard error is 3%. A difference of 2% between two networks may then well be
chance.

## Overfitting

**Claim.** A network can learn its training digits by heart. Then its accuracy on these digits says nothing about other
digits.

We train two judges with the same number of steps. One sees only a few digits, again and again. The other one sees many.
"""

# %%
few = size(40, 20)
runs = {}
with blas_threads(1):
    for name, amount in ((f"{few} digits", few), (f"{count:,} digits", count)):
        draw = np.random.default_rng(3)
        seen = many_images[:amount], many_labels[:amount]
        watch = [(seen[0][:500], seen[1][:500]), (test_images[:500], test_labels[:500])]
        learner = DigitJudge(draw, width=4, classes=10)
        runs[name] = list(train_on(learner, *seen, steps, draw, watch=watch))

figure, panels = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True)
for axes, (name, history) in zip(panels, runs.items()):
    at = [h[0] for h in history]
    axes.plot(at, [h[2][0] for h in history], "--", label="digits it was trained on")
    axes.plot(at, [h[2][1] for h in history], "-", label="test digits")
    axes.set(xlabel="step", title=f"trained on {name}", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
panels[0].set_ylabel("share read")
panels[1].legend()
plt.show()
for name, history in runs.items():
    print(f"{name:>13}: {history[-1][2][0]:.0%} of its own, {history[-1][2][1]:.0%} of the test digits")
gaps = [history[-1][2][0] - history[-1][2][1] for history in runs.values()]
assert gaps[0] > gaps[1] or size(0, 1)

# %% [markdown]
r"""
Look at the gap between the lines. On the left, the network knows its own digits and fails on many others. This is
called [overfitting](glossary.md#overfitting). So one puts a [test set](glossary.md#test-set) aside before the training,
and never trains on it. Don't *choose* a network by the test set, either. If you try a hundred networks and keep the one
with the best test accuracy, part of this accuracy is luck. For choosing there is a third set, the *validation set*.

## Which digits are confused

The accuracy doesn't say which mistakes a network makes. The [confusion matrix](glossary.md#confusion-matrix) does. It
has a row for each true digit and a column for each digit that was read. An entry counts the images.
"""

# %%
with ag.no_grad():
    scores = judge(test_images).data
read = scores.argmax(axis=1)
confusion = np.zeros((10, 10), int)
for true, seen_as in zip(test_labels, read):
    confusion[true, seen_as] += 1
vectorised = np.bincount(10 * test_labels + read, minlength=100).reshape(10, 10)
assert np.array_equal(confusion, vectorised) and np.isclose(np.trace(confusion) / count, (read == test_labels).mean())

mistakes = confusion - np.diag(np.diag(confusion))
figure, axes = plt.subplots(figsize=(4.6, 4), layout="constrained")
picture = axes.imshow(mistakes, cmap="cividis")
for i, j in np.ndindex(10, 10):
    if confusion[i, j]:
        dark = mistakes[i, j] < mistakes.max() / 2
        axes.text(j, i, confusion[i, j], ha="center", va="center", fontsize=8, color="white" if dark else "black")
axes.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="true digit")
axes.set_title("confusions (colour: mistakes only)", fontsize=10)
plt.show()
if mistakes.any():
    true, seen_as = np.unravel_index(mistakes.argmax(), mistakes.shape)
    print(f"most often: a {true} read as {seen_as}, {mistakes[true, seen_as]} times")

# %%
surprise = -ag.log_softmax(scores).data[np.arange(count), test_labels]
worst = np.argsort(-surprise)[:10]
figure, panels = plt.subplots(1, 10, figsize=(9, 1.5), layout="constrained")
for axes, i in zip(panels, worst):
    axes.imshow(test_images[i], cmap="gray")
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"{test_labels[i]} as {read[i]}", fontsize=9)
figure.suptitle("the ten test digits with the largest loss", fontsize=10)
plt.show()

# %% [markdown]
r"""
Always look at the worst cases. Some are simply hard to read. Others may show a mistake in the data.

## What the test set doesn't tell

**Claim.** A test tells how a network reads digits like those of the test set. It tells nothing about other kinds of
digits.

Digits in a generated clip aren't neat. They may be off centre, blurred or noisy, and another digit may pass by. The
package's function `disturb` does all this to digits. Our judge has never seen such digits. We train a second judge on
them, with the same number of steps.
"""

# %%
with blas_threads(1):
    hardened = DigitJudge(np.random.default_rng(4), width=4, classes=10)
    draw = np.random.default_rng(5)
    for _ in train_on(hardened, many_images, many_labels, steps, draw, change=disturb, every=steps):
        pass
    rough_images = disturb(test_images, np.random.default_rng(6))
    table = {
        name: [accuracy(each, images, test_labels) for images in (test_images, rough_images)]
        for name, each in (("trained on neat digits", judge), ("trained on disturbed ones", hardened))
    }

figure, panels = plt.subplots(2, 8, figsize=(8, 2.2), layout="constrained")
for i, (above, below) in enumerate(panels.T):
    above.imshow(test_images[i], cmap="gray")
    below.imshow(rough_images[i], cmap="gray")
    for axes in (above, below):
        axes.set(xticks=[], yticks=[])
panels[0, 0].set_ylabel("neat")
panels[1, 0].set_ylabel("disturbed")
plt.show()
print(f"{'judge':27}{'neat':>8}{'disturbed':>11}")
for name, (neat, rough) in table.items():
    print(f"{name:27}{neat:>8.1%}{rough:>11.1%}")
assert table["trained on neat digits"][0] > table["trained on neat digits"][1] or size(0, 1)

# %% [markdown]
r"""
So a judge for generated clips must be trained and tested on disturbed digits. The judge in the package was. It has four
times as many channels as ours, was trained for many more steps, and also learnt the digits of MNIST.

## Exercises

Worked solutions are in [solutions/02_layers_and_learning](solutions/02_layers_and_learning.ipynb).

**1. The pullback of a linear layer on sequences.** `x` is (B, N, in): B sequences of N tokens. `weight` is (in, out),
and the bias is (out,). Given `grad` (B, N, out), return the gradients of x, weight and bias, in this order. Think
first: over which axes must you sum?
"""


# %%
def linear_pullback(x, weight, grad):
    pass  # fill me in, about 3 lines


check.ch02_linear(linear_pullback)

# %% [markdown]
r"""
**2. Cross entropy with soft targets.** Some images could show either of two digits. So let the targets $q$ be
probabilities, too. Each row of `targets` (n, K) adds up to 1.

$$L = -\frac{1}{n} \sum_{r,k} q_{rk} \log p_{rk}$$

Return the loss and its gradient with respect to the `logits` (n, K). Logits of several thousand must not cause an
overflow.
"""


# %%
def soft_cross_entropy(logits, targets):
    pass  # fill me in, about 5 lines


check.ch02_soft_cross_entropy(soft_cross_entropy)

# %% [markdown]
r"""
**3. A convolution with channels.** `image` is (H, W, in) and `kernel` is (kh, kw, in, out). The window moves on by
`stride` pixels and never leaves the image. Return an array (rows, columns, out). Loops over rows and columns are fine.
"""


# %%
def convolve(image, kernel, stride):
    pass  # fill me in, about 7 lines


check.ch02_conv(convolve)

# %% [markdown]
r"""
**4. A step of AdamW for a whole network**, as large models are trained. `weights`, `gradients`, `means` and `squares`
are dicts from names to arrays. Two things are new. First, the gradients are *clipped*. Think of all gradients together
as one long vector. If its norm is above `clip`, multiply all gradients by one factor, so that the norm becomes `clip`.
Second, only arrays with two or more axes get weight decay. Biases don't. Use $\beta_1 = 0.9$, $\beta_2 = 0.99$ and
$\varepsilon = 10^{-8}$. `means` and `squares` are $m$ and $v$ before this step, and `step` is its number $k$, counted
from 1. Return three dicts: the new weights, means and squares.
"""


# %%
def adamw(weights, gradients, means, squares, step, rate, decay, clip):
    pass  # fill me in, about 10 lines


check.ch02_adamw(adamw)

# %% [markdown]
r"""
**5. [Precision and recall](glossary.md#precision-and-recall).** `labels` (n,) holds the true digits, `read` (n,) the
digits that were read. Take the digit 3. Of all images that were read as 3, the share that shows a 3 is its *precision*.
Of all images that show a 3, the share that was read as 3 is its *recall*. Return first the precision, then the recall,
for all digits, (10,) each. Where a share would be 0 / 0, it is 0.
"""


# %%
def precision_and_recall(labels, read):
    pass  # fill me in, about 6 lines


check.ch02_precision_and_recall(precision_and_recall)

# %% [markdown]
r"""
**6. Break it and explain.** Set all weights and biases of `TwoLayers` to 0 (`parameter.data[...] = 0`) and train it
with `list(train_on(...))`. Which parameters have changed after 200 steps? What is the loss? Explain both by the
pullback of exercise 1. What happens if all weights and biases start at 0.1 instead?

**7. A question to explore.** `disturb` does several things to a digit. Which of them causes the most mistakes? Write a
function for each, measure the accuracy, and say how certain your answer is.
"""

# %% [markdown]
r"""
## In practice

- **Convolutions for digits** are known from [LeCun et al. 1998](references.md#lecun-1998). The same paper introduced
  MNIST.
- **Initial weights** of variance 2/n are for layers that are followed by [ReLU](glossary.md#relu) ([He et al.
  2015](references.md#he-2015)). The library's `Conv` has them.
- **AdamW** ([Loshchilov and Hutter 2019](references.md#loshchilov-2019), after [Kingma and Ba
  2015](references.md#kingma-2015)) trains nearly all large diffusion models, **DiT** among them, with a constant rate
  of 1e-4 ([Peebles and Xie 2023](references.md#peebles-2023)).
- **A network as judge.** Networks measure large systems, too. The *Fréchet distance* compares the features that a
  network computes for real and for generated pictures ([Heusel et al. 2017](references.md#heusel-2017)). What this
  network doesn't see, the measure doesn't see either.

## Further reading

- Goodfellow, Bengio, Courville, *Deep learning*, chapters 5 to 9 ([online](references.md#goodfellow-2016)).
- Here: `minivdit/nn/`, the layers; `minivdit/nn/optim.py`; `minivdit/lab/evaluation/train_judge.py`, the training of
  the judge in the package.

Next: [chapter 3](03_adding_noise.ipynb), adding noise.
"""
