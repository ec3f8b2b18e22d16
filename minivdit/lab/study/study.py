"""`minivdit study`: attention patterns trained alike in small worlds, several times, and looked at on the way.

runs/study/
  ball/seed0/joint.json           what a training came to: shares at each step that was looked at, and its times
  ball/seed0/joint.safetensors    some clips that it drew
  report.html, .md, .json

A training takes a minute or two and isn't kept halfway: stopped, the same command begins again with the one that was
under way.
"""

import dataclasses
import datetime
import json
import statistics
from pathlib import Path

import numpy as np

from ...base import config, seeds, values
from ...base.console import progress_bar
from ...base.errors import InputError
from ...base.files import load_tensors, read_json, save_tensors, write_file
from ...base.locking import locked
from ...base.machine import description
from ...models.schemes import check_scheme
from ...nn import fingerprint
from ...training.loop import Run, train
from ..evaluation.kept_clips import as_bytes, as_floats
from . import page
from .ball import Ball
from .digits import Digits
from .report import build_report

WORLDS = {"ball": Ball, "digits": Digits}
PATTERNS = ("joint", "framewise", "perframe")
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)  # of the whole training: when it is looked at, the LOOKS of page.py among them
SHOWN = 3  # clips of each pace that are kept
TRIAL = {"asked": dict, "looks": {...: {...: {...: (int, float, type(None))}}}, "seconds": (int, float)}


@dataclasses.dataclass(frozen=True)
class Study:
    """worlds: a list of World. patterns: of SCHEMES; the first two are tested against each other.

    seeds, steps: of each training; the world's own unless given.
    """

    worlds: list
    out: Path | str
    patterns: tuple = PATTERNS
    seeds: int | None = None
    steps: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "out", Path(self.out))
        for name in self.patterns:
            check_scheme(name)
        if len(set(self.patterns)) != len(self.patterns) or len(self.patterns) < 2:
            told = ", ".join(self.patterns) or "none"
            raise InputError(f"a study needs two patterns or more, each once, not {told}")
        values.whole("seeds", self.seeds, 1, default=1)
        values.whole("steps", self.steps, 1, default=1)

    def steps_of(self, world):
        """How many steps the most expensive pattern is trained for."""
        return self.steps or world.training.steps

    def seeds_of(self, world):
        """Each pattern is trained with these seeds."""
        return range(self.seeds or world.seeds)

    def marks(self, world, pattern):
        """{"steps": steps, "flops": steps}: when a pattern is looked at, so that all have had equal steps or FLOPs."""
        most = max(world.cost(name) for name in self.patterns)
        equal_steps = [max(1, round(share * self.steps_of(world))) for share in SHARES]
        return {"steps": equal_steps, "flops": [round(step * most / world.cost(pattern)) for step in equal_steps]}

    def trials(self):
        """(world, seed, pattern) of all trainings, seed by seed, so that what disturbs the machine meets all alike."""
        return [(world, seed, name) for world in self.worlds for seed in self.seeds_of(world) for name in self.patterns]

    def path(self, world, seed, pattern):
        """The file of a training, to which a suffix is to be added."""
        return self.out / world.name / f"seed{seed}" / pattern

    def asked(self, world, seed, pattern):
        """All that decides what a training comes to, as plain values."""
        steps = sorted({step for marks in self.marks(world, pattern).values() for step in marks})
        return config.plain({"training": self.training(world, pattern), "seed": seed, "looks": steps})

    def training(self, world, pattern):
        """The TrainingSettings of a pattern: long enough for all its marks."""
        steps = max(max(marks) for marks in self.marks(world, pattern).values())
        return dataclasses.replace(world.training, steps=steps, warmup=min(world.training.warmup, steps - 1))


def run_study(study, report_only=False, progress=True, show=print):
    """Train what isn't trained yet, and write the report, which is returned as a dict.

    report_only: train nothing. Raises InputError where the folder holds trainings of another study.
    """
    found = {}
    for trial in study.trials():
        known = read_trial(study, *trial)
        if known is not None:
            found[trial] = known
    if report_only and len(found) < len(study.trials()):
        missing = len(study.trials()) - len(found)
        raise InputError(
            f"{missing} of {len(study.trials())} trainings are missing in {study.out}; run 'minivdit study'"
        )
    if not report_only:
        with locked(study.out):
            _train(study, found, progress)
    report = build_report(study, found)
    clips = {world.name: page.side_by_side(world, _kept(study, world)) for world in study.worlds}
    report["about"] = {"machine": description(), "date": datetime.date.today().isoformat()}
    for name, content in page.files(report, clips).items():
        write_file(study.out / name, content)
    for line in (*report["answer"], str(study.out / "report.html")):
        show(line)
    return report


