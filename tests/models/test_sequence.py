"""Words and tokens in one sequence: what it computes, what it hides, where it starts."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.models import VideoDiTConfig
from minivdit.models.patches import rotary_angles
from minivdit.models.patterns import labels, partition

GRID = (4, 2, 3)
PATTERNS = [("joint",), ("frame", "time"), ("window:2x2x2",), ("skip:5",)]


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture
def in_sequence(tiny):
    """A function that makes a tiny model whose caption stands in the sequence."""
    return lambda **options: tiny(text="sequence", **{"expert_modulation": True, **options})


@pytest.mark.parametrize("patterns", PATTERNS)
@pytest.mark.parametrize("causal", [False, True])
def test_a_fresh_model_predicts_nothing_and_its_blocks_are_the_identity(in_sequence, inputs, patterns, causal):
    model = in_sequence(fresh=True, patterns=patterns, causal=causal)
    latents, level, tokens = inputs(model, (4, 4, 6), clips=2)
    assert not model(latents, level, tokens).data.any()
    shapes = (2, 4, 6, 12), (2, 1, 5, 12), (2, 4, 1, 12)
    x, words, condition = (normal(*shape, seed=place).astype(np.float32) for place, shape in enumerate(shapes))
    part, times = partition(patterns[0], GRID), np.zeros((2, 1, 5), np.int32)
    after = model.blocks[0](x, condition, words, times, rotary_angles(GRID, 12), part)
    assert np.array_equal(after[0].data, x) and np.array_equal(after[1].data, words)


@pytest.mark.parametrize("pattern", ["joint", "frame", "time", "window:2x2x2", "skip:5"])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_words_and_tokens_together_in_each_group(in_sequence, in_double, pattern, causal):
    """Written down once more: for each group one softmax over all its pairs; what words find is averaged."""
    layer = in_double(in_sequence(patterns=(pattern,))).blocks[0].attention
    x, words, hidden = normal(2, 24, 12), normal(2, 5, 12, seed=2), np.array([[3, 4], [4, 4]])
    times = np.zeros((2, 1, 5), np.int32)
    times[0, 0, hidden[0]] = times[1, 0, hidden[1]] = 2**30
    rotation, group, frame = rotary_angles(GRID, 12), labels(pattern, GRID), labels("frame", GRID)
    part = partition(pattern, GRID)
    found, told = layer(x, rotation=rotation, part=part, causal=causal, words=(words, times))

    def ready(rows, weight, cos, sin):
        rows = rows / np.sqrt((rows**2).mean(-1, keepdims=True) + 1e-6) * weight
        first, second = np.split(rows, 2, axis=-1)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    expected, of_words = np.zeros_like(x), np.zeros((2, len(set(group)), 5, 12))
    for clip in range(2):
        for number, name in enumerate(sorted(set(group))):
            own = np.flatnonzero(group == name)
            q, k, v = np.split(np.concatenate([words[clip], x[clip, own]]) @ layer.qkv.weight.data, 3, axis=-1)
            flat = (np.reshape(table, (24, -1))[own] for table in rotation)
            cos, sin = (np.concatenate([np.full((5, 6), still), table]) for still, table in zip((1.0, 0.0), flat))
            q, k = ready(q, layer.q_norm.weight.data, cos, sin), ready(k, layer.k_norm.weight.data, cos, sin)
            time = np.concatenate([times[clip, 0], frame[own]])
            asks = time if causal else np.full_like(time, 2**30 - 1)
            scores = np.exp(q @ k.T / np.sqrt(12)) * (time <= asks[:, None])
            out = scores / scores.sum(-1, keepdims=True) @ v
            of_words[clip, number], expected[clip, own] = out[:5], out[5:]
    out = layer.out
    np.testing.assert_allclose(found.data, expected @ out.weight.data + out.bias.data, atol=1e-10)
    seen = np.ones((2, 5), bool)
    for clip in range(2):
        seen[clip, hidden[clip]] = False  # what padding finds, nobody asks
    mean = of_words.mean(1) @ out.weight.data + out.bias.data
    np.testing.assert_allclose(told.data[seen], mean[seen], atol=1e-10)
    weights = layer.weights(x, rotation=rotation, part=part, causal=causal, words=(words, times))
    assert weights.shape == (2, *part.index.shape[:1], 1, part.index.shape[1], part.index.shape[1])
    assert (weights.sum(-1) < 1).all()  # the rest goes to words


@pytest.mark.parametrize("patterns", PATTERNS)
def test_words_count_and_padding_does_not(in_sequence, inputs, patterns):
    model = in_sequence(patterns=patterns)
    latents, level, tokens = inputs(model, (4, 4, 6), clips=2)
    before = model(latents, level, tokens).data
    longer = np.concatenate([tokens, np.zeros((2, 4), np.int32)], axis=1)
    np.testing.assert_allclose(model(latents, level, longer).data, before, atol=1e-5)
    tokens[0, 1] = tokens[0, 1] % 5 + 1
    after = model(latents, level, tokens).data
    assert np.abs(after - before)[0].max() > 1e-3 and np.array_equal(after[1], before[1])


@pytest.mark.parametrize("patterns", PATTERNS)
def test_under_a_causal_mask_nothing_later_counts(in_sequence, inputs, patterns):
    """Neither frames, nor their noise levels, nor the caption of a later part."""
    model = in_sequence(patterns=patterns, causal=True)
    latents, level, tokens = inputs(model, (4, 4, 6), clips=1)
    tokens = np.stack([tokens, tokens], axis=1)
    before = model(latents, level, tokens).data
    for place, change in ((0, latents[:, 2:]), (1, level[:, 2:]), (2, tokens[:, 1, 1:2])):
        changed = [latents.copy(), level.copy(), tokens.copy()]
        view = (changed[0][:, 2:], changed[1][:, 2:], changed[2][:, 1, 1:2])[place]
        view[...] = change % 4 + 1 if place == 2 else change * 0.5
        after = model(*changed).data
        assert np.array_equal(after[:, :2], before[:, :2]) and not np.array_equal(after[:, 2:], before[:, 2:])


def test_captions_in_turn_are_told_apart_by_their_place(in_sequence, inputs):
    for positions in ("rotary", "sincos", "both"):
        model = in_sequence(positions=positions)
        latents, level, tokens = inputs(model, (4, 4, 6), clips=2)
        two = np.stack([tokens, tokens[::-1]], axis=1)
        assert not np.allclose(model(latents, level, two).data, model(latents, level, two[:, ::-1]).data, atol=1e-3)


def test_experts_with_equal_weights_are_no_experts(in_sequence, inputs):
    expert, shared = in_sequence(), in_sequence(expert_modulation=False)
    weights = expert.state_dict()
    for name in list(weights):
        if ".word_modulation." in name:
            weights[name] = weights[name.replace("word_modulation", "modulation")]
    expert.load_state_dict(weights)
    shared.load_state_dict({name: array for name, array in weights.items() if ".word_modulation." not in name})
    given = inputs(shared, (4, 4, 6), clips=2)
    assert np.array_equal(expert(*given).data, shared(*given).data)
    assert expert.parameter_count() - shared.parameter_count() == 2 * (12 + 1) * 6 * 12  # of two blocks


@pytest.mark.parametrize("patterns", PATTERNS)
@pytest.mark.parametrize("causal", [False, True])
def test_gradients_are_those_of_finite_differences(in_sequence, in_double, inputs, patterns, causal):
    model = in_double(in_sequence(patterns=patterns, causal=causal))
    latents, level, tokens = inputs(model, (2, 4, 4), clips=2)
    latents, target, parameters = latents.astype(float), normal(2, 2, 4, 4, 2), model.parameters()

    def loss():
        return ag.mean_squared_error(model(latents, level, tokens), target)

    found = dict(zip(parameters, ag.gradients(loss(), parameters.values())))
    generator = np.random.default_rng(0)
    for name, parameter in parameters.items():
        way, data = generator.standard_normal(parameter.shape), parameter.data
        ends = []
        for step in (1e-5, -1e-5):
            parameter.data = data + step * way
            ends.append(float(loss().data))
        parameter.data = data
        slope = (ends[0] - ends[1]) / 2e-5
        assert float((found[name] * way).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-8), name


def test_what_has_no_meaning_is_refused():
    with pytest.raises(InputError, match="text must be cross or sequence, not 'both'"):
        VideoDiTConfig(text="both")
    with pytest.raises(InputError, match="expert_modulation is for words that stand in the sequence; set text to"):
        VideoDiTConfig(expert_modulation=True)
