# %% [markdown]
r"""
# Solutions to chapter 2

Worked answers to the exercises of [chapter 2](../02_layers_and_learning.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit import autograd as ag
from minivdit.data import digit_source
from minivdit.lab.lessons import check, size
from minivdit.nn import Linear, Module
from minivdit.nn.optim import AdamW

# %% [markdown]
r"""
**1. The pullback of a linear layer on sequences.** Every token of every sequence uses the same weights and biases, so
their gradients are summed over the axes B and N. Make one long list of rows from these two axes. Then you need only the
pullback of a matrix product.
"""


# %%
def linear_pullback(x, weight, grad):
    rows, grad_rows = x.reshape(-1, x.shape[-1]), grad.reshape(-1, grad.shape[-1])  # (B * N, in), (B * N, out)
    return grad @ weight.T, rows.T @ grad_rows, grad_rows.sum(axis=0)


check.ch02_linear(linear_pullback)

# %% [markdown]
r"""
**2. Cross entropy with soft targets.** Subtract the largest logit, which changes no probability. Compute the logarithm
from the logits, since a probability may be rounded to 0. The gradient is $(p - q)/n$, where $q$ takes the place of the
$[k = \ell_r]$ of the chapter.
"""


# %%
def soft_cross_entropy(logits, targets):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -(targets * log_probability).sum() / len(logits)
    return loss, (np.exp(log_probability) - targets) / len(logits)


check.ch02_soft_cross_entropy(soft_cross_entropy)

# %% [markdown]
r"""
**3. A convolution with channels.** A window and the kernels have three axes in common: rows, columns and input
channels. The sum runs over all three.
"""


# %%
def convolve(image, kernel, stride):
    tall, wide = kernel.shape[:2]
    rows, columns = (image.shape[0] - tall) // stride + 1, (image.shape[1] - wide) // stride + 1
    value = np.zeros((rows, columns, kernel.shape[3]))
    for row in range(rows):
        for column in range(columns):
            window = image[row * stride : row * stride + tall, column * stride : column * stride + wide]
            value[row, column] = np.einsum("ijc,ijco->o", window, kernel)
    return value


check.ch02_conv(convolve)

# %% [markdown]
r"""
**4. A step of AdamW for a whole network.** The norm is one number for all arrays, so the direction of the whole
gradient stays the same. The decay shrinks the weight directly and isn't part of the means. (This is what the W changes
in Adam.) Add $\varepsilon$ to the root. Under the root, 1e-8 would act like 1e-4 outside it, and many gradients aren't
larger than this.
"""


# %%
def adamw(weights, gradients, means, squares, step, rate, decay, clip):
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
    factor = min(1.0, clip / norm)
    new_weights, new_means, new_squares = {}, {}, {}
    for name, weight in weights.items():
        gradient = factor * gradients[name]
        mean = new_means[name] = 0.9 * means[name] + 0.1 * gradient
        square = new_squares[name] = 0.99 * squares[name] + 0.01 * gradient**2
        move = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
        shrink = rate * decay if weight.ndim >= 2 else 0.0
        new_weights[name] = (1 - shrink) * weight - rate * move
    return new_weights, new_means, new_squares


check.ch02_adamw(adamw)

# %% [markdown]
r"""
**5. Precision and recall.** Both have the same numerator, the number of images that were read right. Precision divides
it by the number of images read as the digit, recall by the number of images that show it.
"""


# %%
def precision_and_recall(labels, read):
    right = np.bincount(labels[labels == read], minlength=10)
    was_read, is_true = np.bincount(read, minlength=10), np.bincount(labels, minlength=10)
    return right / np.maximum(was_read, 1), right / np.maximum(is_true, 1)


check.ch02_precision_and_recall(precision_and_recall)

# %% [markdown]
r"""
**6. All weights alike.**
"""


# %%
class TwoLayers(Module):
    def __init__(self, start):
        generator = np.random.default_rng(0)
        self.hidden, self.output = Linear(28 * 28, 32, generator), Linear(32, 10, generator)
        if start is not None:
            for parameter in self.parameters().values():
                parameter.data[...] = start

    def forward(self, images):
        return self.output(ag.relu(self.hidden(images.reshape(len(images), -1))))


source, generator = digit_source("strokes", "train"), np.random.default_rng(1)
images, labels = source.draw(generator, np.arange(2000) % 10), np.arange(2000) % 10
for start in (None, 0.0, 0.1):
    network = TwoLayers(start)
    weights = network.parameters()
    before = {name: parameter.data.copy() for name, parameter in weights.items()}
    optimiser = AdamW(weights, learning_rate=3e-3)
    for _ in range(size(200, 10)):
        pick = generator.integers(0, 2000, 64)
        loss = ag.cross_entropy(network(images[pick]), labels[pick])
        optimiser.step(dict(zip(weights, ag.gradients(loss, weights.values()))))
    moved = [name for name, parameter in weights.items() if not np.array_equal(parameter.data, before[name])]
    units = len(np.unique(network.hidden.weight.data.round(5), axis=1).T)
    print(f"start {start!s:5} loss {loss.item():.2f}, {units:2} different hidden units; moved: {', '.join(moved)}")
print(f"guessing costs {np.log(10):.2f}")

# %% [markdown]
r"""
With zeros, the gradient of the output weights is `hidden.T @ grad`, and `hidden` is 0. The gradient that reaches the
hidden layer is `grad @ weight.T`, and `weight` is 0. So only the output bias changes. It can learn only how frequent
each digit is, and the loss stays at that of guessing. With 0.1, all parameters change. But all hidden units are equal
and get equal gradients, so they stay equal, and 32 units do the work of one. Random initial weights make the units
different. (One layer of a network may start at zero, if the layers around it don't. [Chapter
7](../07_the_transformer_block.ipynb) uses this.)

**7. Which disturbance hurts most?** Read `disturb` in `minivdit/lab/evaluation/train_judge.py` first. Measure all
disturbances on the same test images. Most images are then read in the same way under both of two disturbances, so the
standard error of the *difference* is smaller. Each disturbance can be weak or strong. So say at which strength you
compare them, for example at a strength at which a person still reads all digits.
"""
