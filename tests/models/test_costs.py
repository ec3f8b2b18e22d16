import dataclasses
import gc
import math
import tracemalloc

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.models import Autoencoder, AutoencoderConfig, VideoDiT, VideoDiTConfig, costs, make_autoencoder

SMALL = VideoDiTConfig(width=64, depth=3, heads=2)
ODD = VideoDiTConfig(
    latent_channels=3,
    patch_size=(2, 1, 2),
    width=48,
    depth=5,
    heads=4,
    mlp_ratio=3,
    text_depth=1,
    patterns=("frame", "window:2x2x2", "skip:3", "time"),
    positions="sincos",
    qk_norm=False,
)
SEQUENCE = VideoDiTConfig(
    width=64, depth=4, heads=2, patterns=("frame", "window:2x2x2"), text="sequence", expert_modulation=True
)
PLAIN = VideoDiTConfig(text_depth=0, heads=2, depth=1)
CONFIGS = pytest.mark.parametrize("config", [SMALL, ODD, SEQUENCE, dataclasses.replace(PLAIN, text="sequence"), PLAIN])
AUTOENCODERS = pytest.mark.parametrize(
    "config",
    [
        AutoencoderConfig(),
        AutoencoderConfig(image_channels=3, latent_channels=5, channels=(8, 24)),
        AutoencoderConfig(channels=(8, 24), time_factor=4),
        AutoencoderConfig(channels=(8, 12, 24), time_factor=2),
    ],
)


def build(config):
    return VideoDiT(config, costs.TOKENS, np.random.default_rng(0))


def inputs(config, grid, batch):
    generator = np.random.default_rng(1)
    shape = [count * side for count, side in zip(grid, config.patch_size)]
    latents = generator.standard_normal((batch, *shape, config.latent_channels), dtype=np.float32)
    level = generator.random((batch, shape[0]), dtype=np.float32)
    return latents, level, np.ones((batch, costs.WORDS), np.int32)


def test_a_hundred_frames_cost_ten_thousand_times_the_scores_of_one():
    one, hundred = (costs.score_pairs("joint", (frames, 16, 16)) for frames in (1, 100))
    assert one == 256**2 and hundred == 10_000 * one


def test_but_a_whole_block_costs_less_than_that():
    """The same statement for all the FLOPs of a block: how much of it are scores depends on the width."""
    at_xl = costs.block_flops(100 * 256, 1152) / costs.block_flops(256, 1152)
    when_narrow = costs.block_flops(100 * 64, 64) / costs.block_flops(64, 64)
    assert round(at_xl) == 454 and round(when_narrow) == 1514


def test_frame_and_time_attention_score_139_times_one_frame():
    grid = (100, 16, 16)
    both = costs.score_pairs("frame", grid) + costs.score_pairs("time", grid)
    assert round(both / 256**2) == 139


@pytest.mark.parametrize(
    ("pattern", "groups", "size"),
    [
        ("frame", 4, 48),
        ("time", 48, 4),
        ("joint", 1, 192),
        ("window:2x3x4", 8, 24),
        ("skip:4", 4, 48),
        ("skip:5", 5, 39),
    ],
)
def test_score_pairs_of_every_pattern(pattern, groups, size):
    assert costs.score_pairs(pattern, (4, 6, 8)) == groups * size**2


def test_the_textbook_block():
    n, d = 77, 96
    assert costs.block_flops(n, d) == 24 * n * d**2 + 4 * n**2 * d
    assert costs.block_flops(n, d, pairs=1000) == 24 * n * d**2 + 4 * 1000 * d
    assert costs.block_flops(n, d, batch=3) == 3 * costs.block_flops(n, d)
    assert costs.block_flops(n, d, mlp_ratio=2) == 16 * n * d**2 + 4 * n**2 * d
    assert sum(layer.parameters for layer in costs.block_layers(n, d)) == 12 * d**2 + 6 * d


@pytest.mark.parametrize(("width", "depth", "published"), [(384, 12, 6.06e9), (1152, 28, 118.6e9)])
def test_dit_s2_and_xl2_by_their_published_multiply_adds(width, depth, published):
    """Peebles and Xie 2023, table 4; 256 tokens of 2 x 2 x 4 in, 2 x 2 x 8 out, one modulation an image."""
    blocks = depth * costs.block_flops(256, width, frames=1)
    ends = 2 * 256 * width * (16 + 32) + 2 * width * 2 * width + 2 * (256 * width + width**2)
    assert (blocks + ends) / 2 == pytest.approx(published, rel=1e-3)


