"""The workloads in plain PyTorch: the twin's networks, with the optimisers in their fused and foreach forms."""

import itertools
import math

import numpy as np
import torch

from ...diffusion.curves import shifted
from ...models import Autoencoder
from ...nn.optim import fused_parts, is_hidden_matrix, warmup_cosine
from ...training.tasks import AutoencoderTask
from . import torch_twin
from .workloads import LatentTask, Prepared, attention_inputs, split_name, training


def prepare(name, threads, compiled=False, device="cpu"):
    """Prepare a workload for PyTorch. compiled: through torch.compile. device: 'cpu', or 'cuda' for training."""
    torch.set_num_threads(threads)
    kind, subject = split_name(name)
    if kind == "attention":
        return _attention(int(subject))
    run, batch = training(kind, subject, threads)
    if kind == "sample":
        return _sample(run.task, batch, compiled)
    return _training(run, batch, compiled, device)


def _twin(network, compiled):
    """The PyTorch twin of a VideoDiT or Autoencoder, with the same weights."""
    if isinstance(network, Autoencoder):
        return torch_twin.load(torch_twin.Autoencoder(network.config), network.state_dict())
    twin = torch_twin.VideoDiT(network.config, network.text.embedding.table.shape[0])
    twin = torch_twin.load(twin, network.state_dict())
    return torch.compile(twin) if compiled else twin


def _tensors(batch, device="cpu"):
    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in batch.items()}


def _sample(task, batch, compiled):
    network, inputs = _twin(task.model, compiled), _tensors(batch)

    def run():
        with torch.inference_mode():
            return network(inputs["noise"], inputs["level"], inputs["tokens"].long())

    return Prepared(run, lambda: {"prediction": run().numpy()})


def _attention(tokens):
    *inputs, cotangent = (torch.from_numpy(a) for a in attention_inputs(tokens))

    def run():
        leaves = [a.clone().requires_grad_() for a in inputs]
        output = torch.nn.functional.scaled_dot_product_attention(*leaves)
        return [output.detach(), *torch.autograd.grad(output, leaves, cotangent)]

    return Prepared(run, lambda: {name: a.numpy() for name, a in zip(("output", "q", "k", "v"), run())})


def _training(run, batch, compiled, device):
    """Forward, backward, clipping, optimiser, average: as PyTorch has them, in its fused and foreach forms."""
    task, settings = run.task, run.settings
    make_loss = _autoencoder_loss if isinstance(task, AutoencoderTask) else _loss
    with torch.device(device):  # where weights are made, and tables, which the first call makes
        network = _twin(task.model, compiled)
        loss = make_loss(task, network)
        if device != "cpu":
            loss(_tensors(batch, device))
    weights = dict(getattr(network, "_orig_mod", network).named_parameters())
    chosen = {n for n, p in run.parameters.items() if settings.matrix_learning_rate and is_hidden_matrix(n, p)}
    others = [weight for name, weight in weights.items() if name not in chosen]
    optimisers = [
        torch.optim.AdamW(others, settings.learning_rate, (0.9, 0.99), weight_decay=settings.weight_decay, fused=True)
    ]
    if chosen:
        matrices = [(weights[name], fused_parts(name)) for name in sorted(chosen)]
        optimisers.append(torch_twin.Muon(matrices, settings.matrix_learning_rate))
    rates, steps = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups], itertools.count()
    average = [weight.detach().clone() for weight in weights.values()]

    def step(wait=True):
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        value = loss(_tensors(batch, device))
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), settings.clip)
        if device == "cpu" and not math.isfinite(value.item() + norm.item()):  # on a GPU ours doesn't wait either
            raise FloatingPointError("the loss or a gradient is not a number")
        fraction = warmup_cosine(next(steps), settings.warmup, settings.steps, settings.final_fraction)
        groups = [group for optimiser in optimisers for group in optimiser.param_groups]
        for group, rate in zip(groups, rates):
            group["lr"] = fraction * rate
        for optimiser in optimisers:
            optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, list(weights.values()), 1 - settings.ema_decay)
        if wait and device == "cuda":
            torch.cuda.synchronize()

    def results():
        network.zero_grad(set_to_none=True)
        value = loss(_tensors(batch, device))
        value.backward()
        gradients = torch_twin.gradient_arrays(getattr(network, "_orig_mod", network))
        return {"loss": value.detach().cpu().numpy(), **gradients}

    return Prepared(step, results, queue=lambda: step(wait=False))


def _loss(task, network):
    autoencoder = task.autoencoder if isinstance(task, LatentTask) else _twin(task.autoencoder, False)
    frame = lambda a: a[:, :, None, None, None]

    def loss(batch):
        level, noise = batch["level"], batch["noise"]
        with torch.no_grad():
            clean = autoencoder.encode(batch["video"])
            sigma = shifted(level, task.settings.shift)
            noisy, target = frame(1 - sigma) * clean + frame(sigma) * noise, noise - clean  # of rectified flow
        error = (network(noisy, level, batch["tokens"].long()) - target) ** 2
        return (frame(batch["weight"]) * error).mean()

    assert task.settings.prediction == "velocity" and task.settings.curve == "rectified_flow"
    return loss


def _autoencoder_loss(task, network):
    def loss(batch):
        frames = batch["frames"]
        mean, log_variance = network.distribution(frames)
        log_variance = log_variance.clamp(-20.0, 10.0)
        rebuilt = network.reconstruct(mean + (log_variance * 0.5).exp() * batch["noise"])
        divergence = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).mean()
        error = torch.nn.functional.mse_loss(rebuilt, frames) + task.weights.absolute * (rebuilt - frames).abs().mean()
        return error + task.weights.kl * divergence

    return loss
