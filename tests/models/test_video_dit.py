"""The transformer: where it starts, what it takes, what it refuses."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.autograd import engine
from minivdit.base.errors import InputError
from minivdit.models import VideoDiT, VideoDiTConfig
from minivdit.models.patches import rotary_angles
from minivdit.models.patterns import partition
from minivdit.models.text import key_times

PATTERNS = [("joint",), ("frame", "time"), ("window",), ("skip:3",), ("frame", "joint", "window:1x2x2")]


@pytest.mark.parametrize("patterns", PATTERNS)
@pytest.mark.parametrize("causal", [False, True])
def test_a_fresh_model_predicts_exactly_nothing(tiny, inputs, patterns, causal):
    """So that the first loss of a noise prediction is the noise's variance, 1, whatever the pattern."""
    model = tiny(fresh=True, depth=3, patterns=patterns, causal=causal)
    latents, level, tokens = inputs(model, (3, 6, 10), clips=2)
    prediction = model(latents, level, tokens)
    assert prediction.shape == latents.shape and prediction.dtype == np.float32
    assert not prediction.data.any()
    noise = np.random.default_rng(0).standard_normal(latents.shape, dtype=np.float32)
    assert ag.mean_squared_error(prediction, noise).item() == pytest.approx(np.mean(noise**2), rel=1e-5)


def test_a_fresh_block_is_the_identity(tiny):
    model = tiny(fresh=True)
    generator = np.random.default_rng(0)
    x, text, condition = (
        generator.standard_normal(s, dtype=np.float32) for s in ((2, 4, 6, 12), (2, 5, 12), (2, 4, 1, 12))
    )
    visible = key_times(np.ones((2, 5), bool))
    part, rotation = partition("joint", (4, 2, 3)), rotary_angles((4, 2, 3), 12)
    for block in model.blocks:
        assert np.array_equal(block(x, condition, text, visible, rotation, part).data, x)
    model.blocks[0].modulation.bias.data += 1
    assert not np.array_equal(model.blocks[0](x, condition, text, visible, rotation, part).data, x)


def test_a_fresh_model_learns_from_its_output_layer_on(tiny, inputs):
    """Zero gates must not be a dead end: the output layer has a gradient at once, and after a step the blocks do."""
    model = tiny(fresh=True)
    latents, level, tokens = inputs(model, (2, 4, 4))
    target = np.random.default_rng(3).standard_normal(latents.shape, dtype=np.float32)
    parameters = model.parameters()

    def moved():
        loss = ag.mean_squared_error(model(latents, level, tokens), target)
        grads = ag.gradients(loss, parameters.values())
        for parameter, grad in zip(parameters.values(), grads):
            parameter.data -= grad
        return {name for name, grad in zip(parameters, grads) if grad.any()}

    assert moved() == {"patch_out.weight", "patch_out.bias"}
    seen = moved() | moved() | moved()
    assert seen == set(parameters)


def test_any_size_and_length_without_training_again(tiny, inputs):
    model = tiny(patterns=("window", "joint", "skip", "time"), depth=4)
    for shape in [(4, 4, 4), (1, 2, 2), (9, 2, 14), (2, 12, 6), (16, 4, 4)]:
        latents, level, tokens = inputs(model, shape)
        prediction = model(latents, level, tokens).data
        assert prediction.shape == latents.shape
        assert np.isfinite(prediction).all() and prediction.std() > 0.05


def test_patches_that_span_frames(tiny, inputs):
    model = tiny(patch_size=(2, 1, 3), patterns=("frame", "time"))
    latents, level, tokens = inputs(model, (4, 3, 9))
    assert model(latents, level, tokens).shape == latents.shape


@pytest.mark.parametrize("options", [dict(), dict(causal=True), dict(positions="sincos"), dict(positions="both")])
def test_the_weights_are_the_same_for_all_patterns(tiny, options):
    """Names, shapes and initial values: a comparison between patterns compares nothing else."""
    reference = tiny(fresh=True, patterns=("joint",)).state_dict()
    for patterns in PATTERNS:
        state = tiny(fresh=True, patterns=patterns, **options).state_dict()
        assert list(state) == list(reference)
        assert all(np.array_equal(state[name], reference[name]) for name in reference)


