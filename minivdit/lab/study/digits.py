"""A world of handwritten digits that move slowly or fast: captions, an autoencoder and a judge, as in the presets.

The autoencoder is that of the weights `small`, which ship; a text encoder is trained first. Both serve all patterns.
"""

import dataclasses
import functools

import numpy as np

from ...base import seeds
from ...data import USUAL_SPEEDS
from ...generation import TextToVideo
from ...models.schemes import SCHEMES
from ...training import presets
from ...training.loop import fit
from ...training.stages import text_task, transformer_task
from ..evaluation.kept_clips import as_floats, draw_in_batches
from ..evaluation.model_evaluation import real_clips
from ..evaluation.scores import Scorer
from ..pipeline.forecast import stage_costs
from ..pipeline.train import assemble, with_known_digits
from .worlds import World

PIXELS_PER_FRAME = (1.6, 5.6, 16.8)  # on a canvas of 64; the last leaves a patch, a quarter of the canvas, at once
PACES = {"slow": PIXELS_PER_FRAME[0] / 2, "fast": PIXELS_PER_FRAME[2] / 2}
DIGIT_SIZE, PATCH, SAMPLING_STEPS = 14, (8, 8), 20


class Digits(World):
    """One digit at three speeds, of which the slowest and the fastest are looked at.

    data: folder of MNIST. digits: a source of digits, "auto" unless given. progress: whether to show the text encoder's
    training.
    """

    name, title = "digits", f"a handwritten digit that moves and bounces, {DIGIT_SIZE} pixels on 32x32, 8 frames"
    patch, paces, seeds, clips, rate = PATCH, PACES, 3, 40, 5
    measures = {
        "one_class": "clips that read as one digit throughout",
        "on_path": "clips in which it moves along one bouncing line",
        "obeys": "clips with the digit and the direction asked for, and nothing else",
    }

    def __init__(self, data=None, digits=None, progress=True):
        self.data, self.progress = data, progress
        usual = presets.get("small")
        own = {"digit_size": DIGIT_SIZE, "speeds": USUAL_SPEEDS, "pixels_per_frame": PIXELS_PER_FRAME}
        clips = dataclasses.replace(usual.data, digits=digits or usual.data.digits, **own)
        self.training = dataclasses.replace(usual.training, steps=1000, final_fraction=1.0, ema_decay=0.99)
        sampling = dataclasses.replace(usual.sampling, steps=SAMPLING_STEPS)
        changed = {"data": clips, "training": self.training, "sampling": sampling}
        self.preset = with_known_digits(dataclasses.replace(usual, **changed), data)

    @functools.cached_property
    def autoencoder(self):
        """That of the weights that ship."""
        return TextToVideo.load("small").autoencoder

    @functools.cached_property
    def text(self):
        """A TextEncoder that has learnt to read captions."""
        task = text_task(self.preset, data=self.data)
        fit(task, self.preset.text_training, title="text encoder", progress=self.progress).use_average()
        return task.model.text

    def task(self, pattern, seed):
        return transformer_task(self._with(pattern), self.autoencoder, text=self.text, seed=seed, data=self.data)

    def cost(self, pattern):
        return stage_costs(self._with(pattern), "training")[0].training_flops

    def draw(self, task, pace):
        model = assemble(self.preset, task.model, task.autoencoder, task.tokenizer)
        return as_floats(draw_in_batches(model, self.prompts[pace][0]))

    def real(self, pace):
        return self.prompts[pace][1]

    def judge(self, video, pace):
        values = self.prompts[pace][2](video).values
        return {name: np.asarray(values[name], float) for name in self.measures}

    def _with(self, pattern):
        transformer = dataclasses.replace(self.preset.transformer, patterns=SCHEMES[pattern])
        return dataclasses.replace(self.preset, transformer=transformer)

    @functools.cached_property
    def prompts(self):
        """{pace: (captions, real clips of them, the Scorer of clips drawn for them)}."""
        return {pace: self._prompts_of(pace) for pace in PACES}

    def _prompts_of(self, pace):
        generator = seeds.generator(0, seeds.COMPARISONS, list(PACES).index(pace))
        maker = self.preset.data.clips("test", self.data, speeds=(pace,), held_out="exclude", synonyms=False)
        real, others = real_clips(maker, generator, self.clips)
        return real.captions, real.video, Scorer(real.captions, others.video, DIGIT_SIZE, PIXELS_PER_FRAME)
