"""The parts of a block, each against a few lines of plain NumPy: one query at a time, no groups, no padding."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.models.blocks import MLP, CrossAttention, SelfAttention
from minivdit.models.patches import rotary_angles
from minivdit.models.patterns import links, partition
from minivdit.models.text import key_times

WIDTH, HEADS = 16, 2


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def rms(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weight


def by_hand(q, k, v, allowed):
    """q (N, h, d), k and v (M, h, d), allowed (N, M) -> (N, h * d)."""
    result = np.zeros_like(q)
    for i, h in np.ndindex(*q.shape[:2]):
        keys = np.flatnonzero(allowed[i])
        weights = np.exp(k[keys, h] @ q[i, h] / np.sqrt(q.shape[-1]))
        result[i, h] = weights @ v[keys, h] / weights.sum()
    return result.reshape(len(q), -1)


def turned(x, cos, sin):
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("occurrence", [0, 1])
@pytest.mark.parametrize("pattern", ["frame", "time", "joint", "window:2x2x2", "window:4x1x3", "skip:3"])
def test_self_attention_in_groups(randomise, in_double, pattern, occurrence, causal):
    """On a grid that no window divides, so that groups are padded."""
    grid = (3, 3, 5)
    tokens = int(np.prod(grid))
    layer = in_double(randomise(SelfAttention(WIDTH, HEADS, np.random.default_rng(0))))
    x, rotation = normal(2, tokens, WIDTH), rotary_angles(grid, WIDTH // HEADS)
    found = layer(x, rotation=rotation, part=partition(pattern, grid, occurrence), causal=causal).data

    allowed = links((pattern,) * 2, grid, causal)[occurrence]
    weights = {name: tensor.data for name, tensor in layer.named_tensors()}
    for clip in range(2):
        q, k, v = (x[clip] @ weights["qkv.weight"]).reshape(tokens, 3, HEADS, -1).swapaxes(0, 1)
        q, k = rms(q, weights["q_norm.weight"]), rms(k, weights["k_norm.weight"])
        seen = by_hand(turned(q, *rotation), turned(k, *rotation), v, allowed)
        np.testing.assert_allclose(found[clip], seen @ weights["out.weight"] + weights["out.bias"], atol=1e-6)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_weights_are_those_that_forward_averages_with(randomise, in_double, qk_norm):
    """By hand, without groups; and within groups, some padded, the same weights where a pair is linked."""
    grid, pattern = (3, 3, 5), "window:2x2x2"
    layer = in_double(randomise(SelfAttention(WIDTH, HEADS, np.random.default_rng(0), qk_norm)))
    x, rotation = normal(1, 45, WIDTH), rotary_angles(grid, WIDTH // HEADS)
    found = layer.weights(x, rotation=rotation)
    q, k, _ = (x[0] @ layer.qkv.weight.data).reshape(45, 3, HEADS, -1).swapaxes(0, 1)
    if qk_norm:
        q, k = rms(q, layer.q_norm.weight.data), rms(k, layer.k_norm.weight.data)
    scores = np.einsum("ihd,jhd->hij", turned(q, *rotation), turned(k, *rotation)) / np.sqrt(WIDTH // HEADS)
    expected = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)

    part, link = partition(pattern, grid), links((pattern,), grid)[0]
    found = layer.weights(x, rotation=rotation, part=part)[0]  # (G, h, S, S)
    masked = np.where(link, np.exp(scores), 0)
    expected = masked / masked.sum(axis=-1, keepdims=True)
    for index, padding, weights in zip(part.index, part.padding, found):
        tokens = index[~padding]
        np.testing.assert_allclose(weights[:, ~padding][:, :, ~padding], expected[:, tokens][:, :, tokens], atol=1e-6)
        assert not weights[:, ~padding][:, :, padding].any()


def test_self_attention_without_groups_sees_everything(randomise, in_double):
    layer = in_double(randomise(SelfAttention(WIDTH, HEADS, np.random.default_rng(0))))
    x = normal(2, 12, WIDTH)
    joint = layer(x, part=partition("joint", (2, 2, 3))).data
    np.testing.assert_allclose(layer(x).data, joint, atol=1e-12)


def test_cross_attention_skips_padded_words(randomise, in_double):
    layer = in_double(randomise(CrossAttention(WIDTH, 6, HEADS, np.random.default_rng(0))))
    x, text = normal(2, 7, WIDTH), normal(2, 5, 6, seed=2)
    present = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    found = layer(x, text, key_times(present)).data
    weights = {name: tensor.data for name, tensor in layer.named_tensors()}
    for clip in range(2):
        q = rms((x[clip] @ weights["q.weight"]).reshape(7, HEADS, -1), weights["q_norm.weight"])
        k, v = (text[clip] @ weights["kv.weight"]).reshape(5, 2, HEADS, -1).swapaxes(0, 1)
        seen = by_hand(q, rms(k, weights["k_norm.weight"]), v, np.tile(present[clip], (7, 1)))
        np.testing.assert_allclose(found[clip], seen @ weights["out.weight"] + weights["out.bias"], atol=1e-6)


def test_a_block_modulates_attends_reads_and_thinks_in_this_order(tiny, in_double):
    """The block's formula written down once more, with its own parts as the only building blocks."""
    model = in_double(tiny())
    block, grid = model.blocks[0], (3, 2, 2)
    x, text, condition = normal(2, 12, 12), normal(2, 5, 12, seed=2), normal(2, 3, 1, 12, seed=3)
    visible = key_times(np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool))
    part, rotation = partition("joint", grid), rotary_angles(grid, 12)
    found = block(x.reshape(2, 3, 4, 12), condition, text, visible, rotation, part).data.reshape(x.shape)

    # Every token gets its own copy of its frame's six vectors.
    six = np.repeat(block.modulation(condition).data, 4, axis=2).reshape(2, 12, 6, 12).transpose(2, 0, 1, 3)
    shift1, scale1, gate1, shift2, scale2, gate2 = six
    normalise = lambda a: (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-6)
    x = x + gate1 * block.attention(normalise(x) * (1 + scale1) + shift1, rotation=rotation, part=part).data
    x = x + block.cross_attention(normalise(x), text, visible).data
    x = x + gate2 * block.mlp(normalise(x) * (1 + scale2) + shift2).data
    np.testing.assert_allclose(found, x, atol=1e-10)


