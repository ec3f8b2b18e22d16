"""How well a model has learnt clips of one's own, in which nothing says what is right: held-out clips are the measure.

Does it denoise clips that it hasn't seen as well as those of its training? Are drawn clips like real ones, as a Frechet
distance in features of the autoencoder has it? And are they nearer to clips of the training than new ones are: has it
only learnt by heart?
"""

import dataclasses
import json

import numpy as np

from ... import autograd as ag
from ...base import seeds, values
from ...base.backend import blas_threads, to_device, to_numpy
from ...base.errors import InputError
from ...base.files import read_json
from ...training.tasks import TransformerTask
from .controls import SPOILT
from .frechet import clip_features, frame_features, frechet_distance, resampled_distances
from .kept_clips import drawn_clips
from .pairwise import ESTIMATE
from .statistics import Estimate, as_table, plain_columns, spread

LOOKED_AT = 64  # clips of each split, at most, for a loss
TIMES = 4  # that each is noised: noise levels make most of the spread
AT_ONCE = 16  # clips of which features are computed together
MEASURES = {
    "frechet_frames": "Frechet distance of single frames to those of training, in features of the autoencoder",
    "frechet_clips": "the same of whole clips: what is seen, how much it varies and how much changes in a step",
    "nearest": "distance to the nearest clip of the training: root mean square of pixels, all windows looked at",
    "copied": "share of clips that are nearer to one of the training than any held-out clip is",
}

FIGURES = dict.fromkeys(MEASURES, ESTIMATE)
WRITTEN = {"weights": str, "seed": int, "clips": int, "columns": {"drawn": FIGURES, "held out": FIGURES}}


def losses(task, folder, seed=0):
    """{"held_out_loss", "training_loss"}: the mean loss of a TransformerTask on both parts of a ClipFolder.

    Both have the same noise and noise levels, so that the difference is what was learnt by heart. None for a part that
    has no clips.
    """
    held_out = [folder.is_held_out(entry) for entry in folder.entries]
    splits = {"held_out_loss": ("test", any(held_out)), "training_loss": ("train", not all(held_out))}
    count = min(LOOKED_AT, *(sum(side) for side in (held_out, [not out for out in held_out]) if any(side)))
    return {
        name: mean_loss(task, folder.clips(split), count, seed) if there else None
        for name, (split, there) in splits.items()
    }


def mean_loss(task, clips, count, seed=0):
    """The mean loss of a task on `count` of the OwnClips `clips`, evenly among them, each noised TIMES times."""
    chosen, found = _evenly(clips.each(), count), []
    with ag.no_grad(), blas_threads(1):
        for time in range(TIMES):
            for start in range(0, count, task.batch_size):
                part = clips.cut(chosen[start : start + task.batch_size])
                batch = task.batch_of(part, seeds.generator(seed, seeds.MEASUREMENTS, time, start))
                loss, _ = task.loss({name: to_device(array) for name, array in batch.items()})
                found += [float(loss.data)] * len(part.captions)
    return float(np.mean(found))


def _evenly(items, count):
    """`count` of the items, evenly from the first to the last."""
    return [items[place] for place in np.linspace(0, len(items) - 1, count).round().astype(int)]


def read_own(path):
    """What `OwnReport.to_json` wrote into a file, as a dict; InputError for anything else."""
    return read_json(path, WRITTEN, "evaluation", "write it with 'minivdit evaluate --clips FOLDER --out'")


@dataclasses.dataclass(frozen=True)
class OwnReport:
    """columns: {"drawn" or "held out" or a way of spoiling those: {measure: Estimate}}. losses: see `losses`.

    drawn, nearest: the drawn clips (B, T, H, W, C), and beside each the clip of the training that is nearest. names: of
    the files that those are from. distances: theirs. captions: of the drawn clips.
    """

    columns: dict
    losses: dict
    drawn: np.ndarray
    nearest: np.ndarray
    names: list
    distances: np.ndarray
    captions: list

    def to_json(self, **about):
        """The figures as JSON text, with further entries."""
        figures = {"columns": plain_columns(self.columns), "losses": self.losses}
        return json.dumps({**about, "clips": len(self.drawn), **figures})

    def neighbours(self):
        """(caption, name of the nearest clip's file, its distance) of each drawn clip."""
        return list(zip(self.captions, self.names, self.distances))

    def __str__(self):
        lines = as_table(self.columns, dict.fromkeys(MEASURES, ".3f"))
        shown = " and ".join(f"{value:.3f} ({name.replace('_', ' ')})" for name, value in self.losses.items())
        lines += [f"loss, the same noise for both: {shown}", "What the rows are:"]
        return "\n".join(lines + [f"  {name:14}  {meaning}" for name, meaning in MEASURES.items()])


