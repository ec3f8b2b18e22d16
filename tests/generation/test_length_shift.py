"""A schedule that shifts with the length: longer clips are drawn with more of their steps at heavy noise."""

import dataclasses

import numpy as np

from minivdit.diffusion import uniform_levels
from minivdit.generation import TextToVideo


def levels_of(model, num_frames, **drawing):
    """The levels of the first clip's last frame on its way, the one at which it begins not among them."""
    return [step.levels[0, -1] for step in model.denoise("a 3 moving right", num_frames, steps=5, **drawing)]


def test_levels_are_shifted_by_the_number_of_tokens_and_the_settings_are_kept(make_model, tmp_path):
    model = make_model()
    tokens = 2 * 2 * 3  # of 4 frames of 16x24 pixels
    usual = [levels_of(model, frames) for frames in (4, 8)]
    np.testing.assert_allclose(usual, [uniform_levels(5)[1:]] * 2)
    clip = model.generate("a 3 moving right", 4, seed=1)

    model.settings = dataclasses.replace(model.settings, shift_tokens=tokens)
    model.save(tmp_path / "shifted.safetensors")
    loaded = TextToVideo.load(tmp_path / "shifted.safetensors")
    assert loaded.settings.shift_tokens == tokens
    assert (model.generate("a 3 moving right", 4, seed=1) == clip).all()  # of the length at which nothing shifts
    np.testing.assert_allclose(levels_of(loaded, 4), uniform_levels(5)[1:])
    np.testing.assert_allclose(levels_of(loaded, 8), uniform_levels(5, shift=2**0.5)[1:], rtol=1e-6)
    begun = levels_of(loaded, 16, level=0.5)  # what is edited begins as deep in noise, for its length
    np.testing.assert_allclose(begun, uniform_levels(5, highest=0.5, shift=2.0)[1:], rtol=1e-6)


def test_given_frames_stay_as_they_are(make_model):
    model = make_model()
    model.settings = dataclasses.replace(model.settings, shift_tokens=2)
    image = np.random.default_rng(0).random((16, 24, 1), dtype=np.float32)
    assert (model.keyframes({0: image}, "a 3 moving right", 4)[0, 0] == image).all()
