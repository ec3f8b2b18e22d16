"""Checks of chapter 2: layers, the loss, the optimiser, precision and recall."""

import numpy as np

from ...autograd import Tensor, conv, gradients, linear, log_softmax
from ...autograd import sum as total
from ...nn.optim import simple_adamw
from .exercise import Wrong, agree, agree_all, agree_gradients, different, exercise


@exercise("linear_pullback")
def ch02_linear(answer, generator):
    batch, tokens, inputs, outputs = different(generator, 4)
    x = generator.standard_normal((batch, tokens, inputs))
    weight, bias = generator.standard_normal((inputs, outputs)), generator.standard_normal(outputs)
    grad = generator.standard_normal((batch, tokens, outputs))
    agree_gradients(answer(x, weight, grad), linear, {"x": x, "the weight": weight, "the bias": bias}, grad)


@exercise("soft_cross_entropy")
def ch02_soft_cross_entropy(answer, generator):
    rows, classes = different(generator, 2)
    logits = 3 * generator.standard_normal((rows, classes))
    targets = generator.dirichlet(np.ones(classes), rows)
    targets[0] = np.eye(classes)[0]  # one that is sure
    for size in (1, 2000):
        leaf = Tensor(size * logits, requires_grad=True)
        loss = total(log_softmax(leaf) * (-targets / rows))
        got = answer(size * logits, targets)
        if size > 1 and not all(np.isfinite(part).all() for part in got):
            raise Wrong("logits of a few thousand overflow: NaN or infinity. What may be subtracted from them?")
        expected = {"the loss": loss.data, "the gradient": gradients(loss, [leaf])[0]}
        agree_all("return the loss and its gradient along the logits", got, expected)


@exercise("convolve")
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


@exercise("adamw")
def ch02_adamw(answer, generator):
    rows, columns = different(generator, 2)
    step, rate, decay = int(generator.integers(1, 9)), 0.1, 0.3
    shapes = {"weight": (rows, columns), "bias": (columns,), "timid": (rows,)}
    # The gradients of one are so small that it matters where eps stands.
    scales = {"weight": 1.0, "bias": 1.0, "timid": 1e-8}
    weights = {name: generator.standard_normal(shape) for name, shape in shapes.items()}
    gradients, means = (
        {name: scales[name] * generator.standard_normal(shape) for name, shape in shapes.items()} for _ in range(2)
    )
    squares = {name: scales[name] ** 2 * generator.random(shape) for name, shape in shapes.items()}
    norm = float(np.sqrt(sum((gradient**2).sum() for gradient in gradients.values())))
    for clip, case in ((0.5 * norm, "clipped"), (2 * norm, "too small to be clipped")):
        expected = {
            name: simple_adamw(
                weights[name],
                gradients[name] * min(1, clip / norm),
                means[name],
                squares[name],
                step,
                rate,
                weight_decay=decay if weights[name].ndim > 1 else 0.0,
            )
            for name in shapes
        }
        got = answer(weights, gradients, means, squares, step, rate, decay, clip)
        if not isinstance(got, tuple | list) or len(got) != 3 or not all(isinstance(part, dict) for part in got):
            raise Wrong("return three dicts: the new weights, means and squares")
        for place, what in ((1, "mean"), (2, "square"), (0, "array")):
            for name in shapes:
                if name not in got[place]:
                    raise Wrong(f"the new {what} of {name!r} is missing")
                agree(f"gradients {case}: the new {what} of {name!r}", got[place][name], expected[name][place])


@exercise("precision_and_recall")
def ch02_precision_and_recall(answer, generator):
    labels = generator.integers(0, 9, 57)  # there is no 9
    read = np.where(generator.random(57) < 0.6, labels, generator.integers(0, 8, 57))
    read[read == 3] = 5  # nothing is read as a 3

    def share(of, among):
        """How often two conditions hold together, among the images where one does."""
        return np.mean(of[among]) if among.any() else 0.0

    expected = {
        "the precision": np.array([share(labels == k, read == k) for k in range(10)]),
        "the recall": np.array([share(read == k, labels == k) for k in range(10)]),
    }
    agree_all("return two arrays: the precision and the recall of each digit", answer(labels, read), expected)