def test_patterns_give_different_predictions_from_the_same_weights(tiny, inputs):
    predictions = []
    for patterns in PATTERNS:
        model = tiny(patterns=patterns)
        predictions.append(model(*inputs(model, (3, 6, 10))).data)
    for a in range(len(predictions)):
        for b in range(a):
            assert abs(predictions[a] - predictions[b]).max() > 1e-3


def test_a_shorter_tuple_of_patterns_is_repeated():
    config = VideoDiTConfig(depth=5, patterns=("frame", "window"))
    assert config.block_patterns() == [("frame", 0), ("window", 0), ("frame", 1), ("window", 1), ("frame", 2)]


def test_clips_of_a_batch_do_not_touch_each_other(tiny, inputs):
    model = tiny(patterns=("joint", "window"))
    latents, level, tokens = inputs(model, (3, 4, 6), clips=3)
    together = model(latents, level, tokens).data
    for clip in range(3):
        one = slice(clip, clip + 1)
        np.testing.assert_allclose(model(latents[one], level[one], tokens[one]).data, together[one], atol=2e-5)


def test_the_caption_matters_and_its_padding_does_not(tiny, inputs):
    model = tiny()
    latents, level, tokens = inputs(model, (2, 4, 4))
    prediction = model(latents, level, tokens).data
    other = tokens.copy()
    other[0, 1] = 1 + other[0, 1] % 10
    assert abs(model(latents, level, other).data - prediction).max() > 1e-3
    longer = np.pad(tokens, ((0, 0), (0, 4)))
    np.testing.assert_allclose(model(latents, level, longer).data, prediction, atol=1e-5)


def test_the_caption_enters_by_cross_attention_and_by_modulation(tiny, inputs):
    """With either way shut the other still carries it; with both shut the caption is without effect."""

    def effect(cross, pooled):
        model = tiny()
        if not cross:
            for block in model.blocks:
                block.cross_attention.out.weight.data[...] = 0
        if not pooled:
            model.text_pooled.weight.data[...] = 0
        latents, level, tokens = inputs(model, (2, 4, 4))
        return abs(model(latents, level, tokens).data - model(latents, level, tokens[:, ::-1] * 0 + 2).data).max()

    assert effect(cross=True, pooled=False) > 1e-3
    assert effect(cross=False, pooled=True) > 1e-3
    assert effect(cross=False, pooled=False) == 0


def test_parts_of_a_clip_have_captions_of_their_own(tiny, inputs):
    model = tiny(depth=2, patterns=("frame",))  # so that no part sees another
    latents, level, tokens = inputs(model, (6, 4, 4), clips=2)
    one, other = tokens, np.roll(tokens, 1, axis=0)
    first, second = (model(latents, level, words).data for words in (one, other))
    both = model(latents, level, np.stack([one, other], axis=1)).data
    np.testing.assert_allclose(both[:, :3], first[:, :3], atol=1e-5)
    np.testing.assert_allclose(both[:, 3:], second[:, 3:], atol=1e-5)
    assert np.abs(first - second).max() > 1e-3
    for repeats in (1, 2, 6):
        same = model(latents, level, np.repeat(one[:, None], repeats, axis=1)).data
        np.testing.assert_allclose(same, first, atol=1e-5)
    with pytest.raises(InputError, match=r"4 captions can't share 6 latent frames .* divides 6"):
        model(latents, level, np.repeat(one[:, None], 4, axis=1))


def test_sampling_leaves_no_graph(tiny, inputs, monkeypatch):
    model = tiny()
    batch = inputs(model, (2, 4, 4))
    assert model(*batch).node is not None

    def no_node(*_):
        raise AssertionError("an operation was recorded")

    monkeypatch.setattr(engine, "Node", no_node)
    with ag.no_grad():
        prediction = model(*batch)
    assert prediction.node is None


