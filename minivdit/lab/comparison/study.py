"""What is trained, for how long and on which data, so that models differ in nothing but their attention pattern.

runs/compare/
  study.json                       preset, patterns, seeds, prompts
  seed0/autoencoder.safetensors    one autoencoder a seed, for all of its patterns
  seed0/text.safetensors           and one text encoder, where the preset trains it first
  seed0/joint/                     trained for the preset's steps
    model.safetensors              the weights; while they are trained: transformer.safetensors, a checkpoint
    transformer.jsonl              the log
    drawn.safetensors              clips
  seed0/framewise-889/...          trained longer, for equal FLOPs: for how many steps depends on the other patterns
  report.html, .md, .json
"""

import dataclasses
import json
from pathlib import Path

from ...base import config, machine, seeds, values
from ...base.errors import InputError
from ...base.files import read_json, write_file
from ...data import USUAL_SPEEDS
from ...generation import TextToVideo
from ...models.schemes import SCHEMES, check_scheme
from ...nn import fingerprint
from ...training import checkpoint, presets
from ...training.journal import lines_with_loss
from ...training.stages import autoencoder_task, text_task, transformer_task
from ..pipeline.forecast import USUAL_SHARE, require_memory, stage_costs, transformer_cost
from ..pipeline.train import assemble, train_stage, where_and_when, with_known_digits

BUDGETS = ("steps", "flops")
MOST_SEEDS = 1000  # trainings of each pattern
# The third speed is the one at which a digit leaves its patch, a quarter of the canvas, from one frame to the next.
PIXELS_PER_FRAME = (1.6, 5.6, 16.8)
CLASSIC_SIZE = 28 / 64  # of a digit, in parts of the canvas: two find room in it
STEPS = {"quick": 2000}  # where a study's default isn't the preset's: fewer teach too little to tell patterns apart


def study_preset(name, steps=None, changes=()):
    """The preset that all patterns of a study share: at speeds up to more than a patch a frame, without finetuning.

    Digits are so small that two have room, but how many there are is the preset's: two ask for a training as
    long as `full`'s. changes: further settings, as presets.override takes them.
    """
    preset = presets.get(name)
    side = max(8, round(CLASSIC_SIZE * min(preset.data.size)))
    own = {"digit_size": side, "speeds": USUAL_SPEEDS, "pixels_per_frame": PIXELS_PER_FRAME}
    data = dataclasses.replace(preset.data, **own, shapes=(), turning=0.0)
    training = dataclasses.replace(preset.training, steps=STEPS.get(name, preset.training.steps))
    finetuning = dataclasses.replace(preset.finetuning, steps=0)
    preset = dataclasses.replace(preset, data=data, training=training, finetuning=finetuning)
    changes = [*changes, *([] if steps is None else [f"training.steps={steps}"])]
    for change in changes:
        if change.strip().startswith(("finetuning.", "transformer.patterns")):
            raise InputError(
                f"{change!r} has no effect in a comparison, which sets patterns and has no finetuning; leave it out"
            )
    return presets.override(preset, changes)


def with_pattern(preset, name):
    """The preset with the attention of the SCHEMES of this name."""
    check_scheme(name)
    return dataclasses.replace(preset, transformer=dataclasses.replace(preset.transformer, patterns=SCHEMES[name]))


