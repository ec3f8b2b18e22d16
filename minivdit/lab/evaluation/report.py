"""The table: every metric of a set of clips beside the real-data ceiling and the chance floors.

Columns: the clips themselves; real clips of the same captions (the ceiling: what tracker and judge
make of perfect clips); and real clips spoilt in one way each (the floors):
    other captions   each clip judged by another clip's caption
    shuffled frames  each clip's frames in random order: same pictures, no motion
    recombined       every frame from another clip: same frames in all, no identity
    frozen           the first frame throughout: perfect identity, no motion
A Frechet distance is taken to a second set of real clips of the same captions, so its figure for
real clips is the least that can be expected at this number of clips.
"""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np

from ...base import seeds
from ...base.backend import blas_threads
from ...base.errors import InputError
from ...data import PIXELS_PER_FRAME, parse
from .blobs import as_clips
from .frechet import clip_features, frame_features, frame_maps, frechet_distance, resampled_distances
from .judge import load_judge
from .metrics import identity_metrics, motion_metrics, prompt_metrics, read_captions
from .observation import observe
from .statistics import Estimate, spread

# name: (kind, what it means). Shares are better higher; "px" and "distance" are read against the real column.
METRICS = {
    "digit_frames": ("share", "frames that show the digit asked for"),
    "digit": ("share", "digits read most often as the one asked for"),
    "direction": ("share", "digits that set off in the direction asked for"),
    "obeys": ("share", "clips with each digit read in half of the frames or more, going its own way, and nothing else"),
    "flawless": (
        "share",
        "clips that obey, in which digits stay on their paths and stay alike, with no other ink",
    ),
    "speed": ("share", "digits nearest to the speed asked for"),
    "number": ("share", "frames with as many digits as asked for"),
    "one_class": ("share", "digits read as one class in every frame"),
    "likeness": ("share", "correlation with the digit's first picture"),
    "drift": ("number", "fall of that correlation, first to second half"),
    "on_path": ("share", "digits that move and follow one bouncing line"),
    "residual": ("number", "distance to the best bouncing line, px"),
    "travel": ("number", "length of that line, px"),
    "frechet_frames": ("distance", "Frechet distance of frames"),
    "frechet_clips": ("distance", "Frechet distance of clips"),
}


def shuffled_captions(captions, generator):
    """Each clip gets the caption of another clip of as many digits (its own only where there is no other)."""
    counts = np.array([len(parse(caption)) for caption in captions])
    result = np.array(captions, dtype=object)
    for count in np.unique(counts):
        rows = generator.permutation(np.flatnonzero(counts == count))
        result[rows] = result[np.roll(rows, 1)]
    return list(result)


def shuffled_frames(clips, generator):
    """Each clip's frames in a random order of its own."""
    order = generator.permuted(np.tile(np.arange(clips.shape[1]), (len(clips), 1)), axis=1)
    return clips[np.arange(len(clips))[:, None], order]


def recombined(clips, generator):
    """Frame t of each clip comes from a random clip, and every frame is used once."""
    rows = generator.permuted(np.tile(np.arange(len(clips))[:, None], (1, clips.shape[1])), axis=0)
    return clips[rows, np.arange(clips.shape[1])]


def frozen(clips):
    """The first frame throughout."""
    return np.repeat(clips[:, :1], clips.shape[1], axis=1)


@dataclass(frozen=True)
class Report:
    """Metrics by column and name: columns[column][metric] is an Estimate. settings: what was compared.

    samples: by metric, what the figure of the clips is made of: an array with a value for each clip, or, of a Frechet
    distance, for each turn of resampling. The same turns for all sets of as many clips: they can be compared in pairs.
    """

    columns: dict
    settings: dict
    samples: dict

    def __getitem__(self, column):
        return self.columns[column]

    def rows(self):
        """(metric, meaning, {column: text}) for printing."""
        for name, (kind, meaning) in METRICS.items():
            yield name, meaning, {column: _text(values.get(name), kind) for column, values in self.columns.items()}

    def markdown(self):
        """The table with one row a metric."""
        columns = list(self.columns)
        lines = ["| metric | " + " | ".join(columns) + " | meaning |", "|---" * (len(columns) + 2) + "|"]
        for name, meaning, cells in self.rows():
            lines.append(f"| {name} | " + " | ".join(cells[column] for column in columns) + f" | {meaning} |")
        return "\n".join([*lines, "", self.footnote()])

    def footnote(self):
        s = self.settings
        height, width = s["size"]
        return (
            f"{s['clips']} clips of {s['frames']} frames, {height}x{width}, digits of {s['digit_size']} px; "
            "± is half the width of the 95% interval over clips; the floors are spoilt real clips."
        )

    def to_json(self):
        """The same as JSON text: settings; mean, low, high, n of every figure (null where there is none); samples."""
        columns = {
            column: {name: {k: _finite(v) for k, v in asdict(estimate).items()} for name, estimate in values.items()}
            for column, values in self.columns.items()
        }
        samples = {name: [_finite(round(float(v), 6)) for v in values] for name, values in self.samples.items()}
        return json.dumps({"settings": self.settings, "columns": columns, "samples": samples})

    def __str__(self):
        columns = list(self.columns)
        table = [["", *("drawn" if column == "clips" else column for column in columns)]] + [
            [name, *(cells[c] for c in columns)] for name, _, cells in self.rows()
        ]
        widths = [max(map(len, column)) for column in zip(*table)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]
        return "\n".join([*lines, self.footnote()])