def test_mlp_treats_each_token_by_itself(randomise, in_double):
    layer = in_double(randomise(MLP(4, 9, np.random.default_rng(0))))
    x = normal(2, 5, 4)
    hidden = x @ layer.up.weight.data + layer.up.bias.data
    hidden = 0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
    np.testing.assert_allclose(layer(x).data, hidden @ layer.down.weight.data + layer.down.bias.data, atol=1e-12)


def test_qk_norm_bounds_the_logits_whatever_the_weights(randomise):
    """Scaling the projection of queries and keys changes nothing with QK-norm, and does without."""
    x = normal(1, 6, WIDTH).astype(np.float32)
    for qk_norm in (True, False):
        layer = SelfAttention(WIDTH, HEADS, np.random.default_rng(0), qk_norm)
        before = layer(x).data
        layer.qkv.weight.data[:, : 2 * WIDTH] *= 10
        assert (abs(layer(x).data - before).max() < 1e-3) == qk_norm


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="width 10 can't be split into 4 heads"):
        SelfAttention(10, 4, np.random.default_rng(0))


def test_attention_layers_pass_gradients_to_the_text(randomise):
    layer = randomise(CrossAttention(WIDTH, 6, HEADS, np.random.default_rng(0)))
    text = ag.Tensor(normal(1, 5, 6).astype(np.float32), requires_grad=True)
    visible = key_times(np.array([[1, 1, 1, 0, 0]], bool))
    loss = ag.square(layer(normal(1, 7, WIDTH).astype(np.float32), text, visible)).sum()
    (grad,) = ag.gradients(loss, [text])
    assert grad[0, :3].any(axis=1).all() and not grad[0, 3:].any()
