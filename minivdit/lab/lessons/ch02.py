"""Checks of chapter 2: layers, the loss, the optimiser, counting mistakes."""

import numpy as np

from ...autograd import Tensor, conv, cross_entropy, linear
from ...nn.optim import AdamW
from .exercise import Wrong, agree, agree_gradients, different, exercise


@exercise
def ch02_linear(answer, generator):
    rows, inputs, outputs = different(generator, 3)
    x, weight, bias = (generator.standard_normal(shape) for shape in ((rows, inputs), (inputs, outputs), (outputs,)))
    grad = generator.standard_normal((rows, outputs))
    agree_gradients(answer(x, weight, grad), linear, {"x": x, "the weight": weight, "the bias": bias}, grad)


@exercise
def ch02_cross_entropy(answer, generator):
    rows, classes = different(generator, 2)
    logits, labels = 3 * generator.standard_normal((rows, classes)), generator.integers(0, classes, rows)
    agree("the loss", answer(logits, labels), cross_entropy(logits, labels).data)
    if not np.isfinite(answer(2000 * logits, labels)).all():
        raise Wrong("logits of a few thousand overflow: NaN or infinity. What may be subtracted from them?")
    agree("the loss of large logits", answer(2000 * logits, labels), cross_entropy(2000 * logits, labels).data)


@exercise
def ch02_conv(answer, generator):
    height, width, inputs, outputs = different(generator, 4, 6, 14)
    tall, wide = (int(n) for n in 2 + generator.permutation(4)[:2])  # different, at most 5
    image = generator.standard_normal((height, width, inputs))
    kernel = generator.standard_normal((tall, wide, inputs, outputs))
    stride = int(generator.integers(1, 4))
    agree(
        f"the output with stride {stride}",
        answer(image, kernel, stride),
        conv(image[None], kernel, stride=stride).data[0],
    )


@exercise
def ch02_adamw(answer, generator):
    shape, step, rate, decay = different(generator, 2), int(generator.integers(1, 9)), 0.1, 0.3
    weight, gradient, mean = generator.standard_normal((3, *shape))
    square = generator.random(shape)
    weights = {"w": Tensor(weight.copy(), requires_grad=True)}
    optimiser = AdamW(weights, learning_rate=rate, weight_decay=decay)
    optimiser.load_state_dict({"steps": step - 1, "mean.w": mean, "square.w": square})
    optimiser.step({"w": gradient})
    given = [weight, gradient, mean, square]
    got = answer(*(array.copy() for array in given), step, rate, decay)
    if not isinstance(got, tuple) or len(got) != 3:
        raise Wrong("return three arrays: the new weight, mean and square")
    agree("the new mean", got[1], optimiser.slots["mean"]["w"])
    agree("the new square", got[2], optimiser.slots["square"]["w"])
    agree("the new weight", got[0], weights["w"].data)


@exercise
def ch02_confusion(answer, generator):
    labels = generator.integers(0, 10, 57)
    read = np.where(generator.random(57) < 0.6, labels, generator.integers(0, 8, 57))
    expected = np.array([[np.sum((labels == i) & (read == j)) for j in range(10)] for i in range(10)])
    agree("the matrix (true, read)", answer(labels, read), expected)
