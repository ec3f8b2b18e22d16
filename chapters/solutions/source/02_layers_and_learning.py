# %% [markdown]
r"""
# Solutions to chapter 2

Worked answers to the exercises of [chapter 2](../02_layers_and_learning.ipynb). Try them yourself first.
"""

# %%
import numpy as np

from minivdit.lab.lessons import check

# %% [markdown]
r"""
**1. The pullback of a linear layer.** Two matrix products, and for the bias, which every row has used, a sum over rows. The
shapes alone nearly dictate it.
"""


# %%
def linear_pullback(x, weight, grad):
    return grad @ weight.T, x.T @ grad, grad.sum(axis=0)


check.ch02_linear(linear_pullback)

# %% [markdown]
r"""
**2. Cross entropy.** Logarithm and exponential are never taken one after the other: subtract the largest logit, which changes
no probability, then the logarithm of the sum.
"""


# %%
def cross_entropy(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_probability[np.arange(len(labels)), labels].mean()


check.ch02_cross_entropy(cross_entropy)

# %% [markdown]
r"""
**3. A convolution with channels.** A window and the kernels have three axes in common; the sum runs over all of them.
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
**4. One step of AdamW.** The corrections use the step's number, so it must count from 1. The decay takes its share of the weight
itself; it doesn't go through the means (that is the W).
"""


# %%
def adamw(weight, gradient, mean, square, step, rate, decay):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.99 * square + 0.01 * gradient**2
    move = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    return (1 - rate * decay) * weight - rate * move, mean, square


check.ch02_adamw(adamw)

# %% [markdown]
r"""
**5. The confusion matrix.** `np.add.at` counts a pair as often as it comes; `matrix[labels, read] += 1` would count it once.
"""


# %%
def confusion_of(labels, read):
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, read), 1)
    return matrix


check.ch02_confusion(confusion_of)
