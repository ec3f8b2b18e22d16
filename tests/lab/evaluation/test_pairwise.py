"""Two evaluations of the same prompts are compared clip by clip, and files of other kinds refused in one line."""

import copy
import json
import os

import numpy as np
import pytest

from minivdit.base.errors import InputError
from minivdit.lab.evaluation import EVALUATED, MEASURES
from minivdit.lab.evaluation.pairwise import against, as_json, parts, plain, read_evaluation, table

CLIPS = 60


def compared(one, other):
    return against(parts(one), parts(other))


def evaluation(right, weights="a", shift=0.0):
    """A report such as evaluate writes, in which this share of the clips is right in everything."""
    generator = np.random.default_rng(0)
    samples = {name: (generator.random(CLIPS) < right).astype(float).tolist() for name in EVALUATED}
    samples |= {name: (shift + generator.random(200)).tolist() for name in ("frechet_frames", "frechet_clips")}
    samples["likeness"] = [value * 0.5 for value in samples["likeness"]]
    samples["one_class"][0] = None
    estimates = {name: {"mean": 0.5 + shift, "low": 0.4, "high": 0.6, "n": CLIPS} for name in EVALUATED}
    settings = {"clips": CLIPS, "frames": 8, "size": [32, 32], "digit_size": 16, "captions": ["a 3", "a 7"]}
    part = {"settings": settings, "columns": {"clips": estimates, "real": estimates}, "samples": samples}
    return {"weights": weights, "seed": 0, "held_out": False, "1 digits": part}


def test_a_difference_is_called_only_if_it_survives_the_correction(tmp_path):
    one, same, other = evaluation(0.9), evaluation(0.9), evaluation(0.1, "b", shift=5.0)
    assert not any(row.called for row in compared(one, same))
    rows = compared(one, other)
    assert [row.metric for row in rows] == [name for name in EVALUATED if MEASURES[name].unit != "number"]
    assert all(row.called for row in rows) and all(row.corrected >= row.difference.p for row in rows)
    found = {row.metric: row.difference for row in rows}
    assert found["obeys"].mean > 0.6 and found["likeness"].mean > 0.3 and found["frechet_clips"].mean == -5
    assert found["one_class"].n == CLIPS - 1
    printed = table(rows, "mine", "theirs")
    assert "mine minus theirs" in printed and "1 digit a clip" in printed and printed.count("a difference") == len(rows)
    assert "not shown" in table(compared(one, same), "mine", "mine")
    json.dumps(plain(rows), allow_nan=False)
    (tmp_path / "e.json").write_text(as_json(one))
    assert read_evaluation(tmp_path / "e.json") == one and len(as_json(one).splitlines()) < 300


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"captions": ["a 3", "a 8"]}, "captions is a 3, a 8, here a 3, a 7"),
        ({"frames": 16}, "frames is 16, here 8"),
        ({"judge": "12"}, "judge is 12, here absent"),
    ],
)
def test_evaluations_of_other_prompts_or_by_another_judge_are_not_paired(change, named):
    other = copy.deepcopy(evaluation(0.5))
    other["1 digits"]["settings"] |= change
    with pytest.raises(InputError, match=f"clip by clip: .*{named}"):
        compared(evaluation(0.5), other)


def test_evaluations_with_nothing_in_common_or_without_samples_are_refused():
    other = copy.deepcopy(evaluation(0.5))
    other["2 digits"] = other.pop("1 digits")
    with pytest.raises(InputError, match="no kind of prompts in common"):
        compared(evaluation(0.5), other)
    del other["2 digits"]["samples"]
    with pytest.raises(InputError, match="without samples can't be compared"):
        compared({"2 digits": evaluation(0.5)["1 digits"]}, other)


def damaged(change):
    """The text of an evaluation in which something was changed."""
    report = copy.deepcopy(evaluation(0.5))
    change(report, parts(report)["1 digits"])
    return json.dumps(report)


BROKEN = {
    "no JSON": "{",
    "a list": "[]",
    "nothing": "{}",
    "no figures": json.dumps({"weights": "a", "seed": 0, "held_out": True}),
    "deep": "[" * 100_000,
    "NaN": '{"weights": "a", "seed": NaN, "held_out": true}',
    "weights": damaged(lambda report, _: report.update(weights=3)),
    "seed": damaged(lambda report, _: report.update(seed=True)),
    "part": damaged(lambda report, _: report.update({"1 digits": 7})),
    "no columns": damaged(lambda _, part: part.pop("columns")),
    "no real column": damaged(lambda _, part: part["columns"].pop("real")),
    "estimate": damaged(lambda _, part: part["columns"]["clips"].update(obeys=0.5)),
    "mean": damaged(lambda _, part: part["columns"]["clips"]["obeys"].update(mean="x")),
    "settings": damaged(lambda _, part: part["settings"].pop("clips")),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_files_that_are_no_evaluation_get_one_line(tmp_path, kind):
    path = tmp_path / "e.json"
    path.write_text(BROKEN[kind])
    with pytest.raises(InputError, match=r"e\.json is no evaluation: [^\n]{5,250}; write it with '[^']*'$"):
        read_evaluation(path)


def test_bytes_folders_and_pipes_are_no_evaluation(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    kinds = {"bytes": "utf-8", "": "a folder", "x": "no such file"}
    if hasattr(os, "mkfifo"):  # not on Windows
        os.mkfifo(tmp_path / "pipe")
        kinds["pipe"] = "a device or a pipe"
    for name, reason in kinds.items():
        with pytest.raises(InputError, match=f"is no evaluation: .*{reason}"):
            read_evaluation(tmp_path / name)


def test_a_file_with_the_former_names_of_measures_is_read(tmp_path):
    now, path = evaluation(0.7), tmp_path / "evaluation.json"
    names = {"likeness": "look", "on_path": "lawful"}
    before = json.loads(json.dumps(now), object_pairs_hook=lambda pairs: {names.get(k, k): v for k, v in pairs})
    assert "look" in before["1 digits"]["samples"] and "lawful" in before["1 digits"]["columns"]["real"]
    path.write_text(as_json(before))
    assert read_evaluation(path) == now
