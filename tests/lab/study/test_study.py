"""A study is fair by construction, goes on where it stopped, tests what it says, and refuses what can't be."""

import json
import shutil

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.base.files import load_tensors, save_tensors
from minivdit.lab.study import PatternStudy, paired, run_study
from minivdit.lab.study import patterns as studies
from minivdit.lab.study.ball import Ball, Rolling
from minivdit.models import VideoDiT


def quiet(line):
    pass


def shown(found):
    """The report without what a clock decides."""
    worlds = [{**world, "seconds": None} for world in found["worlds"]]
    return json.dumps([found["answer"], worlds])


def test_the_page_is_whole(finished):
    study, found = finished
    page = (study.out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/gif") == 4 and page.count("data:image/png") == 1 and "https://" not in page
    assert all(report_line in page for report_line in ("real", "joint", "framewise", "nine in ten studies"))
    assert json.loads((study.out / "report.json").read_text())["worlds"] == json.loads(json.dumps(found["worlds"]))
    assert (study.out / "report.md").read_text(encoding="utf-8").startswith(f"# {found['question']}")


def test_looks_are_at_equal_steps_and_at_equal_flops(finished):
    study, found = finished
    marks, gflops = found["worlds"][0]["marks"], found["worlds"][0]["gflops"]
    assert marks["joint"]["steps"] == marks["framewise"]["steps"] == marks["joint"]["flops"] == [1, 2, 4, 8]
    assert marks["framewise"]["flops"] == [1, 2, 5, 9]
    whole = PatternStudy([Ball()], study.out, ("joint", "framewise"))
    spent = {name: whole.marks(Ball(), name)["flops"][-1] * gflops[name] for name in ("joint", "framewise")}
    assert max(spent.values()) / min(spent.values()) < 1.003
    for row in found["worlds"][0]["rows"]:
        assert all(np.shape(curve) == (2, 4) for equal in row["curves"].values() for curve in equal.values())


def test_a_stopped_study_goes_on_and_comes_to_the_same_report(finished, make_study, tmp_path, monkeypatch):
    _, whole = finished
    draws, left = Ball.draw, [7]

    def dying(world, task, pace):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return draws(world, task, pace)

    monkeypatch.setattr(Ball, "draw", dying)
    with pytest.raises(KeyboardInterrupt):
        run_study(make_study(tmp_path), progress=False, show=quiet)
    assert not (tmp_path / "report.json").exists() and not (tmp_path / "ball/seed0/framewise.json").exists()
    with pytest.raises(InputError, match=r"4 of 4 trainings are missing|3 of 4 trainings are missing"):
        run_study(make_study(tmp_path), report_only=True, show=quiet)
    monkeypatch.setattr(Ball, "draw", draws)
    assert shown(run_study(make_study(tmp_path), progress=False, show=quiet)) == shown(whole)
    monkeypatch.setattr(studies, "train", None)  # nothing may be trained
    assert shown(run_study(make_study(tmp_path), report_only=True, show=quiet)) == shown(whole)


def test_patterns_that_do_not_begin_alike_are_refused(make_study, tmp_path, monkeypatch):
    def unfair(world, pattern, seed):
        return Rolling(VideoDiT(world.config(pattern), 3, np.random.default_rng(len(pattern))))

    monkeypatch.setattr(Ball, "task", unfair)
    with pytest.raises(InputError, match="begin with different weights"):
        run_study(make_study(tmp_path), progress=False, show=quiet)
    monkeypatch.undo()
    batches = iter(range(100))
    monkeypatch.setattr(Rolling, "batch", lambda task, generator: {"clean": np.full(3, next(batches))})
    with pytest.raises(InputError, match="get different batches"):
        run_study(make_study(tmp_path), progress=False, show=quiet)


def test_another_study_in_the_same_folder_is_refused(finished, make_study):
    study, _ = finished
    with pytest.raises(InputError, match=r"joint\.json was trained with another configuration.*choose another --out"):
        run_study(make_study(study.out, steps=16), progress=False, show=quiet)


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff", b'{"asked": 3}', b'{"asked": {}, "looks": {}, "seconds": "x"}']
)
def test_a_damaged_training_gets_one_line(finished, make_study, tmp_path, content):
    folder = shutil.copytree(finished[0].out, tmp_path / "copy")
    (folder / "ball/seed0/joint.json").write_bytes(content)
    with pytest.raises(InputError, match=r"joint\.json is no training of a study: [^\n]{3,250}; choose another --out"):
        run_study(make_study(folder), report_only=True, show=quiet)


