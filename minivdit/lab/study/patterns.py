"""`minivdit study`: attention patterns trained alike in small worlds, several times, and looked at on the way.

A training takes a minute or two and isn't kept halfway: stopped, the same command begins again with the one that was
under way.

Each measure of each pace of each world is a row of the report. Two patterns are compared by the mean over all looks,
the height of the learning curve: so nobody chooses the moment that suits him. Seeds are paired: a seed gives both
patterns the same first weights and the same batches.
"""

import dataclasses
import statistics
from pathlib import Path

import numpy as np

from ...base import config, seeds, values
from ...base.console import progress_bar
from ...base.errors import InputError
from ...models.schemes import check_scheme
from ...nn import fingerprint
from ...training.loop import Run, train
from . import patterns_page
from .ball import Ball
from .digits import Digits
from .paired import correct, mean_of, paired_test, plain_number
from .study import Study, read_clips
from .worlds import left_behind

WORLDS = {"ball": Ball, "digits": Digits}
PATTERNS = ("joint", "framewise", "perframe")
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)  # of the whole training: when it is looked at, the LOOKS of the page among them
SHOWN = 3  # clips of each pace that are kept


@dataclasses.dataclass
class PatternStudy(Study):
    """worlds: a list of World. patterns: of SCHEMES; the first two are tested against each other.

    seeds, steps: of each training; the world's own unless given.
    """

    worlds: list
    out: Path | str
    patterns: tuple = PATTERNS
    seeds: int | None = None
    steps: int | None = None

    command = "study"
    shape = {"looks": {...: {...: {...: (int, float, type(None))}}}, "seconds": (int, float)}

    def __post_init__(self):
        self.out = Path(self.out)
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
        return self.out / world.name / f"seed{seed}" / pattern

    def asked(self, world, seed, pattern):
        return config.plain(
            {"training": self.training(world, pattern), "seed": seed, "looks": self.looks(world, pattern)}
        )

    def looks(self, world, pattern):
        """The steps after which a pattern is looked at, for one budget or the other."""
        return sorted({step for marks in self.marks(world, pattern).values() for step in marks})

    def training(self, world, pattern):
        """The TrainingSettings of a pattern: long enough for all its marks."""
        steps = max(self.looks(world, pattern))
        return dataclasses.replace(world.training, steps=steps, warmup=min(world.training.warmup, steps - 1))

    def train(self, trials, progress):
        for world, seed in dict.fromkeys(trial[:2] for trial in trials):
            self._require_alike(world, seed)
        total = sum(self.training(world, name).steps for world, _, name in trials)
        with progress_bar(self.command, total, show=progress) as bar:
            for trial in trials:
                bar.set_postfix_str(f"{trial[0].name}, seed {trial[1]}, {trial[2]}")
                yield trial, *self._train(*trial, bar.update)

    def _train(self, world, seed, pattern, tick):
        """(What it came to, clips) of a pattern trained once. tick: called after each step."""
        task, looks, seconds, clips = world.task(pattern, seed), {}, [], {}
        run = Run(task, self.training(world, pattern), seed)
        shown = {self.marks(world, pattern)["steps"][look]: look for look in patterns_page.LOOKS}
        for state in train(run):
            seconds.append(state.seconds)
            if state.step in self.looks(world, pattern):
                with run.averaged():
                    drawn = {pace: world.draw(task, pace) for pace in world.paces}
                looks[str(state.step)] = {pace: _shares(world, video, pace) for pace, video in drawn.items()}
                if state.step in shown:
                    clips |= {f"{pace} {shown[state.step]}": drawn[pace][:SHOWN] for pace in drawn}
            tick()
        return {"looks": looks, "seconds": round(statistics.median(seconds), 4)}, clips

    def _require_alike(self, world, seed):
        """InputError unless all patterns begin with the same weights and get the same first batch."""
        tasks = [world.task(name, seed) for name in self.patterns]
        if len({fingerprint(task.model) for task in tasks}) > 1:
            raise InputError("patterns begin with different weights, so they can't be compared")
        batches = [task.batch(seeds.generator(seed, seeds.BATCHES, 0)) for task in tasks]
        for batch in batches[1:]:
            if any((batch[name] != array).any() for name, array in batches[0].items()):
                raise InputError("patterns get different batches, so they can't be compared")

    def report(self, found):
        worlds = [self._world(world, found) for world in self.worlds]
        correct([test for world in worlds for row in world["rows"] for test in row["tests"].values()])
        about = {"question": patterns_page.QUESTION, "rule": patterns_page.RULE}
        report = about | {"patterns": list(self.patterns), "worlds": worlds}
        return report | {"answer": [*patterns_page.answer(report)]}

    def _world(self, world, found):
        """What the report says of a world."""
        marks, looks, seconds = {name: self.marks(world, name) for name in self.patterns}, {}, {}
        for name in self.patterns:
            trials = [found[world, seed, name] for seed in self.seeds_of(world)]
            seconds[name] = float(np.median([trial["seconds"] for trial in trials]))
            for equal, steps in marks[name].items():
                looks.setdefault(equal, {})[name] = [[one["looks"][str(step)] for step in steps] for one in trials]
        rows = []
        for pace in world.paces:
            judged = {name: world.judge(video, pace) for name, video in world.references(pace).items()}
            for measure in world.measures:
                references = {name: mean_of(values[measure]) for name, values in judged.items()}
                rows.append(self._row(world, pace, measure, references, looks))
        return {
            "name": world.name,
            "title": world.title,
            "paces": {
                pace: {
                    "pixels": pixels,
                    "patches": round(pixels / world.patch[1], 4),
                    "left_behind": plain_number(left_behind(world.real(pace), world.patch)),
                }
                for pace, pixels in world.paces.items()
            },
            "clips": world.clips,
            "seeds": len(self.seeds_of(world)),
            "marks": marks,
            "gflops": {name: world.cost(name) / 1e9 for name in self.patterns},
            "seconds": seconds,
            "rows": rows,
        }

    def _row(self, world, pace, measure, references, looks):
        """A measure of a pace. looks: {budget: {pattern: for each seed what each look saw}}."""
        curves, tests = {}, {}
        for equal, of_patterns in looks.items():
            curves[equal] = {
                name: [[look[pace][measure] for look in seed] for seed in seeds] for name, seeds in of_patterns.items()
            }
            tests[equal] = paired_test(*(np.mean(curves[equal][name], axis=1) for name in self.patterns[:2]))
        return {
            "pace": pace,
            "measure": measure,
            "meaning": world.measures[measure],
            "leaves": world.leaves_its_patch(pace),
            "references": references,
            "curves": curves,
            "tests": tests,
        }

    def files(self, report):
        clips = {world.name: patterns_page.side_by_side(world, self._kept(world)) for world in self.worlds}
        return patterns_page.files(report, clips)

    def _kept(self, world):
        """{pattern: {"fast 3": clips}}: some clips of the first seed, halfway and at the end."""
        names = [f"{pace} {look}" for pace in world.paces for look in patterns_page.LOOKS]
        first = self.seeds_of(world)[0]
        return {pattern: read_clips(self, (world, first, pattern), names) for pattern in self.patterns}


def _shares(world, video, pace):
    """{measure: mean} of clips; 0 where no clip shows it, as where no digit is seen."""
    judged = world.judge(video, pace)
    return {name: round(float(np.nan_to_num(values).mean()), 6) for name, values in judged.items()}
