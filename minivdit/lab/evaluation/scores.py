"""Scores: the values of all measures for a set of clips, and for real clips spoilt on purpose."""

from dataclasses import dataclass, replace

import numpy as np

from ...base.backend import blas_threads
from ...data import PIXELS_PER_FRAME
from .controls import CONTROLS, SPOILT, shuffled_captions
from .frechet import features, frechet_distance
from .metrics import clip_values, read_captions
from .observation import Observation, observe


@dataclass(frozen=True)
class Scores:
    """What was found in B clips.

    values: {measure: (B,)}, one value a clip, NaN where the measure says nothing of it. distances: {measure: number},
    to other real clips of the same captions. features: {measure: (n, D)}, what distances are computed from.
    """

    observation: Observation
    values: dict
    distances: dict
    features: dict


class Scorer:
    """Gives the Scores of clips (B, T, H, W, C) in [0, 1] that were drawn for certain captions.

    others: real clips of these captions, from which distances are taken. digit_size: px. pixels_per_frame: what the
    captions' speeds mean.
    """

    def __init__(self, captions, others, digit_size, pixels_per_frame=PIXELS_PER_FRAME):
        self.captions, self.digit_size, self.pixels_per_frame = captions, digit_size, pixels_per_frame
        self.canvas = others.shape[2:4]
        self.targets = self._read(captions)
        with blas_threads(1):
            self.features = features(others, digit_size)

    @blas_threads(1)  # of products this small, threads on a busy machine spend most of their time waiting
    def __call__(self, clips):
        seen = observe(clips, self.digit_size, self.targets.count, self.pixels_per_frame)
        found = features(clips, self.digit_size)
        pairs = {name: (rows, self.features[name]) for name, rows in found.items()}
        distances = {name: frechet_distance(*pair) if len(pair[0]) > 1 else np.nan for name, pair in pairs.items()}
        return Scores(seen, clip_values(seen, self.targets), distances, found)

    def controls(self, real, scores, generator):
        """{control: Scores} of real clips, whose own Scores are known, spoilt in each way."""
        found = {}
        for name in CONTROLS:
            if name in SPOILT:
                found[name] = self(SPOILT[name](real, generator))
            else:
                targets = self._read(shuffled_captions(self.captions, generator))
                found[name] = replace(scores, values=clip_values(scores.observation, targets))
        return found

    def _read(self, captions):
        return read_captions(captions, self.canvas, self.pixels_per_frame)