def equal_flops_steps(preset, names):
    """{name: steps} for which training costs as many FLOPs as preset.training.steps of the most expensive of them."""
    flops = {name: transformer_cost(with_pattern(preset, name)).training_flops for name in names}
    return {name: round(preset.training.steps * max(flops.values()) / cost) for name, cost in flops.items()}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One model of a study: its label, its seed, the budget it belongs to, its steps and its folder."""

    name: str
    seed: int
    budget: str
    steps: int
    folder: Path

    @property
    def weights(self):
        """Where its weights are kept once it is trained."""
        return self.folder / "model.safetensors"


@dataclasses.dataclass(frozen=True)
class Study:
    """preset: what all share (`study_preset`). names: of SCHEMES. seeds, prompts: how many. data: folder of MNIST."""

    preset: object
    names: tuple
    seeds: int
    prompts: int
    out: Path
    data: str | None = None

    def __post_init__(self):
        values.whole("seeds", self.seeds, 1, MOST_SEEDS)
        values.whole("prompts", self.prompts, 1)
        for name in self.names:
            check_scheme(name)
        if len(set(self.names)) != len(self.names) or len(self.names) < 2:
            raise InputError(
                f"a comparison needs two patterns or more, each once, not {', '.join(self.names) or 'none'}"
            )

    def trials(self, budget):
        """The Trials of a budget, seed by seed, so that what disturbs the machine meets all patterns alike.

        Of those with equal FLOPs, the most expensive pattern's are the same models as with equal steps. The others'
        folders name their steps, so that with other patterns beside it a model is trained anew, not taken for another.
        """
        steps = dict.fromkeys(self.names, self.preset.training.steps)
        if budget == "flops":
            steps = equal_flops_steps(self.preset, self.names)
        folders = {n: n if count == self.preset.training.steps else f"{n}-{count}" for n, count in steps.items()}
        return [
            Trial(name, seed, budget, steps[name], self.out / f"seed{seed}" / folders[name])
            for seed in range(self.seeds)
            for name in self.names
        ]

    def keep(self):
        """Write down what this study is, or raise InputError if another one has begun in the folder."""
        about, path = self.about(), self.out / "study.json"
        if path.exists():
            fixed = ("preset", "prompts")
            before = read_study(self.out).about()
            cure = "go on with the same options, or choose another --out"
            config.require_equal(*({k: study[k] for k in fixed} for study in (before, about)), path, cure)
        write_file(path, json.dumps(about, indent=1))

    def about(self):
        """What study.json holds."""
        return config.plain(
            {"preset": self.preset, "patterns": self.names, "seeds": self.seeds, "prompts": self.prompts}
        )

    def check_fairness(self, autoencoder, text, seed):
        """InputError unless for this seed all patterns begin with the same weights and get the same first batch."""
        tasks = [
            transformer_task(with_pattern(self.preset, name), autoencoder, text=text, seed=seed, data=self.data)
            for name in self.names
        ]
        first_weights = {fingerprint(task.model) for task in tasks}
        batches = [task.batch(seeds.generator(seed, seeds.BATCHES, 0)) for task in tasks]
        if len(first_weights) > 1:
            raise InputError("patterns begin with different weights, so they can't be compared")
        for batch in batches[1:]:
            if any((batch[name] != array).any() for name, array in batches[0].items()):
                raise InputError("patterns get different batches, so they can't be compared")

    def earlier_stages(self, seed, **watching):
        """The seed's (autoencoder, text encoder), trained if they aren't yet; all patterns use them.

        The text encoder is None where the preset has no stage for it.
        """

        def trained(stage, make_task):
            path, task = (
                self.out / f"seed{seed}" / f"{stage}.safetensors",
                make_task(self.preset, seed=seed, data=self.data),
            )
            options = {"seed": seed, "title": f"{stage}, seed {seed}", **watching}
            return train_stage(stage, task, self.preset, path, **options).model

        autoencoder = trained("autoencoder", autoencoder_task)
        return autoencoder, trained("text", text_task).text if self.preset.text_training.steps else None

    def train(self, trial, autoencoder, text, **watching):
        """The trial's TextToVideo, trained; trained on, where an earlier run stopped."""
        path, preset = trial.folder / "transformer.safetensors", with_pattern(self.preset, trial.name)
        preset = dataclasses.replace(preset, training=dataclasses.replace(preset.training, steps=trial.steps))
        watching = {"title": f"{trial.name}, seed {trial.seed}, equal {trial.budget}", **watching}
        task = transformer_task(preset, autoencoder, text=text, seed=trial.seed, data=self.data)
        train_stage("transformer", task, preset, path, seed=trial.seed, **watching)
        notes = {"seed": trial.seed, "steps": trial.steps, "preset": config.plain(preset)}
        seconds = checkpoint.load_checkpoint(path)[0]["run"]["seconds"]
        notes |= {"minutes": round(seconds / 60, 4), **where_and_when()}
        assemble(preset, task.model, autoencoder, task.tokenizer, notes).save(trial.weights)
        path.unlink()  # 16 bytes a weight that nothing needs any more
        return self.trained(trial)

    def trained(self, trial):
        """The trial's TextToVideo, or None if it isn't trained yet; InputError for one trained for other steps."""
        if not trial.weights.exists():
            return None
        model = TextToVideo.load(trial.weights)
        steps = model.notes.get("steps")
        if steps != trial.steps:
            raise InputError(
                f"{trial.weights} was trained for {steps} steps, not for {trial.steps} as equal {trial.budget} ask; "
                "remove it, and it is trained again"
            )
        return model