def judge_own(model, settings, folder, prompts=200, *, seed=0, keep=None, progress=None, batch=32, **drawing):
    """An OwnReport: clips drawn for the captions of held-out ones, beside these, spoilt ones and training's.

    settings: a DiffusionSettings, by which the model was trained. folder: a ClipFolder of the clips that it learnt.
    prompts: how many, at most as many as are held out. keep, progress, drawing: see judge_model. InputError where no
    two clips are held out.
    """
    held_out = sum(map(folder.is_held_out, folder.entries))
    if held_out < 2:
        raise InputError(
            f"of the clips in {folder.folder} {held_out or 'none'} is held out of training, and 2 are needed to judge "
            "beside; train anew with more clips, or with a larger share held out (--set data.held_out=0.3)"
        )
    training, test = folder.clips("train"), folder.clips("test")
    count = min(values.whole("prompts", prompts, 2), held_out)
    real = test.cut(_evenly(test.each(), count))
    drawn = drawn_clips(model, real.captions, keep, progress, seed=seed, batch=batch, **drawing)
    generator = seeds.generator(seed, seeds.PROMPTS)
    shown = {"drawn": drawn, "held out": real.video}
    shown |= {name: spoil(real.video, generator) for name, spoil in SPOILT.items()}
    others = _features(model.autoencoder, training.cut(_evenly(training.each(), count)).video)
    columns = {
        column: _distances(_features(model.autoencoder, clips), others, count) for column, clips in shown.items()
    }
    near = {column: nearest(shown[column], training) for column in ("drawn", "held out")}
    least = near["held out"][0].min()
    for column, (distances, _) in near.items():
        columns[column] |= {"nearest": Estimate.average(distances), "copied": Estimate.share(distances < least)}
    task = TransformerTask(model.transformer, model.autoencoder, model.tokenizer, training, batch, settings)
    distances, cuts = near["drawn"]
    names, copies = [training.names[cut.clip] for cut in cuts], training.cut(cuts).video
    return OwnReport(columns, losses(task, folder, seed), drawn, copies, names, distances, real.captions)


def _features(autoencoder, video):
    """What the Frechet distances of clips (B, T, H, W, C) compare: {measure: (n, D)}."""
    maps = []
    with ag.no_grad(), blas_threads(1):
        for start in range(0, len(video), AT_ONCE):
            part = video[start : start + AT_ONCE]
            found = to_numpy(autoencoder.features(autoencoder.pieces(to_device(part))).data)
            maps.append(found.reshape(len(part), -1, *found.shape[-3:]))  # (B, T', h, w, C)
    maps = np.concatenate(maps)
    return {"frechet_frames": frame_features(maps), "frechet_clips": clip_features(maps)}


def _distances(features, others, count):
    """The Frechet distances of `count` clips to as many others, with intervals: {measure: Estimate}."""
    found = {}
    for name, rows in features.items():
        distance = frechet_distance(rows, others[name])
        again = resampled_distances(rows, others[name], count, seeds.generator(0, seeds.RESAMPLING))
        found[name] = Estimate(distance, *spread(distance, again), len(rows))
    return found


def nearest(video, clips):
    """For each clip (B, T, H, W, C) the nearest of OwnClips: (distances (B,), a Cut each).

    A distance is the root mean square of pixels. All windows in time that a batch may take are looked at.
    """
    count, length = video.shape[:2]
    ours = video.reshape(count * length, -1)
    squares, best, cuts = (ours**2).sum(axis=1)[:, None], np.full(count, np.inf), [None] * count
    height, width = clips.size
    for clip in range(len(clips.names)):
        windows = clips.windows(clip)
        top, left = windows[0].top, windows[0].left
        theirs = clips.frames[clip][:, top : top + height, left : left + width] * np.float32(1 / 255)
        theirs = theirs.reshape(len(theirs), -1)
        apart = squares + (theirs**2).sum(axis=1) - 2 * ours @ theirs.T  # (B * T, frames)
        apart = apart.reshape(count, length, -1)
        for cut in windows:
            found = apart[:, np.arange(length), cut.frames].sum(axis=1)
            for place in np.flatnonzero(found < best):
                best[place], cuts[place] = found[place], cut
    return np.sqrt(best.clip(0) / video[0].size), cuts
