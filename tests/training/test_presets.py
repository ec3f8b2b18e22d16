"""Presets can be built and changed by name, and say so when they can't."""

import dataclasses
import math

import pytest

from minivdit.base.config import plain
from minivdit.base.errors import InputError
from minivdit.data import PIXELS_PER_FRAME
from minivdit.models import AutoencoderConfig
from minivdit.training import presets
from minivdit.training.tasks import DiffusionSettings


@pytest.mark.parametrize("name", ["tiny", "quick", "small", "colour", "full"])
def test_every_preset_is_whole(name):
    preset = presets.get(name)
    assert preset.name == name and preset.summary
    assert plain(preset)["training"]["steps"] == preset.training.steps
    assert presets.override(preset, []) == preset
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.name = "other"


def test_unknown_preset():
    with pytest.raises(InputError, match="'huge' is not a preset; choose tiny, quick, small, colour, causal, full"):
        presets.get("huge")


@pytest.mark.parametrize("name", ["tiny", "full"])
def test_a_preset_comes_back_from_what_weights_carry(name):
    preset = presets.override(presets.get(name), ["transformer.patterns=frame,time"])
    assert presets.from_plain(plain(preset)) == preset
    older = plain(preset)
    del older["data"]["pixels_per_frame"], older["data"]["shapes"], older["data"]["speeds"]
    older["widening"] = older.pop("finetuning")
    assert presets.from_plain(older).finetuning == preset.finetuning
    assert presets.from_plain(older).data.pixels_per_frame == PIXELS_PER_FRAME
    with pytest.raises(KeyError):
        presets.from_plain({**older, "colour": 1})


def test_override_reads_values_by_their_type():
    preset = presets.override(
        presets.get("small"),
        [
            "training.steps=12",
            "training.learning_rate=3e-4",
            "transformer.patterns=frame, time",
            "transformer.qk_norm=False",
            "data.size=48,64",
            "data.num_digits=1,2",
            "diffusion.prediction=clean",
        ],
    )
    assert preset.training.steps == 12 and preset.training.learning_rate == 3e-4
    assert preset.transformer.patterns == ("frame", "time") and preset.transformer.qk_norm is False
    assert preset.data.size == (48, 64) and preset.data.num_digits == (1, 2)
    assert preset.diffusion.prediction == "clean"
    untouched = presets.get("small")
    assert preset.autoencoder == untouched.autoencoder and untouched.training.steps != 12


def test_settings_that_could_never_draw_are_refused_in_python_too():
    for chances in ((0, 0, 0), (1, 1, -0.1), (math.inf, 0, 0)):
        with pytest.raises(InputError, match="not all 0"):
            DiffusionSettings(shared=chances[0], given=chances[1], independent=chances[2])
    for shift in (0, math.inf):
        with pytest.raises(InputError, match="the shift of rectified flow is a number above 0"):
            DiffusionSettings(shift=shift)
    with pytest.raises(InputError, match="noise prediction can't start from level 1 of zero_terminal_snr"):
        DiffusionSettings(curve="zero_terminal_snr", prediction="noise")
    assert DiffusionSettings(curve="ddpm_cosine", prediction="noise").process.curve.alpha(1.0) > 0
    with pytest.raises(InputError, match="guidance_scale is a number"):
        presets.SamplingSettings(guidance_scale=math.nan)