def new_study(name, names, seeds, prompts, out, steps=None, changes=(), data=None):
    """A Study of the preset of this name; see `study_preset`."""
    preset = with_known_digits(study_preset(name, steps, changes), data)
    return Study(preset, tuple(names), seeds, prompts, Path(out), data)


def read_study(out, data=None, names=None):
    """The Study that has begun in a folder; names: its patterns, instead of those that it began with."""
    path, cure = Path(out) / "study.json", "remove it and run the study again"
    if not path.exists():
        raise InputError(f"there is no study in {out}; run 'minivdit compare --out {out}' first")
    about = read_json(path, {"preset": dict, "patterns": [str], "seeds": int, "prompts": int}, "study", cure)
    try:
        preset = presets.from_plain(about["preset"])
        names = about["patterns"] if names is None else names
        return Study(preset, tuple(names), about["seeds"], about["prompts"], Path(out), data)
    except (KeyError, TypeError, ValueError) as error:  # InputError is a ValueError
        raise InputError(f"{path} is no study: {error}; {cure}") from error


def training_log(folder):
    """(minutes of training, median seconds of a step) from a trial's log; (None, None) where there is none."""
    lines = lines_with_loss(folder / "transformer.jsonl")
    seconds = sorted(line["seconds"] for line in lines if line.get("seconds") is not None)
    return (lines[-1]["minutes"], seconds[len(seconds) // 2]) if seconds else (None, None)


def _finished(trial):
    return (trial.folder / "drawn.safetensors").exists()


def _several(count, noun):
    return f"{count} {noun}{'s' * (count != 1)}"


def predict(study, budgets, clips):
    """What a study costs on this machine, as text, computed before anything runs. clips: drawn by each model.

    Raises InputError where training needs more memory than is free.
    """
    preset, speed = study.preset, machine.cores_speed()
    earlier = 0
    for setting in ("autoencoder_training", "text_training"):
        if steps := getattr(preset, setting).steps:
            require_memory(preset, setting)
            earlier += steps * stage_costs(preset, setting)[0].training_flops
    lines = [
        f"{preset.name}: {len(study.names)} patterns ({', '.join(study.names)}) x {_several(study.seeds, 'seed')}, "
        f"{preset.training.steps} steps of {preset.training.batch} clips each; {clips} clips drawn by each model"
    ]
    counted = {trial.folder for budget in BUDGETS for trial in study.trials(budget) if _finished(trial)}
    for budget in budgets:
        trials = [trial for trial in study.trials(budget) if trial.folder not in counted]
        counted |= {trial.folder for trial in trials}
        flops = study.seeds * earlier if budget == budgets[0] and trials else 0
        for trial in trials:
            own = with_pattern(preset, trial.name)
            require_memory(own, "training")
            flops += trial.steps * transformer_cost(own).training_flops
            guided = preset.sampling.guidance_scale != 1
            flops += clips * transformer_cost(own, 1).sampling_flops(preset.sampling.steps, guided)
        likely = machine.about(flops / (USUAL_SHARE * speed) / 60)
        lines.append(f"  equal {budget}: {_several(len(trials), 'training')} to do, {likely}")
    lines.append(f"  this machine: matrix products at {machine.amount(speed, 'FLOP/s')}")
    return "\n".join(lines)
