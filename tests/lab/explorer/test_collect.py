"""What the explorer collects is what attention did: computed again here by hand from what went into each block."""

import re
import sys

import numpy as np
import pytest

from minivdit.base import backend, machine
from minivdit.base.errors import InputError
from minivdit.lab.explorer import Rounded, collect, explore, restricted
from minivdit.lab.explorer.collect import LEVELS, check_room, thin
from minivdit.models.blocks import SelfAttention
from minivdit.models.patches import rotary_angles
from minivdit.models.patterns import links

PROMPT = "a 3 moving right"
CASES = [
    (("joint",), False),
    (("frame", "time"), False),
    (("frame",), False),
    (("window",), False),
    (("skip:3",), True),
    (("joint", "time"), True),
]


def softmax_of_q_k(layer, x, grid, link):
    """(heads, N, N) in float64, with all scores in memory."""
    tokens, heads = len(link), layer.heads
    q, k, _ = (x.astype(np.float64) @ layer.qkv.weight.data).reshape(tokens, 3, heads, -1).swapaxes(0, 1)
    cos, sin = rotary_angles(grid, q.shape[-1])

    def ready(rows, weight):
        rows = rows / np.sqrt((rows**2).mean(axis=-1, keepdims=True) + 1e-6) * weight
        first, second = np.split(rows, 2, axis=-1)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    q, k = ready(q, layer.q_norm.weight.data), ready(k, layer.k_norm.weight.data)
    scores = np.exp(np.einsum("ihd,jhd->hij", q, k) / np.sqrt(q.shape[-1])) * link
    return scores / scores.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(("patterns", "causal"), CASES)
def test_what_is_collected_is_the_softmax_of_queries_and_keys(make_model, monkeypatch, patterns, causal):
    model, calls, forward = make_model(*patterns, causal=causal), [], SelfAttention.forward

    def watched(self, x, **options):
        if "part" in options:  # not the attention between words
            calls.append((self, x.data[0].reshape(-1, x.shape[-1])))
        return forward(self, x, **options)

    monkeypatch.setattr(SelfAttention, "forward", watched)
    recording = collect(model, PROMPT, moments=2, seed=4)
    depth, grid = model.transformer.config.depth, (5, 3, 4)
    assert (
        recording.grid == grid and list(recording.steps) == [0, 2] and recording.total == 3 and len(calls) == 3 * depth
    )
    assert recording.steps[0] == 1.0 and 0 < recording.steps[2] < 1
    expected_links = links([patterns[block % len(patterns)] for block in range(depth)], grid, causal)
    for (step, block), rounded in recording.maps.items():
        link, (layer, x) = expected_links[block], calls[step * depth + block]
        np.testing.assert_array_equal(recording.links[block], link)
        assert rounded.levels.shape == (2, link.sum())  # what is forbidden isn't there at all
        found, expected = rounded.matrix(link), softmax_of_q_k(layer, x, grid, link)
        np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(~link, found.shape))
        half = rounded.scale[:, :, None] / 2
        assert (np.abs(np.nan_to_num(found) - expected) <= half + 2e-5).all()
        np.testing.assert_allclose(np.nansum(found, axis=-1), 1, atol=float((half[..., 0] * link.sum(axis=1)).max()))
        assert (
            expected[:, link].std() > 0.2 * expected[:, link].mean()
        )  # far from even: another order of tokens would show


@pytest.mark.parametrize("patterns", [("joint",), ("frame", "time"), ("skip:3",)])
def test_words_in_the_sequence_take_their_share_of_what_is_shown(make_model, patterns):
    """What goes to words isn't on the page, so a row adds up to less than 1; pairs are those of the pattern."""
    recording = collect(make_model(*patterns, text="sequence"), PROMPT, moments=2, seed=4)
    for (_, block), rounded in recording.maps.items():
        link = recording.links[block]
        found = rounded.matrix(link)
        np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(~link, found.shape))
        sums = np.nansum(found, axis=-1)
        assert sums.max() < 1 and 0.1 < sums.mean() < 0.99


def test_rounding_is_within_half_a_level_and_exact_at_the_largest():
    generator = np.random.default_rng(0)
    link = generator.random((40, 40)) < 0.3
    np.fill_diagonal(link, True)
    weights = np.exp(4 * generator.standard_normal((3, link.sum()))).astype(np.float32)
    rounded = Rounded.of(weights, link)
    dense = np.full((3, 40, 40), np.nan)
    dense[:, link] = weights
    assert (np.nan_to_num(np.abs(rounded.matrix(link) - dense)) <= rounded.scale[..., None] * 0.5001).all()
    np.testing.assert_allclose(rounded.scale * LEVELS, np.nanmax(dense, axis=-1), rtol=1e-6)
    assert rounded.levels.max() == LEVELS


def test_the_mean_is_over_what_is_shown_and_forbidden_only_where_all_blocks_forbid(make_model):
    recording = collect(make_model("frame", "time"), PROMPT, moments=1)
    (step,), query = recording.steps, 29
    frame, time, _ = (recording.maps[step, block].matrix(recording.links[block])[:, query] for block in range(3))
    np.testing.assert_array_equal(recording.mean(query, step, [1], [0]), time[0])
    both = recording.mean(query, step, [0, 1])
    maps = np.concatenate([frame, time])
    expected = np.where(np.isnan(maps).all(axis=0), np.nan, np.nan_to_num(maps).mean(axis=0))
    np.testing.assert_allclose(both, expected, rtol=1e-6)
    assert np.isfinite(both).sum() == 12 + 5 - 1
    assert recording.reach[query] == 60  # through the blocks news of every patch arrives


