"""Clips are drawn once, kept, and read again only for the request that they were drawn for."""

import copy

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.base.files import load_tensors, save_tensors
from minivdit.lab.evaluation.kept_clips import as_bytes, as_floats, drawn_clips

CAPTIONS = ["a 3 moving up", "a 7 moving right", "a 0 moving down"]


@pytest.fixture
def model(make_model):
    return make_model()


def test_kept_clips_are_those_that_a_fresh_drawing_gives(model, tmp_path, monkeypatch):
    fresh = drawn_clips(model, CAPTIONS, seed=4, batch=2)
    first = drawn_clips(model, CAPTIONS, tmp_path / "clips" / "kept.safetensors", seed=4, batch=2)
    monkeypatch.setattr(type(model), "generate", None)  # from here on nothing can be drawn
    again = drawn_clips(model, CAPTIONS, tmp_path / "clips" / "kept.safetensors", seed=4, batch=2)
    assert fresh.dtype == again.dtype == np.float32 and fresh.shape == (3, 4, 16, 24, 1)
    np.testing.assert_array_equal(fresh, first)
    np.testing.assert_array_equal(fresh, again)
    np.testing.assert_array_equal(as_floats(as_bytes(fresh)), fresh)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 5}, "seed is 4, here 5"),
        ({"steps": 2}, "steps is 3, here 2"),
        ({"guidance_scale": 1.0}, r"guidance_scale is 3\.0, here 1\.0"),
        ({"num_frames": 8}, "num_frames is 4, here 8"),
        ({"batch": 3}, "batch is 2, here 3"),
        ({"captions": CAPTIONS[:2]}, r"caption\.2 is a 0 moving down, here absent"),
        ({"captions": [f"a {n} moving right" for n in range(9)]}, r"caption\.0 .* and 6 more differences"),
    ],
)
def test_clips_of_another_request_are_refused_naming_what_differs(model, tmp_path, changed, named):
    asked = {"captions": CAPTIONS, "seed": 4, "batch": 2}
    drawn_clips(model, path=tmp_path / "kept.safetensors", **asked)
    with pytest.raises(InputError, match=rf"kept\.safetensors holds other clips: .*{named}.*; ask for the same"):
        drawn_clips(model, path=tmp_path / "kept.safetensors", **asked | changed)


def test_clips_of_other_weights_are_refused(model, tmp_path):
    drawn_clips(model, CAPTIONS, tmp_path / "kept.safetensors")
    other = copy.deepcopy(model)
    next(iter(other.transformer.parameters().values())).data[...] += 1
    with pytest.raises(InputError, match=f"weights is {model.fingerprint()}, here {other.fingerprint()}"):
        drawn_clips(other, CAPTIONS, tmp_path / "kept.safetensors")


def test_files_that_hold_no_kept_clips_are_refused(model, tmp_path):
    path = tmp_path / "kept.safetensors"
    for about in (None, {"format": "other"}, ["x"]):
        save_tensors(path, {"video": np.zeros(3, np.uint8)}, about)
        with pytest.raises(InputError, match="holds no clips that were kept"):
            drawn_clips(model, CAPTIONS, path)
    path.unlink()
    drawn_clips(model, CAPTIONS, path)
    tensors, about = load_tensors(path)
    for video in (tensors["video"][:2], tensors["video"].astype(np.float32), np.zeros(3, np.uint8)):
        save_tensors(path, {"video": video}, about)
        with pytest.raises(InputError, match="is damaged"):
            drawn_clips(model, CAPTIONS, path)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_clips_that_are_not_finite_are_an_error_and_not_kept(model, tmp_path, monkeypatch, broken):
    video = np.zeros((3, 4, 16, 24, 1), np.float32)
    video[1:, 2, 3] = broken
    monkeypatch.setattr(type(model), "generate", lambda *_, **__: video)
    with pytest.raises(InputError, match=r"2 of 3 clips drawn aren't finite numbers; lower --guidance"):
        drawn_clips(model, CAPTIONS, tmp_path / "kept.safetensors")
    assert not list(tmp_path.iterdir())