def test_the_same_inputs_give_the_same_bits(tiny, inputs):
    model = tiny(patterns=("joint", "window"))
    batch = inputs(model, (3, 4, 6), clips=2)
    assert np.array_equal(model(*batch).data, model(*batch).data)


BAD_INPUTS = {
    "channels": (lambda x, s, w: (x[..., :1], s, w), r"1 channels; this model takes 2"),
    "rank": (lambda x, s, w: (x[0], s, w), r"\(batch, frames, height, width, channels\)"),
    "height": (lambda x, s, w: (x[:, :, :3], s, w), r"height 3 .*2 or 4"),
    "no frames": (lambda x, s, w: (x[:, :0], s[:, :0], w), r"num_frames 0 must"),
    "one level a clip": (lambda x, s, w: (x, s[:, 0], w), r"noise_level must be .*\(2, 3\)"),
    "levels of other frames": (lambda x, s, w: (x, s[:, 1:], w), r"one for each latent frame, not \(2, 2\)"),
    "levels as step numbers": (lambda x, s, w: (x, s * 999, w), r"between 0 .clean. and 1"),
    "negative level": (lambda x, s, w: (x, s - 1, w), r"between 0"),
    "level not a number": (lambda x, s, w: (x, s * np.nan, w), r"between 0"),
    "captions": (lambda x, s, w: (x, s, w[:1]), r"batch = 2, not \(1, 5\)"),
    "a caption without batch": (lambda x, s, w: (x, s, w[0]), r"batch = 2, not \(5,\)"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_inputs_that_do_not_fit_are_refused_in_one_line(tiny, inputs, case):
    spoil, message = BAD_INPUTS[case]
    model = tiny()
    with pytest.raises(InputError, match=message) as caught:
        model(*spoil(*inputs(model, (3, 4, 4), clips=2)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options, message", [
    (dict(width=30, heads=4), "30 must split into 4 heads"),
    (dict(width=12, heads=4), "even width"),
    (dict(heads=0), "at least 1"),
    (dict(width=0), "at least 1"),
    (dict(depth=0), "at least 1"),
    (dict(mlp_ratio=0), "at least 1"),
    (dict(text_depth=-1), "text_depth at least 0"),
    (dict(patch_size=(0, 2, 2)), "at least 1"),
    (dict(patch_size=(2, 2)), "three sides"),
    (dict(patterns=()), "at least 1"),
    (dict(patterns=("joint", "spiral")), "'spiral' is not an attention pattern"),
    (dict(patterns="joint"), r"write \('joint',\)"),
    (dict(positions="learned"), "rotary, sincos or both"),
])  # fmt: skip
def test_a_configuration_that_cannot_be_built_is_refused(options, message):
    with pytest.raises(InputError, match=message) as caught:
        VideoDiTConfig(**options)
    assert "\n" not in str(caught.value)


def test_state_goes_round_and_another_configuration_is_refused(tiny, inputs):
    source, target = tiny(seed=0), tiny(seed=1)
    batch = inputs(source, (2, 4, 4))
    target.load_state_dict(source.state_dict())
    assert np.array_equal(source(*batch).data, target(*batch).data)
    with pytest.raises(InputError, match=r"blocks\.2\.attention.* missing"):
        tiny(depth=3).load_state_dict(source.state_dict())
    with pytest.raises(InputError, match=r"another configuration.*blocks\.1.*unexpected"):
        tiny(depth=1).load_state_dict(source.state_dict())
    with pytest.raises(InputError, match=r"instead of"):
        tiny(width=24).load_state_dict(source.state_dict())


def test_the_initial_values_come_from_the_generator_alone():
    config = VideoDiTConfig(width=12, heads=1, depth=1)
    first, again, other = (VideoDiT(config, 9, np.random.default_rng(seed)).state_dict() for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["patch_in.weight"], other["patch_in.weight"])