def test_fields_that_belong_together_change_together():
    changes = ["autoencoder.latent_channels=6", "transformer.latent_channels=6"]
    assert presets.override(presets.get("small"), changes).autoencoder == AutoencoderConfig(1, 6, (32, 64))
    with pytest.raises(InputError, match=r"image_channels must be 1 for digits in grey \(data\.colors\), not 3"):
        presets.override(presets.get("small"), ["autoencoder.image_channels=3"])
    with pytest.raises(InputError, match=r"image_channels must be 3 for digits in colour \(data\.colors\), not 1"):
        presets.override(presets.get("small"), ["data.colors=true"])
    made = presets.override(presets.get("small"), ["data.colors=true", "autoencoder.image_channels=3"])
    assert made.data.colors and presets.from_plain(plain(made)) == made
    with pytest.raises(InputError, match=r"transformer\.latent_channels is 4 but .* is 6; set both alike"):
        presets.override(presets.get("small"), changes[:1])


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("transformer.widht=64", r"'transformer\.widht' is not a setting; nearest: transformer\.width"),
        ("guidance_scale=2", r"is not a setting; nearest: sampling\.guidance_scale"),
        ("transformer=3", "'transformer' is not a setting"),
        ("training.steps", "changes nothing; write name=value"),
        ("training.steps=1.5", r"training\.steps takes a whole number, not '1\.5'"),
        ("training.steps=", r"takes a whole number, not ''"),
        ("training.learning_rate=fast", "takes a number, not 'fast'"),
        ("training.learning_rate=nan", "takes a number, not 'nan'"),
        ("transformer.causal=maybe", "takes true or false, not 'maybe'"),
        ("data.size=64", "takes 2 values with commas between them, not '64'"),
        ("data.size=64,x", "takes a whole number, not 'x'"),
        ("training.steps=0", "steps must be above 0, not 0"),
        ("training.weight_decay=-1", "weight_decay must be between 0 and 1,000, not -1"),
        ("training.learning_rate=0", "learning_rate must be above 0 and at most 1,000, not 0"),
        ("training.batch=0", "batch must be between 1 and 1,048,576, not 0"),
        ("training.ema_decay=2", "ema_decay must be between 0 and 1, not 2"),
        (
            "data.size=36,32",
            "height 36 must be a multiple of 8, such as 32 or 40: a patch has 1 x 2 x 2 latent cells, of 4 x 4",
        ),
        (
            "transformer.patch_size=3,2,2",
            r"num_frames 8 must be a multiple of 3, .*; change data\.num_frames",
        ),
        ("data.shapes=8x32x32:0.1", r"set finetuning\.steps above 0"),
        ("data.turning=0.5", r"set finetuning\.steps above 0"),
        ("data.shapes=8x32", "'8x32' is not a shape with its share"),
        ("data.shapes=8x32x32:2", "'8x32x32:2' is not a shape with its share"),
        ("data.shapes=0x32x32:0.1", "write such as 8x64x64:0.1"),
        ("data.shapes=8x36x32:0.1", r"height 36 must be a multiple of 8, .* change data\.shapes"),
        ("data.num_digits=3", r"clips of \(3,\) digits can't be made"),
        ("data.speeds=warp", "are not all speeds"),
        ("data.digits=letters", "'letters' is not a source of digits"),
        ("data.digit_size=99", "99"),
        ("autoencoder.image_channels=0", "image_channels, .* are 1 or more, not 0"),
        ("transformer.heads=5", "width 128 must split into 5 heads"),
        ("diffusion.prediction=future", "'future' is not a kind of prediction; choose one of"),
        ("diffusion.prediction=noise", "noise prediction can't start from level 1 of rectified_flow"),
        ("diffusion.shared=-1", "are chances: none negative, not all 0; got"),
        ("sampling.sampler=dpm", "'dpm' is not a sampler; choose one of euler"),
        ("sampling.steps=0", "sampling takes at least 1 step and at most 100,000; got 0"),
        ("diffusion.curve=bent", "'bent' is not a noise curve"),
        ("diffusion.caption_dropout=1", "share from 0 to below 1"),
        ("diffusion.weighting=none", "'none' is not a weighting"),
    ],
)
def test_override_refuses(assignment, message):
    with pytest.raises(InputError, match=message):
        presets.override(presets.get("small"), [assignment])


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["transformer.patterns=frame,time", "training.steps=5", "data.digits=mnist"],
        [
            "data.shapes=",
            "data.turning=0",
            "finetuning.steps=0",
            "training.matrix_learning_rate=0.01",
            "transformer.qk_norm=false",
        ],
    ],
)
def test_a_preset_knows_the_assignments_that_made_it(changes):
    preset = presets.override(presets.get("full"), changes)
    assert len(presets.assignments(preset, presets.get("full"))) == len(changes)
    assert presets.override(presets.get("full"), presets.assignments(preset, presets.get("full"))) == preset
