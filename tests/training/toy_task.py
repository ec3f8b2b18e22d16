"""A task small enough to train in a test: a two-layer network denoises a number. Also runs as a program.

python toy_task.py checkpoint steps    (prints "step N" after each)
"""

import sys

import numpy as np

from minivdit import autograd as ag
from minivdit.nn import Linear, Module
from minivdit.training.loop import fit
from minivdit.training.settings import TrainingSettings
from minivdit.training.tasks import Task, error_by_level

SETTINGS = TrainingSettings(steps=30, batch=12, shards=3, learning_rate=0.01, warmup=3)


class Net(Module):
    def __init__(self, width, generator):
        self.enter = Linear(4, width, generator)
        self.blocks = [Linear(width, width, generator)]
        self.leave = Linear(width, 3, generator)

    def forward(self, x):
        return self.leave(ag.gelu(self.blocks[0](ag.gelu(self.enter(x)))))


class ToyTask(Task):
    def __init__(self, width=16, seed=0, items=12):
        self.config, self.items = {"width": width}, items
        self.model = Net(width, np.random.default_rng(seed))
        self.parameters = self.model.parameters()

    def batch(self, generator):
        level = generator.random((self.items, 1), dtype=np.float32)
        clean = generator.standard_normal((self.items, 3), dtype=np.float32).cumsum(axis=1)
        return {"clean": clean, "noise": generator.standard_normal((self.items, 3), dtype=np.float32), "level": level}

    def loss(self, batch):
        x = batch["clean"] * (1 - batch["level"]) + batch["noise"] * batch["level"]
        prediction = self.model(np.concatenate([x, batch["level"]], axis=1))
        error = ((prediction.data - batch["clean"]) ** 2).mean(axis=1, keepdims=True)
        loss = ag.mean_squared_error(prediction, batch["clean"])
        return loss, {"level": batch["level"], "error": error, "largest": abs(prediction.data)}

    def summary(self, extras):
        levels = error_by_level(extras.pop("level"), extras.pop("error"))
        return {"levels": levels, **super().summary(extras)}


if __name__ == "__main__":
    path, steps = sys.argv[1], int(sys.argv[2])

    def report(run, state):
        print("step", state.step, flush=True)

    settings = TrainingSettings(**{**vars(SETTINGS), "steps": steps})
    fit(ToyTask(), settings, path, save_every=3, log_every=2, callbacks=[(1, report)], progress=False)
