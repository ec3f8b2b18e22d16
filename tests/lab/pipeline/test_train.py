"""The parts joined: what is assembled, predicted and judged is what the preset and the weights say."""

import copy
import dataclasses

import numpy as np
import pytest

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.data import parse
from minivdit.data.reading import read_clip
from minivdit.generation import TextToVideo
from minivdit.lab.evaluation import measures, model_evaluation
from minivdit.lab.pipeline import forecast
from minivdit.lab.pipeline import train as pipeline
from minivdit.models import Autoencoder, Tokenizer, VideoDiT
from minivdit.training import presets
from minivdit.training.stages import tokenizer_of


@pytest.fixture(scope="module")
def preset():
    return presets.get("tiny")


@pytest.fixture(scope="module")
def model(preset):
    generator, tokenizer = np.random.default_rng(0), Tokenizer()
    transformer = VideoDiT(preset.transformer, len(tokenizer), generator)
    notes = {"preset": {"data": {"digits": "strokes"}}}
    return pipeline.assemble(preset, transformer, Autoencoder(preset.autoencoder, generator), tokenizer, notes)


def test_a_model_draws_as_its_preset_says(preset, model):
    settings = model.settings
    assert (settings.size, settings.num_frames, settings.digit_size) == ((16, 16), 4, 8)
    assert (settings.sampler, settings.steps, settings.guidance_scale) == dataclasses.astuple(preset.sampling)
    assert model.generate("a 3 moving up").shape == (1, 4, 16, 16, 1)


@pytest.mark.parametrize("notes", [{}, {"preset": "x"}, {"preset": {"data": "strokes"}}, {"preset": {"name": 3}}])
def test_weights_that_do_not_say_what_they_were_trained_with(model, notes):
    other = copy.copy(model)
    other.notes = notes
    with pytest.raises(InputError, match=r"mine\.safetensors doesn't say what it was trained with"):
        pipeline.trained_with(other, "mine.safetensors")


def test_a_training_does_not_go_on_from_weights_with_words_that_its_clips_lack(preset, model, tmp_path):
    changes = ["data.speeds=slow,very fast", "data.pixels_per_frame=1.6,2.8,4.2,12.6"]
    quick = presets.override(preset, changes)
    other = copy.copy(model)
    other.tokenizer = tokenizer_of(quick)
    with pytest.raises(InputError, match="it knows 'very', which no caption of this training has; set"):
        pipeline.train_model(preset, tmp_path, start=other, progress=False)
    pipeline._require_same_networks(quick, other)
    pipeline._require_same_networks(quick, model)


def test_weights_remember_which_digits_auto_meant(preset, tmp_path):
    auto = presets.override(preset, ["data.digits=auto"])
    assert pipeline.with_known_digits(auto, tmp_path).data.digits == "strokes"  # there is no MNIST in that folder


def test_previews_show_digits_that_training_does_not_see(preset):
    real = pipeline.real_clips(preset, 6, seed=3)
    again = pipeline.real_clips(preset, 6, seed=3)
    np.testing.assert_array_equal(real.video, again.video)
    assert real.captions == again.captions
    shown = preset.data.clips("train").source.images.reshape(-1, 28 * 28)
    hidden = preset.data.clips("test").source.images.reshape(-1, 28 * 28)
    assert not {row.tobytes() for row in shown} & {row.tobytes() for row in hidden}


