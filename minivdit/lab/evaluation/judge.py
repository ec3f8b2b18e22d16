"""The digit judge: a small convolutional network that reads the digits of clips and gives features of them.

Its classes are the digits 0 to 9, and NONE for a window that shows no digit.

Its weights come with the package; `python -m minivdit.lab.evaluation.train_judge` makes them anew.
"""

import functools
from pathlib import Path

import numpy as np

from ... import autograd as ag
from ...base.backend import device_name, to_device, to_numpy
from ...base.files import load_tensors
from ...nn import Conv, Linear, Module

WINDOW = 28  # side of the windows it reads, px
WEIGHTS = Path(__file__).parents[2] / "weights" / "judge.safetensors"
NONE = 10  # the class of windows without a digit
CLASSES = NONE + 1
CHUNK = 256  # images at a time, so that activations stay small


class DigitJudge(Module):
    """Windows (n, 28, 28) with values in [0, 1] -> logits (n, classes), and features on the way.

    classes: 11, the ten digits and NONE, or 10 for a judge that takes everything for a digit.
    """

    def __init__(self, generator, width=16, classes=CLASSES):
        # Strides early: three quarters of the work of a plain network is in its first two layers.
        self.convolutions = [
            Conv(1, width, generator, kernel=(5, 5), stride=2, padding=2),  # 28 -> 14
            Conv(width, 2 * width, generator, kernel=(3, 3), stride=2, padding=1),  # 14 -> 7
            Conv(2 * width, 4 * width, generator, kernel=(3, 3), stride=2, padding=1),  # 7 -> 4
        ]
        self.hidden = Linear(4 * 4 * 4 * width, 4 * width, generator)
        self.output = Linear(4 * width, classes, generator)

    def maps(self, images):
        """Images (n, H, W) of any size -> local features (n, H/8, W/8, 64): which stroke is where."""
        x = images.reshape(*images.shape, 1)
        for convolution in self.convolutions:
            x = ag.relu(convolution(x))
        return x

    def features(self, windows):
        """Windows (n, 28, 28) -> (n, 64): what the digit looks like, whatever its exact place."""
        x = self.maps(windows)
        return ag.relu(self.hidden(x.reshape(len(windows), -1)))

    def forward(self, windows):
        return self.output(self.features(windows))

    def read(self, windows):
        """Windows (..., 28, 28), NumPy -> log-probabilities (..., classes) and features (..., 64), NumPy."""
        leading = windows.shape[:-2]
        flat = windows.reshape(-1, *windows.shape[-2:])
        logits, features = [], []
        with ag.no_grad():
            for first in range(0, max(len(flat), 1), CHUNK):
                found = self.features(to_device(flat[first : first + CHUNK]))
                features.append(to_numpy(found.data))
                logits.append(to_numpy(ag.log_softmax(self.output(found)).data))
        logits, features = np.concatenate(logits), np.concatenate(features)
        return logits.reshape(*leading, logits.shape[-1]), features.reshape(*leading, features.shape[-1])


def load_judge():
    """The judge whose weights are shipped with the package."""
    return _load_judge(device_name())


@functools.lru_cache(maxsize=2)
def _load_judge(device):  # `device` keeps what is cached for the CPU and the GPU apart
    tensors, _ = load_tensors(WEIGHTS)
    judge = DigitJudge(np.random.default_rng(0))
    judge.load_state_dict({name: array.astype(np.float32) for name, array in tensors.items()})
    return judge


def accuracy(judge, images, labels):
    """Fraction of digits (n, 28, 28), uint8 or in [0, 1], that are read as their label."""
    windows = images * np.float32(1 / 255) if images.dtype == np.uint8 else images
    return float((judge.read(windows)[0].argmax(-1) == labels).mean())
