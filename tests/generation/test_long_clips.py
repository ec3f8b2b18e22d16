"""Clips longer than those in training, in windows in time: in the memory of one, and as ever where one is enough."""

import contextlib
import dataclasses
import tracemalloc

import numpy as np
import pytest

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.lab.cli.main import main
from minivdit.models import AutoencoderConfig, make_autoencoder

PROMPTS = ["a 3 moving right", "a 7 moving up, then down"]


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(num_frames=8, size=(16, 16), steps=2)


@pytest.mark.parametrize("frames", [4, 8])
def test_a_clip_that_fits_in_one_window_is_drawn_as_before_bit_for_bit(model, frames):
    plain = model.generate(PROMPTS, frames, seed=1)
    np.testing.assert_array_equal(model.generate(PROMPTS, frames, seed=1, overlap=4), plain)


def test_a_longer_clip_is_another_for_each_overlap_and_the_same_again(model):
    clips = [model.generate(PROMPTS, 20, seed=1, overlap=overlap) for overlap in (2, 4, 6, 4, None)]
    assert all(clip.shape == (2, 20, 16, 16, 1) and np.isfinite(clip).all() for clip in clips)
    np.testing.assert_array_equal(clips[1], clips[3])
    for one, other in ((0, 1), (1, 2), (1, 4)):
        assert abs(clips[one] - clips[other]).max() > 1e-4
    alone = model.generate(PROMPTS, 20, seed=1, overlap=4, index=1)
    np.testing.assert_allclose(alone, clips[1][1:], atol=1e-5)


def test_a_network_that_sees_single_frames_draws_the_same_in_windows(make_model):
    """Where no frame depends on another, nor on where it stands, it can't matter which window it is seen in."""
    model = make_model(num_frames=4, size=(16, 16), steps=2)
    config = dataclasses.replace(model.transformer.config, patch_size=(1, 2, 2), patterns=("frame",))
    model.transformer = type(model.transformer)(config, len(model.tokenizer), np.random.default_rng(0))
    for parameter in model.transformer.parameters().values():
        parameter.data += 0.2 * np.random.default_rng(1).standard_normal(parameter.shape, dtype=np.float32)
    plain = model.generate(PROMPTS, 11, seed=1)
    np.testing.assert_allclose(model.generate(PROMPTS, 11, seed=1, overlap=1), plain, atol=1e-5)
    config = dataclasses.replace(config, patterns=("joint",))
    model.transformer.config = config
    assert abs(model.generate(PROMPTS, 11, seed=1, overlap=1) - model.generate(PROMPTS, 11, seed=1)).max() > 1e-4


def test_each_window_is_told_the_caption_of_its_part(model, monkeypatch):
    told, forward = [], type(model.transformer).forward

    def watched(self, latents, level, tokens, **options):
        told.append([[model.tokenizer.decode(row) for row in np.atleast_2d(clip)] for clip in tokens])
        return forward(self, latents, level, tokens, **options)

    monkeypatch.setattr(type(model.transformer), "forward", watched)
    monkeypatch.setattr(model, "threads", 1)
    caption = "a 3 moving right, then up, then left"
    model.generate(caption, 24, seed=1, steps=1, overlap=4, guidance_scale=1)
    right, up, left = "a 3 moving right", "then a 3 moving up", "then a 3 moving left"
    assert [clip for (clip,) in told] == [[right], [right, up], [up], [up, left], [left]]


@pytest.mark.parametrize("frames", [32, 64])
def test_a_long_clip_takes_the_memory_of_a_window(make_model, monkeypatch, frames):
    model = make_model(num_frames=8, size=(32, 48), steps=1)
    config = dataclasses.replace(model.transformer.config, width=128)
    model.transformer = type(model.transformer)(config, len(model.tokenizer), np.random.default_rng(0))
    monkeypatch.setattr(model, "threads", 1)

    def peak(frames, **drawing):
        tracemalloc.start()
        model.generate("a 3 moving right", frames, **drawing)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(8)  # what is made once
    window, in_windows, whole = peak(8), peak(frames, overlap=4), peak(frames)
    clip = 4 * frames * 32 * 48
    assert in_windows < 1.1 * window + 4 * clip and whole > frames / 24 * in_windows
    # And so says the forecast: it refuses all frames at once with memory that is enough for windows.
    least = []
    for length, overlap in ((8, None), (frames, 4), (frames, None)):
        for free in np.geomspace(1e5, 1e9, 200):
            monkeypatch.setattr(machine, "available_memory", lambda free=free: int(free))
            with contextlib.suppress(InputError):
                model.check_request(1, length, (32, 48), overlap=overlap)
                break
        least.append(free)
    assert least[0] <= least[1] < least[2]