def test_listening_changes_nothing(make_model):
    model = make_model("joint")
    model.threads = 2
    drawn = collect(model, PROMPT, seed=3).video
    # It draws in one process. Two would send fewer rows at once through a product, which may round otherwise.
    np.testing.assert_allclose(drawn, model.generate(PROMPT, seed=3)[0], atol=1e-4)
    model.threads = 1
    with backend.blas_threads(1):
        np.testing.assert_array_equal(drawn, model.generate(PROMPT, seed=3)[0])
    model.threads = 2
    with pytest.raises(InputError, match="'dog' is no digit"):
        collect(model, "a dog moving right")
    assert model.threads == 2 and not [b for b in model.transformer.blocks if "forward" in vars(b.attention)]


@pytest.mark.parametrize(
    "asked",
    [{"moments": 0}, {"moments": "4"}, {"seed": -1}, {"steps": 1.5}, {"guidance_scale": np.inf}, {"prompt": None}],
)
def test_what_cannot_be_explored_is_refused(make_model, asked):
    with pytest.raises(InputError, match=r"must be a (whole|finite)|a caption is text"):
        explore(**{"prompt": PROMPT, "weights": [make_model("joint")], **asked})


def test_restricting_leaves_the_model_as_it_is(make_model):
    model = make_model("joint")
    other = restricted(model, "framewise")
    assert collect(model, PROMPT, moments=1).name == "joint" and model.transformer.config.patterns == ("joint",)
    recording = collect(other, PROMPT, moments=1)
    assert recording.name == "framewise" and recording.patterns == ("frame", "time", "frame")
    assert other.transformer.blocks is model.transformer.blocks


def test_a_patch_may_be_several_frames_long(make_model):
    recording = collect(make_model("joint", patch_size=(2, 2, 2), num_frames=4), PROMPT)
    assert recording.grid == (2, 3, 4) and recording.video.shape == (4, 24, 32, 1) and recording.patch_frames == 2


def test_thinning_keeps_the_ends():
    assert thin(range(40), 4) == [0, 13, 26, 39]
    assert thin(range(3), 9) == [0, 1, 2] and thin("abc", 1) == ["b"] and thin("abc", 2) == ["a", "c"]


def test_too_many_patches_and_unlike_weights_are_one_line(make_model):
    with pytest.raises(InputError, match=r"at this size --frames 241 is the most, at this length --size 24x24"):
        collect(make_model("joint"), PROMPT, num_frames=250)
    with pytest.raises(InputError, match="frames are 5 in one and 6 in the other"):
        explore(PROMPT, [make_model("joint"), make_model("frame", num_frames=6)])
    with pytest.raises(InputError, match="blocks are 3 in one and 2 in the other"):
        explore(PROMPT, [make_model("joint"), make_model("frame", depth=2)])


@pytest.mark.parametrize("asked", [{"size": 512}, {"num_frames": 10**9}, {"size": 10**9}, {"num_frames": 200}])
@pytest.mark.parametrize("pattern", ["joint", "frame", "window"])
def test_the_room_is_asked_for_before_anything_is_drawn_or_linked(make_model, monkeypatch, pattern, asked):
    def too_early(*arguments, **options):
        raise AssertionError("this comes after the check")

    for name in ("links", "reachable"):
        monkeypatch.setattr(sys.modules["minivdit.lab.explorer.collect"], name, too_early)
    monkeypatch.setattr("minivdit.generation.TextToVideo.denoise", too_early)
    models = [make_model(pattern), make_model("joint"), make_model("joint", name="other")]
    with pytest.raises(InputError, match=r"than a page has room for; at this (size --frames|length --size)"):
        explore(PROMPT, models, **asked)


def test_the_largest_clips_that_the_message_names_have_room(make_model):
    model = make_model("joint", patch_size=(2, 2, 3))
    with pytest.raises(InputError) as caught:
        check_room([model], 400, (48, 48))
    longest, widest = re.search(r"--frames (\d+) .* --size (\d+)x", str(caught.value)).groups()
    check_room([model], int(longest), (48, 48))
    check_room([model], 400, int(widest))
    for larger in ((int(longest) + 2, (48, 48)), (400, int(widest) + 24)):
        with pytest.raises(InputError):
            check_room([model], *larger)


def test_moments_that_do_not_fit_into_memory_are_refused(make_model, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 60_000)  # three blocks of two heads and 60^2 links: 21,600
    monkeypatch.setattr("minivdit.generation.text_to_video.require_memory", lambda *request: None)
    with pytest.raises(InputError, match=r"moments 3 needs about .* the largest that fits is moments 2"):
        collect(make_model("joint"), PROMPT)


def test_every_recording_says_whose_it_is(make_model):
    explorer = explore(PROMPT, [make_model("joint"), make_model("joint", name="other")], ["perframe"], moments=1)
    assert [recording.name for recording in explorer.recordings] == ["joint", "joint 2", "perframe"]
    words = [recording.weights for recording in explorer.recordings]
    assert "trained with this pattern for 1,000 steps" in words[0] and "other" in words[1]
    assert words[2].startswith("Not trained so: the weights random (joint), restricted.")


def test_on_a_gpu_it_collects_the_same(make_model, stand_in, monkeypatch):
    here = collect(make_model("frame", "window"), PROMPT, moments=1)
    stand_in.install(monkeypatch)
    backend.use("gpu", kernels=False)
    there = collect(make_model("frame", "window"), PROMPT, moments=1)
    for which, rounded in here.maps.items():
        np.testing.assert_allclose(rounded.scale, there.maps[which].scale, rtol=1e-3)
        assert np.abs(rounded.levels.astype(int) - there.maps[which].levels).max() <= 1
