"""The table holds clips, ceiling and floors."""

import json

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.data import CaptionedClips, parse
from minivdit.lab.evaluation import EVALUATED, evaluate, frozen
from minivdit.lab.evaluation.measures import ABOUT_COLOURS


@pytest.fixture(scope="module")
def setting(strokes):
    """Mixed captions, real clips of them twice, and "generated" ones: real too, but a third of them frozen."""
    generator = np.random.default_rng(0)
    captions = [f"a {n % 10} moving {('right', 'up', 'down and left')[n % 3]}" for n in range(20)]
    captions += [f"a {n} moving up and a {(n + 3) % 10} moving right" for n in range(10)]
    maker, motions = CaptionedClips(strokes, (40, 48), 8, 16, held_out="include"), [parse(text) for text in captions]
    made = [maker.render(generator, motions).video for _ in range(3)]
    made[0][::3] = frozen(made[0][::3])
    return captions, made


@pytest.fixture(scope="module")
def report(setting):
    captions, (clips, *references) = setting
    return evaluate(clips, captions, references, 16)


def test_every_figure_has_its_ceiling_and_floor(report):
    assert list(report.columns) == ["clips", "real", "other captions", "shuffled frames", "recombined", "frozen"]
    for column in ("clips", "real", "shuffled frames", "recombined", "frozen"):
        assert list(report[column]) == [name for name in EVALUATED if name not in ABOUT_COLOURS]
    for name in ("digit", "direction", "obeys", "on_path", "one_class"):
        assert report["real"][name].mean > 0.9, name
    assert report["other captions"]["obeys"].mean < 0.2 < report["real"]["obeys"].low
    assert report["recombined"]["one_class"].mean < 0.1 and report["frozen"]["on_path"].mean == 0
    assert report["shuffled frames"]["on_path"].mean < 0.3


def test_the_spoilt_third_is_seen(report):
    assert report["clips"]["direction"].mean == pytest.approx(2 / 3, abs=0.07)
    assert report["clips"]["on_path"].mean == pytest.approx(2 / 3, abs=0.07)
    assert report["clips"]["digit"].mean > 0.9
    assert report["clips"]["frechet_clips"].mean > 2 * report["real"]["frechet_clips"].mean
    for column in ("clips", "real"):
        distance = report[column]["frechet_clips"]
        assert distance.low < distance.mean < distance.high
    assert (
        len(report.samples["obeys"]) == 30 and report.samples["direction"].mean() == report["clips"]["direction"].mean
    )
    assert report["clips"]["digit"].n == 30 and report["clips"]["frechet_frames"].n == 240


def test_the_printed_forms_agree(report):
    text, data = str(report), json.loads(report.to_json())
    assert data["settings"] == {"clips": 30, "frames": 8, "size": [40, 48], "digit_size": 16}
    assert len(data["samples"]["likeness"]) == 30 and len(data["samples"]["frechet_frames"]) == 200
    assert data["columns"]["real"]["digit"]["n"] == 30 and "NaN" not in report.to_json()
    figure = f"{data['columns']['clips']['direction']['mean']:.2f}"
    assert figure in next(line for line in text.splitlines() if line.startswith("direction"))
    for name in EVALUATED:
        assert (name in text) == (name not in ABOUT_COLOURS)
    assert "30 clips of 8 frames, 40x48" in text


def test_one_clip_is_enough(setting):
    captions, (clips, *references) = setting
    small = evaluate(clips[:1], captions[:1], [array[:1] for array in references], 16)
    assert small["real"]["digit"].n == 1
    assert "-" in str(small) and json.loads(small.to_json())["columns"]["real"]["frechet_clips"]["mean"] is None


def test_what_does_not_fit_together_is_refused(setting):
    captions, (clips, *references) = setting
    with pytest.raises(InputError, match="29 captions"):
        evaluate(clips, captions[:-1], references, 16)
    with pytest.raises(InputError, match="can't be compared"):
        evaluate(clips[:, :4], captions, references, 16)