def test_a_path_is_cut_to_windows(make_model, monkeypatch):
    model, seen = make_model(num_frames=8, size=(16, 16), steps=1), []
    config = dataclasses.replace(model.transformer.config, control=True)
    model.transformer = type(model.transformer)(config, len(model.tokenizer), np.random.default_rng(0))
    forward = type(model.transformer).forward

    def watched(self, *inputs, control, **options):
        seen.append(control)
        return forward(self, *inputs, control=control, **options)

    monkeypatch.setattr(type(model.transformer), "forward", watched)
    monkeypatch.setattr(model, "threads", 1)
    model.generate(PROMPTS, 12, path=[(4, 4), (4, 12)], overlap=4)
    model.generate(PROMPTS, 12, path=[(4, 4), (4, 12)])
    first, second, whole = seen
    assert first.shape == second.shape == (4, 8, 4, 4, 2) and whole.shape == (4, 12, 4, 4, 2)  # guided
    np.testing.assert_array_equal(first, whole[:, :8])
    np.testing.assert_array_equal(second, whole[:, 4:])


def test_levels_are_shifted_as_for_a_window(make_model):
    """Not as for the whole clip: the network sees windows."""
    model = make_model(num_frames=8, size=(16, 16), steps=4, shift_tokens=4)
    levels = [
        np.stack([step.levels[0, 0] for step in model.denoise(PROMPTS[0], frames, **drawing)])
        for frames, drawing in ((8, {}), (20, {"overlap": 4}), (20, {}))
    ]
    np.testing.assert_array_equal(levels[0], levels[1])
    assert (levels[2][:-1] > levels[1][:-1]).all()


def test_what_is_given_is_kept(model):
    image = np.random.default_rng(0).random((1, 2, 16, 16, 1), dtype=np.float32)
    clip = model.keyframes({0: image[:, 0], 1: image[:, 1]}, PROMPTS[0], 20, overlap=4)
    np.testing.assert_array_equal(clip[:, :2], image)
    assert model.edit(np.zeros((1, 20, 16, 16, 1), np.float32), PROMPTS[0], overlap=4).shape == (1, 20, 16, 16, 1)


def test_flops_are_those_of_all_windows(model):
    def flops(frames, **how):
        told = []
        model.generate("a 3 moving right", frames, progress=lambda *state: told.append(state[2]), **how)
        return told[0]

    assert flops(20, overlap=4) == pytest.approx(4 * flops(8))


@pytest.mark.parametrize(
    ("overlap", "words"), [(0, "from 1 to 7"), (8, "from 1 to 7"), (3, "a multiple of 2"), ("x", "1")]
)
def test_an_overlap_that_makes_no_sense_is_refused(model, overlap, words):
    with pytest.raises(InputError, match=words):
        model.generate("a 3 moving right", 20, overlap=overlap)


def test_frames_that_are_coded_together_are_refused(model):
    coder = make_autoencoder(
        AutoencoderConfig(latent_channels=2, channels=(4, 4), time_factor=2), np.random.default_rng(0)
    )
    made = type(model)(model.transformer, coder, model.tokenizer, dataclasses.replace(model.settings, num_frames=7))
    with pytest.raises(InputError, match="would begin with 2 frames"):
        made.generate("a 3 moving right", 15, overlap=2)


def test_the_command(model, tmp_path, capsys):
    model.save(tmp_path / "m.safetensors")
    command = ["sample", "a 3 moving right", "--weights", str(tmp_path / "m.safetensors"), "--steps", "2"]
    assert main([*command, "--frames", "20", "--overlap", "4", "--out", str(tmp_path / "clip.gif")]) == 0
    assert main(["card", str(tmp_path / "clip.gif")]) == 0
    assert "overlap" in capsys.readouterr().out
    assert main([*command, "--recursive", "1", "--overlap", "4"]) == 2
    assert "--overlap has no effect with --recursive" in capsys.readouterr().err
    assert main([*command, "--frames", "20", "--overlap", "5"]) == 2
    assert "give a multiple of 2" in capsys.readouterr().err
