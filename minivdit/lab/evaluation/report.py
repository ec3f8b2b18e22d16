"""The table: every measure of a set of clips beside the real-data ceiling and the chance floors.

Columns: the clips themselves; real clips of the same captions (the ceiling: what tracker and judge make of perfect
clips); and real clips spoilt in one way each (the floors, see controls.py).

A Frechet distance is taken to a second set of real clips of the same captions, so its figure for real clips is the
least that can be expected at this number of clips.
"""

import json
import math
from dataclasses import dataclass

import numpy as np

from ...base import seeds
from ...base.errors import InputError
from ...data import PIXELS_PER_FRAME
from .blobs import as_video
from .controls import OTHER_CAPTIONS
from .frechet import resampled_distances
from .measures import ABOUT_CAPTIONS, EVALUATED, MEASURES
from .scores import Scorer
from .statistics import Estimate, as_table, plain_columns, spread


@dataclass(frozen=True)
class Report:
    """Measures by column and name: columns[column][measure] is an Estimate. settings: what was compared.

    samples: by measure, what the figure of the clips is made of: an array with a value for each clip, or, of a Frechet
    distance, for each resampling. Sets of as many clips are resampled in the same way: they can be compared in pairs.
    """

    columns: dict
    settings: dict
    samples: dict

    def __getitem__(self, column):
        return self.columns[column]

    def to_json(self):
        """The same as JSON text: settings; mean, low, high, n of every figure (null where there is none); samples."""
        samples = {
            name: [round(float(value), 6) if math.isfinite(value) else None for value in values]
            for name, values in self.samples.items()
        }
        return json.dumps({"settings": self.settings, "columns": plain_columns(self.columns), "samples": samples})

    def __str__(self):
        columns = {"drawn" if column == "clips" else column: found for column, found in self.columns.items()}
        lines = as_table(columns, {name: MEASURES[name].form for name in EVALUATED})
        s, (height, width) = self.settings, self.settings["size"]
        lines.append(
            f"{s['clips']} clips of {s['frames']} frames, {height}x{width}, digits of {s['digit_size']} px; "
            "± is half the width of the 95% interval over clips; the floors are spoilt real clips."
        )
        return "\n".join(lines)


def evaluate(clips, captions, references, digit_size, generator=None, pixels_per_frame=PIXELS_PER_FRAME):
    """Compare clips (B, T, H, W, C) in [0, 1] with what their captions ask for; returns a Report.

    references: two arrays like `clips`, real clips of the same captions, the first judged beside the clips, the second
    the other side of all Frechet distances.
    generator: numpy Generator for the controls (default: seed 0).
    pixels_per_frame: what the captions' speeds mean.
    """
    clips, real, others = (as_video(array) for array in (clips, *references))
    if not clips.shape == real.shape == others.shape or len(captions) != len(clips):
        raise InputError(
            f"{len(captions)} captions, clips of shape {clips.shape} and references of {real.shape} and "
            f"{others.shape} can't be compared; give as many of each, of one length and size"
        )
    scorer = Scorer(captions, others, digit_size, pixels_per_frame)
    found = {"clips": scorer(clips), "real": scorer(real)}
    resampled = {column: _resampled(scores, scorer, len(clips)) for column, scores in found.items()}
    found |= scorer.controls(real, found["real"], generator or np.random.default_rng(0))
    columns = {column: _estimates(column, scores, resampled.get(column, {})) for column, scores in found.items()}
    settings = {"clips": len(clips), "frames": clips.shape[1], "size": list(clips.shape[2:4]), "digit_size": digit_size}
    values = found["clips"].values
    return Report(columns, settings, {name: values[name] for name in EVALUATED if name in values} | resampled["clips"])


def _resampled(scores, scorer, count):
    """The Frechet distances in resampled clips, by name; of a single clip there are none."""
    if count < 2:
        return {}
    return {
        name: resampled_distances(rows, scorer.features[name], count, seeds.generator(0, seeds.RESAMPLING))
        for name, rows in scores.features.items()
    }


def _estimates(column, scores, resampled):
    """The Estimates of a column by name. A distance has an interval if it was resampled; its n counts its samples."""
    result = {}
    for name in ABOUT_CAPTIONS if column == OTHER_CAPTIONS else EVALUATED:
        if name in scores.values:
            result[name] = MEASURES[name].over_clips(scores.values[name])
        elif name in scores.distances:
            distance = scores.distances[name]
            interval = spread(distance, resampled[name]) if name in resampled else (math.nan, math.nan)
            result[name] = Estimate(distance, *interval, len(scores.features[name]))
    return result
