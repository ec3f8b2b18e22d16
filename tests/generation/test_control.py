"""Weights that follow a path: what is shown to the network, in training and in drawing."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.generation import TextToVideo
from minivdit.lab.cli.main import main
from minivdit.models import VideoDiT, VideoDiTConfig, costs
from minivdit.training import presets, stages

PATH = [(4, 4), (12, 20)]


@pytest.fixture(scope="module")
def model(make_model):
    made, generator = make_model(num_frames=4, size=(16, 24), steps=2), np.random.default_rng(0)
    config = VideoDiTConfig(latent_channels=2, width=24, depth=2, heads=2, text_depth=1, control=True)
    made.transformer = VideoDiT(config, len(made.tokenizer), generator)
    for parameter in made.transformer.parameters().values():
        parameter.data += 0.2 * generator.standard_normal(parameter.shape, dtype=np.float32)
    return made


def test_a_path_changes_the_clip_and_its_absence_is_a_map_of_zeros(model):
    plain, shown = model.generate("a 3 moving right"), model.generate("a 3 moving right", path=PATH)
    assert abs(plain - shown).max() > 1e-3
    latents, level, tokens = np.ones((1, 4, 4, 6, 2), np.float32), np.ones((1, 4), np.float32), np.ones((1, 5), int)
    with ag.no_grad():
        none = model.transformer(latents, level, tokens).data
        zeros = model.transformer(latents, level, tokens, control=np.zeros((1, 4, 4, 6, 2), np.float32)).data
    np.testing.assert_array_equal(none, zeros)


def test_each_clip_follows_its_own_path_guided_or_not(model):
    other = [(12, 4), (4, 20)]
    for scale in (1, 3):
        both = model.generate(["a 3 moving right"] * 2, path=[PATH, other], guidance_scale=scale)
        for clip, path in enumerate((PATH, other)):
            alone = model.generate(["a 3 moving right"] * 2, path=path, guidance_scale=scale)
            np.testing.assert_allclose(both[clip], alone[clip], atol=1e-5)
    two = model.generate("a 3 moving right and a 4 moving up", path=[PATH, other])
    assert abs(two - model.generate("a 3 moving right and a 4 moving up", path=[other, PATH])).max() > 1e-4


def test_abilities_that_draw_at_once_take_a_path_and_others_refuse_it(model):
    video = np.random.default_rng(0).random((1, 4, 16, 24, 1), dtype=np.float32)
    mask = np.arange(24) < 12
    for drawn in (
        model.animate(video[:, 0], path=PATH),
        model.edit(video, "a 3 moving right", path=PATH),
        model.inpaint(video, np.broadcast_to(mask, (16, 24)), path=PATH),
    ):
        assert drawn.shape == video.shape
    for refused in (
        lambda: model.extend(video, path=PATH),
        lambda: model.interpolate(video, path=PATH),
        lambda: model.connect(video, video, path=PATH),
        lambda: model.loop(path=PATH),
    ):
        with pytest.raises(InputError, match="a path is for a clip that is drawn in one"):
            refused()


def test_a_path_that_leaves_the_frame_or_has_no_network_is_refused(model, make_model):
    with pytest.raises(InputError, match="must stay inside frames of 16x24 pixels"):
        model.generate("a 3 moving right", path=[(4, 4), (16, 4)])
    with pytest.raises(InputError, match=r"wasn.t trained to follow a path; .*transformer\.control=true"):
        make_model().generate("a 3 moving right", path=PATH)


def test_training_shows_the_paths_of_half_of_the_clips():
    preset = presets.override(presets.get("tiny"), ["transformer.control=true", "training.batch=40"])
    coder = stages.autoencoder_task(preset).model
    task = stages.transformer_task(preset, coder)
    batch = task.batch(np.random.default_rng(0))
    shown = batch["control"].any(axis=(1, 2, 3, 4))
    assert batch["control"].shape == (40, 4, 4, 4, 2) and 10 < shown.sum() < 30
    for parameter in task.parameters.values():
        parameter.data += 0.1
    loss = task.loss(batch)[0].item()
    assert loss != task.loss(batch | {"control": np.zeros_like(batch["control"])})[0].item()
    plain = stages.transformer_task(presets.get("tiny"), coder)
    assert "control" not in plain.batch(np.random.default_rng(0))


def test_costs_count_the_channels_of_the_maps():
    config = VideoDiTConfig(control=True)
    assert (
        costs.clip_cost(config, (2, 2, 2)).parameters
        == VideoDiT(config, costs.TOKENS, np.random.default_rng(0)).parameter_count()
    )
    assert costs.clip_cost(config, (2, 2, 2)).forward_flops > costs.clip_cost(VideoDiTConfig(), (2, 2, 2)).forward_flops


def test_weights_and_command_line(model, tmp_path, capsys):
    file = tmp_path / "control.safetensors"
    model.save(file, half=False)
    np.testing.assert_array_equal(
        TextToVideo.load(file).generate("a 3 moving right", path=PATH), model.generate("a 3 moving right", path=PATH)
    )
    command = [
        "sample",
        "a 3 moving right",
        "--weights",
        str(file),
        "--out",
        str(tmp_path / "clip.gif"),
        "--steps",
        "2",
    ]
    assert main([*command, "--path", "4,4 12,20"]) == 0
    capsys.readouterr()
    assert main(["card", str(tmp_path / "clip.gif")]) == 0 and "[[[4.0, 4.0], [12.0, 20.0]]]" in capsys.readouterr().out
    assert main([*command, "--path", "4,4 12,20", "--path", "4,4 9,9"]) == 2
    assert "2 paths for 'a 3 moving right', which asks for 1 digit; give --path once" in capsys.readouterr().err
    assert (
        main([*command, "--path", "4,4"]) == 2
        and "is not a path; give two or more way points" in capsys.readouterr().err
    )
    assert main([*command, "--path", "4,4 12,200"]) == 2 and "must stay inside" in capsys.readouterr().err
    assert (
        main(
            ["sample", "a 3 moving right", "--weights", "small", "--out", str(tmp_path / "c.gif"), "--path", "4,4 9,9"]
        )
        == 2
    )
    assert "wasn't trained to follow a path" in capsys.readouterr().err