@blas_threads(1)  # of products this small, threads on a busy machine spend most of their time waiting for each other
def evaluate(
    clips,
    captions,
    references,
    digit_size,
    generator=None,
    judge=None,
    controls=True,
    pixels_per_frame=PIXELS_PER_FRAME,
):
    """Compare clips (B, T, H, W, 1) in [0, 1] with what their captions ask for; returns a Report.

    references: two arrays like `clips`, real clips of the same captions, the first judged beside the clips, the second
    the other side of all Frechet distances.
    generator: numpy Generator for the controls (default: seed 0). controls=False leaves out the floors.
    pixels_per_frame: what the captions' speeds mean.
    """
    clips, real, others = (as_clips(array) for array in (clips, *references))
    if not clips.shape == real.shape == others.shape or len(captions) != len(clips):
        raise InputError(
            f"{len(captions)} captions, clips of shape {clips.shape} and references of {real.shape} and "
            f"{others.shape} can't be compared; give as many of each, of one length and size"
        )
    generator = generator or np.random.default_rng(0)
    judge = judge or load_judge()
    targets = read_captions(captions, clips.shape[2:], pixels_per_frame)
    other_maps = frame_maps(others, digit_size, judge)

    def column(array, resample=False):
        """(Observation, Estimates, samples) of clips; see Report. resample: for intervals of the distances."""
        observation = observe(array, digit_size, targets.count, judge, pixels_per_frame)
        values = prompt_metrics(observation, targets) | identity_metrics(observation) | motion_metrics(observation)
        distances, resampled = _distances(frame_maps(array, digit_size, judge), other_maps, resample)
        return observation, _estimates(values) | distances, values | resampled

    columns = {}
    _, columns["clips"], samples = column(clips, resample=True)
    observation, columns["real"], _ = column(real, resample=True)
    if controls:
        swapped = read_captions(shuffled_captions(captions, generator), clips.shape[2:], pixels_per_frame)
        columns["other captions"] = _estimates(prompt_metrics(observation, swapped))
        columns["shuffled frames"] = column(shuffled_frames(real, generator))[1]
        columns["recombined"] = column(recombined(real, generator))[1]
        columns["frozen"] = column(frozen(real))[1]
    settings = {
        "clips": len(clips),
        "frames": clips.shape[1],
        "size": list(clips.shape[2:]),
        "digit_size": digit_size,
    }
    return Report(columns, settings, samples)


def _estimates(values):
    return {
        name: (Estimate.share if METRICS[name][0] == "share" else Estimate.average)(value)
        for name, value in values.items()
    }


def _distances(maps, other_maps, resample):
    """(Estimates of Frechet distances, their values in resampled clips); without `resample` there are no intervals.

    n says how many samples stand behind a distance.
    """
    result, resampled = {}, {}
    for name, features in (("frechet_frames", frame_features), ("frechet_clips", clip_features)):
        ours, theirs = features(maps), features(other_maps)
        distance, interval = (frechet_distance(ours, theirs) if len(ours) > 1 else math.nan), (math.nan, math.nan)
        if resample and len(maps) > 1:
            generator = seeds.generator(0, seeds.RESAMPLING)
            resampled[name] = resampled_distances(ours, theirs, len(maps), generator)
            interval = spread(distance, resampled[name])
        result[name] = Estimate(distance, *interval, len(ours))
    return result, resampled


def _text(estimate, kind):
    if estimate is None or math.isnan(estimate.mean):
        return "-"
    mean, half = estimate.mean, (estimate.high - estimate.low) / 2
    if kind == "distance":
        return f"{mean:.3f}" if math.isnan(half) else f"{mean:.3f} ±{half:.3f}"
    return f"{mean:.2f} ±{half:.2f}"


def _finite(value):
    return value if math.isfinite(value) else None
