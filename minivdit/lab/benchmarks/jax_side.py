"""A training step in JAX: a yardstick for `minivdit bench cpu --jax`, which alone imports this file.

Everything is one pure function of two dicts, weights and what the optimisers remember, compiled by jax.jit: loss,
gradients, clipping, optimisers and average. The loss is that of the velocity of rectified flow.
"""

import functools
import itertools
import math
import os

import jax
import jax.numpy as jnp
import numpy as np

from ...diffusion.curves import shifted
from ...nn.optim import fused_parts, is_hidden_matrix, warmup_cosine
from . import jax_twin
from .workloads import LatentTask, Prepared, split_name, training

BETAS, MOMENTUM, EPS = (0.9, 0.99), 0.95, 1e-8


def prepare(name, threads):
    """A training workload, as workloads.Prepared. The process keeps to so many cores, and so does XLA (on Linux)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    run, batch = training(*split_name(name), threads)
    task, settings = run.task, run.settings
    weights = {name: jnp.array(parameter.data) for name, parameter in task.parameters.items()}
    frozen = None if isinstance(task, LatentTask) else jax.tree.map(jnp.array, task.autoencoder.state_dict())
    loss = functools.partial(velocity_loss, task.model.config, task.settings, frozen)
    chosen = {n for n, p in task.parameters.items() if settings.matrix_learning_rate and is_hidden_matrix(n, p)}
    advance = jax.jit(functools.partial(update, loss, settings, chosen), donate_argnums=(0, 1))
    zeros = {kind: jax.tree.map(jnp.zeros_like, weights) for kind in ("mean", "square")}
    state = [weights, {**zeros, "average": jax.tree.map(jnp.copy, weights)}]
    steps = itertools.count()

    def step():
        number = next(steps)
        rate = warmup_cosine(number, settings.warmup, settings.steps, settings.final_fraction)
        *state[:], check = advance(*state, batch, np.float32(number + 1), np.float32(rate))
        if not math.isfinite(float(check)):
            raise FloatingPointError("the loss or a gradient is not a number")
        jax.block_until_ready(state)

    def results():
        value, gradients = jax.jit(jax.value_and_grad(loss))(state[0], batch)
        return {"loss": np.asarray(value), **jax.tree.map(np.asarray, gradients)}

    return Prepared(step, results)


# --- the step ------------------------------------------------------------------------------------------------


def velocity_loss(config, settings, autoencoder, weights, batch):
    """The weighted squared error of the velocity. autoencoder: its weights, or None if the clips are latents."""
    clean = batch["video"] if autoencoder is None else jax_twin.encode(autoencoder, batch["video"])
    level, noise, frame = batch["level"], batch["noise"], lambda a: a[:, :, None, None, None]
    sigma = shifted(level, settings.shift)
    noisy = frame(1 - sigma) * clean + frame(sigma) * noise
    error = (jax_twin.network(config, weights, noisy, level, batch["tokens"]) - (noise - clean)) ** 2
    return (frame(batch["weight"]) * error).mean()


def update(loss, settings, chosen, weights, state, batch, number, fraction):
    """One step: new weights and state, and the sum of loss and norm, to see whether they are finite.

    state: {"mean", "square", "average"} of {name: array}; Muon's momentum is its mean. chosen: the names of Muon's
    matrices. number: of the step, from 1. fraction: of the learning rates.
    """
    value, gradients = jax.value_and_grad(loss)(weights, batch)
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients.values()))
    clipped = jnp.minimum(1.0, settings.clip / (norm + 1e-6))
    new, kept = {}, {"mean": {}, "square": {}, "average": {}}
    for name, weight in weights.items():
        gradient, mean, square = clipped * gradients[name], state["mean"][name], state["square"][name]
        if name in chosen:
            mean = MOMENTUM * mean + gradient
            parts = jnp.split(gradient + MOMENTUM * mean, fused_parts(name), axis=1)
            growth = max(1, parts[0].shape[1] / parts[0].shape[0]) ** 0.5
            direction = growth * jnp.concatenate([*map(orthogonal, parts)], axis=1)
            rate = fraction * settings.matrix_learning_rate
        else:
            mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
            square = BETAS[1] * square + (1 - BETAS[1]) * gradient**2
            direction = mean / (1 - BETAS[0] ** number)
            direction /= jnp.sqrt(square / (1 - BETAS[1] ** number)) + EPS
            rate = fraction * settings.learning_rate
        new[name] = (1 - rate * settings.weight_decay) * weight - rate * direction
        average = state["average"][name]
        kept["mean"][name], kept["square"][name] = mean, square
        kept["average"][name] = average + (1 - settings.ema_decay) * (new[name] - average)
    return new, kept, value + norm


def orthogonal(matrix, steps=5):
    """Muon's Newton-Schulz iteration."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (jnp.linalg.norm(x) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x