def test_a_damaged_file_of_clips_gets_one_line(finished, make_study, tmp_path):
    folder = shutil.copytree(finished[0].out, tmp_path / "copy")
    path = folder / "ball/seed0/joint.safetensors"
    tensors, about = load_tensors(path)
    for changed in ({name: clips.astype(np.float32) for name, clips in tensors.items()}, {"fast 3": tensors["fast 3"]}):
        save_tensors(path, changed, about)
        with pytest.raises(InputError, match="holds no clips of a study; remove it"):
            run_study(make_study(folder), report_only=True, show=quiet)


def test_what_cannot_be_studied_is_refused(make_study, tmp_path):
    with pytest.raises(InputError, match="'framwise' is not a pattern that can be compared; nearest: framewise"):
        make_study(tmp_path, ("framwise", "joint"))
    for patterns in (("joint",), ("joint", "joint"), ()):
        with pytest.raises(InputError, match="two patterns or more, each once"):
            make_study(tmp_path, patterns)
    with pytest.raises(InputError, match="steps must be a whole number from 1"):
        make_study(tmp_path, steps=-1)


# What is made of figures that are known -------------------------------------------------------------------------------


def reported(make_study, joint, framewise):
    """The report of a study in which every share of each pattern is known: {"slow": ..., "fast": ...}, one a seed."""
    study = make_study("nowhere", seeds=len(joint["fast"]))
    found = {}
    for world, seed, name in study.trials():
        values = {"joint": joint, "framewise": framewise}[name]
        look = {pace: dict.fromkeys(world.measures, values[pace][seed]) for pace in world.paces}
        looks = {str(step): look for step in study.asked(world, seed, name)["looks"]}
        found[world, seed, name] = {"looks": looks, "seconds": 0.1}
    return study.report(found)


def test_a_difference_is_called_only_where_seeds_agree(make_study):
    sure = {"slow": [0.9, 0.8, 0.9, 0.8], "fast": [0.9, 0.92, 0.95, 0.93]}
    worse = {"slow": [0.8, 0.9, 0.8, 0.9], "fast": [0.5, 0.53, 0.5, 0.52]}
    fast, slow, *figures = reported(make_study, sure, worse)["answer"]
    assert fast.endswith("to the next, joint attention is ahead in colour (ball), line (ball).")
    assert slow == "Where it stays in its patch, no difference is shown in colour (ball), line (ball)."
    assert "joint 0.93 and framewise 0.51" in figures[1] and figures[1].endswith("joint is better.")
    fast, *_ = reported(make_study, worse, sure)["answer"]
    assert fast.endswith("to the next, framewise attention is ahead in colour (ball), line (ball).")
    (once,) = reported(make_study, {"slow": [1], "fast": [1]}, {"slow": [0], "fast": [0]})["answer"]
    assert "trained once, so nothing is called" in once


def test_the_detectable_difference_is_what_it_is_said_to_be(make_study):
    """Of many studies with that true difference, nine in ten have an uncorrected p below 0.05."""
    generator, count, deviation = np.random.default_rng(0), 8, 0.1
    found = []
    for _ in range(400):
        noise = generator.normal(0, deviation, count)
        noise *= deviation / noise.std(ddof=1)
        found.append(paired.detectable(noise))
    assert np.ptp(found) < 1e-9  # it depends on the deviation alone
    means = generator.normal(found[0], deviation, (4000, count))
    called = [paired.paired_test(row, np.zeros(count))["p"] < 0.05 for row in means]
    assert np.mean(called) == pytest.approx(0.9, abs=0.03)
    assert np.isnan(paired.detectable([0.3]))


def test_no_difference_at_all_is_none(make_study):
    same = {"slow": [0.5, 0.5], "fast": [1.0, 1.0]}
    found = reported(make_study, same, same)
    tests = [row["tests"]["steps"] for row in found["worlds"][0]["rows"]]
    assert all(test["p"] == 1 and paired.verdict(test) == 0 for test in tests)
    json.dumps(found, allow_nan=False)
