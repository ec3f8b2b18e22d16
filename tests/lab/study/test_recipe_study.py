"""Recipes against their base: equal FLOPs, each idea once, real clips right in all that is asked, honest sentences."""

import json

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.lab.pipeline.forecast import step_flops, total_flops
from minivdit.lab.pipeline.train import assemble
from minivdit.lab.study import RecipeStudy, recipes, run_study
from minivdit.lab.study.kinds import TITLES, Drawn, Real
from minivdit.models import VideoDiT, make_autoencoder
from minivdit.training import presets
from minivdit.training.recipes import RECIPES
from minivdit.training.stages import tokenizer_of


def small_study(out, names=("luma",), **changed):
    return RecipeStudy(names, out, **{"seeds": 2, "steps": 2, "prompts": 2, "digits": "strokes", **changed})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(study, report) of trainings of seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "SAMPLING_STEPS", 1)
        study = small_study(tmp_path_factory.mktemp("recipes"))
        return study, run_study(study, progress=False, show=lambda line: None)


def test_each_idea_comes_once_and_all_have_the_flops_of_the_base(tmp_path):
    study = small_study(tmp_path, ("all",), steps=None)
    ideas = {frozenset(settings): idea for recipe in RECIPES.values() for idea, settings in recipe.ideas.items()}
    together = {f"all of {recipe.system}" for recipe in RECIPES.values() if len(recipe.ideas) > 1}
    assert len(study.variants) == 1 + len(ideas) - 1 + len(together) and study.needless() == ["joint attention"]
    assert {"base", *together} <= set(study.variants)
    base = study.variants["base"][0]
    assert base.training.steps == presets.get("quick").training.steps
    for label, (preset, names) in study.variants.items():
        steps = sum(step_flops(preset, setting) for setting in ("training", "finetuning", "autoencoder_training"))
        assert abs(total_flops(preset) - total_flops(base)) <= steps, label
        assert names or label == "base"
    assert study.variants["a causal autoencoder in space and time"][1] == ["kling", "open-sora-plan", "cogvideox"]


def test_fewer_steps_shrink_all_stages(tmp_path):
    whole, part = (small_study(tmp_path, steps=steps).variants["base"][0] for steps in (None, 700))
    for setting in ("training", "autoencoder_training", "text_training"):
        assert getattr(part, setting).steps == pytest.approx(getattr(whole, setting).steps / 2, abs=1)


