"""`minivdit scaling`: one recipe at 1, 4 and 32 times the compute: its samples, its loss, and a law that is checked.

Sora's report (Brooks et al. 2024) shows the same clips at base, 4x and 32x of the compute. Here weights and clips seen
grow alike, each with the square root of the compute (Hoffmann et al. 2022): the width with its fourth root, at the same
depth. A power law is fitted to all sizes but the largest, and has to predict the loss of that one.
"""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from ... import autograd as ag
from ...base import config, seeds, values
from ...base.backend import to_device
from ...base.errors import InputError
from ...generation import TextToVideo
from ...models import costs
from ...training import presets
from ...training.stages import text_task, transformer_task
from ...training.tasks import TransformerTask
from ..evaluation.kept_clips import as_floats, draw_in_batches
from ..evaluation.model_evaluation import real_clips
from ..evaluation.scores import Scorer
from ..pipeline.forecast import likely_minutes, token_grid, total_flops, with_flops
from ..pipeline.train import assemble, train_stage, with_known_digits
from . import scaling_page
from .paired import mean_of, plain_number
from .power_law import PowerLaw
from .study import Study, minutes_of, read_clips, remove_checkpoints

PRESET = "small"  # its clips, and its autoencoder, which ships: so all sizes have the same latents
WIDTH, STEPS = 64, 800  # of the base
FACTORS = (1, 2, 4, 8, 32)  # of its compute; the last is held out of the fit
COUNTED = ("text", "transformer")  # the stages whose FLOPs are the compute
NEXT = 4  # times the largest: what the law predicts at last
BATCHES, BATCH = 16, 32  # of test clips, for the loss
SAMPLING_STEPS, SHOWN = 20, 4
MEASURES = ("obeys", "one_class", "on_path")


