"""Cards say what a file of weights is, and the weights that ship have theirs beside them."""

import dataclasses
import json
import re
import shlex

import numpy as np
import pytest

from minivdit.base import config
from minivdit.base.errors import InputError
from minivdit.generation import TextToVideo
from minivdit.generation.weights import SHIPPED, shipped
from minivdit.lab.cli.main import build_parser
from minivdit.lab.evaluation import judge_model
from minivdit.lab.pipeline import train as pipeline
from minivdit.lab.pipeline.card import model_card
from minivdit.models import Autoencoder, Tokenizer, VideoDiT
from minivdit.training import presets


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    preset = presets.override(presets.get("tiny"), ["transformer.patterns=frame,time"])
    generator, tokenizer = np.random.default_rng(0), Tokenizer()
    transformer = VideoDiT(preset.transformer, len(tokenizer), generator)
    notes = {"preset": config.plain(preset), "seed": 3, "steps": 20, "minutes": 0.1}
    model = pipeline.assemble(preset, transformer, Autoencoder(preset.autoencoder, generator), tokenizer, notes)
    path = tmp_path_factory.mktemp("card") / "mine.safetensors"
    model.save(path)
    return path


def test_a_share_of_digits_in_the_data_is_said_once(weights, tmp_path):
    model, path = TextToVideo.load(weights), tmp_path / "mostly_two.safetensors"
    model.notes["preset"]["data"]["num_digits"] = [1, 2, 2]
    model.save(path)
    assert "clips of one or two moving digits" in model_card(path)


def test_the_command_on_a_card_makes_the_preset_of_the_weights(weights):
    command = re.search(r"`minivdit (train [^`]*)`", model_card(weights))[1]
    options = build_parser().parse_args(shlex.split(command))
    model = TextToVideo.load(weights)
    again = presets.override(presets.get(options.preset), options.set)
    assert again == pipeline.trained_with(model, weights) and again.transformer.patterns == ("frame", "time")
    assert options.seed == 3


def test_a_card_says_what_weights_leave_unsaid(weights, tmp_path):
    assert (
        "| 20 steps of 8 clips in under a minute on (machine not written down), (date not written down) |"
        in model_card(weights)
    )
    model, path = TextToVideo.load(weights), tmp_path / "bare.safetensors"
    model.notes = {"preset": model.notes["preset"], "minutes": None}
    model.save(path)
    card = model_card(path)
    assert "| (steps not written down) of 8 clips in (minutes not written down) on (machine" in card
    assert re.search(r"`minivdit train tiny --set [^`]*` \(seed not written down\)", card)


def test_a_card_has_the_figures_of_an_evaluation_of_its_own_weights_only(weights, tmp_path):
    file = tmp_path / "evaluation.json"
    report, *_ = judge_model(TextToVideo.load(weights), 4, steps=1)
    found = {"weights": TextToVideo.load(weights).fingerprint(), "seed": 5, "held_out": True}
    file.write_text(json.dumps({**found, "1 digits": json.loads(report.to_json())}))
    card = model_card(weights, [file])
    assert "4 prompts, 1 digit each, pairs that no caption of the training had, seed 5" in card
    assert "seed 5; the real clips are of digits drawn by strokes:" in card
    assert f"| direction | {report['clips']['direction'].mean:.2f} ±" in card
    assert f"| {report['real']['direction'].mean:.2f} | {report['other captions']['direction'].mean:.2f} (other" in card
    file.write_text(json.dumps({**found, "weights": "12345678", "1 digits": json.loads(report.to_json())}))
    with pytest.raises(InputError, match="is of weights 12345678"):
        model_card(weights, [file])
    with pytest.raises(InputError, match="is no evaluation: there is no such file; write it"):
        model_card(weights, [tmp_path / "absent.json"])


HOSTILE = "x | y `z` <script>alert(1)</script> **a** [b](http://c)\n\n# Title\r\x1b[31m\u202e &lt; ``` \\"


@pytest.mark.parametrize("place", ["machine", "date", "start name", "start weights", "file name", "pattern"])
def test_nothing_in_a_file_is_markdown_or_html(weights, tmp_path, place):
    model = TextToVideo.load(weights)
    plain, notes = model_card(weights).splitlines(), model.notes
    hostile = HOSTILE.replace("/", "") if place == "file name" else HOSTILE
    path = tmp_path / (f"{hostile}.safetensors" if place == "file name" else "mine.safetensors")
    if place in ("machine", "date"):
        notes[place] = hostile
    elif place.startswith("start"):
        start = {"name": "one", "weights": "0a1b2c3d", "notes": dict(notes)}
        notes["start"] = {**start, place.split()[1]: hostile}
    elif place == "pattern":
        patterns = ("frame", "window: 2x2 x2\n\n")
        model.transformer.config = dataclasses.replace(model.transformer.config, patterns=patterns)
    model.save(path)
    card = model_card(path)
    assert len(card.splitlines()) == len(plain) and card.replace("\n", "").isprintable()
    outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", card)  # of code
    assert not re.search(r"[<>*\[\]`\\]", outside)
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)


@pytest.mark.parametrize("name", shipped())
def test_weights_that_ship_are_small_and_have_a_card_of_their_own(name):
    path = SHIPPED / f"{name}.safetensors"
    assert path.stat().st_size < 12e6
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert card.startswith(model_card(path)) and "| direction | " in card
    assert "not written down" not in card