@CONFIGS
def test_parameters_are_those_of_a_built_model(config):
    assert costs.clip_cost(config, (2, 4, 4)).parameters == build(config).parameter_count()


@AUTOENCODERS
def test_parameters_are_those_of_a_built_autoencoder(config):
    built = make_autoencoder(config, np.random.default_rng(0))
    assert costs.autoencoder_cost(config, 1, (16, 16)).parameters == built.parameter_count()


@pytest.fixture
def counted(monkeypatch):
    """Counts the FLOPs of the matrix products that a network really carries out."""
    total = {"flops": 0}

    def watch(name, flops):
        operation = getattr(ag, name)

        def watched(*arrays, **options):
            value = operation(*arrays, **options)
            total["flops"] += flops(value, *arrays)
            return value

        monkeypatch.setattr(ag, name, watched)

    watch("linear", lambda value, x, weight, bias=None: 2 * math.prod(value.shape) * weight.shape[0])
    watch("mlp", lambda value, x, up, *_: 2 * math.prod(value.shape) * up.shape[1] * 2)
    watch("matmul", lambda value, a, b: 2 * math.prod(value.shape) * a.shape[-1])
    watch("attention", lambda value, q, k, v, *_: 4 * math.prod(q.shape) * k.shape[-2])
    watch("conv", lambda value, x, weight, bias: 2 * math.prod(value.shape) * math.prod(weight.shape[:-1]))
    return total


@CONFIGS
def test_flops_are_those_carried_out(config, counted):
    grid, batch = (4, 4, 6), 2
    build(config)(*inputs(config, grid, batch))
    assert costs.clip_cost(config, grid, batch).forward_flops == counted["flops"]


@AUTOENCODERS
def test_flops_of_the_autoencoder_are_those_carried_out(config, counted):
    video = np.zeros((3, 9, 16, 24, config.image_channels), np.float32)
    network = make_autoencoder(config, np.random.default_rng(0))
    network.reconstruct(network.distribution(network.pieces(video))[0])
    assert costs.autoencoder_cost(config, 9, (16, 24), clips=3).forward_flops == counted["flops"]


def peak(function):
    """The most bytes of arrays that were alive at a time while it ran, beyond those alive before."""
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["cross", "sequence"])
@pytest.mark.parametrize(
    "patterns", [("joint",), ("frame", "time"), ("window",), ("window:4x3x3", "skip:3"), ("window", "joint")]
)
def test_memory_is_what_training_and_sampling_really_take(patterns, text, plain_numpy):
    config, grid, batch = VideoDiTConfig(width=64, depth=3, heads=2, patterns=patterns, text=text), (4, 8, 8), 4
    network, (latents, level, tokens) = build(config), inputs(config, (4, 8, 8), 4)
    predicted = costs.clip_cost(config, grid, batch)
    weights = predicted.parameters * costs.FLOAT

    def train():
        loss = ag.mean_squared_error(network(latents, level, tokens), latents)
        ag.gradients(loss, network.parameters().values())

    def draw():
        with ag.no_grad():
            network(latents, level, tokens)

    draw()  # makes what is cached
    states_elsewhere = (4 + predicted.gradient_copies - 1) * weights  # weights, average, moments, summed gradients
    assert peak(train) == pytest.approx(predicted.training_memory - states_elsewhere, rel=0.1)
    assert peak(draw) == pytest.approx(predicted.sampling_memory - weights, rel=0.15)


def test_memory_of_drawing_counts_what_fills_up_windows(plain_numpy):
    config, grid, batch = VideoDiTConfig(width=64, depth=3, heads=2, patterns=("window",)), (4, 8, 8), 4
    network, arrays = build(config), inputs(config, grid, batch)
    predicted = costs.clip_cost(config, grid, batch)

    def draw():
        with ag.no_grad():
            network(*arrays)

    draw()
    assert peak(draw) == pytest.approx(predicted.sampling_memory - predicted.parameters * costs.FLOAT, rel=0.15)