@dataclasses.dataclass
class ScalingStudy(Study):
    """out: folder. factors: of the base's compute, rising, the last held out. seeds: trainings of each size.

    steps: of the base. prompts: clips drawn of each size. data: folder of MNIST. digits: their source, "auto" unless
    given.
    """

    out: Path | str
    factors: tuple = FACTORS
    seeds: int = 1
    steps: int = STEPS
    prompts: int = 40
    data: str | None = None
    digits: str | None = None

    command = "scaling"
    shape = {"loss": (int, float), "minutes": (int, float), "scores": {...: (int, float, type(None))}}

    def __post_init__(self):
        self.out = Path(self.out)
        factors = tuple(values.whole("a factor", factor, 1, 10**6) for factor in self.factors)
        if len(factors) < 4 or list(factors) != sorted(set(factors)):
            told = ",".join(map(str, factors))
            raise InputError(f"factors are four or more that rise, the last to be predicted, not {told}")
        self.factors = factors
        for name, least in (("seeds", 1), ("steps", 1), ("prompts", 2)):
            values.whole(name, getattr(self, name), least)

    def trials(self):
        """(factor, seed), seed by seed."""
        return [(factor, seed) for seed in range(self.seeds) for factor in self.factors]

    def path(self, factor, seed):
        return self.out / f"seed{seed}" / f"{factor}x"

    def asked(self, factor, seed):
        return config.plain({"preset": self.preset(factor), "seed": seed, "prompts": self.prompts})

    @functools.cached_property
    def usual(self):
        """The Preset whose clips and settings all sizes have."""
        usual = presets.override(presets.get(PRESET), [f"data.digits={self.digits}"] if self.digits else [])
        sampling = dataclasses.replace(usual.sampling, steps=SAMPLING_STEPS)
        return with_known_digits(dataclasses.replace(usual, sampling=sampling), self.data)

    def preset(self, factor):
        """The Preset of a size: as wide, and with as many steps, as its compute allows."""
        base = self._of_width(WIDTH)
        compute = self.steps / base.training.steps * total_flops(base, COUNTED)
        return with_flops(self._of_width(width_of(factor)), factor * compute, COUNTED)

    def _of_width(self, width):
        return dataclasses.replace(self.usual, transformer=dataclasses.replace(self.usual.transformer, width=width))

    def compute(self, factor):
        """FLOPs of a training of this size: of its text encoder and of its transformer."""
        return total_flops(self.preset(factor), COUNTED)

    def likely_minutes(self, trials, speed):
        """About how long these trainings take on CPUs. speed: see machine.cores_speed."""
        return sum(likely_minutes(self.preset(factor), speed, COUNTED) for factor, _ in trials)

    @functools.cached_property
    def autoencoder(self):
        """That of the weights that ship."""
        return TextToVideo.load(PRESET).autoencoder

    @functools.cached_property
    def real(self):
        """(Clips of the captions that are drawn, the Scorer of what is drawn for them)."""
        maker = self.usual.data.clips("test", self.data, synonyms=False)
        real, others = real_clips(maker, seeds.generator(0, seeds.COMPARISONS), self.prompts)
        data = self.usual.data
        return real, Scorer(real.captions, others.video, data.digit_size, data.pixels_per_frame)

    def train(self, trials, progress):
        real, scorer = self.real
        for factor, seed in trials:
            task, folder = self._trained(factor, seed, progress), self.path(factor, seed)
            model = assemble(self.preset(factor), task.model, self.autoencoder, task.tokenizer)
            drawn = as_floats(draw_in_batches(model, real.captions))
            values = scorer(drawn).values
            came_to = {
                "loss": self.loss(task),
                "minutes": minutes_of(folder, COUNTED),
                "scores": {name: mean_of(values[name]) for name in MEASURES},
            }
            yield (factor, seed), came_to, {"clips": drawn[:SHOWN]}
            remove_checkpoints(folder, COUNTED)

    def _trained(self, factor, seed, progress):
        """The task of a size, trained; its checkpoints are in the folder of the trial."""
        preset, given = self.preset(factor), {"seed": seed, "data": self.data}

        def train(stage, task):
            path, title = self.path(factor, seed) / f"{stage}.safetensors", f"{factor}x, {stage}"
            return train_stage(stage, task, preset, path, seed=seed, title=title, progress=progress)

        text = train("text", text_task(preset, **given)).model.text
        return train("transformer", transformer_task(preset, self.autoencoder, text=text, **given))

    def loss(self, task):
        """The loss on test clips, with the same noise for all sizes."""
        clips = self.usual.data.clips("test", self.data)
        tested = TransformerTask(task.model, task.autoencoder, task.tokenizer, clips, BATCH, self.usual.diffusion)
        found = []
        with ag.no_grad():
            for place in range(BATCHES):
                batch = tested.batch(seeds.generator(0, seeds.MEASUREMENTS, place))
                loss, _ = tested.loss({name: to_device(array) for name, array in batch.items()})
                found.append(loss.item())
        return float(np.mean(found))

    def report(self, found):
        *fitted, held = self.factors
        losses = {factor: [found[factor, seed]["loss"] for seed in range(self.seeds)] for factor in self.factors}
        points = [(self.compute(factor), loss) for factor in fitted for loss in losses[factor]]
        law = PowerLaw.fit(*zip(*points))
        scorer = self.real[1]
        report = {
            "question": "What does more compute bring?",
            "rule": scaling_page.RULE,
            "law": {"scale": law.scale, "exponent": law.exponent, "error": plain_number(law.error)},
            "seeds": self.seeds,
            "prompts": self.prompts,
            "sizes": [self._size(factor, losses[factor], found, law) for factor in self.factors],
            "next": _predicted(law, NEXT * self.compute(held)) | {"factor": NEXT * held},
            "real": {name: mean_of(scorer(self.real[0].video).values[name]) for name in MEASURES},
        }
        return report | {"answer": [*scaling_page.answer(report)]}

    def _size(self, factor, losses, found, law):
        preset, trials = self.preset(factor), [found[factor, seed] for seed in range(self.seeds)]
        return {
            "factor": factor,
            "width": preset.transformer.width,
            "weights": costs.clip_cost(preset.transformer, token_grid(preset)).parameters,
            "steps": preset.training.steps,
            "flops": self.compute(factor),
            "minutes": float(np.median([trial["minutes"] for trial in trials])),
            "losses": losses,
            "fitted": factor != self.factors[-1],
            "predicted": _predicted(law, self.compute(factor)),
            "scores": {name: mean_of([trial["scores"][name] for trial in trials]) for name in MEASURES},
        }

    def files(self, report):
        real, clips = self.real[0], {}
        for factor in self.factors:
            (clips[f"{factor}x" if factor > 1 else "base"],) = read_clips(self, (factor, 0), ["clips"]).values()
        return scaling_page.files(report, clips | {"real": real.video[:SHOWN]}, real.captions[:SHOWN])


def width_of(factor):
    """The width of a network whose weights grow with the square root of its compute, in steps of 16."""
    return 16 * round(WIDTH * factor**0.25 / 16)


def _predicted(law, flops):
    """What a law says of a training, in plain numbers."""
    low, high = map(plain_number, law.interval(flops))
    return {"flops": flops, "loss": float(law(flops)), "low": low, "high": high}