def test_the_page_is_whole(finished):
    study, report = finished
    page = (study.out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/gif") == 1 and "https://" not in page
    assert json.loads((study.out / "report.json").read_text())["rows"] == report["rows"]
    text = (study.out / "report.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {report['question']}") and "| start and end frames | luma |" in text
    base, luma = report["rows"]
    assert luma["flops"] == base["flops"] and luma["recipes"] == ["luma"] and not base["tests"]
    assert luma["tests"].keys() == TITLES.keys() and all(test["n"] == 2 for test in luma["tests"].values())


def test_a_run_is_kept_and_not_trained_again(finished, monkeypatch):
    study, report = finished
    assert (study.out / "seed1" / "start_and_end_frames" / "model.safetensors").exists()
    assert not list(study.out.glob("seed*/*/transformer.safetensors"))
    monkeypatch.setattr(recipes, "train_model", None)
    monkeypatch.setattr(recipes, "SAMPLING_STEPS", 1)
    again = run_study(small_study(study.out), progress=False, show=lambda line: None)
    assert again["rows"] == report["rows"]
    with pytest.raises(InputError, match="was trained with another configuration"):
        run_study(small_study(study.out, prompts=3), progress=False, show=None)
    with pytest.raises(InputError, match=r"\d of \d+ trainings are missing in .*; run 'minivdit study --recipes'"):
        run_study(small_study(study.out, ("luma", "mira")), report_only=True, show=None)


def test_real_clips_are_right_in_all_that_can_be_asked_of_them(tmp_path):
    scores, video = Real(small_study(tmp_path).variants["base"][0], 12).scores()
    assert scores.pop("path") is None and scores.keys() == TITLES.keys() - {"path"}
    assert min(scores.values()) > 0.8 and video.shape == (12, 8, 32, 32, 1)


class Wrong(Real):
    """Real clips, in each of which the thing that is asked for is wrong."""

    def clips(self, real, frame_step=1):
        return np.roll(real.video, 1, axis=0)  # those of another caption

    def between(self, real):
        return real.video[:, [0, 4, 2, 6, 1, 5, 3, 7]]

    def told(self, real, corners):
        return real.video

    def panned(self, real, pan):
        return self.real()[0].video


def test_clips_that_are_wrong_in_what_was_asked_are_not_called_right(tmp_path):
    scores, _ = Wrong(small_study(tmp_path).variants["base"][0], 12).scores()
    for kept in ("one_class", "on_path"):  # which say nothing of the caption
        assert scores.pop(kept) > 0.8
    assert max(scores.values()) < 0.3, scores


def test_the_help_says_how_many_trainings_there_are(tmp_path):
    counts = {name: len(small_study(tmp_path, (name,), seeds=3).trials()) for name in ("luma", "cogvideox")}
    assert counts == {"luma": 6, "cogvideox": 21}


def untrained(study, label, prompts=2):
    """What a network with random weights draws."""
    preset, _ = study.variants[label]
    generator, tokenizer = np.random.default_rng(0), tokenizer_of(preset)
    network = VideoDiT(preset.transformer, len(tokenizer), generator)
    for parameter in network.parameters().values():
        parameter.data += 0.2 * generator.standard_normal(parameter.shape, dtype=np.float32)
    model = assemble(preset, network, make_autoencoder(preset.autoencoder, generator), tokenizer)
    return Drawn(model, preset, study.variants["base"][0], prompts)


def test_what_a_network_cannot_draw_has_no_figure_and_the_rest_is_at_the_bases_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "SAMPLING_STEPS", 1)
    study = small_study(tmp_path, ("kling",))
    scores, video = untrained(study, "all of Kling").scores()
    assert video.shape == (2, 8, 32, 32, 1) and {name for name in scores if scores[name] is None} == {
        "sparse",
        "between",
    }
    told, base = untrained(study, "control of motion"), untrained(study, "base")
    corners = np.array([[[9.0, 9], [20, 20], [9, 20]], [[20, 9], [9, 9], [20, 20]]])
    for drawn, differs in ((told, True), (base, False)):
        real = drawn.real()[0]
        assert (drawn.told(real, corners) != drawn.clips(real)).any() == differs
    steered = untrained(study, "the camera, and a motion brush")
    for drawn, differs in ((steered, True), (base, False)):
        assert (drawn.panned(real, np.ones((2, 2))) != drawn.clips(real)).any() == differs


def reported(study, base, luma):
    """The report of a study that came to these shares, one a seed, in all that is measured."""
    found = {}
    for label, seed in study.trials():
        share = {"base": base, "start and end frames": luma}[label][seed]
        found[label, seed] = {"scores": dict.fromkeys(TITLES, share), "minutes": 1.0}
    return study.report(found)


def test_help_and_harm_are_told_only_where_seeds_agree(tmp_path):
    study = small_study(tmp_path, seeds=3, prompts=40)
    first, better = reported(study, [0.2, 0.3, 0.25], [0.7, 0.81, 0.74])["answer"]
    assert f"Of {len(TITLES)} intervals {len(TITLES)} leave out 0" in first
    assert "Better in: obeys its caption; one digit throughout" in better and "Worse" not in better
    assert "it has 2 steps for 2" in better
    first, worse = reported(study, [0.7, 0.81, 0.74], [0.2, 0.3, 0.25])["answer"]
    assert "Worse in: obeys its caption" in worse and "Better" not in worse
    first, none = reported(study, [0.2, 0.9, 0.5], [0.6, 0.4, 0.7])["answer"]
    assert "these are differences: none." in first and "Nothing is shown to be gained or lost." in none
    first, none = reported(study, [0.5] * 3, [0.525] * 3)["answer"]  # one clip more of 40, in each seed
    assert "Nothing is shown to be gained or lost." in none
    json.dumps(reported(study, [0.5] * 3, [0.5] * 3), allow_nan=False)


def test_a_single_seed_tells_nothing(tmp_path):
    first, idea = reported(small_study(tmp_path, seeds=1), [0.0], [1.0])["answer"]
    assert "trained once, so nothing is called" in first and "Nothing is shown" in idea


def test_what_cannot_be_compared_is_refused(tmp_path):
    for names, words in (
        (("lumma",), "'lumma' is not a recipe"),
        (("huge",), r"choose sora, .*, or all"),
        ((), "one or more, not none"),
        (("luma", "luma"), "each once, one or more, not luma, luma"),
    ):
        with pytest.raises(InputError, match=words):
            small_study(tmp_path, names)
    for wrong in ({"seeds": 0}, {"steps": 0}, {"prompts": 1}):
        with pytest.raises(InputError, match="must be a whole number from"):
            small_study(tmp_path, **wrong)
