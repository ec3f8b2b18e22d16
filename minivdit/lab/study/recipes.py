"""`minivdit study --recipes`: recipes against their base, each idea alone and all together, with equal FLOPs.

runs/recipes/
  seed0/base/                    a run of `minivdit train`; in the end its log and model.safetensors
  seed0/base.json                what it came to
  seed0/base.safetensors         some clips that it drew

A training goes through all stages, as `minivdit train` does, and is kept on the way. So after a stop the same command
goes on with the very step.
"""

import dataclasses
import functools
import re
from pathlib import Path

import numpy as np

from ...base import config, values
from ...base.errors import InputError, did_you_mean, shorten
from ...data import digit_source
from ...models import costs
from ...training import presets, recipes
from ...training.stages import stages_of
from ..pipeline.forecast import likely_minutes, step_flops, token_grid, total_flops, with_flops
from ..pipeline.train import train_model
from . import recipes_page
from .kinds import CLIPS, TITLES, Drawn, Real
from .paired import correct, mean_of, paired_test
from .study import Study, minutes_of, read_clips, remove_checkpoints

BASE = "base"
SAMPLING_STEPS, SHOWN = 20, 2


@dataclasses.dataclass
class RecipeStudy(Study):
    """names: of RECIPES. out: folder. seeds: trainings of each. steps: of the base's transformer, its own unless given.

    The base's other stages shrink or grow with the steps, and all have the base's FLOPs. prompts: clips of each kind.
    data: folder of MNIST. digits: their source, "auto" unless given.
    """

    names: tuple
    out: Path | str
    seeds: int = 3
    steps: int | None = None
    prompts: int = 40
    data: str | None = None
    digits: str | None = None

    command = "study --recipes"
    shape = {"scores": {...: (int, float, type(None))}, "minutes": (int, float)}

    def __post_init__(self):
        self.out = Path(self.out)
        self.names = tuple(recipes.RECIPES if "all" in self.names else self.names)
        for name in self.names:
            if name not in recipes.RECIPES:
                near = did_you_mean(name, recipes.RECIPES) or f"; choose {', '.join(recipes.RECIPES)}, or all"
                raise InputError(f"{shorten(name)!r} is not a recipe{near}")
        if not self.names or len(set(self.names)) < len(self.names):
            raise InputError(f"recipes are named each once, one or more, not {', '.join(self.names) or 'none'}")
        for name, least in (("seeds", 1), ("prompts", 2)):
            values.whole(name, getattr(self, name), least)
        values.whole("steps", self.steps, 1, default=1)

    @functools.cached_property
    def variants(self):
        """{what is switched on: (Preset, names of recipes)}, the base first; with equal FLOPs.

        An idea that several recipes have comes once. One that the base has, too, isn't there: see `needless`.
        """
        base, found = presets.get(recipes.BASE), {}
        digits = digit_source(self.digits or base.data.digits, "train", self.data).name
        usual = [f"sampling.steps={SAMPLING_STEPS}", f"data.digits={digits}"]
        flops = (self.steps or base.training.steps) / base.training.steps * total_flops(base)
        for label, preset, name in ((BASE, base, None), *self._asked_for()):
            preset = presets.override(preset, usual)
            same = [known for known, (other, _) in found.items() if _alike(preset, other)]
            if not same:
                label = f"{label} ({name})" if label in found else label
                found[label] = (preset, [name] if name else [])
            elif same[0] != BASE and name not in found[same[0]][1]:
                found[same[0]][1].append(name)
        return {label: (with_flops(preset, flops), names) for label, (preset, names) in found.items()}

    @functools.cached_property
    def real(self):
        """{name: share}: what real clips come to."""
        return Real(self.variants[BASE][0], self.prompts, self.data).scores()[0]

    def needless(self):
        """The ideas that change nothing, since the base has them."""
        base = presets.get(recipes.BASE)
        return [label for label, preset, _ in self._asked_for() if _alike(preset, base)]

    def _asked_for(self):
        """(label, Preset, name of the recipe) of each idea alone, and of all ideas of a recipe that has several."""
        for name in self.names:
            ideas = recipes.RECIPES[name].ideas
            yield from ((idea, recipes.preset(name, [idea]), name) for idea in ideas)
            if len(ideas) > 1:
                yield f"all of {recipes.RECIPES[name].system}", recipes.preset(name), name

    def trials(self):
        """(what is switched on, seed), seed by seed."""
        return [(label, seed) for seed in range(self.seeds) for label in self.variants]

    def path(self, label, seed):
        return self.out / f"seed{seed}" / re.sub(r"\W+", "_", label.lower())

    def asked(self, label, seed):
        return config.plain({"preset": self.variants[label][0], "seed": seed, "prompts": self.prompts})

    def likely_minutes(self, trials, speed):
        """About how long these trainings take on CPUs, and to draw what is judged. speed: see machine.cores_speed."""
        minutes = 0
        for preset in (self.variants[label][0] for label, _ in trials):
            drawn = CLIPS * self.prompts * _draw_flops(preset)
            minutes += likely_minutes(preset, speed) * (1 + drawn / total_flops(preset))
        return minutes

    def train(self, trials, progress):
        variants = self.variants
        for label, seed in trials:
            (preset, _), folder = variants[label], self.path(label, seed)
            model = train_model(preset, folder, seed=seed, data=self.data, previews=0, progress=progress)
            scores, video = Drawn(model, preset, variants[BASE][0], self.prompts, self.data).scores()
            minutes = minutes_of(folder, stages_of(preset))
            yield (label, seed), {"scores": scores, "minutes": minutes}, {"clips": video[:SHOWN]}
            remove_checkpoints(folder, stages_of(preset))

    def report(self, found):
        variants = self.variants
        rows = [self._row(label, *variants[label], found) for label in variants]
        correct([test for row in rows for test in row["tests"].values() if test])
        report = {
            "question": "Which idea of the large systems helps here, at equal FLOPs?",
            "rule": recipes_page.RULE,
            "recipes": list(self.names),
            "needless": self.needless(),
            "seeds": self.seeds,
            "prompts": self.prompts,
            "rows": rows,
            "real": self.real,
        }
        return report | {"answer": [*recipes_page.answer(report)]}

    def _row(self, label, preset, names, found):
        scores, base = ([found[each, seed]["scores"] for seed in range(self.seeds)] for each in (label, BASE))
        row = {
            "label": label,
            "recipes": names,
            "scores": {name: mean_of([one[name] for one in scores]) for name in TITLES},
            "tests": {},
            "steps": preset.training.steps + preset.finetuning.steps,
            "step_flops": step_flops(preset, "training"),
            "flops": total_flops(preset),
            "draw_flops": _draw_flops(preset),
            "weights": costs.clip_cost(preset.transformer, token_grid(preset)).parameters,
            "minutes": float(np.median([found[label, seed]["minutes"] for seed in range(self.seeds)])),
        }
        if label != BASE:
            for name in TITLES:
                pair = [[one[name] for one in each] for each in (scores, base)]
                row["tests"][name] = None if None in pair[0] + pair[1] else paired_test(*pair, 1 / self.prompts)
        return row

    def files(self, report):
        clips = {}
        for label in self.variants:
            (clips[label],) = read_clips(self, (label, 0), ["clips"]).values()
        base = self.variants[BASE][0]
        real = Real(base, self.prompts, self.data).real()[0]
        return recipes_page.files(report, {"real": real.video[:SHOWN], **clips}, real.captions[:SHOWN])


def _draw_flops(preset):
    """FLOPs of drawing a clip as long as those in training."""
    return costs.clip_cost(preset.transformer, token_grid(preset)).sampling_flops(preset.sampling.steps)


def _alike(preset, other):
    """Whether two presets differ in nothing but their names."""
    return dataclasses.replace(preset, name=other.name, summary=other.summary) == other