def test_memory_of_the_autoencoder(plain_numpy):
    config = AutoencoderConfig()
    network = Autoencoder(config, np.random.default_rng(0))
    frames = np.random.default_rng(1).random((24, 64, 64, 1), dtype=np.float32)
    predicted = costs.autoencoder_cost(config, 24, (64, 64))
    weights = predicted.parameters * costs.FLOAT

    def train():
        out = network.reconstruct(network.distribution(frames)[0])
        ag.gradients(ag.mean_squared_error(out, frames), network.parameters().values())

    def draw():
        with ag.no_grad():
            network.reconstruct(network.distribution(frames)[0])

    assert peak(train) == pytest.approx(predicted.training_memory - 5 * weights, rel=0.25)
    assert peak(draw) == pytest.approx(predicted.sampling_memory - weights, rel=0.25)


def test_only_the_shards_being_worked_on_are_on_the_tape():
    def memory(**options):
        cost = costs.clip_cost(SMALL, (4, 8, 8), 32, **options)
        return cost.training_memory - (4 + cost.gradient_copies) * cost.parameters * costs.FLOAT

    assert memory(shards=4, threads=2) == pytest.approx(memory() / 2, rel=1e-6)
    assert memory(shards=4, threads=1) == pytest.approx(memory() / 4, rel=1e-6)
    assert memory(shards=4, threads=8) == memory()


@pytest.mark.parametrize(
    "cost_of",
    [
        lambda **options: costs.autoencoder_cost(AutoencoderConfig(), 32, (16, 16), **options),
        lambda **options: costs.text_cost(SMALL, 32, **options),
    ],
)
def test_and_so_it_is_in_the_other_stages(cost_of):
    whole, shared_out = cost_of(), cost_of(shards=4, threads=2)
    gradients = 3 * whole.parameters * costs.FLOAT  # of three more shards
    states = 6 * whole.parameters * costs.FLOAT
    kept = whole.training_memory - states
    assert shared_out.training_memory == pytest.approx(states + gradients + kept / 2, rel=1e-6)


def test_what_follows_from_the_forward_pass():
    cost = costs.clip_cost(SMALL, (4, 8, 8), 2)
    assert cost.training_flops == 3 * cost.forward_flops
    assert cost.sampling_flops(10) == 20 * cost.forward_flops
    assert cost.sampling_flops(10, guided=False) == 10 * cost.forward_flops
    assert cost.forward_flops == 2 * costs.clip_cost(SMALL, (4, 8, 8)).forward_flops
    assert cost.together.moved > cost.parameters * costs.FLOAT  # at least every weight once


def test_joint_attention_costs_more_the_longer_the_clip_and_weights_stay_the_same():
    def price(patterns, frames):
        return costs.clip_cost(VideoDiTConfig(patterns=patterns), (frames, 8, 8))

    for frames in (8, 64):
        assert price(("joint",), frames).parameters == price(("frame", "time"), frames).parameters
    growth = {p: price(p, 64).forward_flops / price(p, 8).forward_flops for p in [("joint",), ("frame", "time")]}
    assert 8 < growth["frame", "time"] < 10 and growth["joint",] > 25


def test_the_table_names_every_part_and_the_totals():
    table = str(costs.clip_cost(VideoDiTConfig(), (8, 8, 8), 32, shards=4, threads=2))
    assert table.splitlines()[0] == "32 clips of 8 x 8 x 8 = 512 tokens; width 128, depth 6, joint attention"
    for part in ("text", "noise levels", "projections", "attention scores", "caption attention", "MLP", "modulation"):
        assert f"\n{part} " in table
    assert f"{build(VideoDiTConfig()).parameter_count():,}" in table
    assert "a training step: 221 GFLOPs, peak memory about" in table
    assert len({len(line) for line in table.splitlines()[1:-2]}) == 1  # columns line up


def test_too_large_a_batch_is_refused_with_the_largest_that_fits():
    def bytes_for(batch):
        return costs.clip_cost(SMALL, (4, 8, 8), batch).training_memory

    assert machine.require_memory(bytes_for, 4, "batch", 2 * bytes_for(4)) == bytes_for(4)
    with pytest.raises(InputError, match=r"batch 64 needs about \S+ MB of memory and \S+ MB are free; .* is batch 10$"):
        machine.require_memory(bytes_for, 64, "batch", bytes_for(10))
    with pytest.raises(InputError, match="not even 1 fits"):
        machine.require_memory(bytes_for, 64, "batch", 1000)
