"""The worth of a field: found where it is planted, and nowhere else."""

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.data import FIELDS, CaptionedClips, digit_source, read_fields
from minivdit.data.grammar import vocabulary
from minivdit.data.words import split_words
from minivdit.lab.evaluation.caption_fields import field_losses, with_another, without
from minivdit.models import Tokenizer

CAPTION = "count: two, digit: 3, start: upper left, direction: up, digit: 7, direction: left"


@pytest.fixture
def model(make_model):
    """A model that reads nothing yet: every prediction is 0, and where a planted word is missing, 3."""
    made = make_model(num_frames=4, size=(16, 16))
    made.tokenizer = Tokenizer(vocabulary(fields=True))
    return made


def plant(monkeypatch, model, wanted):
    """wanted(words): whether a caption is told well."""

    def forward(self, latents, level, tokens, **options):
        bad = [not wanted(model.tokenizer.decode(row).split()) for row in tokens]
        return ag.Tensor(np.zeros_like(latents) + 3 * np.float32(bad)[:, None, None, None, None])

    monkeypatch.setattr(type(model.transformer), "forward", forward)


def clips(**options):
    options = {"structured": 1.0, "field_dropout": 0.0, **options}
    return CaptionedClips(digit_source("strokes", "test"), (16, 16), 4, 8, (1,), **options)


@pytest.mark.parametrize("planted", FIELDS)
def test_a_field_that_matters_is_found_and_no_other(model, monkeypatch, planted):
    plant(monkeypatch, model, lambda words: planted in words)
    losses = field_losses(model, clips(turning=1.0), np.random.default_rng(0), 12, batch=6)
    assert list(losses) == list(FIELDS)
    for name, rise in losses.items():
        assert rise["missing"].n == rise["wrong"].n == 12
        assert (rise["missing"].mean > 1) == (name == planted)
        assert rise["wrong"].mean == 0 == rise["missing"].mean or name == planted
    assert losses[planted]["wrong"].mean == 0


def test_a_wrong_value_is_found(model, monkeypatch):
    maker = clips(speeds=("slow",))
    plant(monkeypatch, model, lambda words: "slow" in words)
    losses = field_losses(model, maker, np.random.default_rng(0), 6, batch=6)
    assert losses["speed"]["wrong"].mean > 1 and losses["speed"]["missing"].mean > 1
    assert losses["digit"]["wrong"].mean == losses["start"]["wrong"].mean == 0
    assert losses["later"]["missing"].n == 0 and np.isnan(losses["later"]["wrong"].mean)  # no clip turns


def test_fields_are_taken_out_and_changed():
    fields, generator = read_fields(split_words(CAPTION)), np.random.default_rng(0)
    assert [name for name, _ in without(fields, "digit")] == ["count", "start", "direction", "direction"]
    for name in FIELDS:
        changed = with_another(fields, name, generator)
        assert [own for own, _ in changed] == [own for own, _ in fields]
        for (own, value), (_, before) in zip(changed, fields):
            assert (value != before) == (own == name) and value in FIELDS[own]
