"""Who influences whom: what the theory of patterns says, and what changing one token of a real model does."""

import numpy as np
import pytest

from minivdit.models.patterns import reachable

CASES = {
    "frame": (("frame", "frame"), False),
    "time": (("time", "time"), False),
    "frame and time": (("frame", "time"), False),
    "joint": (("joint",), False),
    "one window": (("window:2x1x2",), False),
    "shifted windows": (("window:2x1x2",) * 2, False),
    "window and frame": (("window:2x1x2", "frame", "window:2x1x2"), False),
    "one skip": (("skip:3",), False),
    "two skips": (("skip:3",) * 2, False),
    "causal joint": (("joint", "joint"), True),
    "causal time": (("time",), True),
    "causal frame and time": (("frame", "time"), True),
    "causal windows": (("window:2x1x2",) * 3, True),
    "causal skip": (("skip:2", "skip:2"), True),
}
GRIDS = [(4, 2, 3), (3, 1, 5)]


def measured(model, inputs, in_double, grid):
    """Boolean (N, N): entry [i, j] says whether the output at token i changed with the input at token j.

    One forward pass of N + 1 clips: in clip j token j is another one, the last is as it was.
    """
    tokens = int(np.prod(grid))
    (latents,), (level,), (caption,) = inputs(model, grid)
    clips = np.repeat(latents[None], tokens + 1, axis=0).reshape(tokens + 1, tokens, -1).astype(np.float64)
    clips[np.arange(tokens), np.arange(tokens)] += np.random.default_rng(7).standard_normal(clips.shape[-1])
    again = lambda a: np.repeat(a[None], tokens + 1, axis=0)
    output = in_double(model)(clips.reshape(-1, *latents.shape), again(level), again(caption)).data
    output = output.reshape(tokens + 1, tokens, -1)
    assert output.dtype == np.float64
    return (abs(output[:-1] - output[-1]) > 1e-10).any(axis=-1).T


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("case", CASES)
def test_reachable_is_what_a_model_does(tiny, inputs, in_double, case, grid):
    patterns, causal = CASES[case]
    model = tiny(depth=len(patterns), patterns=patterns, causal=causal, patch_size=(1, 1, 1))
    assert np.array_equal(measured(model, inputs, in_double, grid), reachable(patterns, grid, causal))


def frames_changed(model, inputs, in_double, change):
    """Which frames' outputs change when `change(latents, level)` has changed the inputs: boolean (frames,)."""
    in_double(model)
    latents, level, tokens = inputs(model, (4, 4, 6))
    before = model(latents.astype(np.float64), level, tokens).data
    latents, level = latents.astype(np.float64), level.copy()
    change(latents, level)
    return (abs(model(latents, level, tokens).data - before) > 1e-10).any(axis=(0, 2, 3, 4))


EXPECTED = {  # with the input of frame 2 of 0..3 changed
    "frame": [False, False, True, False],
    "joint": [True, True, True, True],
    "frame and time": [True, True, True, True],
    "causal joint": [False, False, True, True],
    "causal frame and time": [False, False, True, True],
}


@pytest.mark.parametrize("case", EXPECTED)
@pytest.mark.parametrize("what", ["latents", "noise level"])
def test_changing_one_frame_changes(tiny, inputs, in_double, case, what):
    """Its latents, or its own noise level alone: the modulation of a frame belongs to that frame."""

    def change(latents, level):
        if what == "latents":
            latents[:, 2] += 1
        else:
            level[:, 2] = 1 - level[:, 2]

    patterns, causal = CASES[case]
    model = tiny(patterns=patterns, causal=causal)
    assert frames_changed(model, inputs, in_double, change).tolist() == EXPECTED[case]


def test_a_frames_noise_level_modulates_only_its_own_tokens(tiny, inputs):
    model = tiny()
    _, level, tokens = inputs(model, (4, 4, 6))
    _, mean = model.text(tokens)
    before = model._condition(level, mean, 4).data
    level[0, 2] = 1 - level[0, 2]
    changed = abs(model._condition(level, mean, 4).data - before).max(axis=(0, 2, 3)) > 1e-3
    assert changed.tolist() == [False, False, True, False]


def test_a_patch_over_frames_sees_the_level_of_each_of_them(tiny, inputs):
    model = tiny(patch_size=(2, 2, 2), patterns=("frame",))
    latents, level, tokens = inputs(model, (4, 4, 6))
    before = model(latents, level, tokens).data
    for frame in range(4):
        other = level.copy()
        other[0, frame] = 1 - other[0, frame]
        changed = abs(model(latents, other, tokens).data - before).max(axis=(0, 2, 3, 4)) > 1e-4
        assert changed.tolist() == [frame < 2, frame < 2, frame >= 2, frame >= 2]
    swapped = level[:, [1, 0, 2, 3]]
    assert abs(model(latents, swapped, tokens).data - before)[:, :2].max() > 1e-3


def test_frames_of_a_frame_model_may_come_in_any_order_if_time_is_not_told(tiny, inputs, in_double):
    """With 'frame' attention and only height and width in the positions, permuting frames permutes the output."""
    model = in_double(tiny(patterns=("frame",), positions="sincos"))
    latents, level, tokens = inputs(model, (4, 4, 6))
    order = [2, 0, 3, 1]
    straight = model(latents, level, tokens).data
    permuted = model(latents[:, order], level[:, order], tokens).data
    assert abs(permuted - straight[:, order]).max() > 1e-6, "sincos tells the time"
    rotary = in_double(tiny(patterns=("frame",)))  # rotary positions know differences only: none within a frame
    straight = rotary(latents, level, tokens).data
    np.testing.assert_allclose(rotary(latents[:, order], level[:, order], tokens).data, straight[:, order], atol=1e-6)
