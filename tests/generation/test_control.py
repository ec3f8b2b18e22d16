"""Weights that follow a path: what is shown to the network, in training and in drawing."""

import imageio.v3 as imageio
import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base.errors import InputError
from minivdit.data.reading import read_clip
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


@pytest.fixture(scope="module")
def steered(make_model):
    """Weights that are shown paths and velocities."""
    made, generator = make_model(num_frames=4, size=(16, 24), steps=2), np.random.default_rng(0)
    shape = {"latent_channels": 2, "width": 24, "depth": 2, "heads": 2, "text_depth": 1}
    config = VideoDiTConfig(**shape, control=True, velocities=True)
    made.transformer = VideoDiT(config, len(made.tokenizer), generator)
    for parameter in made.transformer.parameters().values():
        parameter.data += 0.2 * generator.standard_normal(parameter.shape, dtype=np.float32)
    return made


MASK = np.arange(24) < np.full((16, 1), 12)


def test_pan_and_brush_change_the_clip_and_compose_with_each_other_and_with_a_path(steered):
    def drawn(**told):
        return steered.generate("a 3 moving right", **told)

    brush = MASK, (1, 0)
    clips = [drawn(), drawn(pan=(0, -1)), drawn(brush=brush), drawn(pan=(0, -1), brush=brush), drawn(path=PATH)]
    clips.append(drawn(path=PATH, pan=(0, -1), brush=brush))
    for first, one in enumerate(clips):
        for other in clips[:first]:
            assert abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(drawn(pan=(0, 0)), clips[0])
    assert abs(drawn(brush=(~MASK, (1, 0))) - clips[2]).max() > 1e-3


def test_each_clip_has_its_own_pan_and_brush(steered):
    pans, masks, ways = [(0, -1), (1, 0)], np.stack([MASK, ~MASK]), [(1, 0), (0, 2)]
    both = steered.generate(["a 3 moving right"] * 2, pan=pans, brush=(masks, ways), guidance_scale=3)
    for clip in range(2):
        how = {"pan": pans[clip], "brush": (masks[clip], ways[clip]), "guidance_scale": 3}
        alone = steered.generate(["a 3 moving right"] * 2, **how)
        np.testing.assert_allclose(both[clip], alone[clip], atol=1e-5)


def test_a_caption_that_speaks_of_the_camera_is_a_pan(steered):
    said = steered.generate("a 3 moving right, the camera pans quickly left")
    np.testing.assert_array_equal(said, steered.generate("a 3 moving right", pan=(0, -4.2 * 16 / 64)))
    pair = steered.generate(["a 3 moving right", "The camera pans up while a 3 moves right"])
    step = (-2.8 * 16 / 64, 0)
    np.testing.assert_array_equal(pair, steered.generate(["a 3 moving right", "a 3 moves right"], pan=[(0, 0), step]))
    sparse = steered.generate("a 3 moving right, the camera pans up", frame_step=2)
    np.testing.assert_array_equal(sparse, steered.generate("a 3 moving right", pan=(2 * step[0], 0), frame_step=2))
    with pytest.raises(InputError, match="leave one of them out"):
        steered.generate("a 3 moving right, the camera pans left", pan=(0, 1))
    with pytest.raises(InputError, match="doesn't say how the camera pans; write such as"):
        steered.generate("a 3 moving right, the camera zooms in")


def test_pan_and_brush_need_weights_and_a_clip_that_is_drawn_in_one(steered, model):
    for told, words in (
        ({"pan": (0, 1)}, r"wasn't trained to pan; .*transformer\.velocities=true"),
        ({"brush": (MASK, (0, 1))}, r"wasn't trained to obey a brush; .*transformer\.velocities=true"),
    ):
        with pytest.raises(InputError, match=words):
            model.generate("a 3 moving right", **told)
        with pytest.raises(InputError, match="is for a clip that is drawn in one"):
            steered.loop(**told)
    with pytest.raises(InputError, match="wasn't trained to pan"):
        model.generate("a 3 moving right, the camera pans left")
    with pytest.raises(InputError, match="a brush is a mask and a velocity"):
        steered.generate("a 3 moving right", brush=MASK)