@pytest.mark.parametrize("name", ["tiny", "full"])
def test_costs_are_predicted_before_anything_runs(name):
    preset = presets.get(name)
    text = forecast.predict(preset)
    transformer = VideoDiT(preset.transformer, len(tokenizer_of(preset)), np.random.default_rng(0))
    parameters = {
        "autoencoder": Autoencoder(preset.autoencoder, np.random.default_rng(0)).parameter_count(),
        "transformer": transformer.parameter_count(),
        "text": transformer.text.parameter_count(),
    }
    for stage, count in parameters.items():
        assert f"{count:,} parameters" in next(line for line in text.splitlines() if line.split()[0] == stage)
    assert f"{preset.training.steps} steps" in text
    assert "as many steps as fit into 3 minutes" in forecast.predict(preset, minutes=3)


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("training", []),
        ("autoencoder_training", ["autoencoder_training.batch=200"]),
        ("text_training", ["text_training.batch=300"]),
        ("finetuning", ["finetuning.batch=40", "finetuning.steps=1"]),
        (
            "finetuning",
            ["finetuning.batch=8", "finetuning.steps=1", "data.shapes=64x64x64:0.1"],
        ),  # one clip is too much
    ],
)
def test_training_that_does_not_fit_is_refused_with_what_does(preset, monkeypatch, setting, changes):
    """Each stage by itself: none may begin and fail after what came before was trained."""
    preset = presets.override(preset, changes)
    batch = getattr(preset, setting).batch
    needed = max(cost.training_memory for cost in forecast.stage_costs(preset, setting))
    monkeypatch.setattr(machine, "available_memory", lambda: needed - 1)
    cure = "not even 1 fits" if preset.data.shapes else rf"largest that fits is {setting}\.batch \d+$"
    with pytest.raises(InputError, match=rf"^{setting}\.batch {batch} needs .*{cure}"):
        forecast.predict(preset)
    monkeypatch.setattr(machine, "available_memory", lambda: needed)
    assert f"{machine.amount(needed)} of memory" in forecast.predict(preset)


def test_real_clips_have_better_preview_scores_than_noise(preset):
    wide = presets.override(presets.get("quick"), ["data.digits=strokes"])
    real = pipeline.real_clips(wide, 12)
    good = model_evaluation.preview_scores(real.video, real.captions, wide.data.digit_size)
    noise = np.random.default_rng(0).random(real.video.shape, dtype=np.float32)
    bad = model_evaluation.preview_scores(noise, real.captions, wide.data.digit_size)
    assert list(good) == [name for name in measures.PREVIEWED if name != "colour"] == list(bad)
    assert all(good[name] > 0.7 and good[name] > bad[name] + 0.3 for name in good), (good, bad)


def test_patterns_that_are_cheaper_at_the_beginning_make_a_training_cheaper():
    small = presets.get("small")
    early = presets.override(small, ["diffusion.early_patterns=frame+time:0.5,joint:0.25"])
    cheap = presets.override(small, ["transformer.patterns=frame,time"])
    plain, mixed, least = (forecast.step_flops(preset, "training") for preset in (small, early, cheap))
    assert mixed == pytest.approx((plain + least) / 2) and least < plain
    assert forecast.step_flops(early, "autoencoder_training") == forecast.step_flops(small, "autoencoder_training")


def test_a_training_in_colour_is_previewed_saved_and_judged(tmp_path):
    changes = ["data.colors=true", "autoencoder.image_channels=3", "autoencoder_training.steps=4", "training.steps=2"]
    preset = presets.override(presets.get("tiny"), changes)
    pipeline.train_model(preset, tmp_path, previews=1, progress=False)
    model = TextToVideo.load(tmp_path)
    assert pipeline.trained_with(model, tmp_path) == preset
    assert read_clip(f"{tmp_path / 'previews' / 'step_000002.png'}#0").shape == (4, 16, 16, 3)
    assert model.generate("a crimson 3 moving right").shape == (1, 4, 16, 16, 3)
    report, clips, real, captions = model_evaluation.judge_model(model, 6, digits="strokes")
    assert clips.shape == real.shape == (6, 4, 16, 16, 3)
    assert any(motion.colour for text in captions for motion in parse(text))
    assert report["real"]["colour"].mean == 1 and report["clips"]["colour"].mean < 1
    assert {"colour", "hue_drift"} <= report["recombined"].keys()
    assert "colour" in [name for name, *_ in model_evaluation.shares(report)]
