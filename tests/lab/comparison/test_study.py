"""A study is fair by construction, knows what equal FLOPs are, goes on where it stopped, refuses what can't be."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest

from minivdit.base import machine
from minivdit.base.errors import InputError
from minivdit.base.files import load_tensors, save_tensors
from minivdit.data import mnist
from minivdit.generation import TextToVideo
from minivdit.lab.comparison import compare, compare_weights
from minivdit.lab.comparison import run as runs
from minivdit.lab.comparison.prompts import choose_prompts
from minivdit.lab.comparison.study import (
    equal_flops_steps,
    predict,
    read_study,
    study_preset,
    training_log,
    with_pattern,
)
from minivdit.lab.pipeline.card import model_card
from minivdit.lab.pipeline.forecast import transformer_cost
from minivdit.models.schemes import SCHEMES, check_scheme


def quiet(line):
    pass


def shown(report):
    """The report without what a clock or the disk decides."""
    tables = [table for table in report["tables"] if table["id"] != "cost"]
    return json.dumps([tables, report["likeness"], {**report["about"], "date": ""}])


def test_equal_flops_are_equal():
    preset = study_preset("quick", 1000)
    steps = equal_flops_steps(preset, SCHEMES)
    assert steps["joint"] == 1000 < steps["perframe"] < steps["framewise"]  # 8 tokens through time, 16 in a frame
    spent = {name: count * transformer_cost(with_pattern(preset, name)).training_flops for name, count in steps.items()}
    assert max(spent.values()) / min(spent.values()) - 1 < 1e-3
    assert equal_flops_steps(preset, ("window", "skip")) != {"window": 1000, "skip": 1000}


def test_a_study_asks_for_more_than_its_preset_and_leaves_that_alone():
    preset = study_preset("quick", 5)
    assert preset.data.num_digits == (1,) and preset.data.digit_size == 14 and preset.training.steps == 5
    assert (
        study_preset("full").data.num_digits
        == study_preset("quick", changes=["data.num_digits=1,2"]).data.num_digits
        == (1, 2)
    )
    patch = preset.autoencoder.factor * preset.transformer.patch_size[1]
    assert preset.data.pixels_per_frame[-1] * min(preset.data.size) / 64 > patch
    assert study_preset("full").training.steps == 8_000 and study_preset("full").data.digit_size == 28


def test_all_patterns_begin_alike(make_study, tmp_path):
    study = make_study(tmp_path, tuple(SCHEMES))
    earlier = study.earlier_stages(0, progress=False)
    study.check_fairness(*earlier, 0)
    steps = {trial.name: trial.steps for trial in study.trials("steps")}
    assert set(steps.values()) == {3} and set(steps) == set(SCHEMES)
    other = dataclasses.replace(study, preset=dataclasses.replace(study.preset))
    calls = []

    def unfair(preset, name):
        calls.append(name)
        width = 32 if len(calls) == 1 else 64
        return with_pattern(
            dataclasses.replace(preset, transformer=dataclasses.replace(preset.transformer, width=width)), name
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minivdit.lab.comparison.study.with_pattern", unfair)
        with pytest.raises(InputError, match="different weights"):
            other.check_fairness(earlier[0], None, 0)


def test_models_differ_in_nothing_but_their_pattern(finished):
    study, _ = finished
    one, other = (TextToVideo.load(study.out / "seed0" / name / "model.safetensors") for name in study.names)
    assert one.autoencoder.state_dict().keys() == other.autoencoder.state_dict().keys()
    for name, array in one.autoencoder.state_dict().items():
        np.testing.assert_array_equal(array, other.autoencoder.state_dict()[name])
    assert one.transformer.config.patterns != other.transformer.config.patterns
    assert one.transformer.parameter_count() == other.transformer.parameter_count()
    assert one.fingerprint() != other.fingerprint()
    card = model_card(study.out / "seed0" / "joint" / "model.safetensors")  # their notes say all that a card tells
    assert "| 3 steps of 8 clips in under a minute on " in card and "not written down" not in card


def test_a_killed_study_goes_on_and_comes_to_the_same_report(finished, make_study, tmp_path, monkeypatch):
    _, report = finished
    study, left = make_study(tmp_path), [3]

    def dying(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return draw(*arguments)

    draw = runs.draw
    monkeypatch.setattr(runs, "draw", dying)
    with pytest.raises(KeyboardInterrupt):
        compare(study, ["steps"], progress=False, show=quiet)
    assert not (tmp_path / "report.json").exists()
    monkeypatch.setattr(runs, "draw", draw)
    before = (tmp_path / "seed0" / "joint" / "drawn.safetensors").stat().st_mtime_ns
    again = compare(make_study(tmp_path), ["steps"], progress=False, show=quiet)
    assert shown(again) == shown(report)
    assert (tmp_path / "seed0" / "joint" / "drawn.safetensors").stat().st_mtime_ns == before  # nothing was done twice


def test_a_training_killed_between_two_steps_goes_on_bit_for_bit(finished, make_study, tmp_path):
    whole, _ = finished
    study = make_study(tmp_path)
    trial, earlier = study.trials("steps")[0], study.earlier_stages(0, progress=False)

    def kill(run, state):
        if state.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.train(trial, *earlier, progress=False, save_every=1, callbacks=[(1, kill)])
    assert (trial.folder / "transformer.safetensors").exists() and not (trial.folder / "model.safetensors").exists()
    model = study.train(trial, *earlier, progress=False)
    assert model.fingerprint() == TextToVideo.load(whole.out / "seed0" / trial.name / "model.safetensors").fingerprint()
    assert not (trial.folder / "transformer.safetensors").exists()  # what isn't needed any more is removed
    minutes, seconds = training_log(trial.folder)
    assert minutes > 0 and seconds > 0


def test_another_study_in_the_same_folder_is_refused(finished, make_study):
    study, _ = finished
    with pytest.raises(InputError, match=r"training\.steps is 3, here 4; go on with the same options"):
        compare(make_study(study.out, steps=4), ["steps"], progress=False, show=quiet)
    assert read_study(study.out) == study


def test_report_only_reports_what_is_there(finished, make_study, tmp_path, monkeypatch):
    study, report = finished
    folder = shutil.copytree(study.out, tmp_path / "copy")
    monkeypatch.setattr("minivdit.lab.comparison.study.train_stage", None)  # nothing may be trained
    told = []
    again = compare(read_study(folder), ["steps", "flops"], report_only=True, progress=False, show=told.append)
    assert told[-1].endswith("report.html") and len(set(told)) == len(told)  # the conclusion is told once
    steps, flops = again["tables"][:2]
    assert (steps["id"], flops["id"]) == ("measures-steps", "measures-flops") and steps == report["tables"][0]
    assert flops["rows"] == steps["rows"]  # so small a network costs the same whatever it attends to, within a step
    shutil.rmtree(folder / "seed1")
    fewer = compare(read_study(folder), ["steps"], report_only=True, progress=False, show=quiet)
    assert "2 of 4 trainings of equal steps are missing" in fewer["about"]["notes"]
    assert any("more than one seed" in note for note in fewer["about"]["notes"])
    for cell in (cell for row in fewer["tables"][0]["rows"] for cell in row["cells"].values()):
        assert cell["low"] is None and cell["high"] is None and cell["n"] <= 1
    shutil.rmtree(folder / "seed0" / "joint")
    with pytest.raises(InputError, match="fewer than two patterns"):
        compare(read_study(folder), ["steps", "flops"], report_only=True, progress=False, show=quiet)
    with pytest.raises(InputError, match="there is no study in"):
        read_study(tmp_path / "elsewhere")


def test_equal_flops_train_cheaper_patterns_longer(finished, make_study, tmp_path, monkeypatch):
    study, _ = finished
    folder = shutil.copytree(study.out, tmp_path / "copy")
    monkeypatch.setattr(
        "minivdit.lab.comparison.study.equal_flops_steps", lambda preset, names: {"framewise": 5, "joint": 3}
    )
    report = compare(make_study(folder), ["steps", "flops"], progress=False, show=quiet)
    model = TextToVideo.load(folder / "seed1" / "framewise-5" / "model.safetensors")
    assert model.notes["steps"] == 5 and not (folder / "seed1" / "joint-3").exists()
    tables = {table["id"]: table for table in report["tables"]}
    first, second = (
        [row["cells"]["joint"] for row in tables[f"measures-{budget}"]["rows"]] for budget in ("steps", "flops")
    )
    assert first == second  # the most expensive pattern's models are the same ones
    steps = next(row for row in tables["cost"]["rows"] if row["label"] == "steps, equal flops")
    assert (steps["cells"]["framewise"]["mean"], steps["cells"]["joint"]["mean"]) == (5, 3)
    for seed in ("seed0", "seed1"):
        shutil.rmtree(folder / seed / "framewise")  # as a study of equal FLOPs alone leaves it
    only = compare(read_study(folder), ["steps", "flops"], report_only=True, progress=False, show=quiet)
    assert only["tables"][0] == tables["measures-flops"] and only["about"]["notes"] == []


def test_a_model_trained_for_other_steps_is_not_taken(finished, make_study, tmp_path):
    preset = study_preset("quick", 1000)

    def framewise(budget, *others):
        study = dataclasses.replace(make_study(tmp_path), preset=preset, names=("framewise", *others))
        return next(trial for trial in study.trials(budget) if trial.name == "framewise")

    dearer, cheaper = (framewise("flops", other) for other in ("joint", "perframe"))  # beside whom flops are equal
    assert dearer.steps > cheaper.steps and dearer.folder != cheaper.folder
    assert framewise("steps", "joint") == framewise("steps", "perframe")
    study, _ = finished
    trial = study.trials("steps")[0]
    assert study.trained(trial).notes["steps"] == 3
    with pytest.raises(InputError, match="was trained for 3 steps, not for 5 as equal flops ask; remove it"):
        study.trained(dataclasses.replace(trial, steps=5, budget="flops"))


def test_the_cost_is_told_before_and_what_does_not_fit_is_refused(make_study, tmp_path, monkeypatch):
    study = make_study(tmp_path)
    text = predict(study, ["steps"], 9)
    assert (
        "2 patterns (framewise, joint) x 2 seeds, 3 steps" in text
        and "equal steps: 4 trainings to do, under a minute" in text
    )
    monkeypatch.setattr(machine, "available_memory", lambda: 3e6)
    with pytest.raises(InputError, match=r"largest that fits is training\.batch"):
        predict(study, ["steps"], 9)


def test_weights_that_are_trained_already(finished, tmp_path):
    study, report = finished
    files = [(name, study.out / f"seed{seed}" / name / "model.safetensors") for seed in (0, 1) for name in study.names]
    given = compare_weights(files, tmp_path / "given", prompts=3, show=quiet)
    assert given["tables"][0]["id"] == "measures-given" and given["about"]["runs"] == {"framewise": 2, "joint": 2}
    assert [row["cells"] for row in given["tables"][0]["rows"]] == [row["cells"] for row in report["tables"][0]["rows"]]
    # Nobody knows whether batches were the same.
    assert not any(table["id"].startswith("paired") for table in given["tables"])
    with pytest.raises(InputError, match="two names or more"):
        compare_weights(files[:1], tmp_path / "one", prompts=3, show=quiet)
    with pytest.raises(InputError, match="which isn't joint"):
        compare_weights([files[1], ("joint", files[0][1])], tmp_path / "wrong", prompts=3, show=quiet)
    with pytest.raises(InputError, match=r"small can't be compared with .*data\.size is .*; give weights that differ"):
        compare_weights([files[0], ("other", "small")], tmp_path / "preset", prompts=3, show=quiet)
    with pytest.raises(InputError, match="have not been drawn"):
        compare_weights(files, tmp_path / "never", prompts=3, report_only=True, show=quiet)


def test_weights_trained_on_mnist_are_compared_with_other_digits_where_it_is_not_there(finished, tmp_path, monkeypatch):
    study, _ = finished
    files = []
    for name in study.names:
        model = TextToVideo.load(study.out / "seed0" / name / "model.safetensors")
        model.notes["preset"]["data"]["digits"] = "mnist"
        model.save(tmp_path / f"{name}.safetensors")
        files.append((name, tmp_path / f"{name}.safetensors"))
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path / "no-mnist"))
    monkeypatch.setattr(mnist, "MIRRORS", ())
    with pytest.raises(InputError, match=r"--digits strokes$"):
        compare_weights(files, tmp_path / "given", prompts=3, show=quiet)
    given = compare_weights(files, tmp_path / "given", prompts=3, digits="strokes", show=quiet)
    assert "(strokes)" in given["about"]["data"]


def test_weights_that_differ_in_more_than_their_pattern_are_refused(finished, tmp_path):
    study, _ = finished
    one, *others = (
        (name, study.out / f"seed{seed}" / name / "model.safetensors")
        for name, seed in (("framewise", 0), ("joint", 1), ("joint", 0))
    )
    with pytest.raises(InputError, match=r"has another autoencoder .* same order for each name"):
        compare_weights([one, *others], tmp_path / "given", prompts=3, show=quiet)
    model, path = TextToVideo.load(others[1][1]), tmp_path / "levels.safetensors"
    model.notes["preset"]["diffusion"]["level_mean"] = 0.5
    model.save(path)
    with pytest.raises(InputError, match=r"can't be compared .*: diffusion\.level_mean is 0\.0, here 0\.5; give"):
        compare_weights([one, ("joint", path)], tmp_path / "given", prompts=3, show=quiet)


def test_clips_are_drawn_anew_when_prompts_change(finished, tmp_path):
    study, _ = finished
    folder = shutil.copytree(study.out, tmp_path / "copy")
    path = folder / "seed0" / "joint" / "drawn.safetensors"
    more = dataclasses.replace(read_study(folder), prompts=4)
    with pytest.raises(InputError, match="prompts is 3, here 4"):
        compare(more, ["steps"], progress=False, show=quiet)
    (folder / "study.json").unlink()
    before = len(load_tensors(path)[0]["video"])
    compare(more, ["steps"], progress=False, show=quiet)
    assert len(load_tensors(path)[0]["video"]) > before


def test_patterns_that_cannot_be_compared(make_study, tmp_path):
    with pytest.raises(InputError, match="'framwise' is not a pattern that can be compared; nearest: framewise"):
        check_scheme("framwise")
    with pytest.raises(InputError, match="choose among perframe, framewise, joint, window, skip"):
        make_study(tmp_path, ("joint", "xyz"))
    for names in (("joint",), ("joint", "joint"), ()):
        with pytest.raises(InputError, match="two patterns or more"):
            make_study(tmp_path, names)


def test_without_a_link_between_frames_there_is_no_distance(finished):
    study, report = finished
    table = next(table for table in report["tables"] if table["id"] == "cost")
    row = next(row for row in table["rows"] if row["label"] == "average attention distance")
    assert row["cells"]["joint"]["mean"] < row["cells"]["framewise"]["mean"] < 2
    assert runs._prices(with_pattern(study.preset, "perframe"))[3] == math.inf


def test_clips_of_two_digits_alone_can_be_compared(make_study, tmp_path):
    study = make_study(tmp_path, seeds=1, prompts=2)
    data = dataclasses.replace(study.preset.data, num_digits=(2,))
    study = dataclasses.replace(study, preset=dataclasses.replace(study.preset, data=data))
    report = compare(study, ["steps"], progress=False, show=quiet)
    assert {row["key"] for row in report["tables"][0]["rows"]} >= {"bound", "flawless", "frechet_clips"}
    assert all(0 <= share <= 1 for share in report["about"]["left_behind"].values())
    fast = dataclasses.replace(data, pixels_per_frame=(60, 61, 62))
    with pytest.raises(InputError, match=r"two digits at these speeds can't be followed; let clips have one digit"):
        choose_prompts(fast, 3)


@pytest.mark.parametrize("name", ["../../x", "a/b", "..", "", "-x", "a" * 65, "a\nb", ".hidden"])
def test_names_of_weights_are_no_paths(tmp_path, name):
    with pytest.raises(InputError, match="can't be a name in --weights NAME=FILE; give letters"):
        compare_weights([(name, "small"), ("joint", "joint")], tmp_path / "out", show=quiet)
    assert not list(tmp_path.iterdir())


def test_what_is_too_much_is_refused_before_anything_is_made(make_study, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="seeds must be a whole number from 1 to 1000, not 1000000000"):
        make_study(tmp_path, seeds=10**9)
    monkeypatch.setattr(machine, "available_memory", lambda: 8e9)
    with pytest.raises(InputError, match=r"prompts 1000000000 needs about .* the largest that fits is prompts"):
        compare(make_study(tmp_path, prompts=10**9), progress=False, show=quiet)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        {"preset": 3},
        {"preset": {}},
        {"patterns": "joint"},
        {"patterns": [3]},
        {"patterns": ["joint", "x"]},
        {"seeds": "2"},
        {"seeds": True},
        {"seeds": -1},
        {"seeds": 10**9},
        {"prompts": 0},
    ],
)
def test_a_study_file_of_another_shape_gets_one_line(finished, tmp_path, change):
    about = {**finished[0].about(), **change} if isinstance(change, dict) else None
    (tmp_path / "study.json").write_bytes(change if about is None else json.dumps(about).encode())
    with pytest.raises(InputError, match=r"study\.json is no study: [^\n]{3,250}; remove it and run the study again$"):
        read_study(tmp_path)


def test_a_damaged_file_of_clips_gets_one_line(finished, tmp_path):
    study, _ = finished
    folder = shutil.copytree(study.out, tmp_path / "copy")
    path = folder / "seed0" / "joint" / "drawn.safetensors"
    tensors, about = load_tensors(path)
    for changed, told in (
        ({"video": tensors["video"][1:]}, about),
        ({"errors": tensors["errors"][:, 1:]}, about),
        ({"errors": tensors["errors"].astype(np.float64)}, about),
        ({}, about | {"seconds": "x"}),
    ):
        save_tensors(path, tensors | changed, told)
        with pytest.raises(InputError, match="holds no clips of a comparison; remove it"):
            compare(read_study(folder), ["steps"], report_only=True, progress=False, show=quiet)