def read_trial(study, world, seed, pattern):
    """What a training came to, a dict, or None if there was none; InputError for one with other settings."""
    path = study.path(world, seed, pattern).with_suffix(".json")
    if not path.exists():
        return None
    cure = "choose another --out, or remove it"
    trial = read_json(path, TRIAL, "training of a study", cure)
    config.require_equal(trial["asked"], study.asked(world, seed, pattern), path, cure)
    return trial


def _train(study, found, progress):
    """Train the trials that aren't in `found`, and put them there."""
    missing = [trial for trial in study.trials() if trial not in found]
    for world, seed in dict.fromkeys(trial[:2] for trial in missing):
        _require_alike(study, world, seed)
    total = sum(study.training(world, name).steps for world, _, name in missing)
    with progress_bar("study", total, show=progress) as bar:
        for trial in missing:
            bar.set_postfix_str(f"{trial[0].name}, seed {trial[1]}, {trial[2]}")
            found[trial] = train_trial(study, *trial, bar.update)


def train_trial(study, world, seed, pattern, tick=lambda: None):
    """Train one pattern once and keep what it came to. tick: called after each step."""
    task, looks, seconds, clips = world.task(pattern, seed), {}, [], {}
    asked = study.asked(world, seed, pattern)
    run = Run(task, study.training(world, pattern), seed)
    shown = {study.marks(world, pattern)["steps"][look]: look for look in page.LOOKS}
    for state in train(run):
        seconds.append(state.seconds)
        if state.step in asked["looks"]:
            with run.average.applied():
                drawn = {pace: world.draw(task, pace) for pace in world.paces}
            looks[str(state.step)] = {pace: _shares(world, video, pace) for pace, video in drawn.items()}
            if state.step in shown:
                clips |= {f"{pace} {shown[state.step]}": as_bytes(drawn[pace][:SHOWN]) for pace in drawn}
        tick()
    trial = {"asked": asked, "looks": looks, "seconds": round(statistics.median(seconds), 4)}
    path = study.path(world, seed, pattern)
    save_tensors(path.with_suffix(".safetensors"), clips, {"asked": asked})
    write_file(path.with_suffix(".json"), json.dumps(trial, indent=1))
    return trial


def _require_alike(study, world, seed):
    """InputError unless all patterns begin with the same weights and get the same first batch."""
    tasks = [world.task(name, seed) for name in study.patterns]
    if len({fingerprint(task.model) for task in tasks}) > 1:
        raise InputError("patterns begin with different weights, so they can't be compared")
    batches = [task.batch(seeds.generator(seed, seeds.BATCHES, 0)) for task in tasks]
    for batch in batches[1:]:
        if any((batch[name] != array).any() for name, array in batches[0].items()):
            raise InputError("patterns get different batches, so they can't be compared")


def _shares(world, video, pace):
    """{measure: mean} of clips; 0 where no clip shows it, as where no digit is seen."""
    judged = world.judge(video, pace)
    return {name: round(float(np.nan_to_num(values).mean()), 6) for name, values in judged.items()}


def _kept(study, world):
    """{pattern: {"fast 3": clips}}: some clips of the first seed, halfway and at the end."""
    kept = {}
    for name in study.patterns:
        path = study.path(world, study.seeds_of(world)[0], name).with_suffix(".safetensors")
        tensors, shown = load_tensors(path)[0], {}
        for key in (f"{pace} {look}" for pace in world.paces for look in page.LOOKS):
            clips = tensors.get(key)
            if clips is None or clips.dtype != np.uint8 or clips.ndim != 5:
                raise InputError(f"{path} holds no clips of a study; remove it and the .json beside it")
            shown[key] = as_floats(clips)
        kept[name] = shown
    return kept
