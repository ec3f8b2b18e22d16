"""What drawing costs: told while it is drawn to those who ask, and refused beforehand where it can't fit."""

import numpy as np
import pytest

from minivdit import diffusion
from minivdit.base import machine
from minivdit.base.errors import InputError

LENGTH, STEPS = 8, 2


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(num_frames=LENGTH, size=(16, 16), steps=STEPS)


def clip(frames=LENGTH):
    return np.random.default_rng(0).random((frames, 16, 16, 1), dtype=np.float32)


@pytest.mark.parametrize(
    ("draw", "parts"),
    [
        (lambda model, **how: model.generate(["a 3 moving right", "a 7 moving up"], **how), 1),
        (lambda model, **how: model.animate(clip()[0], **how), 1),
        (lambda model, **how: model.extend(clip(), num_frames=LENGTH, **how), 2),
        (lambda model, **how: model.extend(clip(), num_frames=LENGTH, backwards=True, **how), 2),
        (lambda model, **how: model.interpolate(clip(), **how), 3),
        (lambda model, **how: model.connect(clip(), clip(), **how), 1),
        (lambda model, **how: model.loop(**how), 3),
        (lambda model, **how: model.loop(image=clip()[0], **how), 2),
        (lambda model, **how: model.edit(clip(), "a 3 moving right", **how), 1),
    ],
)
def test_every_ability_tells_how_far_it_is_and_only_if_asked(model, draw, parts, capsys):
    told = []
    shown = draw(model, progress=lambda *state: told.append(state))
    total = parts * STEPS
    done, totals, flops = zip(*told)
    assert done[0] == 0 and done[-1] == total and list(done) == sorted(done) and set(done) == set(range(total + 1))
    assert set(totals) == {total} and min(flops) > 0
    np.testing.assert_array_equal(draw(model), shown)
    assert capsys.readouterr() == ("", "")


def test_flops_are_those_of_all_steps(model):
    def flops(clips=1, **how):
        told = []
        model.generate(["a 3 moving right"] * clips, progress=lambda *state: told.append(state[2]), **how)
        return told[0]

    assert flops(4) == pytest.approx(4 * flops())
    assert flops(steps=3 * STEPS) == pytest.approx(3 * flops())
    assert flops(guidance_scale=1) == pytest.approx(flops() / 2)


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda model: model.generate([""] * 10**6), "draw "),
        (lambda model: model.extend(clip(), num_frames=10**6), "frames 1000008 needs about"),
        (lambda model: model.interpolate(clip(), factor=10**6), "frames 7000001 needs about"),
        (lambda model: model.loop(num_frames=10**6), "the longest clip of this size that fits"),
        (lambda model: model.loop(image=clip()[0], num_frames=10**6), "the longest clip of this size that fits"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_drawn(model, draw, expected, monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 10**9)
    monkeypatch.setattr(diffusion, "steps", None)
    with pytest.raises(InputError, match=expected):
        draw(model)