def test_training_shows_the_velocities_of_its_clips():
    preset = presets.override(presets.get("tiny"), ["transformer.velocities=true", "training.batch=40"])
    coder = stages.autoencoder_task(preset).model
    task = stages.transformer_task(preset, coder)
    batch = task.batch(np.random.default_rng(0))
    told = batch["control"].any(axis=(1, 2, 3, 4))
    assert batch["control"].shape == (40, 4, 4, 4, 3) and 10 < told.sum() < 30
    clips = task.clips.batch(np.random.default_rng(0), 40)
    np.testing.assert_array_equal(clips.video, batch["video"])
    np.testing.assert_array_equal(clips.velocities.any(axis=(1, 2, 3)), told)
    both = presets.override(preset, ["transformer.control=true"])
    assert stages.transformer_task(both, coder).batch(np.random.default_rng(0))["control"].shape[-1] == 5
    assert preset.data.clips().steered == 0  # measured on what captions say


def test_costs_count_the_channels_of_velocities():
    config = VideoDiTConfig(control=True, velocities=True)
    assert config.input_channels == 4 + 2 + 3
    counted = VideoDiT(config, costs.TOKENS, np.random.default_rng(0)).parameter_count()
    assert costs.clip_cost(config, (2, 2, 2)).parameters == counted


def test_pan_and_brush_on_the_command_line(steered, tmp_path, capsys):
    file, out = tmp_path / "steered.safetensors", tmp_path / "clip.gif"
    steered.save(file, half=False)
    how = ["--weights", str(file), "--out", str(out), "--steps", "2"]
    sample = ["sample", "a 3 moving right", *how]
    imageio.imwrite(tmp_path / "mask.png", MASK.astype(np.uint8) * 255)
    assert main([*sample, "--pan", "-2,0"]) == 0
    panned = read_clip(out)
    np.testing.assert_allclose(panned, steered.generate("a 3 moving right", pan=(-2, 0), steps=2)[0], atol=1 / 254)
    assert main(["sample", "a 3 moving right, the camera pans left", *how]) == 0
    assert main([*sample, "--brush", "0,0 15,11", "--move", "1,-.5"]) == 0
    boxed = read_clip(out)
    assert main([*sample, "--brush", str(tmp_path / "mask.png"), "--move", "1,-.5"]) == 0
    np.testing.assert_array_equal(read_clip(out), boxed)
    assert main(["card", str(out)]) == 0 and "move" in capsys.readouterr().out
    first = tmp_path / "first.png"
    imageio.imwrite(first, (255 * panned[0, ..., 0]).astype(np.uint8))
    assert main(["animate", str(first), *how, "--brush", "0,0 15,11", "--move", "1,0", "--pan", "0,1"]) == 0
    capsys.readouterr()
    for words, told in (
        (["--pan", "left"], "'left' is not a velocity; give rows,columns in pixels a frame"),
        (["--pan", "0,99"], "leaves a picture of 16x24 at once; give less"),
        (["--brush", "0,0 15,11"], "give both, such as --brush"),
        (["--move", "0,1"], "give both, such as --brush"),
        (["--brush", "0,0 16,11", "--move", "0,1"], "a brush must stay inside pictures of 16x24 pixels"),
        (["--brush", "4,2", "--move", "0,1"], "is not a brush; give a picture, or two corners"),
        (["--brush", "nothing.png", "--move", "0,1"], "there is no file nothing.png"),
        (["--pan", "0,1", "--recursive", "2"], "--pan has no effect with --recursive"),
    ):
        assert main([*sample, *words]) == 2
        assert told in capsys.readouterr().err


def test_a_long_clip_in_windows_can_be_panned_and_not_brushed(steered):
    plain = steered.generate("a 3 moving right", 8, overlap=2)
    panned = steered.generate("a 3 moving right", 8, overlap=2, pan=(0, -1))
    assert panned.shape == (1, 8, 16, 24, 1) and abs(panned - plain).max() > 1e-3
    with pytest.raises(InputError, match="a brush speaks of the first frame, which later windows don't see; leave the"):
        steered.generate("a 3 moving right", 8, overlap=2, brush=(MASK, (0, 1)))
    steered.generate("a 3 moving right", 4, overlap=2, brush=(MASK, (0, 1)))
