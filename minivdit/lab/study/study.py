"""A study: trainings that belong together, each kept as soon as it is done, and one page on what came of them.

runs/study/
  ball/seed0/joint.json           what a training came to, and all that decided it
  ball/seed0/joint.safetensors    some clips that it drew
  report.html, .md, .json

Stopped, the same command goes on with the first training that isn't complete. What a training is, and what is asked of
all of them together, says a subclass: patterns.py, recipes.py, scaling.py.
"""

import abc
import json
from pathlib import Path

import numpy as np

from ...base import config
from ...base.errors import InputError
from ...base.files import load_tensors, read_json, save_tensors, write_file
from ...base.locking import locked
from ...training.checkpoint import load_checkpoint
from ..display import html
from ..evaluation.kept_clips import as_bytes, as_floats


class Study(abc.ABC):
    """Trainings and a report. A trial is a tuple that names one of the trainings.

    out: the folder. command: of minivdit, which runs it. shape: of what a training comes to; see files.require_shape.
    """

    out: Path
    command: str
    shape: dict

    @abc.abstractmethod
    def trials(self):
        """A list of all trials."""

    @abc.abstractmethod
    def path(self, *trial):
        """The file of a training, a Path to which a suffix is to be added."""

    @abc.abstractmethod
    def asked(self, *trial):
        """All that decides what a training comes to, as plain values."""

    def likely_minutes(self, trials, speed):
        """About how long these trainings take on CPUs, or None. speed: see machine.cores_speed."""
        return None

    @abc.abstractmethod
    def train(self, trials, progress):
        """A generator: of each of these trials (trial, what it came to, {name: clips in [0, 1]})."""

    @abc.abstractmethod
    def report(self, found):
        """The report, a dict of plain values with sentences as its "answer". found: {trial: what it came to}."""

    @abc.abstractmethod
    def files(self, report):
        """{name: bytes} of the page."""


def run_study(study, report_only=False, progress=True, show=print):
    """Train what isn't trained yet, and write the report, which is returned as a dict.

    report_only: train nothing. Raises InputError where the folder holds trainings of another study.
    """
    trials = study.trials()
    found = {trial: known for trial in trials if (known := read_trial(study, *trial)) is not None}
    missing = [trial for trial in trials if trial not in found]
    if report_only and missing:
        raise InputError(
            f"{len(missing)} of {len(trials)} trainings are missing in {study.out}; run 'minivdit {study.command}'"
        )
    if not report_only:
        with locked(study.out):
            for trial, came_to, clips in study.train(missing, progress):
                found[trial] = keep(study, trial, came_to, clips)
    report = study.report(found)
    report["about"] = html.where_and_when()
    html.write_report(study.out, report, study.files(report), show)
    return report


def keep(study, trial, came_to, clips):
    """Write what a training came to, the .json last; returns it as `read_trial` gives it."""
    path, asked = study.path(*trial), study.asked(*trial)
    known = config.plain({"asked": asked, **came_to})
    save_tensors(
        path.with_suffix(".safetensors"), {name: as_bytes(video) for name, video in clips.items()}, {"asked": asked}
    )
    write_file(path.with_suffix(".json"), json.dumps(known, indent=1))
    return known


def read_trial(study, *trial):
    """What a training came to, a dict, or None if there was none; InputError for one with other settings."""
    path = study.path(*trial).with_suffix(".json")
    if not path.exists():
        return None
    cure = "choose another --out, or remove it"
    known = read_json(path, {"asked": dict, **study.shape}, "training of a study", cure)
    config.require_equal(known["asked"], study.asked(*trial), path, cure)
    return known


def read_clips(study, trial, names):
    """{name: clips} that a training drew, float32 (B, T, H, W, C) in [0, 1]; InputError if one isn't there."""
    path = study.path(*trial).with_suffix(".safetensors")
    tensors, found = load_tensors(path)[0], {}
    for name in names:
        clips = tensors.get(name)
        if clips is None or clips.dtype != np.uint8 or clips.ndim != 5:
            raise InputError(f"{path} holds no clips of a study; remove it and the .json beside it")
        found[name] = as_floats(clips)
    return found


def minutes_of(folder, stages):
    """Minutes that the stages of a training took, by their checkpoints in its folder."""
    runs = [load_checkpoint(folder / f"{stage}.safetensors")[0]["run"] for stage in stages]
    return round(sum(float(run["seconds"]) for run in runs) / 60, 4)


def remove_checkpoints(folder, stages):
    """Those of a training that is kept: they have only numbers that nobody needs any more, 50 MB of them."""
    for stage in stages:
        (folder / f"{stage}.safetensors").unlink(missing_ok=True)
