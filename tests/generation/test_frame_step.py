"""Clips of every n-th frame: how fast they are, how the network is told, and clips drawn from key frames inwards."""

import dataclasses

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.data import CaptionedClips, Shape, digit_source
from minivdit.lab.cli.main import main
from minivdit.models.patches import rotary_angles, sincos_positions
from minivdit.training import presets, stages


def test_every_fourth_frame_goes_four_times_as_far():
    options = {"size": (64, 64), "num_frames": 3, "digit_size": 12, "num_digits": (1,)}
    whole = CaptionedClips(digit_source("strokes"), **{**options, "num_frames": 9})
    fourth = CaptionedClips(digit_source("strokes"), **options, frame_step=4)
    made, sparse = (clips.batch(np.random.default_rng(0), 50) for clips in (whole, fourth))
    steps = [np.hypot(*np.diff(one.tracks[:, 0], axis=1).transpose(2, 0, 1)) for one in (made, sparse)]
    assert steps[1][:, 0].mean() == pytest.approx(4 * steps[0][:, 0].mean(), rel=0.15)
    assert sparse.frame_step == 4 and made.frame_step == 1
    assert fourth.describe()["frame_step"] == [4] and "frame_step" not in whole.describe()


def test_positions_are_those_of_the_whole_clip():
    """The frames 0, 4 and 8 of a clip have the same positions whether the others are there or not."""
    whole, sparse = rotary_angles((9, 2, 3), 24), rotary_angles((3, 2, 3), 24, 4)
    for all_of_it, some in zip(whole, sparse):
        np.testing.assert_array_equal(all_of_it.reshape(9, 6, -1)[::4], some.reshape(3, 6, -1))
    np.testing.assert_array_equal(
        sincos_positions((9, 2, 3), 25).reshape(9, 6, 25)[::4].reshape(18, 25), sincos_positions((3, 2, 3), 25, 4)
    )


@pytest.mark.parametrize("positions", ["rotary", "sincos", "both"])
@pytest.mark.parametrize("text", ["cross", "sequence"])
def test_the_network_knows_the_step(positions, text, make_model):
    model = make_model().transformer
    config = dataclasses.replace(model.config, positions=positions, text=text)
    network, generator = type(model)(config, 40, np.random.default_rng(0)), np.random.default_rng(1)
    for parameter in network.parameters().values():
        parameter.data += 0.2 * generator.standard_normal(parameter.shape, dtype=np.float32)
    inputs = (
        generator.standard_normal((1, 4, 4, 4, 2), dtype=np.float32),
        np.full((1, 4), 0.5, np.float32),
        np.ones((1, 5), int),
    )
    with ag.no_grad():
        usual, one, four = (network(*inputs, **options).data for options in ({}, {"frame_step": 1}, {"frame_step": 4}))
    np.testing.assert_array_equal(usual, one)
    assert abs(usual - four).max() > 1e-4


def test_shapes_with_steps_are_read_and_trained():
    assert Shape.read("8x32x48@4:0.25") == (8, 32, 48, 0.25, 4) and Shape.read("8x32x48:0.25").frame_step == 1
    for wrong in ("8x32x48@0:0.2", "8x32x48@x:0.2", "8x32@4:0.2", "8x32x48@-1:0.2"):
        with pytest.raises(InputError, match="is not a shape with its share"):
            Shape.read(wrong)
    preset = presets.override(presets.get("tiny"), ["data.shapes=4x16x16@4:1.0", "finetuning.steps=2"])
    coder = stages.autoencoder_task(preset).model
    task = stages.transformer_task(preset, coder)
    assert "frame_step" not in task.batch(np.random.default_rng(0))
    task = stages.finetuning_task(preset, coder, task.model)
    batch = task.batch(np.random.default_rng(0))
    assert (batch["frame_step"] == 4).all() and len(batch["frame_step"]) == len(batch["video"])
    for parameter in task.parameters.values():
        parameter.data += 0.1 * np.random.default_rng(0).standard_normal(parameter.shape, dtype=np.float32)
    assert task.loss(batch)[0].item() != task.loss({**batch, "frame_step": np.ones(8, int)})[0].item()


@pytest.fixture(scope="module")
def model(make_model):
    made = make_model(num_frames=4, size=(16, 16), steps=2)
    made.transformer.config = dataclasses.replace(made.transformer.config, patch_size=(2, 2, 2))
    return made


def test_a_recursive_clip_keeps_its_key_frames(model, monkeypatch):
    seen, denoise = [], model.denoise

    def watched(*given, **options):
        seen.append(options.get("frame_step", 1))
        return denoise(*given, **options)

    monkeypatch.setattr(model, "denoise", watched)
    video = model.recursive("a 3 moving right", 2, seed=3)
    assert video.shape == (1, 13, 16, 16, 1)
    assert seen[0] == 4 and set(seen[1:]) == {2, 1} and seen == sorted(seen, reverse=True)
    keys = model.generate("a 3 moving right", seed=3, frame_step=4)
    np.testing.assert_array_equal(video[:, ::4], keys)
    assert model.recursive(["a 3 moving right", "a 4 moving up"], 1).shape == (2, 7, 16, 16, 1)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"halvings": 0}, "halvings"),
        ({"frame_step": 2}, "leave frame_step out"),
        ({"path": [(1, 1), (2, 2)]}, "a path is for a clip"),
    ],
)
def test_what_makes_no_sense_is_refused(model, options, words):
    with pytest.raises(InputError, match=words):
        model.recursive("a 3 moving right", **options)
    with pytest.raises(InputError, match="frame_step"):
        model.generate("a 3 moving right", frame_step=0)


def test_the_command(model, tmp_path, capsys):
    model.save(tmp_path / "m.safetensors")
    command = ["sample", "a 3 moving right", "--weights", str(tmp_path / "m.safetensors"), "--steps", "2"]
    assert main([*command, "--recursive", "2", "--out", str(tmp_path / "clip.gif"), "--plain"]) == 0
    assert main([*command, "--recursive", "2", "--frames", "8"]) == 2
    assert "--frames has no effect with --recursive" in capsys.readouterr().err
